/* SPDX-License-Identifier: Apache-2.0 */
/* prove_traffic.c: IP packets of 0 to 65,535 octets. */
#include "ike.h"
#include "proof.h"

static uint8_t octets[PROOF_MAX];

/*@ requires \initialized((char *)p + (0 .. len - 1));
    assigns \nothing; */
void proof_output(const void *p, size_t len);

int main(void)
{
    size_t len = any_size(1, PROOF_MAX);
    qcd_traffic traffic;

    unknown(octets, sizeof(octets));
    unknown(model_octets, sizeof(model_octets));
    if (any_bool()) {
        (void)!qcd_traffic_decode(&traffic, octets + PROOF_MAX, 0);
    } else {
        (void)!qcd_traffic_decode(&traffic, octets, len);
    }
    proof_output(&traffic.child_spi.octets, QCD_CHILD_SPI_LEN);
    //@ assert traffic.source.len <= 16 && traffic.destination.len <= 16;
    return 0;
}

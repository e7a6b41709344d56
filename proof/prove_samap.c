/* SPDX-License-Identifier: Apache-2.0 */
/* prove_samap.c: any slot of the SA map, and any row that a caller may give. */
#include "proof.h"
#include "samap_row.h"

/*@ requires \initialized((char *)p + (0 .. len - 1));
    assigns \nothing; */
void proof_output(const void *p, size_t len);

static void write_row(uint8_t local_len, uint8_t peer_len)
{
    uint8_t slot[SAMAP_SLOT_LEN];
    qcd_samap_row row;

    unknown(&row, sizeof(row));
    row.encap = any_bool();
    row.local.len = local_len;
    row.peer.len = peer_len;
    samap_row_encode(slot, &row);
    proof_output(slot, sizeof(slot));
}

int main(void)
{
    uint8_t slot[SAMAP_SLOT_LEN];
    qcd_samap_row row;

    unknown(slot, sizeof(slot));
    if (samap_row_decode(&row, slot)) {
        //@ assert row.sa.role == QCD_INITIATOR || row.sa.role == QCD_RESPONDER;
        //@ assert row.local.len <= 16 && row.peer.len <= 16;
    }
    (void)!samap_head_decode(slot);
    write_row(4, 4);
    write_row(4, 16);
    write_row(16, 4);
    write_row(16, 16);
    samap_head_encode(slot, (uint16_t)any_u32());
    proof_output(slot, sizeof(slot));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_traffic.c: any octets as an IP packet.  A decoded packet keeps the
 * promises of the header, agrees with another decoder, and does not depend on
 * what follows the SPI. */
#include "fuzz.h"

#include "../test/traffic_reference.h"

enum { ESP_MIN = 8, CUT_MAX = 100 };

static void check_address(const qcd_address *a, uint8_t len)
{
    DEMAND(a->len == len);
    DEMAND(fuzz_is_zero(a->octets + len, sizeof(a->octets) - len));
}

static void check_decoded(const qcd_traffic *esp, const uint8_t *in)
{
    uint8_t len = in[0] >> 4 == 6 ? 16 : 4;

    DEMAND(in[0] >> 4 == 4 || in[0] >> 4 == 6);
    check_address(&esp->source, len);
    check_address(&esp->destination, len);
    DEMAND(!fuzz_is_zero(esp->child_spi.octets, 3));
    DEMAND(esp->len >= ESP_MIN && esp->len <= UINT16_MAX);
    DEMAND(esp->encap || (esp->source_port == 0 && esp->destination_port == 0));
}

static void check_reference(const qcd_traffic *esp, enum qcd_err err,
                            const uint8_t *in, size_t in_len)
{
    qcd_traffic want;

    DEMAND(reference_decode(&want, in, in_len) == (err == QCD_OK));
    if (err == QCD_OK) {
        DEMAND(memcmp(&esp->child_spi, &want.child_spi,
                      sizeof(want.child_spi)) == 0);
        DEMAND(memcmp(&esp->source, &want.source, sizeof(want.source)) == 0);
        DEMAND(memcmp(&esp->destination, &want.destination,
                      sizeof(want.destination)) == 0);
        DEMAND(esp->encap == want.encap);
        DEMAND(esp->source_port == want.source_port);
        DEMAND(esp->destination_port == want.destination_port);
        DEMAND(esp->len == want.len);
    }
}

/* A packet cut off anywhere gives the same result, or is reported as cut
 * off. */
static void check_cut(const qcd_traffic *esp, enum qcd_err err,
                      const uint8_t *in, size_t in_len)
{
    bool has_spi = false;

    for (size_t len = 0; len < in_len && len < CUT_MAX; len++) {
        uint8_t *cut = malloc(len > 0 ? len : 1);
        qcd_traffic got;

        DEMAND(cut != NULL);
        memcpy(cut, in, len);
        enum qcd_err got_err = qcd_traffic_decode(&got, cut, len);
        free(cut);
        DEMAND(got_err == QCD_OK || got_err == QCD_ERR_TRUNCATED ||
               got_err == err);
        DEMAND(got_err != QCD_OK || err == QCD_OK);
        DEMAND(got_err == QCD_OK || !has_spi);
        has_spi = got_err == QCD_OK;
        DEMAND(got_err == QCD_OK ? memcmp(&got, esp, sizeof(got)) == 0
                                 : fuzz_is_zero(&got, sizeof(got)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    qcd_traffic esp;

    memset(&esp, 0xa5, sizeof(esp));
    enum qcd_err err = qcd_traffic_decode(&esp, in, in_len);
    if (err == QCD_OK) {
        check_decoded(&esp, in);
    } else {
        DEMAND(err == QCD_ERR_TRUNCATED || err == QCD_ERR_MALFORMED);
        DEMAND(fuzz_is_zero(&esp, sizeof(esp)));
    }
    check_reference(&esp, err, in, in_len);
    check_cut(&esp, err, in, in_len);
    return 0;
}

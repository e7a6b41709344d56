/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_samap.c: any octets as a slot of the SA map.  The checksum would reject
 * nearly all of them, so the target corrects it. */
#include "fuzz.h"

#include "store/samap_row.h"

/* A decoded row is encoded to the same octets. */
static void check(const uint8_t in[SAMAP_SLOT_LEN])
{
    uint8_t again[SAMAP_SLOT_LEN];
    qcd_samap_row row;
    uint16_t version = samap_head_decode(in);
    bool is_row = qcd_samap_decode(&row, in);

    DEMAND(version == 0 || !is_row);
    if (version != 0) {
        samap_head_encode(again, version);
        DEMAND(memcmp(again, in, SAMAP_SLOT_LEN) == 0);
    }
    if (is_row) {
        qcd_samap_encode(again, &row);
        DEMAND(memcmp(again, in, SAMAP_SLOT_LEN) == 0);
    } else {
        DEMAND(fuzz_is_zero(&row, sizeof(row)));
    }
}

static void sign(uint8_t slot[SAMAP_SLOT_LEN])
{
    uint64_t sum = samap_sum(slot, SAMAP_SLOT_LEN - SAMAP_SUM_LEN);

    for (size_t i = 0; i < SAMAP_SUM_LEN; i++) {
        slot[SAMAP_SLOT_LEN - 1 - i] = (uint8_t)(sum >> 8 * i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    uint8_t slot[SAMAP_SLOT_LEN] = {0};

    if (in_len > 0) {
        memcpy(slot, in, in_len < sizeof(slot) ? in_len : sizeof(slot));
    }
    check(slot);
    sign(slot);
    check(slot);
    return 0;
}

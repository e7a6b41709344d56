/* SPDX-License-Identifier: Apache-2.0 */
/* samap_overlay.c: a hash table with open addresses, never more than half full,
 * from which nothing is taken but all at once. */
#include "samap_overlay.h"

#include <string.h>

/* slot_of is where to begin.  SPIs are our own choice, mostly at random, so no
 * one else can make them fall together. */
static size_t slot_of(const uint8_t spi[SAMAP_SPI_LEN])
{
    uint32_t n = (uint32_t)spi[0] << 24 | (uint32_t)spi[1] << 16 |
                 (uint32_t)spi[2] << 8 | spi[3];
    return (n * 2654435769u >> 18) % SAMAP_OVERLAY_SLOTS;
}

/* find_slot returns the slot that has `spi`, or the free one for it. */
static size_t find_slot(const samap_overlay *overlay,
                        const uint8_t spi[SAMAP_SPI_LEN])
{
    size_t at = slot_of(spi);
    while (overlay->slots[at] != 0) {
        const samap_change *change = &overlay->changes[overlay->slots[at] - 1];
        if (memcmp(change->row.child_spi, spi, SAMAP_SPI_LEN) == 0) {
            break;
        }
        at = (at + 1) % SAMAP_OVERLAY_SLOTS;
    }
    return at;
}

const samap_change *samap_overlay_find(const samap_overlay *overlay,
                                       const uint8_t spi[SAMAP_SPI_LEN])
{
    if (overlay->num == 0) { /* most of the time: don't touch the slots */
        return NULL;
    }
    size_t num = overlay->slots[find_slot(overlay, spi)];
    return num == 0 ? NULL : &overlay->changes[num - 1];
}

bool samap_overlay_set(samap_overlay *overlay, const samap_change *change)
{
    size_t at = find_slot(overlay, change->row.child_spi);
    if (overlay->slots[at] == 0) {
        if (samap_overlay_is_full(overlay)) {
            return false;
        }
        overlay->num++;
        overlay->slots[at] = (uint16_t)overlay->num;
    }
    overlay->changes[overlay->slots[at] - 1] = *change;
    return true;
}

bool samap_overlay_is_full(const samap_overlay *overlay)
{
    return overlay->num == SAMAP_OVERLAY_MAX;
}

void samap_overlay_clear(samap_overlay *overlay)
{
    overlay->num = 0;
    memset(overlay->slots, 0, sizeof(overlay->slots));
}

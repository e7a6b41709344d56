/* SPDX-License-Identifier: Apache-2.0 */
/* samap_overlay.h: the changes of one journal in memory, the last of each SPI:
 * what must be looked at before the map itself. */
#ifndef QCD_STORE_SAMAP_OVERLAY_H
#define QCD_STORE_SAMAP_OVERLAY_H

#include "samap_log.h"

#define SAMAP_OVERLAY_MAX 8192
#define SAMAP_OVERLAY_SLOTS ((size_t)2 * SAMAP_OVERLAY_MAX)

/* samap_overlay has `num` changes, of different SPIs.  All zero has none.  A
 * slot is the number of a change counted from 1, or 0. */
typedef struct samap_overlay {
    size_t num;
    uint16_t slots[SAMAP_OVERLAY_SLOTS];
    samap_change changes[SAMAP_OVERLAY_MAX];
} samap_overlay;

/* samap_overlay_find returns the change of `spi`, or NULL. */
const samap_change *samap_overlay_find(const samap_overlay *overlay,
                                       const uint8_t spi[SAMAP_SPI_LEN]);

/* samap_overlay_set takes in `change` in place of the one with its SPI.  It
 * returns false where it is full. */
QCD_NODISCARD bool samap_overlay_set(samap_overlay *overlay,
                                     const samap_change *change);

bool samap_overlay_is_full(const samap_overlay *overlay);

void samap_overlay_clear(samap_overlay *overlay);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* samap_index.h: which slot of the SA map has the row of an SPI, and which
 * slots are free. */
#ifndef QCD_STORE_SAMAP_INDEX_H
#define QCD_STORE_SAMAP_INDEX_H

#include "samap_row.h"

/* samap_place is an SPI and its slot.  It is empty if the slot is 0, the
 * head's. */
typedef struct samap_place {
    uint8_t octets[QCD_CHILD_SPI_LEN];
    uint32_t protocol : 8;
    uint32_t slot : 24;
} samap_place;

/* samap_index is a table with open addressing, at most half full, and a stack.
 * All zero is an empty one. */
typedef struct samap_index {
    samap_place *places;
    size_t num_places; /* a power of two, or 0 */
    size_t num;        /* SPIs */
    uint32_t *free;
    size_t num_free;
    size_t free_room;
    uint32_t end; /* slots up to here are taken or free */
} samap_index;

/* samap_index_reserve makes room for another SPI and another slot, so that the
 * following calls can't fail.  It returns false if there is no memory. */
QCD_NODISCARD bool samap_index_reserve(samap_index *index);

/* samap_index_find returns the slot of `spi`, or 0. */
QCD_NODISCARD uint32_t samap_index_find(const samap_index *index,
                                        const qcd_child_spi *spi);

/* samap_index_take returns a slot for a new row: a free one, or a new one at
 * the end.  Room must be reserved. */
QCD_NODISCARD uint32_t samap_index_take(samap_index *index);

/* samap_index_give returns a slot to the free ones. */
void samap_index_give(samap_index *index, uint32_t slot);

/* samap_index_add adds `spi`, which must not be in the index.  Room must be
 * reserved. */
void samap_index_add(samap_index *index, const qcd_child_spi *spi,
                     uint32_t slot);

/* samap_index_remove removes `spi`, which must be in the index. */
void samap_index_remove(samap_index *index, const qcd_child_spi *spi);

/* samap_index_free frees the memory of the index. */
void samap_index_free(samap_index *index);

#endif

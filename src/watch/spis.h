/* SPDX-License-Identifier: Apache-2.0 */
/* spis.h: a set of SPIs, as numbers in network order.  All calls but spis_list
 * and spis_reserve take the same time however many there are. */
#ifndef QCD_WATCH_SPIS_H
#define QCD_WATCH_SPIS_H

#include <qcd/qcd.h>

/* spis is a set: slots by hash, of which 0 is a free one.  All zero is an empty
 * set. */
typedef struct spis {
    uint32_t *slots;
    size_t num_slots; /* a power of two, at least twice `num`, or 0 */
    size_t num;
} spis;

/* spis_number is the number of `spi`; 0 is never in a set. */
uint32_t spis_number(const qcd_child_spi *spi);

/* spis_reserve makes room for `num` more.  It returns false where there is no
 * memory; nothing is changed then. */
QCD_NODISCARD bool spis_reserve(spis *set, size_t num);

/* spis_put adds `number`, for which there is room, and tells whether it is
 * new. */
bool spis_put(spis *set, uint32_t number);

/* spis_take takes out `number`, and tells whether it was there. */
bool spis_take(spis *set, uint32_t number);

/* spis_list writes all `set->num` numbers to `out`, in no order. */
void spis_list(const spis *set, uint32_t *out);

/* spis_free empties `set`. */
void spis_free(spis *set);

#endif

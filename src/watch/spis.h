/* SPDX-License-Identifier: Apache-2.0 */
/* spis.h: a set of SPIs, as numbers in network order. */
#ifndef QCD_WATCH_SPIS_H
#define QCD_WATCH_SPIS_H

#include <qcd/qcd.h>

/* spis is a set, sorted.  All zero is an empty one. */
typedef struct spis {
    uint32_t *numbers;
    size_t num;
} spis;

/* spis_new makes a set of those of the `num` SPIs at `in` that `known` has, or
 * has not, and that aren't zero.  It returns false where there is no memory. */
QCD_NODISCARD bool spis_new(spis *out, const spis *known, bool is_known,
                            const qcd_child_spi *in, size_t num);

/* spis_unite makes a set of both, which have nothing in common.  It returns
 * false where there is no memory. */
QCD_NODISCARD bool spis_unite(spis *out, const spis *a, const spis *b);

/* spis_subtract takes out of `set` what is in `other`. */
void spis_subtract(spis *set, const spis *other);

/* spis_free empties it. */
void spis_free(spis *set);

#endif

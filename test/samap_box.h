/* SPDX-License-Identifier: Apache-2.0 */
/* samap_box.h: what the tests of the SA map share: rows by their number, maps
 * in a box's folder. */
#ifndef QCD_SAMAP_BOX_H
#define QCD_SAMAP_BOX_H

#include "store/samap_map.h"
#include "store_box.h"

/* samap_box_in_memory makes the boxes of a program that writes a lot and loses
 * no power in memory, where that can be had. */
void samap_box_in_memory(void);

/* samap_box_spi is the SPI of row `n`, of AH for each fifth. */
qcd_child_spi samap_box_spi(uint32_t n);

/* samap_box_row makes row `n` of version `v`: of each four rows with the same
 * n / 4 the IKE SA is the same, and of each sixteen with the same n / 16 the
 * peer.  Versions differ in `expires` and, where they are odd, the IKE SA. */
void samap_box_row(qcd_samap_row *out, uint32_t n, uint32_t v);

/* samap_box_is tells whether two rows are the same in all members. */
bool samap_box_is(const qcd_samap_row *a, const qcd_samap_row *b);

/* samap_box_try opens the map of the box. */
enum qcd_store_err samap_box_try(qcd_samap **out, qcd_store_report *report,
                                 const box *b);

/* samap_box_open is a samap_box_try that must succeed, without a report. */
qcd_samap *samap_box_open(const box *b);

/* samap_box_take_out removes row `n`, of whatever version, if there is one. */
enum qcd_store_err samap_box_take_out(qcd_samap *map, qcd_store_report *report,
                                      uint32_t n);

/* These must succeed. */
void samap_box_put(qcd_samap *map, uint32_t n, uint32_t v);
void samap_box_remove(qcd_samap *map, uint32_t n);
void samap_box_flush(qcd_samap *map);

/* samap_box_has tells whether the map has just version `v` of row `n`. */
bool samap_box_has(qcd_samap *map, uint32_t n, uint32_t v);

/* samap_box_lacks tells whether the map has no row `n`. */
bool samap_box_lacks(qcd_samap *map, uint32_t n);

/* samap_box_abandon lets go of the map as a process does that is killed. */
void samap_box_abandon(qcd_samap *map);

#endif

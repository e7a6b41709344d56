/* SPDX-License-Identifier: Apache-2.0 */
/* samap_box.h: shared by the tests of the SA map: rows by number, and maps in
 * the folder of a box. */
#ifndef QCD_SAMAP_BOX_H
#define QCD_SAMAP_BOX_H

#include "store/samap.h"
#include "store_box.h"

/* samap_box_in_memory makes boxes in memory, if possible, for a program that
 * writes a lot and does not test a loss of power. */
void samap_box_in_memory(void);

/* samap_box_spi returns the SPI of row `n`, of AH for every fifth row. */
qcd_child_spi samap_box_spi(uint32_t n);

/* samap_box_row makes version `v` of row `n`.  Four rows with the same n / 4
 * have the same IKE SA, and sixteen rows with the same n / 16 the same peer.
 * Versions differ in `expires` and, if they are odd, in the IKE SA. */
void samap_box_row(qcd_samap_row *out, uint32_t n, uint32_t v);

/* samap_box_is tells whether two rows are equal in all members. */
bool samap_box_is(const qcd_samap_row *a, const qcd_samap_row *b);

/* samap_box_try opens the map of the box. */
enum qcd_store_err samap_box_try(qcd_samap **out, qcd_store_report *report,
                                 const box *b);

/* samap_box_open is a samap_box_try that must succeed without a report. */
qcd_samap *samap_box_open(const box *b);

/* samap_box_take_out removes row `n`, of any version, if it exists. */
enum qcd_store_err samap_box_take_out(qcd_samap *map, qcd_store_report *report,
                                      uint32_t n);

/* These must succeed. */
void samap_box_put(qcd_samap *map, uint32_t n, uint32_t v);
void samap_box_remove(qcd_samap *map, uint32_t n);
void samap_box_flush(qcd_samap *map);

/* samap_box_has tells whether the map has exactly version `v` of row `n`. */
bool samap_box_has(qcd_samap *map, uint32_t n, uint32_t v);

/* samap_box_lacks tells whether the map has no row `n`. */
bool samap_box_lacks(qcd_samap *map, uint32_t n);

/* samap_box_abandon abandons the map like a process that is killed. */
void samap_box_abandon(qcd_samap *map);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* samap.h: an open SA map and its slots, for samap.c, samap_open.c and their
 * tests. */
#ifndef QCD_STORE_SAMAP_H
#define QCD_STORE_SAMAP_H

#include <pthread.h>

#include "file.h"
#include "samap_index.h"

/* A file with more slots has more than we ever write. */
#define SAMAP_SLOTS_MAX (2 * QCD_SAMAP_ROWS_MAX)

/* `lock` guards everything but `dir`.  Slots are read and written with it held,
 * and made durable without it.  `flush` makes one flush follow the other; it is
 * taken before `lock`.  Only a flush changes `fd`, with both of them held. */
struct qcd_samap {
    folder dir;
    int fd;
    pthread_mutex_t lock;
    pthread_mutex_t flush;
    samap_index index;
    bool is_dirty;   /* written to since the last flush */
    size_t rows_max; /* QCD_SAMAP_ROWS_MAX; tests lower it */
};

extern const file_kind samap_kind;

/* samap_write writes a row to a slot, or empties the slot if `row` is NULL.  It
 * returns 0 or an errno value.  On error the slot is as it was, as far as the
 * disk allows. */
QCD_NODISCARD int samap_write(qcd_samap *map, uint32_t slot,
                              const qcd_samap_row *row);

/* samap_see is called with the octets of a slot, fewer than SAMAP_SLOT_LEN if
 * the file ends there.  It returns 0, or an errno value that ends the scan. */
typedef int samap_see(qcd_samap *map, uint32_t slot, const uint8_t *octets,
                      size_t len, void *user);

/* samap_scan has `see` look at all slots, the head first, with the lock held.
 * Between parts of the file others may have it.  A slot that the disk can't
 * read counts as damaged.  The scan returns 0 or an errno value. */
QCD_NODISCARD int samap_scan(qcd_samap *map, samap_see *see, void *user);

/* samap_keep writes the file again if it does not have its name any more, and
 * reports that.  The caller holds `flush`. */
QCD_NODISCARD enum qcd_store_err samap_keep(qcd_samap *map,
                                            qcd_store_report *report);

#endif

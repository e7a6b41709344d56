/* SPDX-License-Identifier: Apache-2.0 */
/* samap_map.h: what an open SA map is made of.
 *
 * A change goes into the journal and the overlay of the active layer.  A flush
 * makes the other layer, which is empty, the active one, applies the first one
 * to the map on disk and then empties it.  Where that fails the layer stays as
 * it is, and the next flush begins with it.  So what is true of a row says the
 * active layer, or else the other one, or else the map on disk.
 *
 *   killed before the commit    both journals are read at the next start
 *   killed between the commit   the journal's numbers are not above the one
 *   and the journal's end       that was committed with it: they are skipped
 *
 * Two locks: `disk` is held by whoever writes to the map on disk, for as long
 * as an fsync takes; `state` is held for moments, by everyone.  Who needs both
 * takes `disk` first.  `active` and `db.env` are changed with both held. */
#ifndef QCD_STORE_SAMAP_MAP_H
#define QCD_STORE_SAMAP_MAP_H

#include <limits.h>
#include <pthread.h>

#include "folder.h"
#include "samap_db.h"

/* samap_layer is a journal and what it says. */
typedef struct samap_layer {
    samap_log log;
    uint64_t seq; /* of its last record */
    samap_overlay overlay;
} samap_layer;

struct qcd_samap {
    folder dir;
    char path[PATH_MAX]; /* of the map on disk */
    pthread_mutex_t disk;
    pthread_mutex_t state;
    samap_db db;
    samap_layer layers[2];
    size_t active;
    uint64_t seq;    /* of the last change */
    size_t num_max;  /* rows there are at most: one put again may count twice */
    bool is_counted; /* or just as many */
    size_t rows_max; /* QCD_SAMAP_ROWS_MAX; tests make it less */
    int stuck;       /* why the last flush failed, or 0 */
};

/* samap_active and samap_other return the two layers. */
samap_layer *samap_active(qcd_samap *map);
samap_layer *samap_other(qcd_samap *map);

/* samap_lookup returns the last change of `spi` that is not on disk, or NULL.
 * With `state`. */
const samap_change *samap_lookup(qcd_samap *map,
                                 const uint8_t spi[SAMAP_SPI_LEN]);

/* samap_find is qcd_samap_find.  With `state`. */
QCD_NODISCARD bool samap_find(qcd_samap *map, qcd_samap_row *out,
                              const uint8_t spi[SAMAP_SPI_LEN]);

/* samap_recount makes `num_max` the number of rows.  With `state`. */
void samap_recount(qcd_samap *map);

/* samap_apply applies changes to the map on disk.  With `disk`. */
QCD_NODISCARD int samap_apply(qcd_samap *map, const samap_overlay *changes,
                              uint64_t applied);

/* samap_write_out is the work of a flush; it returns 0 or an errno value.  With
 * `disk`. */
QCD_NODISCARD int samap_write_out(qcd_samap *map);

/* samap_cannot_write reports that the map on disk can't be written. */
enum qcd_store_err samap_cannot_write(qcd_samap *map, qcd_store_report *report,
                                      int why);

#endif

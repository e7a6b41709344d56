/* SPDX-License-Identifier: Apache-2.0 */
/* samap_change.c: changes of the SA map, and how they come to the disk. */
#include <errno.h>
#include <string.h>

#include "report.h"
#include "samap_files.h"
#include "samap_map.h"

/* ---- What is true of a row ---------------------------------------------- */

samap_layer *samap_active(qcd_samap *map)
{
    return &map->layers[map->active];
}

samap_layer *samap_other(qcd_samap *map)
{
    return &map->layers[1 - map->active];
}

const samap_change *samap_lookup(qcd_samap *map,
                                 const uint8_t spi[SAMAP_SPI_LEN])
{
    const samap_change *change =
        samap_overlay_find(&samap_active(map)->overlay, spi);
    if (change == NULL) {
        change = samap_overlay_find(&samap_other(map)->overlay, spi);
    }
    return change;
}

bool samap_find(qcd_samap *map, qcd_samap_row *out,
                const uint8_t spi[SAMAP_SPI_LEN])
{
    const samap_change *change = samap_lookup(map, spi);
    if (change == NULL) {
        return samap_db_find(&map->db, out, spi);
    }
    memset(out, 0, sizeof(*out));
    if (change->is_put) {
        *out = change->row;
    }
    return change->is_put;
}

void samap_recount(qcd_samap *map)
{
    if (map->db.env == NULL) {
        return; /* what is there is known when it is open again */
    }
    const samap_overlay *active = &samap_active(map)->overlay;
    const samap_overlay *other = &samap_other(map)->overlay;
    size_t num = (size_t)map->db.meta.num_rows;
    size_t num_gone = 0;
    for (size_t i = 0; i < active->num + other->num; i++) {
        const samap_change *change = i < active->num
                                         ? &active->changes[i]
                                         : &other->changes[i - active->num];
        if (i >= active->num &&
            samap_overlay_find(active, change->row.child_spi) != NULL) {
            continue; /* it is counted already */
        }
        num += change->is_put ? 1 : 0;
        num_gone += samap_db_holds(&map->db, change->row.child_spi) ? 1 : 0;
    }
    map->num_max = num - num_gone;
    map->is_counted = true;
}

/* ---- To the disk ------------------------------------------------------- */

enum qcd_store_err samap_cannot_write(qcd_samap *map, qcd_store_report *report,
                                      int why)
{
    return report_system(report, why, "write %s/%s", map->dir.shown,
                         SAMAP_NAME);
}

/* open_again opens the map on disk after an error that LMDB goes on from in no
 * other way. */
static int open_again(qcd_samap *map)
{
    (void)pthread_mutex_lock(&map->state);
    samap_db_close(&map->db);
    int rc = samap_db_open(&map->db, map->path);
    if (rc == 0) {
        samap_recount(map);
    }
    (void)pthread_mutex_unlock(&map->state);
    return rc;
}

int samap_apply(qcd_samap *map, const samap_overlay *changes, uint64_t applied)
{
    int rc = samap_db_apply(&map->db, changes, applied);
    /* LMDB refuses to read after some errors (MDB_PANIC), without telling which
     * at the commit. */
    if (rc != 0) {
        (void)open_again(map);
    }
    return samap_db_errno(rc);
}

/* settle applies a layer that is not the active one, and empties it. */
static int settle(qcd_samap *map, samap_layer *layer)
{
    int why = samap_apply(map, &layer->overlay, layer->seq);
    if (why == 0) {
        (void)pthread_mutex_lock(&map->state);
        samap_overlay_clear(&layer->overlay);
        (void)pthread_mutex_unlock(&map->state);
        samap_log_empty(&layer->log);
    }
    return why;
}

/* swap makes the other layer the active one, where there is anything to
 * flush. */
static bool swap(qcd_samap *map)
{
    (void)pthread_mutex_lock(&map->state);
    bool is_due = samap_active(map)->overlay.num > 0;
    if (is_due) {
        map->active = 1 - map->active;
    }
    (void)pthread_mutex_unlock(&map->state);
    return is_due;
}

int samap_write_out(qcd_samap *map)
{
    int why = map->db.env == NULL ? samap_db_errno(open_again(map)) : 0;
    if (why == 0 && samap_other(map)->overlay.num > 0) {
        why = settle(map, samap_other(map));
    }
    if (why == 0 && swap(map)) {
        why = settle(map, samap_other(map));
    }
    (void)pthread_mutex_lock(&map->state);
    map->stuck = why;
    (void)pthread_mutex_unlock(&map->state);
    return why;
}

enum qcd_store_err qcd_samap_flush(qcd_samap *map, qcd_store_report *report)
{
    memset(report, 0, sizeof(*report));
    (void)pthread_mutex_lock(&map->disk);
    int why = samap_write_out(map);
    (void)pthread_mutex_unlock(&map->disk);
    return why == 0 ? QCD_STORE_OK : samap_cannot_write(map, report, why);
}

/* ---- Changes ----------------------------------------------------------- */

static bool has_room(qcd_samap *map)
{
    const samap_layer *layer = samap_active(map);
    return map->db.env != NULL && !samap_overlay_is_full(&layer->overlay) &&
           !samap_log_is_full(&layer->log);
}

/* lock_with_room takes `state` with room for a change.  It returns 0 or an
 * errno value, without the lock.  Where a flush has failed it doesn't try
 * another one: the caller is a handshake, and flushes come by themselves. */
static int lock_with_room(qcd_samap *map)
{
    (void)pthread_mutex_lock(&map->state);
    while (!has_room(map)) {
        int why = map->stuck;
        (void)pthread_mutex_unlock(&map->state);
        if (why != 0) {
            return why;
        }
        (void)pthread_mutex_lock(&map->disk);
        (void)!samap_write_out(map); /* it may have made room and then failed */
        (void)pthread_mutex_unlock(&map->disk);
        (void)pthread_mutex_lock(&map->state);
    }
    return 0;
}

/* note writes down a change.  With `state`. */
static enum qcd_store_err note(qcd_samap *map, qcd_store_report *report,
                               const samap_change *change)
{
    samap_layer *layer = samap_active(map);
    int why = samap_log_append(&layer->log, map->seq + 1, change);
    if (why != 0) {
        return report_system(report, why, "write %s/%s.log.%zu", map->dir.shown,
                             SAMAP_NAME, map->active);
    }
    map->seq++;
    layer->seq = map->seq;
    (void)!samap_overlay_set(&layer->overlay, change); /* there is room */
    return QCD_STORE_OK;
}

/* holds tells whether there is a row of `spi`.  A handshake waits for this, and
 * has nothing of the map on disk in its caches: that is looked at near the
 * limit alone.  Else a row that no layer has counts as a new one, and `num_max`
 * may be too high.  With `state`. */
static bool holds(qcd_samap *map, const uint8_t spi[SAMAP_SPI_LEN])
{
    const samap_change *last = samap_lookup(map, spi);
    if (last != NULL) {
        return last->is_put;
    }
    if (map->num_max >= map->rows_max - map->rows_max / 16) {
        return samap_db_holds(&map->db, spi);
    }
    map->is_counted = false;
    return false;
}

/* is_full tells whether no row may be added.  With `state`. */
static bool is_full(qcd_samap *map)
{
    if (map->num_max >= map->rows_max && !map->is_counted) {
        samap_recount(map);
    }
    return map->num_max >= map->rows_max;
}

/* make_put is qcd_samap_put with `state`. */
static enum qcd_store_err make_put(qcd_samap *map, qcd_store_report *report,
                                   const qcd_samap_row *row)
{
    bool is_new = !holds(map, row->child_spi);
    if (is_new && is_full(map)) {
        return report_fail(report, QCD_STORE_ERR_EXHAUSTED,
                           "%s/%s has %zu rows, and no more are taken. If "
                           "there are that many SAs, peers of some get no "
                           "answer to ESP after a crash",
                           map->dir.shown, SAMAP_NAME, map->num_max);
    }
    samap_change change = {.is_put = true, .row = *row};
    enum qcd_store_err err = note(map, report, &change);
    if (err == QCD_STORE_OK && is_new) {
        map->num_max++;
    }
    return err;
}

/* make_removal is qcd_samap_remove with `state`. */
static enum qcd_store_err make_removal(qcd_samap *map, qcd_store_report *report,
                                       bool *removed, const qcd_samap_row *row)
{
    qcd_samap_row now;
    if (!samap_find(map, &now, row->child_spi) ||
        memcmp(&now.spis, &row->spis, sizeof(now.spis)) != 0) {
        return QCD_STORE_OK;
    }
    samap_change change = {.is_put = false};
    memcpy(change.row.child_spi, row->child_spi, SAMAP_SPI_LEN);
    enum qcd_store_err err = note(map, report, &change);
    if (err == QCD_STORE_OK) {
        map->num_max--;
        *removed = true;
    }
    return err;
}

/* begin_change takes `state` for a change. */
static enum qcd_store_err begin_change(qcd_samap *map, qcd_store_report *report)
{
    memset(report, 0, sizeof(*report));
    int why = lock_with_room(map);
    return why == 0 ? QCD_STORE_OK : samap_cannot_write(map, report, why);
}

enum qcd_store_err qcd_samap_put(qcd_samap *map, qcd_store_report *report,
                                 const qcd_samap_row *row)
{
    enum qcd_store_err err = begin_change(map, report);
    if (err == QCD_STORE_OK) {
        err = make_put(map, report, row);
        (void)pthread_mutex_unlock(&map->state);
    }
    return err;
}

enum qcd_store_err qcd_samap_remove(qcd_samap *map, qcd_store_report *report,
                                    bool *out_removed, const qcd_samap_row *row)
{
    *out_removed = false;
    enum qcd_store_err err = begin_change(map, report);
    if (err == QCD_STORE_OK) {
        err = make_removal(map, report, out_removed, row);
        (void)pthread_mutex_unlock(&map->state);
    }
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* samap.c: the SA map (RFC 6290 section 8.2). */
#include <qcd/store.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "report.h"
#include "samap_files.h"
#include "samap_map.h"
#include "sys.h"
#include "user.h"

#define READ_LEN ((size_t)512 * SAMAP_SLOT_LEN)

static size_t place_of(uint32_t slot)
{
    return (size_t)slot * SAMAP_SLOT_LEN;
}

static enum qcd_store_err cannot(const qcd_samap *map, qcd_store_report *report,
                                 int why, const char *what)
{
    return report_system(report, why, "%s %s/%s", what, map->dir.shown,
                         SAMAP_NAME);
}

static enum qcd_store_err cannot_write(const qcd_samap *map,
                                       qcd_store_report *report, int why)
{
    return cannot(map, report, why, "write");
}

/* ---- Slots ------------------------------------------------------------- */

/* read_row reads the row of `spi`, which should be in that slot. */
static bool read_row(const qcd_samap *map, qcd_samap_row *out, uint32_t slot,
                     const qcd_child_spi *spi)
{
    uint8_t octets[SAMAP_SLOT_LEN];
    size_t len;
    if (io_pread(map->fd, octets, &len, sizeof(octets), place_of(slot)) == 0 &&
        len == sizeof(octets) && samap_row_decode(out, octets) &&
        memcmp(&out->child_spi, spi, sizeof(*spi)) == 0) {
        return true;
    }
    memset(out, 0, sizeof(*out));
    return false;
}

/* read_part reads as many slots as fit into the buffer, from the offset `at`
 * on.  If the disk can't read a slot, it counts as damaged, and the others are
 * read. */
static int read_part(const qcd_samap *map, uint8_t *buffer, size_t *out_len,
                     size_t at)
{
    int why = io_pread(map->fd, buffer, out_len, READ_LEN, at);
    if (why != EIO) {
        return why;
    }
    size_t len = SAMAP_SLOT_LEN;
    for (*out_len = 0; *out_len < READ_LEN && len == SAMAP_SLOT_LEN;
         *out_len += len) {
        uint8_t *slot = buffer + *out_len;
        if (io_pread(map->fd, slot, &len, SAMAP_SLOT_LEN, at + *out_len) != 0) {
            memset(slot, 0xff, SAMAP_SLOT_LEN);
            len = SAMAP_SLOT_LEN;
        }
    }
    return 0;
}

/* write_slot writes a row to a slot, or empties the slot if `row` is NULL.  On
 * error the slot is as it was, as far as the disk allows. */
static int write_slot(qcd_samap *map, uint32_t slot, const qcd_samap_row *row)
{
    uint8_t octets[SAMAP_SLOT_LEN] = {0};
    uint8_t before[SAMAP_SLOT_LEN];
    size_t len;
    int why = io_pread(map->fd, before, &len, sizeof(before), place_of(slot));
    if (why != 0) {
        return why;
    }
    if (row != NULL) {
        samap_row_encode(octets, row);
    }
    map->is_dirty = true;
    why = io_pwrite(map->fd, octets, sizeof(octets), place_of(slot));
    if (why != 0) {
        (void)!io_pwrite(map->fd, before, len, place_of(slot));
    }
    if (why != 0 && len < SAMAP_SLOT_LEN) {
        (void)sys_ftruncate(map->fd, place_of(slot) + len);
    }
    return why;
}

/* ---- What is in the file ----------------------------------------------- */

/* census is what a scan of all slots finds. */
typedef struct census {
    uint16_t version; /* in the head, or 0 */
    bool is_lmdb;     /* a map from before version 2 */
    bool has_twins;   /* an SPI is in two slots */
    size_t num_bad;   /* slots with something that is not a row */
    size_t len;       /* octets */
} census;

/* An LMDB file has this after the head of its first page. */
#define LMDB_MAGIC_AT 16
static const uint8_t lmdb_magic[] = {0xde, 0xc0, 0xef, 0xbe};

static bool is_zero(const uint8_t *octets, size_t len)
{
    return len == 0 ||
           (octets[0] == 0 && memcmp(octets, octets + 1, len - 1) == 0);
}

/* see_head looks at the first slot, of which `len` octets are there. */
static void see_head(census *seen, const uint8_t *octets, size_t len)
{
    if (len == SAMAP_SLOT_LEN) {
        seen->version = samap_head_decode(octets);
    }
    seen->num_bad += seen->version == 0 ? 1 : 0;
    seen->is_lmdb =
        len >= LMDB_MAGIC_AT + sizeof(lmdb_magic) &&
        memcmp(octets + LMDB_MAGIC_AT, lmdb_magic, sizeof(lmdb_magic)) == 0;
}

/* see_slot adds the next slot to the index.  After a power cut an SPI may be in
 * its old slot and in its new one: either will do. */
static bool see_slot(qcd_samap *map, census *seen, const uint8_t *octets,
                     size_t len)
{
    samap_index *index = &map->index;
    qcd_samap_row row;
    if (!samap_index_reserve(index)) {
        return false;
    }
    uint32_t slot = ++index->end;
    bool is_row = len == SAMAP_SLOT_LEN && samap_row_decode(&row, octets) &&
                  index->num < QCD_SAMAP_ROWS_MAX;
    if (is_row && samap_index_find(index, &row.child_spi) == 0) {
        samap_index_add(index, &row.child_spi, slot);
        return true;
    }
    samap_index_give(index, slot);
    if (is_row) {
        seen->has_twins = true;
    } else if (!is_zero(octets, len)) {
        seen->num_bad++;
    }
    return true;
}

#define SLOTS_MAX (2 * QCD_SAMAP_ROWS_MAX)

/* see_all looks at all slots.  If a file has more slots than we ever write, the
 * rest is not read. */
static int see_all(qcd_samap *map, census *seen, uint8_t *buffer)
{
    size_t len = READ_LEN;
    memset(seen, 0, sizeof(*seen));
    for (size_t at = 0; len == READ_LEN && map->index.end < SLOTS_MAX;
         at += len) {
        int why = read_part(map, buffer, &len, at);
        if (why != 0) {
            return why;
        }
        seen->len += len;
        for (size_t i = 0; i < len; i += SAMAP_SLOT_LEN) {
            size_t left = len - i < SAMAP_SLOT_LEN ? len - i : SAMAP_SLOT_LEN;
            if (at + i == 0) {
                see_head(seen, buffer, left);
            } else if (!see_slot(map, seen, buffer + i, left)) {
                return ENOMEM;
            }
        }
    }
    return 0;
}

static enum qcd_store_err look(qcd_samap *map, qcd_store_report *report,
                               census *seen)
{
    uint8_t *buffer = sys_alloc(READ_LEN);
    int why = buffer == NULL ? ENOMEM : see_all(map, seen, buffer);
    free(buffer);
    return why == 0 ? QCD_STORE_OK : cannot(map, report, why, "read");
}

/* ---- Opening ----------------------------------------------------------- */

/* write_head writes the head to the first slot, if that is damaged. */
static int write_head(qcd_samap *map)
{
    uint8_t octets[SAMAP_SLOT_LEN];
    samap_head_encode(octets, SAMAP_VERSION);
    map->is_dirty = true;
    return io_pwrite(map->fd, octets, sizeof(octets), 0);
}

/* replace sets a useless map aside, reports why, and starts a new one. */
static enum qcd_store_err replace(qcd_samap *map, qcd_store_report *report,
                                  const char *why)
{
    (void)io_close(map->fd);
    map->fd = -1;
    samap_index_free(&map->index);
    enum qcd_store_err err = samap_files_set_aside(report, &map->dir);
    if (err == QCD_STORE_OK) {
        err = samap_files_open(&map->fd, report, &map->dir);
    }
    if (err == QCD_STORE_OK) {
        report_note(report,
                    "%s/%s %s: it is now %s, and a new map was started. Peers "
                    "get no reply to ESP of earlier SAs",
                    map->dir.shown, SAMAP_NAME, why, SAMAP_DAMAGED_NAME);
    }
    return err;
}

/* begin_again makes a map of a file that has lost its content. */
static enum qcd_store_err begin_again(qcd_samap *map, qcd_store_report *report)
{
    int why = write_head(map);
    if (why != 0) {
        return cannot_write(map, report, why);
    }
    report_note(
        report,
        "%s/%s has lost all its octets: a new map was started, and peers "
        "get no reply to ESP of earlier SAs",
        map->dir.shown, SAMAP_NAME);
    return QCD_STORE_OK;
}

/* clear empties the slots that have something else than a row, as far as the
 * disk allows. */
static void clear(qcd_samap *map, uint8_t *buffer)
{
    qcd_samap_row row;
    size_t len = 0;
    for (uint32_t slot = 1; slot <= map->index.end;
         slot += READ_LEN / SAMAP_SLOT_LEN) {
        if (read_part(map, buffer, &len, place_of(slot)) != 0) {
            return;
        }
        for (uint32_t i = 0; (size_t)i * SAMAP_SLOT_LEN < len; i++) {
            const uint8_t *octets = buffer + (size_t)i * SAMAP_SLOT_LEN;
            size_t left = len - (size_t)i * SAMAP_SLOT_LEN;
            bool is_whole = left >= SAMAP_SLOT_LEN;
            bool is_row =
                is_whole && samap_row_decode(&row, octets) &&
                samap_index_find(&map->index, &row.child_spi) == slot + i;
            if (!is_row && !is_zero(octets, is_whole ? SAMAP_SLOT_LEN : left)) {
                (void)!write_slot(map, slot + i, NULL);
            }
        }
    }
}

/* repair fixes what it can: the head, and slots that are not empty and have no
 * row. */
static enum qcd_store_err repair(qcd_samap *map, qcd_store_report *report,
                                 const census *seen)
{
    uint8_t *buffer = sys_alloc(READ_LEN);
    if (buffer != NULL) {
        clear(map, buffer);
    }
    free(buffer);
    if (seen->version == 0) {
        (void)!write_head(map);
    }
    if (seen->num_bad > 0) {
        report_note(
            report,
            "%s/%s is damaged in %zu places, and %zu rows are left. Peers get "
            "no reply to ESP of the other SAs. Check the disk",
            map->dir.shown, SAMAP_NAME, seen->num_bad, map->index.num);
    }
    return QCD_STORE_OK;
}

/* settle makes a map of what the scan found. */
static enum qcd_store_err settle(qcd_samap *map, qcd_store_report *report,
                                 const census *seen)
{
    if (seen->len == 0) {
        return begin_again(map, report);
    }
    if (seen->version > SAMAP_VERSION) {
        return replace(map, report,
                       "was written by a newer version of this program");
    }
    if (seen->is_lmdb ||
        (seen->version != 0 && seen->version != SAMAP_VERSION)) {
        return replace(map, report,
                       "was written by an earlier version of this program");
    }
    if (seen->num_bad == 0 && !seen->has_twins) {
        return QCD_STORE_OK;
    }
    return map->index.num > 0 ? repair(map, report, seen)
                              : replace(map, report, "is damaged");
}

static enum qcd_store_err open_map(qcd_samap *map, qcd_store_report *report)
{
    census seen = {.len = 0};
    enum qcd_store_err err = samap_files_open(&map->fd, report, &map->dir);
    if (err == QCD_STORE_OK) {
        err = look(map, report, &seen);
    }
    return err == QCD_STORE_OK ? settle(map, report, &seen) : err;
}

/* open_folder opens the folder, and opens the file in it as its user. */
static enum qcd_store_err open_folder(qcd_samap *map, qcd_store_report *report,
                                      const char *path)
{
    enum qcd_store_err err = folder_open(&map->dir, report, path, NULL);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int why = user_enter(&map->dir.user);
    if (why != 0) {
        return report_system(report, why, "use %s as user %u", map->dir.shown,
                             (unsigned int)map->dir.user.uid);
    }
    err = open_map(map, report);
    user_leave(&map->dir.user);
    return err;
}

static void free_map(qcd_samap *map)
{
    if (map->fd >= 0) {
        (void)io_close(map->fd);
    }
    samap_index_free(&map->index);
    folder_close(&map->dir);
    (void)pthread_mutex_destroy(&map->lock);
    (void)pthread_mutex_destroy(&map->flush);
    free(map);
}

enum qcd_store_err qcd_samap_open(qcd_samap **out, qcd_store_report *report,
                                  const char *path)
{
    *out = NULL;
    memset(report, 0, sizeof(*report));
    qcd_samap *map = sys_alloc(sizeof(*map));
    if (map == NULL) {
        return report_system(report, ENOMEM, "open the SA map");
    }
    (void)pthread_mutex_init(&map->lock, NULL);
    (void)pthread_mutex_init(&map->flush, NULL);
    map->dir = FOLDER_CLOSED;
    map->fd = -1;
    map->rows_max = QCD_SAMAP_ROWS_MAX;
    enum qcd_store_err err = open_folder(map, report, path);
    if (err != QCD_STORE_OK) {
        free_map(map);
        return err;
    }
    *out = map;
    return QCD_STORE_OK;
}

void qcd_samap_close(qcd_samap *map)
{
    if (map == NULL) {
        return;
    }
    qcd_store_report report;
    (void)!qcd_samap_flush(map, &report);
    free_map(map);
}

/* ---- Changes ----------------------------------------------------------- */

#define SLOTS_TRIED 8

/* put_new puts a row into a new slot.  If the disk can't write a slot, that
 * slot is never used again, and another one is tried.  If there is no room, no
 * other slot has room either. */
static int put_new(qcd_samap *map, const qcd_samap_row *row)
{
    int why = 0;
    for (int i = 0; i < SLOTS_TRIED; i++) {
        if (!samap_index_reserve(&map->index)) {
            return ENOMEM;
        }
        uint32_t slot = samap_index_take(&map->index);
        why = write_slot(map, slot, row);
        if (why == 0) {
            samap_index_add(&map->index, &row->child_spi, slot);
            return 0;
        }
        if (why != EIO || map->index.end >= SLOTS_MAX) {
            samap_index_give(&map->index, slot);
            return why;
        }
    }
    return why;
}

/* put_again puts a row into the slot of its SPI.  If the disk can't write that
 * slot, the row goes into another slot, and the first is emptied if
 * possible. */
static int put_again(qcd_samap *map, uint32_t slot, const qcd_samap_row *row)
{
    static const uint8_t empty[SAMAP_SLOT_LEN];
    int why = write_slot(map, slot, row);
    if (why != EIO) {
        return why;
    }
    samap_index_remove(&map->index, &row->child_spi);
    why = put_new(map, row);
    if (why != 0) {
        samap_index_add(&map->index, &row->child_spi, slot);
    } else if (io_pwrite(map->fd, empty, sizeof(empty), place_of(slot)) == 0) {
        samap_index_give(&map->index, slot);
    }
    return why;
}

/* put is qcd_samap_put with the lock held. */
static enum qcd_store_err put(qcd_samap *map, qcd_store_report *report,
                              const qcd_samap_row *row)
{
    uint32_t slot = samap_index_find(&map->index, &row->child_spi);
    if (slot == 0 && map->index.num >= map->rows_max) {
        return report_fail(
            report, QCD_STORE_ERR_EXHAUSTED,
            "%s/%s has %zu rows and can take no more. If there are that many "
            "SAs, peers of some get no reply to ESP after a crash",
            map->dir.shown, SAMAP_NAME, map->index.num);
    }
    int why = slot == 0 ? put_new(map, row) : put_again(map, slot, row);
    return why == 0 ? QCD_STORE_OK : cannot_write(map, report, why);
}

enum qcd_store_err qcd_samap_put(qcd_samap *map, qcd_store_report *report,
                                 const qcd_samap_row *row)
{
    memset(report, 0, sizeof(*report));
    (void)pthread_mutex_lock(&map->lock);
    enum qcd_store_err err = put(map, report, row);
    (void)pthread_mutex_unlock(&map->lock);
    return err;
}

/* take_out removes the row in a slot. */
static int take_out(qcd_samap *map, uint32_t slot, const qcd_child_spi *spi)
{
    int why = write_slot(map, slot, NULL);
    if (why == 0) {
        samap_index_remove(&map->index, spi);
        samap_index_give(&map->index, slot);
    }
    return why;
}

enum qcd_store_err qcd_samap_remove(qcd_samap *map, qcd_store_report *report,
                                    bool *out_removed, const qcd_samap_row *row)
{
    qcd_samap_row now;
    int why = 0;
    memset(report, 0, sizeof(*report));
    *out_removed = false;
    (void)pthread_mutex_lock(&map->lock);
    uint32_t slot = samap_index_find(&map->index, &row->child_spi);
    /* A row that can't be read any more has no owner. */
    if (slot != 0 &&
        (!read_row(map, &now, slot, &row->child_spi) ||
         memcmp(&now.sa.spis, &row->sa.spis, sizeof(now.sa.spis)) == 0)) {
        why = take_out(map, slot, &row->child_spi);
        *out_removed = why == 0;
    }
    (void)pthread_mutex_unlock(&map->lock);
    return why == 0 ? QCD_STORE_OK : cannot_write(map, report, why);
}

enum qcd_store_err qcd_samap_flush(qcd_samap *map, qcd_store_report *report)
{
    memset(report, 0, sizeof(*report));
    (void)pthread_mutex_lock(&map->flush);
    (void)pthread_mutex_lock(&map->lock);
    bool is_dirty = map->is_dirty;
    map->is_dirty = false;
    (void)pthread_mutex_unlock(&map->lock);
    int why = is_dirty ? io_sync_data(map->fd) : 0;
    if (why != 0) {
        (void)pthread_mutex_lock(&map->lock);
        map->is_dirty = true;
        (void)pthread_mutex_unlock(&map->lock);
    }
    (void)pthread_mutex_unlock(&map->flush);
    return why == 0 ? QCD_STORE_OK : cannot_write(map, report, why);
}

/* ---- Finding ----------------------------------------------------------- */

bool qcd_samap_find(qcd_samap *map, qcd_samap_row *out,
                    const qcd_child_spi *child_spi)
{
    memset(out, 0, sizeof(*out));
    (void)pthread_mutex_lock(&map->lock);
    uint32_t slot = samap_index_find(&map->index, child_spi);
    bool is_found = slot != 0 && read_row(map, out, slot, child_spi);
    (void)pthread_mutex_unlock(&map->lock);
    return is_found;
}

size_t qcd_samap_count(qcd_samap *map)
{
    (void)pthread_mutex_lock(&map->lock);
    size_t num = map->index.num;
    (void)pthread_mutex_unlock(&map->lock);
    return num;
}

/* visit_slot visits the row in a slot and does what the visitor returns.  The
 * visitor may change only `expires`. */
static int visit_slot(qcd_samap *map, uint32_t slot,
                      const uint8_t octets[SAMAP_SLOT_LEN],
                      qcd_samap_visit *visit, void *user)
{
    qcd_samap_row row;
    if (!samap_row_decode(&row, octets) ||
        samap_index_find(&map->index, &row.child_spi) != slot) {
        return 0;
    }
    qcd_samap_row changed = row;
    enum qcd_samap_fate fate = visit(user, &changed);
    if (fate == QCD_SAMAP_DROP) {
        return take_out(map, slot, &row.child_spi);
    }
    row.expires = changed.expires;
    return fate == QCD_SAMAP_UPDATE ? write_slot(map, slot, &row) : 0;
}

/* walk_part visits as many slots as fit into the buffer, from `*slot` on, with
 * the lock held. */
static int walk_part(qcd_samap *map, uint32_t *slot, uint8_t *buffer,
                     qcd_samap_visit *visit, void *user)
{
    size_t len;
    int why = read_part(map, buffer, &len, place_of(*slot));
    if (why == 0 && len < SAMAP_SLOT_LEN) {
        *slot = map->index.end + 1; /* somebody has truncated the file */
    }
    for (size_t i = 0; why == 0 && i + SAMAP_SLOT_LEN <= len;
         i += SAMAP_SLOT_LEN) {
        why = visit_slot(map, (*slot)++, buffer + i, visit, user);
    }
    return why;
}

static int walk_all(qcd_samap *map, uint8_t *buffer, qcd_samap_visit *visit,
                    void *user)
{
    uint32_t slot = 1;
    bool is_over = false;
    int why = 0;
    while (why == 0 && !is_over) {
        (void)pthread_mutex_lock(&map->lock);
        is_over = slot > map->index.end;
        if (!is_over) {
            why = walk_part(map, &slot, buffer, visit, user);
        }
        (void)pthread_mutex_unlock(&map->lock);
        (void)sched_yield(); /* others wait for the lock */
    }
    return why;
}

enum qcd_store_err qcd_samap_walk(qcd_samap *map, qcd_store_report *report,
                                  qcd_samap_visit *visit, void *user)
{
    memset(report, 0, sizeof(*report));
    uint8_t *buffer = sys_alloc(READ_LEN);
    int why = buffer == NULL ? ENOMEM : walk_all(map, buffer, visit, user);
    free(buffer);
    return why == 0 ? QCD_STORE_OK : cannot_write(map, report, why);
}

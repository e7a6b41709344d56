/* SPDX-License-Identifier: Apache-2.0 */
/* samap.c: the SA map (RFC 6290 section 8.2): its slots, and what is done with
 * an open map. */
#include "samap.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "report.h"

#define READ_SLOTS 512
#define READ_LEN ((size_t)READ_SLOTS * SAMAP_SLOT_LEN)

static size_t place_of(uint32_t slot)
{
    return (size_t)slot * SAMAP_SLOT_LEN;
}

static enum qcd_store_err written(const qcd_samap *map,
                                  qcd_store_report *report, int why)
{
    return why == 0 ? QCD_STORE_OK
                    : file_cannot(report, why, "write", &map->dir, &samap_kind);
}

/* ---- Slots ------------------------------------------------------------- */

/* read_row reads the row of `spi`, which should be in that slot. */
static bool read_row(const qcd_samap *map, qcd_samap_row *out, uint32_t slot,
                     const qcd_child_spi *spi)
{
    uint8_t octets[SAMAP_SLOT_LEN];
    size_t len;
    if (io_read(map->fd, octets, &len, sizeof(octets), place_of(slot)) == 0 &&
        len == sizeof(octets) && qcd_samap_decode(out, octets) &&
        memcmp(&out->child_spi, spi, sizeof(*spi)) == 0) {
        return true;
    }
    memset(out, 0, sizeof(*out));
    return false;
}

int samap_write(qcd_samap *map, uint32_t slot, const qcd_samap_row *row)
{
    uint8_t octets[SAMAP_SLOT_LEN] = {0};
    uint8_t before[SAMAP_SLOT_LEN];
    size_t len;
    int why = io_read(map->fd, before, &len, sizeof(before), place_of(slot));
    if (why != 0) {
        return why;
    }
    if (row != NULL) {
        qcd_samap_encode(octets, row);
    }
    map->is_dirty = true;
    why = io_write(map->fd, octets, sizeof(octets), place_of(slot));
    if (why != 0) {
        (void)!io_write(map->fd, before, len, place_of(slot));
    }
    if (why != 0 && len < SAMAP_SLOT_LEN) {
        (void)ftruncate(map->fd, (off_t)(place_of(slot) + len));
    }
    return why;
}

/* part is a run of slots as they are in the file. */
typedef struct part {
    uint32_t first;
    size_t len;
    uint8_t octets[READ_LEN];
} part;

/* read_part reads slots until the buffer is full or the file ends.  If the disk
 * can't read a slot, it counts as damaged, and the others are read. */
static int read_part(const qcd_samap *map, part *p)
{
    size_t at = place_of(p->first);
    int why = io_read(map->fd, p->octets, &p->len, READ_LEN, at);
    if (why != EIO) {
        return why;
    }
    size_t len = SAMAP_SLOT_LEN;
    for (p->len = 0; p->len < READ_LEN && len == SAMAP_SLOT_LEN;
         p->len += len) {
        uint8_t *slot = p->octets + p->len;
        if (io_read(map->fd, slot, &len, SAMAP_SLOT_LEN, at + p->len) != 0) {
            memset(slot, 0xff, SAMAP_SLOT_LEN);
            len = SAMAP_SLOT_LEN;
        }
    }
    return 0;
}

static int see_part(qcd_samap *map, const part *p, samap_see *see, void *user)
{
    int why = 0;
    for (size_t at = 0; why == 0 && at < p->len; at += SAMAP_SLOT_LEN) {
        size_t left = p->len - at;
        uint32_t slot = p->first + (uint32_t)(at / SAMAP_SLOT_LEN);
        why = see(map, slot, p->octets + at,
                  left < SAMAP_SLOT_LEN ? left : SAMAP_SLOT_LEN, user);
    }
    return why;
}

int samap_scan(qcd_samap *map, samap_see *see, void *user)
{
    part *p = calloc(1, sizeof(*p));
    int why = p == NULL ? ENOMEM : 0;
    bool is_over = false;
    while (why == 0 && !is_over) {
        (void)pthread_mutex_lock(&map->lock);
        why = read_part(map, p);
        if (why == 0) {
            why = see_part(map, p, see, user);
        }
        (void)pthread_mutex_unlock(&map->lock);
        (void)sched_yield(); /* others wait for the lock */
        p->first += READ_SLOTS;
        is_over = p->len < READ_LEN || p->first > SAMAP_SLOTS_MAX;
    }
    free(p);
    return why;
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
        why = samap_write(map, slot, row);
        if (why == 0) {
            samap_index_add(&map->index, &row->child_spi, slot);
            return 0;
        }
        if (why != EIO || map->index.end >= SAMAP_SLOTS_MAX) {
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
    int why = samap_write(map, slot, row);
    if (why != EIO) {
        return why;
    }
    samap_index_remove(&map->index, &row->child_spi);
    why = put_new(map, row);
    if (why != 0) {
        samap_index_add(&map->index, &row->child_spi, slot);
    } else if (io_write(map->fd, empty, sizeof(empty), place_of(slot)) == 0) {
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
        return report_say(
            report, QCD_STORE_ERR_EXHAUSTED,
            "%s/%s has %zu rows and can take no more. If there are that many "
            "SAs, peers of some get no reply to ESP after a crash",
            map->dir.shown, samap_kind.name, map->index.num);
    }
    int why = slot == 0 ? put_new(map, row) : put_again(map, slot, row);
    return written(map, report, why);
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
    int why = samap_write(map, slot, NULL);
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
    return written(map, report, why);
}

/* sync_slots makes the changes durable that were made before. */
static int sync_slots(qcd_samap *map)
{
    (void)pthread_mutex_lock(&map->lock);
    bool is_dirty = map->is_dirty;
    map->is_dirty = false;
    (void)pthread_mutex_unlock(&map->lock);
    int why = 0;
    if (is_dirty && TEMP_FAILURE_RETRY(fdatasync(map->fd)) != 0) {
        why = errno;
        (void)pthread_mutex_lock(&map->lock);
        map->is_dirty = true;
        (void)pthread_mutex_unlock(&map->lock);
    }
    return why;
}

enum qcd_store_err qcd_samap_flush(qcd_samap *map, qcd_store_report *report)
{
    memset(report, 0, sizeof(*report));
    (void)pthread_mutex_lock(&map->flush);
    enum qcd_store_err err = samap_keep(map, report);
    if (err == QCD_STORE_OK) {
        err = written(map, report, sync_slots(map));
    }
    (void)pthread_mutex_unlock(&map->flush);
    return err;
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

/* walk is what a walk does with each row. */
typedef struct walk {
    qcd_samap_visit *visit;
    void *user;
} walk;

/* visit_slot visits the row in a slot and does what the visitor returns.  The
 * visitor may change only `expires`. */
static int visit_slot(qcd_samap *map, uint32_t slot, const uint8_t *octets,
                      size_t len, void *user)
{
    const walk *w = user;
    qcd_samap_row row;
    if (slot == 0 || len < SAMAP_SLOT_LEN || !qcd_samap_decode(&row, octets) ||
        samap_index_find(&map->index, &row.child_spi) != slot) {
        return 0;
    }
    qcd_samap_row changed = row;
    enum qcd_samap_fate fate = w->visit(w->user, &changed);
    if (fate == QCD_SAMAP_DROP) {
        return take_out(map, slot, &row.child_spi);
    }
    row.expires = changed.expires;
    return fate == QCD_SAMAP_UPDATE ? samap_write(map, slot, &row) : 0;
}

enum qcd_store_err qcd_samap_walk(qcd_samap *map, qcd_store_report *report,
                                  qcd_samap_visit *visit, void *user)
{
    walk w = {.visit = visit, .user = user};
    memset(report, 0, sizeof(*report));
    return written(map, report, samap_scan(map, visit_slot, &w));
}

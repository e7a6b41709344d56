/* SPDX-License-Identifier: Apache-2.0 */
/* samap_walk.c: finding rows of the SA map. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "samap_map.h"
#include "sys.h"

/* ---- One row ----------------------------------------------------------- */

bool qcd_samap_find(qcd_samap *map, qcd_samap_row *out,
                    const uint8_t child_spi[4])
{
    (void)pthread_mutex_lock(&map->state);
    bool is_found = samap_find(map, out, child_spi);
    (void)pthread_mutex_unlock(&map->state);
    return is_found;
}

size_t qcd_samap_count(qcd_samap *map)
{
    (void)pthread_mutex_lock(&map->state);
    samap_recount(map);
    size_t count = map->num_max;
    (void)pthread_mutex_unlock(&map->state);
    return count;
}

/* ---- All rows ---------------------------------------------------------- */

#define BATCH 256

/* walk is one over all rows on disk.  What becomes of them is collected, since
 * neither one txn for a million of them nor one for each is cheap. */
typedef struct walk {
    qcd_samap *map;
    qcd_samap_visit *visit;
    void *user;
    uint8_t from[SAMAP_SPI_LEN];
    bool is_over;
    size_t num;
    qcd_samap_row rows[BATCH];
    samap_overlay changes;
} walk;

/* move_on makes `from` the SPI behind `spi`. */
static void move_on(walk *w, const uint8_t spi[SAMAP_SPI_LEN])
{
    memcpy(w->from, spi, SAMAP_SPI_LEN);
    size_t i = SAMAP_SPI_LEN;
    while (i > 0 && ++w->from[i - 1] == 0) {
        i--;
    }
    w->is_over = i == 0;
}

/* read_batch reads the next rows, without those that were changed since the
 * walk began: they are no more what they were. */
static void read_batch(walk *w)
{
    qcd_samap *map = w->map;
    (void)pthread_mutex_lock(&map->state);
    size_t num = samap_db_rows(&map->db, w->rows, BATCH, w->from);
    w->is_over = num < BATCH;
    if (!w->is_over) {
        move_on(w, w->rows[num - 1].child_spi);
    }
    w->num = 0;
    for (size_t i = 0; i < num; i++) {
        if (samap_lookup(map, w->rows[i].child_spi) == NULL) {
            w->rows[w->num++] = w->rows[i];
        }
    }
    (void)pthread_mutex_unlock(&map->state);
}

/* visit_one calls back, and collects what becomes of the row: of it only
 * `expires` is the visitor's. */
static void visit_one(walk *w, const qcd_samap_row *row)
{
    samap_change change = {.row = *row};
    switch (w->visit(w->user, &change.row)) {
    case QCD_SAMAP_KEEP:
        return;
    case QCD_SAMAP_UPDATE:
        change.is_put = true;
        break;
    case QCD_SAMAP_DROP:
        break;
    }
    uint64_t expires = change.row.expires;
    change.row = *row;
    change.row.expires = expires;
    (void)!samap_overlay_set(&w->changes, &change); /* walk_on leaves room */
}

/* write_changes makes durable what was collected.  What was put meanwhile, in a
 * layer, is above it and stays. */
static int write_changes(walk *w)
{
    qcd_samap *map = w->map;
    if (w->changes.num == 0) {
        return 0;
    }
    int why = samap_apply(map, &w->changes, map->db.meta.applied);
    samap_overlay_clear(&w->changes);
    (void)pthread_mutex_lock(&map->state);
    samap_recount(map);
    (void)pthread_mutex_unlock(&map->state);
    return why;
}

static int walk_on(walk *w)
{
    int why = samap_write_out(w->map);
    while (why == 0 && !w->is_over) {
        read_batch(w);
        for (size_t i = 0; i < w->num; i++) {
            visit_one(w, &w->rows[i]);
        }
        if (w->is_over || w->changes.num > SAMAP_OVERLAY_MAX - BATCH) {
            why = write_changes(w);
        }
    }
    return why;
}

enum qcd_store_err qcd_samap_walk(qcd_samap *map, qcd_store_report *report,
                                  qcd_samap_visit *visit, void *user)
{
    memset(report, 0, sizeof(*report));
    walk *w = sys_alloc(sizeof(*w));
    if (w == NULL) {
        return samap_cannot_write(map, report, ENOMEM);
    }
    w->map = map;
    w->visit = visit;
    w->user = user;
    (void)pthread_mutex_lock(&map->disk);
    int why = walk_on(w);
    (void)pthread_mutex_unlock(&map->disk);
    free(w);
    return why == 0 ? QCD_STORE_OK : samap_cannot_write(map, report, why);
}

/* ---- Rows of a peer ---------------------------------------------------- */

/* peer_walk is one over the rows of a peer. */
typedef struct peer_walk {
    const uint8_t *peer_id;
    size_t num_left;
    qcd_samap_visit *visit;
    void *user;
} peer_walk;

static void visit_peer(peer_walk *w, const qcd_samap_row *row)
{
    qcd_samap_row copy = *row;
    (void)w->visit(w->user, &copy);
    w->num_left--;
}

/* visit_layer visits those of the peer in a layer; `above` is the layer that
 * counts more, or NULL. */
static void visit_layer(peer_walk *w, const samap_overlay *layer,
                        const samap_overlay *above)
{
    for (size_t i = 0; i < layer->num && w->num_left > 0; i++) {
        const samap_change *change = &layer->changes[i];
        if (change->is_put &&
            memcmp(change->row.peer_id, w->peer_id, QCD_SAMAP_PEER_LEN) == 0 &&
            (above == NULL ||
             samap_overlay_find(above, change->row.child_spi) == NULL)) {
            visit_peer(w, &change->row);
        }
    }
}

/* move_behind makes `key` the next possible one.  It returns false behind the
 * last. */
static bool move_behind(uint8_t key[SAMAP_SA_KEY_LEN])
{
    size_t i = SAMAP_SA_KEY_LEN;
    while (i > 0 && ++key[i - 1] == 0) {
        i--;
    }
    return i > 0;
}

/* visit_disk visits those on disk that no layer has changed. */
static void visit_disk(qcd_samap *map, peer_walk *w)
{
    uint8_t key[SAMAP_SA_KEY_LEN] = {0};
    memcpy(key, w->peer_id, QCD_SAMAP_PEER_LEN);
    do {
        qcd_samap_row row;
        if (w->num_left == 0 || !samap_db_seek(&map->db, key) ||
            memcmp(key, w->peer_id, QCD_SAMAP_PEER_LEN) != 0) {
            return;
        }
        const uint8_t *spi = key + SAMAP_SA_LEN;
        if (samap_lookup(map, spi) == NULL &&
            samap_db_find(&map->db, &row, spi)) {
            visit_peer(w, &row);
        }
    } while (move_behind(key));
}

void qcd_samap_walk_peer(qcd_samap *map,
                         const uint8_t peer_id[QCD_SAMAP_PEER_LEN], size_t max,
                         qcd_samap_visit *visit, void *user)
{
    peer_walk w = {peer_id, max, visit, user};
    (void)pthread_mutex_lock(&map->state);
    const samap_overlay *active = &samap_active(map)->overlay;
    visit_layer(&w, active, NULL);
    visit_layer(&w, &samap_other(map)->overlay, active);
    visit_disk(map, &w);
    (void)pthread_mutex_unlock(&map->state);
}

/* ---- IKE SAs ----------------------------------------------------------- */

/* seek_sa finds the first key from `key` on whose row is still of that IKE SA.
 * With `state`. */
static bool seek_sa(qcd_samap *map, qcd_samap_row *out,
                    uint8_t key[SAMAP_SA_KEY_LEN])
{
    do {
        uint8_t now[SAMAP_SA_KEY_LEN];
        if (!samap_db_seek(&map->db, key)) {
            return false;
        }
        if (samap_find(map, out, key + SAMAP_SA_LEN)) {
            samap_row_sa(now, out);
            if (memcmp(now, key, SAMAP_SA_KEY_LEN) == 0) {
                return true;
            }
        }
    } while (move_behind(key));
    return false;
}

bool qcd_samap_next_sa(qcd_samap *map, qcd_samap_row *out,
                       qcd_samap_place *place)
{
    /* The last octet of a place tells the first of all from one that was all
     * zero.  Behind an IKE SA is behind its last possible child. */
    uint8_t key[SAMAP_SA_KEY_LEN] = {0};
    memset(out, 0, sizeof(*out));
    if (place->opaque[SAMAP_SA_LEN] != 0) {
        memcpy(key, place->opaque, SAMAP_SA_LEN);
        memset(key + SAMAP_SA_LEN, 0xff, SAMAP_SPI_LEN);
        if (!move_behind(key)) {
            return false;
        }
    }
    (void)pthread_mutex_lock(&map->state);
    bool is_found = seek_sa(map, out, key);
    (void)pthread_mutex_unlock(&map->state);
    if (is_found) {
        memcpy(place->opaque, key, SAMAP_SA_LEN);
        place->opaque[SAMAP_SA_LEN] = 1;
    } else {
        memset(out, 0, sizeof(*out));
    }
    return is_found;
}

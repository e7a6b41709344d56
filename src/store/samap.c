/* SPDX-License-Identifier: Apache-2.0 */
/* samap.c: the SA map (RFC 6290 section 8.2), opened and closed. */
#include "samap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "report.h"
#include "samap_check.h"
#include "samap_files.h"
#include "samap_map.h"
#include "sys.h"
#include "user.h"

static const char *const log_names[2] = {SAMAP_FIRST_LOG_NAME,
                                         SAMAP_NAME ".log.1"};

/* ---- The map on disk --------------------------------------------------- */

/* replace puts a map that is of no use aside, and tells why. */
static enum qcd_store_err replace(qcd_samap *map, qcd_store_report *report,
                                  enum samap_verdict verdict)
{
    enum qcd_store_err err = samap_files_set_aside(report, &map->dir);
    if (err == QCD_STORE_OK) {
        report_note(report,
                    "%s/%s %s: it is now %s, and a new one was begun. Peers "
                    "get no answer to ESP of SAs from before",
                    map->dir.shown, SAMAP_NAME,
                    verdict == SAMAP_NEWER
                        ? "was written by a newer version of this program"
                        : "is damaged",
                    SAMAP_DAMAGED_NAME);
    }
    return err;
}

static enum qcd_store_err check_db(qcd_samap *map, qcd_store_report *report)
{
    enum samap_verdict verdict;
    bool was_cut;
    enum qcd_store_err err = samap_files_ready(&was_cut, report, &map->dir);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int why = samap_check(&verdict, map->path);
    if (why != 0) {
        return report_system(report, why, "check %s/%s", map->dir.shown,
                             SAMAP_NAME);
    }
    if (verdict != SAMAP_GOOD) {
        return replace(map, report, verdict);
    }
    if (was_cut) {
        report_note(report,
                    "%s/%s has lost all its octets: a new map was begun, and "
                    "peers get no answer to ESP of earlier SAs",
                    map->dir.shown, SAMAP_NAME);
    }
    return QCD_STORE_OK;
}

static enum qcd_store_err open_db(qcd_samap *map, qcd_store_report *report)
{
    enum qcd_store_err err = check_db(map, report);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int rc = samap_db_open(&map->db, map->path);
    if (rc != 0) {
        return report_system(report, samap_db_errno(rc), "open %s/%s",
                             map->dir.shown, SAMAP_NAME);
    }
    return QCD_STORE_OK;
}

/* ---- The journals ------------------------------------------------------ */

/* replay takes into the layer what its journal has above `applied`. */
static void replay(samap_layer *layer, const uint8_t *in, size_t in_len,
                   uint64_t applied)
{
    samap_reader reader;
    samap_change change;
    samap_reader_init(&reader, in, in_len);
    while (samap_reader_next(&change, &reader)) {
        if (reader.seq > applied &&
            !samap_overlay_set(&layer->overlay, &change)) {
            break; /* more than we ever write */
        }
        layer->seq = reader.seq;
        layer->log.len = reader.len;
    }
    if (layer->overlay.num == 0) {
        samap_log_empty(&layer->log);
        layer->seq = 0;
    }
}

static enum qcd_store_err open_log(qcd_samap *map, qcd_store_report *report,
                                   size_t which)
{
    samap_layer *layer = &map->layers[which];
    enum qcd_store_err err =
        samap_files_open(&layer->log.fd, report, &map->dir, log_names[which]);
    if (err != QCD_STORE_OK) {
        return err;
    }
    uint8_t *octets;
    size_t len;
    int why = samap_log_read(&octets, &len, &layer->log);
    if (why != 0) {
        return report_system(report, why, "read %s/%s", map->dir.shown,
                             log_names[which]);
    }
    replay(layer, octets, len, map->db.meta.applied);
    free(octets);
    return QCD_STORE_OK;
}

static enum qcd_store_err open_logs(qcd_samap *map, qcd_store_report *report)
{
    enum qcd_store_err err = open_log(map, report, 0);
    if (err == QCD_STORE_OK) {
        err = open_log(map, report, 1);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    /* They were active by turns: what is in one is newer than all in the
     * other. */
    map->active = map->layers[1].seq > map->layers[0].seq ? 1 : 0;
    map->seq = map->db.meta.applied;
    if (samap_active(map)->seq > map->seq) {
        map->seq = samap_active(map)->seq;
    }
    samap_recount(map);
    return QCD_STORE_OK;
}

/* ---- Opening and closing ----------------------------------------------- */

static enum qcd_store_err open_all(qcd_samap *map, qcd_store_report *report,
                                   const char *path)
{
    int len = snprintf(map->path, sizeof(map->path), "%s/" SAMAP_NAME, path);
    if (len < 0 || (size_t)len >= sizeof(map->path) - sizeof("-lock")) {
        return report_system(report, ENAMETOOLONG, "open %s/%s", map->dir.shown,
                             SAMAP_NAME);
    }
    enum qcd_store_err err = open_db(map, report);
    if (err == QCD_STORE_OK) {
        err = open_logs(map, report);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    /* What the journals have is known now; where the disk is full it stays
     * there. */
    qcd_store_report full;
    if (qcd_samap_flush(map, &full) != QCD_STORE_OK &&
        report->text[0] == '\0') {
        *report = full;
    }
    return QCD_STORE_OK;
}

/* open_folder opens the folder, and all in it as its user. */
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
    err = open_all(map, report, path);
    user_leave(&map->dir.user);
    return err;
}

/* free_map lets go of all that is open. */
static void free_map(qcd_samap *map)
{
    samap_db_close(&map->db);
    for (size_t i = 0; i < 2; i++) {
        if (map->layers[i].log.fd >= 0) {
            (void)io_close(map->layers[i].log.fd);
        }
    }
    folder_close(&map->dir);
    (void)pthread_mutex_destroy(&map->state);
    (void)pthread_mutex_destroy(&map->disk);
    free(map);
}

static qcd_samap *new_map(void)
{
    qcd_samap *map = sys_alloc(sizeof(*map));
    if (map == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&map->disk, NULL);
    (void)pthread_mutex_init(&map->state, NULL);
    map->dir = FOLDER_CLOSED;
    map->layers[0].log.fd = -1;
    map->layers[1].log.fd = -1;
    map->rows_max = QCD_SAMAP_ROWS_MAX;
    return map;
}

enum qcd_store_err qcd_samap_open(qcd_samap **out, qcd_store_report *report,
                                  const char *path)
{
    *out = NULL;
    memset(report, 0, sizeof(*report));
    qcd_samap *map = new_map();
    if (map == NULL) {
        return report_system(report, ENOMEM, "open the SA map");
    }
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

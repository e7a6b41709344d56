/* SPDX-License-Identifier: Apache-2.0 */
/* samap_open.c: the SA map (RFC 6290 section 8.2) is opened: what is in its
 * file, and what is made of that. */
#include "samap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "report.h"

const file_kind samap_kind = {
    .name = "samap",
    .tmp_name = "samap.new",
    .old_name = "samap.damaged",
    .exposure = "written to it",
    .remedy = "remove it; peers then get no reply to ESP of earlier SAs",
};

/* ---- The file ---------------------------------------------------------- */

static int write_head(int fd)
{
    uint8_t head[SAMAP_SLOT_LEN];
    samap_head_encode(head, SAMAP_VERSION);
    return io_write(fd, head, sizeof(head), 0);
}

/* open_file opens the file, or makes one with a head and no rows.  A new one
 * appears complete or not at all, so a map that has lost its content can be
 * recognized. */
static enum qcd_store_err open_file(qcd_samap *map, qcd_store_report *report)
{
    const folder *dir = &map->dir;
    int fd;
    enum qcd_store_err err =
        file_open(&map->fd, report, dir, &samap_kind, O_RDWR);
    if (err != QCD_STORE_OK || map->fd >= 0) {
        return err;
    }
    err = file_begin(&fd, report, dir, &samap_kind);
    if (err == QCD_STORE_OK) {
        err = file_finish(fd, write_head(fd), report, dir, &samap_kind);
    }
    return err == QCD_STORE_OK
               ? file_open(&map->fd, report, dir, &samap_kind, O_RDWR)
               : err;
}

/* ---- What is in it ----------------------------------------------------- */

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
static int see_slot(qcd_samap *map, uint32_t slot, const uint8_t *octets,
                    size_t len, void *user)
{
    census *seen = user;
    samap_index *index = &map->index;
    qcd_samap_row row;
    seen->len += len;
    if (slot == 0) {
        see_head(seen, octets, len);
        return 0;
    }
    if (!samap_index_reserve(index)) {
        return ENOMEM;
    }
    index->end = slot;
    bool is_row = len == SAMAP_SLOT_LEN && qcd_samap_decode(&row, octets) &&
                  index->num < QCD_SAMAP_ROWS_MAX;
    if (is_row && samap_index_find(index, &row.child_spi) == 0) {
        samap_index_add(index, &row.child_spi, slot);
        return 0;
    }
    samap_index_give(index, slot);
    if (is_row) {
        seen->has_twins = true;
    } else if (!is_zero(octets, len)) {
        seen->num_bad++;
    }
    return 0;
}

/* ---- What is made of it ------------------------------------------------ */

/* replace sets a useless map aside, reports why, and starts a new one. */
static enum qcd_store_err replace(qcd_samap *map, qcd_store_report *report,
                                  const char *why)
{
    /* An earlier version had these beside its map. */
    static const char *const others[] = {"samap-lock", "samap.log.0",
                                         "samap.log.1"};
    const char *to = samap_kind.old_name;
    (void)io_close(&map->fd);
    samap_index_free(&map->index);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)unlinkat(map->dir.fd, others[i], 0);
    }
    enum qcd_store_err err = file_set_aside(report, &map->dir, &samap_kind, to);
    if (err == QCD_STORE_OK) {
        err = open_file(map, report);
    }
    if (err == QCD_STORE_OK) {
        return report_say(
            report, err,
            "%s/%s %s: it is now %s, and a new map was started. Peers get no "
            "reply to ESP of earlier SAs",
            map->dir.shown, samap_kind.name, why, to);
    }
    return err;
}

/* begin_again makes a map of a file that has lost its content. */
static enum qcd_store_err begin_again(qcd_samap *map, qcd_store_report *report)
{
    int why = write_head(map->fd);
    map->is_dirty = true;
    if (why != 0) {
        return file_cannot(report, why, "write", &map->dir, &samap_kind);
    }
    return report_say(
        report, QCD_STORE_OK,
        "%s/%s has lost all its octets: a new map was started, and peers get "
        "no reply to ESP of earlier SAs",
        map->dir.shown, samap_kind.name);
}

/* repair_slot empties a slot that has something else than a row, and writes a
 * damaged head, as far as the disk allows. */
static int repair_slot(qcd_samap *map, uint32_t slot, const uint8_t *octets,
                       size_t len, void *user)
{
    (void)user;
    qcd_samap_row row;
    bool is_whole = len == SAMAP_SLOT_LEN;
    if (slot == 0) {
        if (!is_whole || samap_head_decode(octets) == 0) {
            (void)!write_head(map->fd);
        }
        return 0;
    }
    bool is_row = is_whole && qcd_samap_decode(&row, octets) &&
                  samap_index_find(&map->index, &row.child_spi) == slot;
    if (!is_row && !is_zero(octets, len)) {
        (void)!samap_write(map, slot, NULL);
    }
    return 0;
}

/* repair fixes what it can: the head, and slots that are not empty and have no
 * row. */
static enum qcd_store_err repair(qcd_samap *map, qcd_store_report *report,
                                 const census *seen)
{
    map->is_dirty = true;
    (void)!samap_scan(map, repair_slot, NULL);
    if (seen->num_bad == 0) {
        return QCD_STORE_OK;
    }
    return report_say(
        report, QCD_STORE_OK,
        "%s/%s is damaged in %zu places, and %zu rows are left. Peers get no "
        "reply to ESP of the other SAs. Check the disk",
        map->dir.shown, samap_kind.name, seen->num_bad, map->index.num);
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

static enum qcd_store_err load(qcd_samap *map, qcd_store_report *report)
{
    census seen = {.len = 0};
    enum qcd_store_err err = open_file(map, report);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int why = samap_scan(map, see_slot, &seen);
    return why == 0 ? settle(map, report, &seen)
                    : file_cannot(report, why, "read", &map->dir, &samap_kind);
}

/* ---- What became of it ------------------------------------------------- */

/* see_name tells whether the file that is open still has its name. */
static int see_name(bool *out, const qcd_samap *map)
{
    struct stat ours;
    struct stat named;
    *out = false;
    if (fstat(map->fd, &ours) != 0) {
        return errno;
    }
    if (fstatat(map->dir.fd, samap_kind.name, &named, AT_SYMLINK_NOFOLLOW) !=
        0) {
        return errno == ENOENT ? 0 : errno;
    }
    *out = ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
    return 0;
}

static int copy(int to, int from)
{
    uint8_t octets[4096];
    size_t len = sizeof(octets);
    int why = 0;
    for (size_t at = 0; why == 0 && len == sizeof(octets); at += len) {
        why = io_read(from, octets, &len, sizeof(octets), at);
        if (why == 0) {
            why = io_write(to, octets, len, at);
        }
    }
    return why;
}

/* write_again puts a copy of the open file, which need not have a name any
 * more, in place.  The copy is used at once.  If it can't be put in place, the
 * next flush does this again. */
static enum qcd_store_err write_again(qcd_samap *map, qcd_store_report *report)
{
    int fd;
    enum qcd_store_err err = file_begin(&fd, report, &map->dir, &samap_kind);
    if (err != QCD_STORE_OK) {
        return err;
    }
    (void)pthread_mutex_lock(&map->lock);
    int why = copy(fd, map->fd);
    int kept = why == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (kept >= 0) {
        (void)io_close(&map->fd);
        map->fd = kept;
    } else if (why == 0) {
        why = errno;
    }
    (void)pthread_mutex_unlock(&map->lock);
    return file_finish(fd, why, report, &map->dir, &samap_kind);
}

enum qcd_store_err samap_keep(qcd_samap *map, qcd_store_report *report)
{
    bool is_in_place;
    int why = see_name(&is_in_place, map);
    if (why != 0) {
        return file_cannot(report, why, "write", &map->dir, &samap_kind);
    }
    if (is_in_place) {
        return QCD_STORE_OK;
    }
    enum qcd_store_err err = folder_use(&map->dir, report);
    if (err == QCD_STORE_OK) {
        err = write_again(map, report);
    }
    folder_leave(&map->dir);
    if (err == QCD_STORE_OK) {
        return report_say(report, err,
                          "%s/%s was removed or replaced while it was in use: "
                          "it is written again, with all its rows. Don't touch "
                          "the files of a gateway that runs",
                          map->dir.shown, samap_kind.name);
    }
    return err;
}

/* ---- Opening and closing ----------------------------------------------- */

static void free_map(qcd_samap *map)
{
    (void)io_close(&map->fd);
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
    qcd_samap *map = calloc(1, sizeof(*map));
    if (map == NULL) {
        return report_system(report, ENOMEM, "open the SA map");
    }
    (void)pthread_mutex_init(&map->lock, NULL);
    (void)pthread_mutex_init(&map->flush, NULL);
    map->fd = -1;
    map->rows_max = QCD_SAMAP_ROWS_MAX;
    enum qcd_store_err err = folder_open(&map->dir, report, path, NULL, true);
    if (err == QCD_STORE_OK) {
        err = folder_use(&map->dir, report);
    }
    if (err == QCD_STORE_OK) {
        err = load(map, report);
    }
    folder_leave(&map->dir);
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

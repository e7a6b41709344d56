/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.c: one small file with secrets, read and written as a whole. */
#include "keyfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/stat.h>

#include "../rd.h"
#include "../wr.h"
#include "io.h"
#include "report.h"

/* ---- The frame --------------------------------------------------------- */

void keyfile_digest(uint8_t *out, size_t out_len, const char *label,
                    const uint8_t *in, size_t in_len)
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, strlen(label), (const uint8_t *)label);
    sha256_update(&sha, in_len, in);
    sha256_digest(&sha, out_len, out);
    qcd_wipe(&sha, sizeof(sha)); /* it has seen the secrets */
}

size_t keyfile_encode(uint8_t out[KEYFILE_MAX], const keyfile_kind *kind,
                      const keyfile_body *body)
{
    uint8_t checksum[SHA256_DIGEST_SIZE];
    wr w;
    wr_init(&w, out, KEYFILE_MAX);
    wr_bytes(&w, kind->magic, KEYFILE_MAGIC_LEN);
    wr_be16(&w, body->version);
    wr_be32(&w, (uint32_t)body->len);
    wr_bytes(&w, body->octets, body->len);
    keyfile_digest(checksum, sizeof(checksum), "", out, w.len);
    wr_bytes(&w, checksum, sizeof(checksum));
    assert(!w.bad);
    return w.len;
}

enum qcd_store_err keyfile_decode(keyfile_body *out, const keyfile_kind *kind,
                                  const uint8_t *in, size_t in_len)
{
    memset(out, 0, sizeof(*out));
    rd r;
    rd_init(&r, in, in_len);
    const uint8_t *magic = rd_bytes(&r, KEYFILE_MAGIC_LEN);
    uint16_t version = rd_be16(&r);
    uint32_t len = rd_be32(&r);
    const uint8_t *octets = rd_bytes(&r, len);
    const uint8_t *checksum = rd_bytes(&r, SHA256_DIGEST_SIZE);
    if (r.bad || r.len != 0 || len == 0 || len > KEYFILE_BODY_MAX) {
        return QCD_STORE_ERR_DAMAGED;
    }
    uint8_t want[SHA256_DIGEST_SIZE];
    keyfile_digest(want, sizeof(want), "", in, in_len - SHA256_DIGEST_SIZE);
    if (memcmp(magic, kind->magic, KEYFILE_MAGIC_LEN) != 0 ||
        !memeql_sec(checksum, want, sizeof(want)) || version == 0) {
        return QCD_STORE_ERR_DAMAGED;
    }
    /* Only now: a flipped bit must not look like a newer version. */
    if (version > kind->version) {
        return QCD_STORE_ERR_VERSION;
    }
    out->version = version;
    out->len = len;
    memcpy(out->octets, octets, len);
    return QCD_STORE_OK;
}

/* ---- The birth --------------------------------------------------------- */

#define HAS_TIME_AT 8 /* after the inode */

/* read_birth reads the birth of an open file.  It returns 0 or an errno
 * value. */
static int read_birth(uint8_t out[KEYFILE_BIRTH_LEN], int fd)
{
    struct statx now = {0};
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &now) != 0) {
        /* Old container runtimes refuse calls that they don't know. */
        struct stat st;
        if ((errno != ENOSYS && errno != EPERM) || fstat(fd, &st) != 0) {
            return errno;
        }
        now = (struct statx){.stx_ino = st.st_ino};
    }
    bool has_time = (now.stx_mask & STATX_BTIME) != 0;
    wr w;
    wr_init(&w, out, KEYFILE_BIRTH_LEN);
    wr_be64(&w, now.stx_ino);
    wr_u8(&w, has_time ? 1 : 0);
    wr_be64(&w, has_time ? (uint64_t)now.stx_btime.tv_sec : 0);
    wr_be32(&w, has_time ? now.stx_btime.tv_nsec : 0);
    assert(!w.bad && w.len == KEYFILE_BIRTH_LEN);
    return 0;
}

/* find_origin compares the birth in the body with that of the open file.  If no
 * time was known then, it compares only the inode. */
static enum qcd_store_err find_origin(keyfile_body *body, int fd,
                                      qcd_store_report *report,
                                      const folder *dir,
                                      const keyfile_kind *kind)
{
    uint8_t now[KEYFILE_BIRTH_LEN];
    const uint8_t *then = body->octets;
    if (kind->birth_version == 0 || body->version < kind->birth_version) {
        return QCD_STORE_OK;
    }
    if (body->len < KEYFILE_BIRTH_LEN || then[HAS_TIME_AT] > 1) {
        return keyfile_damaged(report, dir, kind);
    }
    int why = read_birth(now, fd);
    if (why != 0) {
        return file_cannot(report, why, "look at", dir, &kind->file);
    }
    size_t len = then[HAS_TIME_AT] == 0 ? HAS_TIME_AT : KEYFILE_BIRTH_LEN;
    body->origin = memcmp(now, then, len) == 0 ? KEYFILE_OWN : KEYFILE_COPY;
    return QCD_STORE_OK;
}

/* ---- Reading ----------------------------------------------------------- */

enum qcd_store_err keyfile_damaged(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind)
{
    return report_say(report, QCD_STORE_ERR_DAMAGED,
                      "%s/%s is damaged: its size or its checksum is wrong, or "
                      "it is another file. It was neither used nor changed. To "
                      "go on, %s",
                      dir->shown, kind->file.name, kind->file.remedy);
}

static enum qcd_store_err read_frame(keyfile_body *out, int fd,
                                     qcd_store_report *report,
                                     const folder *dir,
                                     const keyfile_kind *kind)
{
    uint8_t frame[KEYFILE_MAX + 1]; /* a longer file is damaged */
    size_t len;
    int why = io_read(fd, frame, &len, sizeof(frame), 0);
    enum qcd_store_err err =
        why == 0 ? keyfile_decode(out, kind, frame, len)
                 : file_cannot(report, why, "read", dir, &kind->file);
    if (err == QCD_STORE_ERR_DAMAGED) {
        (void)keyfile_damaged(report, dir, kind);
    } else if (err == QCD_STORE_ERR_VERSION) {
        (void)report_say(report, err,
                         "%s/%s was written by a newer version of this "
                         "program. Install that version again, or %s",
                         dir->shown, kind->file.name, kind->file.remedy);
    }
    qcd_wipe(frame, sizeof(frame));
    return err;
}

enum qcd_store_err keyfile_read(keyfile_body *out, qcd_store_report *report,
                                const folder *dir, const keyfile_kind *kind)
{
    memset(out, 0, sizeof(*out));
    /* Overlayfs copies a file of an image only when it is opened for writing.
     * So a file from an image then has its own birth in each container. */
    int flags = kind->birth_version != 0 ? O_RDWR : O_RDONLY;
    int fd;
    enum qcd_store_err err = file_open(&fd, report, dir, &kind->file, flags);
    if (err != QCD_STORE_OK || fd < 0) {
        return err;
    }
    err = read_frame(out, fd, report, dir, kind);
    if (err == QCD_STORE_OK) {
        err = find_origin(out, fd, report, dir, kind);
    }
    if (err != QCD_STORE_OK) {
        qcd_wipe(out, sizeof(*out));
    }
    (void)io_close(&fd);
    return err;
}

/* ---- Replacing --------------------------------------------------------- */

/* write_frame writes the body, with the birth of the open file. */
static int write_frame(int fd, const keyfile_kind *kind,
                       const keyfile_body *body)
{
    keyfile_body born = *body;
    uint8_t frame[KEYFILE_MAX];
    int why = 0;
    if (kind->birth_version != 0) {
        assert(born.len >= KEYFILE_BIRTH_LEN);
        why = read_birth(born.octets, fd);
    }
    if (why == 0) {
        size_t len = keyfile_encode(frame, kind, &born);
        why = io_write(fd, frame, len, 0);
    }
    qcd_wipe(frame, sizeof(frame));
    qcd_wipe(&born, sizeof(born));
    return why;
}

enum qcd_store_err keyfile_replace(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind,
                                   const keyfile_body *body)
{
    int fd;
    enum qcd_store_err err = file_begin(&fd, report, dir, &kind->file);
    return err != QCD_STORE_OK ? err
                               : file_finish(fd, write_frame(fd, kind, body),
                                             report, dir, &kind->file);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.c: one small file with secrets, read with suspicion, and replaced so
 * that a crash at any point leaves either the old file or the new one. */
#include "keyfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

#include "../rd.h"
#include "../wr.h"
#include "io.h"
#include "report.h"
#include "sys.h"

/* ---- The frame --------------------------------------------------------- */

static void make_checksum(uint8_t out[SHA256_DIGEST_SIZE], const uint8_t *in,
                          size_t in_len)
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, in_len, in);
    sha256_digest(&sha, SHA256_DIGEST_SIZE, out);
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
    make_checksum(checksum, out, w.len);
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
    make_checksum(want, in, in_len - SHA256_DIGEST_SIZE);
    if (memcmp(magic, kind->magic, KEYFILE_MAGIC_LEN) != 0 ||
        memcmp(checksum, want, sizeof(want)) != 0 || version == 0) {
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

/* ---- Reading ----------------------------------------------------------- */

enum qcd_store_err keyfile_damaged(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind)
{
    return report_fail(report, QCD_STORE_ERR_DAMAGED,
                       "%s/%s is damaged: its size or its checksum is wrong, "
                       "or it is another file. It was neither used nor "
                       "changed. To go on, %s",
                       dir->shown, kind->name, kind->remedy);
}

static enum qcd_store_err not_regular(qcd_store_report *report,
                                      const folder *dir,
                                      const keyfile_kind *kind)
{
    return report_fail(report, QCD_STORE_ERR_UNSAFE,
                       "%s/%s is not a regular file. Move it away, and put the "
                       "file itself in its place if it is elsewhere",
                       dir->shown, kind->name);
}

/* check_file checks the open file: names can change.  RFC 6290 section 9.1: a
 * file that others may have read or written is not used. */
static enum qcd_store_err check_file(int fd, qcd_store_report *report,
                                     const folder *dir,
                                     const keyfile_kind *kind)
{
    struct stat st;
    if (sys_fstat(fd, &st) != 0) {
        return report_system(report, errno, "look at %s/%s", dir->shown,
                             kind->name);
    }
    if (!S_ISREG(st.st_mode)) {
        return not_regular(report, dir, kind);
    }
    if (st.st_uid != dir->user.uid) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s belongs to user %u, and this process is user %u: somebody "
            "may have %s. If nobody could, chown it; otherwise %s",
            dir->shown, kind->name, (unsigned int)st.st_uid,
            (unsigned int)dir->user.uid, kind->exposure, kind->remedy);
    }
    if ((st.st_mode & 0077) != 0) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s is open to others (mode %04o): somebody may have %s. If "
            "nobody could, chmod 600 it; otherwise %s",
            dir->shown, kind->name, (unsigned int)st.st_mode & 07777,
            kind->exposure, kind->remedy);
    }
    if (st.st_size < KEYFILE_FRAME_LEN || st.st_size > KEYFILE_MAX) {
        return keyfile_damaged(report, dir, kind);
    }
    return QCD_STORE_OK;
}

static enum qcd_store_err read_frame(keyfile_body *out, int fd,
                                     qcd_store_report *report,
                                     const folder *dir,
                                     const keyfile_kind *kind)
{
    uint8_t frame[KEYFILE_MAX];
    size_t len;
    int why = io_read(fd, frame, &len, sizeof(frame));
    enum qcd_store_err err;
    if (why != 0) {
        err = report_system(report, why, "read %s/%s", dir->shown, kind->name);
        goto out;
    }
    err = keyfile_decode(out, kind, frame, len);
    if (err == QCD_STORE_ERR_DAMAGED) {
        (void)keyfile_damaged(report, dir, kind);
    } else if (err == QCD_STORE_ERR_VERSION) {
        (void)report_fail(report, err,
                          "%s/%s was written by a newer version of this "
                          "program. Install that version again, or %s",
                          dir->shown, kind->name, kind->remedy);
    }
out:
    qcd_wipe(frame, sizeof(frame));
    return err;
}

/* find_origin compares the birth in the body with that of the open file. */
static enum qcd_store_err find_origin(keyfile_body *body, int fd,
                                      qcd_store_report *report,
                                      const folder *dir,
                                      const keyfile_kind *kind)
{
    struct sys_birth then;
    struct sys_birth now;
    if (kind->birth_version == 0 || body->version < kind->birth_version) {
        return QCD_STORE_OK;
    }
    if (body->len < BIRTH_LEN || !birth_decode(&then, body->octets)) {
        return keyfile_damaged(report, dir, kind);
    }
    int why = birth_of(&now, fd);
    if (why != 0) {
        return report_system(report, why, "look at %s/%s", dir->shown,
                             kind->name);
    }
    body->origin = birth_is_same(&then, &now) ? KEYFILE_OWN : KEYFILE_COPY;
    return QCD_STORE_OK;
}

enum qcd_store_err keyfile_read(keyfile_body *out, qcd_store_report *report,
                                const folder *dir, const keyfile_kind *kind)
{
    memset(out, 0, sizeof(*out));
    /* O_NONBLOCK: a FIFO of that name must not block the daemon.  O_RDWR: see
     * birth_of. */
    int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    flags |= kind->birth_version != 0 ? O_RDWR : O_RDONLY;
    int fd;
    int why = io_open(&fd, dir->fd, kind->name, flags, 0);
    if (why == ENOENT) {
        return QCD_STORE_OK;
    }
    /* A symbolic link, a socket, a folder. */
    if (why == ELOOP || why == ENXIO || why == EISDIR) {
        return not_regular(report, dir, kind);
    }
    if (why != 0) {
        return report_system(report, why, "open %s/%s", dir->shown, kind->name);
    }
    enum qcd_store_err err = check_file(fd, report, dir, kind);
    if (err == QCD_STORE_OK) {
        err = read_frame(out, fd, report, dir, kind);
    }
    if (err == QCD_STORE_OK) {
        err = find_origin(out, fd, report, dir, kind);
    }
    if (err != QCD_STORE_OK) {
        qcd_wipe(out, sizeof(*out));
    }
    (void)io_close(fd); /* everything needed is read */
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
        struct sys_birth birth;
        assert(born.len >= BIRTH_LEN);
        why = birth_of(&birth, fd);
        birth_encode(born.octets, &birth);
    }
    if (why == 0) {
        size_t len = keyfile_encode(frame, kind, &born);
        why = io_write(fd, frame, len);
    }
    qcd_wipe(frame, sizeof(frame));
    qcd_wipe(&born, sizeof(born));
    return why;
}

/* write_tmp makes the temporary file, durable and with its final mode.  It
 * returns 0 or an errno value. */
static int write_tmp(const folder *dir, const keyfile_kind *kind,
                     const keyfile_body *body)
{
    int fd;
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int why = io_open(&fd, dir->fd, kind->tmp_name, flags, 0600);
    if (why != 0) {
        return why;
    }
    if (sys_fchmod(fd, 0600) != 0) { /* the umask has removed bits */
        why = errno;
    }
    if (why == 0) {
        why = write_frame(fd, kind, body);
    }
    if (why == 0) {
        why = io_sync(fd);
    }
    int why_close = io_close(fd);
    return why != 0 ? why : why_close;
}

/* put_in_place replaces the file of `kind`:
 *
 *   killed before the rename                   leaves the old file, and a
 *                                              temporary one that keyfile_clean
 *                                              removes
 *   killed after it                            leaves the new file.  It is
 *                                              complete, since it was durable
 *                                              before it got its name
 *   power lost before the fsync of the folder  leaves either file */
static int put_in_place(const folder *dir, const keyfile_kind *kind,
                        const keyfile_body *body)
{
    int why = write_tmp(dir, kind, body);
    if (why == 0 && sys_rename(dir->fd, kind->tmp_name, kind->name) != 0) {
        why = errno;
    }
    if (why != 0) {
        (void)sys_unlink(dir->fd, kind->tmp_name);
        return why;
    }
    return io_sync(dir->fd);
}

enum qcd_store_err keyfile_clean(qcd_store_report *report, const folder *dir,
                                 const keyfile_kind *kind)
{
    if (sys_unlink(dir->fd, kind->tmp_name) != 0 && errno != ENOENT) {
        return report_system(report, errno, "remove %s/%s", dir->shown,
                             kind->tmp_name);
    }
    return QCD_STORE_OK;
}

enum qcd_store_err keyfile_replace(qcd_store_report *report, const folder *dir,
                                   const keyfile_kind *kind,
                                   const keyfile_body *body)
{
    enum qcd_store_err err = keyfile_clean(report, dir, kind);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int why = put_in_place(dir, kind, body);
    if (why != 0) {
        return report_system(report, why, "write %s/%s", dir->shown,
                             kind->name);
    }
    return QCD_STORE_OK;
}

enum qcd_store_err keyfile_set_aside(qcd_store_report *report,
                                     const folder *dir,
                                     const keyfile_kind *kind, const char *to)
{
    if (sys_rename(dir->fd, kind->name, to) != 0 && errno != ENOENT) {
        return report_system(report, errno, "rename %s/%s to %s", dir->shown,
                             kind->name, to);
    }
    return QCD_STORE_OK;
}

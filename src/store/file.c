/* SPDX-License-Identifier: Apache-2.0 */
/* file.c: the files in a folder, and its lock: one folder, one process. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "report.h"

enum qcd_store_err file_cannot(qcd_store_report *report, int why,
                               const char *what, const folder *dir,
                               const file_kind *kind)
{
    return report_system(report, why, "%s %s/%s", what, dir->shown, kind->name);
}

/* ---- Opening ----------------------------------------------------------- */

static enum qcd_store_err not_regular(qcd_store_report *report,
                                      const folder *dir, const file_kind *kind)
{
    return report_say(report, QCD_STORE_ERR_UNSAFE,
                      "%s/%s is not a regular file. Move it away, and put the "
                      "file itself in its place if it is elsewhere",
                      dir->shown, kind->name);
}

static enum qcd_store_err check_mode(const struct stat *st,
                                     qcd_store_report *report,
                                     const folder *dir, const file_kind *kind)
{
    if ((st->st_mode & 0077) != 0) {
        return report_say(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s is open to others (mode %04o): somebody may have %s. If "
            "nobody could, chmod 600 it; otherwise %s",
            dir->shown, kind->name, st->st_mode & 07777, kind->exposure,
            kind->remedy);
    }
    return QCD_STORE_OK;
}

/* check_file checks the open file: names can change.  RFC 6290 section 9.1: a
 * file that others may have read or written is not used. */
static enum qcd_store_err check_file(int fd, qcd_store_report *report,
                                     const folder *dir, const file_kind *kind,
                                     int flags)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return file_cannot(report, errno, "look at", dir, kind);
    }
    if (!S_ISREG(st.st_mode)) {
        return not_regular(report, dir, kind);
    }
    if (st.st_uid != dir->user.uid) {
        return report_say(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s belongs to user %u, and this process is user %u: somebody "
            "may have %s. If nobody could, chown it; otherwise %s",
            dir->shown, kind->name, st.st_uid, dir->user.uid, kind->exposure,
            kind->remedy);
    }
    if ((flags & O_CREAT) == 0) {
        return check_mode(&st, report, dir, kind);
    }
    /* It may be new, and then the umask has removed bits. */
    return fchmod(fd, 0600) == 0
               ? QCD_STORE_OK
               : file_cannot(report, errno, "chmod", dir, kind);
}

/* not_open says why the file could not be opened. */
static enum qcd_store_err not_open(qcd_store_report *report, int why,
                                   const folder *dir, const file_kind *kind)
{
    switch (why) {
    case ELOOP: /* a symbolic link */
    case ENXIO: /* a socket */
    case EISDIR:
        return not_regular(report, dir, kind);
    default:
        return file_cannot(report, why, "open", dir, kind);
    }
}

enum qcd_store_err file_open(int *out_fd, qcd_store_report *report,
                             const folder *dir, const file_kind *kind,
                             int flags)
{
    /* O_NONBLOCK: a FIFO of that name must not block the daemon. */
    int why = io_open(out_fd, dir->fd, kind->name,
                      flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (why == ENOENT && (flags & O_CREAT) == 0) {
        return QCD_STORE_OK;
    }
    if (why != 0) {
        return not_open(report, why, dir, kind);
    }
    enum qcd_store_err err = check_file(*out_fd, report, dir, kind, flags);
    if (err != QCD_STORE_OK) {
        (void)io_close(out_fd);
    }
    return err;
}

/* ---- Replacing --------------------------------------------------------- */

enum qcd_store_err file_clean(qcd_store_report *report, const folder *dir,
                              const file_kind *kind)
{
    if (unlinkat(dir->fd, kind->tmp_name, 0) != 0 && errno != ENOENT) {
        return report_system(report, errno, "remove %s/%s", dir->shown,
                             kind->tmp_name);
    }
    return QCD_STORE_OK;
}

enum qcd_store_err file_begin(int *out_fd, qcd_store_report *report,
                              const folder *dir, const file_kind *kind)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    *out_fd = -1;
    enum qcd_store_err err = file_clean(report, dir, kind);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int why = io_open(out_fd, dir->fd, kind->tmp_name, flags);
    return why == 0 ? QCD_STORE_OK
                    : file_cannot(report, why, "write", dir, kind);
}

/* put_in_place makes the temporary file durable, with its final mode, before it
 * gets its name. */
static int put_in_place(int fd, int why, const folder *dir,
                        const file_kind *kind)
{
    if (why == 0 && fchmod(fd, 0600) != 0) { /* the umask has removed bits */
        why = errno;
    }
    if (why == 0) {
        why = io_sync(fd);
    }
    int why_close = io_close(&fd);
    if (why == 0) {
        why = why_close;
    }
    if (why == 0 &&
        renameat(dir->fd, kind->tmp_name, dir->fd, kind->name) != 0) {
        why = errno;
    }
    return why;
}

enum qcd_store_err file_finish(int fd, int why, qcd_store_report *report,
                               const folder *dir, const file_kind *kind)
{
    why = put_in_place(fd, why, dir, kind);
    if (why != 0) {
        (void)unlinkat(dir->fd, kind->tmp_name, 0);
    } else {
        why = io_sync(dir->fd);
    }
    return why == 0 ? QCD_STORE_OK
                    : file_cannot(report, why, "write", dir, kind);
}

enum qcd_store_err file_set_aside(qcd_store_report *report, const folder *dir,
                                  const file_kind *kind, const char *to)
{
    if (renameat(dir->fd, kind->name, dir->fd, to) != 0 && errno != ENOENT) {
        return report_system(report, errno, "rename %s/%s to %s", dir->shown,
                             kind->name, to);
    }
    return QCD_STORE_OK;
}

/* ---- The lock ---------------------------------------------------------- */

/* The file stays when the lock is released.  If it were removed, two processes
 * could hold locks on two files of that name.  It has no secret in it. */
static const file_kind lock_kind = {
    .name = "lock",
    .exposure = "held it",
    .remedy = "remove it",
};

/* report_holder names the process whose number is in the lock. */
static enum qcd_store_err report_holder(int fd, qcd_store_report *report,
                                        const folder *dir)
{
    uint8_t text[16] = {0};
    size_t len = 0;
    int why = io_read(fd, text, &len, sizeof(text) - 1, 0);
    long pid = why == 0 ? strtol((const char *)text, NULL, 10) : 0;
    char holder[32] = "another process"; /* has not written its number yet */
    if (pid > 0) {
        (void)snprintf(holder, sizeof(holder), "process %ld", pid);
    }
    return report_say(report, QCD_STORE_ERR_BUSY,
                      "%s is in use by %s, which holds %s in it. Stop that "
                      "process, or configure another folder for this one",
                      dir->shown, holder, lock_kind.name);
}

/* hold takes the lock, or reports who has it.  It records our process number
 * for a process that finds the lock taken.  The number is padded with blanks,
 * so that it overwrites that of the last holder.  The folder is locked too, if
 * it can be (not on NFS): somebody may have removed the file of a holder. */
static enum qcd_store_err hold(int fd, qcd_store_report *report,
                               const folder *dir)
{
    if (TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)) != 0 ||
        (TEMP_FAILURE_RETRY(flock(dir->fd, LOCK_EX | LOCK_NB)) != 0 &&
         errno == EWOULDBLOCK)) {
        return errno == EWOULDBLOCK
                   ? report_holder(fd, report, dir)
                   : file_cannot(report, errno, "lock", dir, &lock_kind);
    }
    char text[16];
    int len = snprintf(text, sizeof(text), "%10ld\n", (long)getpid());
    int why = io_write(fd, text, (size_t)len, 0);
    return why == 0 ? QCD_STORE_OK
                    : file_cannot(report, why, "write", dir, &lock_kind);
}

enum qcd_store_err file_lock(folder *dir, qcd_store_report *report)
{
    int flags = O_RDWR | O_CREAT;
    enum qcd_store_err err =
        file_open(&dir->lock_fd, report, dir, &lock_kind, flags);
    if (err == QCD_STORE_OK) {
        err = hold(dir->lock_fd, report, dir);
    }
    if (err != QCD_STORE_OK) {
        (void)io_close(&dir->lock_fd);
    }
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* samap_files.c: the file of the SA map in its folder. */
#include "samap_files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "io.h"
#include "report.h"
#include "sys.h"

#define REMEDY "remove it; peers then get no reply to ESP of earlier SAs"

static enum qcd_store_err not_regular(qcd_store_report *report,
                                      const folder *dir)
{
    return report_fail(report, QCD_STORE_ERR_UNSAFE,
                       "%s/%s is not a regular file. Move it away", dir->shown,
                       SAMAP_NAME);
}

/* check_file checks the open file: names can change. */
static enum qcd_store_err check_file(int fd, qcd_store_report *report,
                                     const folder *dir)
{
    struct stat st;
    if (sys_fstat(fd, &st) != 0) {
        return report_system(report, errno, "look at %s/%s", dir->shown,
                             SAMAP_NAME);
    }
    if (!S_ISREG(st.st_mode)) {
        return not_regular(report, dir);
    }
    if (st.st_uid != dir->user.uid) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s belongs to user %u, and this process is user %u. chown it "
            "if nobody else can have written to it; otherwise " REMEDY,
            dir->shown, SAMAP_NAME, (unsigned int)st.st_uid,
            (unsigned int)dir->user.uid);
    }
    if ((st.st_mode & 0077) != 0) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s is open to others (mode %04o). chmod 600 it if nobody else "
            "can have written to it; otherwise " REMEDY,
            dir->shown, SAMAP_NAME, (unsigned int)st.st_mode & 07777);
    }
    return QCD_STORE_OK;
}

/* fill gives a new file its final mode and its head. */
static int fill(int fd)
{
    uint8_t head[SAMAP_SLOT_LEN];
    samap_head_encode(head, SAMAP_VERSION);
    if (sys_fchmod(fd, 0600) != 0) { /* the umask has removed bits */
        return errno;
    }
    int why = io_pwrite(fd, head, sizeof(head), 0);
    return why == 0 ? io_sync(fd) : why;
}

/* make makes a new map.  The map appears complete or not at all, so a map that
 * has lost its content can be recognized. */
static int make(int *out_fd, const folder *dir)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    (void)sys_unlink(dir->fd, SAMAP_NEW_NAME);
    int why = io_open(out_fd, dir->fd, SAMAP_NEW_NAME, flags, 0600);
    if (why != 0) {
        return why;
    }
    why = fill(*out_fd);
    if (why == 0 && sys_rename(dir->fd, SAMAP_NEW_NAME, SAMAP_NAME) != 0) {
        why = errno;
    }
    if (why == 0) {
        return io_sync(dir->fd);
    }
    (void)sys_unlink(dir->fd, SAMAP_NEW_NAME);
    return why;
}

static enum qcd_store_err open_or_make(int *out_fd, qcd_store_report *report,
                                       const folder *dir)
{
    /* O_NONBLOCK: a FIFO of that name must not block the daemon. */
    int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int why = io_open(out_fd, dir->fd, SAMAP_NAME, flags, 0);
    if (why == ELOOP || why == ENXIO || why == EISDIR) {
        return not_regular(report, dir);
    }
    if (why == 0) {
        return check_file(*out_fd, report, dir);
    }
    if (why == ENOENT) {
        why = make(out_fd, dir);
    }
    if (why != 0) {
        return report_system(report, why, "open %s/%s", dir->shown, SAMAP_NAME);
    }
    return QCD_STORE_OK;
}

enum qcd_store_err samap_files_open(int *out_fd, qcd_store_report *report,
                                    const folder *dir)
{
    *out_fd = -1;
    enum qcd_store_err err = open_or_make(out_fd, report, dir);
    if (err != QCD_STORE_OK && *out_fd >= 0) {
        (void)io_close(*out_fd);
        *out_fd = -1;
    }
    return err;
}

enum qcd_store_err samap_files_set_aside(qcd_store_report *report,
                                         const folder *dir)
{
    /* An earlier version had these beside its map. */
    static const char *const others[] = {"samap-lock", "samap.log.0",
                                         "samap.log.1"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)sys_unlink(dir->fd, others[i]);
    }
    if (sys_rename(dir->fd, SAMAP_NAME, SAMAP_DAMAGED_NAME) != 0) {
        return report_system(report, errno, "rename %s/%s to %s", dir->shown,
                             SAMAP_NAME, SAMAP_DAMAGED_NAME);
    }
    return QCD_STORE_OK;
}

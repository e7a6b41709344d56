/* SPDX-License-Identifier: Apache-2.0 */
/* samap_files.c: the files of the SA map in their folder. */
#include "samap_files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "io.h"
#include "report.h"
#include "sys.h"

#define REMEDY "remove it, and answers to ESP of earlier SAs are lost"

static enum qcd_store_err not_regular(qcd_store_report *report,
                                      const folder *dir, const char *name)
{
    return report_fail(report, QCD_STORE_ERR_UNSAFE,
                       "%s/%s is no regular file. Move it away", dir->shown,
                       name);
}

/* check_file looks at the open file: names can change. */
static enum qcd_store_err check_file(int fd, qcd_store_report *report,
                                     const folder *dir, const char *name)
{
    struct stat st;
    if (sys_fstat(fd, &st) != 0) {
        return report_system(report, errno, "look at %s/%s", dir->shown, name);
    }
    if (!S_ISREG(st.st_mode)) {
        return not_regular(report, dir, name);
    }
    if (st.st_uid != dir->user.uid) {
        return report_fail(report, QCD_STORE_ERR_UNSAFE,
                           "%s/%s belongs to user %u, and this process is user "
                           "%u. chown it if nobody else can have written to "
                           "it; else " REMEDY,
                           dir->shown, name, (unsigned int)st.st_uid,
                           (unsigned int)dir->user.uid);
    }
    if ((st.st_mode & 0077) != 0) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s/%s is open to others (mode %04o). chmod 600 it "
            "if nobody else can have written to it; else " REMEDY,
            dir->shown, name, (unsigned int)st.st_mode & 07777);
    }
    return QCD_STORE_OK;
}

/* make makes an empty file with its final mode. */
static int make(int *out_fd, const folder *dir, const char *name)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int why = io_open(out_fd, dir->fd, name, flags, 0600);
    if (why != 0) {
        return why;
    }
    if (sys_fchmod(*out_fd, 0600) != 0) { /* the umask has taken away bits */
        why = errno;
    }
    if (why == 0) {
        why = io_sync(dir->fd);
    }
    if (why != 0) {
        (void)sys_unlink(dir->fd, name);
    }
    return why;
}

static enum qcd_store_err open_or_make(int *out_fd, qcd_store_report *report,
                                       const folder *dir, const char *name)
{
    /* O_NONBLOCK: a FIFO of that name must not hold up the daemon. */
    int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int why = io_open(out_fd, dir->fd, name, flags, 0);
    if (why == ELOOP || why == ENXIO || why == EISDIR) {
        return not_regular(report, dir, name);
    }
    if (why == 0) {
        return check_file(*out_fd, report, dir, name);
    }
    if (why == ENOENT) {
        why = make(out_fd, dir, name);
    }
    if (why != 0) {
        return report_system(report, why, "open %s/%s", dir->shown, name);
    }
    return QCD_STORE_OK;
}

enum qcd_store_err samap_files_open(int *out_fd, qcd_store_report *report,
                                    const folder *dir, const char *name)
{
    *out_fd = -1;
    enum qcd_store_err err = open_or_make(out_fd, report, dir, name);
    if (err != QCD_STORE_OK && *out_fd >= 0) {
        (void)io_close(*out_fd);
        *out_fd = -1;
    }
    return err;
}

static enum qcd_store_err remove_lock(qcd_store_report *report,
                                      const folder *dir)
{
    if (sys_unlink(dir->fd, SAMAP_LOCK_NAME) != 0 && errno != ENOENT) {
        return report_system(report, errno, "remove %s/%s", dir->shown,
                             SAMAP_LOCK_NAME);
    }
    return QCD_STORE_OK;
}

/* find_size tells whether there is a file `name`, and its size. */
static bool find_size(off_t *out, const folder *dir, const char *name)
{
    int fd;
    struct stat st;
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    if (io_open(&fd, dir->fd, name, flags, 0) != 0) {
        return false;
    }
    bool is_found = sys_fstat(fd, &st) == 0;
    (void)io_close(fd);
    *out = is_found ? st.st_size : 0;
    return is_found;
}

/* was_cut tells of a map without octets.  A process that was killed as it made
 * the first one leaves such a file, too, but no journal yet. */
static bool was_cut(const folder *dir)
{
    off_t size;
    off_t of_log;
    return find_size(&size, dir, SAMAP_NAME) && size == 0 &&
           find_size(&of_log, dir, SAMAP_FIRST_LOG_NAME);
}

enum qcd_store_err samap_files_ready(bool *out_was_cut,
                                     qcd_store_report *report,
                                     const folder *dir)
{
    int fd;
    *out_was_cut = was_cut(dir);
    enum qcd_store_err err = samap_files_open(&fd, report, dir, SAMAP_NAME);
    if (err != QCD_STORE_OK) {
        return err;
    }
    (void)io_close(fd); /* nothing was written */
    return remove_lock(report, dir);
}

enum qcd_store_err samap_files_set_aside(qcd_store_report *report,
                                         const folder *dir)
{
    bool is_cut;
    if (sys_rename(dir->fd, SAMAP_NAME, SAMAP_DAMAGED_NAME) != 0) {
        return report_system(report, errno, "rename %s/%s to %s", dir->shown,
                             SAMAP_NAME, SAMAP_DAMAGED_NAME);
    }
    return samap_files_ready(&is_cut, report, dir);
}

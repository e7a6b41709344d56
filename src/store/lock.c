/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c: one folder, one process. */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io.h"
#include "report.h"
#include "sys.h"

#define LOCK_NAME "lock"

static enum qcd_store_err report_foreign(qcd_store_report *report,
                                         const folder *dir)
{
    return report_fail(report, QCD_STORE_ERR_UNSAFE,
                       "%s/" LOCK_NAME " is not a regular file of user %u, who "
                       "runs this process. Move it away",
                       dir->shown, (unsigned int)dir->user.uid);
}

/* open_lock opens the file or makes it.  The file stays when the lock is
 * released.  If it were removed, two processes could hold locks on two files of
 * that name. */
static enum qcd_store_err open_lock(int *out_fd, qcd_store_report *report,
                                    const folder *dir)
{
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int why = io_open(out_fd, dir->fd, LOCK_NAME, flags, 0600);
    if (why == ELOOP || why == ENXIO) { /* a symbolic link, a socket */
        return report_foreign(report, dir);
    }
    if (why != 0) {
        return report_system(report, why, "open %s/" LOCK_NAME, dir->shown);
    }
    return QCD_STORE_OK;
}

/* check_lock refuses a file that we did not make.  The file has no secret in
 * it, so its mode is simply set. */
static enum qcd_store_err check_lock(int fd, qcd_store_report *report,
                                     const folder *dir)
{
    struct stat st;
    if (sys_fstat(fd, &st) != 0) {
        return report_system(report, errno, "look at %s/" LOCK_NAME,
                             dir->shown);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != dir->user.uid) {
        return report_foreign(report, dir);
    }
    if (sys_fchmod(fd, 0600) != 0) {
        return report_system(report, errno, "chmod %s/" LOCK_NAME, dir->shown);
    }
    return QCD_STORE_OK;
}

/* report_holder names the process whose number is in the lock. */
static enum qcd_store_err report_holder(int fd, qcd_store_report *report,
                                        const folder *dir)
{
    uint8_t text[16] = {0};
    size_t len = 0;
    int why = io_read(fd, text, &len, sizeof(text) - 1);
    long pid = why == 0 ? strtol((const char *)text, NULL, 10) : 0;
    char holder[32] = "another process"; /* has not written its number yet */
    if (pid > 0) {
        (void)snprintf(holder, sizeof(holder), "process %ld", pid);
    }
    return report_fail(report, QCD_STORE_ERR_BUSY,
                       "%s is in use by %s, which holds " LOCK_NAME " in it. "
                       "Stop that process, or configure another folder for "
                       "this one",
                       dir->shown, holder);
}

/* hold_lock takes the lock, or reports who has it. */
static enum qcd_store_err hold_lock(int fd, qcd_store_report *report,
                                    const folder *dir)
{
    int result;
    do {
        result = sys_flock(fd);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        return QCD_STORE_OK;
    }
    if (errno == EWOULDBLOCK) {
        return report_holder(fd, report, dir);
    }
    return report_system(report, errno, "lock %s/" LOCK_NAME, dir->shown);
}

/* write_holder records our process number for a process that finds the lock
 * taken.  The number is padded with blanks, so that it overwrites that of the
 * last holder. */
static enum qcd_store_err write_holder(int fd, qcd_store_report *report,
                                       const folder *dir)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%10ld\n", (long)getpid());
    int why = io_write(fd, text, (size_t)len);
    if (why != 0) {
        return report_system(report, why, "write %s/" LOCK_NAME, dir->shown);
    }
    return QCD_STORE_OK;
}

enum qcd_store_err lock_take(int *out_fd, qcd_store_report *report,
                             const folder *dir)
{
    enum qcd_store_err err = open_lock(out_fd, report, dir);
    if (err != QCD_STORE_OK) {
        return err;
    }
    err = check_lock(*out_fd, report, dir);
    if (err == QCD_STORE_OK) {
        err = hold_lock(*out_fd, report, dir);
    }
    if (err == QCD_STORE_OK) {
        err = write_holder(*out_fd, report, dir);
    }
    if (err != QCD_STORE_OK) {
        (void)io_close(*out_fd);
        *out_fd = -1;
    }
    return err;
}

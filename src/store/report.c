/* SPDX-License-Identifier: Apache-2.0 */
/* report.c: sentences for the administrator. */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Our own texts: those of strerror are in the process's language, and do not
 * say what to do. */
static const struct reason {
    int why;
    const char *text;
} reasons[] = {
    {EACCES, "permission denied. Check owner and mode of it and of the folder, "
             "and the rules of AppArmor or SELinux"},
    {EPERM, "not permitted. Check owner and mode, whether it is immutable, and "
            "the rules of AppArmor or SELinux"},
    {ENOSPC, "no space is left. Make room on that file system"},
    {EDQUOT, "the disk quota is used up. Make room or raise the quota"},
    {EROFS, "the file system is read-only. Mount it for writing, or configure "
            "another folder"},
    {EIO, "input/output error. Look at the kernel's log and check the disk"},
    {EMFILE, "too many open files in this process. Raise its limit"},
    {ENFILE, "too many open files. Raise the system's limit"},
    {EINTR, "a process was killed while doing it, perhaps for lack of memory. "
            "Start again"},
    {EAGAIN, "too many processes. Raise the limit of the user or the service"},
    {ENOMEM, "out of memory. Free some and start again"},
    {ENOENT, "it has vanished. Start again"},
    {ENOTDIR, "part of the path is not a folder. Correct the path"},
    {EISDIR, "it is a folder. Move it away"},
    {ENAMETOOLONG, "the path is too long. Configure a shorter one"},
    {ELOOP, "the path has a loop of symbolic links. Correct it"},
    {EINVAL, "not supported there. Configure a folder on a local disk"},
    {EOPNOTSUPP, "not supported there. Configure a folder on a local disk"},
    {ENOLCK, "no lock is available. Configure a folder on a local disk"},
};

enum qcd_store_err report_say(qcd_store_report *report, enum qcd_store_err err,
                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(report->text, sizeof(report->text), format, args);
    va_end(args);
    return err;
}

enum qcd_store_err report_system(qcd_store_report *report, int why,
                                 const char *format, ...)
{
    qcd_store_report what;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what.text, sizeof(what.text), format, args);
    va_end(args);

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].why == why) {
            return report_say(report, QCD_STORE_ERR_SYSTEM, "cannot %.300s: %s",
                              what.text, reasons[i].text);
        }
    }
    return report_say(report, QCD_STORE_ERR_SYSTEM,
                      "cannot %.300s: system error %d. Look at the kernel's "
                      "log",
                      what.text, why);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* file.h: the files in a folder: opened with suspicion, and replaced so that a
 * crash at any point leaves either the old file or the new one. */
#ifndef QCD_STORE_FILE_H
#define QCD_STORE_FILE_H

#include "folder.h"

/* file_kind describes one file. */
typedef struct file_kind {
    const char *name;     /* in the folder */
    const char *tmp_name; /* of the file that will replace it */
    const char *old_name; /* of a file that was set aside */
    const char *exposure; /* what others may have done if it was open to them */
    const char *remedy;   /* what to do if it is damaged, and the effect */
} file_kind;

/* file_cannot is report_system for a file: "cannot `what` /a/b: ..." */
enum qcd_store_err file_cannot(qcd_store_report *report, int why,
                               const char *what, const folder *dir,
                               const file_kind *kind);

/* file_open opens the file of `kind` in `dir`, with `flags`.  It must be a
 * regular file that belongs to the folder's user and is closed to all others;
 * with O_CREAT, it becomes so.  If it is missing, the result is OK and
 * `*out_fd` is -1.  On error it is -1 too. */
QCD_NODISCARD enum qcd_store_err file_open(int *out_fd,
                                           qcd_store_report *report,
                                           const folder *dir,
                                           const file_kind *kind, int flags);

/* file_begin makes the temporary file.  The caller writes its content and calls
 * file_finish.  On error `*out_fd` is -1. */
QCD_NODISCARD enum qcd_store_err file_begin(int *out_fd,
                                            qcd_store_report *report,
                                            const folder *dir,
                                            const file_kind *kind);

/* file_finish closes the temporary file and puts it in place of the file of
 * `kind`, or makes it the first one.  `why` is 0, or why its content could not
 * be written.
 *
 *   killed before the rename                   leaves the old file, and a
 *                                              temporary one for file_clean
 *   killed after it                            leaves the new file.  It is
 *                                              complete, since it was durable
 *                                              before it got its name
 *   power lost before the fsync of the folder  leaves either file
 *
 * On error the old file is still there, with one exception.  The very last step
 * makes the new name durable.  If it fails, the new file is there, and a loss
 * of power may bring back the old one. */
QCD_NODISCARD enum qcd_store_err file_finish(int fd, int why,
                                             qcd_store_report *report,
                                             const folder *dir,
                                             const file_kind *kind);

/* file_clean removes what a process that was killed before file_finish left.
 * The caller must hold the lock: only then is that process dead. */
QCD_NODISCARD enum qcd_store_err
file_clean(qcd_store_report *report, const folder *dir, const file_kind *kind);

/* file_set_aside renames the file of `kind` to `to`, and replaces a file of
 * that name.  A missing file is not an error. */
QCD_NODISCARD enum qcd_store_err file_set_aside(qcd_store_report *report,
                                                const folder *dir,
                                                const file_kind *kind,
                                                const char *to);

/* file_lock takes the lock of `dir`, which folder_close releases, or the death
 * of the process.
 *
 *   QCD_STORE_ERR_BUSY  another process holds it; the report has its number */
QCD_NODISCARD enum qcd_store_err file_lock(folder *dir,
                                           qcd_store_report *report);

#endif

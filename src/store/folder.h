/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: makes the folder of the store if it is missing, checks it, and uses
 * it as its user.
 *
 * A daemon opens its folder as root and continues as an unprivileged user.  The
 * store does everything inside of a folder as the folder's user.  So new files
 * belong to that user, and root reads or changes nothing there that the user
 * could not. */
#ifndef QCD_STORE_FOLDER_H
#define QCD_STORE_FOLDER_H

#include <qcd/store.h>

/* Octets of a path that messages show, so that the advice still fits. */
#define FOLDER_SHOWN_MAX 160

/* folder is an open folder, or FOLDER_CLOSED. */
typedef struct folder {
    int fd;
    int lock_fd;                      /* of its lock if it is held, or -1 */
    qcd_store_user user;              /* its owner */
    char shown[FOLDER_SHOWN_MAX + 4]; /* its path, as messages show it */
} folder;

#define FOLDER_CLOSED ((folder){.fd = -1, .lock_fd = -1})

/* folder_open opens the folder `path`.  If it `may_make` a missing one, that
 * has mode 0700, and missing parents have 0755, whatever the umask.
 *
 * `path` is absolute: a daemon's working folder is an accident.  Its last part
 * is not a symbolic link; its parents may be.  The parent folder belongs to
 * root, to us or to the user.  Others cannot write to it, unless it has the
 * sticky bit: they could put another folder in place of ours.
 *
 * The folder belongs to `user`.  If it is ours, it is given to the user with
 * all its files, unless it has a file that the store did not make.  If `user`
 * is NULL, the folder must be ours or, if we are root, may be any user's.
 *
 *   QCD_STORE_ERR_MISSING  it does not exist, and we may not make it */
QCD_NODISCARD enum qcd_store_err
folder_open(folder *out, qcd_store_report *report, const char *path,
            const qcd_store_user *user, bool may_make);

/* folder_use makes this thread use files as the user of `dir`, until
 * folder_leave.  On error nothing is changed. */
QCD_NODISCARD enum qcd_store_err folder_use(const folder *dir,
                                            qcd_store_report *report);

/* folder_leave does nothing if the folder is not in use. */
void folder_leave(const folder *dir);

/* folder_close closes `dir` and releases its lock; a closed one stays
 * closed. */
void folder_close(folder *dir);

#endif

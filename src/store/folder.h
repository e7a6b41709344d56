/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: makes the folder of the store if it is missing, and checks it. */
#ifndef QCD_STORE_FOLDER_H
#define QCD_STORE_FOLDER_H

#include <qcd/store.h>

/* Octets of a path that messages show, so that the advice still fits. */
#define FOLDER_SHOWN_MAX 160

/* folder is an open folder, or FOLDER_CLOSED. */
typedef struct folder {
    int fd;
    qcd_store_user user;              /* its owner */
    char shown[FOLDER_SHOWN_MAX + 4]; /* its path, as messages show it */
} folder;

#define FOLDER_CLOSED ((folder){.fd = -1})

/* folder_open opens the folder `path`.  It makes a missing one with mode 0700,
 * and missing parents with 0755, whatever the umask.
 *
 * `path` is absolute: a daemon's working folder is an accident.  Its last part
 * is not a symbolic link; its parents may be.  The parent folder belongs to
 * root, to us or to the user.  Others cannot write to it, unless it has the
 * sticky bit: they could put another folder in place of ours.
 *
 * The folder belongs to `user`.  If it is ours, it is given to the user with
 * all its files, unless it has a file that the store did not make.  If `user`
 * is NULL, the folder must be ours or, if we are root, may be any user's. */
QCD_NODISCARD enum qcd_store_err folder_open(folder *out,
                                             qcd_store_report *report,
                                             const char *path,
                                             const qcd_store_user *user);

/* folder_find is folder_open with NULL, for a folder that must exist.
 *
 *   QCD_STORE_ERR_MISSING  it does not exist */
QCD_NODISCARD enum qcd_store_err
folder_find(folder *out, qcd_store_report *report, const char *path);

/* folder_close closes `dir`; a closed one stays closed. */
void folder_close(folder *dir);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: the folder of the store, made where it is missing, and checked. */
#ifndef QCD_STORE_FOLDER_H
#define QCD_STORE_FOLDER_H

#include <qcd/store.h>

/* Octets of a path that messages show, so that what to do still fits. */
#define FOLDER_SHOWN_MAX 160

/* folder is an open folder; FOLDER_CLOSED is none. */
typedef struct folder {
    int fd;
    qcd_store_user user;              /* whose it is */
    char shown[FOLDER_SHOWN_MAX + 4]; /* its path, as messages show it */
} folder;

#define FOLDER_CLOSED ((folder){.fd = -1})

/* folder_open opens the folder `path`.  A missing one is made with 0700, its
 * missing parents with 0755, whatever the umask.
 *
 * `path` is absolute: a daemon's working folder is an accident.  Its last part
 * is no symbolic link, its parents may be.  The folder that it stands in is
 * root's, ours or the user's, and others cannot write to it (or it has the
 * sticky bit): they could put another folder in place of ours.
 *
 * The folder belongs to `user`.  One of ours is given to the user with all its
 * files, unless it has a file that the store did not make.  With NULL it is
 * ours or, where we are root, any user's. */
QCD_NODISCARD enum qcd_store_err folder_open(folder *out,
                                             qcd_store_report *report,
                                             const char *path,
                                             const qcd_store_user *user);

/* folder_find is folder_open, with NULL, for one that must be there already.
 *
 *   QCD_STORE_ERR_MISSING  it is not */
QCD_NODISCARD enum qcd_store_err
folder_find(folder *out, qcd_store_report *report, const char *path);

/* folder_close closes it; a closed one stays closed. */
void folder_close(folder *dir);

#endif

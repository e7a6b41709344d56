/* SPDX-License-Identifier: Apache-2.0 */
/* samap_files.h: the files of the SA map in their folder. */
#ifndef QCD_STORE_SAMAP_FILES_H
#define QCD_STORE_SAMAP_FILES_H

#include "folder.h"

#define SAMAP_NAME "samap"
#define SAMAP_FIRST_LOG_NAME SAMAP_NAME ".log.0"
#define SAMAP_LOCK_NAME "samap-lock" /* LMDB makes it so from the other */
#define SAMAP_DAMAGED_NAME "samap.damaged"

/* samap_files_open opens the file `name` in `dir` for reading and writing, or
 * makes it.  It must be a regular file of the folder's user that is closed to
 * all others. */
QCD_NODISCARD enum qcd_store_err samap_files_open(int *out_fd,
                                                  qcd_store_report *report,
                                                  const folder *dir,
                                                  const char *name);

/* samap_files_ready makes the file of the map ready to be opened by its name,
 * and removes the lock file: it has nothing that outlives the processes which
 * have the map open, and the lock of the folder says that there is none.
 * `*out_was_cut` tells whether there was a file without any octets. */
QCD_NODISCARD enum qcd_store_err samap_files_ready(bool *out_was_cut,
                                                   qcd_store_report *report,
                                                   const folder *dir);

/* samap_files_set_aside gives the map another name, in place of an older one of
 * that name. */
QCD_NODISCARD enum qcd_store_err samap_files_set_aside(qcd_store_report *report,
                                                       const folder *dir);

#endif

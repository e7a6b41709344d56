/* SPDX-License-Identifier: Apache-2.0 */
/* samap_files.h: the file of the SA map in its folder. */
#ifndef QCD_STORE_SAMAP_FILES_H
#define QCD_STORE_SAMAP_FILES_H

#include "folder.h"
#include "samap_row.h"

#define SAMAP_NAME "samap"
#define SAMAP_NEW_NAME "samap.new"
#define SAMAP_DAMAGED_NAME "samap.damaged"

/* samap_files_open opens the map in `dir` for reading and writing, or makes one
 * that has its head and no rows.  It must be a regular file that belongs to the
 * folder's user and is closed to all others. */
QCD_NODISCARD enum qcd_store_err
samap_files_open(int *out_fd, qcd_store_report *report, const folder *dir);

/* samap_files_set_aside renames the map, and replaces an older file of the new
 * name. */
QCD_NODISCARD enum qcd_store_err samap_files_set_aside(qcd_store_report *report,
                                                       const folder *dir);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* give.h: gives a folder to the user that the daemon will run as. */
#ifndef QCD_STORE_GIVE_H
#define QCD_STORE_GIVE_H

#include "folder.h"

/* give_folder gives the folder, which is ours alone, and the files of the store
 * in it to `dir->user`.  The folder comes last, so that the next start repairs
 * an interrupted one.
 *
 *   QCD_STORE_ERR_UNSAFE  the folder has a file that the store did not make;
 *                         nothing is changed */
QCD_NODISCARD enum qcd_store_err give_folder(qcd_store_report *report,
                                             const folder *dir);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* give.h: a folder is given to the user that the daemon will run as. */
#ifndef QCD_STORE_GIVE_H
#define QCD_STORE_GIVE_H

#include "folder.h"

/* give_folder gives the folder, which is ours alone, and the files of the store
 * in it to `dir->user`: the folder last, so that a crash on the way is made
 * good by the next start.
 *
 *   QCD_STORE_ERR_UNSAFE  something is in it that the store did not make; then
 *                         nothing is changed */
QCD_NODISCARD enum qcd_store_err give_folder(qcd_store_report *report,
                                             const folder *dir);

#endif

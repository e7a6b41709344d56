/* SPDX-License-Identifier: Apache-2.0 */
/* lock.h: one folder, one process. */
#ifndef QCD_STORE_LOCK_H
#define QCD_STORE_LOCK_H

#include "folder.h"

/* lock_take takes the lock of `dir`.  The lock is held until `*out_fd` is
 * closed, so it is released if the process dies.  On error `*out_fd` is -1.
 *
 *   QCD_STORE_ERR_BUSY  another process holds it; the report has its number */
QCD_NODISCARD enum qcd_store_err
lock_take(int *out_fd, qcd_store_report *report, const folder *dir);

#endif

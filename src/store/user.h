/* SPDX-License-Identifier: Apache-2.0 */
/* user.h: the user that owns the folder and its files.  A daemon opens its
 * folder as root and continues as an unprivileged user.  The store does
 * everything inside of a folder as the folder's user.  So new files belong to
 * that user, and root reads or changes nothing there that the user could
 * not. */
#ifndef QCD_STORE_USER_H
#define QCD_STORE_USER_H

#include <qcd/store.h>

/* user_self returns the effective user. */
qcd_store_user user_self(void);

/* user_enter makes this thread use files as `user`, until user_leave.  It
 * returns 0 or an errno value.  On error nothing is changed. */
QCD_NODISCARD int user_enter(const qcd_store_user *user);

void user_leave(const qcd_store_user *user);

#endif

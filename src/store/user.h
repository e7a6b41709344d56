/* SPDX-License-Identifier: Apache-2.0 */
/* user.h: whose the files are.  A daemon opens its folder as root and goes on
 * as an unprivileged user.  All that is done inside of a folder is done as the
 * user that it belongs to: what is made is that user's, and root reads or
 * changes nothing in it that this user could not. */
#ifndef QCD_STORE_USER_H
#define QCD_STORE_USER_H

#include "store.h"

/* user_self returns the effective user. */
qcd_store_user user_self(void);

/* user_enter makes this thread use files as `user`, until user_leave.  It
 * returns 0 or an errno value; on error nothing is changed. */
QCD_NODISCARD int user_enter(const qcd_store_user *user);

void user_leave(const qcd_store_user *user);

#endif

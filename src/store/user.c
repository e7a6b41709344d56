/* SPDX-License-Identifier: Apache-2.0 */
/* user.c: the user that owns the folder and its files. */
#include "user.h"

#include <errno.h>
#include <unistd.h>

#include "sys.h"

qcd_store_user user_self(void)
{
    return (qcd_store_user){.uid = geteuid(), .gid = getegid()};
}

int user_enter(const qcd_store_user *user)
{
    if (user->uid == geteuid()) {
        return 0;
    }
    if (sys_setfsgid(user->gid) != 0) {
        return EPERM;
    }
    if (sys_setfsuid(user->uid) != 0) {
        (void)sys_setfsgid(getegid());
        return EPERM;
    }
    return 0;
}

void user_leave(const qcd_store_user *user)
{
    if (user->uid != geteuid()) {
        (void)sys_setfsuid(geteuid());
        (void)sys_setfsgid(getegid());
    }
}

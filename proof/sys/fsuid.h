/* SPDX-License-Identifier: Apache-2.0 */
/* fsuid.h: a header that Frama-C lacks. */
#ifndef QCD_PROOF_SYS_FSUID_H
#define QCD_PROOF_SYS_FSUID_H

#include <sys/types.h>

int setfsuid(uid_t uid);
int setfsgid(gid_t gid);

#endif

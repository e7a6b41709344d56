/* SPDX-License-Identifier: Apache-2.0 */
/* birth.h: what a file can record of itself that no copy shares: its inode and
 * the time at which the inode was made.  A rename keeps both, so a file is
 * written with its own birth in it before it gets its name.  A copy, a restored
 * backup and a file unpacked from an image have another birth.
 *
 *   octets  field
 *   8       inode
 *   1       1 if the file system knows the time, else 0
 *   8       seconds since 1970
 *   4       nanoseconds */
#ifndef QCD_STORE_BIRTH_H
#define QCD_STORE_BIRTH_H

#include "sys.h"
#include <qcd/store.h>

#define BIRTH_LEN (8 + 1 + 8 + 4)

/* birth_of reads the birth of an open file.  It returns 0 or an errno value.
 * Overlayfs copies a file of an image only when it is opened for writing.  So
 * open it for writing: a file from an image then has its own birth in each
 * container. */
QCD_NODISCARD int birth_of(struct sys_birth *out, int fd);

/* birth_is_same tells whether `now` is the same file as `then`.  If no time was
 * known then, it compares only the inode. */
bool birth_is_same(const struct sys_birth *then, const struct sys_birth *now);

void birth_encode(uint8_t out[BIRTH_LEN], const struct sys_birth *birth);

/* birth_decode returns false for octets that birth_encode never writes. */
QCD_NODISCARD bool birth_decode(struct sys_birth *out,
                                const uint8_t in[BIRTH_LEN]);

#endif

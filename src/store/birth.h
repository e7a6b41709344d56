/* SPDX-License-Identifier: Apache-2.0 */
/* birth.h: what a file can record of itself and no copy shares: its inode and
 * the time at which the inode was made.  A rename keeps both, so a file is
 * written with its own birth in it before it gets its name.  A copy, a restored
 * backup or a file that was unpacked from an image differs.
 *
 *   octets  field
 *   8       inode
 *   1       1 where the file system knows the time, else 0
 *   8       seconds since 1970
 *   4       nanoseconds */
#ifndef QCD_STORE_BIRTH_H
#define QCD_STORE_BIRTH_H

#include "sys.h"
#include <qcd/store.h>

#define BIRTH_LEN (8 + 1 + 8 + 4)

/* birth_of looks at the open file.  It returns 0 or an errno value.  Overlayfs
 * copies a file of an image only when it is opened for writing: open it so, and
 * a file from an image has a birth of its own in each container. */
QCD_NODISCARD int birth_of(struct sys_birth *out, int fd);

/* birth_is_same tells whether `now` is the file that was `then`: by the inode
 * alone where no time was known then. */
bool birth_is_same(const struct sys_birth *then, const struct sys_birth *now);

void birth_encode(uint8_t out[BIRTH_LEN], const struct sys_birth *birth);

/* birth_decode returns false for octets that birth_encode never writes. */
QCD_NODISCARD bool birth_decode(struct sys_birth *out,
                                const uint8_t in[BIRTH_LEN]);

#endif

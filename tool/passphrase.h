/* SPDX-License-Identifier: Apache-2.0 */
/* passphrase.h: asks for a passphrase, or takes it from a file. */
#ifndef QCD_TOOL_PASSPHRASE_H
#define QCD_TOOL_PASSPHRASE_H

#include "output.h"

#define PASSPHRASE_MIN 12 /* octets of a new one */

/* passphrase is one; wipe it after use. */
typedef struct passphrase {
    size_t len;
    char text[1024];
} passphrase;

/* passphrase_new takes a new one, asked for twice, of PASSPHRASE_MIN octets or
 * more. */
bool passphrase_new(passphrase *out, const options *opts, sentence *why);

/* passphrase_known takes one that somebody has chosen before. */
bool passphrase_known(passphrase *out, const options *opts, sentence *why);

#endif

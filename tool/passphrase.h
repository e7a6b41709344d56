/* SPDX-License-Identifier: Apache-2.0 */
/* passphrase.h: asks for a passphrase, or reads it from a file. */
#ifndef QCD_TOOL_PASSPHRASE_H
#define QCD_TOOL_PASSPHRASE_H

#include "output.h"

#define PASSPHRASE_MIN 12 /* octets of a new passphrase */

/* passphrase is a passphrase; wipe it after use. */
typedef struct passphrase {
    size_t len;
    char text[1024];
} passphrase;

/* passphrase_new gets a new passphrase of PASSPHRASE_MIN octets or more.  It
 * asks for it twice. */
bool passphrase_new(passphrase *out, const options *opts, sentence *why);

/* passphrase_known gets a passphrase that somebody has chosen before. */
bool passphrase_known(passphrase *out, const options *opts, sentence *why);

#endif

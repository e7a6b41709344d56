/* SPDX-License-Identifier: Apache-2.0 */
/* secret.h: what the commands of qcd secret share. */
#ifndef QCD_TOOL_SECRET_H
#define QCD_TOOL_SECRET_H

#include "output.h"
#include <qcd/store.h>

/* secret_may_use tells whether we are the user who owns the folder of the
 * secrets.  If not, `why` says who must run the command. */
bool secret_may_use(const options *opts, sentence *why);

/* secret_identity reads the identity of this machine. */
bool secret_identity(qcd_store_identity *out, sentence *why);

#endif

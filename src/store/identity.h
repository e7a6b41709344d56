/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h: a record of the machine on which a folder was used. */
#ifndef QCD_STORE_IDENTITY_H
#define QCD_STORE_IDENTITY_H

#include <qcd/store.h>

/* identity_print is a record of a machine that reveals nothing about it:
 * machine-id must not be shown outside of its machine (machine-id(5)). */
typedef struct identity_print {
    uint8_t machine[QCD_STORE_MACHINE_LEN]; /* digest of machine-id, or zero */
    bool is_hidden; /* the product has a UUID, but we may not read it */
    uint8_t product[QCD_STORE_MACHINE_LEN]; /* digest of it, or zero */
} identity_print;

void identity_print_make(identity_print *out,
                         const qcd_store_identity *identity);

/* identity_is_same tells whether `now` is the same machine as `then`.  A
 * machine that had no identity then and has one now is another machine: there
 * may be many of these.  A field that was hidden at either time is ignored. */
bool identity_is_same(const identity_print *then, const identity_print *now);

/* identity_keep copies from `then`, which is the same machine, what is hidden
 * now. */
void identity_keep(identity_print *now, const identity_print *then);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h: what secrets are bound to. */
#ifndef QCD_STORE_IDENTITY_H
#define QCD_STORE_IDENTITY_H

#include "store.h"

/* identity_digest makes the digest that stands in the secrets file: machine-id
 * is not to be shown outside of its machine (machine-id(5)).  It is all zero
 * for a machine without an identity. */
void identity_digest(uint8_t out[QCD_STORE_MACHINE_LEN],
                     const qcd_store_identity *identity);

#endif

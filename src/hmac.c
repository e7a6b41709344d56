/* SPDX-License-Identifier: Apache-2.0 */
/* hmac.c: HMAC-SHA-256 whose key is absorbed once and then copied.  This saves
 * half of the compressions of a short message. */
#include "ike.h"

#include <nettle/hmac.h>

_Static_assert(sizeof(struct hmac_sha256_ctx) <= sizeof(qcd_hmac),
               "qcd_hmac must hold nettle's context");
_Static_assert(HMAC_LEN == SHA256_DIGEST_SIZE, "digest size");

void mac_set_key(qcd_hmac *out, const uint8_t *key, size_t key_len)
{
    struct hmac_sha256_ctx ctx;

    memset(&ctx, 0, sizeof(ctx));
    hmac_sha256_set_key(&ctx, key_len, key);
    memset(out, 0, sizeof(*out));
    memcpy(out, &ctx, sizeof(ctx));
    qcd_wipe(&ctx, sizeof(ctx));
}

void mac_digest(uint8_t *out, size_t out_len, const qcd_hmac *hmac,
                const uint8_t *in, size_t in_len)
{
    struct hmac_sha256_ctx ctx;

    memcpy(&ctx, hmac, sizeof(ctx));
    hmac_sha256_update(&ctx, in_len, in);
    hmac_sha256_digest(&ctx, out_len, out);
    qcd_wipe(&ctx, sizeof(ctx));
}

void mac_derive(qcd_hmac *out, const uint8_t key[HMAC_LEN], const char *label)
{
    uint8_t derived[HMAC_LEN];
    qcd_hmac root;

    mac_set_key(&root, key, HMAC_LEN);
    mac_digest(derived, sizeof(derived), &root, (const uint8_t *)label,
               strlen(label));
    mac_set_key(out, derived, sizeof(derived));
    qcd_wipe(derived, sizeof(derived));
    qcd_wipe(&root, sizeof(root));
}

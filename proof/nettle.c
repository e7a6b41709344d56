/* SPDX-License-Identifier: Apache-2.0 */
/* nettle.c: what the proof assumes of nettle.  Each function reads octets that
 * must be there and initialized, and writes unknown ones of the right number.
 * What it computes is nettle's business. */
#include "proof.h"

#include <nettle/cast128.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>

/*@ requires length == 0 || \valid_read(data + (0 .. length - 1));
    requires length == 0 || \initialized(data + (0 .. length - 1));
    assigns \nothing; */
void proof_read(const uint8_t *data, size_t length);

/*@ requires \valid((char *)ctx + (0 .. length - 1));
    requires \initialized((char *)ctx + (0 .. length - 1));
    assigns \nothing; */
void proof_update(const void *ctx, size_t length);

void nettle_hmac_sha256_set_key(struct hmac_sha256_ctx *ctx, size_t length,
                                const uint8_t *key)
{
    proof_read(key, length);
    unknown(ctx, sizeof(*ctx));
}

void nettle_hmac_sha256_update(struct hmac_sha256_ctx *ctx, size_t length,
                               const uint8_t *data)
{
    proof_read(data, length);
    proof_update(ctx, sizeof(*ctx));
    unknown(ctx, sizeof(*ctx));
}

void nettle_hmac_sha256_digest(struct hmac_sha256_ctx *ctx, size_t length,
                               uint8_t *digest)
{
    proof_update(ctx, sizeof(*ctx));
    /*@ assert length <= SHA256_DIGEST_SIZE; */
    unknown(digest, length);
    unknown(ctx, sizeof(*ctx));
}

void nettle_sha256_init(struct sha256_ctx *ctx)
{
    unknown(ctx, sizeof(*ctx));
}

void nettle_sha256_update(struct sha256_ctx *ctx, size_t length,
                          const uint8_t *data)
{
    proof_read(data, length);
    proof_update(ctx, sizeof(*ctx));
    unknown(ctx, sizeof(*ctx));
}

void nettle_sha256_digest(struct sha256_ctx *ctx, size_t length,
                          uint8_t *digest)
{
    proof_update(ctx, sizeof(*ctx));
    /*@ assert length <= SHA256_DIGEST_SIZE; */
    unknown(digest, length);
    unknown(ctx, sizeof(*ctx));
}

void nettle_cast128_set_key(struct cast128_ctx *ctx, const uint8_t *key)
{
    proof_read(key, CAST128_KEY_SIZE);
    unknown(ctx, sizeof(*ctx));
}

static void crypt(const struct cast128_ctx *ctx, size_t length, uint8_t *dst,
                  const uint8_t *src)
{
    /*@ assert \initialized(ctx); */
    /*@ assert length % CAST128_BLOCK_SIZE == 0; */
    proof_read(src, length);
    unknown(dst, length);
}

void nettle_cast128_encrypt(const struct cast128_ctx *ctx, size_t length,
                            uint8_t *dst, const uint8_t *src)
{
    crypt(ctx, length, dst, src);
}

void nettle_cast128_decrypt(const struct cast128_ctx *ctx, size_t length,
                            uint8_t *dst, const uint8_t *src)
{
    crypt(ctx, length, dst, src);
}

int nettle_memeql_sec(const void *a, const void *b, size_t n)
{
    proof_read(a, n);
    proof_read(b, n);
    return Frama_C_interval(0, 1);
}

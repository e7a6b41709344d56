/* SPDX-License-Identifier: Apache-2.0 */
/* taker.c: what a token taker keeps of its peer's tokens, and whether one that
 * it is shown is among them, RFC 6290 sections 3, 4.5 and 5. */
#include <qcd/qcd.h>

#include <assert.h>
#include <nettle/memops.h>
#include <string.h>

#include "ike.h"

_Static_assert(QCD_DIGEST_LEN <= HMAC_LEN, "a digest is a part of an HMAC");

void qcd_digest_key_init(qcd_digest_key *out,
                         const uint8_t key[QCD_RANDOM_KEY_LEN])
{
    mac_set_key(&out->hmac, key, QCD_RANDOM_KEY_LEN);
}

void qcd_digest_key_wipe(qcd_digest_key *key)
{
    qcd_wipe(key, sizeof(*key));
}

/* RFC 6290 section 3 allows to store a digest: who reads the taker's memory
 * after the fact learns no token (RFC 6290 section 9.1). */
static void digest_token(uint8_t out[QCD_DIGEST_LEN], const qcd_digest_key *key,
                         const qcd_token *token)
{
    assert(token->len <= QCD_TOKEN_MAX);
    mac_digest(out, QCD_DIGEST_LEN, &key->hmac, token->octets, token->len);
}

/* Compares with every digest that is held, in constant time.  Only a token that
 * matches tells more than RFC 7296 section 2.4 lets an unprotected message. */
static bool is_held(const qcd_held *held, const uint8_t digest[QCD_DIGEST_LEN])
{
    int any = 0;

    for (size_t i = 0; i < held->num; i++) {
        any |= memeql_sec(held->digests[i], digest, QCD_DIGEST_LEN);
    }
    return any != 0;
}

void qcd_held_store(qcd_held *held, const qcd_digest_key *key,
                    const qcd_token *token)
{
    uint8_t digest[QCD_DIGEST_LEN];

    digest_token(digest, key, token);
    if (is_held(held, digest)) {
        return;
    }
    memcpy(held->digests[held->next], digest, sizeof(digest));
    held->next = (uint8_t)((held->next + 1) % QCD_HELD_MAX);
    if (held->num < QCD_HELD_MAX) {
        held->num++;
    }
}

enum qcd_verdict qcd_held_verify(const qcd_held *held,
                                 const qcd_digest_key *key,
                                 const qcd_message *message)
{
    uint8_t digest[QCD_DIGEST_LEN];
    int any = 0;

    assert(message->num_tokens <= QCD_TOKENS_READ_MAX);
    for (size_t i = 0; i < message->num_tokens; i++) {
        digest_token(digest, key, &message->tokens[i]);
        any |= is_held(held, digest) ? 1 : 0;
    }
    return any != 0 ? QCD_MATCH : QCD_NO_MATCH;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* taker.c: what a token taker keeps of its peer's tokens, and how it checks a
 * token that it is shown, RFC 6290 sections 3, 4.5 and 5. */
#include "parts.h"

#include <assert.h>
#include <nettle/memops.h>

_Static_assert(QCD_DIGEST_LEN <= HMAC_LEN, "a digest is a part of an HMAC");

/* RFC 6290 section 3 allows a taker to store a digest.  An attacker who reads
 * the taker's memory after the fact learns no token (RFC 6290 section 9.1). */
static void digest_token(uint8_t out[QCD_DIGEST_LEN], const qcd_taker *taker,
                         const qcd_token *token)
{
    assert(token->len <= QCD_TOKEN_MAX);
    mac_digest(out, QCD_DIGEST_LEN, &taker->digests, token->octets, token->len);
}

/* Compares with every digest that is held, in constant time.  Only a matching
 * token may have more effect than RFC 7296 section 2.4 allows for an
 * unprotected message. */
static bool is_held(const qcd_held *held, const uint8_t digest[QCD_DIGEST_LEN])
{
    int any = 0;

    for (size_t i = 0; i < held->num; i++) {
        any |= memeql_sec(held->digests[i], digest, QCD_DIGEST_LEN);
    }
    return any != 0;
}

enum qcd_err qcd_taker_init(qcd_taker *out, uint32_t source_rate,
                            const uint8_t random[QCD_RANDOM_KEY_LEN])
{
    memset(out, 0, sizeof(*out));
    if (source_rate > QCD_RATE_MAX) {
        return QCD_ERR_RANGE;
    }
    source_limit_init(&out->sas, source_rate, random);
    pool_init(&out->common, QCD_VERIFY_RATE_COMMON, QCD_VERIFY_RATE_COMMON);
    /* Digests and limits have separate keys. */
    mac_derive(&out->digests, random, "qcd digest key");
    return QCD_OK;
}

void qcd_taker_wipe(qcd_taker *taker)
{
    qcd_wipe(taker, sizeof(*taker));
}

void qcd_taker_store(const qcd_taker *taker, qcd_held *held,
                     const qcd_token *token)
{
    uint8_t digest[QCD_DIGEST_LEN];

    digest_token(digest, taker, token);
    if (is_held(held, digest)) {
        return;
    }
    memcpy(held->digests[held->next], digest, sizeof(digest));
    held->next = (uint8_t)((held->next + 1) % QCD_HELD_MAX);
    if (held->num < QCD_HELD_MAX) {
        held->num++;
    }
}

enum qcd_verdict qcd_taker_check(const qcd_taker *taker, qcd_held *held,
                                 const qcd_message *message)
{
    uint8_t digest[QCD_DIGEST_LEN];
    int any = 0;

    assert(message->num_tokens <= QCD_TOKENS_READ_MAX);
    for (size_t i = 0; i < message->num_tokens; i++) {
        digest_token(digest, taker, &message->tokens[i]);
        any |= is_held(held, digest) ? 1 : 0;
    }
    /* QCD_NO_MATCH, QCD_MATCH or QCD_MATCHED, without a branch. */
    unsigned verdict = (unsigned)any + ((unsigned)any & held->is_shown);
    held->is_shown = held->is_shown | (any != 0);
    return (enum qcd_verdict)verdict;
}

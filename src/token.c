/* SPDX-License-Identifier: Apache-2.0 */
/* token.c: generations of secrets and the tokens derived from them, RFC 6290
 * sections 5.1 and 5.2. */
#include "parts.h"

#include <string.h>

#include "ike.h"

/* RFC 6290 section 9.1: tokens reveal nothing about the secret, or about each
 * other.  The secret itself only derives the key of each purpose, so that a
 * later purpose can't be played off against this one. */
static const char token_label[] = "qcd token key, RFC 6290 section 5";

static void generation_init(qcd_hmac *out, const qcd_secret *secret)
{
    uint8_t key[HMAC_LEN];
    qcd_hmac root;

    mac_set_key(&root, secret->octets, sizeof(secret->octets));
    mac_digest(key, sizeof(key), &root, (const uint8_t *)token_label,
               sizeof(token_label) - 1);
    mac_set_key(out, key, sizeof(key));
    qcd_wipe(key, sizeof(key));
    qcd_wipe(&root, sizeof(root));
}

enum qcd_err keys_init(qcd_keys *out, const qcd_secret *secrets,
                       size_t num_secrets)
{
    memset(out, 0, sizeof(*out));
    if (num_secrets == 0 || num_secrets > QCD_GENERATIONS_MAX) {
        return QCD_ERR_RANGE;
    }
    for (size_t i = 0; i < num_secrets; i++) {
        generation_init(&out->generations[i], &secrets[i]);
    }
    out->num_generations = num_secrets;
    return QCD_OK;
}

void keys_rotate(qcd_keys *keys, const qcd_secret *newest)
{
    if (keys->num_generations < QCD_GENERATIONS_MAX) {
        keys->num_generations++;
    }
    for (size_t i = keys->num_generations - 1; i > 0; i--) {
        keys->generations[i] = keys->generations[i - 1];
    }
    generation_init(&keys->generations[0], newest);
    keys->newest++;
}

void keys_wipe(qcd_keys *keys)
{
    qcd_wipe(keys, sizeof(*keys));
}

enum qcd_err token_make(qcd_token *out, const recipe *of, size_t generation,
                        const qcd_ike_sa *sa)
{
    uint8_t input[1 + 2 * QCD_SPI_LEN + 16];
    wr w;

    memset(out, 0, sizeof(*out));
    if (generation >= of->keys->num_generations ||
        of->token_len < QCD_TOKEN_MIN || of->token_len > QCD_TOKEN_MADE_MAX ||
        (of->taker != NULL && !address_is_valid(of->taker))) {
        return QCD_ERR_RANGE;
    }
    /* The length of the input distinguishes the forms of sections 5.1 and
     * 5.2. */
    wr_init(&w, input, sizeof(input));
    wr_u8(&w, (uint8_t)sa->role);
    wr_bytes(&w, sa->spis.initiator.octets, QCD_SPI_LEN);
    wr_bytes(&w, sa->spis.responder.octets, QCD_SPI_LEN);
    if (of->taker != NULL) {
        wr_bytes(&w, of->taker->octets, of->taker->len);
    }
    mac_digest(out->octets, of->token_len, &of->keys->generations[generation],
               input, w.len);
    out->len = (uint8_t)of->token_len;
    return QCD_OK;
}

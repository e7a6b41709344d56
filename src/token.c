/* SPDX-License-Identifier: Apache-2.0 */
/* token.c: generations of secrets and the tokens derived from them, RFC 6290
 * sections 5.1 and 5.2. */
#include "parts.h"

/* RFC 6290 section 9.1: tokens reveal nothing about the secret, or about each
 * other.  The secret itself only derives the key of each purpose, so that a
 * later purpose can't be played off against this one. */
static const char token_label[] = "qcd token key, RFC 6290 section 5";

enum qcd_err keys_init(qcd_keys *out, const qcd_secret *secrets,
                       size_t num_secrets)
{
    memset(out, 0, sizeof(*out));
    if (num_secrets == 0 || num_secrets > QCD_GENERATIONS_MAX) {
        return QCD_ERR_RANGE;
    }
    for (size_t i = 0; i < num_secrets; i++) {
        mac_derive(&out->generations[i], secrets[i].octets, token_label);
    }
    out->num_generations = num_secrets;
    return QCD_OK;
}

void qcd_maker_rotate(qcd_maker *maker, const qcd_secret *newest)
{
    qcd_keys *keys = &maker->keys;

    if (keys->num_generations < QCD_GENERATIONS_MAX) {
        keys->num_generations++;
    }
    for (size_t i = keys->num_generations - 1; i > 0; i--) {
        keys->generations[i] = keys->generations[i - 1];
    }
    mac_derive(&keys->generations[0], newest->octets, token_label);
    keys->newest++;
}

enum qcd_err token_make(const qcd_maker *maker, qcd_token *out,
                        const qcd_ike_sa *sa, size_t generation,
                        const qcd_address *taker)
{
    uint8_t input[1 + sizeof(sa->spis) + sizeof(taker->octets)];
    uint8_t len = maker->settings.token_len;
    wr w;

    memset(out, 0, sizeof(*out));
    if (generation >= maker->keys.num_generations || len < QCD_TOKEN_MIN ||
        len > QCD_TOKEN_MADE_MAX ||
        (maker->settings.is_bound && !address_is_valid(taker))) {
        return QCD_ERR_RANGE;
    }
    /* The length of the input distinguishes the forms of sections 5.1 and
     * 5.2. */
    wr_init(&w, input, sizeof(input));
    wr_u8(&w, (uint8_t)sa->role);
    wr_bytes(&w, &sa->spis, sizeof(sa->spis));
    if (maker->settings.is_bound) {
        wr_bytes(&w, taker->octets, taker->len);
    }
    mac_digest(out->octets, len, &maker->keys.generations[generation], input,
               w.len);
    out->len = len;
    return QCD_OK;
}

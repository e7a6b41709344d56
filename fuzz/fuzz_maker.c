/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_maker.c: any octets as a request to a maker that has live, dead and
 * buried SAs.  Never is a response answered, nor a message without an Encrypted
 * payload to its end; never does a reply exceed its bound, never is a token of
 * a live SA shown (RFC 6290 section 9.2).
 *
 * The first octet chooses the SPIs, which no fuzzer guesses: its lower half
 * that of the initiator, its upper half that of the responder.  The rest is
 * the datagram. */
#include "fuzz.h"

enum { NODE = 7, FIRST_RUN = 10, RUN = 12 };
enum { AS_IS, PEER, DEAD, LIVE, BURIED, FUTURE, OTHER_NODE, NUM_SPIS };

static struct maker {
    bool is_ready;
    qcd_seal seal;
    qcd_mint mint;
    qcd_keys keys;
    qcd_graveyard graveyard;
    qcd_reply_limit limit;
    uint64_t now_ms;
    qcd_spi spis[NUM_SPIS];
} maker;

static qcd_spi sealed(uint8_t node, uint16_t run)
{
    const qcd_origin origin = {node, run, 3};
    qcd_spi spi;

    DEMAND(qcd_spi_seal(&spi, &maker.seal, &origin) == QCD_OK);
    return spi;
}

static void make_maker(void)
{
    qcd_secret secrets[QCD_GENERATIONS_MAX];
    uint8_t key[QCD_RANDOM_KEY_LEN] = {1, 2, 3};

    for (size_t i = 0; i < sizeof(secrets); i++) {
        secrets[i / QCD_SECRET_LEN].octets[i % QCD_SECRET_LEN] = (uint8_t)i;
    }
    DEMAND(qcd_keys_init(&maker.keys, secrets, QCD_GENERATIONS_MAX) == QCD_OK);
    DEMAND(qcd_reply_limit_init(&maker.limit, 1000, 2000, 10, key) == QCD_OK);
    qcd_seal_init(&maker.seal, key);
    qcd_mint_init(&maker.mint, NODE, FIRST_RUN);
    DEMAND(qcd_mint_next_run(&maker.mint, RUN) == QCD_OK);
    maker.mint.counter = 1000;
    memset(&maker.spis[PEER], 0x33, sizeof(qcd_spi));
    maker.spis[DEAD] = sealed(NODE, FIRST_RUN - 1);
    maker.spis[LIVE] = sealed(NODE, RUN);
    maker.spis[BURIED] = sealed(NODE, FIRST_RUN);
    maker.spis[FUTURE] = sealed(NODE, RUN + 1);
    maker.spis[OTHER_NODE] = sealed(NODE + 1, FIRST_RUN - 1);

    const qcd_spis buried = {maker.spis[PEER], maker.spis[BURIED]};
    qcd_graveyard_bury(&maker.graveyard, &buried, QCD_RESPONDER);
    maker.is_ready = true;
}

static bool is_spi(const qcd_spi *spi, int which)
{
    return memcmp(spi, &maker.spis[which], sizeof(*spi)) == 0;
}

/* The only reasons for an answer there may be. */
static bool is_dead(const qcd_header *h)
{
    bool from_initiator = (h->flags & QCD_FLAG_INITIATOR) != 0;
    const qcd_spi *local =
        from_initiator ? &h->spis.responder : &h->spis.initiator;

    return is_spi(local, DEAD) || (from_initiator && is_spi(local, BURIED) &&
                                   is_spi(&h->spis.initiator, PEER));
}

static bool shows(const uint8_t *out, size_t out_len, const qcd_token *token)
{
    for (size_t i = 0; i + token->len <= out_len; i++) {
        if (memcmp(out + i, token->octets, token->len) == 0) {
            return true;
        }
    }
    return false;
}

/* Of all live SAs whose SPIs can be among those of the request. */
static void check_no_live_token(const uint8_t *out, size_t out_len,
                                const qcd_header *h)
{
    const qcd_spi *live = &maker.spis[LIVE];
    const qcd_spi *remotes[] = {&h->spis.initiator, &h->spis.responder};

    for (unsigned i = 0; i < 4 * QCD_GENERATIONS_MAX; i++) {
        enum qcd_role role = (i & 1) != 0 ? QCD_INITIATOR : QCD_RESPONDER;
        const qcd_spi *remote = remotes[i >> 1 & 1];
        qcd_spis spis = {*remote, *live};
        qcd_token token;

        if (role == QCD_INITIATOR) {
            spis = (qcd_spis){*live, *remote};
        }
        DEMAND(qcd_token_make(&token, &maker.keys, i >> 2, &spis, role, NULL,
                              QCD_TOKEN_MIN) == QCD_OK);
        DEMAND(!shows(out, out_len, &token));
    }
}

/* RFC 7296 section 3.14 and RFC 7383 section 2.5: behind the header stands one
 * payload, of type 46 or 53, and it is no shorter than any cipher makes it. */
static void check_payload(const uint8_t *in, size_t in_len)
{
    bool is_fragment = in[16] == 53;

    DEMAND(in[16] == 46 || is_fragment);
    DEMAND(in_len >= (is_fragment ? 28 + 25 : 28 + 21));
    DEMAND((size_t)(in[30] << 8 | in[31]) == in_len - 28);
    DEMAND(!is_fragment || (in[32] == 0 && in[33] == 1));
    DEMAND(!is_fragment || (in[34] | in[35]) != 0);
}

/* Each is of another generation, whichever is first. */
static void check_generations(const qcd_message *m, enum qcd_role role)
{
    unsigned seen = 0;

    for (size_t i = 0; i < m->num_tokens; i++) {
        for (size_t g = 0; g < QCD_GENERATIONS_MAX; g++) {
            qcd_token made;

            DEMAND(qcd_token_make(&made, &maker.keys, g, &m->header.spis, role,
                                  NULL, m->tokens[i].len) == QCD_OK);
            if (memcmp(&made, &m->tokens[i], sizeof(made)) == 0) {
                DEMAND((seen & 1u << g) == 0);
                seen |= 1u << g;
            }
        }
    }
    DEMAND(__builtin_popcount(seen) == (int)m->num_tokens);
}

static void check_answer(const qcd_header *h, size_t in_len)
{
    static const size_t token_lens[] = {QCD_TOKEN_MIN, QCD_TOKEN_MADE_MAX};

    DEMAND(h->length == in_len);
    DEMAND((h->flags & QCD_FLAG_RESPONSE) == 0);
    DEMAND(is_dead(h));
    for (size_t i = 0; i < 2; i++) {
        uint8_t out[QCD_MESSAGE_MAX];
        qcd_message m;
        size_t out_len;

        enum qcd_err err = qcd_maker_reply(
            out, &out_len, sizeof(out), h,
            &(qcd_show){&maker.keys, NULL, token_lens[i], maker.now_ms});
        DEMAND(err == QCD_OK || err == QCD_ERR_NOBUF);
        DEMAND(out_len <= in_len * QCD_AMPLIFICATION_MAX);
        if (err != QCD_OK) {
            DEMAND(out_len == 0 && fuzz_is_zero(out, sizeof(out)));
            continue;
        }
        DEMAND(qcd_message_decode(&m, out, out_len) == QCD_OK);
        DEMAND(m.cause == QCD_CAUSE_INVALID_IKE_SPI && m.num_tokens > 0);
        DEMAND(memcmp(&m.header.spis, &h->spis, sizeof(qcd_spis)) == 0);
        DEMAND(m.header.message_id == h->message_id);
        DEMAND(m.header.exchange_type == h->exchange_type);
        DEMAND((m.header.flags & QCD_FLAG_RESPONSE) != 0);
        DEMAND(((m.header.flags ^ h->flags) & QCD_FLAG_INITIATOR) != 0);
        check_generations(&m, qcd_header_local_role(h));
        check_no_live_token(out, out_len, h);
    }
}

static void choose_spi(uint8_t *spi, unsigned choice)
{
    if (choice % NUM_SPIS != AS_IS) {
        memcpy(spi, &maker.spis[choice % NUM_SPIS], QCD_SPI_LEN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    const qcd_address source = {4, {192, 0, 2, 1}};

    if (!maker.is_ready) {
        make_maker();
    }
    if (in_len == 0) {
        return 0;
    }
    size_t len = in_len - 1;
    uint8_t *datagram = malloc(len > 0 ? len : 1);
    DEMAND(datagram != NULL);
    memcpy(datagram, in + 1, len);
    if (len >= 2 * (size_t)QCD_SPI_LEN) {
        choose_spi(datagram, in[0] & 15);
        choose_spi(datagram + QCD_SPI_LEN, in[0] >> 4);
    }
    qcd_header h;
    const qcd_packet packet = {
        .octets = datagram, .len = len, .source = source};
    maker.now_ms += 200; /* within the limits, so that answers are seen */
    enum qcd_judgement said =
        qcd_maker_judge(&h, &maker.limit, &maker.graveyard, &maker.seal,
                        &maker.mint, NULL, &packet, maker.now_ms);
    if (said == QCD_ANSWER) {
        check_payload(datagram, len);
        check_answer(&h, len);
    } else {
        DEMAND(fuzz_is_zero(&h, sizeof(h)));
        DEMAND(said != QCD_SILENT_LIMIT);
    }
    free(datagram);
    return 0;
}

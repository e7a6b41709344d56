/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_maker.c: any octets as a request to a maker that has live, dead and
 * buried SAs.  The maker never replies to a response, or to a message without
 * an Encrypted payload that extends to its end.  A reply never exceeds its
 * bound.  A token of a live SA is never shown (RFC 6290 section 9.2).
 *
 * The first octet chooses the SPIs, which no fuzzer can guess: its lower half
 * that of the initiator, its upper half that of the responder.  The rest is the
 * datagram. */
#include "fuzz.h"

#include "parts.h"

enum { NODE = 7, FIRST_RUN = 10, RUN = 12 };
enum { AS_IS, PEER, DEAD, LIVE, BURIED, FUTURE, OTHER_NODE, NUM_SPIS };

static qcd_maker maker;
static bool is_ready;
static uint64_t now_ms;
static qcd_spi spis_of[NUM_SPIS];

static qcd_spi sealed(uint8_t node, uint16_t run)
{
    const qcd_origin origin = {node, run, 3};
    qcd_spi spi;

    DEMAND(spi_seal(&spi, &maker.seal, &origin) == QCD_OK);
    return spi;
}

static void make_maker(void)
{
    const qcd_maker_settings settings = {.node = NODE,
                                         .token_len = QCD_TOKEN_MIN,
                                         .reply_rate = 1000,
                                         .reply_burst = 2000,
                                         .source_rate = 10};
    qcd_maker_state state = {.seal_key = {1, 2, 3},
                             .num_secrets = QCD_GENERATIONS_MAX,
                             .run = FIRST_RUN,
                             .random = {1, 2, 3}};

    for (size_t i = 0; i < sizeof(state.secrets); i++) {
        state.secrets[i / QCD_SECRET_LEN].octets[i % QCD_SECRET_LEN] =
            (uint8_t)i;
    }
    DEMAND(qcd_maker_init(&maker, &settings, &state) == QCD_OK);
    DEMAND(qcd_maker_next_run(&maker, RUN) == QCD_OK);
    maker.mint.counter = 1000;
    memset(&spis_of[PEER], 0x33, sizeof(qcd_spi));
    spis_of[DEAD] = sealed(NODE, FIRST_RUN - 1);
    spis_of[LIVE] = sealed(NODE, RUN);
    spis_of[BURIED] = sealed(NODE, FIRST_RUN);
    spis_of[FUTURE] = sealed(NODE, RUN + 1);
    spis_of[OTHER_NODE] = sealed(NODE + 1, FIRST_RUN - 1);

    const qcd_spis buried = {spis_of[PEER], spis_of[BURIED]};
    qcd_maker_bury(&maker, &(qcd_ike_sa){buried, QCD_RESPONDER},
                   &(qcd_promise){.is_given = true});
    is_ready = true;
}

static bool is_spi(const qcd_spi *spi, int which)
{
    return memcmp(spi, &spis_of[which], sizeof(*spi)) == 0;
}

/* Tells whether there is a reason for a reply: no other reason is valid. */
static bool is_dead(const qcd_header *h)
{
    bool from_initiator = (h->flags & QCD_FLAG_INITIATOR) != 0;
    const qcd_spi *local =
        from_initiator ? &h->spis.responder : &h->spis.initiator;

    return is_spi(local, DEAD) || (from_initiator && is_spi(local, BURIED) &&
                                   is_spi(&h->spis.initiator, PEER));
}

static bool shows(const qcd_datagram *out, const qcd_token *token)
{
    for (size_t i = 0; i + token->len <= out->len; i++) {
        if (memcmp(out->octets + i, token->octets, token->len) == 0) {
            return true;
        }
    }
    return false;
}

/* Checks the tokens of all live SAs whose SPIs can be among those of the
 * request. */
static void check_no_live_token(const qcd_datagram *out, const qcd_header *h)
{
    const qcd_spi *live = &spis_of[LIVE];
    const qcd_spi *remotes[] = {&h->spis.initiator, &h->spis.responder};

    for (unsigned i = 0; i < 4 * QCD_GENERATIONS_MAX; i++) {
        enum qcd_role role = (i & 1) != 0 ? QCD_INITIATOR : QCD_RESPONDER;
        const qcd_spi *remote = remotes[i >> 1 & 1];
        qcd_spis spis = {*remote, *live};
        qcd_token token;

        if (role == QCD_INITIATOR) {
            spis = (qcd_spis){*live, *remote};
        }
        const qcd_ike_sa sa = {spis, role};
        DEMAND(token_make(&maker, &token, &sa, i >> 2, NULL) == QCD_OK);
        token.len = QCD_TOKEN_MIN; /* its first octets are enough */
        DEMAND(!shows(out, &token));
    }
}

/* RFC 7296 section 3.14 and RFC 7383 section 2.5: the header is followed by one
 * payload, of type 46 or 53, which is no shorter than any cipher makes it. */
static void check_payload(const uint8_t *in, size_t in_len)
{
    bool is_fragment = in[16] == 53;

    DEMAND(in[16] == 46 || is_fragment);
    DEMAND(in_len >= (is_fragment ? 28 + 25 : 28 + 21));
    DEMAND((size_t)(in[30] << 8 | in[31]) == in_len - 28);
    DEMAND(!is_fragment || (in[32] == 0 && in[33] == 1));
    DEMAND(!is_fragment || (in[34] | in[35]) != 0);
}

/* Each token is of another generation, whichever is first. */
static void check_generations(const qcd_message *m, enum qcd_role role)
{
    unsigned seen = 0;

    for (size_t i = 0; i < m->num_tokens; i++) {
        for (size_t g = 0; g < QCD_GENERATIONS_MAX; g++) {
            qcd_token made;

            const qcd_ike_sa sa = {m->header.spis, role};
            DEMAND(token_make(&maker, &made, &sa, g, NULL) == QCD_OK);
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
    static const uint8_t token_lens[] = {QCD_TOKEN_MIN, QCD_TOKEN_MADE_MAX};

    DEMAND(h->length == in_len);
    DEMAND((h->flags & QCD_FLAG_RESPONSE) == 0);
    DEMAND(is_dead(h));
    for (size_t i = 0; i < 2; i++) {
        const qcd_address taker = {4, {192, 0, 2, 1}};
        qcd_datagram out;
        qcd_message m;

        maker.settings.token_len = token_lens[i];
        enum qcd_err err = qcd_maker_reply(&maker, &out, h, &taker, now_ms);
        DEMAND(err == QCD_OK || err == QCD_ERR_NOBUF);
        DEMAND(out.len <= in_len * OCTETS_FOR_ONE);
        if (err != QCD_OK) {
            DEMAND(fuzz_is_zero(&out, sizeof(out)));
            continue;
        }
        DEMAND(qcd_message_decode(&m, out.octets, out.len) == QCD_OK);
        DEMAND(m.cause == QCD_CAUSE_INVALID_IKE_SPI && m.num_tokens > 0);
        DEMAND(memcmp(&m.header.spis, &h->spis, sizeof(qcd_spis)) == 0);
        DEMAND(m.header.message_id == h->message_id);
        DEMAND(m.header.exchange_type == h->exchange_type);
        DEMAND((m.header.flags & QCD_FLAG_RESPONSE) != 0);
        DEMAND(((m.header.flags ^ h->flags) & QCD_FLAG_INITIATOR) != 0);
        check_generations(&m, qcd_header_local_role(h));
        check_no_live_token(&out, h);
    }
}

static void choose_spi(uint8_t *spi, unsigned choice)
{
    if (choice % NUM_SPIS != AS_IS) {
        memcpy(spi, &spis_of[choice % NUM_SPIS], QCD_SPI_LEN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    const qcd_address source = {4, {192, 0, 2, 1}};

    if (!is_ready) {
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
    now_ms += 200; /* within the limits, so that there are replies */
    enum qcd_judgement said = qcd_maker_judge(&maker, &h, &packet, now_ms);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_peers_shown.c: the steps of fuzz_peers.c in which tokens are shown, to
 * the gateway's peer or to an attacker. */
#include "fuzz_peers.h"

/* ---- What the gateway sends -------------------------------------------- */

static bool shows(const qcd_datagram *out, const qcd_token *token)
{
    for (size_t i = 0; i + QCD_TOKEN_MIN <= out->len; i++) {
        if (memcmp(out->octets + i, token->octets, QCD_TOKEN_MIN) == 0) {
            return true;
        }
    }
    return false;
}

/* No token of any live SA is shown, of any generation, in any role, for any
 * address (RFC 6290 section 9.2). */
static void check_no_live_token(const qcd_datagram *out)
{
    size_t num = world.settings.is_bound ? NUM_ADDRESSES - 1 : 1;

    for (size_t i = 0; i < NUM_SAS * QCD_GENERATIONS_MAX * 2 * num; i++) {
        const sa *s = &world.sas[i % NUM_SAS];
        size_t generation = i / NUM_SAS % QCD_GENERATIONS_MAX;
        size_t rest = i / NUM_SAS / QCD_GENERATIONS_MAX;
        qcd_ike_sa either = s->ike;
        qcd_token token;

        either.role = rest % 2 == 0 ? QCD_INITIATOR : QCD_RESPONDER;
        if (s->fate == LIVE &&
            token_make(&world.maker, &token, &either, generation,
                       &addresses[rest / 2]) == QCD_OK) {
            DEMAND(!shows(out, &token));
        }
    }
}

static bool was_given(const sa *s, const qcd_message *m)
{
    for (size_t i = 0; i < m->num_tokens * s->num_tokens; i++) {
        if (memcmp(&m->tokens[i % m->num_tokens], &s->tokens[i / m->num_tokens],
                   sizeof(qcd_token)) == 0) {
            return true;
        }
    }
    return false;
}

/* The peer receives a message about one of its SAs.  Only a token that equals
 * one that it was given is a verdict. */
static enum qcd_verdict peer_checks(sa *s, const qcd_message *m)
{
    const qcd_address *source =
        &addresses[world.num_answers % (NUM_ADDRESSES - 1)];

    if (!qcd_taker_may_check(&world.taker, source, &m->header.spis,
                             world.now_ms)) {
        return QCD_NO_MATCH;
    }
    DEMAND(world.taker.sas.interval != 0);
    enum qcd_verdict verdict = qcd_taker_check(&world.taker, &s->held, m);
    enum qcd_verdict if_given = s->is_shown ? QCD_MATCHED : QCD_MATCH;
    DEMAND(verdict == (was_given(s, m) ? if_given : QCD_NO_MATCH));
    s->is_shown = s->is_shown || verdict != QCD_NO_MATCH;
    return verdict;
}

/* check_sent checks what the gateway sends in reply to `asked` octets. */
static void check_sent(const qcd_datagram *out, size_t asked)
{
    qcd_message m;

    DEMAND(out->len <= asked * OCTETS_FOR_ONE);
    DEMAND(qcd_message_decode(&m, out->octets, out->len) == QCD_OK);
    DEMAND(m.num_tokens >= 1 && m.num_tokens <= QCD_TOKENS_SENT_MAX);
    check_no_live_token(out);
    for (size_t i = 0; i < NUM_SAS; i++) {
        sa *s = &world.sas[i];
        if (s->fate != NONE &&
            memcmp(&s->ike.spis, &m.header.spis, sizeof(m.header.spis)) == 0) {
            /* Its peer drops an SA only if the gateway has none. */
            DEMAND(peer_checks(s, &m) == QCD_NO_MATCH || s->fate != LIVE);
        }
    }
}

/* The pools together let no more through than the rate. */
static void count_answer(void)
{
    uint64_t passed = world.now_ms - world.started_ms;

    world.num_answers++;
    DEMAND(world.num_answers <= world.settings.reply_burst +
                                    world.settings.reply_rate * passed / 1000 +
                                    3);
}

/* ---- Requests ---------------------------------------------------------- */

/* An SPI of one of the SAs, of another gateway, whose place we may take or not,
 * or the octets of the input. */
static void next_spi(qcd_spi *out)
{
    const sa *s = next_sa();
    uint8_t choice = next_u8();
    const qcd_origin other = {choice / 4 % 2 == 0 ? PARTNER : STRANGER, 3, 5};

    switch (choice % 4) {
    case 0:
        *out = *qcd_ike_sa_local(&s->ike);
        break;
    case 1:
        *out = *qcd_ike_sa_remote(&s->ike);
        break;
    case 2:
        DEMAND(spi_seal(out, &world.maker.seal, &other) == QCD_OK);
        break;
    default:
        rd_copy(&world.r, out->octets, QCD_SPI_LEN);
    }
}

/* The SA whose local SPI the request names is surely dead, or was another
 * gateway's and came to the address that we have taken. */
static void check_reason(const qcd_header *h, const qcd_packet *packet)
{
    const qcd_ike_sa named = {h->spis, qcd_header_local_role(h)};
    const qcd_spi *local = qcd_ike_sa_local(&named);

    for (size_t i = 0; i < NUM_SAS; i++) {
        const sa *s = &world.sas[i];
        if (s->fate != NONE &&
            memcmp(qcd_ike_sa_local(&s->ike), local, sizeof(*local)) == 0) {
            DEMAND(s->fate == LOST || s->fate == BURIED);
            DEMAND(s->fate == LOST || named.role == s->ike.role);
            DEMAND(s->fate == LOST ||
                   memcmp(&named.spis, &s->ike.spis, sizeof(qcd_spis)) == 0);
            return;
        }
    }
    /* The fuzzer may know an SPI of an earlier run from another input. */
    qcd_origin origin;
    DEMAND(spi_open(&origin, &world.maker.seal, local));
    if (origin.node == NODE) {
        DEMAND(origin.run < world.maker.mint.first_run);
        return;
    }
    DEMAND(origin.node == PARTNER);
    DEMAND(world.settings.takeover.address.len != 0);
    DEMAND(memcmp(&packet->destination, &addresses[1], sizeof(qcd_address)) ==
           0);
}

static void ask(const qcd_packet *packet)
{
    qcd_header h;
    qcd_datagram out;

    enum qcd_judgement said =
        qcd_maker_judge(&world.maker, &h, packet, world.now_ms);
    if (said != QCD_ANSWER) {
        DEMAND(fuzz_is_zero(&h, sizeof(h)));
        return;
    }
    count_answer();
    check_reason(&h, packet);
    enum qcd_err err =
        qcd_maker_reply(&world.maker, &out, &h, &packet->source, world.now_ms);
    if (err == QCD_OK) {
        check_sent(&out, packet->len);
    } else {
        DEMAND(err == QCD_ERR_NOBUF && fuzz_is_zero(&out, sizeof(out)));
    }
}

/* A request of `len` octets, most of them zero. */
void step_request(void)
{
    uint8_t *datagram = calloc(1, REQUEST_MAX);
    size_t len = QCD_HEADER_LEN + next_u8() * 4u;
    qcd_header h = {.next_payload =
                        next_u8() % 4 == 0 ? PAYLOAD_SKF : PAYLOAD_SK,
                    .version = IKE_MAJOR_VERSION << 4,
                    .exchange_type = next_u8(),
                    .flags = next_u8(),
                    .message_id = next_u8(),
                    .length = (uint32_t)len};
    const uint8_t fragment[] = {0, 1, 0, 1};
    wr w;

    DEMAND(datagram != NULL);
    next_spi(&h.spis.initiator);
    next_spi(&h.spis.responder);
    wr_init(&w, datagram, REQUEST_MAX);
    header_write(&w, &h);
    wr_be16(&w, 0);
    wr_be16(&w, (uint16_t)(len - QCD_HEADER_LEN));
    wr_bytes(&w, fragment, sizeof(fragment));
    const qcd_packet packet = {.octets = datagram,
                               .len = len,
                               .source = next_address(false),
                               .destination = next_address(false),
                               .is_home = next_u8() % 2 == 0};
    ask(&packet);
    free(datagram);
}

/* ---- ESP of lost SAs --------------------------------------------------- */

/* Another node may have its SA, whatever our map says. */
static void check_other_node(qcd_lost lost)
{
    const qcd_origin other = {PARTNER, 3, 5};
    qcd_spi *local = lost.sa.role == QCD_INITIATOR ? &lost.sa.spis.initiator
                                                   : &lost.sa.spis.responder;

    DEMAND(spi_seal(local, &world.maker.seal, &other) == QCD_OK);
    DEMAND(!qcd_maker_is_lost(&world.maker, &lost.sa));
    DEMAND(qcd_maker_judge_lost(&world.maker, &lost, NULL, world.now_ms) !=
           QCD_ANSWER);
}

static void tell(sa *s, const qcd_lost *lost, const qcd_traffic *packet)
{
    qcd_datagram out;

    enum qcd_judgement said =
        qcd_maker_judge_lost(&world.maker, lost, packet, world.now_ms);
    if (said != QCD_ANSWER) {
        return;
    }
    count_answer();
    DEMAND(s->fate == LOST);
    if (packet != NULL) {
        DEMAND(s->told_ms == 0 || world.now_ms - s->told_ms >= 1000);
        s->told_ms = world.now_ms;
    }
    enum qcd_err err =
        qcd_maker_tell(&world.maker, &out, lost, packet, world.now_ms);
    DEMAND(err == QCD_OK);
    check_sent(&out, packet != NULL ? packet->len : sizeof(out.octets));
}

void step_lost(void)
{
    sa *s = next_sa();
    qcd_lost lost = {.sa = s->ike,
                     .child_spi = {{1, 2, 3, next_u8()}, QCD_ESP},
                     .peer = next_address(true),
                     .peer_port = next_u8()};
    uint8_t choice = next_u8();
    qcd_traffic packet = {.source = next_address(false),
                          .source_port = next_u8(),
                          .encap = (choice & 1) != 0,
                          .len = next_u8()};

    /* What the map says of the role may be wrong. */
    if ((choice & 4) != 0) {
        lost.sa.role = (enum qcd_role)next_u8();
    }
    check_other_node(lost);
    if (lost.sa.role == s->ike.role) {
        tell(s, &lost, (choice & 2) != 0 ? NULL : &packet);
    } else {
        DEMAND(qcd_maker_judge_lost(&world.maker, &lost, NULL, world.now_ms) ==
               QCD_SILENT_NO_EVIDENCE);
    }
}

/* ---- The attacker ------------------------------------------------------ */

/* The attacker shows the peer tokens: any octets, and those of other SAs. */
void step_forge(void)
{
    sa *s = next_sa();
    const sa *other = next_sa();
    qcd_message m = {
        .header = {.spis = s->ike.spis, .version = IKE_MAJOR_VERSION << 4},
        .cause = QCD_CAUSE_INVALID_IKE_SPI};
    uint8_t len = next_u8() % (QCD_TOKEN_MAX + 1);

    rd_copy(&world.r, m.tokens[0].octets, len);
    m.tokens[0].len = len;
    m.num_tokens = 1;
    for (size_t i = 0; i < other->num_tokens; i++) {
        m.tokens[m.num_tokens] = other->tokens[i];
        m.tokens[m.num_tokens].octets[0] ^= next_u8();
        m.num_tokens++;
    }
    (void)peer_checks(s, &m);
}

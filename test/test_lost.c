/* SPDX-License-Identifier: Apache-2.0 */
/* test_lost.c: what src/maker.c does for SAs that a crash took, RFC 6290
 * section 8.2. */
#include "test.h"

#include "ike.h"
#include "shown.h"

enum { NODE = 7, FIRST_RUN = 10, RUN = 12, START_MS = 123456789, NO_ROLE = 3 };

static qcd_maker maker;
static uint8_t key[QCD_RANDOM_KEY_LEN];
enum { TOKEN_LEN = 32, PEER_PORT = 4500 };
static const qcd_address peer = {4, {192, 0, 2, 1}};
static const qcd_address stranger = {4, {198, 51, 100, 1}};

static void set_limits(uint32_t rate, uint32_t burst, uint32_t rate_source)
{
    assert_int_equal(
        reply_limit_init(&maker.replies, rate, burst, rate_source, key),
        QCD_OK);
    lost_limit_init(&maker.lost, key);
}

static int set_up(void **state)
{
    const qcd_maker_settings settings = {.node = NODE, .token_len = TOKEN_LEN};
    qcd_maker_state begin = {.num_secrets = QCD_GENERATIONS_MAX,
                             .run = FIRST_RUN};

    (void)state;
    count_up(key, 1, sizeof(key));
    count_up(begin.seal_key, 1, sizeof(begin.seal_key));
    count_up(begin.secrets, 0, sizeof(begin.secrets));
    assert_int_equal(qcd_maker_init(&maker, &settings, &begin), QCD_OK);
    assert_int_equal(qcd_maker_next_run(&maker, RUN), QCD_OK);
    maker.mint.counter = 1000;
    set_limits(QCD_RATE_MAX, QCD_RATE_MAX, QCD_RATE_MAX);
    return 0;
}

static qcd_spi sealed(uint8_t node, uint16_t run, uint32_t counter)
{
    const qcd_origin origin = {node, run, counter};
    qcd_spi spi;

    assert_int_equal(spi_seal(&spi, &maker.seal, &origin), QCD_OK);
    return spi;
}

enum which { PEER, ZERO, DEAD, LIVE, OLDER_LIVE, FUTURE, OTHER_NODE, NUM_SPIS };

static const char *const which_names[] = {
    "peer", "zero", "dead", "live", "older live", "future", "other node"};

static qcd_spi spi_which(enum which which)
{
    qcd_spi spi = {{0}};

    switch (which) {
    case ZERO:
        return spi;
    case DEAD:
        return sealed(NODE, FIRST_RUN - 1, 3);
    case LIVE:
        return sealed(NODE, RUN, 3);
    case OLDER_LIVE:
        return sealed(NODE, FIRST_RUN, 3);
    case FUTURE:
        return sealed(NODE, RUN + 1, 3);
    case OTHER_NODE:
        return sealed(NODE + 1, FIRST_RUN - 1, 3);
    case PEER:
    case NUM_SPIS:
    default:
        count_up(&spi, 0x21, sizeof(spi));
        return spi;
    }
}

/* A child of an SA that died with its run, in which we had `role`. */
static qcd_lost lost_in(enum qcd_role role)
{
    qcd_lost lost = {.sa = {{spi_which(PEER), spi_which(DEAD)}, role},
                     .child_spi = {{0xc1, 0xc2, 0xc3, 0xc4}, QCD_ESP},
                     .peer = peer,
                     .peer_port = PEER_PORT};

    if (role == QCD_INITIATOR) {
        lost.sa.spis = (qcd_spis){spi_which(DEAD), spi_which(PEER)};
    }
    return lost;
}

static qcd_lost lost_numbered(uint32_t n)
{
    qcd_lost lost = lost_in(QCD_RESPONDER);

    lost.sa.spis.responder = sealed(NODE, FIRST_RUN - 1, n);
    return lost;
}

static enum qcd_judgement judge_packet(const qcd_lost *lost,
                                       const qcd_traffic *packet, uint64_t ms)
{
    return qcd_maker_judge_lost(&maker, lost, packet, START_MS + ms);
}

/* Builds the message to `taker`, NULL where tokens are not bound, for a packet
 * of `packet_len` octets, NOT_ASKED for none. */
#define NOT_ASKED SIZE_MAX

static enum qcd_err tell(qcd_datagram *out, const qcd_lost *lost,
                         const qcd_address *taker, uint8_t token_len,
                         size_t packet_len)
{
    qcd_lost at_taker = *lost;
    qcd_traffic packet = {.len = packet_len, .source = peer};

    maker.settings.token_len = token_len;
    maker.settings.is_bound = taker != NULL;
    if (taker != NULL) {
        at_taker.peer = *taker;
        packet.source = *taker;
    }
    dirty(out, sizeof(*out));
    return qcd_maker_tell(&maker, out, &at_taker,
                          packet_len == NOT_ASKED ? NULL : &packet, 0);
}

/* Without being asked where the source is the peer itself as the map has it. */
static enum qcd_judgement judge(const qcd_lost *lost, const qcd_address *source,
                                uint64_t ms)
{
    const qcd_traffic packet = {
        .encap = true, .source = *source, .source_port = PEER_PORT, .len = 100};

    return judge_packet(lost, source == &lost->peer ? NULL : &packet, ms);
}

/* ---- Evidence, RFC 6290 section 9.2 ---- */

/* Each kind of SPI with each, in each role and in what is none: only ours of an
 * earlier run is evidence, where the map says that it is ours. */
static void test_every_pair_in_every_role(void **state)
{
    unsigned num_answers = 0;

    (void)state;
    for (unsigned i = 0; i < NUM_SPIS * NUM_SPIS * 4; i++) {
        enum which initiator = i / 4 % NUM_SPIS;
        enum which responder = i / 4 / NUM_SPIS;
        qcd_lost lost = lost_in(QCD_RESPONDER);

        lost.sa.role = (enum qcd_role)(i % 4);
        lost.sa.spis.initiator = spi_which(initiator);
        lost.sa.spis.responder = spi_which(responder);
        bool is_dead = (lost.sa.role == QCD_INITIATOR && initiator == DEAD &&
                        responder != ZERO) ||
                       (lost.sa.role == QCD_RESPONDER && responder == DEAD &&
                        initiator != ZERO);
        set_limits(QCD_RATE_MAX, QCD_RATE_MAX, QCD_RATE_MAX);
        CHECK_INT(which_names[initiator], judge(&lost, &peer, 0),
                  is_dead ? QCD_ANSWER : QCD_SILENT_NO_EVIDENCE);
        num_answers += is_dead;
    }
    assert_int_equal(num_answers, 2 * (NUM_SPIS - 1));
}

static void test_zero_is_no_evidence(void **state)
{
    const qcd_lost zero = {0};
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    assert_int_equal(judge(&zero, &peer, 0), QCD_SILENT_NO_EVIDENCE);
    memset(&maker.mint, 0, sizeof(maker.mint));
    assert_int_equal(judge_packet(&lost, NULL, 0), QCD_SILENT_NO_EVIDENCE);
    memset(&maker, 0, sizeof(maker));
    assert_int_equal(judge_packet(&lost, NULL, 0), QCD_SILENT_NO_EVIDENCE);
}

/* The map may hold any octets: without being asked, the peer's address is the
 * one that stands there. */
static void test_addresses_of_the_map(void **state)
{
    (void)state;
    for (unsigned len = 0; len < 256; len++) {
        qcd_lost lost = lost_numbered(len);
        bool is_address = len == 4 || len == 16;

        lost.peer.len = (uint8_t)len;
        assert_int_equal(judge(&lost, &lost.peer, 0),
                         is_address ? QCD_ANSWER : QCD_SILENT_NO_EVIDENCE);
        lost = lost_numbered(1000 + len);
        lost.peer.len = (uint8_t)len;
        assert_int_equal(judge(&lost, &peer, 0), QCD_ANSWER);
    }
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

/* In either role, of each generation, with each remote SPI, bound or not. */
static void check_shows_no_live_token(const qcd_datagram *out)
{
    static const qcd_address *const takers[] = {NULL, &peer, &stranger};

    for (unsigned i = 0; i < NUM_SPIS * 2 * 2 * QCD_GENERATIONS_MAX * 3; i++) {
        qcd_spi remote = spi_which(i % NUM_SPIS);
        unsigned rest = i / NUM_SPIS;
        enum qcd_role role = rest % 2 == 0 ? QCD_INITIATOR : QCD_RESPONDER;
        qcd_spi local = spi_which(rest / 2 % 2 == 0 ? LIVE : OLDER_LIVE);
        size_t generation = rest / 4 % QCD_GENERATIONS_MAX;
        const qcd_address *taker = takers[rest / 4 / QCD_GENERATIONS_MAX];
        const qcd_spis spis = role == QCD_INITIATOR ? (qcd_spis){local, remote}
                                                    : (qcd_spis){remote, local};
        qcd_token token;

        assert_int_equal(
            token_make(&token, &(recipe){&maker.keys, taker, QCD_TOKEN_MIN},
                       generation, &(qcd_ike_sa){spis, role}),
            QCD_OK);
        assert_false(shows(out, &token));
    }
}

/* RFC 6290 section 9.2: whatever a map that is out of date or forged says, what
 * is told shows no token of an SA that lives. */
static void test_no_message_shows_a_live_token(void **state)
{
    static const qcd_address *const takers[] = {NULL, &peer, &stranger};
    unsigned num_told = 0;

    (void)state;
    for (unsigned i = 0; i < NUM_SPIS * NUM_SPIS * 4; i++) {
        qcd_lost lost = lost_in(QCD_RESPONDER);

        lost.sa.role = (enum qcd_role)(i % 4);
        lost.sa.spis.initiator = spi_which(i / 4 % NUM_SPIS);
        lost.sa.spis.responder = spi_which(i / 4 / NUM_SPIS);
        for (size_t t = 0; t < NUM_ROWS(takers); t++) {
            qcd_datagram out;

            set_limits(QCD_RATE_MAX, QCD_RATE_MAX, QCD_RATE_MAX);
            if (judge(&lost, &peer, 0) != QCD_ANSWER) {
                continue;
            }
            assert_int_equal(tell(&out, &lost, takers[t], 32, NOT_ASKED),
                             QCD_OK);
            check_shows_no_live_token(&out);
            num_told++;
        }
    }
    assert_int_equal(num_told, 3 * 2 * (NUM_SPIS - 1));
}

/* ---- Limits, RFC 6290 section 8.1 ---- */

/* Once a second to the peer; to others two seconds after the last one. */
static void test_once_a_second(void **state)
{
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    assert_int_equal(judge(&lost, &peer, 0), QCD_ANSWER);
    assert_int_equal(judge(&lost, &peer, 0), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &peer, 999), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &stranger, 1999), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &stranger, 2000), QCD_ANSWER);
    assert_int_equal(judge(&lost, &peer, 2999), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &stranger, 3000), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &peer, 3000), QCD_ANSWER);
}

/* An address of the other family is none of the peer's, an IPv4 address within
 * an IPv6 one included. */
static void test_known_is_one_address(void **state)
{
    const qcd_address mapped = {16, {[10] = 0xff, 0xff, 192, 0, 2, 1}};
    const qcd_address same_octets = {16, {192, 0, 2, 1}};
    const qcd_address tail = {4, {192, 0, 2, 1, 9}};
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    assert_int_equal(judge(&lost, &peer, 0), QCD_ANSWER);
    assert_int_equal(judge(&lost, &mapped, 1000), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &same_octets, 1000), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &tail, 1000), QCD_ANSWER);
}

/* Behind one address of a NAT there may be others, with other ports.  ESP alone
 * has none. */
static void test_known_is_one_port(void **state)
{
    const qcd_lost lost = lost_in(QCD_RESPONDER);
    qcd_traffic packet = {.encap = true, .source = peer, .len = 100};

    (void)state;
    packet.source_port = PEER_PORT;
    assert_int_equal(judge_packet(&lost, &packet, 0), QCD_ANSWER);
    packet.source_port = PEER_PORT + 1;
    assert_int_equal(judge_packet(&lost, &packet, 1000), QCD_SILENT_TOLD);
    packet.source_port = PEER_PORT;
    assert_int_equal(judge_packet(&lost, &packet, 1000), QCD_ANSWER);
    packet.source_port = PEER_PORT + 1;
    assert_int_equal(judge_packet(&lost, &packet, 3000), QCD_ANSWER);
    packet.encap = false;
    packet.source_port = 0;
    assert_int_equal(judge_packet(&lost, &packet, 4000), QCD_ANSWER);
}

/* A packet is judged by the room that it gives the message: what can't be
 * answered uses up nobody's second, however often it comes, in whoever's name.
 */
static void test_room_for_a_token(void **state)
{
    const size_t message_len = 28 + 12 + 8 + TOKEN_LEN;
    const size_t least =
        (message_len + QCD_AMPLIFICATION_MAX - 1) / QCD_AMPLIFICATION_MAX;
    const qcd_lost lost = lost_in(QCD_RESPONDER);
    qcd_datagram out;

    (void)state;
    for (size_t len = 0; len < 2 * least; len++) {
        qcd_traffic packet = {.source = peer, .len = len};
        enum qcd_judgement want = QCD_SILENT_NO_REQUEST;

        if (len >= least) {
            want = len == least ? QCD_ANSWER : QCD_SILENT_TOLD;
        }
        assert_int_equal(judge_packet(&lost, &packet, 0), want);
        assert_int_equal(tell(&out, &lost, NULL, TOKEN_LEN, len),
                         len < least ? QCD_ERR_NOBUF : QCD_OK);
    }
}

/* Who repeats a peer's packets, and gets nothing since he is over his own
 * limit, takes nothing from the peer. */
static void test_refused_stranger_takes_nothing(void **state)
{
    const qcd_lost other = lost_numbered(4);
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    set_limits(1000, 1000, 1);
    assert_int_equal(judge(&other, &stranger, 0), QCD_ANSWER);
    for (uint64_t ms = 0; ms < 1000; ms++) {
        assert_int_equal(judge(&lost, &stranger, ms), QCD_SILENT_LIMIT);
    }
    assert_int_equal(judge(&lost, &peer, 999), QCD_ANSWER);
}

/* Each of many SAs whose peers are at one address gets its answer there. */
static void test_many_behind_one_address(void **state)
{
    enum { NUM_LOST = 20, RATE_SOURCE = 3 };

    (void)state;
    set_limits(1000, 1000, RATE_SOURCE);
    for (uint32_t n = 0; n < NUM_LOST; n++) {
        const qcd_lost lost = lost_numbered(n);

        assert_int_equal(judge(&lost, &peer, 0), QCD_ANSWER);
    }
    for (uint32_t n = 0; n < NUM_LOST; n++) {
        const qcd_lost lost = lost_numbered(n);

        assert_int_equal(judge(&lost, &stranger, 2000),
                         n < RATE_SOURCE ? QCD_ANSWER : QCD_SILENT_LIMIT);
    }
}

/* Nor do SAs that must wait for the total: after a crash of 5,000 with traffic,
 * those that the total allows are told, each in turn. */
static void test_many_at_once(void **state)
{
    enum { NUM_SAS = 5000, STEP_MS = 100, END_MS = 12000 };
    static bool is_told[NUM_SAS];
    unsigned num_told = 0;

    (void)state;
    set_limits(1000, 1000, 10);
    for (uint64_t ms = 0; ms < END_MS; ms += STEP_MS) {
        for (uint32_t n = 0; n < NUM_SAS; n++) {
            qcd_lost lost = lost_numbered(n);

            lost.peer.octets[2] = (uint8_t)(n >> 8);
            lost.peer.octets[3] = (uint8_t)n;
            if (!is_told[n] && judge(&lost, &lost.peer, ms) == QCD_ANSWER) {
                is_told[n] = true;
                num_told++;
            }
        }
    }
    assert_in_range(num_told, NUM_SAS * 98 / 100, NUM_SAS);
}

/* Without being asked, a source has no limit: thousands may be behind one. What
 * is left to those who repeat themselves is half of the total. */
static void test_unasked(void **state)
{
    (void)state;
    set_limits(1000, 100, 1);
    for (uint32_t n = 0; n < 200; n++) {
        const qcd_lost lost = lost_numbered(n);

        assert_int_equal(judge(&lost, &lost.peer, 0),
                         n < 50 ? QCD_ANSWER : QCD_SILENT_LIMIT);
    }
}

/* An announcement may go to where the peer is no more.  It is not the peer's
 * turn, which may ask from elsewhere right after it; but who was answered just
 * now is not told again unasked. */
static void test_unasked_uses_up_no_turn(void **state)
{
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    set_limits(1000, 1000, 10);
    assert_int_equal(judge(&lost, &lost.peer, 0), QCD_ANSWER);
    assert_int_equal(judge(&lost, &stranger, 0), QCD_ANSWER);
    assert_int_equal(judge(&lost, &stranger, 1999), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &lost.peer, 999), QCD_SILENT_TOLD);
    assert_int_equal(judge(&lost, &lost.peer, 1000), QCD_ANSWER);
}

/* What gets no answer leaves the limits as they are. */
static void test_silence_costs_nothing(void **state)
{
    static qcd_maker before;
    qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    lost.sa.spis.responder = spi_which(LIVE);
    before = maker;
    assert_int_equal(judge(&lost, &peer, 0), QCD_SILENT_NO_EVIDENCE);
    lost = lost_in((enum qcd_role)NO_ROLE);
    assert_int_equal(judge(&lost, &peer, 0), QCD_SILENT_NO_EVIDENCE);
    assert_memory_equal(&maker, &before, sizeof(maker));
}

static void test_zero_limits(void **state)
{
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    (void)state;
    memset(&maker.lost, 0, sizeof(maker.lost));
    assert_int_equal(judge(&lost, &peer, 0), QCD_SILENT_TOLD);
    set_up(state);
    memset(&maker.replies, 0, sizeof(maker.replies));
    assert_int_equal(judge(&lost, &peer, 0), QCD_SILENT_LIMIT);
}

/* ---- The message ---- */

/* RFC 6290 sections 4.5 and 8.2: INVALID_SPI whose data is the child SPI, then
 * the tokens; the IKE SA's SPIs, Message ID 0, no R flag, I if we were its
 * original initiator.  The tokens are Python's, 16 octets long. */
static const char known_of_responder[] = "21222324252627287d07df890eaaf62b"
                                         "292025000000000000000058"
                                         "2900000c0000000bc1c2c3c4"
                                         "2900001800004023"
                                         "26aec82c3056da251d98b79037c1e27d"
                                         "0000001800004023"
                                         "c86b0816bf283faa599db1c2f5d75d9c";
static const char known_of_initiator[] = "7d07df890eaaf62b2122232425262728"
                                         "292025080000000000000058"
                                         "2900000c0000000bc1c2c3c4"
                                         "2900001800004023"
                                         "8298b4485c58dcae5883d2fb0d14e10b"
                                         "0000001800004023"
                                         "6a9c843d98dc90a85590c2d29ebc1666";

_Static_assert(sizeof(known_of_responder) == 2 * 0x58 + 1, "its length field");
_Static_assert(sizeof(known_of_initiator) == 2 * 0x58 + 1, "its length field");

static void test_octets(void **state)
{
    const qcd_lost as_responder = lost_in(QCD_RESPONDER);
    const qcd_lost as_initiator = lost_in(QCD_INITIATOR);
    qcd_secret secrets[2];
    qcd_datagram out;

    (void)state;
    count_up(secrets, 0, sizeof(secrets));
    assert_int_equal(keys_init(&maker.keys, secrets, 2), QCD_OK);
    assert_int_equal(tell(&out, &as_responder, NULL, 16, NOT_ASKED), QCD_OK);
    CHECK_HEX("responder", out.octets, out.len, known_of_responder);
    assert_int_equal(tell(&out, &as_initiator, NULL, 16, NOT_ASKED), QCD_OK);
    CHECK_HEX("initiator", out.octets, out.len, known_of_initiator);
}

/* The peer's own way: what it was given is what it is told, whichever role it
 * has, whichever generation it was of, with and without its address; and the
 * header names the SA to it. */
static void test_verified_by_the_taker(void **state)
{
    static const qcd_address *const takers[] = {NULL, &peer};
    const uint8_t octets[QCD_RANDOM_KEY_LEN] = {9};
    static qcd_taker taker_of_peer;

    (void)state;
    assert_int_equal(qcd_taker_init(&taker_of_peer, 10, octets), QCD_OK);
    for (unsigned i = 0; i < 2 * 2 * QCD_GENERATIONS_MAX; i++) {
        enum qcd_role role = i % 2 == 0 ? QCD_INITIATOR : QCD_RESPONDER;
        const qcd_address *taker = takers[i / 2 % 2];
        const qcd_lost lost = lost_in(role);
        qcd_held held = {0};
        qcd_datagram out;
        qcd_message m;
        qcd_token token;

        assert_int_equal(token_make(&token, &(recipe){&maker.keys, taker, 20},
                                    i / 4, &lost.sa),
                         QCD_OK);
        qcd_taker_store(&taker_of_peer, &held, &token);
        assert_int_equal(tell(&out, &lost, taker, 20, 100), QCD_OK);
        assert_true(qcd_message_is_candidate(out.octets, out.len));
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(m.cause, QCD_CAUSE_INVALID_SPI);
        assert_memory_equal(m.child_spi.octets, lost.child_spi.octets,
                            QCD_CHILD_SPI_LEN);
        assert_memory_equal(&m.header.spis, &lost.sa.spis,
                            sizeof(lost.sa.spis));
        assert_int_equal(m.num_tokens, QCD_GENERATIONS_MAX);
        assert_int_equal(qcd_taker_check(&taker_of_peer, &held, &m), QCD_MATCH);
        /* The other end's role is the other one. */
        assert_int_equal(qcd_header_local_role(&m.header),
                         role == QCD_INITIATOR ? QCD_RESPONDER : QCD_INITIATOR);
        /* A taker that moved holds a token that no longer fits. */
        assert_int_equal(tell(&out, &lost, &stranger, 20, 100), QCD_OK);
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(qcd_taker_check(&taker_of_peer, &held, &m),
                         QCD_NO_MATCH);
    }
}

/* RFC 7296 section 1.5: nobody responds to it.  Our own maker doesn't. */
static void test_is_not_answered(void **state)
{
    static const enum qcd_role roles[] = {QCD_INITIATOR, QCD_RESPONDER};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(roles); i++) {
        const qcd_lost lost = lost_in(roles[i]);
        qcd_datagram out;
        qcd_header h;

        assert_int_equal(tell(&out, &lost, NULL, 32, NOT_ASKED), QCD_OK);
        const qcd_packet packet = {
            .octets = out.octets, .len = out.len, .source = peer};
        assert_int_equal(qcd_maker_judge(&maker, &h, &packet, START_MS),
                         QCD_SILENT_NO_REQUEST);
    }
}

/* How many tokens fit under three times each size of a packet, at any time. */
static void test_amplification(void **state)
{
    static const uint8_t token_lens[] = {16, 20, 32};
    unsigned seen = 0; /* generations that came first */

    (void)state;
    for (size_t i = 0; i < 300 * NUM_ROWS(token_lens); i++) {
        uint8_t token_len = token_lens[i % NUM_ROWS(token_lens)];
        const qcd_traffic packet = {.len = 1 + i / NUM_ROWS(token_lens),
                                    .source = peer};
        size_t each = 8u + token_len;
        size_t fit = packet.len * 3 < 40 ? 0 : (packet.len * 3 - 40) / each;
        size_t want = fit < QCD_GENERATIONS_MAX ? fit : QCD_GENERATIONS_MAX;
        const qcd_lost lost = lost_in(QCD_RESPONDER);
        qcd_datagram out;
        qcd_message m;

        dirty(&out, sizeof(out));
        maker.settings.token_len = token_len;
        assert_int_equal(qcd_maker_tell(&maker, &out, &lost, &packet, i),
                         want > 0 ? QCD_OK : QCD_ERR_NOBUF);
        assert_int_equal(out.len, want > 0 ? 40 + want * each : 0);
        assert_true(
            is_zero(out.octets + out.len, sizeof(out.octets) - out.len));
        if (want == 0) {
            continue;
        }
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(m.num_tokens, want);
        seen |= 1u << shown_first(&m, &maker.keys, QCD_RESPONDER);
    }
    assert_int_equal(seen, 0xf);
}

static const struct {
    const char *name;
    uint8_t token_len;
    uint8_t address_len; /* 0xff: not bound */
    size_t packet_len;
    enum qcd_err want;
} tell_errors[] = {
    {"token of 15", 15, 0xff, 80, QCD_ERR_RANGE},
    {"token of 16", 16, 0xff, 80, QCD_OK},
    {"token of 32", 32, 0xff, 80, QCD_OK},
    {"token of 33", 33, 0xff, 80, QCD_ERR_RANGE},
    {"address of 4", 32, 4, 80, QCD_OK},
    {"address of 5", 32, 5, 80, QCD_ERR_RANGE},
    {"address of 16", 32, 16, 80, QCD_OK},
    {"not asked, address of 5", 32, 5, NOT_ASKED, QCD_ERR_RANGE},
    {"not asked, address of 16", 32, 16, NOT_ASKED, QCD_OK},
    {"one token under the bound", 32, 0xff, 27, QCD_OK},
    {"none under the bound", 32, 0xff, 26, QCD_ERR_NOBUF},
    {"empty packet", 16, 0xff, 0, QCD_ERR_NOBUF},
    {"shortest ESP", 16, 0xff, 8, QCD_ERR_NOBUF},
    {"largest", 32, 0xff, SIZE_MAX - 1, QCD_OK},
    {"a third of the largest", 32, 0xff, SIZE_MAX / 3, QCD_OK},
    {"more than a third", 32, 0xff, SIZE_MAX / 3 + 1, QCD_OK},
    {"no bound", 32, 0xff, NOT_ASKED, QCD_OK},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(tell_errors); i++) {
        const char *name = tell_errors[i].name;
        qcd_address address = {.len = tell_errors[i].address_len};
        const qcd_lost lost = lost_in(QCD_RESPONDER);
        qcd_datagram out;

        CHECK_INT(name,
                  tell(&out, &lost, address.len == 0xff ? NULL : &address,
                       tell_errors[i].token_len, tell_errors[i].packet_len),
                  tell_errors[i].want);
        CHECK(name, (out.len > 0) == (tell_errors[i].want == QCD_OK));
        CHECK(name,
              is_zero(out.octets + out.len, sizeof(out.octets) - out.len));
    }
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_pair_in_every_role),
        TEST(test_zero_is_no_evidence),
        TEST(test_addresses_of_the_map),
        TEST(test_no_message_shows_a_live_token),
        TEST(test_once_a_second),
        TEST(test_known_is_one_address),
        TEST(test_known_is_one_port),
        TEST(test_room_for_a_token),
        TEST(test_refused_stranger_takes_nothing),
        TEST(test_many_behind_one_address),
        TEST(test_many_at_once),
        TEST(test_unasked),
        TEST(test_unasked_uses_up_no_turn),
        TEST(test_silence_costs_nothing),
        TEST(test_zero_limits),
        TEST(test_octets),
        TEST(test_verified_by_the_taker),
        TEST(test_is_not_answered),
        TEST(test_amplification),
        TEST(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

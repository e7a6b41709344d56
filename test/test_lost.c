/* SPDX-License-Identifier: Apache-2.0 */
/* test_lost.c: for which SAs that were lost in a crash src/maker.c tells the
 * peer, RFC 6290 section 8.2, and how often. */
#include "maker_box.h"

enum { NO_ROLE = 3 };

static qcd_lost lost_numbered(uint32_t n)
{
    qcd_lost lost = lost_in(QCD_RESPONDER);

    lost.sa.spis.responder = dead_spi(n);
    return lost;
}

static enum qcd_judgement judge_packet(const qcd_lost *lost,
                                       const qcd_traffic *packet, uint64_t ms)
{
    return qcd_maker_judge_lost(&maker, lost, packet, START_MS + ms);
}

/* An announcement if the source is the peer itself as the map has it. */
static enum qcd_judgement judge(const qcd_lost *lost, const qcd_address *source,
                                uint64_t ms)
{
    const qcd_traffic packet = {
        .encap = true, .source = *source, .source_port = PEER_PORT, .len = 100};

    return judge_packet(lost, source == &lost->peer ? NULL : &packet, ms);
}

/* ---- Evidence, RFC 6290 section 9.2 ---- */

/* Each kind of SPI with each other one, in each role and with an invalid role.
 * Only our SPI of an earlier run is evidence, if the map says that it is
 * ours. */
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

/* The map may hold any octets: the peer's address for an announcement is the
 * one in the map. */
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
        const qcd_ike_sa sa = {spis_of(role, local, remote), role};
        const qcd_token token = token_of(taker, QCD_TOKEN_MIN, generation, &sa);

        assert_false(shows(out, &token));
    }
}

/* RFC 6290 section 9.2: whatever an outdated or forged map says, the message
 * shows no token of a live SA. */
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

/* Once a second to the peer; to others two seconds after the last message. */
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

/* An address of the other family is not the peer's, not even an IPv4 address
 * within an IPv6 one. */
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
 * has no ports. */
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

/* The decision on a packet includes the room that it leaves for the message.  A
 * packet that is too short for a reply uses up no peer's second, however often
 * it is sent and in whatever name. */
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

/* Somebody who repeats a peer's packets, and gets no reply because he is over
 * his own limit, takes nothing from the peer. */
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

/* Each of many SAs whose peers share one address gets its reply there. */
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

/* Nor are SAs starved that must wait for the total: after a crash of 5,000 with
 * traffic, as many as the total allows are told, each in turn. */
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

/* Announcements have a pace and no rate, also if thousands of peers are behind
 * one address; but without a rate of replies there are none. */
static void test_unasked(void **state)
{
    static const uint32_t rates[] = {0, 1, 1000};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rates); i++) {
        set_limits(rates[i], 1, 1);
        for (uint32_t n = 0; n < 200; n++) {
            const qcd_lost lost = lost_numbered(n);

            assert_int_equal(judge(&lost, &lost.peer, 0),
                             rates[i] > 0 ? QCD_ANSWER : QCD_SILENT_LIMIT);
        }
    }
}

/* An announcement may go to an address that the peer has left.  It does not use
 * up the turn of the peer, which may ask from elsewhere right after it.  A peer
 * that just got a reply gets no announcement. */
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

/* A packet without a reply leaves the limits unchanged. */
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
    (void)maker_set_up(state);
    memset(&maker.replies, 0, sizeof(maker.replies));
    assert_int_equal(judge(&lost, &peer, 0), QCD_SILENT_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAKER_TEST(test_every_pair_in_every_role),
        MAKER_TEST(test_zero_is_no_evidence),
        MAKER_TEST(test_addresses_of_the_map),
        MAKER_TEST(test_no_message_shows_a_live_token),
        MAKER_TEST(test_once_a_second),
        MAKER_TEST(test_known_is_one_address),
        MAKER_TEST(test_known_is_one_port),
        MAKER_TEST(test_room_for_a_token),
        MAKER_TEST(test_refused_stranger_takes_nothing),
        MAKER_TEST(test_many_behind_one_address),
        MAKER_TEST(test_many_at_once),
        MAKER_TEST(test_unasked),
        MAKER_TEST(test_unasked_uses_up_no_turn),
        MAKER_TEST(test_silence_costs_nothing),
        MAKER_TEST(test_zero_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

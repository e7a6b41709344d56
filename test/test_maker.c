/* SPDX-License-Identifier: Apache-2.0 */
/* test_maker.c: src/maker.c: for which requests it shows tokens, its limits,
 * and its start. test_maker_*.c and test_lost*.c test what a request is, what
 * the reply contains, and what it does for lost SAs. */
#include "maker_box.h"

/* ---- Evidence, RFC 6290 section 9.2 ---- */

static const struct {
    const char *name;
    enum which initiator;
    enum which responder;
    uint8_t flags;
    enum qcd_judgement want;
} evidence_rows[] = {
    {"dead", PEER, DEAD, 8, QCD_ANSWER},
    {"dead, we were the initiator", DEAD, PEER, 0, QCD_ANSWER},
    {"dead, I flag flipped", PEER, DEAD, 0, QCD_SILENT_NO_EVIDENCE},
    {"dead, SPIs swapped", DEAD, PEER, 8, QCD_SILENT_NO_EVIDENCE},
    {"live", PEER, LIVE, 8, QCD_SILENT_NO_EVIDENCE},
    {"live, I flag flipped", PEER, LIVE, 0, QCD_SILENT_NO_EVIDENCE},
    {"live, SPIs swapped", LIVE, PEER, 8, QCD_SILENT_NO_EVIDENCE},
    {"live, both", LIVE, PEER, 0, QCD_SILENT_NO_EVIDENCE},
    {"live, the peer's SPI is a dead one of ours", DEAD, LIVE, 8,
     QCD_SILENT_NO_EVIDENCE},
    {"buried", PEER, BURIED, 8, QCD_ANSWER},
    {"buried, I flag flipped", PEER, BURIED, 0, QCD_SILENT_NO_EVIDENCE},
    {"buried, SPIs swapped", BURIED, PEER, 8, QCD_SILENT_NO_EVIDENCE},
    {"buried, both", BURIED, PEER, 0, QCD_SILENT_NO_EVIDENCE},
    {"buried, other peer", DEAD, BURIED, 8, QCD_SILENT_NO_EVIDENCE},
    {"future run", PEER, FUTURE, 8, QCD_SILENT_NO_EVIDENCE},
    {"other node", PEER, OTHER_NODE, 8, QCD_SILENT_NO_EVIDENCE},
    {"neither is ours", PEER, PEER, 8, QCD_SILENT_NO_EVIDENCE},
};

static void test_evidence(void **state)
{
    const qcd_spis buried = {spi_which(PEER), spi_which(BURIED)};

    (void)state;
    qcd_maker_bury(&maker, &(qcd_ike_sa){buried, QCD_RESPONDER},
                   &(qcd_promise){.is_given = true});
    for (size_t i = 0; i < NUM_ROWS(evidence_rows); i++) {
        qcd_header h = dead_request();
        qcd_header got;

        h.spis.initiator = spi_which(evidence_rows[i].initiator);
        h.spis.responder = spi_which(evidence_rows[i].responder);
        h.flags = evidence_rows[i].flags;
        CHECK_INT(evidence_rows[i].name, judge_header(&got, &h, 80),
                  evidence_rows[i].want);
    }
}

/* RFC 6290 section 9.2.  A peer may choose an SPI that was ours in an earlier
 * run.  Then the I flag, flipped, finds evidence.  Even so, the reply does not
 * show the token of the live SA, of any generation. */
static void test_no_answer_shows_a_live_token(void **state)
{
    static const enum which remotes[] = {PEER, DEAD, FUTURE, OTHER_NODE};
    unsigned num_answers = 0;

    (void)state;
    for (unsigned i = 0; i < NUM_ROWS(remotes) * 2; i++) {
        enum qcd_role role = i % 2 == 0 ? QCD_RESPONDER : QCD_INITIATOR;
        const qcd_spis live =
            spis_of(role, spi_which(LIVE), spi_which(remotes[i / 2]));

        for (unsigned trick = 0; trick < 4; trick++) {
            qcd_header h = dead_request();
            qcd_header got;

            h.spis = (trick & 1) == 0
                         ? live
                         : (qcd_spis){live.responder, live.initiator};
            h.flags = (trick & 2) == 0 ? QCD_FLAG_INITIATOR : 0;
            if (judge_header(&got, &h, 200) != QCD_ANSWER) {
                continue;
            }
            num_answers++;
            qcd_datagram out;
            assert_int_equal(reply(&out, &got, NULL, 32, 0), QCD_OK);
            for (size_t g = 0; g < QCD_GENERATIONS_MAX; g++) {
                const qcd_token token =
                    token_of(NULL, 16, g, &(qcd_ike_sa){live, role});

                assert_false(shows(&out, &token));
            }
        }
    }
    /* With the dead SPI as the remote one: two tricks in each role. */
    assert_int_equal(num_answers, 4);
}

static void test_random_requests_are_not_answered(void **state)
{
    uint64_t random = 5;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        qcd_header h = dead_request();
        qcd_header got;

        random_octets(&random, &h.spis, sizeof(h.spis));
        h.flags = (uint8_t)random64(&random) & 0x08;
        assert_int_equal(judge_header(&got, &h, 80), QCD_SILENT_NO_EVIDENCE);
        assert_true(is_zero(&got, sizeof(got)));
    }
}

/* ---- Limits, RFC 6290 section 8.1 ---- */

static void test_over_the_limit(void **state)
{
    const qcd_header h = dead_request();
    qcd_header got;

    (void)state;
    set_limits(100, 100, 3);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(judge_header(&got, &h, 80),
                         i < 3 ? QCD_ANSWER : QCD_SILENT_LIMIT);
        assert_int_equal(is_zero(&got, sizeof(got)), i >= 3);
    }
}

/* If the daemon knows that their peers are at this address, the first request
 * for each of many SAs gets a reply. */
static void test_many_behind_one_address(void **state)
{
    enum { NUM_LOST = 20, RATE_SOURCE = 3 };
    qcd_header got;

    (void)state;
    set_limits(1000, 1000, RATE_SOURCE);
    for (uint32_t n = 0; n < 2 * NUM_LOST; n++) {
        qcd_header h = dead_request();

        h.spis.responder = dead_spi(n);
        uint8_t *in = datagram(&h, NULL, 0, 80);
        const qcd_packet packet = {
            .octets = in, .len = 80, .source = peer, .is_home = n < NUM_LOST};
        assert_int_equal(qcd_maker_judge(&maker, &got, &packet, START_MS),
                         n < NUM_LOST + RATE_SOURCE ? QCD_ANSWER
                                                    : QCD_SILENT_LIMIT);
        free(in);
    }
}

/* A request without a reply leaves the limits unchanged, so nobody who does not
 * know a dead SA uses them up. */
static void test_silence_costs_nothing(void **state)
{
    static qcd_maker before;
    qcd_header no_evidence = dead_request();
    qcd_header no_request = dead_request();
    qcd_header got;

    (void)state;
    no_evidence.spis.responder = spi_which(LIVE);
    no_request.flags |= QCD_FLAG_RESPONSE;
    before = maker;
    assert_int_equal(judge_header(&got, &no_evidence, 80),
                     QCD_SILENT_NO_EVIDENCE);
    assert_int_equal(judge_header(&got, &no_request, 80),
                     QCD_SILENT_NO_REQUEST);
    assert_memory_equal(&maker, &before, sizeof(maker));
}

/* A limit that was never initialized lets nothing pass. */
static void test_zero_limit(void **state)
{
    const qcd_header h = dead_request();
    qcd_header got;

    (void)state;
    memset(&maker.replies, 0, sizeof(maker.replies));
    assert_int_equal(judge_header(&got, &h, 80), QCD_SILENT_LIMIT);
}

/* ---- The maker as a whole ---- */

static const struct {
    const char *name;
    uint8_t token_len;
    uint32_t reply_rate;
    uint32_t reply_burst;
    uint32_t source_rate;
    size_t num_secrets;
    uint16_t run;
    enum qcd_err want;
} inits[] = {
    {"least", 16, 0, 0, 0, 1, 1, QCD_OK},
    {"most", 32, 1000000, 1000000, 1000000, 4, 65535, QCD_OK},
    {"token of 15", 15, 0, 0, 0, 1, 1, QCD_ERR_RANGE},
    {"token of 33", 33, 0, 0, 0, 1, 1, QCD_ERR_RANGE},
    {"rate", 16, 1000001, 0, 0, 1, 1, QCD_ERR_RANGE},
    {"burst", 16, 0, 1000001, 0, 1, 1, QCD_ERR_RANGE},
    {"rate of a source", 16, 0, 0, 1000001, 1, 1, QCD_ERR_RANGE},
    {"no secret", 16, 0, 0, 0, 0, 1, QCD_ERR_RANGE},
    {"five secrets", 16, 0, 0, 0, 5, 1, QCD_ERR_RANGE},
    {"run 0", 16, 0, 0, 0, 1, 0, QCD_ERR_RANGE},
};

static void test_init(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(inits); i++) {
        const qcd_maker_settings settings = {
            .token_len = inits[i].token_len,
            .reply_rate = inits[i].reply_rate,
            .reply_burst = inits[i].reply_burst,
            .source_rate = inits[i].source_rate};
        const qcd_maker_state begin = {.num_secrets = inits[i].num_secrets,
                                       .run = inits[i].run};

        dirty(&maker, sizeof(maker));
        CHECK_INT(inits[i].name, qcd_maker_init(&maker, &settings, &begin),
                  inits[i].want);
        if (inits[i].want == QCD_OK) {
            CHECK_INT(inits[i].name, qcd_maker_run(&maker), inits[i].run);
        } else {
            CHECK(inits[i].name, is_zero(&maker, sizeof(maker)));
        }
        qcd_maker_wipe(&maker);
        CHECK(inits[i].name, is_zero(&maker, sizeof(maker)));
    }
}

/* It owns the SPIs that it mints, also after a change of run, and no others. */
static void test_mint_and_own(void **state)
{
    qcd_ike_sa sa = {{spi_which(PEER), spi_which(PEER)}, QCD_RESPONDER};

    (void)state;
    assert_false(qcd_maker_owns(&maker, &sa));
    assert_int_equal(qcd_maker_mint(&maker, &sa.spis.responder), QCD_OK);
    assert_true(qcd_maker_owns(&maker, &sa));
    assert_true(qcd_maker_knows(&maker, &sa.spis.responder));
    sa.role = QCD_INITIATOR;
    assert_false(qcd_maker_owns(&maker, &sa));
    sa.role = QCD_RESPONDER;
    maker.mint.counter = QCD_COUNTER_END;
    qcd_spi none;
    assert_int_equal(qcd_maker_mint(&maker, &none), QCD_ERR_EXHAUSTED);
    assert_true(is_zero(&none, sizeof(none)));
    assert_int_equal(qcd_maker_next_run(&maker, RUN), QCD_ERR_RANGE);
    assert_int_equal(qcd_maker_next_run(&maker, RUN + 1), QCD_OK);
    assert_int_equal(qcd_maker_run(&maker), RUN + 1);
    assert_int_equal(qcd_maker_mint(&maker, &none), QCD_OK);
    assert_true(qcd_maker_owns(&maker, &sa));
    /* Of another run, or of another node: known, but not ours. */
    sa.spis.responder = spi_which(DEAD);
    assert_false(qcd_maker_owns(&maker, &sa));
    assert_true(qcd_maker_knows(&maker, &sa.spis.responder));
    sa.spis.responder = sealed(NODE + 1, RUN, 3);
    assert_false(qcd_maker_owns(&maker, &sa));
    assert_true(qcd_maker_knows(&maker, &sa.spis.responder));
    sa.spis.responder = spi_which(PEER);
    assert_false(qcd_maker_knows(&maker, &sa.spis.responder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAKER_TEST(test_evidence),
        MAKER_TEST(test_no_answer_shows_a_live_token),
        MAKER_TEST(test_random_requests_are_not_answered),
        MAKER_TEST(test_over_the_limit),
        MAKER_TEST(test_many_behind_one_address),
        MAKER_TEST(test_silence_costs_nothing),
        MAKER_TEST(test_zero_limit),
        MAKER_TEST(test_init),
        MAKER_TEST(test_mint_and_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

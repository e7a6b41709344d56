/* SPDX-License-Identifier: Apache-2.0 */
/* test_limit_reply.c: how many replies a maker sends, src/limit.c, over
 * simulated time. */
#include "limit_box.h"

static qcd_reply_limit reply_limit;

/* How long the largest flood lasts; a sanitizer makes it slow. */
#if defined(__SANITIZE_ADDRESS__)
enum { FLOOD_MS = 6000 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
enum { FLOOD_MS = 6000 };
#else
enum { FLOOD_MS = 60000 };
#endif
#else
enum { FLOOD_MS = 60000 };
#endif

static void init_replies(uint32_t rate, uint32_t burst, uint32_t rate_source)
{
    assert_int_equal(
        reply_limit_init(&reply_limit, rate, burst, rate_source, key), QCD_OK);
}

static bool pass_from(bool is_home, uint32_t source, uint64_t spi,
                      uint64_t now_ms)
{
    const qcd_address a = v4(source);
    const qcd_spi local = spi_of(spi);

    return reply_limit_pass(&reply_limit, &a, &local, is_home, now_ms);
}

static bool pass(uint32_t source, uint64_t spi, uint64_t now_ms)
{
    return pass_from(false, source, spi, now_ms);
}

static const struct {
    const char *name;
    uint32_t rate;
    uint32_t burst;
    uint32_t rate_source;
    enum qcd_err want;
} reply_ranges[] = {
    {"the largest", QCD_RATE_MAX, QCD_RATE_MAX, QCD_RATE_MAX, QCD_OK},
    {"all zero", 0, 0, 0, QCD_OK},
    {"rate too large", QCD_RATE_MAX + 1, 1, 1, QCD_ERR_RANGE},
    {"burst too large", 1, QCD_RATE_MAX + 1, 1, QCD_ERR_RANGE},
    {"rate of a source too large", 1, 1, QCD_RATE_MAX + 1, QCD_ERR_RANGE},
    {"UINT32_MAX", UINT32_MAX, UINT32_MAX, UINT32_MAX, QCD_ERR_RANGE},
};

static void test_reply_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(reply_ranges); i++) {
        dirty(&reply_limit, sizeof(reply_limit));
        CHECK_INT(reply_ranges[i].name,
                  reply_limit_init(&reply_limit, reply_ranges[i].rate,
                                   reply_ranges[i].burst,
                                   reply_ranges[i].rate_source, key),
                  reply_ranges[i].want);
        if (reply_ranges[i].want != QCD_OK) {
            CHECK_ZERO(reply_ranges[i].name, reply_limit);
            CHECK(reply_ranges[i].name, !pass(1, 1, START_MS));
        }
    }
}

static const struct {
    const char *name;
    uint32_t rate;
    uint32_t burst;
} totals[] = {
    {"default", 1000, 2000}, {"small", 10, 20},     {"odd", 7, 9},
    {"rate 1", 1, 1},        {"rate 3", 3, 3},      {"burst 1", 1000, 1},
    {"burst 3", 1000, 3},    {"rate 2", 2, 100},    {"burst 5", 999, 5},
    {"rate 4", 4, 4},        {"prime", 4999, 4999},
};

/* New peers and repeated requests together get everything that is allowed and
 * no more, in every prefix of the time. */
static void test_total_of_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(totals); i++) {
        uint64_t rate = totals[i].rate;
        uint64_t num_passed = 0;
        uint32_t fresh = 1000;
        unsigned ms = 0;

        init_replies(totals[i].rate, totals[i].burst, QCD_RATE_MAX);
        for (; ms < 1500; ms++) {
            for (uint32_t n = 0; n < 8; n++) {
                num_passed += pass(fresh, n, START_MS + ms);
                num_passed += pass(n, fresh++, START_MS + ms);
                num_passed += pass(n, n, START_MS + ms);
            }
            CHECK(totals[i].name,
                  num_passed <= totals[i].burst + rate * ms / 1000);
            if (ms == 0 && totals[i].burst <= 20) {
                CHECK_INT(totals[i].name, num_passed, totals[i].burst);
            }
        }
        uint64_t allowed = totals[i].burst + rate * (ms - 1) / 1000;
        CHECK(totals[i].name, num_passed + allowed / 4 + 3 >= allowed);
    }
}

static void test_replies_of_rate_0(void **state)
{
    (void)state;
    init_replies(0, 100, 10);
    assert_false(pass(1, 1, START_MS));
    init_replies(100, 0, 10);
    assert_false(pass(1, 1, START_MS));
    init_replies(100, 100, 0);
    assert_false(pass(1, 1, START_MS));
    init_replies(1, 1, 1);
    assert_true(pass(1, 1, START_MS));
    assert_false(pass(2, 2, START_MS));
}

static void test_replies_to_one_source(void **state)
{
    unsigned num_passed = 0;

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < 3000; ms++) {
        num_passed += pass(1, ms, START_MS + ms);
        assert_true(num_passed <= 10 + ms / 100);
    }
    assert_int_equal(num_passed, 10 + 2999 / 100);
}

/* At the known address of the peers of many lost SAs, each SA gets one reply in
 * addition to the limit of the source, however fast the others return. */
static void test_replies_to_a_shared_source(void **state)
{
    enum { NUM_SAS = 400, RATE_SOURCE = 10 };

    (void)state;
    init_replies(1000, 2000, RATE_SOURCE);
    for (uint64_t spi = 0; spi < NUM_SAS; spi++) {
        assert_true(pass_from(true, 1, spi, START_MS));
    }
    for (uint64_t spi = 0; spi < NUM_SAS; spi++) {
        assert_int_equal(pass_from(true, 1, spi, START_MS), spi < RATE_SOURCE);
    }
}

/* The limit of all sources together also bounds this; so does a rate of 0. */
static void test_shared_source_and_the_total(void **state)
{
    unsigned num_passed = 0;

    (void)state;
    init_replies(100, 40, 10);
    for (uint64_t spi = 0; spi < 100; spi++) {
        num_passed += pass_from(true, 1, spi, START_MS);
    }
    assert_in_range(num_passed, 20, 40);
    init_replies(100, 40, 0);
    assert_false(pass_from(true, 1, 1, START_MS));
}

/* A stranger has seen one pair of SPIs and forges the peers' address, before
 * them and continuously.  Each of the others gets its reply nevertheless. */
static void test_forger_at_a_shared_source(void **state)
{
    unsigned num_forged = 0;

    (void)state;
    init_replies(1000, 2000, 10);
    for (uint64_t ms = 0; ms < 3000; ms++) {
        num_forged += pass_from(true, 1, 0, START_MS + ms);
        if (ms % 50 == 25) {
            assert_true(pass_from(true, 1, 1 + ms, START_MS + ms));
        }
    }
    assert_in_range(num_forged, 10, 11 + 2999 / 100);
}

/* Nor does a stranger use them up who knows all SPIs and asks from
 * elsewhere. */
static void test_forger_elsewhere(void **state)
{
    (void)state;
    init_replies(1000, 2000, 10);
    for (uint64_t spi = 0; spi < 60; spi++) {
        assert_true(pass(100 + (uint32_t)spi, spi, START_MS));
    }
    for (uint64_t spi = 0; spi < 60; spi++) {
        assert_true(pass_from(true, 1, spi, START_MS + 1));
    }
}

/* An SA gets another turn after a minute without a reply. */
static void test_turn_at_a_shared_source_comes_back(void **state)
{
    (void)state;
    init_replies(1000, 2000, 1);
    for (uint64_t ms = 0; ms < 600000; ms += 60001) {
        assert_true(pass_from(true, 1, 1, START_MS + ms));
        assert_true(pass_from(true, 1, 1, START_MS + ms));
        assert_false(pass_from(true, 1, 1, START_MS + ms));
        assert_true(pass_from(true, 1, 2, START_MS + ms));
    }
}

/* Peers that ask for the first time, each about its own SA. */
typedef struct newcomers {
    uint32_t num;
    uint32_t num_helped;
} newcomers;

/* Another one asks; returns true if it gets a reply. */
static bool ask_as_newcomer(newcomers *n, uint64_t spi, uint64_t now_ms)
{
    bool is_helped = pass(0xc0000000 + n->num, spi, now_ms);

    n->num++;
    n->num_helped += is_helped;
    return is_helped;
}

/* All but at most one in `part` got a reply: a filter that is nearly full takes
 * a few of them for known. */
static void check_helped(const newcomers *n, uint32_t part)
{
    assert_in_range(n->num_helped, n->num - n->num / part, n->num);
}

/* `num` requests at one time about eight SAs, each from one of the sources that
 * differ from `source` in the bits of `mask`.  Returns the number of
 * replies. */
static unsigned flood(uint64_t *random, uint32_t source, uint32_t mask, int num,
                      uint64_t now_ms)
{
    unsigned num_passed = 0;

    for (int i = 0; i < num; i++) {
        uint64_t r = random64(random);

        num_passed += pass(source | ((uint32_t)r & mask), r >> 32 & 7, now_ms);
    }
    return num_passed;
}

/* 20,000 a second for `num_ms`, and a newcomer every 50 ms.  All replies must
 * keep to the total.  Returns the newcomers. */
static newcomers flood_and_ask(uint64_t random, uint32_t source, uint32_t mask,
                               unsigned num_ms)
{
    uint64_t num_passed = 0;
    newcomers peers = {0};

    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < num_ms; ms++) {
        num_passed += flood(&random, source, mask, 20, START_MS + ms);
        if (ms % 50 == 49) {
            num_passed +=
                ask_as_newcomer(&peers, 1000 + peers.num, START_MS + ms);
        }
        assert_true(num_passed <= 2000 + ms);
    }
    assert_int_equal(peers.num, num_ms / 50);
    return peers;
}

/* RFC 6290 section 8.1. 20,000 a second from 65,536 addresses that know a few
 * SAs, for a minute.  The total is kept, and each new peer, which asks for the
 * first time about its own SA, gets its reply at once. */
static void test_flood_from_many_sources(void **state)
{
    (void)state;
    const newcomers peers = flood_and_ask(1, 0x0a000000, 0xffff, FLOOD_MS);
    check_helped(&peers, 20);
}

/* The same from all possible addresses: the flood always has new sources, but
 * asks about SAs that were heard. */
static void test_flood_from_random_sources(void **state)
{
    (void)state;
    const newcomers peers = flood_and_ask(2, 0, UINT32_MAX, 10000);
    check_helped(&peers, 10);
}

/* A request without a reply is not charged to its source.  A flood of 200,000 a
 * second, which would otherwise fill every cell of the sketch, delays
 * nobody. */
static void test_flood_does_not_fill_the_sketch(void **state)
{
    uint64_t random = 3;
    newcomers peers = {0};

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < 1000; ms++) {
        (void)flood(&random, 0, UINT32_MAX, 200, START_MS + ms);
        if (ms % 10 == 9) {
            (void)ask_as_newcomer(&peers, 1000 + peers.num, START_MS + ms);
        }
    }
    check_helped(&peers, 10);
}

/* A source over its own limit makes no SA known, so it cannot make the owners
 * of these SAs appear to have asked before. */
static void test_loud_source_makes_nothing_heard(void **state)
{
    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned n = 0; n < 1000; n++) {
        assert_int_equal(pass(1, n, START_MS), n < 10);
    }
    assert_int_equal(reply_limit.heard_sas.num_items, 10);
    assert_int_equal(reply_limit.heard_sources.num_items, 1);
}

/* Forged sources are unlimited, dead SAs are not.  A flood of 200,000 a second
 * from everywhere knows 800 of them and asks about one every 2 ms.  Its sources
 * must not displace the SAs that were heard, which would otherwise count as new
 * in each turn. */
static void test_forged_sources_do_not_make_sas_new(void **state)
{
    uint64_t random = 5;
    newcomers peers = {0};

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < 2600; ms++) {
        for (int i = 0; i < 200; i++) {
            uint64_t r = random64(&random);

            (void)pass((uint32_t)r, i == 0 ? 1 + ms / 2 % 800 : 0,
                       START_MS + ms);
        }
        if (ms >= 2000 && ms % 10 == 9) {
            (void)ask_as_newcomer(&peers, 1000 + peers.num, START_MS + ms);
        }
    }
    check_helped(&peers, 10);
}

/* Few peers ask about many SAs: a peer from elsewhere is a new source. */
static void test_flood_for_many_sas(void **state)
{
    uint64_t random = 4;
    newcomers peers = {0};

    (void)state;
    init_replies(1000, 2000, QCD_RATE_MAX);
    for (unsigned ms = 0; ms < 10000; ms++) {
        for (int i = 0; i < 20; i++) {
            uint64_t r = random64(&random);

            (void)pass((uint32_t)r & 7, r, START_MS + ms);
        }
        if (ms % 50 == 49) {
            (void)ask_as_newcomer(&peers, random64(&random), START_MS + ms);
        }
    }
    check_helped(&peers, 10);
}

/* A repeated request is not a new one until a minute has passed without any. */
static void test_heard_fades(void **state)
{
    (void)state;
    init_replies(4, 4, 1000); /* one of new SAs, one of new sources, 2 others */
    assert_true(pass(1, 1, START_MS));
    assert_true(pass(1, 1, START_MS));
    assert_true(pass(1, 1, START_MS));
    assert_false(pass(1, 1, START_MS));
    assert_true(pass(2, 1, START_MS)); /* a new source */
    assert_false(pass(2, 1, START_MS));
    assert_false(pass(1, 2, START_MS)); /* a new SA, but the first took it */
    for (uint64_t ms = 60001; ms < 600000; ms += 60001) {
        assert_true(pass(1, 1, START_MS + ms));
        assert_true(pass(1, 1, START_MS + ms));
        assert_true(pass(1, 1, START_MS + ms));
        assert_false(pass(1, 1, START_MS + ms));
    }
}

/* Two threads that read the clock and then wait for each other arrive with a
 * time that is slightly earlier: nothing is forgotten because of that. */
static void test_clock_that_stumbles(void **state)
{
    (void)state;
    init_replies(4, 4, 1000);
    (void)pass(1, 1, START_MS);
    uint64_t changed = START_MS + 30000;
    (void)pass(1, 1, changed);
    uint32_t current = reply_limit.heard_sas.current;
    for (uint64_t back = 1; back < 100; back++) {
        (void)pass(1, 1, changed - back);
        assert_int_equal(reply_limit.heard_sas.current, current);
        assert_true(reply_limit.heard_sas.since_ms == changed);
    }
}

static void test_gaps_of_replies(void **state)
{
    static const uint64_t gaps_ms[] = {60001, UINT32_MAX, (uint64_t)1 << 40,
                                       (uint64_t)1 << 43};
    uint64_t now_ms = 0;

    (void)state;
    init_replies(4, 4, 1000);
    for (size_t i = 0; i < NUM_ROWS(gaps_ms); i++) {
        now_ms += gaps_ms[i];
        for (int n = 0; n < 10; n++) {
            assert_int_equal(pass(1, 1, now_ms), n < 3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_ranges),
        cmocka_unit_test(test_total_of_replies),
        cmocka_unit_test(test_replies_of_rate_0),
        cmocka_unit_test(test_replies_to_one_source),
        cmocka_unit_test(test_replies_to_a_shared_source),
        cmocka_unit_test(test_shared_source_and_the_total),
        cmocka_unit_test(test_forger_at_a_shared_source),
        cmocka_unit_test(test_forger_elsewhere),
        cmocka_unit_test(test_turn_at_a_shared_source_comes_back),
        cmocka_unit_test(test_flood_from_many_sources),
        cmocka_unit_test(test_flood_from_random_sources),
        cmocka_unit_test(test_flood_does_not_fill_the_sketch),
        cmocka_unit_test(test_forged_sources_do_not_make_sas_new),
        cmocka_unit_test(test_loud_source_makes_nothing_heard),
        cmocka_unit_test(test_flood_for_many_sas),
        cmocka_unit_test(test_heard_fades),
        cmocka_unit_test(test_clock_that_stumbles),
        cmocka_unit_test(test_gaps_of_replies),
    };

    return cmocka_run_group_tests(tests, set_key, NULL);
}

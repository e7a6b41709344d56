/* SPDX-License-Identifier: Apache-2.0 */
/* test_limit_verify.c: how many messages a taker checks, src/limit.c, over
 * simulated time. */
#include "limit_box.h"

static qcd_taker taker;

static void init_verify(uint32_t rate_source, uint32_t rate_common)
{
    assert_int_equal(qcd_taker_init(&taker, rate_source, key), QCD_OK);
    pool_init(&taker.common, rate_common, rate_common);
}

/* ---- Of each source, about one SA ---- */

static void init_source(uint32_t rate)
{
    init_verify(rate, 0);
}

static bool source_pass(const qcd_address *source, uint64_t now_ms)
{
    const qcd_spis spis = {spi_of(1), spi_of(2)};

    return qcd_taker_may_check(&taker, source, &spis, now_ms);
}

static const struct {
    const char *name;
    uint32_t rate;
    unsigned tries; /* in each millisecond */
    unsigned ms;
} rates[] = {
    {"1 a second", 1, 2, 5000},
    {"2 a second", 2, 2, 5000},
    {"3 a second", 3, 2, 5000},
    {"10 a second", 10, 2, 5000},
    {"100 a second", 100, 3, 5000},
    {"999 a second", 999, 3, 5000},
    {"1000 a second", 1000, 3, 5000},
    {"7777 a second", 7777, 20, 1000},
    {"600001 a second", 600001, 7000, 20},
    {"999999 a second", 999999, 11000, 20},
};

/* In every prefix of the time, rate * t and the first burst pass at most, and
 * not much less. */
static void test_rate_of_a_source(void **state)
{
    const qcd_address a = v4(1);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rates); i++) {
        uint64_t rate = rates[i].rate;
        uint64_t num_passed = 0;

        init_source(rates[i].rate);
        for (unsigned ms = 0; ms < rates[i].ms; ms++) {
            for (unsigned n = 0; n < rates[i].tries; n++) {
                num_passed += source_pass(&a, START_MS + ms);
            }
            CHECK(rates[i].name, num_passed <= rate + rate * ms / 1000);
        }
        uint64_t tried = (uint64_t)rates[i].tries * rates[i].ms;
        uint64_t allowed = rate + rate * (rates[i].ms - 1) / 1000;
        uint64_t least = tried < allowed ? tried : allowed;
        CHECK(rates[i].name, num_passed >= least - least / 500 - 1);
    }
}

/* At one instant only the burst passes, however often it is tried. */
static void test_burst_of_a_source(void **state)
{
    static const uint32_t bursts[] = {1, 2, 3, 10, 100, 1000, 9999};
    const qcd_address a = v4(1);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(bursts); i++) {
        uint32_t num_passed = 0;

        init_source(bursts[i]);
        for (uint32_t n = 0; n < 3 * bursts[i]; n++) {
            num_passed += source_pass(&a, START_MS);
        }
        assert_int_equal(num_passed, bursts[i]);
    }
}

static void test_rate_bounds(void **state)
{
    const qcd_address a = v4(1);

    (void)state;
    init_source(0);
    assert_false(source_pass(&a, START_MS));
    assert_false(source_pass(&a, UINT32_MAX));
    init_source(QCD_RATE_MAX);
    assert_true(source_pass(&a, START_MS));
    dirty(&taker, sizeof(taker));
    assert_int_equal(qcd_taker_init(&taker, QCD_RATE_MAX + 1, key),
                     QCD_ERR_RANGE);
    assert_true(is_zero(&taker, sizeof(taker)));
    /* The state of all zeros lets nothing pass. */
    assert_false(source_pass(&a, START_MS));
}

static qcd_address with_bit(const qcd_address *base, unsigned bit)
{
    qcd_address a = *base;

    a.octets[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
    return a;
}

/* An IPv4 address is one source, and so is an IPv6 /64. */
static void test_what_one_source_is(void **state)
{
    const qcd_address base4 = v4(0xc0000201);
    const qcd_address base6 = {16, {0x20, 0x01, 0x0d, 0xb8}};

    (void)state;
    init_source(1);
    assert_true(source_pass(&base4, START_MS));
    assert_false(source_pass(&base4, START_MS));
    assert_true(source_pass(&base6, START_MS));
    assert_false(source_pass(&base6, START_MS));
    for (unsigned bit = 0; bit < 128; bit++) {
        const qcd_address a = with_bit(&base6, bit);

        assert_int_equal(source_pass(&a, START_MS), bit < 64);
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        const qcd_address a = with_bit(&base4, bit);

        assert_true(source_pass(&a, START_MS));
    }
    qcd_address tail = base4; /* octets beyond len are ignored */
    tail.octets[4] = 1;
    assert_false(source_pass(&tail, START_MS));
}

static void test_gaps_of_a_source(void **state)
{
    static const uint64_t gaps_ms[] = {1000, 60000, UINT32_MAX,
                                       (uint64_t)1 << 40, (uint64_t)1 << 43};
    const qcd_address a = v4(1);
    uint64_t now_ms = 0;

    (void)state;
    init_source(3);
    for (size_t i = 0; i < NUM_ROWS(gaps_ms); i++) {
        now_ms += gaps_ms[i];
        for (int n = 0; n < 6; n++) {
            assert_int_equal(source_pass(&a, now_ms), n < 3);
        }
    }
}

/* One loud source does not hold back a thousand others. */
static void test_loud_source(void **state)
{
    const qcd_address loud = v4(0xffff0000);

    (void)state;
    init_source(10);
    for (uint32_t n = 0; n < 1000; n++) {
        const qcd_address a = v4(n);

        for (int i = 0; i < 100; i++) {
            bool passed = source_pass(&loud, START_MS + n);

            assert_true(!passed || i < 10);
        }
        for (int i = 0; i < 5; i++) {
            assert_true(source_pass(&a, START_MS + n));
        }
    }
}

/* With each key, two sources have another chance to share cells. */
static void test_cells_depend_on_the_key(void **state)
{
    static qcd_taker before;
    const qcd_address a = v4(1);

    (void)state;
    init_source(10);
    assert_true(source_pass(&a, START_MS));
    before = taker;
    key[0] ^= 1;
    init_source(10);
    key[0] ^= 1;
    assert_true(source_pass(&a, START_MS));
    assert_memory_not_equal(taker.sas.cells, before.sas.cells,
                            sizeof(before.sas.cells));
}

/* ---- Of the messages that a taker checks ---- */

static qcd_spis sa(uint64_t n)
{
    return (qcd_spis){spi_of(2 * n + 1), spi_of(2 * n + 2)};
}

static bool verify_pass(uint32_t source, uint64_t n, uint64_t now_ms)
{
    const qcd_address a = v4(source);
    const qcd_spis spis = sa(n);

    return qcd_taker_may_check(&taker, &a, &spis, now_ms);
}

/* Somebody forges the address of a peer and sends this many messages a second
 * about one of its SAs.  Then the real tokens arrive, at a random time of each
 * second. */
static const struct forger {
    const char *name;
    unsigned forged; /* in each millisecond */
    unsigned about;  /* number of the peer's SAs */
    unsigned own;    /* percent of the attacked SA's tokens that are checked */
} forgers[] = {
    {"none", 0, 1, 100},
    {"1,000 a second", 1, 1, 100},
    {"10,000 a second", 10, 1, 100},
    {"20,000 a second", 20, 1, 45},
    {"1,000 a second about ten SAs", 1, 10, 100},
    {"20,000 a second about ten SAs", 20, 10, 50},
};

/* The tokens of that peer's other SAs are checked as if there were no flood. */
static void check_other_sas(const char *name, uint64_t now_ms)
{
    enum { OTHERS = 50, FIRST_OTHER = 1000 };

    for (uint64_t n = 0; n < OTHERS; n++) {
        CHECK(name, verify_pass(1, FIRST_OTHER + n, now_ms));
    }
}

/* A second of the flood.  Returns whether the attacked SA's own token is
 * checked, which arrives at a random place among the forged ones. */
static bool flooded_second(const struct forger *f, uint64_t start_ms,
                           uint64_t random)
{
    uint64_t num = (uint64_t)f->forged * 1000;
    uint64_t own_place = random64(&random) % (num + 1);
    bool own = false;

    for (uint64_t n = 0; n <= num; n++) {
        uint64_t now_ms = start_ms + (n > 0 ? (n - 1) / f->forged : 0);

        if (n == own_place) {
            own = verify_pass(1, 0, now_ms);
            check_other_sas(f->name, now_ms);
        }
        (void)!(n < num && verify_pass(1, n % f->about, now_ms));
    }
    return own;
}

static void test_forged_in_a_peers_name(void **state)
{
    enum { SECONDS = 50 };

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(forgers); i++) {
        unsigned own = 0;

        init_verify(100, QCD_VERIFY_RATE_COMMON);
        for (uint64_t second = 0; second < SECONDS; second++) {
            own += flooded_second(&forgers[i], START_MS + second * 1000,
                                  i * SECONDS + second);
        }
        CHECK(forgers[i].name, own * 100 >= forgers[i].own * SECONDS);
    }
}

static const struct {
    const char *name;
    uint32_t rate_source;
    uint32_t rate_common;
    unsigned at_once;
    unsigned a_second_later;
} verify_rates[] = {
    {"all zero", 0, 0, 0, 0},
    {"none of a source", 0, 100, 0, 0},
    {"none in common", 3, 0, 3, 3},
    {"one in common", 3, 1, 4, 4},
    {"both", 100, 50, 150, 150},
    {"the defaults", 100, QCD_VERIFY_RATE_COMMON, 10100, 10100},
};

static void test_rates_of_verifying(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(verify_rates); i++) {
        unsigned num[2] = {0, 0};

        init_verify(verify_rates[i].rate_source, verify_rates[i].rate_common);
        for (uint64_t second = 0; second < 2; second++) {
            for (int n = 0; n < 20000; n++) {
                num[second] += verify_pass(1, 0, START_MS + second * 1001);
            }
        }
        CHECK_INT(verify_rates[i].name, num[0], verify_rates[i].at_once);
        CHECK_INT(verify_rates[i].name, num[1], verify_rates[i].a_second_later);
    }
}

/* Each relevant octet of the address, and of both SPIs. */
static void test_what_is_verified_apart(void **state)
{
    (void)state;
    init_verify(1, 0);
    assert_true(verify_pass(1, 0, START_MS));
    assert_false(verify_pass(1, 0, START_MS));
    for (unsigned bit = 0; bit < 128; bit++) {
        const qcd_address a = v4(1);
        qcd_spis spis = sa(0);
        uint8_t *spi = bit < 64 ? spis.initiator.octets : spis.responder.octets;

        spi[bit % 64 / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(qcd_taker_may_check(&taker, &a, &spis, START_MS));
        assert_false(qcd_taker_may_check(&taker, &a, &spis, START_MS));
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        assert_true(verify_pass(1 ^ 1u << bit, 0, START_MS));
    }
    qcd_spis swapped = sa(0);
    const qcd_address a = v4(1);
    const qcd_spi initiator = swapped.initiator;
    swapped.initiator = swapped.responder;
    swapped.responder = initiator;
    assert_true(qcd_taker_may_check(&taker, &a, &swapped, START_MS));
}

/* If a peer loses ten thousand SAs at once, nearly all tokens are checked:
 * cells are shared, and then there is the common rate. */
static void test_many_sas_of_a_peer(void **state)
{
    unsigned num_passed = 0;

    (void)state;
    init_verify(100, QCD_VERIFY_RATE_COMMON);
    for (uint64_t n = 0; n < 10000; n++) {
        num_passed += verify_pass(1, n, START_MS + n / 10);
    }
    assert_int_equal(num_passed, 10000);
}

/* Forged sources are unlimited.  With each of them about one SA, the sketch is
 * not filled, and the real token is checked. */
static void test_forged_sources_about_one_sa(void **state)
{
    (void)state;
    init_verify(100, 0);
    for (uint32_t n = 0; n < 100000; n++) {
        (void)!verify_pass(n + 2, 0, START_MS + n / 20);
        if (n % 1000 == 0) {
            assert_true(verify_pass(1, 0, START_MS + n / 20));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_of_a_source),
        cmocka_unit_test(test_burst_of_a_source),
        cmocka_unit_test(test_rate_bounds),
        cmocka_unit_test(test_what_one_source_is),
        cmocka_unit_test(test_gaps_of_a_source),
        cmocka_unit_test(test_loud_source),
        cmocka_unit_test(test_cells_depend_on_the_key),
        cmocka_unit_test(test_forged_in_a_peers_name),
        cmocka_unit_test(test_rates_of_verifying),
        cmocka_unit_test(test_what_is_verified_apart),
        cmocka_unit_test(test_many_sas_of_a_peer),
        cmocka_unit_test(test_forged_sources_about_one_sa),
    };

    return cmocka_run_group_tests(tests, set_key, NULL);
}

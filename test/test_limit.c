/* SPDX-License-Identifier: Apache-2.0 */
/* test_limit.c: src/limit.c, over simulated time. */
#include "test.h"

#include "parts.h"

static uint8_t key[QCD_RANDOM_KEY_LEN];
static qcd_verify_limit verify_limit;
static qcd_reply_limit reply_limit;

/* The clock's origin does not matter; this is no round number. */
enum { START_MS = 123456789 };

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

static int set_key(void **state)
{
    (void)state;
    count_up(key, 7, sizeof(key));
    return 0;
}

static qcd_address v4(uint32_t n)
{
    qcd_address a = {4,
                     {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                      (uint8_t)n}};

    return a;
}

static qcd_spi spi_of(uint64_t n)
{
    qcd_spi spi;

    for (size_t i = 0; i < sizeof(spi); i++) {
        spi.octets[i] = (uint8_t)(n >> (8 * i));
    }
    return spi;
}

/* ---- Of each source, about one SA ---- */

static void init_source(uint32_t rate)
{
    assert_int_equal(verify_limit_init(&verify_limit, rate, 0, key), QCD_OK);
}

static bool source_pass(const qcd_address *source, uint64_t now_ms)
{
    const qcd_spis spis = {spi_of(1), spi_of(2)};

    return verify_limit_pass(&verify_limit, source, &spis, now_ms);
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

/* In every prefix of the time no more than rate * t and the first burst pass,
 * and not much less. */
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

/* At one instant just the burst passes, however often it is tried. */
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
    dirty(&verify_limit, sizeof(verify_limit));
    assert_int_equal(verify_limit_init(&verify_limit, QCD_RATE_MAX + 1, 1, key),
                     QCD_ERR_RANGE);
    assert_true(is_zero(&verify_limit, sizeof(verify_limit)));
    dirty(&verify_limit, sizeof(verify_limit));
    assert_int_equal(verify_limit_init(&verify_limit, 1, QCD_RATE_MAX + 1, key),
                     QCD_ERR_RANGE);
    assert_true(is_zero(&verify_limit, sizeof(verify_limit)));
    /* All zero is the state that lets nothing pass. */
    assert_false(source_pass(&a, START_MS));
}

static qcd_address with_bit(const qcd_address *base, unsigned bit)
{
    qcd_address a = *base;

    a.octets[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
    return a;
}

/* An IPv4 address and an IPv6 /64 is one source. */
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
    qcd_address tail = base4; /* octets beyond len are not looked at */
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

/* Which cells two sources share is another chance with each key. */
static void test_cells_depend_on_the_key(void **state)
{
    static qcd_verify_limit before;
    const qcd_address a = v4(1);

    (void)state;
    init_source(10);
    assert_true(source_pass(&a, START_MS));
    before = verify_limit;
    key[0] ^= 1;
    init_source(10);
    key[0] ^= 1;
    assert_true(source_pass(&a, START_MS));
    assert_memory_not_equal(verify_limit.sas.cells, before.sas.cells,
                            sizeof(before.sas.cells));
}

/* ---- Of the messages that a taker checks ---- */

static qcd_spis sa(uint64_t n)
{
    return (qcd_spis){spi_of(2 * n + 1), spi_of(2 * n + 2)};
}

static void init_verify(uint32_t rate_source, uint32_t rate_common)
{
    assert_int_equal(
        verify_limit_init(&verify_limit, rate_source, rate_common, key),
        QCD_OK);
}

static bool verify_pass(uint32_t source, uint64_t n, uint64_t now_ms)
{
    const qcd_address a = v4(source);
    const qcd_spis spis = sa(n);

    return verify_limit_pass(&verify_limit, &a, &spis, now_ms);
}

/* Somebody forges the address of a peer, so many messages a second about one of
 * its SAs.  Then the real tokens come, at a random moment of each second. */
static const struct forger {
    const char *name;
    unsigned forged; /* in each millisecond */
    unsigned about;  /* so many SAs of the peer's */
    unsigned own;    /* percent of the attacked SA's tokens that are checked */
} forgers[] = {
    {"none", 0, 1, 100},
    {"1,000 a second", 1, 1, 100},
    {"10,000 a second", 10, 1, 100},
    {"20,000 a second", 20, 1, 45},
    {"1,000 a second about ten SAs", 1, 10, 100},
    {"20,000 a second about ten SAs", 20, 10, 50},
};

/* The tokens of that peer's other SAs are checked as if nothing was. */
static void check_other_sas(const char *name, uint64_t now_ms)
{
    enum { OTHERS = 50, FIRST_OTHER = 1000 };

    for (uint64_t n = 0; n < OTHERS; n++) {
        CHECK(name, verify_pass(1, FIRST_OTHER + n, now_ms));
    }
}

/* A second of the flood, and whether the attacked SA's own token is checked
 * that comes at a random place among the forged ones. */
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

/* Each octet of the address that counts, and of both SPIs. */
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
        assert_true(verify_limit_pass(&verify_limit, &a, &spis, START_MS));
        assert_false(verify_limit_pass(&verify_limit, &a, &spis, START_MS));
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        assert_true(verify_pass(1 ^ 1u << bit, 0, START_MS));
    }
    qcd_spis swapped = sa(0);
    const qcd_address a = v4(1);
    const qcd_spi initiator = swapped.initiator;
    swapped.initiator = swapped.responder;
    swapped.responder = initiator;
    assert_true(verify_limit_pass(&verify_limit, &a, &swapped, START_MS));
}

/* Of a peer with ten thousand SAs, all of which are lost at once, hardly a one
 * is not checked: cells are shared, and then there is the common rate. */
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

/* Forged sources are endless; with each of them about one SA, the sketch is
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

/* ---- Of all replies ---- */

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

/* New ones and repeaters together get all that is allowed and no more, in
 * every prefix of the time. */
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

/* Where the peers of many lost SAs are, each SA is answered once, beside what
 * the source may have, and however fast the others come back. */
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

/* What all may have together bounds this as well; a rate of 0 does. */
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
 * them and all the time: each of the others is answered all the same. */
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

/* Nor does he use it up who has seen all SPIs, and asks from elsewhere. */
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

/* An SA has its turn again when it was not answered for a minute. */
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

/* RFC 6290 section 8.1.  20,000 a second from 65,536 addresses that know
 * a few SAs, for a minute: the total is kept, and each new peer, which asks
 * for the first time for an SA of its own, is answered at once. */
static void test_flood_from_many_sources(void **state)
{
    uint64_t random = 1;
    uint64_t num_passed = 0;
    uint32_t newcomer = 0;
    unsigned num_helped = 0;

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < FLOOD_MS; ms++) {
        for (int i = 0; i < 20; i++) {
            uint64_t r = random64(&random);

            num_passed +=
                pass(0x0a000000 | (r & 0xffff), r >> 32 & 7, START_MS + ms);
        }
        if (ms % 50 == 49) {
            bool helped =
                pass(0xc0000000 + newcomer, 1000 + newcomer, START_MS + ms);

            newcomer++;
            num_helped += helped;
            num_passed += helped;
        }
        assert_true(num_passed <= 2000 + ms);
    }
    /* A filter that is nearly full takes a few of them for known. */
    assert_in_range(num_helped, newcomer - newcomer / 20, newcomer);
    assert_int_equal(newcomer, FLOOD_MS / 50);
}

/* The same from all addresses there are: those who flood are always new
 * sources, but ask for SAs that were heard. */
static void test_flood_from_random_sources(void **state)
{
    uint64_t random = 2;
    uint64_t num_passed = 0;
    uint32_t newcomer = 0;
    unsigned num_helped = 0;

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < 10000; ms++) {
        for (int i = 0; i < 20; i++) {
            uint64_t r = random64(&random);

            num_passed += pass((uint32_t)r, r >> 32 & 7, START_MS + ms);
        }
        if (ms % 50 == 49) {
            bool helped =
                pass(0xc0000000 + newcomer, 1000 + newcomer, START_MS + ms);

            newcomer++;
            num_helped += helped;
            num_passed += helped;
        }
        assert_true(num_passed <= 2000 + ms);
    }
    assert_in_range(num_helped, newcomer - newcomer / 10, newcomer);
}

/* What was not answered is not charged to its source: a flood that would fill
 * every cell of the sketch if it were, 200,000 a second, holds nobody back. */
static void test_flood_does_not_fill_the_sketch(void **state)
{
    uint64_t random = 3;
    uint32_t newcomer = 0;
    unsigned num_helped = 0;

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < 1000; ms++) {
        for (int i = 0; i < 200; i++) {
            uint64_t r = random64(&random);

            (void)pass((uint32_t)r, r >> 32 & 7, START_MS + ms);
        }
        if (ms % 10 == 9) {
            num_helped +=
                pass(0xc0000000 + newcomer, 1000 + newcomer, START_MS + ms);
            newcomer++;
        }
    }
    assert_in_range(num_helped, newcomer - newcomer / 10, newcomer);
}

/* A source that is over its own limit makes no SA known, so it cannot make old
 * hands of those who own them. */
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

/* Sources are forged without end, dead SAs are not.  Those who flood, 200,000
 * a second from everywhere, and know 800 of them, ask for one each 2 ms: their
 * sources must not drive out the SAs that were heard, which would pass for
 * newcomers in each turn. */
static void test_forged_sources_do_not_make_sas_new(void **state)
{
    uint64_t random = 5;
    uint32_t newcomer = 0;
    unsigned num_helped = 0;

    (void)state;
    init_replies(1000, 2000, 10);
    for (unsigned ms = 0; ms < 2600; ms++) {
        for (int i = 0; i < 200; i++) {
            uint64_t r = random64(&random);

            (void)pass((uint32_t)r, i == 0 ? 1 + ms / 2 % 800 : 0,
                       START_MS + ms);
        }
        if (ms >= 2000 && ms % 10 == 9) {
            num_helped +=
                pass(0xc0000000 + newcomer, 1000 + newcomer, START_MS + ms);
            newcomer++;
        }
    }
    assert_in_range(num_helped, newcomer - newcomer / 10, newcomer);
}

/* Many SAs asked for by few: a peer from elsewhere is a new source. */
static void test_flood_for_many_sas(void **state)
{
    uint64_t random = 4;
    uint32_t newcomer = 0;
    unsigned num_helped = 0;

    (void)state;
    init_replies(1000, 2000, QCD_RATE_MAX);
    for (unsigned ms = 0; ms < 10000; ms++) {
        for (int i = 0; i < 20; i++) {
            uint64_t r = random64(&random);

            (void)pass((uint32_t)r & 7, r, START_MS + ms);
        }
        if (ms % 50 == 49) {
            num_helped +=
                pass(0xc0000000 + newcomer, random64(&random), START_MS + ms);
            newcomer++;
        }
    }
    assert_in_range(num_helped, newcomer - newcomer / 10, newcomer);
}

/* Who asks again is no newcomer, until it was not heard for a minute. */
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

/* Two threads that read the clock and then wait for each other come with
 * a time that is a little earlier: nothing is forgotten for that. */
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

/* ---- Of each lost SA ---- */

static qcd_lost_limit lost_limit;

static bool pass_lost_at(uint64_t spi, bool is_known, uint64_t now_ms)
{
    const qcd_spi local = spi_of(spi);
    bool may = lost_limit_conforms(&lost_limit, &local, is_known, now_ms);

    if (may) {
        lost_limit_charge(&lost_limit, &local, now_ms);
    }
    return may;
}

static bool pass_lost(uint64_t spi, bool is_known, uint64_t ms)
{
    return pass_lost_at(spi, is_known, START_MS + ms);
}

static const struct {
    const char *name;
    bool was_known; /* to whom the last answer went, at 0 */
    bool is_known;
    uint64_t ms;
    bool want;
} lost_rows[] = {
    {"known again at once", true, true, 0, false},
    {"known within the second", true, true, 999, false},
    {"known after it", true, true, 1000, true},
    {"known after a stranger, within the second", false, true, 999, false},
    {"known after a stranger", false, true, 1000, true},
    {"stranger after a second", true, false, 1000, false},
    {"stranger within two seconds", true, false, 1999, false},
    {"stranger after two", true, false, 2000, true},
    {"stranger after a stranger, within two", false, false, 1999, false},
    {"stranger after a stranger", false, false, 2000, true},
    {"known after years", true, true, (uint64_t)1 << 43, true},
    {"stranger after years", true, false, (uint64_t)1 << 43, true},
};

static void test_lost_sa(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(lost_rows); i++) {
        const char *name = lost_rows[i].name;

        dirty(&lost_limit, sizeof(lost_limit));
        lost_limit_init(&lost_limit, key);
        CHECK(name, pass_lost(1, lost_rows[i].was_known, 0));
        CHECK_INT(name, pass_lost(1, lost_rows[i].is_known, lost_rows[i].ms),
                  lost_rows[i].want);
        CHECK(name, pass_lost(2, lost_rows[i].is_known, lost_rows[i].ms));
    }
}

static void test_zero_lost_limit(void **state)
{
    (void)state;
    memset(&lost_limit, 0, sizeof(lost_limit));
    assert_false(pass_lost(1, true, 0));
    assert_false(pass_lost(1, true, 5000));
}

/* A clock that stumbles gives no second answer. */
static void test_lost_sa_and_earlier_time(void **state)
{
    (void)state;
    lost_limit_init(&lost_limit, key);
    assert_true(pass_lost(1, true, 0));
    for (uint64_t back = 1; back < 3000; back++) {
        assert_false(pass_lost_at(1, true, START_MS - back));
    }
    assert_false(pass_lost_at(1, true, 0));
    assert_true(pass_lost(1, true, 1000));
}

/* A stranger who repeats a peer's packets a thousand times a second delays the
 * answer to the peer by a second at the most, and never gets in before it. */
static void test_strangers_do_not_starve_the_peer(void **state)
{
    unsigned num_peer = 0;
    unsigned num_stranger = 0;

    (void)state;
    lost_limit_init(&lost_limit, key);
    for (uint64_t ms = 0; ms < 20000; ms++) {
        num_stranger += pass_lost(1, false, ms);
        num_peer += ms % 10 == 9 && pass_lost(1, true, ms);
        num_stranger += pass_lost(1, false, ms);
    }
    assert_int_equal(num_stranger, 1);
    assert_in_range(num_peer, 18, 19);
}

/* As many as are answered in a second by default hardly share all cells. */
static void test_many_lost_sas(void **state)
{
    unsigned num_passed = 0;

    (void)state;
    lost_limit_init(&lost_limit, key);
    for (uint64_t n = 0; n < 1000; n++) {
        num_passed += pass_lost(n, true, n);
    }
    assert_in_range(num_passed, 995, 1000);
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
        cmocka_unit_test(test_lost_sa),
        cmocka_unit_test(test_zero_lost_limit),
        cmocka_unit_test(test_lost_sa_and_earlier_time),
        cmocka_unit_test(test_strangers_do_not_starve_the_peer),
        cmocka_unit_test(test_many_lost_sas),
    };

    return cmocka_run_group_tests(tests, set_key, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_limit_lost.c: how often the peer of a lost SA is told, src/limit.c, over
 * simulated time. */
#include "limit_box.h"

static qcd_source_limit lost_limit;

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
    bool was_known; /* whether the peer got the last reply, at 0 */
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
        source_limit_init(&lost_limit, 1, key);
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

/* A clock that goes back yields no second reply. */
static void test_lost_sa_and_earlier_time(void **state)
{
    (void)state;
    source_limit_init(&lost_limit, 1, key);
    assert_true(pass_lost(1, true, 0));
    for (uint64_t back = 1; back < 3000; back++) {
        assert_false(pass_lost_at(1, true, START_MS - back));
    }
    assert_false(pass_lost_at(1, true, 0));
    assert_true(pass_lost(1, true, 1000));
}

/* A stranger who repeats a peer's packets a thousand times a second delays the
 * reply to the peer by at most a second, and never gets one before it. */
static void test_strangers_do_not_starve_the_peer(void **state)
{
    unsigned num_peer = 0;
    unsigned num_stranger = 0;

    (void)state;
    source_limit_init(&lost_limit, 1, key);
    for (uint64_t ms = 0; ms < 20000; ms++) {
        num_stranger += pass_lost(1, false, ms);
        num_peer += ms % 10 == 9 && pass_lost(1, true, ms);
        num_stranger += pass_lost(1, false, ms);
    }
    assert_int_equal(num_stranger, 1);
    assert_in_range(num_peer, 18, 19);
}

/* The number of SAs that is told in a second by default hardly shares all
 * cells. */
static void test_many_lost_sas(void **state)
{
    unsigned num_passed = 0;

    (void)state;
    source_limit_init(&lost_limit, 1, key);
    for (uint64_t n = 0; n < 1000; n++) {
        num_passed += pass_lost(n, true, n);
    }
    assert_in_range(num_passed, 995, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_sa),
        cmocka_unit_test(test_zero_lost_limit),
        cmocka_unit_test(test_lost_sa_and_earlier_time),
        cmocka_unit_test(test_strangers_do_not_starve_the_peer),
        cmocka_unit_test(test_many_lost_sas),
    };

    return cmocka_run_group_tests(tests, set_key, NULL);
}

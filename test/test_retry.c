/* SPDX-License-Identifier: Apache-2.0 */
/* test_retry.c: src/retry.c, over simulated time. */
#include "test.h"

#include <qcd/qcd.h>

#include <stdio.h>

enum { START_MS = 987654321, HOUR_MS = 3600 * 1000 };

static qcd_retry begun(void)
{
    qcd_retry retry;

    dirty(&retry, sizeof(retry));
    qcd_retry_init(&retry, START_MS);
    return retry;
}

/* A try at `ms` after the start, which ends immediately with `failure`. */
static void try_at(qcd_retry *retry, uint64_t ms, enum qcd_failure failure)
{
    qcd_retry_try(retry, START_MS + ms);
    qcd_retry_fail(retry, failure, START_MS + ms);
}

static uint64_t gap_after(const qcd_retry *retry, uint64_t ms, uint32_t random)
{
    return qcd_retry_due(retry, random) - START_MS - ms;
}

static void test_first_try_is_due_at_once(void **state)
{
    qcd_retry retry = begun();

    (void)state;
    assert_int_equal(qcd_retry_due(&retry, 0), START_MS);
    assert_int_equal(qcd_retry_due(&retry, UINT32_MAX), START_MS);
    assert_int_equal(retry.num_tries, 0);
    /* Another daemon's try that crashed the peer is not ours. */
    qcd_retry_fail(&retry, QCD_FAILURE_CRASHED, START_MS + 5);
    assert_int_equal(qcd_retry_due(&retry, 0), START_MS);
}

static const struct {
    uint64_t at; /* of a try, after the first one */
    uint64_t longest;
    uint64_t shortest;
} gaps[] = {
    {0, 250, 188},          {1, 250, 188},           {2000, 250, 188},
    {2007, 250, 188},       {2008, 251, 189},        {8000, 1000, 750},
    {80000, 10000, 7500},   {239992, 29999, 22500},  {240000, 30000, 22500},
    {240008, 30000, 22500}, {HOUR_MS, 30000, 22500},
};

static void test_gaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(gaps); i++) {
        qcd_retry retry = begun();

        try_at(&retry, 0, QCD_FAILURE_SILENT);
        try_at(&retry, gaps[i].at, QCD_FAILURE_SILENT);
        char name[32];
        (void)snprintf(name, sizeof(name), "row %zu", i);
        CHECK_INT(name, gap_after(&retry, gaps[i].at, 0), gaps[i].longest);
        CHECK_INT(name, gap_after(&retry, gaps[i].at, UINT32_MAX),
                  gaps[i].shortest);
    }
}

/* However long a peer is down, a try follows its return within an eighth of
 * that time, and a few tens of tries suffice. */
static void test_outage_grows_by_an_eighth(void **state)
{
    qcd_retry retry = begun();
    uint64_t last = 0;

    (void)state;
    while (last < 240000) {
        uint64_t now = qcd_retry_due(&retry, 0) - START_MS;

        assert_true(now - last <= last / 8 + 250);
        try_at(&retry, now, QCD_FAILURE_SILENT);
        last = now;
    }
    assert_in_range(retry.num_tries, 40, 60);
}

static const struct {
    const char *name;
    enum qcd_failure failures[3]; /* at 0, then at the two times */
    uint64_t at[2];
    uint64_t want;
} refusals[] = {
    {"just below an hour", {1, 1, 1}, {1000, HOUR_MS - 1}, 30000},
    {"an hour", {1, 1, 1}, {1000, HOUR_MS}, 300000},
    {"silent at last", {1, 1, 0}, {1000, HOUR_MS}, 30000},
    {"silent in between", {1, 0, 1}, {1000, HOUR_MS}, 30000},
    {"never refused", {0, 0, 0}, {1000, HOUR_MS}, 30000},
};

static void test_refused_for_an_hour(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(refusals); i++) {
        qcd_retry retry = begun();

        try_at(&retry, 0, refusals[i].failures[0]);
        try_at(&retry, refusals[i].at[0], refusals[i].failures[1]);
        try_at(&retry, refusals[i].at[1], refusals[i].failures[2]);
        CHECK_INT(refusals[i].name, gap_after(&retry, refusals[i].at[1], 0),
                  refusals[i].want);
    }
}

static void test_crashes(void **state)
{
    static const uint64_t want[] = {1000,  1000,  4000, 8000,
                                    16000, 30000, 30000};
    qcd_retry retry = begun();
    uint64_t now = 0;
    uint64_t starts_in_10_s = 1; /* after the crash that began everything */

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(want); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "crash %zu", i);
        try_at(&retry, now, QCD_FAILURE_CRASHED);
        starts_in_10_s += now < 10000;
        CHECK_INT(name, gap_after(&retry, now, UINT32_MAX), want[i]);
        now += want[i];
    }
    /* systemd: DefaultStartLimitBurst=5 within 10 s */
    assert_true(starts_in_10_s <= 5);
}

/* Each is up and used for a moment, then the peer crashes. */
static void test_lost_again(void **state)
{
    qcd_retry retry = begun();
    uint64_t now = 0;

    (void)state;
    for (unsigned n = 0; n < 100; n++) {
        try_at(&retry, now, QCD_FAILURE_LOST);
        assert_int_equal(gap_after(&retry, now, 0), 250);
        now += 5000;
    }
}

static void test_lost_ends_a_row_of_crashes(void **state)
{
    qcd_retry retry = begun();

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        try_at(&retry, 0, QCD_FAILURE_CRASHED);
    }
    try_at(&retry, 100000, QCD_FAILURE_LOST);
    assert_int_equal(gap_after(&retry, 100000, 0), 250);
}

static void test_crashes_never_overflow(void **state)
{
    qcd_retry retry = begun();

    (void)state;
    retry.num_tries = UINT32_MAX;
    for (unsigned i = 0; i < 100000; i++) {
        try_at(&retry, 0, QCD_FAILURE_CRASHED);
    }
    assert_int_equal(retry.num_tries, UINT32_MAX);
    assert_int_equal(gap_after(&retry, 0, 0), 30000);
}

static void test_hasten(void **state)
{
    qcd_retry retry = begun();

    (void)state;
    try_at(&retry, 0, QCD_FAILURE_SILENT);
    try_at(&retry, 80000, QCD_FAILURE_SILENT);
    qcd_retry_hasten(&retry, START_MS + 80500);
    assert_int_equal(gap_after(&retry, 80000, 0), 250);
    try_at(&retry, 80500, QCD_FAILURE_CRASHED);
    qcd_retry_hasten(&retry, START_MS + 80600);
    assert_int_equal(gap_after(&retry, 80500, 0), 1000);
}

/* Threads that waited for each other may arrive with an earlier time. */
static void test_clock_that_steps_back(void **state)
{
    qcd_retry retry = begun();

    (void)state;
    try_at(&retry, 0, QCD_FAILURE_REFUSED);
    qcd_retry_hasten(&retry, START_MS + 100);
    qcd_retry_try(&retry, START_MS + 50);
    assert_int_equal(gap_after(&retry, 50, 0), 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_try_is_due_at_once),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_outage_grows_by_an_eighth),
        cmocka_unit_test(test_refused_for_an_hour),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_lost_again),
        cmocka_unit_test(test_lost_ends_a_row_of_crashes),
        cmocka_unit_test(test_crashes_never_overflow),
        cmocka_unit_test(test_hasten),
        cmocka_unit_test(test_clock_that_steps_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

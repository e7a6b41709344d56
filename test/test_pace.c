/* SPDX-License-Identifier: Apache-2.0 */
/* test_pace.c: src/pace.c.  bench/simulate.c tests it with a million peers. */
#include "test.h"

#include "parts.h"

enum { START_MS = 123456789 };

static qcd_pace paced(uint32_t window_max)
{
    qcd_pace pace;

    dirty(&pace, sizeof(pace));
    qcd_pace_init(&pace, QCD_PACE_FIRST, window_max);
    return pace;
}

/* Completes `num` handshakes with the window full. */
static void complete(qcd_pace *pace, unsigned num)
{
    for (unsigned i = 0; i < num; i++) {
        qcd_pace_completed(pace, qcd_pace_due(pace, 0), true);
    }
}

/* A failure that counts: it is not one of many that were completed. */
static void fail_once(qcd_pace *pace, uint64_t now_ms)
{
    pace->num_good = 0;
    qcd_pace_failed(pace, now_ms);
}

static void test_init(void **state)
{
    static const struct {
        uint32_t window_max;
        uint32_t first;
    } rows[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {UINT32_MAX, 3}};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_pace pace = paced(rows[i].window_max);

        assert_int_equal(qcd_pace_due(&pace, 0), rows[i].first);
    }
}

static void test_zero_pace(void **state)
{
    qcd_pace pace = {0};

    (void)state;
    qcd_pace_completed(&pace, 1, true);
    qcd_pace_failed(&pace, 0);
    assert_int_equal(qcd_pace_due(&pace, 0), 0);
}

static void test_due(void **state)
{
    static const struct {
        uint32_t num_underway;
        uint32_t due;
    } rows[] = {{0, 3}, {1, 2}, {2, 1}, {3, 0}, {4, 0}, {UINT32_MAX, 0}};
    qcd_pace pace = paced(QCD_PACE_MAX);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        assert_int_equal(qcd_pace_due(&pace, rows[i].num_underway),
                         rows[i].due);
    }
}

/* Until the first failure, each completed handshake makes room for two. */
static void test_doubles_first(void **state)
{
    qcd_pace pace = paced(20);

    (void)state;
    complete(&pace, 3);
    assert_int_equal(qcd_pace_due(&pace, 0), 6);
    complete(&pace, 6);
    assert_int_equal(qcd_pace_due(&pace, 0), 12);
    complete(&pace, 8);
    assert_int_equal(qcd_pace_due(&pace, 0), 20);
    complete(&pace, 1000);
    assert_int_equal(qcd_pace_due(&pace, 0), 20);
}

/* After it, only a whole window of them makes room for one more. */
static void test_grows_slowly_later(void **state)
{
    qcd_pace pace = paced(20);

    (void)state;
    complete(&pace, 100);
    fail_once(&pace, START_MS);
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
    complete(&pace, 9);
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
    complete(&pace, 1);
    assert_int_equal(qcd_pace_due(&pace, 0), 11);
    complete(&pace, 10);
    assert_int_equal(qcd_pace_due(&pace, 0), 11);
    complete(&pace, 1);
    assert_int_equal(qcd_pace_due(&pace, 0), 12);
    complete(&pace, 1000);
    assert_int_equal(qcd_pace_due(&pace, 0), 20);
}

/* A window that is not used proves nothing. */
static void test_needs_use(void **state)
{
    static const struct {
        uint32_t num_underway;
        bool grows;
    } rows[] = {{0, false}, {1, false}, {5, false}, {6, true}, {10, true}};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_pace pace = paced(20);

        complete(&pace, 7);
        assert_int_equal(qcd_pace_due(&pace, 0), 10);
        qcd_pace_completed(&pace, rows[i].num_underway, true);
        assert_int_equal(qcd_pace_due(&pace, 0), 10 + rows[i].grows);
    }
}

/* Of many failures at the same time, one counts; and one handshake is always
 * allowed. */
static void test_failures(void **state)
{
    static const struct {
        uint64_t ms;
        uint32_t window;
    } rows[] = {
        {0, 10},   {0, 10},   {999, 10}, {1000, 5}, {1999, 5},  {2000, 3},
        {3000, 2}, {4000, 1}, {5000, 1}, {4999, 1}, {99999, 1},
    };
    qcd_pace pace = paced(20);

    (void)state;
    complete(&pace, 100);
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        fail_once(&pace, START_MS + rows[i].ms);
        assert_int_equal(qcd_pace_due(&pace, 0), rows[i].window);
    }
}

/* Of what a bad network loses, one in sixteen changes nothing. */
static void test_tolerates_some(void **state)
{
    static const struct {
        unsigned completed; /* for each failure */
        uint32_t window_max;
        bool is_cut;
    } rows[] = {{16, 20, false}, {17, 20, false},   {15, 20, true},
                {1, 20, true},   {16, 1024, false}, {15, 1024, true},
                {16, 1, false}};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_pace pace = paced(rows[i].window_max);
        uint64_t ms = START_MS;

        complete(&pace, 2000);
        for (int n = 0; n < 2000; n++) {
            complete(&pace, rows[i].completed);
            qcd_pace_failed(&pace, ms++);
        }
        assert_int_equal(pace.is_cut, rows[i].is_cut);
    }
}

/* A good time does not make it blind: of a whole window that fails, some count.
 */
static void test_tolerates_few_in_a_row(void **state)
{
    static const uint32_t windows[] = {3, 20, 30, 1024};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(windows); i++) {
        qcd_pace pace = paced(windows[i]);

        complete(&pace, 100000);
        for (uint32_t n = 0; n < windows[i]; n++) {
            qcd_pace_failed(&pace, START_MS);
        }
        assert_int_equal(qcd_pace_due(&pace, 0), windows[i] - windows[i] / 2);
    }
}

/* What was slow, not lost, takes a small window back to what is free. */
static void test_late(void **state)
{
    static const struct {
        unsigned completed;
        unsigned failed;
        uint32_t window;
    } rows[] = {{0, 0, 10}, {0, 1, 10},  {0, 9, 10},
                {2, 0, 12}, {10, 1, 10}, {90, 1, 50}};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_pace pace;
        uint64_t ms = START_MS;

        qcd_pace_init(&pace, 10, 1000);
        complete(&pace, rows[i].completed);
        for (unsigned n = 0; n < rows[i].failed; n++, ms += 1000) {
            fail_once(&pace, ms);
        }
        qcd_pace_late(&pace);
        assert_int_equal(qcd_pace_due(&pace, 0), rows[i].window);
        /* from there, it grows as at first */
        complete(&pace, 1);
        assert_int_equal(qcd_pace_due(&pace, 0), rows[i].window + 1);
    }
    for (uint32_t max = 0; max < 12; max++) {
        qcd_pace pace;

        qcd_pace_init(&pace, 10, max);
        qcd_pace_late(&pace);
        assert_int_equal(qcd_pace_due(&pace, 0), max < 10 ? max : 10);
    }
}

/* The window grows only if this side is idle. */
static void test_busy(void **state)
{
    qcd_pace pace;

    (void)state;
    qcd_pace_init(&pace, 10, 20);
    for (int n = 0; n < 100; n++) {
        qcd_pace_completed(&pace, 10, false);
    }
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
    qcd_pace_completed(&pace, 10, true);
    assert_int_equal(qcd_pace_due(&pace, 0), 11);
    fail_once(&pace, START_MS);
    assert_int_equal(qcd_pace_due(&pace, 0), 6);
    /* up to what is free in any case */
    for (int n = 0; n < 100; n++) {
        qcd_pace_completed(&pace, 20, false);
    }
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
}

/* A clock that goes back or is at its end: no cut too many. */
static void test_clock(void **state)
{
    qcd_pace pace = paced(20);

    (void)state;
    complete(&pace, 100);
    fail_once(&pace, UINT64_MAX - 10);
    fail_once(&pace, UINT64_MAX);
    fail_once(&pace, 0);
    fail_once(&pace, 500000);
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
    pace = paced(20);
    complete(&pace, 100);
    fail_once(&pace, 0);
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
}

/* Peers that are not there make room for others, up to three windows; each that
 * is there takes back a quarter of that. */
static void test_absent(void **state)
{
    qcd_pace pace;

    (void)state;
    qcd_pace_init(&pace, 10, 100);
    for (uint32_t n = 1; n <= 30; n++) {
        qcd_pace_absent(&pace);
        assert_int_equal(qcd_pace_due(&pace, 0), 10 + n);
    }
    qcd_pace_absent(&pace);
    assert_int_equal(qcd_pace_due(&pace, 0), 40);
    assert_int_equal(qcd_pace_due(&pace, 39), 1);
    assert_int_equal(qcd_pace_due(&pace, 41), 0);
    static const uint32_t left[] = {32, 26, 22, 19, 16, 14, 13, 12, 11, 10, 10};
    for (size_t i = 0; i < NUM_ROWS(left); i++) {
        qcd_pace_present(&pace);
        assert_int_equal(qcd_pace_due(&pace, 0), left[i]);
    }
    /* never more than the maker accepts */
    qcd_pace_init(&pace, 10, 15);
    for (int n = 0; n < 30; n++) {
        qcd_pace_absent(&pace);
    }
    assert_int_equal(qcd_pace_due(&pace, 0), 15);
}

static void test_patience(void **state)
{
    static const struct {
        const char *name;
        unsigned num;
        uint32_t took_ms;
        uint32_t patience;
    } rows[] = {
        {"nobody", 0, 0, 300},
        {"at once", 10, 0, 300},
        {"one at once", 1, 0, 300},
        {"one", 1, 101, 303},
        {"just below", 1, 99, 300},
        {"all of them", 50, 200, 600},
        {"almost the most", 1, 666, 1998},
        {"the most", 1, 667, 2000},
        {"one, far more", 1, UINT32_MAX, 2000},
        {"far more", 100, UINT32_MAX, 2000},
    };

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_pace pace = paced(20);

        for (unsigned n = 0; n < rows[i].num; n++) {
            qcd_pace_began(&pace, rows[i].took_ms);
        }
        uint32_t got = qcd_pace_patience(&pace);
        /* integers: three times a quarter less at most */
        CHECK(rows[i].name,
              got <= rows[i].patience && got + 12 > rows[i].patience);
    }
}

/* The first one tells what is usual, and of the next one a quarter counts. */
static void test_patience_of_two(void **state)
{
    qcd_pace pace = paced(20);

    (void)state;
    qcd_pace_began(&pace, 400);
    assert_int_equal(qcd_pace_patience(&pace), 1200);
    qcd_pace_began(&pace, 200);
    assert_int_equal(qcd_pace_patience(&pace), 1050);
}

/* It forgets a slow time as well. */
static void test_patience_shrinks(void **state)
{
    qcd_pace pace = paced(20);

    (void)state;
    for (int n = 0; n < 50; n++) {
        qcd_pace_began(&pace, 2000);
    }
    for (int n = 0; n < 50; n++) {
        qcd_pace_began(&pace, 1);
    }
    assert_int_equal(qcd_pace_patience(&pace), 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_zero_pace),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_doubles_first),
        cmocka_unit_test(test_grows_slowly_later),
        cmocka_unit_test(test_needs_use),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_tolerates_some),
        cmocka_unit_test(test_tolerates_few_in_a_row),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_patience_of_two),
        cmocka_unit_test(test_patience_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

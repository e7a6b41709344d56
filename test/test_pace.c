/* SPDX-License-Identifier: Apache-2.0 */
/* test_pace.c: src/pace.c.  bench/simulate.c tests it with a million peers. */
#include "test.h"

#include "parts.h"

enum { START_MS = 123456789 };

static qcd_pace paced(uint32_t window_max)
{
    qcd_pace pace;

    dirty(&pace, sizeof(pace));
    qcd_pace_init(&pace, window_max);
    return pace;
}

/* Completes `num` handshakes with the window full. */
static void complete(qcd_pace *pace, unsigned num)
{
    for (unsigned i = 0; i < num; i++) {
        qcd_pace_completed(pace, qcd_pace_due(pace, 0));
    }
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
    qcd_pace_completed(&pace, 1);
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
    qcd_pace_failed(&pace, START_MS);
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
        qcd_pace_completed(&pace, rows[i].num_underway);
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
        qcd_pace_failed(&pace, START_MS + rows[i].ms);
        assert_int_equal(qcd_pace_due(&pace, 0), rows[i].window);
    }
}

/* A clock that goes back or is at its end: no cut too many. */
static void test_clock(void **state)
{
    qcd_pace pace = paced(20);

    (void)state;
    complete(&pace, 100);
    qcd_pace_failed(&pace, UINT64_MAX - 10);
    qcd_pace_failed(&pace, UINT64_MAX);
    qcd_pace_failed(&pace, 0);
    qcd_pace_failed(&pace, 500000);
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
    pace = paced(20);
    complete(&pace, 100);
    qcd_pace_failed(&pace, 0);
    assert_int_equal(qcd_pace_due(&pace, 0), 10);
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
        {"one, a quarter counts", 1, 404, 303},
        {"just below", 1, 396, 300},
        {"all of them", 50, 200, 600},
        {"almost the most", 1, 2664, 1998},
        {"the most", 1, 2668, 2000},
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
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_patience_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_pace.c: src/pace.c, over simulated time. */
#include "test.h"

#include "parts.h"

enum { START_MS = 123456789 };

/* ---- How fast a maker announces ---- */

static qcd_pace paced(uint32_t rate_max)
{
    qcd_pace pace;

    dirty(&pace, sizeof(pace));
    assert_int_equal(qcd_pace_init(&pace, rate_max, START_MS), QCD_OK);
    return pace;
}

/* The number due in `[from, to)` milliseconds after the start, if asked every
 * `step`. */
static uint64_t due_in(qcd_pace *pace, unsigned from, unsigned to,
                       unsigned step, uint32_t num_half_open)
{
    uint64_t sum = 0;

    for (unsigned ms = from; ms < to; ms += step) {
        sum += qcd_pace_due(pace, num_half_open, START_MS + (uint64_t)ms);
    }
    return sum;
}

static const struct {
    const char *name;
    uint32_t rate_max;
    enum qcd_err want;
    uint32_t first;
} inits[] = {
    {"nothing", 0, QCD_OK, 0},
    {"least", 1, QCD_OK, 1},
    {"below what it begins with", 99, QCD_OK, 1},
    {"above what it begins with", 101, QCD_OK, 1},
    {"largest", QCD_RATE_MAX, QCD_OK, 1},
    {"too large", QCD_RATE_MAX + 1, QCD_ERR_RANGE, 0},
    {"UINT32_MAX", UINT32_MAX, QCD_ERR_RANGE, 0},
};

static void test_init(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(inits); i++) {
        const char *name = inits[i].name;
        qcd_pace pace;

        dirty(&pace, sizeof(pace));
        CHECK_INT(name, qcd_pace_init(&pace, inits[i].rate_max, START_MS),
                  inits[i].want);
        if (inits[i].want != QCD_OK) {
            CHECK_ZERO(name, pace);
        }
        CHECK_INT(name, qcd_pace_due(&pace, 0, START_MS), inits[i].first);
        CHECK_INT(name, qcd_pace_due(&pace, 0, START_MS), 0);
    }
}

static void test_zero_pace(void **state)
{
    qcd_pace pace = {0};

    (void)state;
    for (unsigned ms = 0; ms < 10000; ms++) {
        assert_int_equal(qcd_pace_due(&pace, 0, ms), 0);
    }
}

static const struct {
    uint32_t rate_max;
    unsigned step;
} paces[] = {
    {1, 1},      {1, 20},   {1, 1000},  {2, 1},     {7, 3},
    {10, 1},     {50, 1},   {99, 7},    {100, 1},   {101, 1},
    {1000, 1},   {1000, 3}, {1000, 10}, {1000, 20}, {1000, 21},
    {1000, 500}, {3333, 1}, {30000, 1}, {99999, 1}, {QCD_RATE_MAX, 1},
};

/* Never more than the rate, in any prefix of the time; and never a larger burst
 * than the number of handshakes that may be in progress. */
static void test_rate_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(paces); i++) {
        qcd_pace pace = paced(paces[i].rate_max);
        uint64_t sum = 0;

        for (uint64_t ms = 0; ms < 20000; ms += paces[i].step) {
            uint32_t due = qcd_pace_due(&pace, 0, START_MS + ms);

            assert_in_range(due, 0, QCD_PACE_HALF_OPEN_MAX);
            sum += due;
            assert_true(sum <= 1 + paces[i].rate_max * ms / 1000);
        }
    }
}

/* However often it is asked, the largest rate is reached within six seconds,
 * unless the steps lose what is due. */
static void test_rate_is_reached(void **state)
{
    static const uint32_t rates[] = {1, 2, 10, 99, 100, 500, 1000, 1600};
    static const unsigned steps[] = {1, 2, 3, 4, 5, 7, 10, 16, 20};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rates); i++) {
        for (size_t s = 0; s < NUM_ROWS(steps); s++) {
            qcd_pace pace = paced(rates[i]);

            (void)due_in(&pace, 0, 6000, steps[s], 0);
            uint64_t got = due_in(&pace, 6000, 16000, steps[s], 0);
            assert_in_range(got, rates[i] * 10 * 98 / 100 - 1,
                            rates[i] * (10000 + steps[s]) / 1000 + 2);
        }
    }
}

static void test_begins_slowly(void **state)
{
    qcd_pace pace = paced(10000);

    (void)state;
    uint64_t first = due_in(&pace, 0, 100, 1, 0);
    assert_in_range(first, 9, 13); /* of a second at 100: ten */
    uint64_t second = due_in(&pace, 500, 600, 1, 0);
    assert_in_range(second, 2 * first, 4 * first);
}

static const struct {
    const char *name;
    uint32_t num_half_open;
    uint32_t at_once; /* after a pause, at the largest rate */
    bool grows;
} loads[] = {
    {"none", 0, 32, true},
    {"one", 1, 31, true},
    {"a quarter", 8, 24, true},
    {"more than a quarter", 9, 23, false},
    {"one less than the most", 31, 1, false},
    {"the most", 32, 0, false},
    {"more", 33, 0, false},
    {"UINT32_MAX", UINT32_MAX, 0, false},
};

static void test_half_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(loads); i++) {
        const char *name = loads[i].name;
        qcd_pace fast = paced(QCD_RATE_MAX);

        (void)due_in(&fast, 0, 10000, 1, 0);
        CHECK_INT(name,
                  qcd_pace_due(&fast, loads[i].num_half_open, START_MS + 10100),
                  loads[i].at_once);

        qcd_pace pace = paced(1000);
        uint64_t begin = pace.rate;
        (void)due_in(&pace, 0, 50, 1, loads[i].num_half_open);
        CHECK_INT(name, pace.rate > begin, loads[i].grows);
        CHECK(name, pace.rate >= begin);
    }
}

/* With enough handshakes in progress it is silent.  It halves the rate every
 * tenth of a second, not with each question, and accumulates nothing. */
static void test_slows_down(void **state)
{
    qcd_pace pace = paced(1000);

    (void)state;
    (void)due_in(&pace, 0, 6000, 1, 0);
    uint64_t rate = pace.rate;
    assert_int_equal(due_in(&pace, 6000, 6001, 1, 32), 0);
    assert_true(pace.rate == rate / 2);
    assert_int_equal(due_in(&pace, 6001, 6100, 1, 32), 0);
    assert_true(pace.rate == rate / 2);
    assert_int_equal(due_in(&pace, 6100, 6101, 1, 32), 0);
    assert_true(pace.rate == rate / 4);
    assert_int_equal(qcd_pace_due(&pace, 0, START_MS + 6101), 0);
    assert_in_range(due_in(&pace, 6102, 6200, 1, 31), 23, 26);
}

/* It recovers from the lowest rate, however often it is asked. */
static void test_comes_back(void **state)
{
    static const unsigned steps[] = {1, 2, 5, 10, 20};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(steps); i++) {
        qcd_pace pace = paced(1000);

        assert_int_equal(due_in(&pace, 0, 60000, steps[i], 32), 0);
        uint64_t slow = due_in(&pace, 60000, 61000, steps[i], 0);
        assert_in_range(slow, 1, 8);
        (void)due_in(&pace, 61000, 66000, steps[i], 0);
        uint64_t fast = due_in(&pace, 66000, 67000, steps[i], 0);
        assert_in_range(fast, 970, 1001);
    }
}

/* The largest rate and the longest pauses: a pause yields one increase and one
 * burst. */
static void test_pauses(void **state)
{
    static const uint64_t pauses_ms[] = {999,
                                         1000,
                                         1001,
                                         60000,
                                         86400000,
                                         UINT32_MAX,
                                         (uint64_t)1 << 40,
                                         (uint64_t)1 << 62,
                                         UINT64_MAX / 2};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(pauses_ms); i++) {
        qcd_pace pace = paced(QCD_RATE_MAX);
        uint64_t now_ms = START_MS + pauses_ms[i];

        assert_int_equal(qcd_pace_due(&pace, 0, now_ms), 6 + (i > 0));
        assert_int_equal(qcd_pace_due(&pace, 0, now_ms), 0);
        assert_true(pace.rate <= 300u * (uint64_t)1000000);
    }
    qcd_pace pace = paced(QCD_RATE_MAX);
    (void)due_in(&pace, 0, 20000, 1, 0);
    uint64_t sum = 0;
    for (int n = 0; n < 1000; n++) {
        sum += qcd_pace_due(&pace, 0, UINT64_MAX);
    }
    assert_int_equal(sum, QCD_RATE_MAX / 1000 * 20 + 1);
}

/* Two threads that read the clock and then wait for each other arrive with a
 * time that is slightly earlier: nothing is due twice because of that. */
static void test_clock_that_stumbles(void **state)
{
    qcd_pace pace = paced(1000);
    qcd_pace straight = paced(1000);
    uint64_t sum = 0;
    uint64_t want = 0;

    (void)state;
    for (uint64_t ms = 0; ms < 5000; ms++) {
        sum += qcd_pace_due(&pace, 0, START_MS + ms);
        sum += qcd_pace_due(&pace, 0, START_MS + ms - ms % 7);
        sum += qcd_pace_due(&pace, 0, 0);
        sum += qcd_pace_due(&pace, 32, ms) != 0;
        pace.credit = straight.credit; /* which that call has taken away */
        pace.rate = straight.rate;
        want += qcd_pace_due(&straight, 0, START_MS + ms);
        pace.credit = straight.credit;
        pace.rate = straight.rate;
    }
    assert_true(sum <= want + 1);
    assert_true(pace.last_ms == START_MS + 4999);
}

/* A gateway that completes this many handshakes a second.  Each of them is seen
 * only a round trip after its peer was told. */
typedef struct gateway {
    unsigned a_second;
    unsigned round_trip_ms; /* less than the ring below */
} gateway;

enum { NUM_SAS = 5000, RING = 256 };

typedef struct outcome {
    unsigned ms;
    unsigned most_half_open;
} outcome;

static outcome tell_all(const gateway *g, uint32_t rate_max)
{
    unsigned underway[RING] = {0};
    qcd_pace pace = paced(rate_max);
    unsigned num_told = 0;
    unsigned half_open = 0;
    unsigned work = 0;
    outcome o = {0};

    while (num_told < NUM_SAS || half_open > 0) {
        unsigned arrived = underway[o.ms % RING];

        underway[o.ms % RING] = 0;
        half_open += arrived;
        work += g->a_second;
        while (work >= 1000) {
            work -= 1000;
            half_open -= half_open > 0;
        }
        if (half_open > o.most_half_open) {
            o.most_half_open = half_open;
        }
        unsigned due = qcd_pace_due(&pace, half_open, START_MS + o.ms);
        if (due > NUM_SAS - num_told) {
            due = NUM_SAS - num_told;
        }
        num_told += due;
        underway[(o.ms + g->round_trip_ms) % RING] += due;
        o.ms++;
        assert_true(o.ms < 1000000);
    }
    return o;
}

/* The handshakes never exceed a slow gateway's capacity by much, and a fast
 * gateway does not have to wait. */
static void test_follows_the_handshakes(void **state)
{
    static const struct {
        const char *name;
        gateway gateway;
        unsigned most_half_open;
        unsigned most_ms;
    } rows[] = {
        {"slow, near", {200, 2}, 40, 30000},
        {"slow, far", {200, 200}, 100, 50000},
        {"middling", {1000, 50}, 40, 7000},
        {"fast, near", {20000, 2}, 40, 7000},
        {"fast, far", {20000, 200}, 40, 7000},
    };

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        outcome o = tell_all(&rows[i].gateway, 1000);

        CHECK(rows[i].name, o.most_half_open <= rows[i].most_half_open);
        CHECK(rows[i].name, o.ms <= rows[i].most_ms);
    }
}

/* ---- How a taker reconnects ---- */

static void test_spread_of_few(void **state)
{
    qcd_taker taker = {0};

    (void)state;
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS), 0);
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS),
                     QCD_SPREAD_MS);
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS),
                     2 * QCD_SPREAD_MS);
    assert_int_equal(qcd_taker_delay(&taker, 0, START_MS), 0);
    /* 20 ms are taken; the last one of them has passed. */
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS + 19), 1);
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS + 25), 0);
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS + 1000), 0);
}

/* The random part, from one end to the other. */
static void test_spread_of_random(void **state)
{
    const struct {
        uint32_t random;
        uint32_t want;
    } rows[] = {
        {0, 0},
        {0x7fffffff, 500},
        {0x80000000, 500},
        {0x80200000, 500},
        {0xffffffff, 1000},
    };

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_taker taker = {.busy_until_ms = START_MS + 1000};

        assert_int_equal(qcd_taker_delay(&taker, rows[i].random, START_MS),
                         rows[i].want);
        assert_true(taker.busy_until_ms == START_MS + 1000 + QCD_SPREAD_MS);
    }
}

/* However many there are, none waits longer than the longest delay, and the
 * whole delay is used. */
static void test_spread_of_many(void **state)
{
    qcd_taker taker = {0};
    unsigned seconds[QCD_SPREAD_MAX_MS / 1000 + 1] = {0};
    uint64_t random = 3;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint32_t delay =
            qcd_taker_delay(&taker, (uint32_t)random64(&random), START_MS);

        assert_in_range(delay, 0, QCD_SPREAD_MAX_MS);
        assert_true(taker.busy_until_ms <
                    START_MS + QCD_SPREAD_MAX_MS + QCD_SPREAD_MS);
        seconds[delay / 1000]++;
    }
    for (size_t i = 0; i < QCD_SPREAD_MAX_MS / 1000; i++) {
        assert_in_range(seconds[i], 1700, 2700);
    }
    assert_int_equal(qcd_taker_delay(&taker, UINT32_MAX, START_MS),
                     QCD_SPREAD_MAX_MS);
    assert_int_equal(
        qcd_taker_delay(&taker, UINT32_MAX,
                        START_MS + QCD_SPREAD_MAX_MS + QCD_SPREAD_MS),
        0);
}

/* A clock that goes back, or is at its end, delays nobody for longer. */
static void test_spread_over_time(void **state)
{
    static const uint64_t times[] = {
        UINT64_MAX - 7, UINT64_MAX - 1, UINT64_MAX, 0, 5,
        UINT64_MAX,     START_MS,       1};
    qcd_taker taker = {0};

    (void)state;
    for (int n = 0; n < 5000; n++) {
        for (size_t i = 0; i < NUM_ROWS(times); i++) {
            assert_in_range(qcd_taker_delay(&taker, UINT32_MAX, times[i]), 0,
                            QCD_SPREAD_MAX_MS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_zero_pace),
        cmocka_unit_test(test_rate_is_kept),
        cmocka_unit_test(test_rate_is_reached),
        cmocka_unit_test(test_begins_slowly),
        cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_slows_down),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_clock_that_stumbles),
        cmocka_unit_test(test_follows_the_handshakes),
        cmocka_unit_test(test_spread_of_few),
        cmocka_unit_test(test_spread_of_random),
        cmocka_unit_test(test_spread_of_many),
        cmocka_unit_test(test_spread_over_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

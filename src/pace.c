/* SPDX-License-Identifier: Apache-2.0 */
/* pace.c: how fast a maker announces lost SAs to the peers, and how a taker
 * spreads the recovery of many SAs (RFC 6290 section 8.2; section 3 lets the
 * taker choose when it makes new SAs). */
#include <qcd/qcd.h>

#include <string.h>

enum {
    MS_PER_S = 1000,
    /* Fine enough for the lowest rate to grow in a millisecond. */
    RATE_UNIT = 1000000,            /* of a rate, in a message a second */
    CREDIT_UNIT = 1000 * RATE_UNIT, /* of credit, in a message */
    RATE_FIRST = 100,               /* a second */
    GROWTH_MS = 500, /* rate doubles, or grows by e if asked often */
    CUT_MS = 100,    /* between two halvings: an effect takes time */
    BURST_MS = 20    /* burst after a pause */
};

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum qcd_err qcd_pace_init(qcd_pace *out, uint32_t rate_max, uint64_t now_ms)
{
    memset(out, 0, sizeof(*out));
    if (rate_max > QCD_RATE_MAX) {
        return QCD_ERR_RANGE;
    }
    out->rate_max = (uint64_t)rate_max * RATE_UNIT;
    out->rate = lesser((uint64_t)RATE_FIRST * RATE_UNIT, out->rate_max);
    out->credit = rate_max > 0 ? CREDIT_UNIT : 0;
    out->last_ms = now_ms;
    out->cut_ms = now_ms;
    return QCD_OK;
}

static void slow_down(qcd_pace *pace, uint64_t now_ms)
{
    pace->credit = 0;
    if (now_ms - pace->cut_ms >= CUT_MS) {
        pace->cut_ms = now_ms;
        pace->rate /= 2;
        if (pace->rate < RATE_UNIT) {
            pace->rate = RATE_UNIT;
        }
    }
}

static void go_on(qcd_pace *pace, uint32_t num_half_open, uint64_t passed_ms)
{
    if (num_half_open <= QCD_PACE_HALF_OPEN_MAX / 4) {
        uint64_t grown = pace->rate + pace->rate * passed_ms / GROWTH_MS;
        pace->rate = lesser(grown, pace->rate_max);
    }
    /* Plus one, or the fraction of a message would be lost each time. */
    uint64_t burst = pace->rate * BURST_MS + CREDIT_UNIT;
    pace->credit = lesser(pace->credit + pace->rate * passed_ms, burst);
}

uint32_t qcd_pace_due(qcd_pace *pace, uint32_t num_half_open, uint64_t now_ms)
{
    if (now_ms < pace->last_ms) { /* threads that waited for each other */
        now_ms = pace->last_ms;
    }
    uint64_t passed_ms = now_ms - pace->last_ms;

    pace->last_ms = now_ms;
    if (pace->rate_max == 0) {
        return 0;
    }
    if (num_half_open >= QCD_PACE_HALF_OPEN_MAX) {
        slow_down(pace, now_ms);
        return 0;
    }
    go_on(pace, num_half_open, lesser(passed_ms, MS_PER_S));
    uint64_t due = lesser(pace->credit / CREDIT_UNIT,
                          QCD_PACE_HALF_OPEN_MAX - num_half_open);
    pace->credit -= due * CREDIT_UNIT;
    return (uint32_t)due;
}

uint32_t qcd_taker_delay(qcd_taker *taker, uint32_t random, uint64_t now_ms)
{
    uint64_t busy = taker->busy_until_ms;
    uint64_t window = busy > now_ms ? busy - now_ms : 0;

    if (window < QCD_SPREAD_MAX_MS) {
        taker->busy_until_ms = now_ms + window + QCD_SPREAD_MS;
    }
    window = lesser(window, QCD_SPREAD_MAX_MS);
    return (uint32_t)((uint64_t)random * (window + 1) >> 32);
}

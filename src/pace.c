/* SPDX-License-Identifier: Apache-2.0 */
/* pace.c: how fast a maker tells the peers of lost SAs without being asked, and
 * how a taker comes back with many (RFC 6290 section 8.2; section 3 leaves the
 * taker free when it makes new SAs). */
#include <qcd/qcd.h>

#include <string.h>

enum {
    MS_PER_S = 1000,
    RATE_FIRST = 100, /* a second */
    GROWTH_MS = 500,  /* in which the rate doubles */
    CUT_MS = 100,     /* between two halvings: what they bring has to show */
    BURST_MS = 20     /* that may come at once after a pause */
};

static uint32_t min32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

enum qcd_err qcd_pace_init(qcd_pace *out, uint32_t rate_max, uint64_t now_ms)
{
    memset(out, 0, sizeof(*out));
    if (rate_max > QCD_RATE_MAX) {
        return QCD_ERR_RANGE;
    }
    out->rate_max = rate_max;
    out->rate = min32(RATE_FIRST, rate_max);
    out->credit = rate_max > 0 ? MS_PER_S : 0;
    out->last_ms = now_ms;
    out->cut_ms = now_ms;
    return QCD_OK;
}

static void slow_down(qcd_pace *pace, uint64_t now_ms)
{
    pace->credit = 0;
    if (now_ms - pace->cut_ms >= CUT_MS) {
        pace->cut_ms = now_ms;
        if (pace->rate > 1) {
            pace->rate /= 2;
        }
    }
}

/* Credit is in thousandths of a message. */
static void go_on(qcd_pace *pace, uint32_t num_half_open, uint64_t passed_ms)
{
    uint64_t rate = pace->rate;

    if (num_half_open <= QCD_PACE_HALF_OPEN_MAX / 4) {
        rate += rate * passed_ms / GROWTH_MS;
    }
    pace->rate = (uint32_t)(rate < pace->rate_max ? rate : pace->rate_max);
    uint64_t burst = (uint64_t)pace->rate * BURST_MS;
    if (burst < MS_PER_S) {
        burst = MS_PER_S;
    }
    pace->credit += pace->rate * passed_ms;
    if (pace->credit > burst) {
        pace->credit = burst;
    }
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
    go_on(pace, num_half_open, passed_ms < MS_PER_S ? passed_ms : MS_PER_S);
    uint32_t due = min32((uint32_t)(pace->credit / MS_PER_S),
                         QCD_PACE_HALF_OPEN_MAX - num_half_open);
    pace->credit -= (uint64_t)due * MS_PER_S;
    return due;
}

uint32_t qcd_spread_delay(qcd_spread *spread, uint32_t random, uint64_t now_ms)
{
    uint64_t window =
        spread->busy_until_ms > now_ms ? spread->busy_until_ms - now_ms : 0;

    if (window < QCD_SPREAD_MAX_MS) {
        spread->busy_until_ms = now_ms + window + QCD_SPREAD_MS;
    }
    if (window > QCD_SPREAD_MAX_MS) {
        window = QCD_SPREAD_MAX_MS;
    }
    return (uint32_t)((uint64_t)random * (window + 1) >> 32);
}

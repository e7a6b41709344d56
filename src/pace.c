/* SPDX-License-Identifier: Apache-2.0 */
/* pace.c: how many peers re-establish their SAs at the same time after a crash.
 * It is a window that completed handshakes open and failures close, as TCP has
 * (RFC 5681): what was completed makes room for what is next, so the pace is
 * that of the slowest part on the way, whichever that is. */
#include <qcd/qcd.h>

#include <string.h>

enum {
    CUT_MS = 1000,         /* between two cuts: an effect takes time */
    TOLERATED = 16,        /* one failure in so many is a bad network */
    USUAL_SHARE = 4,       /* weight of the last peer in the usual time */
    ABSENT_SHARE = 3,      /* most of them, in windows */
    PATIENCE_SHARE = 3,    /* patience, in usual times */
    PATIENCE_MIN_MS = 300, /* a peer may have more to do first */
    PATIENCE_MAX_MS = 2000
};

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t first_window(const qcd_pace *pace)
{
    return lesser(greater(pace->window_free, 1), pace->window_max);
}

void qcd_pace_init(qcd_pace *out, uint32_t window_free, uint32_t window_max)
{
    memset(out, 0, sizeof(*out));
    out->window_free = window_free;
    out->window_max = window_max;
    out->threshold = window_max;
    out->window = first_window(out);
}

uint32_t qcd_pace_due(const qcd_pace *pace, uint32_t num_underway)
{
    uint32_t most = lesser(pace->window + pace->num_absent, pace->window_max);

    return most - lesser(num_underway, most);
}

void qcd_pace_began(qcd_pace *pace, uint32_t took_ms)
{
    uint32_t took = lesser(took_ms, USUAL_SHARE * PATIENCE_MAX_MS);

    if (pace->usual_ms == 0) {
        pace->usual_ms = took * USUAL_SHARE; /* the first one, as in RFC 6298 */
    } else {
        pace->usual_ms -= pace->usual_ms / USUAL_SHARE;
        pace->usual_ms += took; /* in 1/USUAL_SHARE */
    }
}

void qcd_pace_present(qcd_pace *pace)
{
    pace->num_absent -= (pace->num_absent + ABSENT_SHARE) / (ABSENT_SHARE + 1);
}

void qcd_pace_absent(qcd_pace *pace)
{
    if (pace->num_absent / ABSENT_SHARE < pace->window) {
        pace->num_absent++;
    }
}

uint32_t qcd_pace_patience(const qcd_pace *pace)
{
    uint32_t patience = pace->usual_ms / USUAL_SHARE * PATIENCE_SHARE;

    return lesser(greater(patience, PATIENCE_MIN_MS), PATIENCE_MAX_MS);
}

void qcd_pace_completed(qcd_pace *pace, uint32_t num_underway, bool is_idle)
{
    pace->num_good += pace->num_good < greater(pace->window, TOLERATED);
    /* If it was half empty, something else is what limits the pace. */
    if (num_underway <= pace->window / 2 || pace->window >= pace->window_max ||
        (pace->window >= pace->window_free && !is_idle)) {
        return;
    }
    pace->num_completed++;
    if (pace->window < pace->threshold || pace->num_completed >= pace->window) {
        pace->window++;
        pace->num_completed = 0;
    }
}

void qcd_pace_failed(qcd_pace *pace, uint64_t now_ms)
{
    bool is_later = now_ms >= pace->cut_ms;

    if (pace->num_good >= TOLERATED) {
        pace->num_good -= TOLERATED;
        return;
    }
    if (pace->is_cut && (!is_later || now_ms - pace->cut_ms < CUT_MS)) {
        return;
    }
    pace->is_cut = true;
    pace->cut_ms = now_ms;
    pace->window -= pace->window / 2;
    pace->threshold = pace->window;
    pace->num_completed = 0;
}

void qcd_pace_late(qcd_pace *pace)
{
    pace->window = greater(pace->window, first_window(pace));
    pace->threshold = pace->window_max;
}

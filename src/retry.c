/* SPDX-License-Identifier: Apache-2.0 */
/* retry.c: when a taker tries again to re-establish an IKE SA that its peer has
 * lost.  RFC 6290 section 3 leaves that to the taker. */
#include <qcd/qcd.h>

#include <string.h>

enum {
    GAP_MIN_MS = 250,
    GAP_MAX_MS = 30000,
    GAP_SHARE = 8, /* of the time since the first try */
    REFUSED_LONG_MS = 3600 * 1000,
    REFUSED_GAP_MS = 300 * 1000,
    CRASHES_COUNTED = 6, /* further ones change nothing */
    JITTER_SHARE = 4
};

/* The least gap after each number of crashes. */
static const uint32_t crash_gaps_ms[CRASHES_COUNTED + 1] = {
    0, 1000, 1000, 4000, 8000, 16000, GAP_MAX_MS};

static uint64_t since(uint64_t then_ms, uint64_t now_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

void qcd_retry_init(qcd_retry *out, uint64_t now_ms)
{
    memset(out, 0, sizeof(*out));
    out->begun_ms = now_ms;
    out->last_ms = now_ms;
}

void qcd_retry_try(qcd_retry *retry, uint64_t now_ms)
{
    if (retry->num_tries < UINT32_MAX) {
        retry->num_tries++;
    }
    retry->last_ms = now_ms;
}

void qcd_retry_fail(qcd_retry *retry, enum qcd_failure failure, uint64_t now_ms)
{
    if (failure != QCD_FAILURE_REFUSED) {
        retry->is_refused = false;
    } else if (!retry->is_refused) {
        retry->is_refused = true;
        retry->refused_ms = now_ms;
    }
    if (failure == QCD_FAILURE_CRASHED &&
        retry->num_crashes < CRASHES_COUNTED) {
        retry->num_crashes++;
    }
    if (failure == QCD_FAILURE_LOST) {
        retry->begun_ms = now_ms;
        retry->num_crashes = 0;
    }
}

void qcd_retry_hasten(qcd_retry *retry, uint64_t now_ms)
{
    retry->begun_ms = now_ms;
}

static uint64_t ordinary_gap(const qcd_retry *retry)
{
    uint64_t gap = since(retry->begun_ms, retry->last_ms) / GAP_SHARE;

    if (retry->is_refused &&
        since(retry->refused_ms, retry->last_ms) >= REFUSED_LONG_MS) {
        return REFUSED_GAP_MS;
    }
    if (gap < GAP_MIN_MS) {
        return GAP_MIN_MS;
    }
    return gap > GAP_MAX_MS ? GAP_MAX_MS : gap;
}

uint64_t qcd_retry_due(const qcd_retry *retry, uint32_t random)
{
    if (retry->num_tries == 0) {
        return retry->last_ms;
    }
    uint64_t gap = ordinary_gap(retry);
    gap -= gap / JITTER_SHARE * random / UINT32_MAX;
    uint64_t least = crash_gaps_ms[retry->num_crashes];
    return retry->last_ms + (gap > least ? gap : least);
}

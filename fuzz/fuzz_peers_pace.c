/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_peers_pace.c: the steps of fuzz_peers.c that pace a peer and a gateway
 * which have lost many SAs. */
#include "fuzz_peers.h"

enum {
    RETRY_MIN_MS = 187,    /* 250 ms, less a quarter */
    RETRY_MAX_MS = 300000, /* for a peer that has refused for long */
};

void step_pace(void)
{
    uint32_t half_open = next_u8() % 40;
    uint32_t due =
        qcd_pace_due(&world.pace, half_open, world.now_ms - next_u8() / 0xf0);
    uint32_t delay =
        qcd_taker_delay(&world.taker, next_u8() * 0x1010101u, world.now_ms);

    DEMAND(due == 0 || half_open + due <= QCD_PACE_HALF_OPEN_MAX);
    DEMAND(due == 0 || world.pace.rate_max > 0);
    DEMAND(world.pace.rate <= world.pace.rate_max);
    DEMAND(delay <= QCD_SPREAD_MAX_MS);
}

static void check_due(void)
{
    qcd_retry *retry = &world.retry;
    uint32_t random = next_u8() * 0x1010101u;
    uint64_t due = qcd_retry_due(retry, random);

    DEMAND(due >= retry->last_ms);
    DEMAND(retry->num_tries != 0 || due == retry->last_ms);
    DEMAND(retry->num_tries == 0 || due - retry->last_ms >= RETRY_MIN_MS);
    DEMAND(due - retry->last_ms <= RETRY_MAX_MS);
}

void step_retry(void)
{
    static const enum qcd_failure failures[] = {
        QCD_FAILURE_SILENT, QCD_FAILURE_REFUSED, QCD_FAILURE_CRASHED,
        QCD_FAILURE_LOST};
    uint8_t choice = next_u8();

    if (choice % 8 < 4) {
        qcd_retry_fail(&world.retry, failures[choice % 8], world.now_ms);
    } else if (choice % 8 == 4) {
        qcd_retry_hasten(&world.retry, world.now_ms);
    } else {
        qcd_retry_try(&world.retry, world.now_ms);
    }
    check_due();
}

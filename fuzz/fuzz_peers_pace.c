/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_peers_pace.c: the steps of fuzz_peers.c that pace a peer and a gateway
 * which have lost many SAs. */
#include "fuzz_peers.h"

enum {
    RETRY_MIN_MS = 187,    /* 250 ms, less a quarter */
    RETRY_MAX_MS = 300000, /* for a peer that has refused for long */
    PATIENCE_MIN_MS = 300,
    PATIENCE_MAX_MS = 2000
};

void step_pace(void)
{
    qcd_pace *pace = &world.pace;
    uint32_t num_underway = next_u8() * 5u;
    uint8_t choice = next_u8();

    switch (choice % 4) {
    case 0:
        qcd_pace_present(pace);
        qcd_pace_began(pace, choice * 0x1010101u);
        break;
    case 1:
        qcd_pace_completed(pace, num_underway, choice / 4 % 2);
        break;
    case 2:
        qcd_pace_failed(pace, world.now_ms - choice / 0xf0);
        break;
    default:
        if (choice / 4 % 2) {
            qcd_pace_late(pace);
        } else {
            qcd_pace_absent(pace);
        }
    }
    uint32_t due = qcd_pace_due(pace, num_underway);
    DEMAND(due == 0 || num_underway + due <= pace->window_max);
    DEMAND(pace->window_max == 0 || qcd_pace_due(pace, 0) > 0);
    DEMAND(qcd_pace_patience(pace) >= PATIENCE_MIN_MS);
    DEMAND(qcd_pace_patience(pace) <= PATIENCE_MAX_MS);
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

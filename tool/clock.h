/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h: the time in milliseconds. */
#ifndef QCD_TOOL_CLOCK_H
#define QCD_TOOL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* clock_ms returns the time of CLOCK_MONOTONIC or CLOCK_REALTIME, which every
 * Linux has. */
static inline int64_t clock_ms(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* text.h: what others chose, and times, as text for a terminal. */
#ifndef QCD_TOOL_TEXT_H
#define QCD_TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* text_safe copies `in`, cut to `out_cap` with its end, and writes each octet
 * that is no printable ASCII as \xNN: a name must not steer the terminal, nor
 * look like another one. */
void text_safe(char *out, size_t out_cap, const char *in);

#define TEXT_TIME_MAX 40

/* text_time writes milliseconds since 1970 as local time by ISO 8601,
 * "2026-11-24T01:02:03.456+01:00", or "-" for a time that is none.  Without
 * `with_ms` the milliseconds are left out. */
void text_time(char out[TEXT_TIME_MAX], int64_t ms, bool with_ms);

/* text_duration writes seconds in the two units that tell most, "3d 4h". */
void text_duration(char out[TEXT_TIME_MAX], int64_t seconds);

#endif

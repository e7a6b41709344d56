/* SPDX-License-Identifier: Apache-2.0 */
/* text.h: untrusted strings, and times, as text for a terminal. */
#ifndef QCD_TOOL_TEXT_H
#define QCD_TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* text_safe copies `in`, cut to `out_cap` including its end.  It writes each
 * octet that is not printable ASCII as \xNN: a name must not control the
 * terminal, or look like another name. */
void text_safe(char *out, size_t out_cap, const char *in);

/* text_hex writes octets in hexadecimal, 2 * `len` digits and the end. */
void text_hex(char *out, const uint8_t *in, size_t len);

#define TEXT_TIME_MAX 40

/* text_time writes milliseconds since 1970 as local time by ISO 8601,
 * "2026-11-24T01:02:03.456+01:00".  It writes "-" for an invalid time.  Without
 * `with_ms` the milliseconds are omitted. */
void text_time(char out[TEXT_TIME_MAX], int64_t ms, bool with_ms);

/* text_duration writes seconds in the two largest units that fit, "3d 4h". */
void text_duration(char out[TEXT_TIME_MAX], int64_t seconds);

#endif

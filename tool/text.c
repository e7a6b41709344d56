/* SPDX-License-Identifier: Apache-2.0 */
/* text.c: untrusted strings, and times, as text for a terminal. */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void text_safe(char *out, size_t out_cap, const char *in)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;
    for (; *in != '\0'; in++) {
        unsigned char c = (unsigned char)*in;
        bool is_plain = c >= 0x20 && c < 0x7f;
        if (len + (is_plain ? 1 : 4) >= out_cap) {
            break;
        }
        if (is_plain) {
            out[len++] = (char)c;
            continue;
        }
        out[len++] = '\\';
        out[len++] = 'x';
        out[len++] = digits[c >> 4];
        out[len++] = digits[c & 15];
    }
    out[len] = '\0';
}

void text_time(char out[TEXT_TIME_MAX], int64_t ms, bool with_ms)
{
    (void)snprintf(out, TEXT_TIME_MAX, "-");
    time_t seconds = (time_t)(ms / 1000);
    struct tm local;
    char moment[32];
    char zone[8];
    /* A year after 9999 is not a time, but an attempt to break the layout. */
    if (ms < 0 || localtime_r(&seconds, &local) == NULL ||
        local.tm_year > 9999 - 1900 ||
        strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%S", &local) == 0 ||
        strftime(zone, sizeof(zone), "%z", &local) != 5) {
        return;
    }
    char fraction[8] = "";
    if (with_ms) {
        (void)snprintf(fraction, sizeof(fraction), ".%03d", (int)(ms % 1000));
    }
    (void)snprintf(out, TEXT_TIME_MAX, "%s%s%.3s:%s", moment, fraction, zone,
                   zone + 3);
}

void text_duration(char out[TEXT_TIME_MAX], int64_t seconds)
{
    static const struct {
        int64_t seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    if (seconds < 0) {
        (void)snprintf(out, TEXT_TIME_MAX, "-");
        return;
    }
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds) {
        i++;
    }
    int64_t whole = seconds / units[i].seconds;
    if (i == 3) {
        (void)snprintf(out, TEXT_TIME_MAX, "%" PRId64 "s", whole);
        return;
    }
    int64_t rest = seconds % units[i].seconds / units[i + 1].seconds;
    (void)snprintf(out, TEXT_TIME_MAX, "%" PRId64 "%c %" PRId64 "%c", whole,
                   units[i].name, rest, units[i + 1].name);
}

void text_hex(char *out, const uint8_t *in, size_t len)
{
    out[0] = '\0';
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", in[i]);
    }
}

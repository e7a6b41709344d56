/* SPDX-License-Identifier: Apache-2.0 */
/* test.h: shared by the unit tests: checks that name the failing row of a
 * table, octets written as hex, octets that look random and are the same in
 * every run, and copies whose end a sanitizer guards. */
#ifndef QCD_TEST_H
#define QCD_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* cmocka 2.0 complains about the name that older versions have. */
#ifdef assert_int_in_range
#undef assert_in_range
#define assert_in_range assert_int_in_range
#endif

#define NUM_ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* The most octets that CHECK_HEX compares. */
#define HEX_MAX 512

static inline void check_true(const char *row, const char *what, bool is_true,
                              const char *file, int line)
{
    if (!is_true) {
        print_error("row '%s': not so: %s\n", row, what);
        _fail(file, line);
    }
}

static inline void check_int(const char *row, const char *what, long long got,
                             long long want, const char *file, int line)
{
    if (got != want) {
        print_error("row '%s': %s is %lld, want %lld\n", row, what, got, want);
        _fail(file, line);
    }
}

static inline void check_octets(const char *row, const char *what,
                                const void *got, const void *want, size_t len,
                                const char *file, int line)
{
    const uint8_t *g = got;
    const uint8_t *w = want;

    for (size_t i = 0; i < len; i++) {
        if (g[i] != w[i]) {
            print_error("row '%s': %s: octet %zu is %02x, want %02x\n", row,
                        what, i, g[i], w[i]);
            _fail(file, line);
        }
    }
}

static inline uint8_t hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";

    for (uint8_t i = 0; i < 16; i++) {
        if (digits[i] == c) {
            return i;
        }
    }
    fail_msg("not a hexadecimal digit: 0x%02x", (unsigned)(unsigned char)c);
    return 0;
}

/* unhex decodes `hex`, two lower-case digits for an octet, into `out` with room
 * for `cap` octets, and returns their number.  The test fails on any other
 * character, on half an octet, and on more than `cap` octets. */
static inline size_t unhex(void *out, size_t cap, const char *hex)
{
    uint8_t *o = out;
    size_t len = 0;

    for (const char *p = hex; *p != '\0'; p += 2) {
        assert_true(len < cap);
        o[len++] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
    }
    return len;
}

static inline void check_hex(const char *row, const char *what, const void *got,
                             size_t len, const char *hex, const char *file,
                             int line)
{
    uint8_t want[HEX_MAX];
    size_t want_len = unhex(want, sizeof(want), hex);

    check_int(row, "length", (long long)len, (long long)want_len, file, line);
    check_octets(row, what, got, want, want_len, file, line);
}

#define CHECK(row, cond) check_true((row), #cond, (cond), __FILE__, __LINE__)
#define CHECK_INT(row, got, want)                                              \
    check_int((row), #got, (long long)(got), (long long)(want), __FILE__,      \
              __LINE__)
#define CHECK_OCTETS(row, got, want, len)                                      \
    check_octets((row), #got, (got), (want), (len), __FILE__, __LINE__)
/* CHECK_HEX: the `len` octets at `got` equal those of a hex string. */
#define CHECK_HEX(row, got, len, hex)                                          \
    check_hex((row), #got, (got), (len), (hex), __FILE__, __LINE__)
/* CHECK_ZERO: on error every output is all zero. */
#define CHECK_ZERO(row, object)                                                \
    check_true((row), #object " is all zero",                                  \
               is_zero(&(object), sizeof(object)), __FILE__, __LINE__)

static inline bool is_zero(const void *p, size_t len)
{
    const uint8_t *o = p;

    for (size_t i = 0; i < len; i++) {
        if (o[i] != 0) {
            return false;
        }
    }
    return true;
}

/* dirty fills an output, so that what a call leaves unset is seen. */
static inline void dirty(void *p, size_t len)
{
    memset(p, 0xa5, len);
}

/* random64 is splitmix64. */
static inline uint64_t random64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline void random_octets(uint64_t *state, void *out, size_t len)
{
    uint8_t *o = out;

    for (size_t i = 0; i < len; i++) {
        o[i] = (uint8_t)random64(state);
    }
}

/* count_up fills `len` octets with `first`, first + 1, ... */
static inline void count_up(void *out, uint8_t first, size_t len)
{
    uint8_t *o = out;

    for (size_t i = 0; i < len; i++) {
        o[i] = (uint8_t)(first + i);
    }
}

/* copy_exact copies `len` octets to memory of exactly that size, so that
 * AddressSanitizer and valgrind see a read beyond the end.  free() it. */
static inline uint8_t *copy_exact(const void *in, size_t len)
{
    uint8_t *p = malloc(len > 0 ? len : 1);

    assert_non_null(p);
    if (len > 0) {
        memcpy(p, in, len);
    }
    return p;
}

#endif

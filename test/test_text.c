/* SPDX-License-Identifier: Apache-2.0 */
/* test_text.c: tool/text.c and tool/table.c. */
#include "test.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "table.h"
#include "text.h"

static const struct {
    const char *name;
    const char *in;
    size_t cap;
    const char *want;
} safe_rows[] = {
    {"plain", "gw-b 10.0.0.1[500]", 64, "gw-b 10.0.0.1[500]"},
    {"empty", "", 64, ""},
    {"first and last printable", " ~", 64, " ~"},
    {"control characters", "\x1b[31m\a\n", 64, "\\x1b[31m\\x07\\x0a"},
    {"delete", "\x7f", 64, "\\x7f"},
    {"UTF-8, and what turns text round", "\xc3\xbc\xe2\x80\xae", 64,
     "\\xc3\\xbc\\xe2\\x80\\xae"},
    {"C1 control", "\x9b", 64, "\\x9b"},
    {"just fits", "abc", 4, "abc"},
    {"cut", "abcd", 4, "abc"},
    {"no half of an escape", "ab\n", 6, "ab"},
    {"an escape that just fits", "ab\n", 7, "ab\\x0a"},
    {"room for nothing", "abc", 1, ""},
};

static void test_text_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(safe_rows); i++) {
        char *out = malloc(safe_rows[i].cap);
        assert_non_null(out);
        text_safe(out, safe_rows[i].cap, safe_rows[i].in);
        CHECK(safe_rows[i].name, strcmp(out, safe_rows[i].want) == 0);
        free(out);
    }
}

static const struct {
    const char *name;
    const char *zone;
    int64_t ms;
    bool with_ms;
    const char *want;
} time_rows[] = {
    {"1970", "UTC0", 0, false, "1970-01-01T00:00:00+00:00"},
    {"milliseconds", "UTC0", 1700000000007, true,
     "2023-11-14T22:13:20.007+00:00"},
    {"milliseconds left out", "UTC0", 1700000000999, false,
     "2023-11-14T22:13:20+00:00"},
    {"east", "EAST-5:30", 1700000000000, false, "2023-11-15T03:43:20+05:30"},
    {"west", "WEST3:30", 1700000000000, true, "2023-11-14T18:43:20.000-03:30"},
    {"none", "UTC0", -1, true, "-"},
    {"the last second of year 9999", "UTC0", 253402300799000, false,
     "9999-12-31T23:59:59+00:00"},
    {"year 10000", "UTC0", 253402300800000, false, "-"},
    {"the end of time", "UTC0", INT64_MAX, true, "-"},
};

static void test_text_hex(void **state)
{
    const uint8_t octets[] = {0x00, 0x0f, 0xa0, 0xff};
    static const char *const texts[] = {"", "00", "000f", "000fa0", "000fa0ff"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        char text[10];
        memset(text, 'x', sizeof(text));
        text_hex(text, octets, i);
        assert_string_equal(text, texts[i]);
        assert_int_equal(text[2 * i + 1], 'x');
    }
}

static void test_text_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(time_rows); i++) {
        char out[TEXT_TIME_MAX];
        assert_int_equal(setenv("TZ", time_rows[i].zone, 1), 0);
        tzset();
        text_time(out, time_rows[i].ms, time_rows[i].with_ms);
        CHECK(time_rows[i].name, strcmp(out, time_rows[i].want) == 0);
    }
}

static const struct {
    int64_t seconds;
    const char *want;
} duration_rows[] = {
    {0, "0s"},         {59, "59s"},       {60, "1m 0s"},
    {3599, "59m 59s"}, {3600, "1h 0m"},   {86399, "23h 59m"},
    {86400, "1d 0h"},  {273600, "3d 4h"}, {INT64_MAX, "106751991167300d 15h"},
    {-1, "-"},         {INT64_MIN, "-"},
};

static void test_text_duration(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(duration_rows); i++) {
        char out[TEXT_TIME_MAX];
        text_duration(out, duration_rows[i].seconds);
        CHECK(duration_rows[i].want, strcmp(out, duration_rows[i].want) == 0);
    }
}

/* printed prints the table into `out`. */
static void printed(char *out, size_t out_cap, const table *t,
                    const char *indent)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fflush(stdout), 0);
    int before = dup(STDOUT_FILENO);
    assert_true(before >= 0);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    table_print(t, indent);
    assert_int_equal(fflush(stdout), 0);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    assert_int_equal(close(before), 0);
    rewind(file);
    out[fread(out, 1, out_cap - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
}

static void test_table(void **state)
{
    (void)state;
    static const char *const headings[] = {"NAME", "N", "WHERE"};
    static const char *const cells[] = {"a", "1000", NULL, "a longer\x1b name",
                                        "",  "here"};
    char out[256];
    table t;
    table_init(&t, headings, 3);
    for (size_t i = 0; i < NUM_ROWS(cells); i++) {
        table_add(&t, cells[i]);
    }
    assert_false(t.bad);
    printed(out, sizeof(out), &t, "  ");
    assert_string_equal(out, "  NAME               N     WHERE\n"
                             "  a                  1000  -\n"
                             "  a longer\\x1b name  -     here\n");
    table_free(&t);
    table_free(&t);
}

static void test_table_without_headings(void **state)
{
    (void)state;
    char out[64];
    table t;
    table_init(&t, NULL, 2);
    printed(out, sizeof(out), &t, "");
    assert_string_equal(out, "");
    table_add(&t, "key");
    table_add(&t, "value");
    printed(out, sizeof(out), &t, "");
    assert_string_equal(out, "key  value\n");
    table_free(&t);
}

static void test_long_cells_are_cut(void **state)
{
    (void)state;
    char cell[4 * TABLE_CELL_MAX];
    char out[1024];
    memset(cell, 'x', sizeof(cell) - 1);
    cell[sizeof(cell) - 1] = '\0';
    table t;
    table_init(&t, NULL, 1);
    for (size_t i = 0; i < 200; i++) {
        table_add(&t, "many");
    }
    table_add(&t, cell);
    assert_int_equal(t.num_cells, 201);
    assert_int_equal(strlen(t.cells[200]), TABLE_CELL_MAX);
    printed(out, sizeof(out), &t, "");
    assert_int_equal(strncmp(out, "many\nmany\n", 10), 0);
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_safe),
        cmocka_unit_test(test_text_hex),
        cmocka_unit_test(test_text_time),
        cmocka_unit_test(test_text_duration),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_without_headings),
        cmocka_unit_test(test_long_cells_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_error.c: src/error.c. */
#include "test.h"

#include <qcd/qcd.h>

/* The values are part of the ABI. */
static const struct {
    const char *name;
    int value;
    enum qcd_err err;
    const char *want;
} rows[] = {
    {"ok", 0, QCD_OK, "success"},
    {"truncated", -1, QCD_ERR_TRUNCATED, "message ends too early"},
    {"malformed", -2, QCD_ERR_MALFORMED, "malformed message"},
    {"nobuf", -3, QCD_ERR_NOBUF, "buffer too small"},
    {"range", -4, QCD_ERR_RANGE, "value out of range"},
    {"exhausted", -5, QCD_ERR_EXHAUSTED, "SPIs of this run used up"},
};

static void test_values_and_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        CHECK_INT(rows[i].name, rows[i].err, rows[i].value);
        assert_string_equal(qcd_strerror(rows[i].err), rows[i].want);
    }
}

static void test_unknown_value_has_words(void **state)
{
    static const int unknown[] = {1, -1000, 1000};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(unknown); i++) {
        assert_string_equal(qcd_strerror((enum qcd_err)unknown[i]),
                            "unknown error");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_words),
        cmocka_unit_test(test_unknown_value_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

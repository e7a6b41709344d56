/* SPDX-License-Identifier: Apache-2.0 */
/* test_wipe.c: src/wipe.c. */
#include "test.h"

#include <qcd/qcd.h>

static void test_wipes_just_those_octets(void **state)
{
    static const size_t lens[] = {0, 1, 7, 8, 31, 32, 33, 127};
    uint8_t o[130];

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        dirty(o, sizeof(o));
        qcd_wipe(o + 1, lens[i]);
        assert_int_equal(o[0], 0xa5);
        assert_true(is_zero(o + 1, lens[i]));
        assert_int_equal(o[1 + lens[i]], 0xa5);
    }
}

static void test_null_of_no_octets(void **state)
{
    (void)state;
    qcd_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wipes_just_those_octets),
        cmocka_unit_test(test_null_of_no_octets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

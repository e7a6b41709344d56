/* SPDX-License-Identifier: Apache-2.0 */
/* test_spis.c: src/watch/spis.c, compared with a plain array. */
#include "test.h"

#include "watch/spis.h"

enum { NUM = 200, SPREAD = 77777 };

static void check(const spis *set, const bool *want)
{
    bool found[NUM] = {false};
    uint32_t all[NUM];
    size_t num = 0;

    for (size_t i = 0; i < NUM; i++) {
        num += want[i];
    }
    assert_int_equal(set->num, num);
    assert_true(num == 0 || set->num_slots >= 2 * num);
    spis_list(set, all);
    for (size_t i = 0; i < num; i++) {
        uint32_t n = all[i] / SPREAD;

        assert_true(n > 0 && n < NUM && want[n] && !found[n]);
        found[n] = true;
    }
}

/* Slots are few, so that what is taken out leaves holes in runs of others. */
static void test_against_array(void **state)
{
    uint64_t random = 4;
    bool want[NUM] = {false};
    spis set = {0};

    (void)state;
    for (int step = 0; step < 200000; step++) {
        uint32_t n = (uint32_t)(random64(&random) % NUM);

        if (random64(&random) % 3 != 0) {
            assert_int_equal(spis_take(&set, n * SPREAD), want[n]);
            want[n] = false;
        } else if (n != 0) {
            assert_true(spis_reserve(&set, 1));
            assert_int_equal(spis_put(&set, n * SPREAD), !want[n]);
            want[n] = true;
        }
        check(&set, want);
    }
    spis_free(&set);
    assert_true(is_zero(&set, sizeof(set)));
}

static void test_bounds(void **state)
{
    const qcd_child_spi spi = {.octets = {1, 2, 3, 4}, .protocol = QCD_ESP};
    const qcd_child_spi zero = {.protocol = QCD_AH};
    const uint32_t number = spis_number(&spi);
    spis set = {0};
    uint32_t all[1];

    (void)state;
    assert_memory_equal(&number, spi.octets, sizeof(number));
    assert_int_equal(spis_number(&zero), 0);
    assert_false(spis_take(&set, number));
    assert_true(spis_reserve(&set, 0));
    assert_false(spis_take(&set, 0));
    assert_false(spis_reserve(&set, SIZE_MAX));
    assert_false(spis_reserve(&set, SIZE_MAX / 4 + 1));
    assert_true(spis_put(&set, UINT32_MAX));
    assert_false(spis_put(&set, UINT32_MAX));
    spis_list(&set, all);
    assert_int_equal(all[0], UINT32_MAX);
    assert_true(spis_take(&set, UINT32_MAX));
    assert_int_equal(set.num, 0);
    spis_free(&set);
}

static void test_many(void **state)
{
    enum { MANY = 300000 };
    spis set = {0};

    (void)state;
    assert_true(spis_reserve(&set, MANY));
    for (uint32_t n = 1; n <= MANY; n++) {
        assert_true(spis_put(&set, n));
    }
    assert_int_equal(set.num, MANY);
    for (uint32_t n = MANY; n > 0; n--) {
        assert_true(spis_take(&set, n));
    }
    assert_int_equal(set.num, 0);
    spis_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

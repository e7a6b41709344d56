/* SPDX-License-Identifier: Apache-2.0 */
/* test_spis.c: src/watch/spis.c, against a plain array. */
#include "test.h"

#include "watch/spis.h"

enum { NUM = 200, LIST_MAX = 60 };

static qcd_child_spi spi_of(uint32_t number)
{
    qcd_child_spi spi = {.protocol = QCD_ESP};

    memcpy(spi.octets, &number, sizeof(number));
    return spi;
}

/* Some numbers, of which 0 is one, and of which some come twice. */
static size_t draw(uint64_t *random, qcd_child_spi *out)
{
    size_t num = (size_t)(random64(random) % LIST_MAX);

    for (size_t i = 0; i < num; i++) {
        out[i] = spi_of((uint32_t)(random64(random) % NUM));
    }
    return num;
}

static void check(const spis *set, const bool *want)
{
    size_t num = 0;

    for (size_t i = 0; i < NUM; i++) {
        num += want[i];
    }
    assert_int_equal(set->num, num);
    for (size_t i = 0; i < set->num; i++) {
        assert_true(set->numbers[i] < NUM && want[set->numbers[i]]);
        assert_true(i == 0 || set->numbers[i - 1] < set->numbers[i]);
    }
}

static void test_against_array(void **state)
{
    uint64_t random = 4;
    bool want[NUM] = {false};
    spis set = {0};

    (void)state;
    for (int step = 0; step < 20000; step++) {
        bool part[NUM] = {false};
        qcd_child_spi list[LIST_MAX];
        bool is_removal = step % 2 == 1;
        size_t num = draw(&random, list);
        spis some;

        assert_true(spis_new(&some, &set, is_removal, list, num));
        for (size_t i = 0; i < num; i++) {
            uint32_t n;

            memcpy(&n, list[i].octets, sizeof(n));
            part[n] = n != 0 && want[n] == is_removal;
        }
        check(&some, part);
        for (size_t n = 0; n < NUM; n++) {
            want[n] = part[n] ? !is_removal : want[n];
        }
        if (is_removal) {
            spis_subtract(&set, &some);
        } else {
            spis both;

            assert_true(spis_unite(&both, &set, &some));
            spis_free(&set);
            set = both;
        }
        check(&set, want);
        spis_free(&some);
    }
    spis_free(&set);
    assert_true(is_zero(&set, sizeof(set)));
}

static void test_nothing(void **state)
{
    const qcd_child_spi zero = spi_of(0);
    const spis empty = {0};
    spis set;
    spis both;

    (void)state;
    assert_true(spis_new(&set, &empty, false, NULL, 0));
    assert_int_equal(set.num, 0);
    spis_free(&set);
    assert_true(spis_new(&set, &empty, false, &zero, 1));
    assert_int_equal(set.num, 0);
    assert_true(spis_unite(&both, &set, &empty));
    assert_int_equal(both.num, 0);
    spis_subtract(&both, &set);
    assert_int_equal(both.num, 0);
    spis_free(&set);
    spis_free(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_against_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_samap_index.c: src/store/samap_index.c. */
#include "test.h"

#include "samap_box.h"

static void reserve(samap_index *index)
{
    assert_true(samap_index_reserve(index));
}

/* Random changes, compared with a plain array; so few SPIs that many
 * collide. */
static void test_against_array(void **state)
{
    (void)state;
    enum { NUM = 90, NUM_STEPS = 200000 };
    samap_index index = {0};
    uint32_t slots[NUM] = {0};
    uint64_t seed = 3;
    size_t num = 0;
    for (int step = 0; step < NUM_STEPS; step++) {
        uint32_t n = (uint32_t)(random64(&seed) % NUM);
        /* For some, ESP and AH have the same number. */
        qcd_child_spi spi = samap_box_spi(n % 3 == 0 ? n << 24 : n);
        if (n % 3 == 1) {
            spi = samap_box_spi(n / 3);
            spi.protocol = (uint8_t)(spi.protocol == QCD_AH ? QCD_ESP : QCD_AH);
        }
        reserve(&index);
        assert_int_equal(samap_index_find(&index, &spi), slots[n]);
        if (slots[n] != 0) {
            samap_index_remove(&index, &spi);
            samap_index_give(&index, slots[n]);
            slots[n] = 0;
            num--;
        } else {
            slots[n] = samap_index_take(&index);
            samap_index_add(&index, &spi, slots[n]);
            num++;
        }
        assert_int_equal(samap_index_find(&index, &spi), slots[n]);
        assert_int_equal(index.num, num);
    }
    assert_true(index.end <= NUM);
    samap_index_free(&index);
}

/* No slot is used twice, and the first one follows the head. */
static void test_slots(void **state)
{
    (void)state;
    enum { NUM = 1000 };
    samap_index index = {0};
    bool is_taken[NUM + 1] = {false};
    for (int round = 0; round < 3; round++) {
        for (uint32_t n = 1; n <= NUM; n++) {
            reserve(&index);
            uint32_t slot = samap_index_take(&index);
            assert_true(slot >= 1 && slot <= NUM && !is_taken[slot]);
            is_taken[slot] = true;
        }
        for (uint32_t n = 1; n <= NUM; n++) {
            samap_index_give(&index, n);
            is_taken[n] = false;
        }
    }
    assert_int_equal(index.end, NUM);
    samap_index_free(&index);
}

/* longest is the longest sequence of used places. */
static size_t longest(const samap_index *index)
{
    size_t most = 0;
    size_t len = 0;
    for (size_t i = 0; i < index->num_places; i++) {
        len = index->places[i].slot != 0 ? len + 1 : 0;
        most = len > most ? len : most;
    }
    return most;
}

/* SPIs of any range are spread: a look-up takes no long walk. */
static void test_narrow_ranges(void **state)
{
    static const struct {
        const char *name;
        uint32_t first;
        unsigned shift;
    } rows[] = {
        {"one after the other", 0, 0},
        {"of charon's range", 0xc0000000, 0},
        {"of a narrow one", 0xc1f00000, 0},
        {"with the same last octets", 0xc0000001, 8},
        {"with the same first ones", 0x00ff00ff, 12},
    };
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        samap_index index = {0};
        for (uint32_t n = 0; n < 100000; n++) {
            const qcd_child_spi spi =
                samap_box_spi(rows[i].first + (n << rows[i].shift));
            reserve(&index);
            samap_index_add(&index, &spi, samap_index_take(&index));
        }
        CHECK(rows[i].name, longest(&index) < 200);
        samap_index_free(&index);
    }
}

static void test_empty(void **state)
{
    (void)state;
    const qcd_child_spi spi = {{0}, 0};
    samap_index index = {0};
    assert_int_equal(samap_index_find(&index, &spi), 0);
    samap_index_free(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_narrow_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

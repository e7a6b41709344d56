/* SPDX-License-Identifier: Apache-2.0 */
/* test_samap_log.c: the journals of the SA map, whole, cut, damaged, and in any
 * order (src/store/samap_log.c, and how samap.c replays them). */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

#include "samap_box.h"

enum { NUM = 6 };

/* lay writes records `first` to first + num - 1: record seq puts row seq, but
 * each third one removes the row before. */
static void lay(uint8_t *out, uint64_t first, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        uint32_t seq = (uint32_t)(first + i);
        samap_change change = {.is_put = seq % 3 != 0};
        if (change.is_put) {
            samap_box_row(&change.row, seq, seq);
        } else {
            samap_box_spi(change.row.child_spi, seq - 1);
        }
        samap_record_encode(out + i * SAMAP_RECORD_LEN, seq, &change);
    }
}

/* read_all reads as many records as there are, which count up from `first`. */
static size_t read_all(const uint8_t *in, size_t len, uint64_t first)
{
    samap_reader reader;
    samap_change change;
    size_t num = 0;
    samap_reader_init(&reader, in, len);
    while (samap_reader_next(&change, &reader)) {
        assert_int_equal(reader.seq, first + num);
        num++;
        assert_int_equal(reader.len, num * SAMAP_RECORD_LEN);
    }
    assert_true(is_zero(&change, sizeof(change)));
    assert_false(samap_reader_next(&change, &reader));
    return num;
}

static void test_records(void **state)
{
    (void)state;
    uint8_t octets[NUM * SAMAP_RECORD_LEN];
    samap_reader reader;
    samap_change change;
    lay(octets, 1, NUM);
    assert_int_equal(read_all(octets, sizeof(octets), 1), NUM);
    assert_int_equal(read_all(NULL, 0, 1), 0);
    samap_reader_init(&reader, octets, sizeof(octets));
    for (uint32_t seq = 1; seq <= NUM; seq++) {
        qcd_samap_row want;
        samap_box_row(&want, seq, seq);
        assert_true(samap_reader_next(&change, &reader));
        assert_int_equal(change.is_put, seq % 3 != 0);
        if (change.is_put) {
            assert_true(samap_box_is(&change.row, &want));
        } else {
            samap_box_spi(want.child_spi, seq - 1);
            assert_memory_equal(change.row.child_spi, want.child_spi, 4);
        }
    }
}

static void test_every_cut_and_every_bit(void **state)
{
    (void)state;
    uint8_t octets[NUM * SAMAP_RECORD_LEN];
    lay(octets, 1, NUM);
    for (size_t len = 0; len <= sizeof(octets); len++) {
        uint8_t *copy = copy_exact(octets, len);
        assert_int_equal(read_all(copy, len, 1), len / SAMAP_RECORD_LEN);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * sizeof(octets); bit++) {
        octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(read_all(octets, sizeof(octets), 1),
                         bit / 8 / SAMAP_RECORD_LEN);
        octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Numbers that don't count up by one end a journal: what is there is older. */
static void test_numbers(void **state)
{
    static const struct {
        const char *name;
        uint64_t seqs[4];
        size_t want;
    } orders[] = {
        {"by one", {5, 6, 7, 8}, 4},
        {"up to the last", {UINT64_MAX - 2, UINT64_MAX - 1, UINT64_MAX, 0}, 3},
        {"0 is none", {0, 1, 2, 3}, 0},
        {"older behind newer", {5, 6, 1, 2}, 2},
        {"the same twice", {5, 5, 6, 7}, 1},
        {"one left out", {5, 7, 8, 9}, 1},
    };
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(orders); i++) {
        uint8_t octets[4 * SAMAP_RECORD_LEN];
        samap_change change = {.is_put = true};
        samap_box_row(&change.row, 1, 1);
        for (size_t k = 0; k < 4; k++) {
            samap_record_encode(octets + k * SAMAP_RECORD_LEN,
                                orders[i].seqs[k], &change);
        }
        CHECK_INT(orders[i].name,
                  read_all(octets, sizeof(octets), orders[i].seqs[0]),
                  orders[i].want);
    }
}

/* ---- As files ---------------------------------------------------------- */

static void write_log(const box *b, const char *name, const uint8_t *octets,
                      size_t len)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets, len), len);
    assert_int_equal(close(fd), 0);
}

/* check_state holds that the map has just what records 1 to `num` say. */
static void check_state(qcd_samap *map, uint32_t num)
{
    size_t count = 0;
    for (uint32_t n = 1; n < 3 * NUM; n++) {
        bool is_there = n <= num && n % 3 != 0 && !(n % 3 == 2 && n < num);
        assert_true(is_there ? samap_box_has(map, n, n)
                             : samap_box_lacks(map, n));
        count += is_there;
    }
    assert_int_equal(qcd_samap_count(map), count);
}

static void check_split(const box *b, size_t first, size_t len, bool is_swapped)
{
    uint8_t octets[NUM * SAMAP_RECORD_LEN];
    lay(octets, 1, NUM);
    size_t at = first * SAMAP_RECORD_LEN;
    qcd_samap_close(samap_box_open(b));
    write_log(b, is_swapped ? "samap.log.1" : "samap.log.0", octets, at);
    write_log(b, is_swapped ? "samap.log.0" : "samap.log.1", octets + at,
              len - at);
    qcd_samap *map = samap_box_open(b);
    uint32_t num = (uint32_t)(len / SAMAP_RECORD_LEN);
    check_state(map, num);
    assert_int_equal(map->seq, num);
    /* And what is changed now comes behind it. */
    samap_box_put(map, 100, 1);
    samap_box_abandon(map);
    map = samap_box_open(b);
    assert_true(samap_box_has(map, 100, 1));
    samap_box_remove(map, 100);
    check_state(map, num);
    qcd_samap_close(map);
    box_clear(b);
}

/* The records in two journals, either way round, the second one cut. */
static void test_both_journals(void **state)
{
    const box *b = *state;
    for (size_t first = 0; first <= NUM; first++) {
        for (size_t num = first; num <= NUM; num++) {
            check_split(b, first, num * SAMAP_RECORD_LEN, first % 2 == 0);
        }
        check_split(b, first, first * SAMAP_RECORD_LEN, first % 2 == 1);
    }
    check_split(b, 2, 2 * SAMAP_RECORD_LEN + 1, false);
    check_split(b, 2, 4 * SAMAP_RECORD_LEN - 1, true);
    check_split(b, 3, 4 * SAMAP_RECORD_LEN + 57, false);
}

/* Killed between commit and truncation: a journal that is applied already does
 * nothing, even if its rows were changed since. */
static void test_applied_already(void **state)
{
    const box *b = *state;
    uint8_t octets[NUM * SAMAP_RECORD_LEN];
    lay(octets, 1, NUM);
    qcd_samap *map = samap_box_open(b);
    for (uint32_t seq = 1; seq <= NUM; seq++) {
        samap_box_put(map, 1, seq);
    }
    samap_box_flush(map);
    samap_box_put(map, 2, 9);
    samap_box_flush(map);
    samap_box_put(map, 3, 9); /* in a journal */
    size_t active = map->active;
    samap_box_abandon(map);
    write_log(b, active == 0 ? "samap.log.1" : "samap.log.0", octets,
              sizeof(octets));
    map = samap_box_open(b);
    assert_true(samap_box_has(map, 1, NUM));
    assert_true(samap_box_has(map, 2, 9));
    assert_true(samap_box_has(map, 3, 9));
    assert_int_equal(qcd_samap_count(map), 3);
    qcd_samap_close(map);
}

/* A journal that is longer than any that we write ends where it is full. */
static void test_too_long(void **state)
{
    const box *b = *state;
    size_t num = SAMAP_OVERLAY_MAX + 10;
    uint8_t *octets = malloc(num * SAMAP_RECORD_LEN);
    assert_non_null(octets);
    for (size_t i = 0; i < num; i++) {
        samap_change change = {.is_put = true};
        samap_box_row(&change.row, (uint32_t)i, 1);
        samap_record_encode(octets + i * SAMAP_RECORD_LEN, i + 1, &change);
    }
    qcd_samap_close(samap_box_open(b));
    write_log(b, "samap.log.0", octets, num * SAMAP_RECORD_LEN);
    free(octets);
    qcd_samap *map = samap_box_open(b);
    assert_int_equal(qcd_samap_count(map), SAMAP_OVERLAY_MAX);
    samap_box_put(map, 1u << 30, 1);
    samap_box_abandon(map);
    map = samap_box_open(b);
    assert_int_equal(qcd_samap_count(map), SAMAP_OVERLAY_MAX + 1);
    qcd_samap_close(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_every_cut_and_every_bit),
        cmocka_unit_test(test_numbers),
        BOX_TEST(test_both_journals),
        BOX_TEST(test_applied_already),
        BOX_TEST(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

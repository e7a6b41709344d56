/* SPDX-License-Identifier: Apache-2.0 */
/* damage_samap.c: an SA map whose file was truncated, overwritten at any place,
 * or is something else.  A damaged slot costs its own row and no other. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "samap_box.h"

enum { NUM = 40, FILE_LEN = (NUM + 1) * SAMAP_SLOT_LEN, NUM_SEEDS = 2000 };

/* Row n is in slot n + 1. */
static void make_map(uint8_t out[FILE_LEN], const box *b)
{
    char path[BOX_PATH_MAX];
    box_clear(b);
    qcd_samap *map = samap_box_open(b);
    for (uint32_t n = 0; n < NUM; n++) {
        samap_box_put(map, n, 0);
    }
    qcd_samap_close(map);
    box_path(path, b, "samap");
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, out, FILE_LEN), FILE_LEN);
    assert_int_equal(close(fd), 0);
}

static void save(const box *b, const char *name, const uint8_t *octets,
                 size_t len)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets, len), len);
    assert_int_equal(close(fd), 0);
}

/* check_rows opens the map and uses it.  The rows from `first` to before `last`
 * are lost. */
static void check_rows(const box *b, const char *row, uint32_t first,
                       uint32_t last, bool is_told)
{
    char want[64];
    qcd_samap *map;
    qcd_store_report report;
    CHECK_INT(row, samap_box_try(&map, &report, b), QCD_STORE_OK);
    (void)snprintf(want, sizeof(want), "1 places, and %u rows are left",
                   NUM - (last - first));
    CHECK(row,
          is_told ? strstr(report.text, want) != NULL : report.text[0] == '\0');
    CHECK_INT(row, qcd_samap_count(map), NUM - (last - first));
    for (uint32_t n = 0; n < NUM; n++) {
        CHECK(row, n >= first && n < last ? samap_box_lacks(map, n)
                                          : samap_box_has(map, n, 0));
    }
    qcd_samap_close(map);
    map = samap_box_open(b); /* it is reported only once */
    for (uint32_t n = first; n < last; n++) {
        samap_box_put(map, n, 0);
    }
    CHECK_INT(row, qcd_samap_count(map), NUM);
    qcd_samap_close(map);
}

/* check_aside checks that the map was set aside, and what is reported. */
static void check_aside(const box *b, const char *row, const char *why)
{
    qcd_samap *map;
    qcd_store_report report;
    char path[BOX_PATH_MAX];
    CHECK_INT(row, samap_box_try(&map, &report, b), QCD_STORE_OK);
    CHECK(row, strstr(report.text, "/samap "));
    CHECK(row, strstr(report.text, why));
    CHECK(row, strstr(report.text, "samap.damaged"));
    CHECK(row, strstr(report.text, "no reply to ESP of earlier SAs"));
    CHECK_INT(row, qcd_samap_count(map), 0);
    samap_box_put(map, 1, 1);
    qcd_samap_close(map);
    map = samap_box_open(b);
    CHECK(row, samap_box_has(map, 1, 1));
    qcd_samap_close(map);
    CHECK(row, box_holds(b, "samap samap.damaged "));
    box_path(path, b, "samap.damaged");
    CHECK_INT(row, unlink(path), 0);
}

static void test_every_slot(void **state)
{
    const box *b = *state;
    uint8_t octets[FILE_LEN];
    uint64_t seed = 1;
    for (uint32_t slot = 0; slot <= NUM; slot++) {
        for (int way = 0; way < 3; way++) {
            char row[64];
            make_map(octets, b);
            uint8_t *at = octets + (size_t)slot * SAMAP_SLOT_LEN;
            if (way == 0) {
                random_octets(&seed, at, SAMAP_SLOT_LEN);
            } else if (way == 1) {
                at[random64(&seed) % SAMAP_SLOT_LEN] ^= 1;
            } else {
                memset(at, 0xff, SAMAP_SLOT_LEN);
            }
            save(b, "samap", octets, FILE_LEN);
            (void)snprintf(row, sizeof(row), "slot %u, way %d", slot, way);
            check_rows(b, row, slot == 0 ? 0 : slot - 1, slot, true);
        }
    }
}

/* Only the rows that are cut off are lost. */
static void test_every_cut(void **state)
{
    const box *b = *state;
    uint8_t octets[FILE_LEN];
    for (size_t len = 1; len < FILE_LEN; len++) {
        char row[32];
        uint32_t num_left = (uint32_t)(len / SAMAP_SLOT_LEN);
        make_map(octets, b);
        save(b, "samap", octets, len);
        (void)snprintf(row, sizeof(row), "%zu octets", len);
        if (num_left == 0 || (num_left == 1 && len > SAMAP_SLOT_LEN)) {
            check_aside(b, row, "is damaged");
        } else {
            check_rows(b, row, num_left - 1, NUM, len % SAMAP_SLOT_LEN != 0);
        }
    }
}

/* A sector, or many single octets, have any content. */
static void test_written_over(void **state)
{
    const box *b = *state;
    uint8_t good[FILE_LEN];
    uint8_t octets[FILE_LEN];
    uint64_t seed = 2;
    make_map(good, b);
    for (int i = 0; i < NUM_SEEDS; i++) {
        qcd_samap *map;
        qcd_store_report report;
        memcpy(octets, good, FILE_LEN);
        if (i % 2 == 0) {
            random_octets(&seed, octets + random64(&seed) % (FILE_LEN - 512),
                          512);
        }
        for (size_t k = random64(&seed) % 200; k > 0; k--) {
            random_octets(&seed, octets + random64(&seed) % FILE_LEN, 1);
        }
        save(b, "samap", octets, FILE_LEN);
        assert_int_equal(samap_box_try(&map, &report, b), QCD_STORE_OK);
        size_t count = 0;
        for (uint32_t n = 0; n < NUM; n++) {
            bool is_whole =
                memcmp(octets + (n + 1) * SAMAP_SLOT_LEN,
                       good + (n + 1) * SAMAP_SLOT_LEN, SAMAP_SLOT_LEN) == 0;
            assert_true(is_whole ? samap_box_has(map, n, 0)
                                 : samap_box_lacks(map, n));
            count += is_whole;
        }
        assert_int_equal(qcd_samap_count(map), count);
        qcd_samap_close(map);
    }
}

/* An SPI in two slots: one counts, the other one is free, and stays free after
 * the first one is. */
static void test_twice_the_same_row(void **state)
{
    const box *b = *state;
    uint8_t octets[FILE_LEN];
    make_map(octets, b);
    memcpy(octets + 9 * SAMAP_SLOT_LEN, octets + 5 * SAMAP_SLOT_LEN,
           SAMAP_SLOT_LEN);
    save(b, "samap", octets, FILE_LEN);
    check_rows(b, "row 4 twice", 8, 9, false);
    qcd_samap *map = samap_box_open(b);
    samap_box_remove(map, 4);
    qcd_samap_close(map);
    map = samap_box_open(b);
    assert_true(samap_box_lacks(map, 4));
    qcd_samap_close(map);
}

static enum qcd_samap_fate drop(void *user, qcd_samap_row *row)
{
    (void)row;
    ++*(size_t *)user;
    return QCD_SAMAP_DROP;
}

/* A disk writes a row to the place of the head, while the map is open. */
static void test_row_in_place_of_head(void **state)
{
    const box *b = *state;
    uint8_t octets[FILE_LEN];
    char path[BOX_PATH_MAX];
    qcd_store_report report;
    size_t num = 0;
    make_map(octets, b);
    qcd_samap *map = samap_box_open(b);
    samap_box_remove(map, 4);
    box_path(path, b, "samap");
    int fd = open(path, O_WRONLY);
    const uint8_t *row = octets + 5 * SAMAP_SLOT_LEN;
    assert_int_equal(write(fd, row, SAMAP_SLOT_LEN), SAMAP_SLOT_LEN);
    assert_int_equal(close(fd), 0);
    assert_int_equal(qcd_samap_walk(map, &report, drop, &num), QCD_STORE_OK);
    assert_int_equal(num, NUM - 1);
    assert_int_equal(qcd_samap_count(map), 0);
    qcd_samap_close(map);
}

static void test_something_else(void **state)
{
    static uint8_t octets[20000] = "SQLite format 3";
    static const uint8_t none[4096];
    const box *b = *state;
    uint8_t map[FILE_LEN];
    make_map(map, b);
    save(b, "samap", octets, sizeof(octets));
    check_aside(b, "another file", "is damaged");
    save(b, "samap", none, sizeof(none));
    check_aside(b, "zeros", "is damaged");

    /* A newer version is left unchanged, and so are its rows. */
    samap_head_encode(map, SAMAP_VERSION + 1);
    save(b, "samap", map, sizeof(map));
    check_aside(b, "a newer one", "by a newer version");

    /* The files of an earlier version, which were LMDB's. */
    memset(octets, 0, sizeof(octets));
    memcpy(octets + 16, "\xde\xc0\xef\xbe", 4);
    save(b, "samap", octets, sizeof(octets));
    save(b, "samap-lock", octets, 100);
    save(b, "samap.log.0", octets, 100);
    save(b, "samap.log.1", octets, 0);
    check_aside(b, "an earlier one", "by an earlier version");
}

/* A map that was set aside before is replaced. */
static void test_twice(void **state)
{
    const box *b = *state;
    box_image bad = {.is_there = true, .len = 9, .octets = "no map 1"};
    qcd_samap *map;
    qcd_store_report report;
    qcd_samap_close(samap_box_open(b));
    for (uint8_t i = 0; i < 2; i++) {
        bad.octets[7] = i;
        box_restore(b, "samap", &bad);
        assert_int_equal(samap_box_try(&map, &report, b), QCD_STORE_OK);
        assert_non_null(strstr(report.text, "is damaged"));
        qcd_samap_close(map);
        assert_true(box_is_same(b, "samap.damaged", &bad));
    }
}

/* A map that lost all its octets is reported, once.  One that a process was
 * just creating is not. */
static void test_no_octets(void **state)
{
    const box *b = *state;
    static const box_image empty = {.is_there = true};
    qcd_samap *map = samap_box_open(b);
    qcd_store_report report;
    samap_box_put(map, 1, 1);
    qcd_samap_close(map);
    box_restore(b, "samap", &empty);
    assert_int_equal(samap_box_try(&map, &report, b), QCD_STORE_OK);
    assert_non_null(
        strstr(report.text, "/samap has lost all its octets: a new"));
    assert_int_equal(qcd_samap_count(map), 0);
    qcd_samap_close(map);
    qcd_samap_close(samap_box_open(b));

    box_clear(b);
    qcd_samap_close(samap_box_open(b));
    box_clear(b);
    qcd_samap_close(samap_box_open(b));
    box_remove(b, "samap");
    box_restore(b, "samap.new", &empty);
    qcd_samap_close(samap_box_open(b));
    assert_true(box_holds(b, "samap "));
}

int main(void)
{
    samap_box_in_memory();
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_every_slot),     BOX_TEST(test_every_cut),
        BOX_TEST(test_written_over),   BOX_TEST(test_twice_the_same_row),
        BOX_TEST(test_something_else), BOX_TEST(test_twice),
        BOX_TEST(test_no_octets),      BOX_TEST(test_row_in_place_of_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

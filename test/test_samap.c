/* SPDX-License-Identifier: Apache-2.0 */
/* test_samap.c: src/store/samap.c with an intact map. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "samap_box.h"

/* What happens between a change and the look-up. */
enum where { ACTIVE, ON_DISK, REOPENED, KILLED };

static const struct {
    const char *name;
    enum where where;
} places[] = {
    {"just made", ACTIVE},
    {"flushed", ON_DISK},
    {"closed and opened", REOPENED},
    {"killed and opened", KILLED},
};

static void go_to(qcd_samap **map, const box *b, enum where where)
{
    switch (where) {
    case ACTIVE:
        break;
    case ON_DISK:
        samap_box_flush(*map);
        break;
    case REOPENED:
        qcd_samap_close(*map);
        *map = samap_box_open(b);
        break;
    case KILLED:
        samap_box_abandon(*map);
        *map = samap_box_open(b);
        break;
    }
}

#define ABSENT UINT32_MAX

static void test_first_open(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    mode_t before = umask(0277);
    qcd_samap *map = samap_box_open(b);
    (void)umask(before);
    assert_int_equal(qcd_samap_count(map), 0);
    assert_true(samap_box_lacks(map, 1));
    assert_true(box_holds(b, "samap "));
    box_path(path, b, "samap");
    assert_int_equal(box_mode(path), S_IFREG | 0600);
    qcd_samap_close(map);
    qcd_samap_close(NULL);
}

static void test_put_replace_remove(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(places); i++) {
        const char *row = places[i].name;
        qcd_samap *map = samap_box_open(b);
        samap_box_put(map, 1, 0);
        samap_box_put(map, 2, 0);
        go_to(&map, b, places[i].where);
        CHECK(row, samap_box_has(map, 1, 0) && samap_box_has(map, 2, 0));
        CHECK_INT(row, qcd_samap_count(map), 2);
        samap_box_put(map, 1, 1);
        go_to(&map, b, places[i].where);
        CHECK(row, samap_box_has(map, 1, 1) && samap_box_has(map, 2, 0));
        CHECK_INT(row, qcd_samap_count(map), 2);
        samap_box_remove(map, 2);
        samap_box_remove(map, 3);
        go_to(&map, b, places[i].where);
        CHECK(row, samap_box_has(map, 1, 1) && samap_box_lacks(map, 2));
        CHECK_INT(row, qcd_samap_count(map), 1);
        samap_box_put(map, 2, 2);
        samap_box_remove(map, 1);
        samap_box_remove(map, 1);
        go_to(&map, b, places[i].where);
        CHECK(row, samap_box_lacks(map, 1) && samap_box_has(map, 2, 2));
        CHECK_INT(row, qcd_samap_count(map), 1);
        samap_box_remove(map, 2);
        qcd_samap_close(map);
    }
}

/* The row that was found is version 2; odd versions are of another IKE SA. */
static void test_remove_what_was_found(void **state)
{
    static const struct {
        const char *name;
        uint32_t there; /* version, or ABSENT */
        bool is_removed;
    } rows[] = {
        {"the same", 2, true},
        {"of that IKE SA, with another expiry", 4, true},
        {"taken by another IKE SA", 3, false},
        {"gone", ABSENT, false},
    };
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(places) * NUM_ROWS(rows); i++) {
        const char *row = rows[i % NUM_ROWS(rows)].name;
        uint32_t there = rows[i % NUM_ROWS(rows)].there;
        bool is_removed = rows[i % NUM_ROWS(rows)].is_removed;
        bool is_left = there != ABSENT && !is_removed;
        qcd_samap_row found;
        qcd_store_report report;
        bool removed;
        qcd_samap *map = samap_box_open(b);
        samap_box_put(map, 1, 0);
        if (there != ABSENT) {
            samap_box_put(map, 2, there);
        }
        go_to(&map, b, places[i / NUM_ROWS(rows)].where);
        samap_box_row(&found, 2, 2);
        CHECK_INT(row, qcd_samap_remove(map, &report, &removed, &found),
                  QCD_STORE_OK);
        CHECK_INT(row, removed, is_removed);
        CHECK_INT(row, qcd_samap_count(map), is_left ? 2 : 1);
        CHECK(row,
              is_left ? samap_box_has(map, 2, there) : samap_box_lacks(map, 2));
        samap_box_remove(map, 1);
        samap_box_remove(map, 2);
        qcd_samap_close(map);
    }
}

/* Random changes, in all layers at once, compared with a plain array. */
static void test_random_changes(void **state)
{
    enum { NUM = 300 };
    const box *b = *state;
    uint32_t have[NUM] = {0}; /* version, or 0 for none */
    uint64_t seed = 4;
    qcd_samap *map = samap_box_open(b);
    for (uint32_t step = 1; step < 6000; step++) {
        uint32_t n = (uint32_t)(random64(&seed) % NUM);
        if (random64(&seed) % 3 == 0) {
            samap_box_remove(map, n);
            have[n] = 0;
        } else {
            samap_box_put(map, n, step);
            have[n] = step;
        }
        if (step % 97 == 0) {
            go_to(&map, b, (enum where)(random64(&seed) % 4));
        }
        if (step % 251 == 0) {
            size_t count = 0;
            for (n = 0; n < NUM; n++) {
                assert_true(have[n] == 0 ? samap_box_lacks(map, n)
                                         : samap_box_has(map, n, have[n]));
                count += have[n] != 0;
            }
            assert_int_equal(qcd_samap_count(map), count);
        }
    }
    qcd_samap_close(map);
}

/* Slots are reused: the file does not grow beyond the number of rows. */
static void test_slots_are_used_again(void **state)
{
    enum { NUM = 2000 };
    const box *b = *state;
    struct stat st;
    char path[BOX_PATH_MAX];
    box_path(path, b, "samap");
    qcd_samap *map = samap_box_open(b);
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t n = 0; n < NUM; n++) {
            samap_box_put(map, (round * NUM + n) * 2654435769u, 1);
        }
        for (uint32_t n = 0; n < NUM; n++) {
            samap_box_remove(map, (round * NUM + n) * 2654435769u);
        }
        go_to(&map, b, (enum where)(round % 4));
    }
    samap_box_put(map, 1, 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, (NUM + 1) * SAMAP_SLOT_LEN);
    qcd_samap_close(map);
}

static void test_no_more_rows(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(places); i++) {
        qcd_samap_row row;
        qcd_store_report report;
        qcd_samap *map = samap_box_open(b);
        for (uint32_t n = 0; n < 10; n++) {
            samap_box_put(map, n, 0);
        }
        go_to(&map, b, places[i].where);
        map->rows_max = 10;
        samap_box_row(&row, 10, 0);
        CHECK_INT(places[i].name, qcd_samap_put(map, &report, &row),
                  QCD_STORE_ERR_EXHAUSTED);
        CHECK(places[i].name, strstr(report.text, "/samap has 10 rows"));
        CHECK(places[i].name, samap_box_lacks(map, 10));
        CHECK_INT(places[i].name, qcd_samap_count(map), 10);
        samap_box_put(map, 9, 1); /* replaces another one */
        samap_box_remove(map, 3);
        samap_box_put(map, 10, 0);
        samap_box_remove(map, 10);
        qcd_samap_close(map);
    }
}

/* ---- Walks ------------------------------------------------------------- */

/* seen is what a walk has visited, and the fate of row n: n % 3. */
typedef struct seen {
    size_t num;
    uint32_t n[64];
} seen;

static enum qcd_samap_fate see(void *user, qcd_samap_row *row)
{
    seen *s = user;
    assert_true(s->num < NUM_ROWS(s->n));
    uint32_t n =
        (uint32_t)row->child_spi.octets[2] << 8 | row->child_spi.octets[3];
    s->n[s->num++] = n;
    row->expires = 0x1000000000u + 2; /* so that it is version 2 */
    row->run = 7;                     /* this is not ours to change */
    return (enum qcd_samap_fate)(n % 3);
}

static void check_fates(qcd_samap *map, const char *name)
{
    for (uint32_t n = 0; n < 40; n++) {
        qcd_samap_row row;
        qcd_samap_row want;
        const qcd_child_spi spi = samap_box_spi(n);
        samap_box_row(&want, n, 0);
        if (n % 3 == 1) {
            want.expires += 2;
        }
        CHECK_INT(name, qcd_samap_find(map, &row, &spi), n % 3 != 2);
        CHECK(name, n % 3 == 2 || samap_box_is(&row, &want));
    }
}

static void test_walk(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(places); i++) {
        qcd_store_report report;
        seen s = {.num = 0};
        qcd_samap *map = samap_box_open(b);
        for (uint32_t n = 40; n > 0; n--) {
            samap_box_put(map, n - 1, 0);
        }
        go_to(&map, b, places[i].where);
        assert_int_equal(qcd_samap_walk(map, &report, see, &s), QCD_STORE_OK);
        CHECK_INT(places[i].name, s.num, 40);
        uint64_t visited = 0;
        for (size_t k = 0; k < s.num; k++) {
            visited |= UINT64_C(1) << s.n[k];
        }
        CHECK(places[i].name, visited == (UINT64_C(1) << 40) - 1);
        CHECK_INT(places[i].name, qcd_samap_count(map), 27);
        check_fates(map, places[i].name);
        samap_box_abandon(map); /* it was durable without a flush */
        map = samap_box_open(b);
        check_fates(map, places[i].name);
        CHECK_INT(places[i].name, qcd_samap_count(map), 27);
        qcd_samap_close(map);
    }
}

static enum qcd_samap_fate drop(void *user, qcd_samap_row *row)
{
    (void)row;
    ++*(size_t *)user;
    return QCD_SAMAP_DROP;
}

/* It is read in parts. */
static void test_walk_of_many(void **state)
{
    static const uint32_t nums[] = {0, 1, 511, 512, 513, 1024, 20000};
    const box *b = *state;
    qcd_samap *map = samap_box_open(b);
    for (size_t i = 0; i < NUM_ROWS(nums); i++) {
        qcd_store_report report;
        size_t num = 0;
        for (uint32_t n = 0; n < nums[i]; n++) {
            samap_box_put(map, UINT32_MAX - n, 0);
        }
        assert_int_equal(qcd_samap_walk(map, &report, drop, &num),
                         QCD_STORE_OK);
        assert_int_equal(num, nums[i]);
        assert_int_equal(qcd_samap_count(map), 0);
        assert_true(samap_box_lacks(map, UINT32_MAX));
    }
    qcd_samap_close(map);
}

/* ---- Files that we must not use ----------------------------------------- */

static void check_unsafe(const box *b, const char *name, const char *why)
{
    qcd_samap *map;
    qcd_store_report report;
    CHECK_INT(name, samap_box_try(&map, &report, b), QCD_STORE_ERR_UNSAFE);
    CHECK(name, map == NULL);
    CHECK(name, strstr(report.text, name));
    CHECK(name, strstr(report.text, why));
}

static void test_unsafe_files(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    char away[BOX_PATH_MAX];
    qcd_samap_close(samap_box_open(b));
    box_path(path, b, "samap");
    box_path(away, b, "away");
    assert_int_equal(chmod(path, 0640), 0);
    check_unsafe(b, "samap", "is open to others (mode 0640)");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink("away", path), 0);
    check_unsafe(b, "samap", "is not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    check_unsafe(b, "samap", "is not a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_unsafe(b, "samap", "is not a regular file");
    assert_int_equal(unlink(path), 0);
    if (geteuid() == 0) {
        assert_int_equal(link(away, path), 0);
        assert_int_equal(chown(path, 1, 0), 0);
        check_unsafe(b, "samap", "belongs to user 1");
        assert_int_equal(chown(path, 0, 0), 0);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rename(away, path), 0);
    qcd_samap_close(samap_box_open(b));
}

/* ---- The file is touched ----------------------------------------------- */

static void test_file_is_touched(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        const char *to;   /* the file is renamed, or removed if this is NULL */
        const char *from; /* and this one takes its place */
    } table[] = {
        {"removed", NULL, NULL},
        {"renamed", "away", NULL},
        {"replaced", NULL, "other"},
        {"renamed and replaced", "away", "other"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        qcd_store_report report;
        const char *row = table[i].name;
        box_clear(b);
        qcd_samap *map = samap_box_open(b);
        int fd = map->dir.fd;
        static box_image other; /* has no rows */
        box_save(&other, b, "samap");
        for (uint32_t n = 0; n < 100; n++) {
            samap_box_put(map, n, 1);
        }
        samap_box_flush(map);
        box_restore(b, "other", &other);
        CHECK_INT(row,
                  table[i].to != NULL ? renameat(fd, "samap", fd, table[i].to)
                                      : unlinkat(fd, "samap", 0),
                  0);
        CHECK(row, table[i].from == NULL ||
                       renameat(fd, table[i].from, fd, "samap") == 0);
        CHECK(row, samap_box_has(map, 7, 1));
        samap_box_put(map, 8, 2);
        CHECK_INT(row, qcd_samap_flush(map, &report), QCD_STORE_OK);
        CHECK(row, strstr(report.text, "/samap was removed or replaced while "
                                       "it was in use: it is written again"));
        samap_box_flush(map); /* once */
        samap_box_put(map, 9, 2);
        go_to(&map, b, KILLED);
        CHECK_INT(row, qcd_samap_count(map), 100);
        CHECK(row, samap_box_has(map, 7, 1) && samap_box_has(map, 8, 2) &&
                       samap_box_has(map, 9, 2));
        qcd_samap_close(map);
    }
}

/* There is no folder to write to: the rows are there as long as the map is
 * open. */
static void test_folder_is_gone(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    qcd_samap *map = samap_box_open(b);
    samap_box_put(map, 7, 1);
    box_clear(b);
    assert_int_equal(qcd_samap_flush(map, &report), QCD_STORE_ERR_SYSTEM);
    assert_non_null(strstr(report.text, "samap: it has vanished"));
    assert_true(samap_box_has(map, 7, 1));
    samap_box_put(map, 8, 1);
    assert_true(samap_box_has(map, 8, 1));
    qcd_samap_close(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_first_open),
        BOX_TEST(test_put_replace_remove),
        BOX_TEST(test_random_changes),
        BOX_TEST(test_remove_what_was_found),
        BOX_TEST(test_slots_are_used_again),
        BOX_TEST(test_no_more_rows),
        BOX_TEST(test_walk),
        BOX_TEST(test_walk_of_many),
        BOX_TEST(test_unsafe_files),
        BOX_TEST(test_file_is_touched),
        BOX_TEST(test_folder_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

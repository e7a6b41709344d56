/* SPDX-License-Identifier: Apache-2.0 */
/* damage_samap.c: an SA map whose file was cut, written over at any place, or
 * is something else.  It is found out and set aside, or it does no harm: the
 * process that opens it lives, and changes of all rows work. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "samap_box.h"
#include "store/samap_check.h"

enum { NUM_MAP_ROWS = 3000, NUM_SEEDS = 200, NUM_FLIPS = 150 };

/* file is a whole file. */
typedef struct file {
    size_t len;
    uint8_t *octets;
} file;

static void load(file *out, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    out->len = (size_t)st.st_size;
    out->octets = malloc(out->len);
    assert_non_null(out->octets);
    assert_int_equal(read(fd, out->octets, out->len), out->len);
    assert_int_equal(close(fd), 0);
}

static void save(const char *path, const uint8_t *octets, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets, len), len);
    assert_int_equal(close(fd), 0);
}

/* make_map makes a map whose trees have branches, and that has free pages. */
static void make_map(file *out, const box *b)
{
    char path[BOX_PATH_MAX];
    qcd_samap *map = samap_box_open(b);
    for (uint32_t n = 0; n < 2 * NUM_MAP_ROWS; n++) {
        samap_box_put(map, n, 0);
    }
    samap_box_flush(map);
    for (uint32_t n = 0; n < 2 * NUM_MAP_ROWS; n += 2) {
        samap_box_remove(map, n);
    }
    samap_box_flush(map);
    samap_box_put(map, 1, 2);
    qcd_samap_close(map);
    box_path(path, b, "samap");
    load(out, path);
}

/* use changes rows on each page.  What it finds may be anything. */
static void use(qcd_samap *map)
{
    qcd_store_report report;
    for (uint32_t n = 0; n < 2 * NUM_MAP_ROWS; n += 7) {
        qcd_samap_row row;
        samap_box_row(&row, n, 1);
        if (n % 3 == 0) {
            (void)!samap_box_take_out(map, &report, n);
        } else {
            (void)!qcd_samap_put(map, &report, &row);
        }
    }
    qcd_samap_place place = {{0}};
    qcd_samap_row row;
    while (qcd_samap_next_sa(map, &row, &place)) {
    }
    (void)!qcd_samap_flush(map, &report);
}

/* open_and_use is a process that opens the map; its result is whether the map
 * was set aside, or 2 for an error. */
static int open_and_use(const box *b)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        qcd_samap *map;
        qcd_store_report report;
        if (samap_box_try(&map, &report, b) != QCD_STORE_OK) {
            _exit(2);
        }
        bool is_aside = strstr(report.text, "samap.damaged") != NULL;
        use(map);
        qcd_samap_close(map);
        _exit(is_aside ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status)) {
        fail_msg("it was killed by signal %d", WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}

/* check_found holds that the damage is found, and what is told of it. */
static void check_found(const box *b, const char *row, const char *why)
{
    qcd_samap *map;
    qcd_store_report report;
    char path[BOX_PATH_MAX];
    CHECK_INT(row, samap_box_try(&map, &report, b), QCD_STORE_OK);
    CHECK(row, strstr(report.text, "/samap "));
    CHECK(row, strstr(report.text, why));
    CHECK(row, strstr(report.text, "samap.damaged"));
    CHECK(row, strstr(report.text, "no answer to ESP of SAs from before"));
    CHECK_INT(row, qcd_samap_count(map), 0);
    samap_box_put(map, 1, 1);
    qcd_samap_close(map);
    map = samap_box_open(b);
    CHECK(row, samap_box_has(map, 1, 1));
    qcd_samap_close(map);
    box_path(path, b, "samap.damaged");
    CHECK_INT(row, unlink(path), 0);
}

/* The file is cut.  What is missing may have been free. */
static void test_cut(void **state)
{
    const box *b = *state;
    static const size_t lens[] = {1,     100,   151,   152,   4095,
                                  4096,  8191,  8192,  8193,  12288,
                                  16000, 40960, 65536, 100000};
    char path[BOX_PATH_MAX];
    file good;
    make_map(&good, b);
    box_path(path, b, "samap");
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        char row[32];
        (void)snprintf(row, sizeof(row), "%zu octets", lens[i]);
        save(path, good.octets, lens[i]);
        check_found(b, row, "is damaged");
    }
    for (size_t len = good.len - 3000; len > 12 * 4096; len -= 9 * 4096) {
        save(path, good.octets, len);
        (void)open_and_use(b);
    }
    free(good.octets);
}

static void test_something_else(void **state)
{
    const box *b = *state;
    static const char text[20000] = "SQLite format 3";
    char path[BOX_PATH_MAX];
    qcd_samap_close(samap_box_open(b));
    box_path(path, b, "samap");
    save(path, (const uint8_t *)text, sizeof(text));
    check_found(b, "another file", "is damaged");
    int fd = open(path, O_WRONLY);
    assert_int_equal(ftruncate(fd, (off_t)2 * SAMAP_DB_SIZE), 0);
    assert_int_equal(close(fd), 0);
    check_found(b, "a huge file", "is damaged");
}

/* damage writes over the file in one of several ways. */
static void damage(file *bad, uint64_t *seed)
{
    size_t page = random64(seed) % (bad->len / 4096);
    uint8_t *at = bad->octets + page * 4096;
    switch (random64(seed) % 6) {
    case 0: /* a page of anything */
        random_octets(seed, at, 4096);
        break;
    case 1: /* a page of zero */
        memset(at, 0, 4096);
        break;
    case 2: /* a sector */
        random_octets(seed, at + 512 * (random64(seed) % 8), 512);
        break;
    case 3: /* the head of a page */
        random_octets(seed, at + random64(seed) % 24, 1);
        break;
    case 4: /* a page in place of another one */
        memcpy(at, bad->octets + random64(seed) % (bad->len / 4096) * 4096,
               4096);
        break;
    default: /* a word */
        random_octets(seed, at + 8 * (random64(seed) % 512), 8);
        break;
    }
}

static void test_written_over(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    file good;
    size_t num_aside = 0;
    uint64_t seed = 1;
    make_map(&good, b);
    box_path(path, b, "samap");
    file bad = {.len = good.len, .octets = malloc(good.len)};
    assert_non_null(bad.octets);
    for (int i = 0; i < NUM_SEEDS; i++) {
        memcpy(bad.octets, good.octets, good.len);
        damage(&bad, &seed);
        save(path, bad.octets, bad.len);
        int result = open_and_use(b);
        assert_int_not_equal(result, 2);
        num_aside += result == 1;
    }
    /* The others hit a page that is free, or what nobody looks at. */
    assert_true(num_aside > NUM_SEEDS / 3);
    free(bad.octets);
    free(good.octets);
}

/* Single bits in the pages that all others hang on: the heads, and the root of
 * each table; here all of what is found out is found without LMDB. */
static void test_flipped_bits(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    file good;
    uint64_t seed = 2;
    make_map(&good, b);
    box_path(path, b, "samap");
    for (int i = 0; i < NUM_FLIPS; i++) {
        size_t at =
            i % 2 == 0 ? random64(&seed) % 8192 : random64(&seed) % good.len;
        good.octets[at] ^= (uint8_t)(1u << i % 8);
        save(path, good.octets, good.len);
        good.octets[at] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(open_and_use(b), 2);
    }
    free(good.octets);
}

/* Each of these is undamaged for LMDB. */
static void put_meta(const box *b, const uint8_t *octets, size_t len)
{
    samap_db db;
    MDB_txn *txn;
    char path[BOX_PATH_MAX];
    box_path(path, b, "samap");
    assert_int_equal(samap_db_open(&db, path), 0);
    MDB_val key = samap_db_val("meta", 4);
    MDB_val data = samap_db_val(octets, len);
    assert_int_equal(mdb_txn_begin(db.env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, db.table_of_meta, &key, &data, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    samap_db_close(&db);
}

static void sign(uint8_t *octets, size_t len)
{
    uint64_t sum = samap_sum(octets, len - SAMAP_SUM_LEN);
    for (size_t i = 0; i < SAMAP_SUM_LEN; i++) {
        octets[len - 1 - i] = (uint8_t)(sum >> 8 * i);
    }
}

static void test_meta(void **state)
{
    static const struct {
        const char *name;
        size_t offset;
        uint8_t value;
        bool is_signed;
        size_t len;
        const char *why;
    } rows[] = {
        {"magic", 0, 'R', true, SAMAP_META_LEN, "is damaged"},
        {"version 0", 9, 0, true, SAMAP_META_LEN, "is damaged"},
        {"version 2", 9, 2, true, SAMAP_META_LEN, "by a newer version"},
        {"version 2, longer", 9, 2, true, 99, "by a newer version"},
        {"version 2, not signed", 9, 2, false, SAMAP_META_LEN, "is damaged"},
        {"longer", 9, 1, true, 99, "is damaged"},
        {"shorter", 9, 1, true, 20, "is damaged"},
        {"one row too many", 25, 2, true, SAMAP_META_LEN, "is damaged"},
        {"empty", 0, 0, false, 0, "is damaged"},
    };
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        uint8_t octets[100] = {0};
        samap_meta meta = {.applied = 1, .num_rows = 1};
        qcd_samap *map = samap_box_open(b);
        samap_box_put(map, 1, 1);
        qcd_samap_close(map);
        samap_meta_encode(octets, &meta);
        octets[rows[i].offset] = rows[i].value;
        if (rows[i].is_signed) {
            sign(octets, rows[i].len);
        }
        put_meta(b, octets, rows[i].len);
        check_found(b, rows[i].name, rows[i].why);
        box_clear(b);
    }
}

/* A row without its key by IKE SA, and the other way round. */
static void test_tables_that_differ(void **state)
{
    static const char *const names[] = {"no key of a row", "no row of a key",
                                        "the key of another row"};
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        samap_db db;
        MDB_txn *txn;
        qcd_samap_row row;
        uint8_t sa[SAMAP_SA_KEY_LEN];
        char path[BOX_PATH_MAX];
        qcd_samap *map = samap_box_open(b);
        samap_box_put(map, 1, 1);
        samap_box_put(map, 2, 1);
        qcd_samap_close(map);
        box_path(path, b, "samap");
        samap_box_row(&row, 1, 1);
        samap_row_sa(sa, &row);
        assert_int_equal(samap_db_open(&db, path), 0);
        assert_int_equal(mdb_txn_begin(db.env, NULL, 0, &txn), 0);
        MDB_val key = i == 1 ? samap_db_val(row.child_spi, 4)
                             : samap_db_val(sa, sizeof(sa));
        MDB_val none = samap_db_val("", 0);
        assert_int_equal(
            mdb_del(txn, i == 1 ? db.children : db.sas, &key, NULL), 0);
        if (i == 2) {
            sa[SAMAP_SA_KEY_LEN - 1] = 9;
            assert_int_equal(mdb_put(txn, db.sas, &key, &none, 0), 0);
        }
        assert_int_equal(mdb_txn_commit(txn), 0);
        samap_db_close(&db);
        check_found(b, names[i], "is damaged");
        box_clear(b);
    }
}

/* Another one that was set aside gives way; a lock file is of no account. */
static void test_twice_and_lock_file(void **state)
{
    const box *b = *state;
    box_image bad = {.is_there = true, .len = 9, .octets = "no map 1"};
    box_image lock = {.is_there = true, .len = sizeof(lock.octets)};
    qcd_samap *map;
    qcd_store_report report;
    memset(lock.octets, 0xa5, sizeof(lock.octets));
    qcd_samap_close(samap_box_open(b));
    for (uint8_t i = 0; i < 2; i++) {
        bad.octets[7] = i;
        box_restore(b, "samap", &bad);
        box_restore(b, "samap-lock", &lock);
        assert_int_equal(samap_box_try(&map, &report, b), QCD_STORE_OK);
        assert_non_null(strstr(report.text, "is damaged"));
        qcd_samap_close(map);
        assert_true(box_is_same(b, "samap.damaged", &bad));
    }
    box_restore(b, "samap-lock", &lock);
    qcd_samap_close(samap_box_open(b));
}

/* A map that lost all its octets is told of, once; one that a process was just
 * making is not. */
static void test_no_octets(void **state)
{
    const box *b = *state;
    static const box_image none = {.is_there = false};
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

    box_restore(b, "samap", &empty);
    box_restore(b, "samap.log.0", &none);
    box_restore(b, "samap.log.1", &none);
    qcd_samap_close(samap_box_open(b));
}

/* Journals of before are taken into the new map. */
static void test_journals_outlive_the_map(void **state)
{
    const box *b = *state;
    box_image bad = {.is_there = true, .len = 9, .octets = "no map"};
    qcd_store_report report;
    qcd_samap *map = samap_box_open(b);
    samap_box_put(map, 1, 1);
    samap_box_flush(map);
    samap_box_put(map, 2, 1);
    samap_box_abandon(map);
    box_restore(b, "samap", &bad);
    assert_int_equal(samap_box_try(&map, &report, b), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "is damaged"));
    assert_true(samap_box_lacks(map, 1) && samap_box_has(map, 2, 1));
    samap_box_put(map, 3, 1);
    qcd_samap_close(map);
    map = samap_box_open(b);
    assert_int_equal(qcd_samap_count(map), 2);
    qcd_samap_close(map);
}

static volatile sig_atomic_t num_signals;

static void count_signal(int number)
{
    (void)number;
    num_signals++;
}

/* The child that looks is gone afterwards, others are not waited for, and
 * whatever is done with SIGCHLD, the damage is found. */
static void test_children(void **state)
{
    static const struct {
        const char *name;
        void (*handler)(int);
    } rows[] = {{"by default", SIG_DFL},
                {"ignored", SIG_IGN},
                {"handled", count_signal}};
    const box *b = *state;
    box_image bad = {.is_there = true, .len = 9, .octets = "no map"};
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_samap *map;
        qcd_store_report report;
        struct sigaction action = {.sa_handler = rows[i].handler};
        struct sigaction before;
        assert_int_equal(sigaction(SIGCHLD, &action, &before), 0);
        qcd_samap_close(samap_box_open(b));
        pid_t other = fork();
        assert_true(other >= 0);
        if (other == 0) {
            _exit(7);
        }
        box_restore(b, "samap", &bad);
        CHECK_INT(rows[i].name, samap_box_try(&map, &report, b), QCD_STORE_OK);
        CHECK(rows[i].name, strstr(report.text, "is damaged"));
        qcd_samap_close(map);
        int status;
        if (rows[i].handler != SIG_IGN) {
            CHECK_INT(rows[i].name, waitpid(other, &status, 0), other);
            CHECK_INT(rows[i].name, WEXITSTATUS(status), 7);
        }
        CHECK_INT(rows[i].name, waitpid(-1, &status, 0), -1);
        assert_int_equal(sigaction(SIGCHLD, &before, NULL), 0);
    }
    assert_true(num_signals > 0);
}

int main(void)
{
    samap_box_in_memory();
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_cut),
        BOX_TEST(test_something_else),
        BOX_TEST(test_written_over),
        BOX_TEST(test_flipped_bits),
        BOX_TEST(test_meta),
        BOX_TEST(test_tables_that_differ),
        BOX_TEST(test_twice_and_lock_file),
        BOX_TEST(test_no_octets),
        BOX_TEST(test_journals_outlive_the_map),
        BOX_TEST(test_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

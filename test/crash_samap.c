/* SPDX-License-Identifier: Apache-2.0 */
/* crash_samap.c: the SA map of a process that is killed at random times, and of
 * a machine that loses power. */
#include "test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "samap_box.h"

enum { NUM = 400, NUM_KILLS = 100, NUM_CUTS = 60, KILL_WITHIN_NS = 20000000 };

/* told is what a process reports, in memory that outlives it.  For each row,
 * `versions` has the version that was put, or 0: it is written when the map's
 * function has returned.  Until then the row may be as before or as after the
 * change. */
typedef struct told {
    _Atomic uint32_t versions[NUM];
    _Atomic uint32_t row;
    _Atomic uint32_t version;
    _Atomic bool is_under_way;
    _Atomic bool is_dropping; /* a walk drops rows of an odd version */
    _Atomic uint32_t num_changes;
} told;

static told *shared(void)
{
    told *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(t != MAP_FAILED);
    return t;
}

/* change makes one change and reports it. */
static void change(qcd_samap *map, told *t, uint32_t n, uint32_t version)
{
    qcd_store_report report;
    qcd_samap_row row;
    enum qcd_store_err err;
    t->row = n;
    t->version = version;
    t->is_under_way = true;
    samap_box_row(&row, n, version);
    err = version != 0 ? qcd_samap_put(map, &report, &row)
                       : samap_box_take_out(map, &report, n);
    if (err != QCD_STORE_OK) {
        _exit(1);
    }
    t->versions[n] = version;
    t->is_under_way = false;
    t->num_changes++;
}

static enum qcd_samap_fate drop_odd(void *user, qcd_samap_row *row)
{
    (void)user;
    return row->expires % 2 == 1 ? QCD_SAMAP_DROP : QCD_SAMAP_KEEP;
}

static void drop_all_odd(qcd_samap *map, told *t)
{
    qcd_store_report report;
    t->is_dropping = true;
    if (qcd_samap_walk(map, &report, drop_odd, NULL) != QCD_STORE_OK) {
        _exit(1);
    }
    for (uint32_t n = 0; n < NUM; n++) {
        if (t->versions[n] % 2 == 1) {
            t->versions[n] = 0;
        }
    }
    t->is_dropping = false;
}

/* live opens, changes, flushes and closes until it is killed. */
static void live(const box *b, told *t, uint64_t seed)
{
    for (;;) {
        qcd_samap *map;
        qcd_store_report report;
        if (samap_box_try(&map, &report, b) != QCD_STORE_OK ||
            report.text[0] != '\0') {
            _exit(1);
        }
        for (int i = 0; i < 500; i++) {
            uint32_t n = (uint32_t)(random64(&seed) % NUM);
            bool is_put = random64(&seed) % 3 != 0;
            change(map, t, n,
                   is_put ? 1 + (uint32_t)(random64(&seed) % 1000000) : 0);
            if (random64(&seed) % 40 == 0 &&
                qcd_samap_flush(map, &report) != QCD_STORE_OK) {
                _exit(1);
            }
            if (random64(&seed) % 150 == 0) {
                drop_all_odd(map, t);
            }
        }
        qcd_samap_close(map);
    }
}

/* is_row tells whether row `n` has `version`, or does not exist if that is
 * 0. */
static bool is_row(qcd_samap *map, uint32_t n, uint32_t version)
{
    return version == 0 ? samap_box_lacks(map, n)
                        : samap_box_has(map, n, version);
}

/* check_and_take_over compares the map with what was reported, and notes the
 * result of the change that was in progress. */
static void check_and_take_over(qcd_samap *map, told *t)
{
    size_t count = 0;
    for (uint32_t n = 0; n < NUM; n++) {
        if (!is_row(map, n, t->versions[n])) {
            bool is_open =
                t->is_under_way && t->row == n && is_row(map, n, t->version);
            bool is_dropped = t->is_dropping && t->versions[n] % 2 == 1 &&
                              samap_box_lacks(map, n);
            assert_true(is_open || is_dropped);
            t->versions[n] = is_dropped ? 0 : t->version;
        }
        count += t->versions[n] != 0;
    }
    assert_int_equal(qcd_samap_count(map), count);
    t->is_under_way = false;
    t->is_dropping = false;
}

/* wait_for_changes waits until the process has opened the map. */
static void wait_for_changes(const told *t)
{
    const struct timespec moment = {.tv_nsec = 100000};
    uint32_t before = t->num_changes;
    for (int i = 0; i < 100000 && t->num_changes == before; i++) {
        (void)nanosleep(&moment, NULL);
    }
}

/* kill_once kills a process at a random time, `in_use` or while it opens. */
static void kill_once(const box *b, told *t, uint64_t *seed, bool in_use)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        live(b, t, *seed);
    }
    if (in_use) {
        wait_for_changes(t);
    }
    box_kill(pid, random64(seed) % KILL_WITHIN_NS);
    qcd_samap *map = samap_box_open(b);
    check_and_take_over(map, t);
    samap_box_abandon(map);
}

static void test_killed_at_random(void **state)
{
    const box *b = *state;
    uint64_t seed = 6290;
    told *t = shared();
    for (int i = 0; i < NUM_KILLS; i++) {
        kill_once(b, t, &seed, i % 3 != 0);
    }
    assert_true(t->num_changes > NUM_KILLS);
    (void)munmap(t, sizeof(*t));
}

/* ---- Power ------------------------------------------------------------- */

/* image is the file of a map. */
typedef struct image {
    size_t len;
    uint8_t octets[(NUM + 1) * SAMAP_SLOT_LEN];
} image;

static void load(image *out, const box *b)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, "samap");
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    memset(out, 0, sizeof(*out));
    ssize_t len = read(fd, out->octets, sizeof(out->octets));
    assert_true(len >= 0);
    out->len = (size_t)len;
    assert_int_equal(close(fd), 0);
}

/* lose_power gives the folder of `lost` what a disk may have.  That is, for
 * each sector, what was flushed or what was written since.  The length of the
 * file is that of either time. */
static void lose_power(const box *lost, const image *flushed, const image *now,
                       uint64_t *seed)
{
    enum { SECTOR_LEN = 512 };
    char path[BOX_PATH_MAX];
    static image mixed;
    (void)mkdir(lost->folder, 0700);
    mixed = *flushed;
    for (size_t at = 0; at < sizeof(mixed.octets); at += SECTOR_LEN) {
        size_t len = sizeof(mixed.octets) - at;
        len = len < SECTOR_LEN ? len : SECTOR_LEN;
        if (random64(seed) % 2 == 0) {
            memcpy(mixed.octets + at, now->octets + at, len);
        }
    }
    mixed.len = random64(seed) % 2 == 0 ? flushed->len : now->len;
    box_path(path, lost, "samap");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, mixed.octets, mixed.len), mixed.len);
    assert_int_equal(close(fd), 0);
}

/* past is the state of the rows after each change since the last flush. */
typedef struct past {
    uint32_t flushed[NUM];
    uint32_t now[NUM];
} past;

/* check_lost checks that each row is as it was at the last flush, or after one
 * of the changes since.  Those have versions above `floor`. */
static void check_lost(qcd_samap *map, const past *p, uint32_t floor)
{
    for (uint32_t n = 0; n < NUM; n++) {
        qcd_samap_row row;
        const qcd_child_spi spi = samap_box_spi(n);
        bool is_there = qcd_samap_find(map, &row, &spi);
        if (p->flushed[n] == p->now[n]) {
            assert_true(is_row(map, n, p->now[n]));
        } else if (is_there) {
            uint32_t version = (uint32_t)(row.expires & 0xffffffff);
            assert_true(samap_box_has(map, n, version));
            assert_true(version == p->flushed[n] || version > floor);
        }
    }
}

static void test_power(void **state)
{
    const box *b = *state;
    box lost = *b;
    uint64_t seed = 7;
    uint32_t version = 0;
    past p = {.flushed = {0}};
    static image flushed;
    static image now;
    (void)snprintf(lost.folder, sizeof(lost.folder), "%.400s/lost", b->root);
    qcd_samap *map = samap_box_open(b);
    for (int i = 0; i < NUM_CUTS; i++) {
        uint32_t floor = version;
        samap_box_flush(map);
        load(&flushed, b);
        memcpy(p.flushed, p.now, sizeof(p.now));
        /* Rows that were changed stay changed, except for a few versions. */
        size_t num = random64(&seed) % 100;
        for (size_t k = 0; k < num; k++) {
            uint32_t n = (uint32_t)(random64(&seed) % NUM);
            bool is_put = random64(&seed) % 4 != 0;
            version++;
            p.now[n] = is_put ? version : 0;
            if (is_put) {
                samap_box_put(map, n, version);
            } else {
                samap_box_remove(map, n);
            }
            if (p.now[n] == p.flushed[n]) { /* put and removed again */
                samap_box_put(map, n, ++version);
                p.now[n] = version;
            }
        }
        load(&now, b);
        lose_power(&lost, &flushed, &now, &seed);
        qcd_samap *after = samap_box_open(&lost);
        check_lost(after, &p, floor);
        qcd_samap_close(after);
        box_clear(&lost);
    }
    qcd_samap_close(map);
}

int main(void)
{
    samap_box_in_memory(); /* a kill leaves the same there */
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_killed_at_random),
        BOX_TEST(test_power),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fault_samap.c: the SA map when the n-th call of the system fails, for every
 * n, ours and LMDB's, and when the process is killed before it. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_disk.h"
#include "fault_sys.h"
#include "samap_box.h"

enum { CALLS_MAX = 500, NUM = 8 };

/* rows is what is known of each row: its version, 0 for none. */
typedef struct rows {
    uint32_t version[NUM];
} rows;

static bool fits(qcd_samap *map, const rows *r)
{
    size_t count = 0;
    for (uint32_t n = 0; n < NUM; n++) {
        if (!(r->version[n] == 0 ? samap_box_lacks(map, n)
                                 : samap_box_has(map, n, r->version[n]))) {
            return false;
        }
        count += r->version[n] != 0;
    }
    return qcd_samap_count(map) == count;
}

/* try_change makes row `n` version `v`, and notes it where that succeeds.  On
 * error nothing is changed. */
static void try_change(qcd_samap *map, rows *r, uint32_t n, uint32_t v)
{
    qcd_samap_row row;
    qcd_store_report report;
    samap_box_row(&row, n, v);
    enum qcd_store_err err = v != 0 ? qcd_samap_put(map, &report, &row)
                                    : samap_box_take_out(map, &report, n);
    if (err == QCD_STORE_OK) {
        r->version[n] = v;
    } else {
        assert_int_equal(err, QCD_STORE_ERR_SYSTEM);
        assert_non_null(strstr(report.text, "cannot write /"));
    }
    assert_true(fits(map, r));
}

/* live opens the map, makes changes, flushes and closes. */
static void live(const box *b, rows *r, bool *is_open)
{
    qcd_samap *map;
    qcd_store_report report;
    enum qcd_store_err err = samap_box_try(&map, &report, b);
    *is_open = err == QCD_STORE_OK;
    if (!*is_open) {
        assert_int_equal(err, QCD_STORE_ERR_SYSTEM);
        assert_true(map == NULL);
        assert_true(strncmp(report.text, "cannot ", 7) == 0);
        return;
    }
    assert_true(fits(map, r));
    try_change(map, r, 1, 1);
    try_change(map, r, 2, 1);
    try_change(map, r, 3, 0);
    (void)!qcd_samap_flush(map, &report);
    assert_true(fits(map, r));
    try_change(map, r, 1, 2);
    try_change(map, r, 2, 0);
    try_change(map, r, 4, 1);
    qcd_samap_close(map);
}

/* prepare makes a folder with rows in the map and in both journals, or none. */
static void prepare(const box *b, rows *out, bool is_first)
{
    memset(out, 0, sizeof(*out));
    box_clear(b);
    if (is_first) {
        return;
    }
    qcd_samap *map = samap_box_open(b);
    for (uint32_t n = 2; n < NUM; n++) {
        samap_box_put(map, n, 7);
        out->version[n] = 7;
        if (n == 4) {
            samap_box_flush(map);
        }
        if (n == 6) {
            map->active = 1 - map->active; /* as while it flushes */
        }
    }
    samap_box_abandon(map);
}

static void fail_each(const box *b, enum fault_mode mode, bool is_first)
{
    size_t n = 0;
    const char *call = "";
    while (call != NULL) {
        char row[64];
        bool is_open;
        rows r;
        assert_true(++n < CALLS_MAX);
        prepare(b, &r, is_first);
        size_t num_fds = box_num_fds();
        fault_start(mode, n);
        live(b, &r, &is_open);
        call = fault_stop();
        (void)snprintf(row, sizeof(row), "call %zu, %s", n,
                       call != NULL ? call : "none");
        CHECK(row, is_open || call != NULL);
        CHECK_INT(row, box_num_fds(), num_fds);
        qcd_samap *map = samap_box_open(b);
        CHECK(row, fits(map, &r));
        qcd_samap_close(map);
    }
}

static void test_a_call_fails(void **state)
{
    fail_each(*state, FAULT_ONCE, true);
    fail_each(*state, FAULT_ONCE, false);
}

static void test_all_calls_fail_from_then_on(void **state)
{
    fail_each(*state, FAULT_FROM, true);
    fail_each(*state, FAULT_FROM, false);
}

static void test_trickle(void **state)
{
    const box *b = *state;
    for (int i = 0; i < 2; i++) {
        rows r;
        bool is_open;
        prepare(b, &r, i == 0);
        fault_start(FAULT_TRICKLE, 0);
        live(b, &r, &is_open);
        (void)fault_stop();
        assert_true(is_open);
        assert_int_equal(r.version[1], 2);
        assert_int_equal(r.version[4], 1);
        qcd_samap *map = samap_box_open(b);
        assert_true(fits(map, &r));
        qcd_samap_close(map);
    }
}

/* Killed before each call: changes that had returned are there; the one that
 * was under way may be. */
static void test_killed_before_each_call(void **state)
{
    const box *b = *state;
    bool was_killed = true;
    for (size_t n = 1; was_killed; n++) {
        int ends[2];
        rows r;
        rows told;
        rows last;
        assert_true(n < CALLS_MAX);
        prepare(b, &r, false);
        last = r;
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            fault_start(FAULT_KILL, n);
            qcd_samap *map;
            qcd_store_report report;
            (void)!samap_box_try(&map, &report, b);
            for (uint32_t step = 0; step < 12; step++) {
                try_change(map, &r, step % NUM, step % 5);
                if (write(ends[1], &r, sizeof(r)) != (ssize_t)sizeof(r) ||
                    (step % 4 == 3 && qcd_samap_flush(map, &report) != 0)) {
                    _exit(1);
                }
            }
            qcd_samap_close(map);
            _exit(0);
        }
        int status;
        (void)close(ends[1]);
        uint32_t step = 0;
        while (read(ends[0], &told, sizeof(told)) == (ssize_t)sizeof(told)) {
            last = told;
            step++;
        }
        (void)close(ends[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        was_killed = WIFSIGNALED(status);
        assert_true(was_killed || WEXITSTATUS(status) == 0);
        qcd_samap *map = samap_box_open(b);
        if (!fits(map, &last)) {
            last.version[step % NUM] = step % 5; /* it was under way */
            assert_true(step < 12 && fits(map, &last));
        }
        qcd_samap_close(map);
    }
}

/* A child that crashes has met damage; one that somebody kills has not, and a
 * signal to stop, as all processes of a service get it, doesn't end it. */
static void test_child_ends(void **state)
{
    static const struct {
        const char *name;
        int number;
        enum qcd_store_err want;
        const char *report;
    } ends[] = {
        {"crash", SIGSEGV, QCD_STORE_OK, "is damaged"},
        {"error of the disk", SIGBUS, QCD_STORE_OK, "is damaged"},
        {"abort", SIGABRT, QCD_STORE_OK, "is damaged"},
        {"out of time", SIGXCPU, QCD_STORE_OK, "is damaged"},
        {"killed", SIGKILL, QCD_STORE_ERR_SYSTEM, "a process was killed"},
        {"told to stop", SIGTERM, QCD_STORE_OK, ""},
        {"interrupted", SIGINT, QCD_STORE_OK, ""},
    };
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(ends); i++) {
        rows r;
        qcd_samap *map;
        qcd_store_report report;
        prepare(b, &r, false);
        fault_child(ends[i].number);
        CHECK_INT(ends[i].name, samap_box_try(&map, &report, b), ends[i].want);
        (void)fault_stop();
        CHECK(ends[i].name, strstr(report.text, ends[i].report));
        if (strstr(report.text, "damaged") != NULL) {
            qcd_samap_close(map);
            continue;
        }
        if (map == NULL) {
            map = samap_box_open(b);
        }
        CHECK(ends[i].name, fits(map, &r));
        qcd_samap_close(map);
    }
}

/* ---- LMDB's own calls -------------------------------------------------- */

static const struct {
    const char *name;
    int why;
    bool is_dying;
    bool is_written;
} disks[] = {
    {"full, once", ENOSPC, false, false},
    {"full", ENOSPC, true, false},
    {"an error, once", EIO, false, false},
    {"an error that has written, once", EIO, false, true},
    {"errors", EIO, true, false},
    {"errors that have written", EIO, true, true},
};

/* flush_badly lets a flush fail, with changes behind it and another one, and
 * then all be well again.  It returns whether any call has failed. */
static bool flush_badly(qcd_samap *map, rows *r, size_t disk, size_t n)
{
    qcd_store_report report;
    try_change(map, r, 1, 1);
    try_change(map, r, 3, 0);
    fault_disk_start(n, disks[disk].why, disks[disk].is_dying,
                     disks[disk].is_written);
    enum qcd_store_err err = qcd_samap_flush(map, &report);
    bool has_failed = fault_disk_stop();
    CHECK(disks[disk].name, has_failed || err == QCD_STORE_OK);
    CHECK(disks[disk].name,
          err == QCD_STORE_OK || strstr(report.text, "cannot write /"));
    CHECK(disks[disk].name, fits(map, r));
    try_change(map, r, 1, 3);
    try_change(map, r, 2, 0);
    CHECK_INT(disks[disk].name, r->version[1], 3);
    return has_failed;
}

static void test_flush_fails(void **state)
{
    const box *b = *state;
    for (size_t disk = 0; disk < NUM_ROWS(disks); disk++) {
        bool has_failed = true;
        for (size_t n = 1; has_failed; n++) {
            rows r;
            assert_true(n < 50);
            for (int then = 0; then < 3; then++) {
                prepare(b, &r, false);
                qcd_samap *map = samap_box_open(b);
                has_failed = flush_badly(map, &r, disk, n);
                if (then == 0) { /* it is flushed once more */
                    samap_box_flush(map);
                    CHECK(disks[disk].name, fits(map, &r));
                    CHECK_INT(disks[disk].name,
                              map->layers[0].overlay.num +
                                  map->layers[1].overlay.num,
                              0);
                }
                if (then == 1) { /* it is killed */
                    samap_box_abandon(map);
                } else {
                    qcd_samap_close(map);
                }
                map = samap_box_open(b);
                CHECK(disks[disk].name, fits(map, &r));
                qcd_samap_close(map);
            }
        }
    }
}

/* A map can be opened while the disk is full: what is in the journals is known
 * and stays there. */
static void test_open_with_full_disk(void **state)
{
    const box *b = *state;
    bool has_failed = true;
    for (size_t n = 1; has_failed; n++) {
        rows r;
        qcd_samap *map;
        qcd_store_report report;
        assert_true(n < 50);
        prepare(b, &r, false);
        fault_disk_start(n, ENOSPC, true, false);
        assert_int_equal(samap_box_try(&map, &report, b), QCD_STORE_OK);
        has_failed = fault_disk_stop();
        assert_int_equal(has_failed, strstr(report.text, "no space") != NULL);
        assert_true(fits(map, &r));
        samap_box_abandon(map);
        map = samap_box_open(b);
        assert_true(fits(map, &r));
        qcd_samap_close(map);
    }
}

/* What fits into memory is taken in while the disk is full, then no more; a
 * handshake doesn't try the disk again and again. */
static void test_full_for_long(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    qcd_samap_row row;
    uint32_t num = 0;
    qcd_samap *map = samap_box_open(b);
    fault_disk_start(1, ENOSPC, true, false);
    do {
        samap_box_row(&row, num++, 1);
    } while (qcd_samap_put(map, &report, &row) == QCD_STORE_OK);
    assert_int_equal(num - 1, 2 * SAMAP_OVERLAY_MAX);
    assert_non_null(strstr(report.text, "no space"));
    assert_int_equal(qcd_samap_count(map), num - 1);
    assert_int_equal(qcd_samap_put(map, &report, &row), QCD_STORE_ERR_SYSTEM);
    assert_true(samap_box_lacks(map, num - 1));
    assert_int_equal(qcd_samap_flush(map, &report), QCD_STORE_ERR_SYSTEM);
    assert_true(fault_disk_stop());
    samap_box_flush(map);
    samap_box_put(map, num - 1, 1);
    samap_box_abandon(map);
    map = samap_box_open(b);
    assert_int_equal(qcd_samap_count(map), num);
    qcd_samap_close(map);
}

static enum qcd_samap_fate drop_all(void *user, qcd_samap_row *row)
{
    (void)user;
    (void)row;
    return QCD_SAMAP_DROP;
}

static void test_walk_fails(void **state)
{
    const box *b = *state;
    bool has_failed = true;
    for (size_t n = 1; has_failed; n++) {
        rows r;
        rows none = {{0}};
        qcd_store_report report;
        assert_true(n < 50);
        prepare(b, &r, false);
        qcd_samap *map = samap_box_open(b);
        fault_disk_start(n, EIO, true, false);
        enum qcd_store_err err = qcd_samap_walk(map, &report, drop_all, NULL);
        has_failed = fault_disk_stop();
        assert_true(fits(map, err == QCD_STORE_OK ? &none : &r));
        assert_true(has_failed || err == QCD_STORE_OK);
        assert_int_equal(qcd_samap_walk(map, &report, drop_all, NULL),
                         QCD_STORE_OK);
        assert_int_equal(qcd_samap_count(map), 0);
        qcd_samap_close(map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_a_call_fails),
        BOX_TEST(test_all_calls_fail_from_then_on),
        BOX_TEST(test_trickle),
        BOX_TEST(test_killed_before_each_call),
        BOX_TEST(test_child_ends),
        BOX_TEST(test_flush_fails),
        BOX_TEST(test_open_with_full_disk),
        BOX_TEST(test_full_for_long),
        BOX_TEST(test_walk_fails),
    };

    samap_box_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fault_samap.c: the SA map when the n-th system call fails, for every n, and
 * when the process is killed before it. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_box.h"
#include "fault_sys.h"
#include "samap_box.h"

enum { CALLS_MAX = 500, NUM = 8 };

/* rows is what is known of each row: its version, 0 if there is none. */
typedef struct rows {
    uint32_t version[NUM];
} rows;

static bool is_row(qcd_samap *map, uint32_t n, uint32_t version)
{
    return version == 0 ? samap_box_lacks(map, n)
                        : samap_box_has(map, n, version);
}

/* fits checks the map with no fault injected. */
static bool fits(qcd_samap *map, const rows *r)
{
    bool is_fit = true;
    size_t count = 0;
    fault_hold(true);
    for (uint32_t n = 0; n < NUM; n++) {
        is_fit = is_fit && is_row(map, n, r->version[n]);
        count += r->version[n] != 0;
    }
    is_fit = is_fit && qcd_samap_count(map) == count;
    fault_hold(false);
    return is_fit;
}

/* try_change gives row `n` version `v`, and notes it on success.  On error
 * nothing is changed. */
static void try_change(qcd_samap *map, rows *r, uint32_t n, uint32_t v)
{
    qcd_samap_row row;
    qcd_store_report report;
    bool removed;
    samap_box_row(&row, n, v != 0 ? v : r->version[n]);
    enum qcd_store_err err =
        v != 0 ? qcd_samap_put(map, &report, &row)
               : qcd_samap_remove(map, &report, &removed, &row);
    if (err == QCD_STORE_OK && (v != 0 || removed)) {
        r->version[n] = v;
    }
    if (err != QCD_STORE_OK) {
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

/* prepare makes a folder with rows in the map, or without. */
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
        /* What can't be read in one call is read slot by slot. */
        CHECK(row, is_open || mode == FAULT_FROM || strcmp(call, "read") != 0);
        CHECK_INT(row, box_num_fds(), num_fds);
        qcd_samap *map;
        qcd_store_report report;
        CHECK_INT(row, samap_box_try(&map, &report, b), QCD_STORE_OK);
        /* A dying disk may keep half of a slot. */
        CHECK(row, report.text[0] == '\0' ||
                       (mode == FAULT_FROM && strstr(report.text, "damaged")));
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

/* Killed before each call: changes that had returned are in the map.  The one
 * that was in progress may be. */
static void test_killed_before_each_call(void **state)
{
    const box *b = *state;
    bool goes_on = true;
    for (size_t n = 1; goes_on; n++) {
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
        (void)close(ends[1]);
        uint32_t step = 0;
        while (read(ends[0], &told, sizeof(told)) == (ssize_t)sizeof(told)) {
            last = told;
            step++;
        }
        (void)close(ends[0]);
        goes_on = was_killed(pid);
        qcd_samap *map = samap_box_open(b);
        if (!fits(map, &last)) {
            last.version[step % NUM] = step % 5; /* it was in progress */
            assert_true(step < 12 && fits(map, &last));
        }
        qcd_samap_close(map);
    }
}

/* On a full disk the file can't grow: rows that replace others are accepted
 * nevertheless, and new ones once there is space. */
static void test_full(void **state)
{
    const box *b = *state;
    rows r;
    prepare(b, &r, false);
    qcd_samap *map = samap_box_open(b);
    for (int i = 0; i < 3; i++) {
        qcd_store_report report;
        qcd_samap_row row;
        samap_box_row(&row, 1, 1);
        fault_start(FAULT_ONCE, 2); /* after a read */
        assert_int_equal(qcd_samap_put(map, &report, &row),
                         QCD_STORE_ERR_SYSTEM);
        assert_string_equal(fault_stop(), "write");
        assert_non_null(strstr(report.text, "no space"));
        assert_true(fits(map, &r));
    }
    try_change(map, &r, 2, 8);
    assert_int_equal(r.version[2], 8);
    samap_box_abandon(map);
    map = samap_box_open(b);
    assert_true(fits(map, &r));
    try_change(map, &r, 1, 1);
    assert_int_equal(r.version[1], 1);
    qcd_samap_close(map);
}

/* If the disk can't write a slot, the row goes into another one. */
static void test_broken_slot(void **state)
{
    const box *b = *state;
    rows r;
    prepare(b, &r, false);
    qcd_samap *map = samap_box_open(b);
    fault_write_with(EIO);
    for (uint32_t n = 1; n <= 2; n++) { /* a new row, and a new version */
        fault_start(FAULT_ONCE, 2);     /* after a read */
        try_change(map, &r, n, 8);
        assert_string_equal(fault_stop(), "write");
        assert_int_equal(r.version[n], 8);
    }
    fault_start(FAULT_FROM, 2);
    try_change(map, &r, 3, 8);
    assert_string_equal(fault_stop(), "write");
    assert_int_equal(r.version[3], 7);
    fault_write_with(ENOSPC);
    samap_box_abandon(map);
    map = samap_box_open(b);
    assert_true(fits(map, &r));
    qcd_samap_close(map);
}

/* The next flush makes up for one that failed. */
static void test_flush_fails(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    qcd_samap *map = samap_box_open(b);
    samap_box_put(map, 1, 1);
    for (int i = 0; i < 2; i++) {
        static const char *const calls[] = {"fstat", "fstatat", "fdatasync"};
        for (size_t n = 0; n < 3; n++) {
            fault_start(FAULT_ONCE, n + 1);
            assert_int_equal(qcd_samap_flush(map, &report),
                             QCD_STORE_ERR_SYSTEM);
            assert_string_equal(fault_stop(), calls[n]);
            assert_non_null(strstr(report.text, "cannot write /"));
            assert_true(map->is_dirty);
        }
    }
    samap_box_flush(map);
    assert_false(map->is_dirty);
    fault_start(FAULT_ONCE, 3);
    samap_box_flush(map); /* there is nothing to make durable */
    assert_null(fault_stop());
    qcd_samap_close(map);
}

/* is_in_place tells whether the file of the map that is open has its name. */
static bool is_in_place(const qcd_samap *map)
{
    struct stat ours;
    struct stat named;
    return fstat(map->fd, &ours) == 0 &&
           fstatat(map->dir.fd, "samap", &named, 0) == 0 &&
           ours.st_ino == named.st_ino;
}

/* The file is removed while it is in use, and a call fails while it is written
 * again: no row is lost, and the next flush succeeds. */
static void test_writing_again_fails(void **state)
{
    const box *b = *state;
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        rows r;
        qcd_store_report report;
        assert_true(n < 50);
        prepare(b, &r, false);
        qcd_samap *map = samap_box_open(b);
        size_t num_fds = box_num_fds();
        assert_int_equal(unlinkat(map->dir.fd, "samap", 0), 0);
        fault_start(FAULT_ONCE, n);
        enum qcd_store_err err = qcd_samap_flush(map, &report);
        call = fault_stop();
        assert_true(err == QCD_STORE_OK || call != NULL);
        assert_non_null(
            strstr(report.text, err == QCD_STORE_OK
                                    ? "was removed or replaced while it was in "
                                    : "cannot "));
        assert_int_equal(box_num_fds(), num_fds);
        assert_true(err != QCD_STORE_OK || is_in_place(map));
        assert_true(fits(map, &r));
        try_change(map, &r, 1, 1);
        try_change(map, &r, 2, 0);
        assert_int_equal(qcd_samap_flush(map, &report), QCD_STORE_OK);
        samap_box_abandon(map);
        map = samap_box_open(b);
        assert_true(fits(map, &r));
        qcd_samap_close(map);
    }
}

/* spoil makes the map useless: it has lost all its octets, or is of a newer
 * version. */
static void spoil(const box *b, bool is_emptied)
{
    char path[BOX_PATH_MAX];
    uint8_t head[SAMAP_SLOT_LEN];
    box_path(path, b, "samap");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    samap_head_encode(head, SAMAP_VERSION + 1);
    assert_int_equal(is_emptied ? ftruncate(fd, 0)
                                : pwrite(fd, head, sizeof(head), 0),
                     is_emptied ? 0 : SAMAP_SLOT_LEN);
    assert_int_equal(close(fd), 0);
}

/* tell_size returns the size of a file in the folder, or -1 if there is none.
 */
static off_t tell_size(const box *b, const char *name)
{
    char path[BOX_PATH_MAX];
    struct stat st;
    box_path(path, b, name);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* A useless map is replaced by one without rows.  If a call fails, the next
 * start does that, and what was set aside is never lost. */
static void replace_each(const box *b, enum fault_mode mode, bool is_emptied)
{
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        char row[64];
        rows r;
        qcd_samap *map;
        qcd_store_report report;
        assert_true(n < CALLS_MAX);
        prepare(b, &r, false);
        spoil(b, is_emptied);
        off_t size = tell_size(b, "samap");
        size_t num_fds = box_num_fds();
        fault_start(mode, n);
        enum qcd_store_err err = samap_box_try(&map, &report, b);
        call = fault_stop();
        (void)snprintf(row, sizeof(row), "call %zu, %s", n,
                       call != NULL ? call : "none");
        CHECK(row, report.text[0] != '\0');
        if (err != QCD_STORE_OK) {
            CHECK(row, call != NULL);
            CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
            CHECK(row, map == NULL && strncmp(report.text, "cannot ", 7) == 0);
            CHECK_INT(row, box_num_fds(), num_fds);
            CHECK_INT(row, samap_box_try(&map, &report, b), QCD_STORE_OK);
        }
        CHECK_INT(row, qcd_samap_count(map), 0);
        samap_box_put(map, 1, 1);
        qcd_samap_close(map);
        map = samap_box_open(b);
        CHECK(row, samap_box_has(map, 1, 1) && qcd_samap_count(map) == 1);
        qcd_samap_close(map);
        CHECK(row, is_emptied || tell_size(b, "samap.damaged") == size);
    }
}

static void test_useless_map_fails(void **state)
{
    static const enum fault_mode modes[] = {FAULT_ONCE, FAULT_FROM};
    for (size_t i = 0; i < NUM_ROWS(modes); i++) {
        replace_each(*state, modes[i], true);
        replace_each(*state, modes[i], false);
    }
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
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        rows r;
        qcd_store_report report;
        assert_true(n < 50);
        prepare(b, &r, false);
        qcd_samap *map = samap_box_open(b);
        fault_start(FAULT_ONCE, n);
        enum qcd_store_err err = qcd_samap_walk(map, &report, drop_all, NULL);
        call = fault_stop();
        /* What can't be read in one call is read slot by slot. */
        bool is_read_again = call != NULL && strcmp(call, "read") == 0;
        assert_true(err == QCD_STORE_ERR_SYSTEM ||
                    (err == QCD_STORE_OK && (call == NULL || is_read_again)));
        assert_true(err == QCD_STORE_OK || report.text[0] != '\0');
        for (uint32_t i = 0; i < NUM; i++) {
            assert_true(samap_box_lacks(map, i) ||
                        samap_box_has(map, i, r.version[i]));
        }
        assert_int_equal(qcd_samap_walk(map, &report, drop_all, NULL),
                         QCD_STORE_OK);
        assert_int_equal(qcd_samap_count(map), 0);
        qcd_samap_close(map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_a_call_fails),
        FAULT_TEST(test_all_calls_fail_from_then_on),
        BOX_TEST(test_trickle),
        BOX_TEST(test_killed_before_each_call),
        BOX_TEST(test_full),
        BOX_TEST(test_broken_slot),
        BOX_TEST(test_flush_fails),
        FAULT_TEST(test_writing_again_fails),
        FAULT_TEST(test_useless_map_fails),
        FAULT_TEST(test_walk_fails),
    };

    samap_box_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

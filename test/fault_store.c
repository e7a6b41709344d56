/* SPDX-License-Identifier: Apache-2.0 */
/* fault_store.c: the store when the n-th system call fails, for every n, and
 * when the process is killed before it. */
#include "test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_box.h"
#include "fault_sys.h"
#include "store_box.h"
#include <qcd/store.h>

/* More than any start makes. */
#define CALLS_MAX 500

/* What a start finds in the folder. */
enum found {
    NOTHING,
    OLD_RUN,
    OLD_VERSION,
    RUN_LOST,
    RUN_DAMAGED_BY,
    RUN_LAST,
    COPIED,
    SECRETS_DAMAGED
};

#define WRITE_RUN "make run.tmp, write, sync file, rename run, sync folder, "
#define WRITE_SECRETS                                                          \
    "make secrets.tmp, write, sync file, rename secrets, sync folder, "
#define SET_ASIDE "rename secrets.old, rename run.old, "

/* `aside` is the name under which the secrets are set aside, NULL if none. */
static const struct scene {
    const char *name;
    enum found found;
    const char *aside;
    const char *trace;
} scenes[] = {
    {"first start", NOTHING, NULL,
     "make a folder, sync folder, write, " WRITE_RUN WRITE_SECRETS},
    {"next start", OLD_RUN, NULL, "write, " WRITE_RUN},
    {"earlier version", OLD_VERSION, NULL, "write, " WRITE_RUN},
    {"run lost", RUN_LOST, "secrets.old",
     "write, " SET_ASIDE WRITE_RUN WRITE_SECRETS},
    {"run damaged", RUN_DAMAGED_BY, "secrets.old",
     "write, " SET_ASIDE WRITE_RUN WRITE_SECRETS},
    {"last run", RUN_LAST, "secrets.old",
     "write, " SET_ASIDE WRITE_RUN WRITE_SECRETS},
    {"copied", COPIED, "secrets.old",
     "write, " SET_ASIDE WRITE_RUN WRITE_SECRETS},
    {"secrets damaged", SECRETS_DAMAGED, "secrets.damaged",
     "write, rename secrets.damaged, " WRITE_RUN WRITE_SECRETS},
};

/* history is what was in use before, and must not be used again. */
typedef struct history {
    bool had_secrets;
    bool is_run_known;
    const char *aside;
    uint16_t run;
    qcd_secrets secrets;
    box_image secrets_file;
    size_t num_fds;
} history;

static void remember(history *out, const qcd_store *store)
{
    out->had_secrets = true;
    out->is_run_known = true;
    out->secrets = *qcd_store_secrets(store);
    out->run = qcd_store_run(store);
}

/* harm flips a bit of a file. */
static void harm(const box *b, const char *name)
{
    box_image image;
    box_save(&image, b, name);
    image.octets[image.len / 2] ^= 1;
    box_restore(b, name, &image);
}

/* change makes the changes of the scene to the files. */
static void change(const box *b, enum found found)
{
    switch (found) {
    case OLD_VERSION:
        box_make_old(b, &box_machine);
        break;
    case RUN_LOST:
        box_remove(b, "run");
        break;
    case RUN_DAMAGED_BY:
        harm(b, "run");
        break;
    case RUN_LAST:
        box_put_run(b, 65535);
        break;
    case COPIED:
        box_copy(b, "run");
        break;
    case SECRETS_DAMAGED:
        harm(b, "secrets");
        break;
    case NOTHING:
    case OLD_RUN:
        break;
    }
}

static void prepare(history *out, const box *b, const struct scene *scene)
{
    box_clear(b);
    memset(out, 0, sizeof(*out));
    if (scene->found != NOTHING) {
        qcd_store *store = box_open(b, scene->name);
        remember(out, store);
        qcd_store_close(store);
        out->is_run_known = scene->aside == NULL;
        change(b, scene->found);
    }
    out->aside = scene->aside;
    box_save(&out->secrets_file, b, "secrets");
    out->num_fds = box_num_fds();
}

/* is_strong tells whether both halves of a secret have been filled. */
static bool is_strong(const uint8_t *secret, size_t len)
{
    static const uint8_t zero[QCD_SECRET_LEN];

    assert_true(len / 2 <= sizeof(zero));
    return memcmp(secret, zero, len / 2) != 0 &&
           memcmp(secret + len / 2, zero, len / 2) != 0;
}

/* check_store checks that an open store fits the past: the secrets are kept if
 * they may be, and no run of a key is used again. */
static void check_store(const qcd_store *store, const char *row,
                        const history *past)
{
    const qcd_secrets *now = qcd_store_secrets(store);
    CHECK_INT(row, now->num_generations, 1);
    CHECK(row, qcd_store_run(store) != 0);
    CHECK(row, is_strong(now->seal_key, sizeof(now->seal_key)));
    CHECK(row, is_strong(now->generations[0].octets,
                         sizeof(now->generations[0].octets)));
    if (!past->had_secrets) {
        return;
    }
    bool same_secret = memcmp(now->generations, past->secrets.generations,
                              sizeof(now->generations)) == 0;
    bool same_key =
        memcmp(now->seal_key, past->secrets.seal_key, QCD_SEAL_KEY_LEN) == 0;
    CHECK_INT(row, same_key, past->is_run_known);
    CHECK_INT(row, same_secret, past->is_run_known);
    CHECK(row, !same_key || qcd_store_run(store) > past->run);
}

static bool is_there(const box *b, const char *name)
{
    box_image image;
    box_save(&image, b, name);
    return image.is_there;
}

/* check_next_start checks that the folder can be opened after what happened,
 * that nothing is left over, and that former content is kept. */
static void check_next_start(const box *b, const char *row, const history *past)
{
    qcd_store *store = box_open(b, row);
    check_store(store, row, past);
    qcd_store_close(store);
    CHECK(row, is_there(b, "lock") && is_there(b, "run"));
    CHECK(row, is_there(b, "secrets"));
    CHECK(row, !is_there(b, "run.tmp") && !is_there(b, "secrets.tmp"));
    CHECK(row, past->aside == NULL ||
                   box_is_same(b, past->aside, &past->secrets_file));
}

/* check_error checks what every error guarantees. */
static void check_error(const box *b, const char *row, const char *call,
                        enum qcd_store_err err, const qcd_store *store,
                        const qcd_store_report *report, const history *past)
{
    CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
    CHECK(row, store == NULL);
    CHECK(row, strncmp(report->text, "cannot ", 7) == 0);
    CHECK(row, strstr(report->text, " /")); /* the file, or a parent of it */
    /* What existed still exists, under one name or the other.  Only the step
     * that makes the last rename durable comes after it. */
    CHECK(row, box_is_same(b, "secrets", &past->secrets_file) ||
                   strcmp(call, "fsync") == 0 ||
                   (past->aside != NULL &&
                    box_is_same(b, past->aside, &past->secrets_file)));
}

static void fail_each(const box *b, const struct scene *scene,
                      enum fault_mode mode)
{
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        char row[64];
        history past;
        qcd_store *store;
        qcd_store_report report;
        prepare(&past, b, scene);
        CHECK(scene->name, n < CALLS_MAX);
        fault_start(mode, n);
        enum qcd_store_err err = box_try(&store, &report, b);
        call = fault_stop();
        (void)snprintf(row, sizeof(row), "%s, call %zu: %s", scene->name, n,
                       call != NULL ? call : "none");
        if (err != QCD_STORE_OK) {
            CHECK(row, call != NULL);
            check_error(b, row, call, err, store, &report, &past);
        } else {
            /* What was read is valid: a late error does not matter.  Nor does
             * the type of the file system, nor the second lock. */
            CHECK(row, call == NULL || strcmp(call, "close") == 0 ||
                           strcmp(call, "fstatfs") == 0 ||
                           strcmp(call, "flock folder") == 0);
            check_store(store, row, &past);
            past.aside = NULL; /* the next start is not affected by it */
            remember(&past, store);
            qcd_store_close(store);
        }
        CHECK_INT(row, box_num_fds(), past.num_fds);
        if (mode == FAULT_ONCE) {
            CHECK(row, !is_there(b, "run.tmp"));
            CHECK(row, !is_there(b, "secrets.tmp"));
        }
        check_next_start(b, row, &past);
    }
}

static void test_one_call_fails(void **state)
{
    for (size_t i = 0; i < NUM_ROWS(scenes); i++) {
        fail_each(*state, &scenes[i], FAULT_ONCE);
    }
}

static void test_all_calls_fail_from_one_on(void **state)
{
    for (size_t i = 0; i < NUM_ROWS(scenes); i++) {
        fail_each(*state, &scenes[i], FAULT_FROM);
    }
}

/* What old container runtimes do to calls that they don't know. */
static const int refusals[] = {ENOSYS, EPERM};

/* start opens the folder, and tells whether its files were taken for a copy. */
static bool start(const box *b, const char *row)
{
    qcd_store *store = box_open(b, row);
    bool is_copy = qcd_store_run(store) == 1;
    qcd_store_close(store);
    CHECK_INT(row, is_there(b, "secrets.old"), is_copy);
    box_remove(b, "secrets.old");
    return is_copy;
}

static bool has_time(const box *b)
{
    run_record record;
    box_image image;
    keyfile_body body;
    box_run(&record, b);
    box_save(&image, b, "run");
    assert_int_equal(keyfile_decode(&body, &run_kind, image.octets, image.len),
                     QCD_STORE_OK);
    return body.octets[8] != 0;
}

/* Without statx() the inode alone tells a copy.  A file whose birth has a time
 * is then taken for a copy, which costs its secrets and shows no token. */
static void test_statx_refused(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(refusals); i++) {
        const char *row = strerrorname_np(refusals[i]);
        box_clear(b);
        fault_refuse_statx(refusals[i]);
        qcd_store_close(box_open(b, row));
        CHECK(row, !has_time(b));
        CHECK(row, !start(b, row));
        box_copy(b, "run");
        CHECK(row, start(b, row));
        CHECK(row, !start(b, row));
        fault_refuse_statx(0);
        CHECK(row, !start(b, row)); /* now with a time, if there are any */
        bool is_told_apart = has_time(b);
        fault_refuse_statx(refusals[i]);
        CHECK_INT(row, start(b, row), is_told_apart);
        fault_refuse_statx(0);
        box_copy(b, "run");
        CHECK(row, start(b, row));
    }
}

static void test_a_call_fails_without_statx(void **state)
{
    fault_refuse_statx(ENOSYS);
    for (size_t i = 0; i < NUM_ROWS(scenes); i++) {
        fail_each(*state, &scenes[i], FAULT_ONCE);
    }
    fault_refuse_statx(0);
}

static void put(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A product that can't be read is hidden: it is not compared. */
static void test_identity_fails(void **state)
{
    const box *b = *state;
    char machine[BOX_PATH_MAX + 16];
    char product[BOX_PATH_MAX + 16];
    const char *call = "";
    size_t num_refused = 0;
    (void)snprintf(machine, sizeof(machine), "%s/machine", b->root);
    (void)snprintf(product, sizeof(product), "%s/product", b->root);
    put(machine, "machine\n");
    put(product, "product\n");
    for (size_t n = 1; call != NULL; n++) {
        qcd_store_identity identity;
        qcd_store_report report;
        size_t num_fds = box_num_fds();
        dirty(&identity, sizeof(identity));
        fault_start(FAULT_ONCE, n);
        enum qcd_store_err err =
            qcd_store_identity_read(&identity, &report, machine, product);
        call = fault_stop();
        const char *row = call != NULL ? call : "none";
        CHECK_INT(row, box_num_fds(), num_fds);
        if (err != QCD_STORE_OK) {
            num_refused++;
            CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
            CHECK(row, strstr(report.text, machine));
            CHECK_ZERO(row, identity);
            continue;
        }
        CHECK(row, report.text[0] == '\0');
        CHECK_INT(row, identity.len, strlen("machine"));
        CHECK_INT(row, identity.product_len,
                  identity.is_product_hidden ? 0 : strlen("product"));
        CHECK(row, !identity.is_product_hidden || call != NULL);
    }
    assert_int_equal(num_refused, 4); /* open, fstat, and two reads */
}

static const enum fault_mode modes[] = {FAULT_ONCE, FAULT_FROM};

/* check_left checks that a failed call has left nothing behind, if the disk did
 * not refuse to remove it. */
static void check_left(const box *b, const char *row, enum fault_mode mode)
{
    CHECK(row, mode == FAULT_FROM || box_holds(b, "lock run secrets "));
    CHECK(row, is_there(b, "run") && is_there(b, "secrets"));
}

static void fail_next_run(const box *b, enum fault_mode mode)
{
    box_clear(b);
    qcd_store *store = box_open(b, "first");
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        qcd_store_report report;
        uint16_t run = qcd_store_run(store);
        size_t num_fds = box_num_fds();
        fault_start(mode, n);
        enum qcd_store_err err = qcd_store_next_run(store, &report);
        call = fault_stop();
        if (call == NULL) {
            assert_int_equal(err, QCD_STORE_OK);
            assert_int_equal(qcd_store_run(store), run + 1);
            break;
        }
        CHECK_INT(call, err, QCD_STORE_ERR_SYSTEM);
        CHECK(call, strstr(report.text, b->root));
        CHECK_INT(call, qcd_store_run(store), run);
        CHECK_INT(call, box_num_fds(), num_fds);
        check_left(b, call, mode);
        CHECK_INT(call, qcd_store_next_run(store, &report), QCD_STORE_OK);
        CHECK_INT(call, qcd_store_run(store), run + 1);
        CHECK(call, box_holds(b, "lock run secrets "));
    }
    qcd_store_close(store);
}

static void test_next_run_fails(void **state)
{
    for (size_t i = 0; i < NUM_ROWS(modes); i++) {
        fail_next_run(*state, modes[i]);
    }
}

/* Killed at any time: the next start has a run that nobody has used. */
static void test_next_run_killed(void **state)
{
    const box *b = *state;
    bool goes_on = true;
    for (size_t n = 1; goes_on; n++) {
        box_clear(b);
        qcd_store *store = box_open(b, "first");
        qcd_secrets before = *qcd_store_secrets(store);
        qcd_store_report report;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            fault_start(FAULT_KILL, n);
            _exit(qcd_store_next_run(store, &report) == QCD_STORE_OK ? 0 : 1);
        }
        goes_on = was_killed(pid);
        qcd_store_close(store);
        store = box_open(b, "after it");
        assert_in_range(qcd_store_run(store), goes_on ? 2 : 3, 3);
        assert_memory_equal(qcd_store_secrets(store), &before, sizeof(before));
        qcd_store_close(store);
        assert_true(box_holds(b, "lock run secrets "));
    }
}

/* check_rotated checks that only the newest secret is a different one. */
static void check_rotated(const char *row, const qcd_secrets *now,
                          const qcd_secrets *before)
{
    CHECK_INT(row, now->num_generations, before->num_generations + 1);
    CHECK(row, is_strong(now->generations[0].octets,
                         sizeof(now->generations[0].octets)));
    CHECK_OCTETS(row, &now->generations[1], before->generations,
                 QCD_SECRET_LEN);
    CHECK_OCTETS(row, now->seal_key, before->seal_key, QCD_SEAL_KEY_LEN);
}

static void fail_rotate(const box *b, enum fault_mode mode)
{
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        box_clear(b);
        qcd_store *store = box_open(b, "first");
        qcd_secrets before = *qcd_store_secrets(store);
        qcd_store_report report;
        size_t num_fds = box_num_fds();
        fault_start(mode, n);
        enum qcd_store_err err = qcd_store_rotate(store, &report, BOX_NOW + 1);
        call = fault_stop();
        const char *row = call != NULL ? call : "none";
        if (call != NULL) {
            CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
            CHECK(row, strstr(report.text, b->root));
            CHECK_OCTETS(row, qcd_store_secrets(store), &before,
                         sizeof(before));
            CHECK_INT(row, box_num_fds(), num_fds);
            check_left(b, row, mode);
            CHECK_INT(row, qcd_store_rotate(store, &report, BOX_NOW + 2),
                      QCD_STORE_OK);
        }
        check_rotated(row, qcd_store_secrets(store), &before);
        before = *qcd_store_secrets(store);
        qcd_store_close(store);
        store = box_open(b, row);
        CHECK_OCTETS(row, qcd_store_secrets(store), &before, sizeof(before));
        qcd_store_close(store);
    }
}

static void test_rotate_fails(void **state)
{
    for (size_t i = 0; i < NUM_ROWS(modes); i++) {
        fail_rotate(*state, modes[i]);
    }
}

/* Killed at any time: the old secrets, or the new one before them. */
static void test_rotate_killed(void **state)
{
    const box *b = *state;
    for (size_t n = 1;; n++) {
        qcd_store *store = box_open(b, "first");
        qcd_secrets before = *qcd_store_secrets(store);
        qcd_store_report report;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            fault_start(FAULT_KILL, n);
            _exit(qcd_store_rotate(store, &report, BOX_NOW + 1) == 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        qcd_store_close(store);
        store = box_open(b, "after it");
        const qcd_secrets *now = qcd_store_secrets(store);
        if (now->num_generations != 1) {
            check_rotated("killed", now, &before);
        } else {
            assert_true(WIFSIGNALED(status));
            assert_memory_equal(now, &before, sizeof(before));
        }
        qcd_store_close(store);
        assert_true(box_holds(b, "lock run secrets "));
        box_clear(b);
        if (!WIFSIGNALED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            break;
        }
    }
}

static void fail_adopt(const box *b, enum fault_mode mode)
{
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        box_clear(b);
        qcd_store_close(box_open(b, "first"));
        box_copy(b, "run");
        box_image before;
        qcd_store_report report;
        size_t num_fds = box_num_fds();
        box_save(&before, b, "run");
        fault_start(mode, n);
        enum qcd_store_err err =
            qcd_store_adopt(&report, b->folder, &box_machine);
        call = fault_stop();
        const char *row = call != NULL ? call : "none";
        CHECK_INT(row, box_num_fds(), num_fds);
        check_left(b, row, mode);
        if (err != QCD_STORE_OK) {
            CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
            CHECK(row,
                  box_is_same(b, "run", &before) || strcmp(row, "fsync") == 0);
            CHECK_INT(row, qcd_store_adopt(&report, b->folder, &box_machine),
                      QCD_STORE_OK);
        } else {
            CHECK(row, call == NULL || strcmp(call, "close") == 0 ||
                           strcmp(call, "flock folder") == 0);
        }
        qcd_store *store = box_open(b, row);
        CHECK_INT(row, qcd_store_run(store), 2);
        qcd_store_close(store);
    }
}

static void test_adopt_fails(void **state)
{
    for (size_t i = 0; i < NUM_ROWS(modes); i++) {
        fail_adopt(*state, modes[i]);
    }
}

/* Killed at any time: still a copy, or adopted. */
static void test_adopt_killed(void **state)
{
    const box *b = *state;
    for (size_t n = 1;; n++) {
        qcd_store_report report;
        qcd_secrets before;
        box_clear(b);
        qcd_store_close(box_open(b, "first"));
        box_copy(b, "run");
        box_secrets(&before, b);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            fault_start(FAULT_KILL, n);
            _exit(qcd_store_adopt(&report, b->folder, &box_machine) == 0 ? 0
                                                                         : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        qcd_store *store = box_open(b, "after it");
        const qcd_secrets *now = qcd_store_secrets(store);
        bool same_key =
            memcmp(now->seal_key, before.seal_key, QCD_SEAL_KEY_LEN) == 0;
        assert_int_equal(qcd_store_run(store), same_key ? 2 : 1);
        qcd_store_close(store);
        if (!WIFSIGNALED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            assert_true(same_key);
            break;
        }
    }
}

/* share makes secrets that other folders can import. */
static void share(qcd_secrets *out, const box *b)
{
    qcd_store_report report;
    qcd_store_close(box_open(b, "first"));
    assert_int_equal(qcd_store_share(out, &report, b->folder, &box_machine),
                     QCD_STORE_OK);
}

static enum qcd_store_err import(const box *b, const qcd_secrets *shared)
{
    qcd_store_report report;
    return qcd_store_import(&report, b->folder, shared, &box_machine);
}

/* check_imported checks that a node can use the secrets of the folder. */
static void check_imported(const box *b, const char *row)
{
    qcd_store *store;
    qcd_store_report report;
    CHECK_INT(row, box_open_as(&store, &report, b, &box_machine, BOX_NODE + 1),
              QCD_STORE_OK);
    CHECK(row, report.text[0] == '\0'); /* the key is kept */
    qcd_store_close(store);
    CHECK(row, box_holds(b, "lock run secrets "));
}

static void fail_import(const box *b, const qcd_secrets *shared,
                        enum fault_mode mode, bool is_again)
{
    const char *call = "";
    for (size_t n = 1; call != NULL; n++) {
        box_clear(b);
        if (is_again) {
            assert_int_equal(import(b, shared), QCD_STORE_OK);
        }
        size_t num_fds = box_num_fds();
        fault_start(mode, n);
        enum qcd_store_err err = import(b, shared);
        call = fault_stop();
        const char *row = call != NULL ? call : "none";
        CHECK_INT(row, box_num_fds(), num_fds);
        if (err != QCD_STORE_OK) {
            CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
            CHECK_INT(row, import(b, shared), QCD_STORE_OK);
        }
        check_imported(b, row);
    }
}

/* Import makes a folder and two files, or renews one. */
static void test_import_fails(void **state)
{
    qcd_secrets shared;
    share(&shared, *state);
    for (size_t i = 0; i < NUM_ROWS(modes); i++) {
        fail_import(*state, &shared, modes[i], false);
        fail_import(*state, &shared, modes[i], true);
    }
}

/* Killed at any time: it can be done again. */
static void test_import_killed(void **state)
{
    const box *b = *state;
    qcd_secrets shared;
    share(&shared, b);
    for (int is_again = 0; is_again < 2; is_again++) {
        bool goes_on = true;
        for (size_t n = 1; goes_on; n++) {
            box_clear(b);
            if (is_again) {
                assert_int_equal(import(b, &shared), QCD_STORE_OK);
            }
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0) {
                fault_start(FAULT_KILL, n);
                _exit(import(b, &shared) == QCD_STORE_OK ? 0 : 1);
            }
            goes_on = was_killed(pid);
            if (goes_on) {
                assert_int_equal(import(b, &shared), QCD_STORE_OK);
            }
            check_imported(b, goes_on ? "killed" : "not killed");
        }
    }
}

static void test_peek_fails(void **state)
{
    const box *b = *state;
    const char *call = "";
    qcd_store_close(box_open(b, "first"));
    for (size_t n = 1; call != NULL; n++) {
        qcd_secrets seen;
        qcd_store_report report;
        size_t num_fds = box_num_fds();
        dirty(&seen, sizeof(seen));
        fault_start(FAULT_ONCE, n);
        enum qcd_store_err err =
            qcd_store_share(&seen, &report, b->folder, &box_machine);
        call = fault_stop();
        const char *row = call != NULL ? call : "none";
        CHECK_INT(row, box_num_fds(), num_fds);
        if (err != QCD_STORE_OK) {
            CHECK_INT(row, err, QCD_STORE_ERR_SYSTEM);
            CHECK_ZERO(row, seen);
        } else {
            CHECK(row, call == NULL || strcmp(call, "close") == 0);
        }
    }
}

static void test_short_transfers_and_signals(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(scenes); i++) {
        history past;
        prepare(&past, b, &scenes[i]);
        fault_start(FAULT_TRICKLE, 0);
        qcd_store *store = box_open(b, scenes[i].name);
        check_store(store, scenes[i].name, &past);
        remember(&past, store);
        qcd_store_close(store);
        assert_null(fault_stop());
        CHECK_INT(scenes[i].name, box_num_fds(), past.num_fds);
        check_next_start(b, scenes[i].name, &past);
    }
}

/* Each file is durable before it gets its name, each name is durable before the
 * next file, and the run of a new key before that key. */
static void test_order_of_writes(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(scenes); i++) {
        history past;
        prepare(&past, b, &scenes[i]);
        fault_start(FAULT_OFF, 0);
        qcd_store *store = box_open(b, scenes[i].name);
        if (strcmp(fault_trace(), scenes[i].trace) != 0) {
            fail_msg("row '%s': %s", scenes[i].name, fault_trace());
        }
        qcd_store_close(store);
    }
}

/* die_at opens the folder in a process that is killed before its n-th call, and
 * tells whether it was killed. */
static bool die_at(const box *b, size_t n)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        qcd_store *store;
        qcd_store_report report;
        fault_start(FAULT_KILL, n);
        enum qcd_store_err err = box_try(&store, &report, b);
        _exit(err == QCD_STORE_OK ? 0 : 1);
    }
    return was_killed(pid);
}

static void test_killed_before_each_call(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(scenes); i++) {
        for (size_t n = 1;; n++) {
            char row[64];
            history past;
            prepare(&past, b, &scenes[i]);
            CHECK(scenes[i].name, n < CALLS_MAX);
            if (!die_at(b, n)) {
                break;
            }
            (void)snprintf(row, sizeof(row), "%s, call %zu", scenes[i].name, n);
            check_next_start(b, row, &past);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_one_call_fails),
        FAULT_TEST(test_all_calls_fail_from_one_on),
        BOX_TEST(test_statx_refused),
        BOX_TEST(test_a_call_fails_without_statx),
        BOX_TEST(test_identity_fails),
        FAULT_TEST(test_next_run_fails),
        FAULT_TEST(test_rotate_fails),
        BOX_TEST(test_next_run_killed),
        BOX_TEST(test_rotate_killed),
        FAULT_TEST(test_adopt_fails),
        BOX_TEST(test_adopt_killed),
        FAULT_TEST(test_import_fails),
        BOX_TEST(test_import_killed),
        BOX_TEST(test_peek_fails),
        BOX_TEST(test_short_transfers_and_signals),
        BOX_TEST(test_order_of_writes),
        BOX_TEST(test_killed_before_each_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_store_user.c: src/store/store.c if another user than root uses the
 * files. */
#include "test.h"

#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_box.h"
#include <qcd/store.h>

static uint32_t owner_of(const box *b, const char *name)
{
    struct stat st;
    char path[BOX_PATH_MAX];
    box_path(path, b, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_uid;
}

static void check_owner(const box *b, const char *row, uint32_t want)
{
    static const char *const names[] = {".", "lock", "run", "secrets"};
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        CHECK_INT(row, owner_of(b, names[i]), want);
    }
}

static enum qcd_store_err open_for(qcd_store **out, qcd_store_report *report,
                                   const box *b, uint32_t uid)
{
    const qcd_store_user user = {.uid = uid, .gid = uid};
    const qcd_store_settings settings = {.path = b->folder,
                                         .identity = &box_machine,
                                         .user = &user,
                                         .node = BOX_NODE};
    return qcd_store_open(out, report, &settings, BOX_NOW);
}

/* Like charon: opened by root, used by another user.  It runs in a separate
 * process, since a process can't become root again. */
static void use_as(qcd_store *store, uint32_t uid)
{
    qcd_store_report report = {""};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool is_good =
            setgroups(0, NULL) == 0 && setgid(uid) == 0 && setuid(uid) == 0 &&
            qcd_store_next_run(store, &report) == QCD_STORE_OK &&
            qcd_store_rotate(store, &report, BOX_NOW + 1) == QCD_STORE_OK;
        if (!is_good) {
            (void)fprintf(stderr, "%s\n", report.text);
        }
        _exit(is_good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* What exists before another user takes it over. */
enum before { NO_FOLDER, EMPTY_OF_ROOT, EMPTY_OF_USER, USED_BY_ROOT };

static void test_of_another_user(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        enum before before;
        uint16_t run;
    } rows[] = {
        {"no folder", NO_FOLDER, 1},
        {"an empty folder of root", EMPTY_OF_ROOT, 1},
        {"an empty folder of that user", EMPTY_OF_USER, 1},
        {"a folder that root used", USED_BY_ROOT, 2},
    };
    assert_int_equal(chmod(b->root, 0711), 0);
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const char *name = rows[i].name;
        qcd_store *store;
        qcd_store_report report;
        if (rows[i].before == USED_BY_ROOT) {
            qcd_store_close(box_open(b, name));
        } else if (rows[i].before != NO_FOLDER) {
            assert_int_equal(mkdir(b->folder, 0700), 0);
        }
        if (rows[i].before == EMPTY_OF_USER) {
            assert_int_equal(chown(b->folder, OTHER_USER, OTHER_USER), 0);
        }
        CHECK_INT(name, open_for(&store, &report, b, OTHER_USER), QCD_STORE_OK);
        CHECK_INT(name, qcd_store_run(store), rows[i].run);
        check_owner(b, name, OTHER_USER);
        use_as(store, OTHER_USER);
        check_owner(b, name, OTHER_USER);
        qcd_store_close(store);
        CHECK_INT(name, open_for(&store, &report, b, OTHER_USER), QCD_STORE_OK);
        CHECK_INT(name, qcd_store_run(store), rows[i].run + 2);
        CHECK_INT(name, qcd_store_secrets(store)->num_generations, 2);
        qcd_store_close(store);
        check_owner(b, name, OTHER_USER);
        CHECK_INT(name, geteuid(), 0);
        CHECK(name, access(b->folder, R_OK) == 0); /* root again */
        box_clear(b);
    }
}

/* A folder that contains other files is not given away, and the files of a
 * third user are used by nobody. */
static void test_of_another_user_refused(void **state)
{
    const box *b = *state;
    box_image precious = {.is_there = true, .len = 3};
    qcd_store *store;
    qcd_store_report report;
    assert_int_equal(mkdir(b->folder, 0700), 0);
    box_restore(b, "precious", &precious);
    box_restore(b, "run", &precious);
    assert_int_equal(open_for(&store, &report, b, OTHER_USER),
                     QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, "has other files in it, such as prec"));
    assert_int_equal(owner_of(b, "."), 0);
    assert_int_equal(owner_of(b, "run"), 0);
    assert_int_equal(owner_of(b, "precious"), 0);
    box_clear(b);

    assert_int_equal(mkdir(b->folder, 0700), 0);
    assert_int_equal(chown(b->folder, OTHER_USER + 1, 0), 0);
    assert_int_equal(open_for(&store, &report, b, OTHER_USER),
                     QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, "belongs to user 54322, and this "
                                        "process is user 54321"));
    assert_int_equal(open_for(&store, &report, b, 0), QCD_STORE_ERR_UNSAFE);

    /* Root's files in that user's folder may be links to anything. */
    assert_int_equal(chown(b->folder, OTHER_USER, OTHER_USER), 0);
    box_restore(b, "secrets", &precious);
    assert_int_equal(open_for(&store, &report, b, OTHER_USER),
                     QCD_STORE_ERR_SYSTEM);
    assert_non_null(strstr(report.text, "/secrets: permission denied. Check "));
    assert_int_equal(owner_of(b, "secrets"), 0);
    assert_true(box_is_same(b, "secrets", &precious));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test_if(geteuid() == 0, "test_of_another_user",
                    "test_of_another_user # SKIP needs root",
                    test_of_another_user),
        box_test_if(geteuid() == 0, "test_of_another_user_refused",
                    "test_of_another_user_refused # SKIP needs root",
                    test_of_another_user_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

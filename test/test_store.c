/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c: src/store/store.c: starts and runs, files that are refused, and
 * rotation. test_store_afresh.c tests starts with new secrets,
 * test_store_user.c users other than root. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_box.h"
#include <qcd/store.h>

static void test_first_start_whatever_the_umask(void **state)
{
    const box *b = *state;
    static const mode_t masks[] = {0, 022, 077, 0777};
    static const char *const names[] = {"lock", "run", "secrets"};
    for (size_t i = 0; i < NUM_ROWS(masks); i++) {
        qcd_store *store;
        qcd_store_report report;
        mode_t before = umask(masks[i]);
        enum qcd_store_err err = box_try(&store, &report, b);
        (void)umask(before);
        assert_int_equal(err, QCD_STORE_OK);
        assert_int_equal(qcd_store_run(store), 1);
        const qcd_secrets *secrets = qcd_store_secrets(store);
        assert_int_equal(secrets->num_generations, 1);
        assert_true(secrets->made_at[0] == BOX_NOW);
        assert_false(is_zero(secrets->seal_key, QCD_SEAL_KEY_LEN));
        assert_false(is_zero(&secrets->generations[0], QCD_SECRET_LEN));
        assert_true(is_zero(&secrets->generations[1], QCD_SECRET_LEN));
        assert_non_null(strstr(report.text, "made new secrets in "));
        assert_non_null(strstr(report.text, "/state/secrets"));
        qcd_store_close(store);

        assert_true(box_holds(b, ALL_FILES));
        for (size_t j = 0; j < NUM_ROWS(names); j++) {
            char path[BOX_PATH_MAX];
            box_path(path, b, names[j]);
            assert_int_equal(box_mode(path), S_IFREG | 0600);
        }
        box_clear(b);
    }
}

static void test_identity_of_this_machine(void **state)
{
    const box *b = *state;
    qcd_store_identity read;
    qcd_store_report report;
    assert_int_equal(qcd_store_identity_read(&read, &report,
                                             QCD_STORE_MACHINE_ID,
                                             QCD_STORE_PRODUCT_UUID),
                     QCD_STORE_OK);
    const struct {
        const qcd_store_identity *identity;
        uint16_t run; /* 1 where it starts afresh */
    } rows[] = {{NULL, 1}, {&read, 2}, {NULL, 3}, {&box_other_machine, 1}};
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_store *store;
        assert_int_equal(
            box_open_as(&store, &report, b, rows[i].identity, BOX_NODE),
            QCD_STORE_OK);
        assert_int_equal(qcd_store_run(store), rows[i].run);
        qcd_store_close(store);
    }
}

static void test_state_is_given_once(void **state)
{
    const box *b = *state;
    qcd_store *store = box_open(b, "open");
    const qcd_secrets *secrets = qcd_store_secrets(store);
    qcd_store_report report = {"as it was"};
    qcd_maker_state given;

    assert_int_equal(qcd_store_next_run(store, &report), QCD_STORE_OK);
    (void)snprintf(report.text, sizeof(report.text), "as it was");
    assert_int_equal(qcd_store_state(store, &report, &given), QCD_STORE_OK);
    assert_string_equal(report.text, "as it was");
    assert_int_equal(given.run, 2);
    assert_int_equal(given.num_secrets, 1);
    assert_memory_equal(given.seal_key, secrets->seal_key, QCD_SEAL_KEY_LEN);
    assert_memory_equal(given.secrets, secrets->generations,
                        sizeof(given.secrets));
    assert_false(is_zero(given.random, sizeof(given.random)));
    for (int i = 0; i < 2; i++) {
        dirty(&given, sizeof(given));
        assert_int_equal(qcd_store_state(store, &report, &given),
                         QCD_STORE_ERR_GIVEN);
        assert_true(is_zero(&given, sizeof(given)));
        assert_non_null(strstr(report.text, "/state"));
        assert_int_equal(qcd_store_next_run(store, &report), QCD_STORE_OK);
    }
    qcd_store_close(store);
}

static void test_starts_and_runs_count_up(void **state)
{
    const box *b = *state;
    qcd_store *store = box_open(b, "first");
    qcd_secrets first = *qcd_store_secrets(store);
    uint16_t run = 1;
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 3; j++) {
            qcd_store_report report;
            dirty(&report, sizeof(report));
            assert_int_equal(qcd_store_next_run(store, &report), QCD_STORE_OK);
            assert_string_equal(report.text, "");
            assert_int_equal(qcd_store_run(store), ++run);
        }
        qcd_store_close(store);
        store = box_open(b, "again");
        assert_int_equal(qcd_store_run(store), ++run);
        assert_memory_equal(qcd_store_secrets(store), &first, sizeof(first));
        assert_true(box_holds(b, ALL_FILES));
    }
    qcd_store_close(store);
}

static void test_two_folders_have_two_secrets(void **state)
{
    const box *b = *state;
    qcd_store *store = box_open(b, "first");
    qcd_secrets first = *qcd_store_secrets(store);
    qcd_store_close(store);
    box_clear(b);
    store = box_open(b, "second");
    const qcd_secrets *second = qcd_store_secrets(store);
    assert_memory_not_equal(first.seal_key, second->seal_key, QCD_SEAL_KEY_LEN);
    assert_memory_not_equal(&first.generations[0], &second->generations[0],
                            QCD_SECRET_LEN);
    qcd_store_close(store);
}

static void test_one_process_for_one_folder(void **state)
{
    const box *b = *state;
    qcd_store *store = box_open(b, "first");
    qcd_store_report report;
    box_image run;
    size_t num_fds = box_num_fds();
    box_save(&run, b, "run");
    assert_int_equal(box_start(&report, b, &box_machine, BOX_NODE),
                     QCD_STORE_ERR_BUSY);
    assert_non_null(strstr(report.text, "in use by process "));
    assert_int_equal(box_num_fds(), num_fds);
    assert_true(box_is_same(b, "run", &run));
    assert_int_equal(qcd_store_next_run(store, &report), QCD_STORE_OK);
    qcd_store_close(store);
    assert_int_equal(box_start(&report, b, &box_machine, BOX_NODE),
                     QCD_STORE_OK);
    qcd_store_close(NULL);
}

static void test_runs_run_out(void **state)
{
    const box *b = *state;
    qcd_store_close(box_open(b, "first"));
    box_put_run(b, 65533);
    qcd_store *store = box_open(b, "65534");
    qcd_store_report report;
    box_image run;
    assert_int_equal(qcd_store_next_run(store, &report), QCD_STORE_OK);
    assert_int_equal(qcd_store_run(store), 65535);
    box_save(&run, b, "run");
    assert_int_equal(qcd_store_next_run(store, &report),
                     QCD_STORE_ERR_EXHAUSTED);
    assert_non_null(strstr(report.text, "/run has reached the last number"));
    assert_int_equal(qcd_store_run(store), 65535);
    assert_true(box_is_same(b, "run", &run));
    qcd_store_close(store);
}

/* A killed process leaves files that only the next one may remove. */
static void test_leftovers_are_removed(void **state)
{
    const box *b = *state;
    static const char *const names[] = {"secrets.tmp", "run.tmp"};
    qcd_store_close(box_open(b, "first"));
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        box_image leftover = {.is_there = true, .len = 30};
        box_restore(b, names[i], &leftover);
        qcd_store_close(box_open(b, names[i]));
        CHECK(names[i], box_holds(b, ALL_FILES));
    }
}

/* ---- Files that are refused --------------------------------------------- */

/* check_refused checks that `name` is refused, and that nothing is changed. */
static void check_refused(const box *b, const char *row, const char *name,
                          enum qcd_store_err want, const char *text)
{
    box_image secrets;
    box_image run;
    qcd_store_report report;
    char wanted[128];
    box_save(&secrets, b, "secrets");
    box_save(&run, b, "run");
    (void)snprintf(wanted, sizeof(wanted), "/state/%s %s", name, text);
    size_t num_fds = box_num_fds();
    CHECK_INT(row, box_start(&report, b, &box_machine, BOX_NODE), want);
    CHECK(row, strstr(report.text, wanted));
    CHECK(row, strlen(report.text) < sizeof(report.text) - 1);
    CHECK(row, strstr(report.text, "move it away, and "));
    CHECK_INT(row, box_num_fds(), num_fds);
    CHECK(row, box_is_same(b, "secrets", &secrets));
    CHECK(row, box_is_same(b, "run", &run));
    CHECK(row, box_holds(b, ALL_FILES));
}

static void test_too_open(void **state)
{
    const box *b = *state;
    static const char *const names[] = {"secrets", "run"};
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0602, 0610, 0601};
    qcd_store_close(box_open(b, "first"));
    for (size_t i = 0; i < NUM_ROWS(names) * NUM_ROWS(modes); i++) {
        const char *name = names[i % 2];
        mode_t mode = modes[i / 2];
        char path[BOX_PATH_MAX];
        char text[64];
        box_path(path, b, name);
        (void)snprintf(text, sizeof(text), "is open to others (mode %04o)",
                       (unsigned int)mode);
        assert_int_equal(chmod(path, mode), 0);
        check_refused(b, name, name, QCD_STORE_ERR_UNSAFE, text);
        assert_int_equal(chmod(path, 0600), 0);
        qcd_store_close(box_open(b, name));
    }
}

static void test_of_another_owner(void **state)
{
    const box *b = *state;
    static const char *const names[] = {"secrets", "run"};
    qcd_store_close(box_open(b, "first"));
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        char path[BOX_PATH_MAX];
        box_path(path, b, names[i]);
        assert_int_equal(chown(path, OTHER_USER, OTHER_USER), 0);
        check_refused(b, names[i], names[i], QCD_STORE_ERR_UNSAFE,
                      "belongs to user 54321, and this process is user 0");
        assert_int_equal(chown(path, 0, 0), 0);
    }
}

/* A newer version may know better. */
static void test_newer_version(void **state)
{
    const box *b = *state;
    static const struct {
        const keyfile_kind *kind;
        uint16_t version;
        enum qcd_store_err want;
        const char *text;
    } rows[] = {
        {&secrets_kind, 3, QCD_STORE_ERR_VERSION, "was written by a newer"},
        {&run_kind, 4, QCD_STORE_ERR_VERSION, "was written by a newer"},
    };
    qcd_store_close(box_open(b, "first"));
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const char *name = rows[i].kind->file.name;
        keyfile_body body = {.version = rows[i].version, .len = 18};
        box_image good;
        box_image bad = {.is_there = true};
        box_save(&good, b, name);
        bad.len = keyfile_encode(bad.octets, rows[i].kind, &body);
        box_restore(b, name, &bad);
        check_refused(b, name, name, rows[i].want, rows[i].text);
        box_restore(b, name, &good);
    }
}

/* ---- The folder, and rotation ------------------------------------------- */

static void test_in_memory(void **state)
{
    const box *b = *state;
    qcd_store *store;
    box in_memory = *b;
    (void)snprintf(in_memory.root, sizeof(in_memory.root),
                   "/dev/shm/qcd-XXXXXX");
    assert_non_null(mkdtemp(in_memory.root));
    (void)snprintf(in_memory.folder, sizeof(in_memory.folder), "%.400s/state",
                   in_memory.root);
    store = box_open(&in_memory, "in memory");
    assert_true(qcd_store_is_volatile(store));
    qcd_store_close(store);
    store = box_open(&in_memory, "again");
    assert_int_equal(qcd_store_run(store), 2); /* it also knows births */
    qcd_store_close(store);
    box_clear(&in_memory);
    assert_int_equal(rmdir(in_memory.root), 0);
}

static void test_rotate(void **state)
{
    const box *b = *state;
    qcd_store *store = box_open(b, "first");
    qcd_secrets before = *qcd_store_secrets(store);
    for (size_t i = 1; i < 7; i++) {
        qcd_store_report report;
        qcd_secrets now;
        size_t num = i < QCD_GENERATIONS_MAX ? i + 1 : QCD_GENERATIONS_MAX;
        dirty(&report, sizeof(report));
        assert_int_equal(qcd_store_rotate(store, &report, BOX_NOW + i),
                         QCD_STORE_OK);
        assert_string_equal(report.text, "");
        now = *qcd_store_secrets(store);
        assert_int_equal(now.num_generations, num);
        assert_true(now.made_at[0] == BOX_NOW + i);
        assert_memory_not_equal(&now.generations[0], &before.generations[0],
                                QCD_SECRET_LEN);
        assert_memory_equal(&now.generations[1], before.generations,
                            (num - 1) * QCD_SECRET_LEN);
        assert_memory_equal(&now.made_at[1], before.made_at, (num - 1) * 8);
        assert_memory_equal(now.seal_key, before.seal_key, QCD_SEAL_KEY_LEN);
        assert_memory_equal(now.machine, before.machine, sizeof(now.machine));
        box_secrets(&before, b); /* it is on the disk */
        assert_memory_equal(&now, &before, sizeof(now));
        assert_true(box_holds(b, ALL_FILES));
    }
    assert_int_equal(qcd_store_run(store), 1);
    qcd_store_close(store);
    store = box_open(b, "again");
    assert_memory_equal(qcd_store_secrets(store), &before, sizeof(before));
    qcd_store_close(store);
}

static void test_age(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        uint64_t now;
        uint64_t want;
    } ages[] = {
        {"at once", BOX_NOW, 0},
        {"a second later", BOX_NOW + 1, 1},
        {"a year later", BOX_NOW + 31536000, 31536000},
        {"the clock went back by a second", BOX_NOW - 1, 0},
        {"the clock went back to 1970", 0, 0},
        {"the clock went to its end", UINT64_MAX, UINT64_MAX - BOX_NOW},
    };
    qcd_store *store = box_open(b, "first");
    for (size_t i = 0; i < NUM_ROWS(ages); i++) {
        CHECK_INT(ages[i].name, qcd_store_age(store, ages[i].now),
                  ages[i].want);
    }
    qcd_store_report report;
    assert_int_equal(qcd_store_rotate(store, &report, BOX_NOW - 9),
                     QCD_STORE_OK);
    assert_int_equal(qcd_store_age(store, BOX_NOW), 9); /* of the newest */
    qcd_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_first_start_whatever_the_umask),
        BOX_TEST(test_identity_of_this_machine),
        BOX_TEST(test_state_is_given_once),
        BOX_TEST(test_starts_and_runs_count_up),
        BOX_TEST(test_two_folders_have_two_secrets),
        BOX_TEST(test_one_process_for_one_folder),
        BOX_TEST(test_runs_run_out),
        BOX_TEST(test_leftovers_are_removed),
        BOX_TEST(test_too_open),
        box_test_if(geteuid() == 0, "test_of_another_owner",
                    "test_of_another_owner # SKIP needs root",
                    test_of_another_owner),
        BOX_TEST(test_newer_version),
        box_test_if(access("/dev/shm", W_OK) == 0, "test_in_memory",
                    "test_in_memory # SKIP no /dev/shm to write to",
                    test_in_memory),
        BOX_TEST(test_rotate),
        BOX_TEST(test_age),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

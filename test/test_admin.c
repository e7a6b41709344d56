/* SPDX-License-Identifier: Apache-2.0 */
/* test_admin.c: src/store/admin.c. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_box.h"
#include <qcd/store.h>

/* ---- Adopting ----------------------------------------------------------- */

/* move replaces both files by copies, as on another disk. */
static void move(const box *b)
{
    box_copy(b, "run");
    box_copy(b, "secrets");
}

static void test_adopt(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        const qcd_store_identity *by;
        bool is_moved;
        bool is_old;
    } rows[] = {
        {"another machine", &box_other_machine, false, false},
        {"another disk", &box_other_machine, true, false},
        {"both", &box_machine, true, false},
        {"nothing is new", &box_machine, false, false},
        {"one without identity", &box_no_machine, true, false},
        {"of an earlier version", &box_other_machine, true, true},
    };
    qcd_secrets before;
    qcd_secrets after;
    qcd_store_report report;
    uint16_t run = 1;
    qcd_store_close(box_open(b, "first"));
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const char *name = rows[i].name;
        if (rows[i].is_old) {
            box_make_old(b, &box_machine);
        }
        box_secrets(&before, b);
        if (rows[i].is_moved) {
            move(b);
        }
        CHECK_INT(name, qcd_store_adopt(&report, b->folder, rows[i].by),
                  QCD_STORE_OK);
        CHECK(name, strstr(report.text, "now belong to this machine"));
        CHECK(name, box_holds(b, ALL_FILES));
        box_secrets(&after, b);
        CHECK_OCTETS(name, &after, &before, sizeof(after));

        qcd_store *store;
        CHECK_INT(name, box_open_as(&store, &report, b, rows[i].by, BOX_NODE),
                  QCD_STORE_OK);
        CHECK(name, report.text[0] == '\0');
        CHECK_INT(name, qcd_store_run(store), ++run);
        CHECK_OCTETS(name, qcd_store_secrets(store), &before, sizeof(before));
        qcd_store_close(store);
    }
}

/* Secrets that an unwanted first start set aside are restored by hand. */
static void test_adopt_after_a_start(void **state)
{
    const box *b = *state;
    static const char *const names[] = {"secrets", "run"};
    qcd_store_report report;
    qcd_secrets before;
    qcd_secrets after;
    qcd_store_close(box_open(b, "first"));
    box_secrets(&before, b);
    move(b);
    qcd_store_close(box_open(b, "afresh"));
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        char from[BOX_PATH_MAX + 8];
        char to[BOX_PATH_MAX];
        box_path(to, b, names[i]);
        (void)snprintf(from, sizeof(from), "%s.old", to);
        assert_int_equal(rename(from, to), 0);
    }
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_OK);
    qcd_store *store = box_open(b, "adopted");
    after = *qcd_store_secrets(store);
    assert_memory_equal(&after, &before, sizeof(after));
    assert_int_equal(qcd_store_run(store), 2);
    qcd_store_close(store);
}

static void test_adopt_refused(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "there is no folder "));
    assert_int_equal(box_mode(b->folder), 0); /* and none is created */

    assert_int_equal(mkdir(b->folder, 0700), 0);
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "there are no secrets in "));

    qcd_store *store = box_open(b, "in use");
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_BUSY);
    assert_non_null(strstr(report.text, "in use by process "));
    qcd_store_close(store);

    box_image run;
    box_save(&run, b, "run");
    box_remove(b, "run");
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(
        strstr(report.text, "/run is missing, damaged or belongs "));
    box_restore(b, "run", &run);

    box_image damaged;
    box_save(&damaged, b, "secrets");
    damaged.octets[20] ^= 1;
    box_restore(b, "secrets", &damaged);
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_DAMAGED);
    assert_true(box_is_same(b, "secrets", &damaged));
}

/* ---- Sharing ------------------------------------------------------------ */

static bool is_taken(const qcd_secrets *secrets, size_t node)
{
    return (secrets->taken[node / 8] & 1u << node % 8) != 0;
}

static void test_peek(void **state)
{
    const box *b = *state;
    qcd_secrets seen;
    qcd_store_report report;
    dirty(&seen, sizeof(seen));
    assert_int_equal(qcd_store_peek(&seen, &report, b->folder),
                     QCD_STORE_ERR_MISSING);
    assert_true(is_zero(&seen, sizeof(seen)));
    assert_int_equal(box_mode(b->folder), 0);

    qcd_store *store = box_open(b, "first"); /* it may be in use */
    size_t num_fds = box_num_fds();
    assert_int_equal(qcd_store_peek(&seen, &report, b->folder), QCD_STORE_OK);
    assert_memory_equal(&seen, qcd_store_secrets(store), sizeof(seen));
    assert_int_equal(box_num_fds(), num_fds);
    qcd_store_close(store);
    assert_true(box_holds(b, ALL_FILES));
}

static void test_share(void **state)
{
    const box *b = *state;
    qcd_secrets shared;
    qcd_store_report report;
    qcd_store *store = box_open(b, "first");
    qcd_secrets own = *qcd_store_secrets(store);
    assert_int_equal(qcd_store_share(&shared, &report, b->folder, &box_machine),
                     QCD_STORE_OK);
    qcd_store_close(store);
    assert_true(is_zero(shared.machine, sizeof(shared.machine)));
    for (size_t node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(is_taken(&shared, node), node == BOX_NODE);
    }
    memcpy(shared.machine, own.machine, sizeof(own.machine));
    memcpy(shared.taken, own.taken, sizeof(own.taken));
    assert_memory_equal(&shared, &own, sizeof(own));

    /* Without a run file, the next start makes another key. */
    box_remove(b, "run");
    assert_int_equal(qcd_store_share(&shared, &report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "/state/run is missing"));
    assert_true(is_zero(&shared, sizeof(shared)));
}

/* Each number under which the key was used is taken for ever. */
static void test_share_all_numbers(void **state)
{
    const box *b = *state;
    static const uint8_t nodes[] = {1, 2, 2, 255, 0};
    qcd_secrets shared;
    qcd_store_report report;
    for (size_t i = 0; i < NUM_ROWS(nodes); i++) {
        assert_int_equal(box_start(&report, b, &box_machine, nodes[i]),
                         QCD_STORE_OK);
        if (nodes[i] == 255) { /* a number also outlives an adoption */
            move(b);
            assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                             QCD_STORE_OK);
        }
    }
    assert_int_equal(qcd_store_share(&shared, &report, b->folder, &box_machine),
                     QCD_STORE_OK);
    for (size_t node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(is_taken(&shared, node), node <= 2 || node == 255);
    }
}

/* A copy doesn't know which numbers the gateway has had since. */
static void test_share_refused(void **state)
{
    const box *b = *state;
    qcd_secrets shared;
    qcd_store_report report;
    qcd_store_close(box_open(b, "first"));
    assert_int_equal(
        qcd_store_share(&shared, &report, b->folder, &box_other_machine),
        QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "/state is a copy of another folder"));
    assert_true(is_zero(&shared, sizeof(shared)));
    move(b);
    assert_int_equal(qcd_store_share(&shared, &report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
}

/* second makes another folder beside the one of the box. */
static box second(const box *b)
{
    box other = *b;
    (void)snprintf(other.folder, sizeof(other.folder), "%.400s/second",
                   b->root);
    return other;
}

static enum qcd_store_err open_node(const box *b, qcd_store_report *report,
                                    uint8_t node)
{
    return box_start(report, b, &box_other_machine, node);
}

/* share shares the secrets of a folder, on whatever machine. */
static void share(qcd_secrets *out, const box *b)
{
    qcd_store_report report;
    enum qcd_store_err err =
        qcd_store_share(out, &report, b->folder, &box_machine);
    if (err == QCD_STORE_ERR_MISSING) {
        err = qcd_store_share(out, &report, b->folder, &box_other_machine);
    }
    assert_int_equal(err, QCD_STORE_OK);
}

/* pass_on shares the secrets of one folder and imports them into another. */
static enum qcd_store_err pass_on(const box *from, const box *to,
                                  const qcd_store_identity *identity,
                                  qcd_store_report *report)
{
    qcd_secrets shared;
    share(&shared, from);
    return qcd_store_import(report, to->folder, &shared, identity);
}

static void test_import(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store *store = box_open(a, "first");
    qcd_secrets of_a = *qcd_store_secrets(store);
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "/second/secrets"));
    assert_true(box_holds(&b, ALL_FILES));

    /* RFC 6290 section 9.2: never the number of the other gateway. */
    box_image secrets;
    box_save(&secrets, &b, "secrets");
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_ERR_NODE);
    assert_non_null(strstr(report.text, "node number 3"));
    assert_true(box_is_same(&b, "secrets", &secrets));
    for (int node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(open_node(&b, &report, (uint8_t)node),
                         node == BOX_NODE ? QCD_STORE_ERR_NODE : QCD_STORE_OK);
    }

    /* The key is kept: each opens the SPIs of the other. */
    qcd_secrets of_b;
    box_secrets(&of_b, &b);
    assert_memory_equal(of_b.seal_key, of_a.seal_key, QCD_SEAL_KEY_LEN);
    assert_memory_equal(of_b.generations, of_a.generations,
                        sizeof(of_a.generations));
    qcd_store_close(store);
}

/* Nobody else has a new sealing key: every number is free again. */
static void test_new_key_frees_the_numbers(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store_close(box_open(a, "first"));
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_ERR_NODE);
    assert_int_equal(open_node(&b, &report, 0), QCD_STORE_OK);
    box_remove(&b, "run");
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, 0), QCD_STORE_OK);
}

static void test_import_refused(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    box_image secrets;
    box_image run;
    qcd_store_close(box_open(a, "first"));
    qcd_store *store = box_open(&b, "other secrets");
    assert_int_equal(pass_on(a, &b, &box_machine, &report), QCD_STORE_ERR_BUSY);
    qcd_store_close(store);
    box_save(&secrets, &b, "secrets");
    box_save(&run, &b, "run");
    assert_int_equal(pass_on(a, &b, &box_machine, &report),
                     QCD_STORE_ERR_OTHERS);
    assert_non_null(strstr(report.text, "other secrets in "));
    assert_non_null(strstr(report.text, "/second already"));

    box_image damaged = secrets;
    damaged.octets[20] ^= 1;
    box_restore(&b, "secrets", &damaged);
    assert_int_equal(pass_on(a, &b, &box_machine, &report),
                     QCD_STORE_ERR_DAMAGED);
    assert_true(box_is_same(&b, "secrets", &damaged));
    assert_true(box_is_same(&b, "run", &run));
}

/* If the secrets were moved away, the rest is useless. */
static void test_import_over_an_old_run(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store_close(box_open(a, "first"));
    qcd_store_close(box_open(&b, "other secrets"));
    box_remove(&b, "secrets");
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, 0), QCD_STORE_OK);
    assert_string_equal(report.text, ""); /* no new key */
}

static void rotate(const box *b, const qcd_store_identity *identity,
                   uint8_t node)
{
    qcd_store *store;
    qcd_store_report report;
    assert_int_equal(box_open_as(&store, &report, b, identity, node),
                     QCD_STORE_OK);
    assert_int_equal(qcd_store_rotate(store, &report, BOX_NOW), QCD_STORE_OK);
    qcd_store_close(store);
}

static void test_import_again(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_secrets of_a;
    qcd_secrets of_b;
    qcd_secrets before;
    box_image run;
    qcd_store_close(box_open(a, "first"));
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    rotate(&b, &box_other_machine, 7);
    box_secrets(&before, &b);
    rotate(a, &box_machine, BOX_NODE);
    rotate(a, &box_machine, BOX_NODE);
    box_secrets(&of_a, a);
    box_save(&run, &b, "run");
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "/second/secrets were renewed"));
    assert_true(box_is_same(&b, "run", &run));

    /* The three of A, and the one that only B had. */
    box_secrets(&of_b, &b);
    assert_int_equal(of_b.num_generations, 4);
    assert_memory_equal(of_b.generations, of_a.generations, 3 * QCD_SECRET_LEN);
    assert_memory_equal(&of_b.generations[3], &before.generations[0],
                        QCD_SECRET_LEN);
    assert_memory_equal(of_b.machine, before.machine, sizeof(before.machine));

    /* And back: each considers the other's number taken, but not its own. */
    assert_int_equal(pass_on(&b, a, &box_machine, &report), QCD_STORE_OK);
    box_secrets(&of_a, a);
    assert_memory_equal(of_a.generations, of_b.generations,
                        sizeof(of_b.generations));
    for (size_t node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(is_taken(&of_a, node), node == 7);
        assert_int_equal(is_taken(&of_b, node), node == BOX_NODE);
    }
    assert_int_equal(open_node(&b, &report, 7), QCD_STORE_OK);
    assert_int_equal(box_start(&report, a, &box_machine, BOX_NODE),
                     QCD_STORE_OK);
}

/* Imported secrets of another machine stay that: importing does not adopt. */
static void test_import_again_is_no_adoption(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store_close(box_open(a, "first"));
    assert_int_equal(pass_on(a, &b, &box_machine, &report), QCD_STORE_OK);
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, 7), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "run was written on another machine"));
}

/* A number that we had and gave up is still ours when it returns. */
static void test_own_numbers_come_back(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    for (uint8_t node = 1; node <= 2; node++) {
        qcd_store *store;
        assert_int_equal(box_open_as(&store, &report, a, &box_machine, node),
                         QCD_STORE_OK);
        qcd_store_close(store);
    }
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    for (uint8_t node = 1; node <= 2; node++) {
        assert_int_equal(open_node(&b, &report, node), QCD_STORE_ERR_NODE);
    }
    assert_int_equal(open_node(&b, &report, 3), QCD_STORE_OK);
    assert_int_equal(pass_on(&b, a, &box_machine, &report), QCD_STORE_OK);
    for (uint8_t node = 1; node <= 3; node++) {
        qcd_store *store;
        assert_int_equal(box_open_as(&store, &report, a, &box_machine, node),
                         node == 3 ? QCD_STORE_ERR_NODE : QCD_STORE_OK);
        qcd_store_close(store);
    }
}

/* Root's tools work on the folder of the user that charon runs as. */
static void test_folder_of_another_user(void **state)
{
    const box *b = *state;
    static const char *const names[] = {"lock", "run", "secrets"};
    const qcd_store_user user = {.uid = OTHER_USER, .gid = OTHER_USER};
    const qcd_store_settings settings = {
        .path = b->folder, .identity = &box_machine, .user = &user};
    const box other = second(b);
    qcd_store *store;
    qcd_secrets seen;
    qcd_store_report report;
    assert_int_equal(chmod(b->root, 0711), 0);
    assert_int_equal(qcd_store_open(&store, &report, &settings, BOX_NOW),
                     QCD_STORE_OK);
    qcd_store_close(store);
    assert_int_equal(qcd_store_peek(&seen, &report, b->folder), QCD_STORE_OK);
    assert_int_equal(pass_on(b, &other, &box_machine, &report), QCD_STORE_OK);
    assert_int_equal(pass_on(&other, b, &box_machine, &report), QCD_STORE_OK);
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_OK);
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        struct stat st;
        char path[BOX_PATH_MAX];
        box_path(path, b, names[i]);
        assert_int_equal(lstat(path, &st), 0);
        CHECK_INT(names[i], st.st_uid, OTHER_USER);
    }
    assert_int_equal(access(b->folder, R_OK), 0); /* root again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_adopt),
        BOX_TEST(test_adopt_after_a_start),
        BOX_TEST(test_adopt_refused),
        BOX_TEST(test_peek),
        BOX_TEST(test_share),
        BOX_TEST(test_share_all_numbers),
        BOX_TEST(test_share_refused),
        BOX_TEST(test_import),
        BOX_TEST(test_new_key_frees_the_numbers),
        BOX_TEST(test_import_refused),
        BOX_TEST(test_import_over_an_old_run),
        BOX_TEST(test_import_again),
        BOX_TEST(test_import_again_is_no_adoption),
        BOX_TEST(test_own_numbers_come_back),
        box_test_if(geteuid() == 0, "test_folder_of_another_user",
                    "test_folder_of_another_user # SKIP needs root",
                    test_folder_of_another_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_admin.c: src/store/admin.c. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "store_box.h"

#define ALL_FILES "lock run secrets "

static enum qcd_store_err open_as(const box *b, qcd_store_report *report,
                                  const qcd_store_identity *identity)
{
    qcd_store *store;
    enum qcd_store_err err =
        qcd_store_open(&store, report, b->folder, identity, BOX_NODE, BOX_NOW);
    qcd_store_close(store);
    return err;
}

/* ---- Adopting ----------------------------------------------------------- */

static void test_adopt(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        const qcd_store_identity *by;
        const char *text;
    } rows[] = {
        {"another machine", &box_other_machine, "bound to this machine"},
        {"the same machine", &box_other_machine, "bound to this machine"},
        {"one without identity", &box_no_machine, "bound to no machine"},
        {"the first again", &box_machine, "bound to this machine"},
    };
    qcd_secrets before;
    qcd_secrets after;
    box_image run;
    qcd_store_report report;
    qcd_store_close(box_open(b, "first"));
    box_secrets(&before, b);
    box_save(&run, b, "run");
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const char *name = rows[i].name;
        CHECK_INT(name, qcd_store_adopt(&report, b->folder, rows[i].by),
                  QCD_STORE_OK);
        CHECK(name, strstr(report.text, rows[i].text));
        CHECK(name, box_is_same(b, "run", &run));
        CHECK(name, box_holds(b, ALL_FILES));
        box_secrets(&after, b);
        CHECK_INT(name, is_zero(after.machine, sizeof(after.machine)),
                  rows[i].by->len == 0);
        memcpy(after.machine, before.machine, sizeof(after.machine));
        CHECK_OCTETS(name, &after, &before, sizeof(after));
    }
}

static void test_adopted_secrets_can_be_used(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    qcd_store_close(box_open(b, "first"));
    assert_int_equal(open_as(b, &report, &box_other_machine),
                     QCD_STORE_ERR_IDENTITY);
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_other_machine),
                     QCD_STORE_OK);
    assert_int_equal(open_as(b, &report, &box_other_machine), QCD_STORE_OK);
    assert_string_equal(report.text, "");
    assert_int_equal(open_as(b, &report, &box_machine), QCD_STORE_ERR_IDENTITY);
}

static void test_adopt_refused(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "there is no folder "));
    assert_int_equal(box_mode(b->folder), 0); /* and none is made */

    assert_int_equal(mkdir(b->folder, 0700), 0);
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "there are no secrets in "));

    qcd_store *store = box_open(b, "in use");
    assert_int_equal(qcd_store_adopt(&report, b->folder, &box_machine),
                     QCD_STORE_ERR_BUSY);
    assert_non_null(strstr(report.text, "in use by process "));
    qcd_store_close(store);

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
    static const box_image none = {.is_there = false};
    const box *b = *state;
    qcd_secrets shared;
    qcd_store_report report;
    qcd_store *store = box_open(b, "first");
    qcd_secrets own = *qcd_store_secrets(store);
    assert_int_equal(qcd_store_share(&shared, &report, b->folder),
                     QCD_STORE_OK);
    qcd_store_close(store);
    assert_true(is_zero(shared.machine, sizeof(shared.machine)));
    for (size_t node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(is_taken(&shared, node), node == BOX_NODE);
    }
    memcpy(shared.machine, own.machine, sizeof(own.machine));
    memcpy(shared.taken, own.taken, sizeof(own.taken));
    assert_memory_equal(&shared, &own, sizeof(own));

    /* Without a run the next start makes another key. */
    box_restore(b, "run", &none);
    assert_int_equal(qcd_store_share(&shared, &report, b->folder),
                     QCD_STORE_ERR_MISSING);
    assert_non_null(strstr(report.text, "/state/run is missing"));
    assert_true(is_zero(&shared, sizeof(shared)));
}

/* second makes another folder beside that of the box. */
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
    qcd_store *store;
    enum qcd_store_err err = qcd_store_open(&store, report, b->folder,
                                            &box_other_machine, node, BOX_NOW);
    qcd_store_close(store);
    return err;
}

/* pass_on shares the secrets of one folder and imports them into another. */
static enum qcd_store_err pass_on(const box *from, const box *to,
                                  const qcd_store_identity *identity,
                                  qcd_store_report *report)
{
    qcd_secrets shared;
    assert_int_equal(qcd_store_share(&shared, report, from->folder),
                     QCD_STORE_OK);
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

    /* RFC 6290 section 9.2: the other one's number, never. */
    box_image secrets;
    box_save(&secrets, &b, "secrets");
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_ERR_NODE);
    assert_non_null(strstr(report.text, "node number 3"));
    assert_true(box_is_same(&b, "secrets", &secrets));
    for (int node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(open_node(&b, &report, (uint8_t)node),
                         node == BOX_NODE ? QCD_STORE_ERR_NODE : QCD_STORE_OK);
    }

    /* The key is kept: the two open each other's SPIs. */
    qcd_secrets of_b;
    box_secrets(&of_b, &b);
    assert_memory_equal(of_b.seal_key, of_a.seal_key, QCD_SEAL_KEY_LEN);
    assert_memory_equal(of_b.generations, of_a.generations,
                        sizeof(of_a.generations));
    assert_memory_not_equal(of_b.machine, of_a.machine, sizeof(of_a.machine));
    qcd_store_close(store);
}

/* A new sealing key is ours alone: every number is free again. */
static void test_new_key_frees_the_numbers(void **state)
{
    static const box_image none = {.is_there = false};
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store_close(box_open(a, "first"));
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_ERR_NODE);
    assert_int_equal(open_node(&b, &report, 0), QCD_STORE_OK);
    box_restore(&b, "run", &none);
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_ERR_NODE);
    assert_int_equal(open_node(&b, &report, 0), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, BOX_NODE), QCD_STORE_OK);
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

/* Where the secrets were moved away, what is left is of no use. */
static void test_import_over_an_old_run(void **state)
{
    static const box_image none = {.is_there = false};
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store_close(box_open(a, "first"));
    qcd_store_close(box_open(&b, "other secrets"));
    box_restore(&b, "secrets", &none);
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, 0), QCD_STORE_OK);
    assert_string_equal(report.text, ""); /* no new key */
}

static void rotate(const box *b, const qcd_store_identity *identity,
                   uint8_t node)
{
    qcd_store *store;
    qcd_store_report report;
    assert_int_equal(
        qcd_store_open(&store, &report, b->folder, identity, node, BOX_NOW),
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

    /* A's three, and the one that only B had. */
    box_secrets(&of_b, &b);
    assert_int_equal(of_b.num_generations, 4);
    assert_memory_equal(of_b.generations, of_a.generations, 3 * QCD_SECRET_LEN);
    assert_memory_equal(&of_b.generations[3], &before.generations[0],
                        QCD_SECRET_LEN);
    assert_memory_equal(of_b.machine, before.machine, sizeof(before.machine));

    /* And back: each knows the other's number, and not its own, as taken. */
    assert_int_equal(pass_on(&b, a, &box_machine, &report), QCD_STORE_OK);
    box_secrets(&of_a, a);
    assert_memory_equal(of_a.generations, of_b.generations,
                        sizeof(of_b.generations));
    for (size_t node = 0; node < QCD_STORE_NODES; node++) {
        assert_int_equal(is_taken(&of_a, node), node == 7);
        assert_int_equal(is_taken(&of_b, node), node == BOX_NODE);
    }
    assert_int_equal(open_node(&b, &report, 7), QCD_STORE_OK);
    assert_int_equal(open_as(a, &report, &box_machine), QCD_STORE_OK);
}

/* What came from another machine stays refused: importing is no adopting. */
static void test_import_again_is_no_adoption(void **state)
{
    const box *a = *state;
    const box b = second(a);
    qcd_store_report report;
    qcd_store_close(box_open(a, "first"));
    assert_int_equal(pass_on(a, &b, &box_machine, &report), QCD_STORE_OK);
    assert_int_equal(pass_on(a, &b, &box_other_machine, &report), QCD_STORE_OK);
    assert_int_equal(open_node(&b, &report, 7), QCD_STORE_ERR_IDENTITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_adopt),
        BOX_TEST(test_adopted_secrets_can_be_used),
        BOX_TEST(test_adopt_refused),
        BOX_TEST(test_peek),
        BOX_TEST(test_share),
        BOX_TEST(test_import),
        BOX_TEST(test_new_key_frees_the_numbers),
        BOX_TEST(test_import_refused),
        BOX_TEST(test_import_over_an_old_run),
        BOX_TEST(test_import_again),
        BOX_TEST(test_import_again_is_no_adoption),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

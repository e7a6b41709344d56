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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_adopt),
        BOX_TEST(test_adopted_secrets_can_be_used),
        BOX_TEST(test_adopt_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

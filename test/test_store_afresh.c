/* SPDX-License-Identifier: Apache-2.0 */
/* test_store_afresh.c: when src/store/store.c continues with the secrets that
 * it finds, and when it starts afresh with new ones. */
#include "test.h"

#include <stdio.h>

#include "store_box.h"
#include <qcd/store.h>

/* ---- What happens to the two files between two starts ------------------- */

/* keep_part keeps the first 1/`of` of the file, 0 for nothing. */
static void keep_part(const box *b, const char *name, size_t of)
{
    box_image image;
    box_save(&image, b, name);
    image.len = of == 0 ? 0 : image.len / of;
    box_restore(b, name, &image);
}

static void flip(const box *b, const char *name)
{
    box_image image;
    box_save(&image, b, name);
    image.octets[image.len / 2] ^= 4;
    box_restore(b, name, &image);
}

static void nothing(const box *b)
{
    (void)b;
}

static void run_lost(const box *b)
{
    box_remove(b, "run");
}

static void run_cut(const box *b)
{
    keep_part(b, "run", 0);
}

static void run_halved(const box *b)
{
    keep_part(b, "run", 2);
}

static void run_flipped(const box *b)
{
    flip(b, "run");
}

static void run_of_others(const box *b)
{
    box_image secrets;
    box_save(&secrets, b, "secrets");
    box_clear(b);
    qcd_store_close(box_open(b, "other secrets"));
    box_restore(b, "secrets", &secrets);
}

static void run_last(const box *b)
{
    box_put_run(b, 65535);
}

static void run_last_but_one(const box *b)
{
    box_put_run(b, 65534);
}

static void run_copied(const box *b)
{
    box_copy(b, "run");
}

static void secrets_copied(const box *b)
{
    box_copy(b, "secrets");
}

static void both_copied(const box *b)
{
    box_copy(b, "run");
    box_copy(b, "secrets");
}

static void secrets_lost(const box *b)
{
    box_remove(b, "secrets");
}

static void secrets_cut(const box *b)
{
    keep_part(b, "secrets", 0);
}

static void secrets_halved(const box *b)
{
    keep_part(b, "secrets", 2);
}

static void secrets_flipped(const box *b)
{
    flip(b, "secrets");
}

static void both_lost(const box *b)
{
    run_lost(b);
    secrets_lost(b);
}

static void both_cut(const box *b)
{
    run_cut(b);
    secrets_cut(b);
}

static void old_files(const box *b)
{
    box_make_old(b, &box_machine);
}

static void old_files_of_another(const box *b)
{
    box_make_old(b, &box_other_machine);
}

static void old_files_of_none(const box *b)
{
    box_make_old(b, &box_no_machine);
}

#define AFRESH ": the gateway starts afresh with new secrets, and peers "
#define WITH_DAMAGED "lock run secrets secrets.damaged "

static const struct {
    const char *name;
    void (*lose)(const box *b);
    bool same;
    uint16_t run;
    const char *text;
    const char *files;
} losses[] = {
    {"nothing lost", nothing, true, 2, "", ALL_FILES},
    {"run lost", run_lost, false, 1, "/run is missing" AFRESH,
     "lock run secrets secrets.old "},
    {"run cut to nothing", run_cut, false, 1, "/run is damaged" AFRESH,
     WITH_OLD},
    {"half a run", run_halved, false, 1, "/run is damaged" AFRESH, WITH_OLD},
    {"a flipped bit in run", run_flipped, false, 1, "/run is damaged" AFRESH,
     WITH_OLD},
    {"run of other secrets", run_of_others, false, 1,
     "/run belongs to other secrets" AFRESH, WITH_OLD},
    {"last run", run_last, false, 1,
     "/run has reached the last number, 65535" AFRESH, WITH_OLD},
    {"last run but one", run_last_but_one, true, 65535, "", ALL_FILES},
    {"a copy of run", run_copied, false, 1,
     "/run is a copy of the file that was written" AFRESH, WITH_OLD},
    {"copies of both", both_copied, false, 1,
     "/run is a copy of the file that was written" AFRESH, WITH_OLD},
    {"a copy of secrets", secrets_copied, true, 2, "", ALL_FILES},
    {"secrets lost", secrets_lost, false, 1, "made new secrets in ", ALL_FILES},
    {"secrets cut to nothing", secrets_cut, false, 1,
     "/secrets is damaged: it is now secrets.damaged, and new ", WITH_DAMAGED},
    {"half of the secrets", secrets_halved, false, 1,
     "/secrets is damaged: it is now secrets.damaged, and new ", WITH_DAMAGED},
    {"a flipped bit in secrets", secrets_flipped, false, 1,
     "/secrets is damaged: it is now secrets.damaged, and new ", WITH_DAMAGED},
    {"both lost", both_lost, false, 1, "made new secrets in ", ALL_FILES},
    {"both cut to nothing", both_cut, false, 1,
     "/secrets is damaged: it is now secrets.damaged, and new ", WITH_DAMAGED},
    {"old files", old_files, true, 2, "", ALL_FILES},
    {"old files of another machine", old_files_of_another, false, 1,
     "/run was written on another machine" AFRESH, WITH_OLD},
    {"old files of no machine", old_files_of_none, false, 1,
     "/run was written by an earlier version, which did not bind it to a "
     "machine" AFRESH,
     WITH_OLD},
};

static void test_losses(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(losses); i++) {
        const char *name = losses[i].name;
        qcd_store *store = box_open(b, name);
        qcd_secrets old = *qcd_store_secrets(store);
        qcd_store_close(store);
        losses[i].lose(b);

        qcd_store_report report;
        CHECK_INT(name, box_try(&store, &report, b), QCD_STORE_OK);
        const qcd_secrets *s = qcd_store_secrets(store);
        CHECK_INT(name, qcd_store_run(store), losses[i].run);
        CHECK_INT(name,
                  memcmp(s->seal_key, old.seal_key, QCD_SEAL_KEY_LEN) == 0,
                  losses[i].same);
        CHECK_INT(name,
                  memcmp(s->generations, old.generations,
                         sizeof(old.generations)) == 0,
                  losses[i].same);
        CHECK_INT(name, s->num_generations, 1);
        CHECK(name, strstr(report.text, losses[i].text));
        CHECK_INT(name, report.text[0] == '\0', losses[i].text[0] == '\0');
        CHECK(name, box_holds(b, losses[i].files));
        qcd_store_close(store);

        /* It is reported once, and then it is an ordinary folder. */
        CHECK_INT(name, box_start(&report, b, &box_machine, BOX_NODE),
                  QCD_STORE_OK);
        CHECK_INT(name, report.text[0] == '\0', losses[i].run != 65535);
        box_clear(b);
    }
}

/* One set of the files that were set aside is kept. */
static void test_set_aside_twice(void **state)
{
    const box *b = *state;
    box_image secrets;
    box_image run;
    for (int i = 0; i < 3; i++) {
        qcd_store_close(box_open(b, "before"));
        box_copy(b, "run");
        box_save(&secrets, b, "secrets");
        box_save(&run, b, "run");
        qcd_store_close(box_open(b, "afresh"));
        assert_true(box_holds(b, WITH_OLD));
        assert_true(box_is_same(b, "secrets.old", &secrets));
        assert_true(box_is_same(b, "run.old", &run));
        secrets_cut(b);
        box_remove(b, "secrets.damaged");
        qcd_store_close(box_open(b, "damaged"));
        assert_true(box_holds(
            b, "lock run run.old secrets secrets.damaged secrets.old "));
        box_remove(b, "secrets.damaged");
    }
}

/* ---- The owner of the secrets -------------------------------------------- */

/* The same files are opened on one machine and then on the other. */
static void test_other_machines_start_afresh(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(box_pairs); i++) {
        const char *name = box_pairs[i].name;
        qcd_store_report report;
        qcd_secrets before;
        qcd_secrets after;
        CHECK_INT(name, box_start(&report, b, box_pairs[i].then, 0),
                  QCD_STORE_OK);
        box_secrets(&before, b);
        CHECK_INT(name, box_start(&report, b, box_pairs[i].now, 0),
                  QCD_STORE_OK);
        box_secrets(&after, b);
        CHECK_INT(name, memcmp(&before, &after, sizeof(before)) == 0,
                  box_pairs[i].is_same);
        CHECK(name, box_holds(b, box_pairs[i].is_same ? ALL_FILES : WITH_OLD));
        if (!box_pairs[i].is_same) {
            CHECK(name, strstr(report.text, "run was written on another mach"));
        }
        box_clear(b);
    }
}

/* Many later machines would have shared these: each makes its own secrets. */
static void test_secrets_of_no_machine(void **state)
{
    const box *b = *state;
    box_image secrets;
    box_image run;
    qcd_secrets first;
    qcd_secrets of[2];
    qcd_store_report report;
    assert_int_equal(box_start(&report, b, &box_no_machine, 0), QCD_STORE_OK);
    box_save(&secrets, b, "secrets");
    box_save(&run, b, "run");
    box_secrets(&first, b);
    for (int i = 0; i < 2; i++) {
        box_restore(b, "secrets", &secrets);
        box_restore(b, "run", &run);
        assert_int_equal(box_start(&report, b,
                                   i == 0 ? &box_machine : &box_other_machine,
                                   0),
                         QCD_STORE_OK);
        box_secrets(&of[i], b);
        assert_memory_not_equal(of[i].seal_key, first.seal_key,
                                QCD_SEAL_KEY_LEN);
    }
    assert_memory_not_equal(of[0].seal_key, of[1].seal_key, QCD_SEAL_KEY_LEN);
}

/* What was seen once is remembered while nobody may read it. */
static void test_hidden_product_is_remembered(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    assert_int_equal(box_start(&report, b, &box_product, 0), QCD_STORE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(box_start(&report, b, &box_hidden_product, 0),
                         QCD_STORE_OK);
        assert_string_equal(report.text, "");
    }
    assert_int_equal(box_start(&report, b, &box_other_product, 0),
                     QCD_STORE_OK);
    assert_non_null(strstr(report.text, "run was written on another machine"));
}

/* The message must have room for the longest path that is shown. */
static void test_message_fits(void **state)
{
    const box *b = *state;
    box deep = *b;
    char part[61];
    memset(part, 'x', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    (void)snprintf(deep.folder, sizeof(deep.folder), "%.200s/%s/%s/%s/state",
                   b->root, part, part, part);
    qcd_store_report report;
    assert_int_equal(box_start(&report, &deep, &box_machine, 0), QCD_STORE_OK);
    box_make_old(&deep, &box_no_machine); /* the longest reason */
    assert_int_equal(box_start(&report, &deep, &box_machine, 0), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "see \"adopt\" in qcd-secret(8)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_losses),
        BOX_TEST(test_set_aside_twice),
        BOX_TEST(test_other_machines_start_afresh),
        BOX_TEST(test_secrets_of_no_machine),
        BOX_TEST(test_hidden_product_is_remembered),
        BOX_TEST(test_message_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c: src/store/store.c. */
#include "test.h"

#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_box.h"
#include <qcd/store.h>

#define OTHER_USER 54321
#define ALL_FILES "lock run secrets "

static enum qcd_store_err try_open(const box *b, qcd_store_report *report)
{
    qcd_store *store;
    enum qcd_store_err err = box_try(&store, report, b);
    if (err == QCD_STORE_OK) {
        qcd_store_close(store);
    } else {
        assert_null(store);
    }
    return err;
}

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
    assert_int_equal(try_open(b, &report), QCD_STORE_ERR_BUSY);
    assert_non_null(strstr(report.text, "in use by process "));
    assert_int_equal(box_num_fds(), num_fds);
    assert_true(box_is_same(b, "run", &run));
    assert_int_equal(qcd_store_next_run(store, &report), QCD_STORE_OK);
    qcd_store_close(store);
    assert_int_equal(try_open(b, &report), QCD_STORE_OK);
    qcd_store_close(NULL);
}

/* ---- What happens to the two files between two starts ------------------- */

static const box_image no_file = {.is_there = false};

/* keep_part leaves one part in `of` of the file, 0 for none of it. */
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
    box_restore(b, "run", &no_file);
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
    box_restore(b, "secrets", &no_file);
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
#define WITH_OLD "lock run run.old secrets secrets.old "
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
     "/run has come to the last number, 65535" AFRESH, WITH_OLD},
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
     "/run was written by an earlier version, for no machine of its own" AFRESH,
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

        /* It is told once, and then it is an ordinary folder. */
        CHECK_INT(name, try_open(b, &report), QCD_STORE_OK);
        CHECK_INT(name, report.text[0] == '\0', losses[i].run != 65535);
        box_clear(b);
    }
}

/* One set is kept of what was set aside. */
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
        box_restore(b, "secrets.damaged", &no_file);
        qcd_store_close(box_open(b, "damaged"));
        assert_true(box_holds(
            b, "lock run run.old secrets secrets.damaged secrets.old "));
        box_restore(b, "secrets.damaged", &no_file);
    }
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
    assert_non_null(strstr(report.text, "/run has come to the last number"));
    assert_int_equal(qcd_store_run(store), 65535);
    assert_true(box_is_same(b, "run", &run));
    qcd_store_close(store);
}

/* A process that was killed leaves what only the next one may remove. */
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

/* check_refused holds that `name` is refused, and that nothing is changed. */
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
    CHECK_INT(row, try_open(b, &report), want);
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
        const char *name = rows[i].kind->name;
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

/* ---- Whose the secrets are ---------------------------------------------- */

static enum qcd_store_err open_as(const box *b, qcd_store_report *report,
                                  const qcd_store_identity *identity,
                                  uint8_t node)
{
    qcd_store *store;
    enum qcd_store_err err = box_open_as(&store, report, b, identity, node);
    qcd_store_close(store);
    return err;
}

/* Who made the secrets, and who opens the very same files. */
static const struct {
    const char *name;
    const qcd_store_identity *made_by;
    const qcd_store_identity *opened_by;
    bool is_same;
} machines[] = {
    {"the same", &box_machine, &box_machine, true},
    {"another", &box_machine, &box_other_machine, false},
    {"none any more", &box_machine, &box_no_machine, false},
    {"none before", &box_no_machine, &box_machine, false},
    {"none at all", &box_no_machine, &box_no_machine, true},
    {"the same product", &box_product, &box_product, true},
    {"another product", &box_product, &box_other_product, false},
    {"an UUID that is hidden now", &box_product, &box_hidden_product, true},
};

static void test_other_machines_start_afresh(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(machines); i++) {
        const char *name = machines[i].name;
        qcd_store_report report;
        qcd_secrets before;
        qcd_secrets after;
        CHECK_INT(name, open_as(b, &report, machines[i].made_by, 0),
                  QCD_STORE_OK);
        box_secrets(&before, b);
        CHECK_INT(name, open_as(b, &report, machines[i].opened_by, 0),
                  QCD_STORE_OK);
        box_secrets(&after, b);
        CHECK_INT(name, memcmp(&before, &after, sizeof(before)) == 0,
                  machines[i].is_same);
        CHECK(name, box_holds(b, machines[i].is_same ? ALL_FILES : WITH_OLD));
        if (!machines[i].is_same) {
            CHECK(name, strstr(report.text, "run was written on another mach"));
        }
        box_clear(b);
    }
}

/* What many later machines would have shared: each has secrets of its own. */
static void test_secrets_of_no_machine(void **state)
{
    const box *b = *state;
    box_image secrets;
    box_image run;
    qcd_secrets first;
    qcd_secrets of[2];
    qcd_store_report report;
    assert_int_equal(open_as(b, &report, &box_no_machine, 0), QCD_STORE_OK);
    box_save(&secrets, b, "secrets");
    box_save(&run, b, "run");
    box_secrets(&first, b);
    for (int i = 0; i < 2; i++) {
        box_restore(b, "secrets", &secrets);
        box_restore(b, "run", &run);
        assert_int_equal(
            open_as(b, &report, i == 0 ? &box_machine : &box_other_machine, 0),
            QCD_STORE_OK);
        box_secrets(&of[i], b);
        assert_memory_not_equal(of[i].seal_key, first.seal_key,
                                QCD_SEAL_KEY_LEN);
    }
    assert_memory_not_equal(of[0].seal_key, of[1].seal_key, QCD_SEAL_KEY_LEN);
}

/* What was seen once is remembered while nobody may look. */
static void test_hidden_product_is_remembered(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    assert_int_equal(open_as(b, &report, &box_product, 0), QCD_STORE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_as(b, &report, &box_hidden_product, 0),
                         QCD_STORE_OK);
        assert_string_equal(report.text, "");
    }
    assert_int_equal(open_as(b, &report, &box_other_product, 0), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "run was written on another machine"));
}

/* The message must fit with the longest path that is shown. */
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
    assert_int_equal(open_as(&deep, &report, &box_machine, 0), QCD_STORE_OK);
    box_make_old(&deep, &box_no_machine); /* the longest reason */
    assert_int_equal(open_as(&deep, &report, &box_machine, 0), QCD_STORE_OK);
    assert_non_null(strstr(report.text, "see \"adopt\" in qcd-secret(8)"));
}

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
    assert_int_equal(qcd_store_run(store), 2); /* it knows births, too */
    qcd_store_close(store);
    box_clear(&in_memory);
    assert_int_equal(rmdir(in_memory.root), 0);
}

/* ---- Whose the files are ------------------------------------------------ */

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

/* As charon does: opened by root, used by somebody else.  In a process of its
 * own, since nobody comes back from there. */
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

/* What is there before, for another user to take over. */
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
        CHECK(name, access(b->folder, R_OK) == 0); /* root is root again */
        box_clear(b);
    }
}

/* A folder that has more in it is not ours to give away, and what is a third
 * user's is nobody's. */
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

    /* What root left in that user's folder may be anything's link. */
    assert_int_equal(chown(b->folder, OTHER_USER, OTHER_USER), 0);
    box_restore(b, "secrets", &precious);
    assert_int_equal(open_for(&store, &report, b, OTHER_USER),
                     QCD_STORE_ERR_SYSTEM);
    assert_non_null(strstr(report.text, "/secrets: permission denied. Check "));
    assert_int_equal(owner_of(b, "secrets"), 0);
    assert_true(box_is_same(b, "secrets", &precious));
}

/* ---- Rotation ----------------------------------------------------------- */

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
        BOX_TEST(test_starts_and_runs_count_up),
        BOX_TEST(test_two_folders_have_two_secrets),
        BOX_TEST(test_one_process_for_one_folder),
        BOX_TEST(test_losses),
        BOX_TEST(test_set_aside_twice),
        BOX_TEST(test_runs_run_out),
        BOX_TEST(test_leftovers_are_removed),
        BOX_TEST(test_too_open),
        box_test_if(geteuid() == 0, "test_of_another_owner",
                    "test_of_another_owner # SKIP needs root",
                    test_of_another_owner),
        BOX_TEST(test_newer_version),
        BOX_TEST(test_other_machines_start_afresh),
        BOX_TEST(test_secrets_of_no_machine),
        BOX_TEST(test_hidden_product_is_remembered),
        BOX_TEST(test_message_fits),
        box_test_if(access("/dev/shm", W_OK) == 0, "test_in_memory",
                    "test_in_memory # SKIP no /dev/shm to write to",
                    test_in_memory),
        box_test_if(geteuid() == 0, "test_of_another_user",
                    "test_of_another_user # SKIP needs root",
                    test_of_another_user),
        box_test_if(geteuid() == 0, "test_of_another_user_refused",
                    "test_of_another_user_refused # SKIP needs root",
                    test_of_another_user_refused),
        BOX_TEST(test_rotate),
        BOX_TEST(test_age),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_folder.c: src/store/folder.c, and the lock of src/store/file.c. */
#include "test.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/file.h"
#include "store_box.h"

static enum qcd_store_err try_open(const char *path, qcd_store_report *report)
{
    folder dir;
    qcd_store_user self = {geteuid(), getegid()};
    report->text[0] = '\0';
    enum qcd_store_err err = folder_open(&dir, report, path, &self, true);
    if (err == QCD_STORE_OK) {
        folder_close(&dir);
    } else {
        assert_int_equal(dir.fd, -1);
    }
    return err;
}

static void test_makes_folders_whatever_the_umask(void **state)
{
    const box *b = *state;
    static const mode_t masks[] = {0, 022, 027, 077, 0777};
    char path[BOX_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.400s/one/two", b->folder);
    for (size_t i = 0; i < NUM_ROWS(masks); i++) {
        qcd_store_report report;
        mode_t before = umask(masks[i]);
        enum qcd_store_err err = try_open(path, &report);
        (void)umask(before);
        assert_int_equal(err, QCD_STORE_OK);
        assert_int_equal(box_mode(path), S_IFDIR | 0700);
        assert_int_equal(box_mode(b->folder), S_IFDIR | 0755);
        box_clear(b);
    }
}

/* `make` is what exists before; `path` is below the root of the test. */
enum make { NOTHING, PLAIN_FILE, LINK_TO_FOLDER, DANGLING_LINK };

static const struct {
    const char *name;
    enum make make;
    const char *path;
    enum qcd_store_err want;
    const char *text;
} paths[] = {
    {"new", NOTHING, "state", QCD_STORE_OK, ""},
    {"a slash at the end", NOTHING, "state/", QCD_STORE_OK, ""},
    {"many slashes", NOTHING, "/state//one///", QCD_STORE_OK, ""},
    {"dots on the way", NOTHING, "././state", QCD_STORE_OK, ""},
    {"a file", PLAIN_FILE, "state", QCD_STORE_ERR_SYSTEM, "is not a folder"},
    {"below a file", PLAIN_FILE, "state/one", QCD_STORE_ERR_SYSTEM,
     "is not a folder"},
    {"far below a file", PLAIN_FILE, "state/1/2", QCD_STORE_ERR_SYSTEM,
     "is not a folder"},
    {"a link", LINK_TO_FOLDER, "state", QCD_STORE_ERR_UNSAFE,
     "/state is a symbolic link. Configure the folder that it points to"},
    {"a link with a slash", LINK_TO_FOLDER, "state/", QCD_STORE_ERR_UNSAFE,
     "/state is a symbolic link"},
    {"through a link", LINK_TO_FOLDER, "state/one", QCD_STORE_OK, ""},
    {"a link to nothing", DANGLING_LINK, "state", QCD_STORE_ERR_UNSAFE,
     "/state is a symbolic link"},
    {"through a link to nothing", DANGLING_LINK, "state/one",
     QCD_STORE_ERR_SYSTEM, "/state: it has vanished"},
};

static void make_first(const box *b, enum make make)
{
    char other[BOX_PATH_MAX];
    (void)snprintf(other, sizeof(other), "%.400s/other", b->root);
    switch (make) {
    case NOTHING:
        break;
    case PLAIN_FILE:
        assert_int_equal(close(open(b->folder, O_CREAT | O_WRONLY, 0600)), 0);
        break;
    case LINK_TO_FOLDER:
        assert_int_equal(mkdir(other, 0700), 0);
        assert_int_equal(symlink(other, b->folder), 0);
        break;
    case DANGLING_LINK:
        assert_int_equal(symlink("nowhere", b->folder), 0);
        break;
    }
}

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(paths); i++) {
        const char *name = paths[i].name;
        void *fresh;
        assert_int_equal(box_setup(&fresh), 0);
        const box *b = fresh;
        char path[BOX_PATH_MAX];
        (void)snprintf(path, sizeof(path), "%.400s/%s", b->root, paths[i].path);
        make_first(b, paths[i].make);
        qcd_store_report report;
        size_t num_fds = box_num_fds();
        CHECK_INT(name, try_open(path, &report), paths[i].want);
        CHECK(name, strstr(report.text, paths[i].text));
        CHECK_INT(name, box_num_fds(), num_fds);
        assert_int_equal(box_teardown(&fresh), 0);
    }
}

static void test_paths_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum qcd_store_err want;
        const char *text;
    } rows[] = {
        {"", QCD_STORE_ERR_SYSTEM, "\"\" is not an absolute path"},
        {"state", QCD_STORE_ERR_SYSTEM, "\"state\" is not an absolute path"},
        {"./state", QCD_STORE_ERR_SYSTEM, "is not an absolute path"},
        {"/", QCD_STORE_ERR_UNSAFE, "Configure a folder for the secrets"},
        {"///", QCD_STORE_ERR_UNSAFE, "Configure a folder for the secrets"},
    };
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_store_report report;
        CHECK_INT(rows[i].path, try_open(rows[i].path, &report), rows[i].want);
        CHECK(rows[i].path, strstr(report.text, rows[i].text));
    }
}

static void test_long_paths(void **state)
{
    const box *b = *state;
    static const size_t lens[] = {NAME_MAX + 1, PATH_MAX - 100, PATH_MAX,
                                  2 * PATH_MAX};
    char path[BOX_PATH_MAX + 2 * PATH_MAX];
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        qcd_store_report report;
        size_t len = (size_t)snprintf(path, sizeof(path), "%s/", b->root);
        memset(path + len, 'x', lens[i]);
        path[len + lens[i]] = '\0';
        assert_int_equal(try_open(path, &report), QCD_STORE_ERR_SYSTEM);
        assert_non_null(strstr(report.text, " ...xxx"));
        assert_non_null(strstr(report.text, "Configure a shorter one"));
    }
}

static const struct {
    const char *name;
    mode_t root;
    mode_t folder; /* 0: it does not exist yet */
    enum qcd_store_err want;
    const char *text;
} modes[] = {
    {"closed to others", 0700, 0700, QCD_STORE_OK, ""},
    {"parent readable", 0755, 0700, QCD_STORE_OK, ""},
    {"parent writable by all", 0777, 0700, QCD_STORE_ERR_UNSAFE,
     " is writable by others (mode 0777)"},
    {"parent writable by its group", 0770, 0700, QCD_STORE_ERR_UNSAFE,
     " is writable by others (mode 0770)"},
    {"parent writable by all, sticky", 01777, 0700, QCD_STORE_OK, ""},
    {"to be made in a parent writable by all", 0777, 0, QCD_STORE_ERR_UNSAFE,
     " is writable by others (mode 0777)"},
    {"to be made in a sticky parent", 01777, 0, QCD_STORE_OK, ""},
    {"readable by all", 0700, 0755, QCD_STORE_ERR_UNSAFE,
     "/state is open to others (mode 0755). chmod 700 it"},
    {"entered by its group", 0700, 0710, QCD_STORE_ERR_UNSAFE, "(mode 0710)"},
    {"entered by all", 0700, 0701, QCD_STORE_ERR_UNSAFE, "(mode 0701)"},
    {"writable by its group", 0700, 0720, QCD_STORE_ERR_UNSAFE, "(mode 0720)"},
    {"sticky and writable", 0700, 01777, QCD_STORE_ERR_UNSAFE, "(mode 1777)"},
};

static void test_modes(void **state)
{
    const box *b = *state;
    for (size_t i = 0; i < NUM_ROWS(modes); i++) {
        const char *name = modes[i].name;
        if (modes[i].folder != 0) {
            assert_int_equal(mkdir(b->folder, 0700), 0);
            assert_int_equal(chmod(b->folder, modes[i].folder), 0);
        }
        assert_int_equal(chmod(b->root, modes[i].root), 0);
        qcd_store_report report;
        CHECK_INT(name, try_open(b->folder, &report), modes[i].want);
        CHECK(name, strstr(report.text, modes[i].text));
        box_clear(b);
    }
}

/* The system refuses an ordinary user what root may do. */
static void test_no_right(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    assert_int_equal(chmod(b->root, 0500), 0);
    assert_int_equal(try_open(b->folder, &report), QCD_STORE_ERR_SYSTEM);
    assert_non_null(strstr(report.text, "/state: permission denied. Check"));
    assert_int_equal(chmod(b->root, 0700), 0);
    assert_int_equal(mkdir(b->folder, 0), 0);
    assert_int_equal(try_open(b->folder, &report), QCD_STORE_ERR_SYSTEM);
    assert_non_null(strstr(report.text, "/state: permission denied. Check"));
}

static void test_other_owner(void **state)
{
    const box *b = *state;
    qcd_store_report report;
    assert_int_equal(mkdir(b->folder, 0700), 0);
    assert_int_equal(chown(b->folder, OTHER_USER, OTHER_USER), 0);
    assert_int_equal(try_open(b->folder, &report), QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, "/state belongs to user 54321, and "
                                        "this process is user 0"));
    assert_int_equal(chown(b->folder, 0, 0), 0);
    assert_int_equal(chown(b->root, OTHER_USER, OTHER_USER), 0);
    assert_int_equal(try_open(b->folder, &report), QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, " belongs to user 54321, who could"));
}

static void test_lock_is_for_one(void **state)
{
    const box *b = *state;
    folder dir;
    qcd_store_report report;
    char want[64];
    (void)snprintf(want, sizeof(want), "/state is in use by process %ld,",
                   (long)getpid());
    for (int i = 0; i < 3; i++) {
        assert_int_equal(folder_open(&dir, &report, b->folder, NULL, true),
                         QCD_STORE_OK);
        folder other = dir;
        assert_int_equal(file_lock(&dir, &report), QCD_STORE_OK);
        assert_int_equal(file_lock(&other, &report), QCD_STORE_ERR_BUSY);
        assert_int_equal(other.lock_fd, -1);
        assert_non_null(strstr(report.text, want));
        folder_close(&dir);
    }
}

/* A lock that looks stale is removed: its holder still has the folder. */
static void test_lock_is_removed(void **state)
{
    const box *b = *state;
    folder dir;
    folder other;
    qcd_store_report report;
    assert_int_equal(folder_open(&dir, &report, b->folder, NULL, true),
                     QCD_STORE_OK);
    assert_int_equal(file_lock(&dir, &report), QCD_STORE_OK);
    box_remove(b, "lock");
    assert_int_equal(folder_open(&other, &report, b->folder, NULL, true),
                     QCD_STORE_OK);
    assert_int_equal(file_lock(&other, &report), QCD_STORE_ERR_BUSY);
    assert_non_null(strstr(report.text, "in use by another process,"));
    folder_close(&dir);
    assert_int_equal(file_lock(&other, &report), QCD_STORE_OK);
    folder_close(&other);
}

static void test_lock_whose_holder_is_not_known(void **state)
{
    const box *b = *state;
    static const char *const texts[] = {"",     "\n",  "x",
                                        "-1\n", "0\n", "\xff\xff\xff\xff"};
    folder dir;
    qcd_store_report report;
    assert_int_equal(folder_open(&dir, &report, b->folder, NULL, true),
                     QCD_STORE_OK);
    folder other = dir;
    assert_int_equal(file_lock(&dir, &report), QCD_STORE_OK);
    for (size_t i = 0; i < NUM_ROWS(texts); i++) {
        box_image image = {.is_there = true, .len = strlen(texts[i])};
        memcpy(image.octets, texts[i], image.len);
        box_restore(b, "lock", &image);
        assert_int_equal(file_lock(&other, &report), QCD_STORE_ERR_BUSY);
        assert_non_null(strstr(report.text, "in use by another process,"));
    }
    folder_close(&dir);
}

static void test_lock_that_is_no_file(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    folder dir;
    qcd_store_report report;
    box_path(path, b, "lock");
    assert_int_equal(folder_open(&dir, &report, b->folder, NULL, true),
                     QCD_STORE_OK);

    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(file_lock(&dir, &report), QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, "/lock is not a regular file"));
    assert_true(box_holds(b, "lock "));
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_lock(&dir, &report), QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, "/lock is not a regular file"));
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(file_lock(&dir, &report), QCD_STORE_ERR_UNSAFE);
    assert_non_null(strstr(report.text, "/lock is not a regular file"));
    folder_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_makes_folders_whatever_the_umask),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_paths_that_cannot_be),
        BOX_TEST(test_long_paths),
        BOX_TEST(test_modes),
        box_test_if(geteuid() != 0, "test_no_right",
                    "test_no_right # SKIP root has every right", test_no_right),
        box_test_if(geteuid() == 0, "test_other_owner",
                    "test_other_owner # SKIP needs root", test_other_owner),
        BOX_TEST(test_lock_is_for_one),
        BOX_TEST(test_lock_is_removed),
        BOX_TEST(test_lock_whose_holder_is_not_known),
        BOX_TEST(test_lock_that_is_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

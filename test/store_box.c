/* SPDX-License-Identifier: Apache-2.0 */
/* store_box.c: shared by the tests of the store. */
#include "store_box.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MAX 8

const qcd_store_identity box_machine = {.len = 3, .octets = "one"};
const qcd_store_identity box_other_machine = {.len = 3, .octets = "two"};
const qcd_store_identity box_no_machine = {.len = 0};
const qcd_store_identity box_product = {
    .len = 3, .octets = "one", .product_len = 4, .product = "1234"};
const qcd_store_identity box_other_product = {
    .len = 3, .octets = "one", .product_len = 4, .product = "1235"};
const qcd_store_identity box_hidden_product = {
    .len = 3, .octets = "one", .is_product_hidden = true};
const qcd_store_identity box_product_alone = {.product_len = 4,
                                              .product = "1234"};

const box_pair box_pairs[BOX_NUM_PAIRS] = {
    {"the same", &box_machine, &box_machine, true},
    {"another ID", &box_machine, &box_other_machine, false},
    {"an ID lost", &box_machine, &box_no_machine, false},
    {"an ID got", &box_no_machine, &box_machine, false},
    {"none at all", &box_no_machine, &box_no_machine, true},
    {"the same product", &box_product, &box_product, true},
    {"another product", &box_product, &box_other_product, false},
    {"an UUID got", &box_machine, &box_product, false},
    {"an UUID lost", &box_product, &box_machine, false},
    {"hidden now", &box_product, &box_hidden_product, true},
    {"hidden then", &box_hidden_product, &box_product, true},
    {"hidden, and another ID", &box_other_machine, &box_hidden_product, false},
    {"a product alone", &box_product_alone, &box_product_alone, true},
    {"a product alone, lost", &box_product_alone, &box_no_machine, false},
};

int box_setup(void **state)
{
    box *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(b->root, sizeof(b->root), "%.300s/qcd-store-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->root));
    (void)snprintf(b->folder, sizeof(b->folder), "%.400s/state", b->root);
    *state = b;
    return 0;
}

/* remove_all removes `path` with everything in it, whatever the modes. */
static void remove_all(const char *path, int depth)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return;
    }
    assert_true(depth < 64);
    if (!S_ISDIR(st.st_mode)) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    assert_int_equal(chmod(path, 0700), 0);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            char *inner = malloc(strlen(path) + strlen(e->d_name) + 2);
            assert_non_null(inner);
            (void)sprintf(inner, "%s/%s", path, e->d_name);
            remove_all(inner, depth + 1);
            free(inner);
        }
    }
    (void)closedir(dir);
    assert_int_equal(rmdir(path), 0);
}

int box_teardown(void **state)
{
    box *b = *state;
    remove_all(b->root, 0);
    free(b);
    return 0;
}

static void pass(void **state)
{
    (void)state;
}

struct CMUnitTest box_test_if(bool can_run, const char *name,
                              const char *skipped, CMUnitTestFunction test)
{
    if (!can_run) {
        return (struct CMUnitTest){skipped, pass, NULL, NULL, NULL};
    }
    return (struct CMUnitTest){name, test, box_setup, box_teardown, NULL};
}

void box_clear(const box *b)
{
    remove_all(b->folder, 0);
}

void box_path(char out[BOX_PATH_MAX], const box *b, const char *name)
{
    (void)snprintf(out, BOX_PATH_MAX, "%.400s/%s", b->folder, name);
}

void box_save(box_image *out, const box *b, const char *name)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, name);
    memset(out, 0, sizeof(*out));
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) {
        return;
    }
    ssize_t len = read(fd, out->octets, sizeof(out->octets));
    (void)close(fd);
    if (len >= 0) {
        out->is_there = true;
        out->len = (size_t)len;
    }
}

void box_restore(const box *b, const char *name, const box_image *image)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, name);
    if (!image->is_there) {
        box_remove(b, name);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, image->octets, image->len), image->len);
    assert_int_equal(close(fd), 0);
}

void box_remove(const box *b, const char *name)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, name);
    (void)unlink(path);
}

bool box_is_same(const box *b, const char *name, const box_image *image)
{
    box_image now;
    box_save(&now, b, name);
    return now.is_there == image->is_there && now.len == image->len &&
           memcmp(now.octets, image->octets, now.len) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool box_holds(const box *b, const char *names)
{
    char found[NAMES_MAX][32];
    size_t num = 0;
    DIR *dir = opendir(b->folder);
    if (dir == NULL) {
        return false;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.' && num < NAMES_MAX) {
            (void)snprintf(found[num++], sizeof(found[0]), "%.30s ", e->d_name);
        }
    }
    (void)closedir(dir);
    qsort(found, num, sizeof(found[0]), compare_names);
    for (size_t i = 0; i < num; i++) {
        size_t len = strlen(found[i]);
        if (strncmp(names, found[i], len) != 0) {
            return false;
        }
        names += len;
    }
    return *names == '\0';
}

mode_t box_mode(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_mode : 0;
}

void box_secrets(qcd_secrets *out, const box *b)
{
    box_image image;
    keyfile_body body;
    box_save(&image, b, "secrets");
    assert_int_equal(
        keyfile_decode(&body, &secrets_kind, image.octets, image.len),
        QCD_STORE_OK);
    assert_int_equal(secrets_decode(out, &body), QCD_STORE_OK);
}

/* read_run reads the body of the run file. */
static void read_run(keyfile_body *out, const box *b)
{
    box_image image;
    box_save(&image, b, "run");
    assert_int_equal(keyfile_decode(out, &run_kind, image.octets, image.len),
                     QCD_STORE_OK);
}

static void write_body(const box *b, const keyfile_kind *kind,
                       const keyfile_body *body)
{
    box_image image = {.is_there = true};
    image.len = keyfile_encode(image.octets, kind, body);
    box_restore(b, kind->file.name, &image);
}

void box_run(run_record *out, const box *b)
{
    keyfile_body body;
    read_run(&body, b);
    assert_int_equal(run_decode(out, &body), QCD_STORE_OK);
}

void box_put_run(const box *b, uint16_t run)
{
    keyfile_body old;
    keyfile_body body;
    run_record record;
    read_run(&old, b);
    assert_int_equal(run_decode(&record, &old), QCD_STORE_OK);
    record.run = run;
    run_encode(&body, &record);
    memcpy(body.octets, old.octets,
           KEYFILE_BIRTH_LEN); /* it is the same file */
    write_body(b, &run_kind, &body);
}

void box_copy(const box *b, const char *name)
{
    char path[BOX_PATH_MAX];
    char old[BOX_PATH_MAX + 8];
    box_image image;
    box_path(path, b, name);
    (void)snprintf(old, sizeof(old), "%s.orig", path);
    box_save(&image, b, name);
    assert_true(image.is_there);
    assert_int_equal(rename(path, old), 0); /* its inode must stay in use */
    box_restore(b, name, &image);
    assert_int_equal(unlink(old), 0);
}

void box_make_old(const box *b, const qcd_store_identity *machine)
{
    keyfile_body body;
    qcd_secrets secrets;
    run_record record;
    box_secrets(&secrets, b);
    box_run(&record, b);
    identity_print print;
    identity_print_make(&print, machine);
    memcpy(secrets.machine, print.machine, sizeof(secrets.machine));
    secrets_encode(&body, &secrets);
    write_body(b, &secrets_kind, &body);

    body = (keyfile_body){.version = 2, .len = KEY_DIGEST_LEN + 4};
    memcpy(body.octets, record.key_digest, KEY_DIGEST_LEN);
    body.octets[KEY_DIGEST_LEN] = (uint8_t)(record.run >> 8);
    body.octets[KEY_DIGEST_LEN + 1] = (uint8_t)record.run;
    body.octets[KEY_DIGEST_LEN + 3] = (uint8_t)record.node;
    write_body(b, &run_kind, &body);
}

enum qcd_store_err box_open_as(qcd_store **out, qcd_store_report *report,
                               const box *b, const qcd_store_identity *identity,
                               uint8_t node)
{
    const qcd_store_settings settings = {
        .path = b->folder, .identity = identity, .node = node};
    return qcd_store_open(out, report, &settings, BOX_NOW);
}

enum qcd_store_err box_try(qcd_store **out, qcd_store_report *report,
                           const box *b)
{
    return box_open_as(out, report, b, &box_machine, BOX_NODE);
}

enum qcd_store_err box_start(qcd_store_report *report, const box *b,
                             const qcd_store_identity *identity, uint8_t node)
{
    qcd_store *store;
    enum qcd_store_err err = box_open_as(&store, report, b, identity, node);
    if (err == QCD_STORE_OK) {
        qcd_store_close(store);
    } else {
        assert_null(store);
    }
    return err;
}

qcd_store *box_open(const box *b, const char *row)
{
    qcd_store *store;
    qcd_store_report report;
    enum qcd_store_err err = box_try(&store, &report, b);
    if (err != QCD_STORE_OK) {
        fail_msg("row '%s': %d: %s", row, (int)err, report.text);
    }
    return store;
}

void box_kill(pid_t pid, uint64_t after_ns)
{
    const struct timespec moment = {.tv_nsec = (long)after_ns};
    int status;
    (void)nanosleep(&moment, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* otherwise it had an error */
}

size_t box_num_fds(void)
{
    size_t num = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        num++;
    }
    (void)closedir(dir);
    return num;
}

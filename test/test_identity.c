/* SPDX-License-Identifier: Apache-2.0 */
/* test_identity.c: src/store/identity.c. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/identity.h"
#include "store_box.h"

#define ID "4c3b2a19080f4e5d9c8b7a6918070605"
#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X128 X32 X32 X32 X32

static const struct {
    const char *name;
    const char *content; /* NULL: no file */
    const char *want;    /* NULL: an error */
} rows[] = {
    {"as systemd makes it", ID "\n", ID},
    {"without a newline", ID, ID},
    {"blanks behind", ID " \t\r\n\n", ID},
    {"blanks before are its own", " " ID "\n", " " ID},
    {"missing", NULL, ""},
    {"empty", "", ""},
    {"a newline", "\n", ""},
    {"the first boot", "uninitialized\n", ""},
    {"not quite the first boot", "uninitialised\n", "uninitialised"},
    {"longer than the first boot", "uninitialized2", "uninitialized2"},
    {"as long as may be", X128, X128},
    {"too long", X128 "x", NULL},
    {"too long by a newline", X128 "\n", NULL},
    {"much too long", X128 X128 X128, NULL},
};

static void put(const char *path, const char *content)
{
    (void)unlink(path);
    if (content != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(content, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
}

static void test_rows(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.400s/machine-id", b->root);
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const char *name = rows[i].name;
        qcd_store_identity identity;
        qcd_store_report report;
        dirty(&identity, sizeof(identity));
        put(path, rows[i].content);
        enum qcd_store_err err =
            qcd_store_identity_read(&identity, &report, path);
        if (rows[i].want == NULL) {
            CHECK_INT(name, err, QCD_STORE_ERR_DAMAGED);
            CHECK(name, strstr(report.text, "/machine-id is no regular file"));
            CHECK_ZERO(name, identity);
            continue;
        }
        CHECK_INT(name, err, QCD_STORE_OK);
        CHECK_INT(name, identity.len, strlen(rows[i].want));
        CHECK_OCTETS(name, identity.octets, rows[i].want, identity.len);
    }
}

/* Nothing that stands there may hold up the daemon. */
static void test_no_regular_file(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    char link[BOX_PATH_MAX];
    qcd_store_identity identity;
    qcd_store_report report;
    (void)snprintf(path, sizeof(path), "%.400s/fifo", b->root);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(qcd_store_identity_read(&identity, &report, path),
                     QCD_STORE_ERR_DAMAGED);
    assert_int_equal(qcd_store_identity_read(&identity, &report, b->root),
                     QCD_STORE_ERR_DAMAGED);

    /* A link is as good as the file: some have it from D-Bus. */
    (void)snprintf(path, sizeof(path), "%.400s/file", b->root);
    (void)snprintf(link, sizeof(link), "%.400s/link", b->root);
    put(path, ID "\n");
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(qcd_store_identity_read(&identity, &report, link),
                     QCD_STORE_OK);
    assert_int_equal(identity.len, 32);
}

static void test_digest(void **state)
{
    (void)state;
    uint8_t one[QCD_STORE_MACHINE_LEN];
    uint8_t other[QCD_STORE_MACHINE_LEN];
    /* printf 'qcd machine of a secrets fileone' | sha256sum */
    static const uint8_t want[QCD_STORE_MACHINE_LEN] = {
        0x64, 0x3a, 0xb9, 0xaa, 0x2a, 0xd3, 0x9a, 0x20, 0x7f, 0x68, 0x41,
        0xc2, 0xa7, 0x99, 0x53, 0x9c, 0x4e, 0xe9, 0x0c, 0xb2, 0x1e, 0x6e,
        0xf4, 0x1e, 0x60, 0x50, 0x9e, 0x95, 0xea, 0x4b, 0xd3, 0x39};
    identity_digest(one, &box_machine);
    assert_memory_equal(one, want, sizeof(want));
    identity_digest(other, &box_other_machine);
    assert_memory_not_equal(one, other, sizeof(one));
    identity_digest(other, &box_no_machine);
    assert_true(is_zero(other, sizeof(other)));

    /* What is behind the end of the octets does not count. */
    qcd_store_identity longer = box_machine;
    longer.octets[3] = 'x';
    identity_digest(other, &longer);
    assert_memory_equal(one, other, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_rows),
        BOX_TEST(test_no_regular_file),
        cmocka_unit_test(test_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

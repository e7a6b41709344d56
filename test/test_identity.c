/* SPDX-License-Identifier: Apache-2.0 */
/* test_identity.c: src/store/identity.c. */
#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/identity.h"
#include "store_box.h"

#define ID "4c3b2a19080f4e5d9c8b7a6918070605"
#define NO_PRODUCT "/nonexistent/product_uuid"
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
            qcd_store_identity_read(&identity, &report, path, NO_PRODUCT);
        if (rows[i].want == NULL) {
            CHECK_INT(name, err, QCD_STORE_ERR_DAMAGED);
            CHECK(name,
                  strstr(report.text, "/machine-id is not a regular file"));
            CHECK_ZERO(name, identity);
            continue;
        }
        CHECK_INT(name, err, QCD_STORE_OK);
        CHECK_INT(name, identity.len, strlen(rows[i].want));
        CHECK_OCTETS(name, identity.octets, rows[i].want, identity.len);
    }
}

/* A file of any type must not block the daemon. */
static void test_no_regular_file(void **state)
{
    const box *b = *state;
    char path[BOX_PATH_MAX];
    char link[BOX_PATH_MAX];
    qcd_store_identity identity;
    qcd_store_report report;
    (void)snprintf(path, sizeof(path), "%.400s/fifo", b->root);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(
        qcd_store_identity_read(&identity, &report, path, NO_PRODUCT),
        QCD_STORE_ERR_DAMAGED);
    assert_int_equal(
        qcd_store_identity_read(&identity, &report, b->root, NO_PRODUCT),
        QCD_STORE_ERR_DAMAGED);

    /* A link is as good as the file: some have it from D-Bus. */
    (void)snprintf(path, sizeof(path), "%.400s/file", b->root);
    (void)snprintf(link, sizeof(link), "%.400s/link", b->root);
    put(path, ID "\n");
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(
        qcd_store_identity_read(&identity, &report, link, NO_PRODUCT),
        QCD_STORE_OK);
    assert_int_equal(identity.len, 32);
}

static void digest(uint8_t out[QCD_STORE_MACHINE_LEN],
                   const qcd_store_identity *identity)
{
    identity_print print;
    identity_print_make(&print, identity);
    memcpy(out, print.machine, sizeof(print.machine));
}

static void test_digest(void **state)
{
    (void)state;
    uint8_t one[QCD_STORE_MACHINE_LEN];
    uint8_t other[QCD_STORE_MACHINE_LEN];
    /* printf 'qcd machine of a secrets fileone' | sha256sum */
    const char *want =
        "643ab9aa2ad39a207f6841c2a799539c4ee90cb21e6ef41e60509e95ea4bd339";
    digest(one, &box_machine);
    CHECK_HEX("one", one, sizeof(one), want);
    digest(other, &box_other_machine);
    assert_memory_not_equal(one, other, sizeof(one));
    digest(other, &box_no_machine);
    assert_true(is_zero(other, sizeof(other)));

    /* Octets after the end do not count. */
    qcd_store_identity longer = box_machine;
    longer.octets[3] = 'x';
    digest(other, &longer);
    assert_memory_equal(one, other, sizeof(one));
}

/* An invalid product UUID of any kind stops nobody. */
static void test_product(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        const char *content; /* NULL: no file */
        bool is_hidden;
        const char *want;
    } products[] = {
        {"an UUID", "6f63f1c5-55f6-4b0c-8f3c-4cd1f3e0b5f2\n", false,
         "6f63f1c5-55f6-4b0c-8f3c-4cd1f3e0b5f2"},
        {"missing", NULL, false, ""},
        {"empty", "", false, ""},
        {"too long", X128 "x", true, ""},
    };
    char machine[BOX_PATH_MAX];
    char product[BOX_PATH_MAX];
    qcd_store_identity identity;
    qcd_store_report report;
    (void)snprintf(machine, sizeof(machine), "%.400s/machine-id", b->root);
    (void)snprintf(product, sizeof(product), "%.400s/product", b->root);
    put(machine, "uninitialized\n");
    for (size_t i = 0; i < NUM_ROWS(products); i++) {
        const char *name = products[i].name;
        put(product, products[i].content);
        dirty(&identity, sizeof(identity));
        CHECK_INT(name,
                  qcd_store_identity_read(&identity, &report, machine, product),
                  QCD_STORE_OK);
        CHECK_INT(name, identity.is_product_hidden, products[i].is_hidden);
        CHECK_INT(name, identity.product_len, strlen(products[i].want));
        CHECK_OCTETS(name, identity.product, products[i].want,
                     identity.product_len);
        CHECK_INT(name, identity.len, 0);
    }
    assert_int_equal(
        qcd_store_identity_read(&identity, &report, machine, b->root),
        QCD_STORE_OK);
    assert_true(identity.is_product_hidden);
}

static void test_same_machine(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(box_pairs); i++) {
        identity_print then;
        identity_print now;
        identity_print_make(&then, box_pairs[i].then);
        identity_print_make(&now, box_pairs[i].now);
        CHECK_INT(box_pairs[i].name, identity_is_same(&then, &now),
                  box_pairs[i].is_same);
        identity_keep(&now, &then);
        CHECK(box_pairs[i].name,
              !box_pairs[i].is_same || identity_is_same(&now, &then));
    }
    /* What was known once is remembered while it is hidden. */
    identity_print known;
    identity_print hidden;
    identity_print other;
    identity_print_make(&known, &box_product);
    identity_print_make(&hidden, &box_hidden_product);
    identity_print_make(&other, &box_other_product);
    identity_keep(&hidden, &known);
    assert_false(identity_is_same(&hidden, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_rows),
        BOX_TEST(test_no_regular_file),
        cmocka_unit_test(test_digest),
        BOX_TEST(test_product),
        cmocka_unit_test(test_same_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_rd.c: src/rd.h and src/wr.h, the reader and the writer, which check all
 * bounds. */
#include "test.h"

#include "rd.h"
#include "wr.h"

static const struct {
    const char *name;
    size_t have;
    size_t take;
    bool fits;
} bounds[] = {
    {"nothing of nothing", 0, 0, true},
    {"one of nothing", 0, 1, false},
    {"nothing of one", 1, 0, true},
    {"all", 8, 8, true},
    {"one more than all", 8, 9, false},
    {"one less than all", 8, 7, true},
    {"so much that a sum would wrap", 8, SIZE_MAX, false},
    {"so much that a pointer would wrap", 8, SIZE_MAX - 7, false},
};

static void test_read_bounds(void **state)
{
    uint8_t in[8];

    (void)state;
    count_up(in, 1, sizeof(in));
    for (size_t i = 0; i < NUM_ROWS(bounds); i++) {
        rd r;

        rd_init(&r, in, bounds[i].have);
        const uint8_t *p = rd_bytes(&r, bounds[i].take);
        CHECK(bounds[i].name, (p == in) == bounds[i].fits);
        CHECK(bounds[i].name, (p == NULL) == !bounds[i].fits);
        CHECK(bounds[i].name, r.bad == !bounds[i].fits);
        CHECK_INT(bounds[i].name, r.len,
                  bounds[i].fits ? bounds[i].have - bounds[i].take : 0);

        uint8_t out[sizeof(in) + 1] = {0};
        uint8_t want[sizeof(out)] = {0};
        if (bounds[i].fits) {
            memcpy(want, in, bounds[i].take);
        }
        rd_init(&r, in, bounds[i].have);
        rd_copy(&r, out, bounds[i].take);
        CHECK_OCTETS(bounds[i].name, out, want, sizeof(want));
        CHECK(bounds[i].name, r.bad == !bounds[i].fits);
    }
}

static void test_write_bounds(void **state)
{
    uint8_t in[16] = {1};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(bounds); i++) {
        uint8_t out[9];
        wr w;

        dirty(out, sizeof(out));
        wr_init(&w, out, bounds[i].have);
        wr_bytes(&w, in, bounds[i].take);
        CHECK(bounds[i].name, w.bad == !bounds[i].fits);
        CHECK_INT(bounds[i].name, w.len, bounds[i].fits ? bounds[i].take : 0);
        CHECK_INT(bounds[i].name, out[w.len], 0xa5);
    }
}

static void test_bad_reader_stays_bad(void **state)
{
    uint8_t in[3] = {0xff, 0xff, 0xff};
    rd sub;
    rd r;

    (void)state;
    rd_init(&r, in, sizeof(in));
    assert_int_equal(rd_be32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(rd_be16(&r), 0);
    assert_int_equal(rd_be64(&r), 0);
    assert_null(rd_bytes(&r, 0));
    rd_sub(&sub, &r, 0);
    assert_true(sub.bad);
    assert_int_equal(sub.len, 0);
}

static void test_bad_writer_stays_bad(void **state)
{
    uint8_t out[4];
    wr w;

    (void)state;
    dirty(out, sizeof(out));
    wr_init(&w, out, sizeof(out));
    wr_u8(&w, 1);
    wr_be32(&w, 2);
    wr_u8(&w, 3);
    assert_true(w.bad);
    assert_int_equal(w.len, 1);
    assert_int_equal(out[1], 0xa5);
}

static void test_sub_reader(void **state)
{
    uint8_t in[4] = {1, 2, 3, 4};
    rd sub;
    rd r;

    (void)state;
    rd_init(&r, in, sizeof(in));
    rd_sub(&sub, &r, 3);
    assert_int_equal(rd_be16(&sub), 0x0102);
    assert_int_equal(rd_be16(&sub), 0);
    assert_true(sub.bad);
    assert_false(r.bad);
    assert_int_equal(rd_u8(&r), 4);
    rd_sub(&sub, &r, 0);
    assert_false(sub.bad);
    rd_sub(&sub, &r, 1);
    assert_true(sub.bad);
    assert_true(r.bad);
}

static void test_null_input(void **state)
{
    rd r;
    wr w;

    (void)state;
    rd_init(&r, NULL, 0);
    assert_false(r.bad);
    assert_non_null(rd_bytes(&r, 0));
    rd_init(&r, NULL, 1);
    assert_true(r.bad);
    wr_init(&w, NULL, 10);
    wr_u8(&w, 1);
    assert_true(w.bad);
    wr_init(&w, NULL, 0);
    wr_bytes(&w, NULL, 0);
    assert_false(w.bad);
}

static void test_numbers_are_big_endian(void **state)
{
    uint8_t want[1 + 2 + 4 + 8 + 3];
    uint8_t out[sizeof(want)];
    rd r;
    wr w;

    (void)state;
    count_up(want, 0xf1, sizeof(want));
    wr_init(&w, out, sizeof(out));
    wr_u8(&w, 0xf1);
    wr_be16(&w, 0xf2f3);
    wr_be32(&w, 0xf4f5f6f7);
    wr_be64(&w, 0xf8f9fafbfcfdfeff);
    wr_be(&w, 0x000102, 3);
    assert_false(w.bad);
    assert_memory_equal(out, want, sizeof(want));

    rd_init(&r, out, sizeof(out));
    assert_int_equal(rd_u8(&r), 0xf1);
    assert_int_equal(rd_be16(&r), 0xf2f3);
    assert_int_equal(rd_be32(&r), 0xf4f5f6f7);
    assert_true(rd_be64(&r) == 0xf8f9fafbfcfdfeffu);
    assert_int_equal(rd_be(&r, 3), 0x000102);
    assert_false(r.bad);
    assert_int_equal(r.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_bounds),
        cmocka_unit_test(test_write_bounds),
        cmocka_unit_test(test_bad_reader_stays_bad),
        cmocka_unit_test(test_bad_writer_stays_bad),
        cmocka_unit_test(test_sub_reader),
        cmocka_unit_test(test_null_input),
        cmocka_unit_test(test_numbers_are_big_endian),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

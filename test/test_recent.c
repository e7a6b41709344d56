/* SPDX-License-Identifier: Apache-2.0 */
/* test_recent.c: tool/recent.c. */
#include "test.h"

#include "recent.h"

typedef struct entry {
    recent_link link;
    uint32_t key;
    uint32_t value;
} entry;

static const uint8_t hash_key[RECENT_KEY_LEN] = {1, 2, 3};

static entry *take(recent *r, bool *out_is_new, uint32_t key)
{
    return recent_take(r, out_is_new, &key);
}

static entry *find(recent *r, uint32_t key)
{
    return recent_find(r, &key);
}

static void open_table(recent *r, uint32_t cap)
{
    assert_true(recent_open(r, sizeof(uint32_t), sizeof(entry), cap, hash_key));
}

static void test_take_and_find(void **state)
{
    recent r;
    bool is_new;
    (void)state;
    open_table(&r, 100);
    assert_null(find(&r, 7));
    for (uint32_t i = 0; i < 100; i++) {
        entry *e = take(&r, &is_new, i);
        assert_true(is_new);
        assert_int_equal(e->value, 0);
        e->value = i + 1000;
        assert_ptr_equal(recent_at(&r, recent_index(&r, e)), e);
    }
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(find(&r, i)->value, i + 1000);
        assert_int_equal(take(&r, &is_new, i)->value, i + 1000);
        assert_false(is_new);
    }
    assert_int_equal(r.num, 100);
    assert_int_equal(r.num_dropped, 0);
    recent_close(&r);
    recent_close(&r);
}

/* The entry that goes is the one that was not used for the longest time. */
static void test_full(void **state)
{
    recent r;
    bool is_new;
    (void)state;
    open_table(&r, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        take(&r, &is_new, i)->value = i;
    }
    assert_non_null(find(&r, 1));
    entry *e = take(&r, &is_new, 4);
    assert_true(is_new);
    assert_int_equal(e->value, 0);
    assert_null(find(&r, 2));
    assert_non_null(find(&r, 1));
    assert_non_null(find(&r, 3));
    assert_non_null(find(&r, 4));
    assert_int_equal(r.num_dropped, 1);
    recent_close(&r);
}

static void test_keeps(void **state)
{
    recent r;
    bool is_new;
    (void)state;
    open_table(&r, 2);
    r.keeps = true;
    take(&r, &is_new, 1)->value = 10;
    take(&r, &is_new, 2)->value = 20;
    assert_null(take(&r, &is_new, 3));
    assert_false(is_new);
    assert_int_equal(r.num_dropped, 1);
    assert_int_equal(take(&r, &is_new, 1)->value, 10);
    assert_int_equal(find(&r, 2)->value, 20);
    recent_close(&r);
}

/* A table of one entry, and a long run against a simple model: an array of the
 * keys in the order of their use. */
static void check_model(uint32_t cap)
{
    recent r;
    bool is_new;
    uint32_t used[8];
    uint32_t num = 0;
    uint64_t seed = cap;
    open_table(&r, cap);
    for (int i = 0; i < 20000; i++) {
        uint32_t key = (uint32_t)(random64(&seed) % 12);
        uint32_t at = 0;
        while (at < num && used[at] != key) {
            at++;
        }
        bool is_known = at < num;
        entry *e = take(&r, &is_new, key);
        assert_int_equal(is_new, !is_known);
        assert_int_equal(e->key, key);
        if (!is_known && num < cap) {
            num++;
        }
        at = is_known ? at : num - 1;
        memmove(used + 1, used, at * sizeof(used[0]));
        used[0] = key;
        assert_int_equal(r.num, num);
    }
    recent_close(&r);
}

static void test_model(void **state)
{
    (void)state;
    check_model(1);
    check_model(2);
    check_model(8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_find),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_keeps),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests_name("recent", tests, NULL, NULL);
}

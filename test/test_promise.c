/* SPDX-License-Identifier: Apache-2.0 */
/* test_promise.c: src/promise.c. */
#include "test.h"

#include <qcd/qcd.h>

static const qcd_address home = {4, {192, 0, 2, 1}};
static const qcd_address away = {4, {192, 0, 2, 2}};
static const qcd_address v6 = {16, {192, 0, 2, 1}};
/* Octets beyond len are not looked at. */
static const qcd_address home_dirty = {4, {192, 0, 2, 1, 99, 99}};

static qcd_secret secret_of(uint8_t n)
{
    qcd_secret secret;

    count_up(&secret, n, sizeof(secret));
    return secret;
}

/* Keys whose count of rotations stands at `newest`. */
static qcd_keys make_keys(uint32_t newest)
{
    const qcd_secret secret = secret_of(1);
    qcd_keys keys;

    assert_int_equal(qcd_keys_init(&keys, &secret, 1), QCD_OK);
    keys.newest = newest;
    return keys;
}

/* RFC 6290 section 4.4: a new token is due if and only if the old one is of
 * no use any more, or the next rotation takes it away. */
static const struct {
    const char *name;
    const qcd_address *given;
    const qcd_address *now;
    unsigned rotations;
    bool is_due;
    bool blocks;
} rows[] = {
    {"as it was", NULL, NULL, 0, false, false},
    {"1 rotation", NULL, NULL, 1, false, false},
    {"2 rotations", NULL, NULL, 2, false, false},
    {"3 rotations", NULL, NULL, 3, true, true},
    {"4 rotations", NULL, NULL, 4, true, false},
    {"5 rotations", NULL, NULL, 5, true, false},
    {"same address", &home, &home, 0, false, false},
    {"same address, dirty", &home, &home_dirty, 0, false, false},
    {"same address, 2 rotations", &home, &home, 2, false, false},
    {"same address, 3 rotations", &home, &home, 3, true, true},
    {"another address", &home, &away, 0, true, false},
    {"another address, 2 rotations", &home, &away, 2, true, false},
    {"another family", &home, &v6, 0, true, false},
    {"another family, back", &v6, &home, 0, true, false},
    {"bound before, not now", &home, NULL, 0, true, false},
    {"not bound before, now it is", NULL, &home, 0, true, false},
};

static void test_when_it_is_due(void **state)
{
    /* The count may wrap. */
    static const uint32_t counts[] = {0, 7, UINT32_MAX - 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        for (size_t c = 0; c < NUM_ROWS(counts); c++) {
            qcd_keys keys = make_keys(counts[c]);
            qcd_promise promise;

            dirty(&promise, sizeof(promise));
            qcd_promise_give(&promise, &keys, rows[i].given);
            for (unsigned n = 0; n < rows[i].rotations; n++) {
                const qcd_secret secret = secret_of((uint8_t)(40 + n));

                qcd_keys_rotate(&keys, &secret);
            }
            CHECK_INT(rows[i].name,
                      qcd_promise_is_due(&promise, &keys, rows[i].now),
                      rows[i].is_due);
            CHECK_INT(rows[i].name,
                      qcd_promise_blocks_rotation(&promise, &keys),
                      rows[i].blocks);
        }
    }
}

static void test_nothing_given(void **state)
{
    const qcd_promise promise = {0};

    (void)state;
    for (uint32_t newest = 0; newest < 6; newest++) {
        const qcd_keys keys = make_keys(newest);

        assert_true(qcd_promise_is_due(&promise, &keys, NULL));
        assert_true(qcd_promise_is_due(&promise, &keys, &home));
        assert_false(qcd_promise_blocks_rotation(&promise, &keys));
    }
}

/* What it is for: as long as no rotation happens against it, the token that
 * the peer holds can be made. */
static void test_a_token_that_is_held_can_be_made(void **state)
{
    const qcd_spis spis = {{{1}}, {{2}}};
    qcd_keys keys = make_keys(0);
    qcd_promise promise;
    qcd_token held;

    (void)state;
    qcd_promise_give(&promise, &keys, NULL);
    assert_int_equal(
        qcd_token_make(&held, &keys, 0, &spis, QCD_INITIATOR, NULL, 32),
        QCD_OK);
    for (uint8_t n = 0; !qcd_promise_blocks_rotation(&promise, &keys); n++) {
        const qcd_secret secret = secret_of((uint8_t)(80 + n));

        qcd_keys_rotate(&keys, &secret);
        assert_true(n < QCD_GENERATIONS_MAX);
    }
    qcd_token oldest;
    assert_int_equal(qcd_token_make(&oldest, &keys, QCD_GENERATIONS_MAX - 1,
                                    &spis, QCD_INITIATOR, NULL, 32),
                     QCD_OK);
    assert_memory_equal(&oldest, &held, sizeof(held));
    /* And it is due, and given, and no longer in the way. */
    assert_true(qcd_promise_is_due(&promise, &keys, NULL));
    qcd_promise_give(&promise, &keys, NULL);
    assert_false(qcd_promise_is_due(&promise, &keys, NULL));
    assert_false(qcd_promise_blocks_rotation(&promise, &keys));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_it_is_due),
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_a_token_that_is_held_can_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

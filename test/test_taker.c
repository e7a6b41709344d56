/* SPDX-License-Identifier: Apache-2.0 */
/* test_taker.c: src/taker.c. */
#include "test.h"

#include <qcd/qcd.h>

static qcd_digest_key make_key(uint8_t first)
{
    uint8_t octets[QCD_RANDOM_KEY_LEN];
    qcd_digest_key key;

    count_up(octets, first, sizeof(octets));
    qcd_digest_key_init(&key, octets);
    return key;
}

/* The token number `n`, of `len` octets. */
static qcd_token token(uint8_t n, uint8_t len)
{
    qcd_token t = {.len = len};

    memset(t.octets, n, len);
    return t;
}

static enum qcd_verdict verify_one(const qcd_held *held,
                                   const qcd_digest_key *key,
                                   const qcd_token *shown)
{
    qcd_message m = {.num_tokens = 1};

    m.tokens[0] = *shown;
    return qcd_held_verify(held, key, &m);
}

/* Tokens are numbered; each row stores some in their order. */
static const struct {
    const char *name;
    uint8_t stored[8];
    uint8_t num_held;
    uint8_t matches[8]; /* the rest of 1 to 7 does not */
} rows[] = {
    {"nothing held", {0}, 0, {0}},
    {"one", {1}, 1, {1}},
    {"four", {1, 2, 3, 4}, 4, {1, 2, 3, 4}},
    {"a fifth drops the oldest", {1, 2, 3, 4, 5}, 4, {2, 3, 4, 5}},
    {"a sixth the next", {1, 2, 3, 4, 5, 6}, 4, {3, 4, 5, 6}},
    {"the same twice", {1, 1}, 1, {1}},
    {"the same drops nothing", {1, 2, 3, 4, 2, 4}, 4, {1, 2, 3, 4}},
    {"one that was dropped", {1, 2, 3, 4, 5, 1}, 4, {3, 4, 5, 1}},
};

static bool is_among(const uint8_t list[8], uint8_t n)
{
    return memchr(list, n, 8) != NULL;
}

static void test_what_is_held(void **state)
{
    qcd_digest_key key = make_key(1);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_held held = {0};

        for (const uint8_t *n = rows[i].stored; *n != 0; n++) {
            qcd_token t = token(*n, 32);

            qcd_held_store(&held, &key, &t);
        }
        CHECK_INT(rows[i].name, held.num, rows[i].num_held);
        for (uint8_t n = 1; n < 8; n++) {
            qcd_token t = token(n, 32);

            CHECK_INT(rows[i].name, verify_one(&held, &key, &t),
                      is_among(rows[i].matches, n) ? QCD_MATCH : QCD_NO_MATCH);
        }
    }
}

/* RFC 6290 section 4.5: verified if any of the tokens matches. */
static void test_any_token_of_a_message(void **state)
{
    qcd_digest_key key = make_key(1);
    qcd_token good = token(9, 16);
    qcd_held held = {0};

    (void)state;
    qcd_held_store(&held, &key, &good);
    for (size_t num = 0; num <= QCD_TOKENS_READ_MAX; num++) {
        for (size_t at = 0; at < QCD_TOKENS_READ_MAX; at++) {
            qcd_message m = {.num_tokens = num};

            for (size_t i = 0; i < QCD_TOKENS_READ_MAX; i++) {
                m.tokens[i] = token((uint8_t)(i + 1), 16);
            }
            m.tokens[at] = good;
            assert_int_equal(qcd_held_verify(&held, &key, &m),
                             at < num ? QCD_MATCH : QCD_NO_MATCH);
        }
    }
}

/* Every bit of a token counts, and its length. */
static void test_near_misses(void **state)
{
    static const uint8_t lens[] = {16, 31, 32, 33, 64, 127, 128};
    qcd_digest_key key = make_key(1);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        qcd_token good = token(9, lens[i]);
        qcd_held held = {0};

        qcd_held_store(&held, &key, &good);
        assert_int_equal(verify_one(&held, &key, &good), QCD_MATCH);
        for (size_t bit = 0; bit < (size_t)lens[i] * 8; bit++) {
            qcd_token bad = good;

            bad.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(verify_one(&held, &key, &bad), QCD_NO_MATCH);
        }
        for (uint8_t len = 16; len <= 128; len++) {
            qcd_token other = token(9, len);

            assert_int_equal(verify_one(&held, &key, &other),
                             len == lens[i] ? QCD_MATCH : QCD_NO_MATCH);
        }
    }
}

/* RFC 6290 section 3: what is stored is a digest, not the token. */
static void test_no_token_is_stored(void **state)
{
    qcd_digest_key key = make_key(1);
    qcd_token t = token(0, 32);
    qcd_held held = {0};

    (void)state;
    count_up(t.octets, 0x40, 32);
    qcd_held_store(&held, &key, &t);
    for (size_t at = 0; at + 4 <= sizeof(held); at++) {
        for (size_t i = 0; i + 4 <= 32; i++) {
            assert_memory_not_equal((const uint8_t *)&held + at, t.octets + i,
                                    4);
        }
    }
}

static void test_other_key(void **state)
{
    qcd_digest_key key = make_key(1);
    qcd_digest_key other = make_key(2);
    qcd_token t = token(9, 32);
    qcd_held held = {0};

    (void)state;
    qcd_held_store(&held, &key, &t);
    assert_int_equal(verify_one(&held, &other, &t), QCD_NO_MATCH);
}

/* A digest of all zeros in a place that is not in use is no token. */
static void test_empty_places_do_not_match(void **state)
{
    qcd_digest_key key = make_key(1);
    qcd_token t = token(9, 32);
    qcd_held held = {0};

    (void)state;
    qcd_held_store(&held, &key, &t);
    held.num = 0;
    assert_int_equal(verify_one(&held, &key, &t), QCD_NO_MATCH);
}

/* Decoded from a message: the ninth token is not looked at. */
static void test_ninth_token_is_skipped(void **state)
{
    uint8_t in[QCD_HEADER_LEN + 9 * (8 + 16)] = {0};
    qcd_digest_key key = make_key(1);

    (void)state;
    in[16] = 41;
    in[17] = 0x20;
    in[18] = 37;
    in[26] = (uint8_t)(sizeof(in) >> 8);
    in[27] = (uint8_t)sizeof(in);
    for (size_t i = 0; i < 9; i++) {
        uint8_t *p = in + QCD_HEADER_LEN + i * 24;

        p[0] = i < 8 ? 41 : 0;
        p[3] = 24;
        p[6] = 0x40;
        p[7] = 0x23;
        memset(p + 8, (int)i + 1, 16);
    }
    for (uint8_t n = 1; n <= 9; n++) {
        qcd_token t = token(n, 16);
        qcd_held held = {0};
        qcd_message m;

        qcd_held_store(&held, &key, &t);
        assert_int_equal(qcd_message_decode(&m, in, sizeof(in)), QCD_OK);
        assert_int_equal(m.num_skipped, 1);
        assert_int_equal(qcd_held_verify(&held, &key, &m),
                         n <= 8 ? QCD_MATCH : QCD_NO_MATCH);
    }
}

static void test_key_wipe(void **state)
{
    qcd_digest_key key = make_key(1);

    (void)state;
    qcd_digest_key_wipe(&key);
    assert_true(is_zero(&key, sizeof(key)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_held),
        cmocka_unit_test(test_any_token_of_a_message),
        cmocka_unit_test(test_near_misses),
        cmocka_unit_test(test_no_token_is_stored),
        cmocka_unit_test(test_other_key),
        cmocka_unit_test(test_empty_places_do_not_match),
        cmocka_unit_test(test_ninth_token_is_skipped),
        cmocka_unit_test(test_key_wipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

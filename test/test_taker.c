/* SPDX-License-Identifier: Apache-2.0 */
/* test_taker.c: src/taker.c. */
#include "test.h"

#include "parts.h"

static qcd_taker takers[2];

static qcd_taker *make_taker(size_t which)
{
    uint8_t random[QCD_RANDOM_KEY_LEN];

    count_up(random, (uint8_t)(which + 1), sizeof(random));
    assert_int_equal(qcd_taker_init(&takers[which], 10, random), QCD_OK);
    return &takers[which];
}

/* Token number `n`, of `len` octets. */
static qcd_token token(uint8_t n, uint8_t len)
{
    qcd_token t = {.len = len};

    memset(t.octets, n, len);
    return t;
}

/* As if nothing had been shown before. */
static enum qcd_verdict check(const qcd_taker *taker, const qcd_held *held,
                              const qcd_message *m)
{
    qcd_held copy = *held;

    return qcd_taker_check(taker, &copy, m);
}

static enum qcd_verdict check_one(const qcd_taker *taker, const qcd_held *held,
                                  const qcd_token *shown)
{
    qcd_message m = {.num_tokens = 1};

    m.tokens[0] = *shown;
    return check(taker, held, &m);
}

/* Tokens have numbers; each row stores some in its order. */
static const struct {
    const char *name;
    uint8_t stored[8];
    uint8_t num_held;
    uint8_t matches[8]; /* the other ones of 1 to 7 do not */
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
    const qcd_taker *taker = make_taker(0);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_held held = {0};

        for (const uint8_t *n = rows[i].stored; *n != 0; n++) {
            qcd_token t = token(*n, 32);

            qcd_taker_store(taker, &held, &t);
        }
        CHECK_INT(rows[i].name, held.num, rows[i].num_held);
        for (uint8_t n = 1; n < 8; n++) {
            qcd_token t = token(n, 32);

            CHECK_INT(rows[i].name, check_one(taker, &held, &t),
                      is_among(rows[i].matches, n) ? QCD_MATCH : QCD_NO_MATCH);
        }
    }
}

/* RFC 6290 section 4.5: verified if any of the tokens matches. */
static void test_any_token_of_a_message(void **state)
{
    const qcd_taker *taker = make_taker(0);
    qcd_token good = token(9, 16);
    qcd_held held = {0};

    (void)state;
    qcd_taker_store(taker, &held, &good);
    for (size_t num = 0; num <= QCD_TOKENS_READ_MAX; num++) {
        for (size_t at = 0; at < QCD_TOKENS_READ_MAX; at++) {
            qcd_message m = {.num_tokens = num};

            for (size_t i = 0; i < QCD_TOKENS_READ_MAX; i++) {
                m.tokens[i] = token((uint8_t)(i + 1), 16);
            }
            m.tokens[at] = good;
            assert_int_equal(check(taker, &held, &m),
                             at < num ? QCD_MATCH : QCD_NO_MATCH);
        }
    }
}

/* Every bit of a token counts, and its length. */
static void test_near_misses(void **state)
{
    static const uint8_t lens[] = {16, 31, 32, 33, 64, 127, 128};
    const qcd_taker *taker = make_taker(0);

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        qcd_token good = token(9, lens[i]);
        qcd_held held = {0};

        qcd_taker_store(taker, &held, &good);
        assert_int_equal(check_one(taker, &held, &good), QCD_MATCH);
        for (size_t bit = 0; bit < (size_t)lens[i] * 8; bit++) {
            qcd_token bad = good;

            bad.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(check_one(taker, &held, &bad), QCD_NO_MATCH);
        }
        for (uint8_t len = 16; len <= 128; len++) {
            qcd_token other = token(9, len);

            assert_int_equal(check_one(taker, &held, &other),
                             len == lens[i] ? QCD_MATCH : QCD_NO_MATCH);
        }
    }
}

/* RFC 6290 section 3: a digest is stored, not the token. */
static void test_no_token_is_stored(void **state)
{
    const qcd_taker *taker = make_taker(0);
    qcd_token t = token(0, 32);
    qcd_held held = {0};

    (void)state;
    count_up(t.octets, 0x40, 32);
    qcd_taker_store(taker, &held, &t);
    for (size_t at = 0; at + 4 <= sizeof(held); at++) {
        for (size_t i = 0; i + 4 <= 32; i++) {
            assert_memory_not_equal((const uint8_t *)&held + at, t.octets + i,
                                    4);
        }
    }
}

static void test_other_key(void **state)
{
    const qcd_taker *taker = make_taker(0);
    const qcd_taker *other = make_taker(1);
    qcd_token t = token(9, 32);
    qcd_held held = {0};

    (void)state;
    qcd_taker_store(taker, &held, &t);
    assert_int_equal(check_one(other, &held, &t), QCD_NO_MATCH);
}

/* A digest of all zeros in an unused place is no token. */
static void test_empty_places_do_not_match(void **state)
{
    const qcd_taker *taker = make_taker(0);
    qcd_token t = token(9, 32);
    qcd_held held = {0};

    (void)state;
    qcd_taker_store(taker, &held, &t);
    held.num = 0;
    assert_int_equal(check_one(taker, &held, &t), QCD_NO_MATCH);
}

/* Decoded from a message: the ninth token is ignored. */
static void test_ninth_token_is_skipped(void **state)
{
    uint8_t in[QCD_HEADER_LEN + 9 * (8 + 16)] = {0};
    const qcd_taker *taker = make_taker(0);

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

        qcd_taker_store(taker, &held, &t);
        assert_int_equal(qcd_message_decode(&m, in, sizeof(in)), QCD_OK);
        assert_int_equal(m.num_skipped, 1);
        assert_int_equal(check(taker, &held, &m),
                         n <= 8 ? QCD_MATCH : QCD_NO_MATCH);
    }
}

/* A match is acted on once.  Repeating the message, or showing another token of
 * the same peer, causes no more work. */
static void test_shown_again(void **state)
{
    const qcd_taker *taker = make_taker(0);
    const qcd_token good[] = {token(1, 32), token(2, 32)};
    qcd_message bad = {.num_tokens = 1};
    qcd_held held = {0};

    (void)state;
    bad.tokens[0] = token(3, 32);
    for (size_t i = 0; i < 2; i++) {
        qcd_taker_store(taker, &held, &good[i]);
    }
    assert_int_equal(qcd_taker_check(taker, &held, &bad), QCD_NO_MATCH);
    for (int i = 0; i < 4; i++) {
        qcd_message m = {.num_tokens = 1};

        m.tokens[0] = good[i % 2];
        assert_int_equal(qcd_taker_check(taker, &held, &m),
                         i == 0 ? QCD_MATCH : QCD_MATCHED);
        assert_int_equal(qcd_taker_check(taker, &held, &bad), QCD_NO_MATCH);
    }
}

/* Messages about one SA from one source: a burst of ten, and then as many as
 * all such messages share. */
static void test_may_check(void **state)
{
    const qcd_address source = {4, {192, 0, 2, 1}};
    const qcd_spis spis = {{{1}}, {{2}}};
    qcd_taker *taker = make_taker(0);
    uint32_t passed = 0;

    (void)state;
    for (uint32_t i = 0; i < 2 * QCD_VERIFY_RATE_COMMON; i++) {
        passed += qcd_taker_may_check(taker, &source, &spis, 1000);
    }
    assert_int_equal(passed, 10 + QCD_VERIFY_RATE_COMMON);
}

static void test_init_and_wipe(void **state)
{
    static const uint32_t rates[] = {0, 1, QCD_RATE_MAX, QCD_RATE_MAX + 1};
    const uint8_t random[QCD_RANDOM_KEY_LEN] = {1};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rates); i++) {
        qcd_taker *taker = &takers[0];
        bool is_good = rates[i] <= QCD_RATE_MAX;

        dirty(taker, sizeof(*taker));
        assert_int_equal(qcd_taker_init(taker, rates[i], random),
                         is_good ? QCD_OK : QCD_ERR_RANGE);
        assert_int_equal(is_zero(taker, sizeof(*taker)), !is_good);
        qcd_taker_wipe(taker);
        assert_true(is_zero(taker, sizeof(*taker)));
    }
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
        cmocka_unit_test(test_shown_again),
        cmocka_unit_test(test_may_check),
        cmocka_unit_test(test_init_and_wipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

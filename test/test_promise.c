/* SPDX-License-Identifier: Apache-2.0 */
/* test_promise.c: src/promise.c. */
#include "test.h"

#include "parts.h"

static const qcd_address home = {4, {192, 0, 2, 1}};
static const qcd_address away = {4, {192, 0, 2, 2}};
static const qcd_address v6 = {16, {192, 0, 2, 1}};
/* Octets beyond len are ignored. */
static const qcd_address home_dirty = {4, {192, 0, 2, 1, 99, 99}};

static qcd_secret secret_of(uint8_t n)
{
    qcd_secret secret;

    count_up(&secret, n, sizeof(secret));
    return secret;
}

static qcd_maker maker;
static qcd_ike_sa sa; /* of this process */

/* A maker whose count of rotations is at `newest`. */
static void make_maker(uint32_t newest)
{
    const qcd_maker_settings settings = {.token_len = 32};
    qcd_maker_state begin = {.num_secrets = 1, .run = 5};

    begin.secrets[0] = secret_of(1);
    count_up(begin.seal_key, 1, sizeof(begin.seal_key));
    assert_int_equal(qcd_maker_init(&maker, &settings, &begin), QCD_OK);
    maker.keys.newest = newest;
    sa = (qcd_ike_sa){{{{1}}, {{2}}}, QCD_RESPONDER};
    assert_int_equal(qcd_maker_mint(&maker, &sa.spis.responder), QCD_OK);
}

static void rotate(unsigned times)
{
    for (unsigned n = 0; n < times; n++) {
        const qcd_secret secret = secret_of((uint8_t)(40 + n));

        qcd_maker_rotate(&maker, &secret);
    }
}

/* Tokens are bound unless `taker` is NULL. */
static bool is_due(const qcd_promise *promise, const qcd_address *taker)
{
    maker.settings.is_bound = taker != NULL;
    return qcd_maker_is_due(&maker, promise, &sa,
                            taker != NULL ? taker : &home);
}

static bool offer(qcd_promise *promise, const qcd_address *taker,
                  const uint32_t *request, qcd_token *out)
{
    const qcd_offer what = {.taker = taker != NULL ? *taker : home,
                            .is_request = request != NULL,
                            .message_id = request != NULL ? *request : 0};

    maker.settings.is_bound = taker != NULL;
    dirty(out, sizeof(*out));
    bool is_offered = qcd_maker_offer(&maker, promise, out, &sa, &what);
    assert_int_equal(is_zero(out, sizeof(*out)), !is_offered);
    return is_offered;
}

/* The token in a response: the peer holds it. */
static qcd_token give(qcd_promise *promise, const qcd_address *taker)
{
    qcd_token token;

    assert_true(offer(promise, taker, NULL, &token));
    return token;
}

/* RFC 6290 section 4.4: a new token is due if and only if the old one is
 * useless, or the next rotation makes it so. */
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
            qcd_promise promise = {0};

            make_maker(counts[c]);
            give(&promise, rows[i].given);
            rotate(rows[i].rotations);
            CHECK_INT(rows[i].name, is_due(&promise, rows[i].now),
                      rows[i].is_due);
            CHECK_INT(rows[i].name, qcd_maker_is_last(&maker, &promise),
                      rows[i].blocks);
            CHECK_INT(rows[i].name, qcd_maker_age(&maker, &promise),
                      rows[i].rotations);
        }
    }
}

static void test_nothing_given(void **state)
{
    const qcd_promise promise = {0};

    (void)state;
    for (uint32_t newest = 0; newest < 6; newest++) {
        make_maker(newest);
        assert_true(is_due(&promise, NULL));
        assert_true(is_due(&promise, &home));
        assert_false(qcd_maker_is_last(&maker, &promise));
    }
}

/* The purpose: as long as no rotation happens in spite of it, the token that
 * the peer holds can be made. */
static void test_a_token_that_is_held_can_be_made(void **state)
{
    qcd_promise promise = {0};

    (void)state;
    make_maker(0);
    const qcd_token held = give(&promise, NULL);
    for (unsigned n = 0; !qcd_maker_is_last(&maker, &promise); n++) {
        rotate(1);
        assert_true(n < QCD_GENERATIONS_MAX);
    }
    qcd_token oldest;
    assert_int_equal(
        token_make(&maker, &oldest, &sa, QCD_GENERATIONS_MAX - 1, NULL),
        QCD_OK);
    assert_memory_equal(&oldest, &held, sizeof(held));
    /* And it is due, and given, and no longer an obstacle. */
    assert_true(is_due(&promise, NULL));
    give(&promise, NULL);
    assert_false(is_due(&promise, NULL));
    assert_false(qcd_maker_is_last(&maker, &promise));
}

/* A token in a request is on its way until the response, and no second one is
 * sent meanwhile.  The old token is the one that the peer certainly holds. */
static void test_on_its_way(void **state)
{
    const uint32_t message_id = 17;
    qcd_promise promise = {0};
    qcd_token token;

    (void)state;
    make_maker(0);
    give(&promise, NULL);
    rotate(3);
    assert_true(offer(&promise, NULL, &message_id, &token));
    assert_false(is_due(&promise, NULL));
    assert_false(offer(&promise, NULL, NULL, &token));
    assert_true(qcd_maker_is_last(&maker, &promise));
    assert_false(qcd_promise_answered(&promise, message_id - 1));
    assert_false(qcd_promise_answered(&promise, message_id + 1));
    assert_int_equal(qcd_maker_age(&maker, &promise), 3);
    rotate(1); /* while it was on its way */
    assert_true(qcd_promise_answered(&promise, message_id));
    assert_int_equal(qcd_maker_age(&maker, &promise), 1);
    assert_false(qcd_promise_answered(&promise, message_id));
    assert_false(is_due(&promise, NULL));
}

/* The peer moved while the token for its old address was on its way. */
static void test_moved_meanwhile(void **state)
{
    const uint32_t message_id = 0;
    qcd_promise promise = {0};
    qcd_token token;

    (void)state;
    make_maker(0);
    assert_true(offer(&promise, &home, &message_id, &token));
    assert_false(is_due(&promise, &away));
    assert_true(qcd_promise_answered(&promise, message_id));
    assert_true(is_due(&promise, &away));
}

/* RFC 6290 section 9.2: no token for an SA that could not be told from a live
 * one after a crash. */
static void test_sa_of_another(void **state)
{
    qcd_promise promise = {0};
    qcd_token token;

    (void)state;
    make_maker(0);
    sa.role = QCD_INITIATOR; /* the peer's SPI is one of ours */
    assert_false(offer(&promise, NULL, NULL, &token));
    sa.role = QCD_RESPONDER;
    assert_int_equal(qcd_maker_next_run(&maker, 6), QCD_OK);
    give(&promise, NULL); /* of an earlier run of this process */
    make_maker(0);
    memset(&promise, 0, sizeof(promise));
    sa.spis.responder = (qcd_spi){{9}};
    assert_false(offer(&promise, NULL, NULL, &token));
    assert_false(promise.is_given);
}

/* SAs are buried whose peer may have a token, including one on its way. */
static void test_bury(void **state)
{
    const uint32_t message_id = 3;
    qcd_promise promise = {0};
    qcd_token token;

    (void)state;
    make_maker(0);
    qcd_maker_bury(&maker, &sa, &promise);
    assert_false(graveyard_holds(&maker.graveyard, &sa));
    assert_true(offer(&promise, NULL, &message_id, &token));
    qcd_maker_bury(&maker, &sa, &promise);
    assert_true(graveyard_holds(&maker.graveyard, &sa));
    make_maker(0);
    assert_true(qcd_promise_answered(&promise, message_id));
    qcd_maker_bury(&maker, &sa, &promise);
    assert_true(graveyard_holds(&maker.graveyard, &sa));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_it_is_due),
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_a_token_that_is_held_can_be_made),
        cmocka_unit_test(test_on_its_way),
        cmocka_unit_test(test_moved_meanwhile),
        cmocka_unit_test(test_sa_of_another),
        cmocka_unit_test(test_bury),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_token.c: src/token.c.
 *
 * The known answers, in Python:
 *
 *   H = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
 *   H(H(secret, b"qcd token key, RFC 6290 section 5"),
 *     bytes([role]) + spi_i + spi_r + address)[:token_len]
 *
 * with role 1 for QCD_INITIATOR and 2 for QCD_RESPONDER, secrets that count up
 * from 0, 32, 64 and 96, SPI 0102030405060708 of the initiator and
 * 1112131415161718 of the responder. */
#include "test.h"

#include "parts.h"

/* recipe tells how a maker makes tokens.  They are bound unless `taker` is
 * NULL. */
typedef struct recipe {
    const qcd_keys *keys;
    const qcd_address *taker;
    uint8_t token_len;
} recipe;

static enum qcd_err make(qcd_token *out, const recipe *of, size_t generation,
                         const qcd_ike_sa *sa)
{
    static qcd_maker maker;

    maker.keys = *of->keys;
    maker.settings.token_len = of->token_len;
    maker.settings.is_bound = of->taker != NULL;
    return token_make(&maker, out, sa, generation, of->taker);
}

static qcd_keys make_keys(size_t num)
{
    qcd_secret secrets[QCD_GENERATIONS_MAX];
    qcd_keys keys;

    count_up(secrets, 0, sizeof(secrets));
    assert_int_equal(keys_init(&keys, secrets, num), QCD_OK);
    return keys;
}

static qcd_spis make_spis(void)
{
    qcd_spis spis;

    count_up(&spis.initiator, 0x01, QCD_SPI_LEN);
    count_up(&spis.responder, 0x11, QCD_SPI_LEN);
    return spis;
}

static const qcd_address v4 = {4, {192, 0, 2, 1}};
static const qcd_address v6 = {
    16, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

static const struct {
    const char *name;
    size_t generation;
    enum qcd_role role;
    const qcd_address *taker;
    const char *want;
} known[] = {
    {"initiator", 0, QCD_INITIATOR, NULL,
     "002c292e7eb0c100bb783e0fcef0942f36c1a5e6d1da1b2513074c9ffc809edb"},
    {"responder", 0, QCD_RESPONDER, NULL,
     "31581cc266fba2a04214a3fd634b96a05ebf8a34bacbbb3817e13d52c17151ac"},
    {"second generation", 1, QCD_RESPONDER, NULL,
     "2d0487302bcb2d3f6fb23651813ad9e01763fb903d39165377f545f99f9e27f1"},
    {"IPv4", 0, QCD_RESPONDER, &v4,
     "6bcad1010a5a7871118390764cbbd13b7e9f863525594bc0c326e92f761e7f55"},
    {"IPv6", 0, QCD_RESPONDER, &v6,
     "54248d2cda12fac3ac4989a4e2c68ec942cc4aced85a678ade156863d58c65a8"},
};

static void test_known_answers(void **state)
{
    qcd_keys keys = make_keys(4);
    qcd_spis spis = make_spis();

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(known); i++) {
        uint8_t want[QCD_TOKEN_MADE_MAX];

        assert_int_equal(unhex(want, sizeof(want), known[i].want),
                         sizeof(want));
        for (uint8_t len = QCD_TOKEN_MIN; len <= QCD_TOKEN_MADE_MAX; len++) {
            qcd_token got;

            dirty(&got, sizeof(got));
            CHECK_INT(known[i].name,
                      make(&got, &(recipe){&keys, known[i].taker, len},
                           known[i].generation,
                           &(qcd_ike_sa){spis, known[i].role}),
                      QCD_OK);
            CHECK_INT(known[i].name, got.len, len);
            CHECK_OCTETS(known[i].name, got.octets, want, len);
            CHECK(known[i].name,
                  is_zero(got.octets + len, QCD_TOKEN_MAX - len));
        }
    }
}

static const struct {
    const char *name;
    size_t generations;
    size_t generation;
    uint8_t token_len;
    uint8_t address_len; /* 0xff: no address */
    enum qcd_err want;
} ranges[] = {
    {"0 octets", 4, 0, 0, 0xff, QCD_ERR_RANGE},
    {"15 octets", 4, 0, 15, 0xff, QCD_ERR_RANGE},
    {"16 octets", 4, 0, 16, 0xff, QCD_OK},
    {"32 octets", 4, 0, 32, 0xff, QCD_OK},
    {"33 octets", 4, 0, 33, 0xff, QCD_ERR_RANGE},
    {"128 octets, as a taker accepts", 4, 0, 128, 0xff, QCD_ERR_RANGE},
    {"255 octets", 4, 0, 255, 0xff, QCD_ERR_RANGE},
    {"fourth generation of four", 4, 3, 32, 0xff, QCD_OK},
    {"fifth generation of four", 4, 4, 32, 0xff, QCD_ERR_RANGE},
    {"first generation of one", 1, 0, 32, 0xff, QCD_OK},
    {"second generation of one", 1, 1, 32, 0xff, QCD_ERR_RANGE},
    {"generation SIZE_MAX", 4, SIZE_MAX, 32, 0xff, QCD_ERR_RANGE},
    {"address of 0", 4, 0, 32, 0, QCD_ERR_RANGE},
    {"address of 3", 4, 0, 32, 3, QCD_ERR_RANGE},
    {"address of 4", 4, 0, 32, 4, QCD_OK},
    {"address of 5", 4, 0, 32, 5, QCD_ERR_RANGE},
    {"address of 15", 4, 0, 32, 15, QCD_ERR_RANGE},
    {"address of 16", 4, 0, 32, 16, QCD_OK},
    {"address of 17", 4, 0, 32, 17, QCD_ERR_RANGE},
    {"address of 254", 4, 0, 32, 254, QCD_ERR_RANGE},
};

static void test_ranges(void **state)
{
    qcd_spis spis = make_spis();

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(ranges); i++) {
        qcd_keys keys = make_keys(ranges[i].generations);
        qcd_address address = {.len = ranges[i].address_len};
        const qcd_address *taker =
            ranges[i].address_len == 0xff ? NULL : &address;
        qcd_token token;

        dirty(&token, sizeof(token));
        CHECK_INT(ranges[i].name,
                  make(&token, &(recipe){&keys, taker, ranges[i].token_len},
                       ranges[i].generation,
                       &(qcd_ike_sa){spis, QCD_RESPONDER}),
                  ranges[i].want);
        if (ranges[i].want != QCD_OK) {
            CHECK_ZERO(ranges[i].name, token);
        }
    }
}

static const struct {
    const char *name;
    size_t num;
    enum qcd_err want;
} generations[] = {
    {"0 secrets", 0, QCD_ERR_RANGE},
    {"1 secret", 1, QCD_OK},
    {"4 secrets", 4, QCD_OK},
    {"5 secrets", 5, QCD_ERR_RANGE},
    {"SIZE_MAX secrets", SIZE_MAX, QCD_ERR_RANGE},
};

static void test_number_of_generations(void **state)
{
    qcd_secret secrets[5];

    (void)state;
    count_up(secrets, 0, sizeof(secrets));
    for (size_t i = 0; i < NUM_ROWS(generations); i++) {
        qcd_keys keys;

        dirty(&keys, sizeof(keys));
        CHECK_INT(generations[i].name,
                  keys_init(&keys, secrets, generations[i].num),
                  generations[i].want);
        if (generations[i].want != QCD_OK) {
            CHECK_ZERO(generations[i].name, keys);
        }
    }
}

static qcd_token token_of(const qcd_keys *keys, size_t generation,
                          const qcd_spis *spis, enum qcd_role role,
                          const qcd_address *taker)
{
    qcd_token token;

    assert_int_equal(make(&token, &(recipe){keys, taker, 16}, generation,
                          &(qcd_ike_sa){*spis, role}),
                     QCD_OK);
    return token;
}

static void check_differ(const char *row, const qcd_token *a,
                         const qcd_token *b)
{
    CHECK(row, memcmp(a->octets, b->octets, 16) != 0);
}

/* RFC 6290 section 5: a collision is highly unlikely. */
static void test_every_input_bit_counts(void **state)
{
    qcd_keys keys = make_keys(4);
    qcd_spis spis = make_spis();
    qcd_token base = token_of(&keys, 0, &spis, QCD_RESPONDER, &v6);

    (void)state;
    for (size_t bit = 0; bit < 128; bit++) {
        qcd_spis other = spis;
        qcd_address moved = v6;
        qcd_token token;

        ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        token = token_of(&keys, 0, &other, QCD_RESPONDER, &v6);
        check_differ("bit of the SPIs", &base, &token);
        moved.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        token = token_of(&keys, 0, &spis, QCD_RESPONDER, &moved);
        check_differ("bit of the address", &base, &token);
    }
    for (size_t generation = 1; generation < 4; generation++) {
        qcd_token token =
            token_of(&keys, generation, &spis, QCD_RESPONDER, &v6);
        check_differ("generation", &base, &token);
    }
    qcd_token token = token_of(&keys, 0, &spis, QCD_INITIATOR, &v6);
    check_differ("role", &base, &token);
    token = token_of(&keys, 0, &spis, QCD_RESPONDER, NULL);
    check_differ("no address", &base, &token);
}

/* RFC 6290 section 9.2: swapping the pair does not give its token either. */
static void test_swapped_spis(void **state)
{
    qcd_keys keys = make_keys(1);
    qcd_spis spis = make_spis();
    qcd_spis swapped = {spis.responder, spis.initiator};
    qcd_token base = token_of(&keys, 0, &spis, QCD_RESPONDER, NULL);
    qcd_token token = token_of(&keys, 0, &swapped, QCD_RESPONDER, NULL);

    (void)state;
    check_differ("same role", &base, &token);
    token = token_of(&keys, 0, &swapped, QCD_INITIATOR, NULL);
    check_differ("other role", &base, &token);
}

static void test_octets_beyond_the_address_do_not_count(void **state)
{
    qcd_keys keys = make_keys(1);
    qcd_spis spis = make_spis();
    qcd_address dirty_v4 = v4;
    qcd_token a = token_of(&keys, 0, &spis, QCD_RESPONDER, &v4);

    (void)state;
    memset(dirty_v4.octets + 4, 0xff, 12);
    qcd_token b = token_of(&keys, 0, &spis, QCD_RESPONDER, &dirty_v4);
    assert_memory_equal(&a, &b, sizeof(a));
}

/* RFC 6290 section 1.1: the same token from the same input after a reboot. */
static void test_generation_moves_down_when_a_secret_is_added(void **state)
{
    qcd_secret secrets[QCD_GENERATIONS_MAX];
    qcd_spis spis = make_spis();
    qcd_keys before;
    qcd_keys after;

    (void)state;
    count_up(secrets, 0, sizeof(secrets));
    assert_int_equal(keys_init(&before, &secrets[1], 3), QCD_OK);
    assert_int_equal(keys_init(&after, secrets, 4), QCD_OK);
    for (size_t i = 0; i < 3; i++) {
        qcd_token a = token_of(&before, i, &spis, QCD_INITIATOR, NULL);
        qcd_token b = token_of(&after, i + 1, &spis, QCD_INITIATOR, NULL);

        assert_memory_equal(&a, &b, sizeof(a));
    }
}

/* RFC 6290 section 5.1: the newest one and three before it. */
static void test_rotate(void **state)
{
    qcd_secret secrets[8];
    qcd_spis spis = make_spis();
    static qcd_maker maker;
    const qcd_keys *keys = &maker.keys;

    (void)state;
    count_up(secrets, 0, sizeof(secrets));
    for (size_t i = 0; i < NUM_ROWS(secrets); i++) {
        size_t num = i + 1 < QCD_GENERATIONS_MAX ? i + 1 : 4;
        qcd_token token;

        qcd_maker_rotate(&maker, &secrets[i]);
        assert_int_equal(keys->newest, i + 1);
        assert_int_equal(keys->num_generations, num);
        for (size_t g = 0; g < num; g++) {
            qcd_keys alone;

            assert_int_equal(keys_init(&alone, &secrets[i - g], 1), QCD_OK);
            qcd_token got = token_of(keys, g, &spis, QCD_RESPONDER, NULL);
            qcd_token want = token_of(&alone, 0, &spis, QCD_RESPONDER, NULL);
            assert_memory_equal(&got, &want, sizeof(got));
        }
        assert_int_equal(make(&token, &(recipe){keys, NULL, 16}, num,
                              &(qcd_ike_sa){spis, QCD_RESPONDER}),
                         QCD_ERR_RANGE);
    }
}

static void test_no_keys(void **state)
{
    const qcd_keys keys = {0};
    qcd_spis spis = make_spis();
    qcd_token token;

    (void)state;
    assert_int_equal(make(&token, &(recipe){&keys, NULL, 16}, 0,
                          &(qcd_ike_sa){spis, QCD_INITIATOR}),
                     QCD_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_number_of_generations),
        cmocka_unit_test(test_every_input_bit_counts),
        cmocka_unit_test(test_swapped_spis),
        cmocka_unit_test(test_octets_beyond_the_address_do_not_count),
        cmocka_unit_test(test_generation_moves_down_when_a_secret_is_added),
        cmocka_unit_test(test_rotate),
        cmocka_unit_test(test_no_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

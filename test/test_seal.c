/* SPDX-License-Identifier: Apache-2.0 */
/* test_seal.c: src/seal.c.
 *
 * The known answers were made by another implementation of XTEA, in Python, of
 *
 *   bytes([0, 0, node]) + run.to_bytes(2, "big") + counter.to_bytes(3, "big")
 */
#include "test.h"

#include "parts.h"

static const uint8_t known_key[QCD_SEAL_KEY_LEN] = {
    0x01, 0x23, 0x45, 0x67, 0x12, 0x34, 0x56, 0x78,
    0x23, 0x45, 0x67, 0x89, 0x34, 0x56, 0x78, 0x9a};

static qcd_seal make_seal(void)
{
    qcd_seal seal;

    dirty(&seal, sizeof(seal));
    seal_init(&seal, known_key);
    return seal;
}

static qcd_maker maker;

/* A maker with only a seal and a mint. */
static void make_mint(const uint8_t *key, uint8_t node, uint16_t run)
{
    memset(&maker, 0, sizeof(maker));
    seal_init(&maker.seal, key);
    maker.mint = (qcd_mint){node, run, run, 0};
}

static const struct {
    const char *name;
    qcd_origin origin;
    const char *spi;
} known[] = {
    {"all zero", {0, 0, 0}, "1ff9a0261ac64264"},
    {"first of a node", {0, 1, 0}, "49619fcb9b94d119"},
    {"first of another node", {1, 1, 0}, "71929ed9cb301fc2"},
    {"each octet its own", {7, 0x1234, 0x56789a}, "104ac0127f03f359"},
    {"the largest", {255, 65535, 0xffffff}, "689e8d3c32d7cc3b"},
};

static qcd_spi known_spi(size_t i)
{
    qcd_spi spi;

    assert_int_equal(unhex(&spi, sizeof(spi), known[i].spi), sizeof(spi));
    return spi;
}

static void test_known_answers(void **state)
{
    qcd_seal seal = make_seal();

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(known); i++) {
        qcd_origin origin;
        qcd_spi spi;

        dirty(&spi, sizeof(spi));
        CHECK_INT(known[i].name, spi_seal(&spi, &seal, &known[i].origin),
                  QCD_OK);
        CHECK_HEX(known[i].name, spi.octets, sizeof(spi), known[i].spi);
        dirty(&origin, sizeof(origin));
        CHECK(known[i].name, spi_open(&origin, &seal, &spi));
        CHECK_INT(known[i].name, origin.node, known[i].origin.node);
        CHECK_INT(known[i].name, origin.run, known[i].origin.run);
        CHECK_INT(known[i].name, origin.counter, known[i].origin.counter);
    }
}

/* The plain text of this block, 0123456789abcdef, is no origin. */
static void test_foreign_block_does_not_open(void **state)
{
    const qcd_spi spi = {{0xfc, 0x26, 0xd7, 0xc7, 0xeb, 0xc9, 0x77, 0xcf}};
    qcd_seal seal = make_seal();
    qcd_origin origin;

    (void)state;
    dirty(&origin, sizeof(origin));
    assert_false(spi_open(&origin, &seal, &spi));
    assert_true(is_zero(&origin, sizeof(origin)));
}

static void test_counter_of_more_than_24_bits(void **state)
{
    static const uint32_t counters[] = {QCD_COUNTER_END, QCD_COUNTER_END + 1,
                                        UINT32_MAX};
    qcd_seal seal = make_seal();

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(counters); i++) {
        qcd_origin origin = {1, 1, counters[i]};
        qcd_spi spi;

        dirty(&spi, sizeof(spi));
        assert_int_equal(spi_seal(&spi, &seal, &origin), QCD_ERR_RANGE);
        assert_true(is_zero(&spi, sizeof(spi)));
    }
}

/* A changed SPI is not ours: each of the 64 was checked for this key. */
static void test_bit_flips_do_not_open(void **state)
{
    qcd_seal seal = make_seal();

    (void)state;
    for (size_t bit = 0; bit < 64; bit++) {
        qcd_spi spi = known_spi(3);
        qcd_origin origin;

        spi.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(spi_open(&origin, &seal, &spi));
    }
}

/* One in 65536, so about 8 of these. */
static void test_few_random_spis_open(void **state)
{
    qcd_seal seal = make_seal();
    uint64_t random = 1;
    int num_opened = 0;

    (void)state;
    for (int i = 0; i < 8 * 65536; i++) {
        qcd_origin origin;
        qcd_spi spi;

        random_octets(&random, &spi, sizeof(spi));
        if (spi_open(&origin, &seal, &spi)) {
            num_opened++;
        } else {
            assert_true(is_zero(&origin, sizeof(origin)));
        }
    }
    assert_in_range(num_opened, 1, 24);
}

static void test_other_key_does_not_open(void **state)
{
    uint8_t key[QCD_SEAL_KEY_LEN];
    qcd_origin origin;
    qcd_seal seal;

    (void)state;
    memcpy(key, known_key, sizeof(key));
    key[15] ^= 1;
    seal_init(&seal, key);
    for (size_t i = 0; i < NUM_ROWS(known); i++) {
        const qcd_spi spi = known_spi(i);

        CHECK(known[i].name, !spi_open(&origin, &seal, &spi));
    }
}

/* With this key the zero block opens to an origin.  Sealing that origin would
 * thus give the SPI that no SA may have.  The key was found by trying keys. */
static const uint8_t key_of_zero[QCD_SEAL_KEY_LEN] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x01, 0x78, 0xd3};
static const qcd_origin origin_of_zero = {0x9f, 0xcdae, 0x64da77};

static void test_zero_spi_is_not_made(void **state)
{
    const qcd_spi zero = {{0}};
    qcd_origin origin;
    qcd_seal seal;
    qcd_spi spi;

    (void)state;
    seal_init(&seal, key_of_zero);
    dirty(&spi, sizeof(spi));
    assert_int_equal(spi_seal(&spi, &seal, &origin_of_zero), QCD_ERR_RANGE);
    assert_true(is_zero(&spi, sizeof(spi)));
    dirty(&origin, sizeof(origin));
    assert_false(spi_open(&origin, &seal, &zero));
    assert_true(is_zero(&origin, sizeof(origin)));
}

static void test_mint_steps_over_the_zero_spi(void **state)
{
    qcd_origin origin;
    qcd_spi spi;

    (void)state;
    make_mint(key_of_zero, origin_of_zero.node, origin_of_zero.run);
    maker.mint.counter = origin_of_zero.counter;
    assert_int_equal(qcd_maker_mint(&maker, &spi), QCD_OK);
    assert_true(spi_open(&origin, &maker.seal, &spi));
    assert_int_equal(origin.counter, origin_of_zero.counter + 1);
}

static void test_mint_counts(void **state)
{

    (void)state;
    make_mint(known_key, 7, 300);
    for (uint32_t i = 0; i < 10000; i++) {
        qcd_origin origin;
        qcd_spi spi;

        assert_int_equal(qcd_maker_mint(&maker, &spi), QCD_OK);
        assert_true(spi_open(&origin, &maker.seal, &spi));
        assert_int_equal(origin.node, 7);
        assert_int_equal(origin.run, 300);
        assert_int_equal(origin.counter, i);
    }
}

static void test_mint_ends_and_goes_on_in_the_next_run(void **state)
{
    qcd_origin origin;
    qcd_spi spi;

    (void)state;
    make_mint(known_key, 7, 300);
    maker.mint.counter = QCD_COUNTER_END - 1;
    assert_int_equal(qcd_maker_mint(&maker, &spi), QCD_OK);
    assert_true(spi_open(&origin, &maker.seal, &spi));
    assert_int_equal(origin.counter, QCD_COUNTER_END - 1);
    for (int i = 0; i < 3; i++) {
        dirty(&spi, sizeof(spi));
        assert_int_equal(qcd_maker_mint(&maker, &spi), QCD_ERR_EXHAUSTED);
        assert_true(is_zero(&spi, sizeof(spi)));
    }
    assert_int_equal(qcd_maker_next_run(&maker, 302), QCD_OK);
    assert_int_equal(qcd_maker_mint(&maker, &spi), QCD_OK);
    assert_true(spi_open(&origin, &maker.seal, &spi));
    assert_int_equal(origin.run, 302);
    assert_int_equal(origin.counter, 0);
    assert_int_equal(maker.mint.first_run, 300);
}

static const struct {
    const char *name;
    uint16_t now;
    uint16_t next;
    enum qcd_err want;
} next_runs[] = {
    {"one above", 300, 301, QCD_OK},
    {"far above", 300, 65535, QCD_OK},
    {"the same", 300, 300, QCD_ERR_RANGE},
    {"one below", 300, 299, QCD_ERR_RANGE},
    {"zero", 300, 0, QCD_ERR_RANGE},
    {"beyond the last", 65535, 0, QCD_ERR_RANGE},
};

static void test_next_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(next_runs); i++) {

        make_mint(known_key, 7, next_runs[i].now);
        maker.mint.counter = 12;
        qcd_mint before = maker.mint;
        CHECK_INT(next_runs[i].name,
                  qcd_maker_next_run(&maker, next_runs[i].next),
                  next_runs[i].want);
        if (next_runs[i].want != QCD_OK) {
            CHECK_INT(next_runs[i].name, maker.mint.run, before.run);
            CHECK_INT(next_runs[i].name, maker.mint.counter, before.counter);
        } else {
            CHECK_INT(next_runs[i].name, maker.mint.run, next_runs[i].next);
            CHECK_INT(next_runs[i].name, maker.mint.counter, 0);
        }
        CHECK_INT(next_runs[i].name, maker.mint.first_run, before.first_run);
    }
}

/* An all-zero mint has no run, and could mint the same SPIs again. */
static void test_zero_mint_mints_nothing(void **state)
{
    qcd_spi spi;

    (void)state;
    make_mint(known_key, 7, 0);
    assert_int_equal(qcd_maker_mint(&maker, &spi), QCD_ERR_EXHAUSTED);
    assert_true(is_zero(&spi, sizeof(spi)));
}

/* The mint: node 7, runs 300 to 302.  It made 12 SPIs in the last run. */
static const struct {
    const char *name;
    qcd_origin origin;
    bool is_ours;
} owned[] = {
    {"last one", {7, 302, 11}, true},
    {"first one", {7, 302, 0}, true},
    {"next one", {7, 302, 12}, false},
    {"far one", {7, 302, 0xffffff}, false},
    {"first run", {7, 300, 0xffffff}, true},
    {"run between", {7, 301, 5}, true},
    {"earlier run", {7, 299, 5}, false},
    {"later run", {7, 303, 5}, false},
    {"run 0", {7, 0, 5}, false},
    {"node above", {8, 302, 5}, false},
    {"node below", {6, 302, 5}, false},
};

/* In both roles; the other SPI is never ours. */
static bool owns(const qcd_spi *spi)
{
    const qcd_spi other = {{9}};
    const qcd_ike_sa begun = {{*spi, other}, QCD_INITIATOR};
    const qcd_ike_sa taken = {{other, *spi}, QCD_RESPONDER};
    bool is_ours = qcd_maker_owns(&maker, &begun);

    assert_int_equal(qcd_maker_owns(&maker, &taken), is_ours);
    return is_ours;
}

static void test_mint_owns(void **state)
{

    (void)state;
    make_mint(known_key, 7, 300);
    assert_int_equal(qcd_maker_next_run(&maker, 302), QCD_OK);
    maker.mint.counter = 12;
    for (size_t i = 0; i < NUM_ROWS(owned); i++) {
        qcd_spi spi;

        CHECK_INT(owned[i].name, spi_seal(&spi, &maker.seal, &owned[i].origin),
                  QCD_OK);
        CHECK_INT(owned[i].name, owns(&spi), owned[i].is_ours);
    }
    const qcd_spi zero = {{0}};
    assert_false(owns(&zero));
    const qcd_spi foreign = {{1, 2, 3, 4, 5, 6, 7, 8}};
    assert_false(owns(&foreign));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_foreign_block_does_not_open),
        cmocka_unit_test(test_counter_of_more_than_24_bits),
        cmocka_unit_test(test_bit_flips_do_not_open),
        cmocka_unit_test(test_few_random_spis_open),
        cmocka_unit_test(test_other_key_does_not_open),
        cmocka_unit_test(test_zero_spi_is_not_made),
        cmocka_unit_test(test_mint_steps_over_the_zero_spi),
        cmocka_unit_test(test_mint_counts),
        cmocka_unit_test(test_mint_ends_and_goes_on_in_the_next_run),
        cmocka_unit_test(test_next_run),
        cmocka_unit_test(test_zero_mint_mints_nothing),
        cmocka_unit_test(test_mint_owns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

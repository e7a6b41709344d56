/* SPDX-License-Identifier: Apache-2.0 */
/* test_probe_answer.c: what qcd probe reads, and what it takes it for. */
#include "probe_box.h"

/* Headers: SPIs, first payload, version, exchange, flags, ID, length. */
#define SPIS "01020304050607081112131415161718"
#define HEAD(first, len)                                                       \
    SPIS first "202520"                                                        \
               "00000007"                                                      \
               "000000" len
#define CAUSE(next) next "00000800000004"
#define TOKEN16(next)                                                          \
    next "00001800004023"                                                      \
         "000102030405060708090a0b0c0d0e0f"

static const struct {
    const char *name;
    const char *hex;
    bool is_read;
    bool is_malformed;
    bool is_protected;
    bool has_sa;
    size_t num_tokens;
    size_t num_kept;
    uint16_t error;
} answers[] = {
    {.name = "empty", .hex = ""},
    {.name = "27 octets",
     .hex = SPIS "00202520"
                 "00000007"
                 "000000"},
    {"header", HEAD("00", "1c"), true, false, false, false, 0, 0, 0},
    {"too long", HEAD("00", "1c") "00", true, true, false, false, 0, 0, 0},
    {"longer than it is", HEAD("00", "1d"), true, true, false, false, 0, 0, 0},
    {"cause", HEAD("29", "24") CAUSE("00"), true, false, false, false, 0, 0, 4},
    {"token", HEAD("29", "3c") CAUSE("29") TOKEN16("00"), true, false, false,
     false, 1, 1, 4},
    {"no second", HEAD("29", "24") CAUSE("29"), true, true, false, false, 0, 0,
     4},
    {"payload of no length", HEAD("29", "20") "00000000", true, true, false,
     false, 0, 0, 0},
    {"payload of 3", HEAD("29", "20") "00000003", true, true, false, false, 0,
     0, 0},
    {"unknown payload of 3", HEAD("c8", "20") "00000003", true, true, false,
     false, 0, 0, 0},
    {"too long payload", HEAD("29", "24") "0000000900000004", true, true, false,
     false, 0, 0, 0},
    {"notify of 3 octets", HEAD("29", "23") "00000007000000", true, true, false,
     false, 0, 0, 0},
    {"SPI beyond", HEAD("29", "24") "0000000801014023", true, true, false,
     false, 0, 0, 0},
    {"token of 15",
     HEAD("29", "33") "00000017"
                      "00004023"
                      "000102030405060708090a0b0c0d0e",
     true, false, false, false, 1, 0, 0},
    {"empty token",
     HEAD("29", "24") "00000008"
                      "00004023",
     true, false, false, false, 1, 0, 0},
    {"SK", HEAD("2e", "24") "2900000800000000", true, false, true, false, 0, 0,
     0},
    {"behind SK nothing is read",
     HEAD("2e", "44") "2900000800000000" CAUSE("29") TOKEN16("00"), true, true,
     true, false, 0, 0, 0},
    {"SKF", HEAD("35", "24") "2900000800000000", true, false, true, false, 0, 0,
     0},
    {"SA", HEAD("21", "24") "0000000800000000", true, false, false, true, 0, 0,
     0},
    {"unknown payload", HEAD("c8", "2c") "2980000800000000" CAUSE("00"), true,
     false, false, false, 0, 0, 4},
    {"status", HEAD("29", "24") "0000000800004000", true, false, false, false,
     0, 0, 0},
    {"last error", HEAD("29", "24") "0000000800003fff", true, false, false,
     false, 0, 0, 0x3fff},
};

static void test_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(answers); i++) {
        const char *row = answers[i].name;
        uint8_t octets[HEX_MAX];
        probe_answer a;
        size_t len = unhex(octets, sizeof(octets), answers[i].hex);
        uint8_t *copy = copy_exact(octets, len);
        dirty(&a, sizeof(a));
        CHECK(row, probe_read(&a, copy, len) == answers[i].is_read);
        free(copy);
        if (!answers[i].is_read) {
            CHECK_ZERO(row, a);
            continue;
        }
        CHECK_INT(row, a.len, len);
        CHECK_INT(row, a.is_malformed, answers[i].is_malformed);
        CHECK_INT(row, a.is_protected, answers[i].is_protected);
        CHECK_INT(row, a.has_sa, answers[i].has_sa);
        CHECK_INT(row, a.num_tokens, answers[i].num_tokens);
        CHECK_INT(row, a.num_kept, answers[i].num_kept);
        CHECK_INT(row, a.error, answers[i].error);
        CHECK_INT(row, a.num_invalid, a.num_tokens - a.num_kept);
    }
}

/* An answer may have more tokens than are kept. */
static void test_many_tokens(void **state)
{
    (void)state;
    probe_seen seen = {.message_id = 1};
    uint8_t octets[BOX_MAX];
    probe_answer a;
    size_t len = box_tokens(octets, &seen, 9, 32, 1);
    assert_true(probe_read(&a, octets, len));
    assert_int_equal(a.num_tokens, 9);
    assert_int_equal(a.num_kept, QCD_TOKENS_READ_MAX);
    assert_int_equal(a.len_min, 32);
    assert_int_equal(a.len_max, 32);
}

static void test_ke_and_cookie(void **state)
{
    (void)state;
    probe_seen seen = {.message_id = 0};
    uint8_t octets[BOX_MAX];
    probe_answer a;
    size_t len = box_error(octets, &seen, IKE_SA_INIT, 17, 14);
    assert_true(probe_read(&a, octets, len));
    assert_int_equal(a.group, 14);
    assert_false(a.has_cookie);
    len = box_error(octets, &seen, IKE_SA_INIT, 17, 0); /* no group in it */
    assert_true(probe_read(&a, octets, len));
    assert_int_equal(a.group, 0);
    len = box_error(octets, &seen, IKE_SA_INIT, 16390, 1);
    assert_true(probe_read(&a, octets, len));
    assert_true(a.has_cookie);
}

/* ---- Whose answer it is ------------------------------------------------ */

static void test_place(void **state)
{
    (void)state;
    static const enum probe_ask asks[] = {
        PROBE_VERSION, PROBE_FIRST, PROBE_REPEAT, PROBE_ZERO_R, PROBE_NUM - 1};
    uint8_t octets[BOX_MAX];
    probe_datagram out;
    for (int known = 0; known < 2; known++) {
        probe p;
        box_init(&p, 1);
        p.has_spis = known != 0;
        count_up(&p.spis, 1, sizeof(p.spis));
        for (int ask = 0; ask < PROBE_NUM; ask++) {
            probe_build(&p, &out, (enum probe_ask)ask);
        }
        for (size_t i = 0; i < NUM_ROWS(asks); i++) {
            probe_seen *seen = &p.seen[asks[i]];
            size_t len = box_tokens(octets, seen, 1, 32, 1);
            probe_take(&p, octets, len);
            probe_take(&p, octets, len);
            assert_int_equal(seen->num_answers, 2);
            assert_int_equal(seen->num_tokens, 2);
            assert_int_equal(seen->octets, 2 * len);
            assert_false(seen->is_id_changed);
        }
        assert_int_equal(p.num_strays, 0);
        probe_wipe(&p);
        assert_true(is_zero(&p, sizeof(p)));
    }
}

static void test_strays(void **state)
{
    (void)state;
    uint8_t octets[BOX_MAX] = {0};
    probe_datagram out;
    probe p;
    box_init(&p, 2);
    probe_build(&p, &out, PROBE_FIRST);
    probe_seen *seen = &p.seen[PROBE_FIRST];

    probe_take(&p, octets, 0);
    probe_take(&p, octets, QCD_HEADER_LEN - 1);
    probe_take(&p, octets, QCD_HEADER_LEN);
    assert_int_equal(p.num_foreign, 3); /* not IKEv2 */
    assert_int_equal(p.num_strays, 0);
    size_t len = box_tokens(octets, seen, 1, 32, 1);
    octets[8] ^= 1;
    probe_take(&p, octets, len);
    assert_int_equal(p.num_strays, 1);
    assert_int_equal(p.num_stray_tokens, 1);
    assert_int_equal(seen->num_answers, 0);
    octets[8] ^= 1;
    octets[23] ^= 1; /* Message ID */
    probe_take(&p, octets, len);
    assert_int_equal(seen->num_answers, 1);
    assert_true(seen->is_id_changed);
}

/* Nobody can answer what was not sent yet. */
static void test_too_early(void **state)
{
    (void)state;
    uint8_t octets[BOX_MAX];
    probe_datagram out;
    probe p;
    box_init(&p, 3);
    probe_build(&p, &out, PROBE_VERSION);
    probe_seen early = {.spis = p.random.spis[PROBE_FIRST], .message_id = 24};
    probe_take(&p, octets, box_tokens(octets, &early, 1, 32, 1));
    assert_int_equal(p.seen[PROBE_FIRST].num_answers, 0);
    assert_int_equal(p.num_strays, 1);
}

static void test_accepted(void **state)
{
    (void)state;
    uint8_t octets[BOX_MAX];
    probe_datagram out;
    probe p;
    box_init(&p, 4);
    assert_null(probe_accepted(&p));
    probe_build(&p, &out, PROBE_INIT);
    probe_seen *seen = &p.seen[PROBE_INIT];
    assert_null(probe_accepted(&p));
    probe_take(&p, octets, box_accept(octets, seen, 0)); /* no SPI */
    assert_int_equal(seen->num_answers, 1);
    assert_null(probe_accepted(&p));
    probe_build(&p, &out, PROBE_INIT);
    probe_take(&p, octets, box_accept(octets, seen, 7));
    assert_non_null(probe_accepted(&p));
    /* The SPI of a refusal is none of an IKE SA. */
    probe_build(&p, &out, PROBE_INIT);
    size_t len = box_error(octets, seen, IKE_SA_INIT, 14, 0);
    memset(octets + QCD_SPI_LEN, 7, QCD_SPI_LEN);
    probe_take(&p, octets, len);
    assert_int_equal(seen->num_answers, 1);
    assert_null(probe_accepted(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_many_tokens),
        cmocka_unit_test(test_ke_and_cookie),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_strays),
        cmocka_unit_test(test_too_early),
        cmocka_unit_test(test_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

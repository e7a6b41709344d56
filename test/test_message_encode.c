/* SPDX-License-Identifier: Apache-2.0 */
/* test_message_encode.c: messages that src/message.c writes. */
#include "test.h"

#include "ike.h"

static qcd_message message_of(enum qcd_cause cause, size_t num, size_t len)
{
    qcd_message m = {.cause = cause, .num_tokens = num};

    count_up(&m.header.spis, 0x21, sizeof(m.header.spis));
    m.header.version = 0x20;
    m.header.exchange_type = 37;
    m.header.flags = 0x20;
    m.header.message_id = 0xfffefdfc;
    count_up(m.child_spi.octets, 0xc1, QCD_CHILD_SPI_LEN);
    for (size_t i = 0; i < num && i < QCD_TOKENS_READ_MAX; i++) {
        m.tokens[i].len = (uint8_t)len;
        count_up(m.tokens[i].octets, (uint8_t)(i * 16),
                 len < QCD_TOKEN_MAX ? len : QCD_TOKEN_MAX);
    }
    return m;
}

static const struct {
    const char *name;
    enum qcd_cause cause;
    size_t num_tokens;
    size_t token_len;
    size_t want_len; /* 0: QCD_ERR_RANGE */
} encode_rows[] = {
    {"INVALID_IKE_SPI, no token", QCD_CAUSE_INVALID_IKE_SPI, 0, 0, 36},
    {"INVALID_IKE_SPI, 1 token", QCD_CAUSE_INVALID_IKE_SPI, 1, 32, 76},
    {"INVALID_IKE_SPI, 4 tokens", QCD_CAUSE_INVALID_IKE_SPI, 4, 32, 196},
    {"5 tokens", QCD_CAUSE_INVALID_IKE_SPI, 5, 32, 0},
    {"8 tokens", QCD_CAUSE_INVALID_IKE_SPI, 8, 32, 0},
    {"SIZE_MAX tokens", QCD_CAUSE_INVALID_IKE_SPI, SIZE_MAX, 32, 0},
    {"INVALID_SPI, no token", QCD_CAUSE_INVALID_SPI, 0, 0, 40},
    {"INVALID_SPI, 1 token", QCD_CAUSE_INVALID_SPI, 1, 32, 80},
    {"no cause, no token", QCD_CAUSE_NONE, 0, 0, 0},
    {"no cause, 1 token", QCD_CAUSE_NONE, 1, 32, 68},
    {"no such cause", (enum qcd_cause)3, 1, 32, 0},
    {"token of 0", QCD_CAUSE_INVALID_IKE_SPI, 1, 0, 0},
    {"token of 15", QCD_CAUSE_INVALID_IKE_SPI, 4, 15, 0},
    {"token of 16", QCD_CAUSE_INVALID_IKE_SPI, 4, 16, 132},
    {"token of 33", QCD_CAUSE_INVALID_IKE_SPI, 4, 33, 200},
    {"token of 128", QCD_CAUSE_INVALID_IKE_SPI, 4, 128, 580},
    {"token of 129", QCD_CAUSE_INVALID_IKE_SPI, 4, 129, 0},
    {"token of 255", QCD_CAUSE_INVALID_IKE_SPI, 1, 255, 0},
    {"the largest", QCD_CAUSE_INVALID_SPI, 4, 128, QCD_MESSAGE_MAX},
};

/* With every bound up to one that is larger than needed. */
static void test_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(encode_rows); i++) {
        const char *name = encode_rows[i].name;
        size_t want_len = encode_rows[i].want_len;
        qcd_message m =
            message_of(encode_rows[i].cause, encode_rows[i].num_tokens,
                       encode_rows[i].token_len);

        for (size_t n = 0; n < QCD_MESSAGE_MAX + 3; n++) {
            size_t max_len = n < QCD_MESSAGE_MAX + 2 ? n : SIZE_MAX;
            qcd_datagram *out = malloc(sizeof(*out));
            enum qcd_err want = want_len == 0        ? QCD_ERR_RANGE
                                : max_len < want_len ? QCD_ERR_NOBUF
                                                     : QCD_OK;

            assert_non_null(out);
            dirty(out, sizeof(*out));
            CHECK_INT(name, qcd_message_encode(out, &m, max_len), want);
            CHECK_INT(name, out->len, want == QCD_OK ? want_len : 0);
            CHECK(name, is_zero(out->octets + out->len,
                                sizeof(out->octets) - out->len));
            free(out);
        }
    }
}

/* RFC 6290 sections 4.1, with erratum 3449, and 4.5, octet by octet. */
static void test_encoded_octets(void **state)
{
    static const char want[] = "2122232425262728292a2b2c2d2e2f30"
                               "29202520fffefdfc00000058"
                               "2900000c0000000bc1c2c3c4"
                               "2900001800004023"
                               "000102030405060708090a0b0c0d0e0f"
                               "0000001800004023"
                               "101112131415161718191a1b1c1d1e1f";
    qcd_message m = message_of(QCD_CAUSE_INVALID_SPI, 2, 16);
    qcd_datagram out;

    (void)state;
    m.header.next_payload = 99; /* both are ignored */
    m.header.length = 99;
    assert_int_equal(qcd_message_encode(&out, &m, SIZE_MAX), QCD_OK);
    CHECK_HEX("INVALID_SPI, 2 tokens", out.octets, out.len, want);
}

static void test_decode_undoes_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(encode_rows); i++) {
        qcd_message m =
            message_of(encode_rows[i].cause, encode_rows[i].num_tokens,
                       encode_rows[i].token_len);
        qcd_datagram first;
        qcd_datagram second;
        qcd_message got;

        if (qcd_message_encode(&first, &m, SIZE_MAX) != QCD_OK) {
            continue;
        }
        CHECK_INT(encode_rows[i].name,
                  qcd_message_decode(&got, first.octets, first.len), QCD_OK);
        CHECK_INT(encode_rows[i].name, got.cause, m.cause);
        CHECK_INT(encode_rows[i].name, got.num_tokens, m.num_tokens);
        CHECK_OCTETS(encode_rows[i].name, got.tokens, m.tokens,
                     sizeof(m.tokens));
        CHECK_INT(encode_rows[i].name,
                  qcd_message_encode(&second, &got, SIZE_MAX), QCD_OK);
        CHECK_INT(encode_rows[i].name, second.len, first.len);
        CHECK_OCTETS(encode_rows[i].name, second.octets, first.octets,
                     first.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encoded_octets),
        cmocka_unit_test(test_decode_undoes_encode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_notify.c: src/notify.c. */
#include "test.h"

#include "ike.h"

static const struct {
    const char *name;
    uint8_t protocol;
    uint8_t spi_size;
    uint16_t type;
    size_t data_len; /* octets after the type, including an SPI */
    enum qcd_err want;
} rows[] = {
    {"RFC 6290 4.1 with erratum 3449", 0, 0, 16419, 32, QCD_OK},
    {"RFC 6290 4.1 as it was printed", 1, 0, 16419, 32, QCD_OK},
    {"protocol 3 is ignored", 3, 0, 16419, 32, QCD_OK},
    {"protocol 255 is ignored", 255, 0, 16419, 32, QCD_OK},
    {"no token", 0, 0, 16419, 0, QCD_ERR_MALFORMED},
    {"token of 15", 0, 0, 16419, 15, QCD_ERR_MALFORMED},
    {"token of 16", 0, 0, 16419, 16, QCD_OK},
    {"token of 17", 0, 0, 16419, 17, QCD_OK},
    {"token of 33", 0, 0, 16419, 33, QCD_OK},
    {"token of 128", 0, 0, 16419, 128, QCD_OK},
    {"token of 129", 0, 0, 16419, 129, QCD_ERR_MALFORMED},
    {"token of 272, 16 in one octet", 0, 0, 16419, 272, QCD_ERR_MALFORMED},
    {"SPI of 1", 0, 1, 16419, 33, QCD_ERR_MALFORMED},
    {"SPI of 4", 0, 4, 16419, 36, QCD_ERR_MALFORMED},
    {"SPI of 8, no token", 1, 8, 16419, 8, QCD_ERR_MALFORMED},
    {"SPI beyond the end", 0, 33, 16419, 32, QCD_ERR_TRUNCATED},
    {"SPI of 255", 0, 255, 16419, 32, QCD_ERR_TRUNCATED},
    {"type one below", 0, 0, 16418, 32, QCD_ERR_MALFORMED},
    {"type one above", 0, 0, 16420, 32, QCD_ERR_MALFORMED},
    {"type in the wrong order", 0, 0, 0x2340, 32, QCD_ERR_MALFORMED},
    {"type 0", 0, 0, 0, 32, QCD_ERR_MALFORMED},
};

static enum qcd_err decode(qcd_token *out, const uint8_t *in, size_t in_len)
{
    notify n;
    rd r;

    rd_init(&r, in, in_len);
    notify_read(&n, &r);
    if (r.bad) {
        assert_true(is_zero(&n.data_len, sizeof(n.data_len)));
        assert_null(n.data);
        return QCD_ERR_TRUNCATED;
    }
    return notify_token(out, &n);
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        uint8_t in[4 + 300];
        qcd_token token;
        wr w;

        wr_init(&w, in, sizeof(in));
        wr_u8(&w, rows[i].protocol);
        wr_u8(&w, rows[i].spi_size);
        wr_be16(&w, rows[i].type);
        count_up(in + w.len, 0x40, rows[i].data_len);

        size_t in_len = w.len + rows[i].data_len;
        uint8_t *copy = copy_exact(in, in_len);
        dirty(&token, sizeof(token));
        CHECK_INT(rows[i].name, decode(&token, copy, in_len), rows[i].want);
        free(copy);
        if (rows[i].want != QCD_OK) {
            CHECK(rows[i].name, rows[i].want == QCD_ERR_TRUNCATED ||
                                    is_zero(&token, sizeof(token)));
            continue;
        }
        CHECK_INT(rows[i].name, token.len, rows[i].data_len);
        CHECK_OCTETS(rows[i].name, token.octets, in + 4, token.len);
        CHECK(rows[i].name,
              is_zero(token.octets + token.len, QCD_TOKEN_MAX - token.len));
    }
}

static void test_decode_without_a_whole_header(void **state)
{
    static const uint8_t in[4] = {0, 0, 0x40, 0x23};

    (void)state;
    for (size_t len = 0; len < sizeof(in); len++) {
        uint8_t *copy = copy_exact(in, len);
        qcd_token token;

        assert_int_equal(decode(&token, copy, len), QCD_ERR_TRUNCATED);
        free(copy);
    }
    qcd_token token;
    assert_int_equal(decode(&token, NULL, 0), QCD_ERR_TRUNCATED);
}

/* RFC 6290 section 5: at least 16, at most 128 octets. */
static void test_token_read_of_every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len < 600; len++) {
        bool fits = len >= 16 && len <= 128;
        uint8_t in[600];
        qcd_token token;

        count_up(in, 0x80, len);
        uint8_t *copy = copy_exact(in, len);
        dirty(&token, sizeof(token));
        assert_int_equal(qcd_token_read(&token, copy, len),
                         fits ? QCD_OK : QCD_ERR_RANGE);
        free(copy);
        assert_int_equal(token.len, fits ? len : 0);
        assert_memory_equal(token.octets, in, token.len);
        assert_true(
            is_zero(token.octets + token.len, QCD_TOKEN_MAX - token.len));
    }
}

static void test_read_cuts_into_parts(void **state)
{
    uint8_t in[4 + 4 + 2] = {3, 4, 0x00, 0x0b, 1, 2, 3, 4, 5, 6};
    notify n;
    rd r;

    (void)state;
    rd_init(&r, in, sizeof(in));
    notify_read(&n, &r);
    assert_false(r.bad);
    assert_int_equal(n.type, 11);
    assert_int_equal(n.spi_len, 4);
    assert_int_equal(n.data_len, 2);
    assert_ptr_equal(n.data, in + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_without_a_whole_header),
        cmocka_unit_test(test_token_read_of_every_length),
        cmocka_unit_test(test_read_cuts_into_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

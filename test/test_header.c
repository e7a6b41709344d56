/* SPDX-License-Identifier: Apache-2.0 */
/* test_header.c: src/header.c. */
#include "test.h"

#include "ike.h"

/* clang-format off */
static const uint8_t valid[QCD_HEADER_LEN] = {
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
    0x2e, 0x20, 0x25, 0x08,
    0x81, 0x82, 0x83, 0x84,
    0x00, 0x00, 0x00, 0x1c,
};
/* clang-format on */

static void test_members(void **state)
{
    qcd_header h;

    (void)state;
    assert_int_equal(qcd_header_decode(&h, valid, sizeof(valid)), QCD_OK);
    assert_memory_equal(h.spis.initiator.octets, valid, 8);
    assert_memory_equal(h.spis.responder.octets, valid + 8, 8);
    assert_int_equal(h.next_payload, 0x2e);
    assert_int_equal(h.version, 0x20);
    assert_int_equal(h.exchange_type, 0x25);
    assert_int_equal(h.flags, 0x08);
    assert_int_equal(h.message_id, 0x81828384);
    assert_int_equal(h.length, 28);
}

static const struct {
    const char *name;
    size_t in_len;
    uint32_t length;
    enum qcd_err want;
} lengths[] = {
    {"nothing", 0, 0, QCD_ERR_TRUNCATED},
    {"one octet short", 27, 27, QCD_ERR_TRUNCATED},
    {"a header", 28, 28, QCD_OK},
    {"one octet more", 29, 29, QCD_OK},
    {"length one below", 29, 28, QCD_ERR_MALFORMED},
    {"length one above", 28, 29, QCD_ERR_MALFORMED},
    {"length zero", 28, 0, QCD_ERR_MALFORMED},
    {"length in the wrong order", 28, 0x1c000000, QCD_ERR_MALFORMED},
    {"length huge", 28, UINT32_MAX, QCD_ERR_MALFORMED},
    {"largest datagram", 65507, 65507, QCD_OK},
};

static void test_lengths(void **state)
{
    static uint8_t in[65507];

    (void)state;
    memcpy(in, valid, sizeof(valid));
    for (size_t i = 0; i < NUM_ROWS(lengths); i++) {
        qcd_header h;
        wr w;

        wr_init(&w, in + 24, 4);
        wr_be32(&w, lengths[i].length);
        uint8_t *copy = copy_exact(in, lengths[i].in_len);
        dirty(&h, sizeof(h));
        enum qcd_err got = qcd_header_decode(&h, copy, lengths[i].in_len);
        free(copy);
        CHECK_INT(lengths[i].name, got, lengths[i].want);
        if (got == QCD_OK) {
            CHECK_INT(lengths[i].name, h.length, lengths[i].length);
        } else {
            CHECK_ZERO(lengths[i].name, h);
        }
    }
}

static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(valid); len++) {
        uint8_t *copy = copy_exact(valid, len);
        qcd_header h;

        dirty(&h, sizeof(h));
        assert_int_equal(qcd_header_decode(&h, copy, len), QCD_ERR_TRUNCATED);
        assert_true(is_zero(&h, sizeof(h)));
        free(copy);
    }
    qcd_header h;
    assert_int_equal(qcd_header_decode(&h, NULL, 0), QCD_ERR_TRUNCATED);
}

static void test_write_undoes_read(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint8_t in[QCD_HEADER_LEN];
        uint8_t out[QCD_HEADER_LEN];
        qcd_header h;
        rd r;
        wr w;

        random_octets(&random, in, sizeof(in));
        rd_init(&r, in, sizeof(in));
        header_read(&h, &r);
        assert_false(r.bad);
        assert_int_equal(r.len, 0);
        wr_init(&w, out, sizeof(out));
        header_write(&w, &h);
        assert_false(w.bad);
        assert_memory_equal(out, in, sizeof(in));
    }
}

/* Only the I flag counts: R and the reserved bits change nothing. */
static void test_local_role_of_all_flags(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        qcd_header h = {.flags = (uint8_t)flags};

        assert_int_equal(qcd_header_local_role(&h),
                         (flags & 0x08) != 0 ? QCD_RESPONDER : QCD_INITIATOR);
    }
}

static void test_clear_exchanges(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        qcd_header h = {.exchange_type = (uint8_t)type};

        assert_int_equal(header_exchange_is_clear(&h),
                         type == 34 || type == 38);
    }
}

static void test_zero_spi(void **state)
{
    qcd_spi spi = {{0}};

    (void)state;
    assert_true(spi_is_zero(&spi));
    for (size_t bit = 0; bit < 64; bit++) {
        qcd_spi one = {{0}};

        one.octets[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(spi_is_zero(&one));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_write_undoes_read),
        cmocka_unit_test(test_local_role_of_all_flags),
        cmocka_unit_test(test_clear_exchanges),
        cmocka_unit_test(test_zero_spi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_maker_reply.c: the reply of src/maker.c to a request. */
#include "maker_box.h"

/* RFC 7296 section 1.5 and RFC 6290 section 4.5: both SPIs, Message ID and
 * exchange type are the request's, R is set, I is flipped.  INVALID_IKE_SPI has
 * no data, Protocol ID is 0 (erratum 3449).  The tokens, computed in Python,
 * the older one first, are those of test_token.c for 2122232425262728 and
 * a46dfd1d3828ee87, 16 octets long. */
static const char known_reply[] = "2122232425262728a46dfd1d3828ee87"
                                  "292025208182838400000054"
                                  "2900000800000004"
                                  "2900001800004023"
                                  "10cf1287c033f1afbd16311bfa5e17bd"
                                  "0000001800004023"
                                  "b14c78684d2619957fc4600afe6dec27";

static void test_reply_octets(void **state)
{
    qcd_header h = dead_request();
    qcd_datagram out;

    (void)state;
    set_generations(2);
    h.length = 80;
    assert_int_equal(reply(&out, &h, NULL, 16, 0), QCD_OK);
    CHECK_HEX("reply", out.octets, out.len, known_reply);
}

static void test_reply_flags(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        qcd_header h = dead_request();
        qcd_datagram out;

        h.flags = (uint8_t)flags;
        h.version = 0x2f;
        h.length = 80;
        assert_int_equal(reply(&out, &h, NULL, 16, 0), QCD_OK);
        assert_int_equal(out.octets[17], 0x20);
        assert_int_equal(out.octets[19], (flags & 8) != 0 ? 0x20 : 0x28);
    }
}

/* The whole way of the peer: it is shown the token that it was given. */
static void test_reply_is_verified_by_the_taker(void **state)
{
    static const enum qcd_role roles[] = {QCD_RESPONDER, QCD_INITIATOR};
    static const qcd_address *const takers[] = {NULL, &peer};
    const uint8_t octets[QCD_RANDOM_KEY_LEN] = {9};
    static qcd_taker taker_of_peer;

    (void)state;
    assert_int_equal(qcd_taker_init(&taker_of_peer, 10, octets), QCD_OK);
    for (unsigned i = 0; i < 2 * 2 * QCD_GENERATIONS_MAX; i++) {
        enum qcd_role role = roles[i & 1];
        const qcd_address *taker = takers[i >> 1 & 1];
        const qcd_ike_sa sa = {spis_of(role, spi_which(DEAD), spi_which(PEER)),
                               role};
        const qcd_token token = token_of(taker, 20, i >> 2, &sa);
        qcd_header h = dead_request();
        qcd_held held = {0};
        qcd_datagram out;
        qcd_message m;

        h.spis = sa.spis;
        h.flags = role == QCD_INITIATOR ? 0 : QCD_FLAG_INITIATOR;
        h.length = 200;
        qcd_taker_store(&taker_of_peer, &held, &token);
        assert_int_equal(reply(&out, &h, taker, 20, 0), QCD_OK);
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(m.cause, QCD_CAUSE_INVALID_IKE_SPI);
        assert_int_equal(m.num_tokens, QCD_GENERATIONS_MAX);
        assert_int_equal(qcd_taker_check(&taker_of_peer, &held, &m), QCD_MATCH);
    }
}

/* The number of tokens that fit below three times each size of a request. */
static void test_amplification(void **state)
{
    static const uint8_t token_lens[] = {16, 20, 32};

    (void)state;
    for (size_t t = 0; t < NUM_ROWS(token_lens); t++) {
        for (uint32_t len = QCD_HEADER_LEN; len < 300; len++) {
            size_t each = 8u + token_lens[t];
            size_t fit = (len * 3 - (28 + 8)) / each;
            size_t want = fit < QCD_GENERATIONS_MAX ? fit : 4;
            qcd_header h = dead_request();
            qcd_datagram out;
            qcd_message m;

            h.length = len;
            enum qcd_err err = reply(&out, &h, NULL, token_lens[t], 0);
            assert_int_equal(err, want > 0 ? QCD_OK : QCD_ERR_NOBUF);
            assert_true(out.len <= (size_t)len * QCD_AMPLIFICATION_MAX);
            assert_true(
                is_zero(out.octets + out.len, sizeof(out.octets) - out.len));
            if (err == QCD_OK) {
                assert_int_equal(out.len, 36 + want * each);
                assert_int_equal(qcd_message_decode(&m, out.octets, out.len),
                                 QCD_OK);
                assert_int_equal(m.num_tokens, want);
            } else {
                assert_int_equal(out.len, 0);
            }
        }
    }
}

static enum qcd_err make_reply(qcd_datagram *out, const qcd_address *taker,
                               uint8_t token_len, size_t request_len)
{
    qcd_header h = dead_request();

    h.length = (uint32_t)request_len;
    return reply(out, &h, taker, token_len, 0);
}

static void test_reply_errors(void **state)
{
    static const message_row rows[] = {
        {"one token under the bound", 32, 0xff, 26, QCD_OK},
        {"none under the bound", 32, 0xff, 25, QCD_ERR_NOBUF},
    };

    (void)state;
    check_messages(make_reply, rows, NUM_ROWS(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAKER_TEST(test_reply_octets),
        MAKER_TEST(test_reply_flags),
        MAKER_TEST(test_reply_is_verified_by_the_taker),
        MAKER_TEST(test_amplification),
        MAKER_TEST(test_reply_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_lost_message.c: the message that src/maker.c makes for an SA that was
 * lost in a crash, RFC 6290 section 8.2. */
#include "maker_box.h"

/* RFC 6290 sections 4.5 and 8.2: INVALID_SPI whose data is the child SPI, then
 * the tokens.  The IKE SA's SPIs, Message ID 0, no R flag, I if we were its
 * original initiator.  Python computed the tokens, which have 16 octets;
 * the older one happens to be first. */
static const char known_of_responder[] = "2122232425262728a46dfd1d3828ee87"
                                         "292025000000000000000058"
                                         "2900000c0000000bc1c2c3c4"
                                         "2900001800004023"
                                         "10cf1287c033f1afbd16311bfa5e17bd"
                                         "0000001800004023"
                                         "b14c78684d2619957fc4600afe6dec27";
static const char known_of_initiator[] = "a46dfd1d3828ee872122232425262728"
                                         "292025080000000000000058"
                                         "2900000c0000000bc1c2c3c4"
                                         "2900001800004023"
                                         "b7d38284f90d756c9c728b6ee15895ac"
                                         "0000001800004023"
                                         "09ece700a0abf8b9a58315ae038aadaf";

_Static_assert(sizeof(known_of_responder) == 2 * 0x58 + 1, "its length field");
_Static_assert(sizeof(known_of_initiator) == 2 * 0x58 + 1, "its length field");

static void test_octets(void **state)
{
    const qcd_lost as_responder = lost_in(QCD_RESPONDER);
    const qcd_lost as_initiator = lost_in(QCD_INITIATOR);
    qcd_datagram out;

    (void)state;
    set_generations(2);
    assert_int_equal(tell(&out, &as_responder, NULL, 16, NOT_ASKED), QCD_OK);
    CHECK_HEX("responder", out.octets, out.len, known_of_responder);
    assert_int_equal(tell(&out, &as_initiator, NULL, 16, NOT_ASKED), QCD_OK);
    CHECK_HEX("initiator", out.octets, out.len, known_of_initiator);
}

/* The whole way of the peer: the token that it was given is the one that it is
 * shown, in either role, of any generation, with and without its address.  The
 * header names the SA to the peer. */
static void test_verified_by_the_taker(void **state)
{
    static const qcd_address *const takers[] = {NULL, &peer};
    const uint8_t octets[QCD_RANDOM_KEY_LEN] = {9};
    static qcd_taker taker_of_peer;

    (void)state;
    assert_int_equal(qcd_taker_init(&taker_of_peer, 10, octets), QCD_OK);
    for (unsigned i = 0; i < 2 * 2 * QCD_GENERATIONS_MAX; i++) {
        enum qcd_role role = i % 2 == 0 ? QCD_INITIATOR : QCD_RESPONDER;
        const qcd_address *taker = takers[i / 2 % 2];
        const qcd_lost lost = lost_in(role);
        const qcd_token token = token_of(taker, 20, i / 4, &lost.sa);
        qcd_held held = {0};
        qcd_datagram out;
        qcd_message m;

        qcd_taker_store(&taker_of_peer, &held, &token);
        assert_int_equal(tell(&out, &lost, taker, 20, 100), QCD_OK);
        assert_true(qcd_message_is_candidate(out.octets, out.len));
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(m.cause, QCD_CAUSE_INVALID_SPI);
        assert_memory_equal(m.child_spi.octets, lost.child_spi.octets,
                            QCD_CHILD_SPI_LEN);
        assert_memory_equal(&m.header.spis, &lost.sa.spis,
                            sizeof(lost.sa.spis));
        assert_int_equal(m.num_tokens, QCD_GENERATIONS_MAX);
        assert_int_equal(qcd_taker_check(&taker_of_peer, &held, &m), QCD_MATCH);
        /* The other end has the other role. */
        assert_int_equal(qcd_header_local_role(&m.header),
                         role == QCD_INITIATOR ? QCD_RESPONDER : QCD_INITIATOR);
        /* A taker that moved holds a token that no longer matches. */
        assert_int_equal(tell(&out, &lost, &stranger, 20, 100), QCD_OK);
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(qcd_taker_check(&taker_of_peer, &held, &m),
                         QCD_NO_MATCH);
    }
}

/* RFC 7296 section 1.5: nobody responds to it.  Our own maker does not. */
static void test_is_not_answered(void **state)
{
    static const enum qcd_role roles[] = {QCD_INITIATOR, QCD_RESPONDER};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(roles); i++) {
        const qcd_lost lost = lost_in(roles[i]);
        qcd_datagram out;
        qcd_header h;

        assert_int_equal(tell(&out, &lost, NULL, 32, NOT_ASKED), QCD_OK);
        const qcd_packet packet = {
            .octets = out.octets, .len = out.len, .source = peer};
        assert_int_equal(qcd_maker_judge(&maker, &h, &packet, START_MS),
                         QCD_SILENT_NO_REQUEST);
    }
}

/* The number of tokens that fit below three times each size of a packet, at any
 * time. */
static void test_amplification(void **state)
{
    static const uint8_t token_lens[] = {16, 20, 32};
    unsigned seen = 0; /* generations that came first */

    (void)state;
    for (size_t i = 0; i < 300 * NUM_ROWS(token_lens); i++) {
        uint8_t token_len = token_lens[i % NUM_ROWS(token_lens)];
        const qcd_traffic packet = {.len = 1 + i / NUM_ROWS(token_lens),
                                    .source = peer};
        size_t each = 8u + token_len;
        size_t fit = packet.len * 3 < 40 ? 0 : (packet.len * 3 - 40) / each;
        size_t want = fit < QCD_GENERATIONS_MAX ? fit : QCD_GENERATIONS_MAX;
        const qcd_lost lost = lost_in(QCD_RESPONDER);
        qcd_datagram out;
        qcd_message m;

        dirty(&out, sizeof(out));
        maker.settings.token_len = token_len;
        assert_int_equal(qcd_maker_tell(&maker, &out, &lost, &packet, i),
                         want > 0 ? QCD_OK : QCD_ERR_NOBUF);
        assert_int_equal(out.len, want > 0 ? 40 + want * each : 0);
        assert_true(
            is_zero(out.octets + out.len, sizeof(out.octets) - out.len));
        if (want == 0) {
            continue;
        }
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(m.num_tokens, want);
        seen |= 1u << shown_first(&m, QCD_RESPONDER);
    }
    assert_int_equal(seen, 0xf);
}

static enum qcd_err make_message_of_lost(qcd_datagram *out,
                                         const qcd_address *taker,
                                         uint8_t token_len, size_t packet_len)
{
    const qcd_lost lost = lost_in(QCD_RESPONDER);

    return tell(out, &lost, taker, token_len, packet_len);
}

static void test_errors(void **state)
{
    static const message_row rows[] = {
        {"not asked, address of 5", 32, 5, NOT_ASKED, QCD_ERR_RANGE},
        {"not asked, address of 16", 32, 16, NOT_ASKED, QCD_OK},
        {"one token under the bound", 32, 0xff, 27, QCD_OK},
        {"none under the bound", 32, 0xff, 26, QCD_ERR_NOBUF},
        {"empty packet", 16, 0xff, 0, QCD_ERR_NOBUF},
        {"shortest ESP", 16, 0xff, 8, QCD_ERR_NOBUF},
        {"largest", 32, 0xff, SIZE_MAX - 1, QCD_OK},
        {"a third of the largest", 32, 0xff, SIZE_MAX / 3, QCD_OK},
        {"more than a third", 32, 0xff, SIZE_MAX / 3 + 1, QCD_OK},
        {"no bound", 32, 0xff, NOT_ASKED, QCD_OK},
    };

    (void)state;
    check_messages(make_message_of_lost, rows, NUM_ROWS(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAKER_TEST(test_octets),
        MAKER_TEST(test_verified_by_the_taker),
        MAKER_TEST(test_is_not_answered),
        MAKER_TEST(test_amplification),
        MAKER_TEST(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_maker_request.c: what src/maker.c considers a protected request, RFC
 * 6290 section 3. */
#include "ike.h"
#include "maker_box.h"

#define NO_REQUEST QCD_SILENT_NO_REQUEST

typedef struct change {
    const char *name;
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    uint8_t next_payload;
    uint8_t body[8];
    bool zero_initiator;
    bool zero_responder;
    enum qcd_judgement want;
} change;

static const change requests[] = {
    {"INFORMATIONAL", 0x20, 37, 0x08, 46, .want = QCD_ANSWER},
    {"CREATE_CHILD_SA", 0x20, 36, 0x08, 46, .want = QCD_ANSWER},
    {"IKE_AUTH", 0x20, 35, 0x08, 46, .want = QCD_ANSWER},
    {"unknown exchange", 0x20, 250, 0x08, 46, .want = QCD_ANSWER},
    {"minor version 1", 0x21, 37, 0x08, 46, .want = QCD_ANSWER},
    {"reserved flags", 0x20, 37, 0xdf, 46, .want = QCD_ANSWER},
    {"IKE_SA_INIT", 0x20, 34, 0x08, 46, .want = NO_REQUEST},
    {"IKE_SESSION_RESUME", 0x20, 38, 0x08, 46, .want = NO_REQUEST},
    {"major version 1", 0x10, 37, 0x08, 46, .want = NO_REQUEST},
    {"major version 3", 0x30, 37, 0x08, 46, .want = NO_REQUEST},
    /* RFC 7296 section 2.21.4: a response never gets a reply. */
    {"response", 0x20, 37, 0x28, 46, .want = NO_REQUEST},
    {"response, all flags", 0x20, 37, 0xff, 46, .want = NO_REQUEST},
    {"notify in the clear", 0x20, 37, 0x08, 41, .want = NO_REQUEST},
    {"no payload", 0x20, 37, 0x08, 0, .want = NO_REQUEST},
    {"payload below SK", 0x20, 37, 0x08, 45, .want = NO_REQUEST},
    {"payload above SK", 0x20, 37, 0x08, 47, .want = NO_REQUEST},
    {"no SPI of the initiator", 0x20, 37, 0x08, 46, .zero_initiator = true,
     .want = NO_REQUEST},
    {"no SPI of the responder", 0x20, 37, 0x08, 46, .zero_responder = true,
     .want = NO_REQUEST},
    /* RFC 7383 section 2.5: Fragment Number follows the payload's header. */
    {"first fragment of 1", 0x20, 37, 0x08, 53,
     .body = {0, 0, 0, 52, 0, 1, 0, 1}, .want = QCD_ANSWER},
    {"first fragment of 9", 0x20, 37, 0x08, 53,
     .body = {35, 0, 0, 52, 0, 1, 0, 9}, .want = QCD_ANSWER},
    {"fragment 0", 0x20, 37, 0x08, 53, .body = {0, 0, 0, 52, 0, 0, 0, 1},
     .want = NO_REQUEST},
    {"second fragment", 0x20, 37, 0x08, 53, .body = {0, 0, 0, 52, 0, 2, 0, 9},
     .want = NO_REQUEST},
    {"fragment 257", 0x20, 37, 0x08, 53, .body = {0, 0, 0, 52, 1, 1, 1, 9},
     .want = NO_REQUEST},
};

static void test_protected_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(requests); i++) {
        const change *c = &requests[i];
        qcd_header h = dead_request();
        qcd_header got;

        h.version = c->version;
        h.exchange_type = c->exchange;
        h.flags = c->flags;
        h.next_payload = c->next_payload;
        if (c->zero_initiator) {
            memset(&h.spis.initiator, 0, QCD_SPI_LEN);
        }
        if (c->zero_responder) {
            memset(&h.spis.responder, 0, QCD_SPI_LEN);
        }
        bool is_filled = is_zero(c->body, sizeof(c->body));
        uint8_t *in =
            datagram(&h, is_filled ? NULL : c->body, sizeof(c->body), 80);
        CHECK_INT(c->name, judge_request(&got, in, 80), c->want);
        free(in);
        h.length = 80;
        if (c->want == QCD_ANSWER) {
            CHECK_OCTETS(c->name, &got, &h, sizeof(h));
        } else {
            CHECK_ZERO(c->name, got);
        }
    }
}

/* RFC 7296 section 3.14 and RFC 7383 section 2.5: the Encrypted payload that
 * the header names exists, and is the last one. */
static const struct {
    const char *name;
    size_t len; /* of the whole message */
    uint8_t payload;
    uint8_t body[8]; /* the first octets after the IKE header */
    enum qcd_judgement want;
} payloads[] = {
    {"header alone", 28, 46, {0}, NO_REQUEST},
    {"one octet of SK", 29, 46, {0}, NO_REQUEST},
    {"SK cut in its header", 31, 46, {0, 0, 0}, NO_REQUEST},
    {"SK with nothing in it", 32, 46, {0, 0, 0, 4}, NO_REQUEST},
    {"SK, one octet too few", 48, 46, {0, 0, 0, 20}, NO_REQUEST},
    {"SK, the least", 49, 46, {0, 0, 0, 21}, QCD_ANSWER},
    {"SK, one more", 50, 46, {0, 0, 0, 22}, QCD_ANSWER},
    {"SK, next payload in it", 80, 46, {41, 0, 0, 52}, QCD_ANSWER},
    {"SK, critical", 80, 46, {0, 0x80, 0, 52}, QCD_ANSWER},
    {"SK of length 0", 80, 46, {0, 0, 0, 0, 1}, NO_REQUEST},
    {"SK of length 3", 80, 46, {0, 0, 0, 3}, NO_REQUEST},
    {"SK ends one octet early", 80, 46, {0, 0, 0, 51}, NO_REQUEST},
    {"SK ends one octet late", 80, 46, {0, 0, 0, 53}, NO_REQUEST},
    {"SK of length 65535", 80, 46, {0, 0, 255, 255}, NO_REQUEST},
    {"SK of 256 octets", 284, 46, {0, 0, 1, 0}, QCD_ANSWER},
    {"SK of the longest", 65563, 46, {0, 0, 255, 255}, QCD_ANSWER},
    {"SK longer than it can say", 65564, 46, {0, 0, 0, 0, 1}, NO_REQUEST},
    {"SK longer, its length wrapped", 65585, 46, {0, 0, 0, 21}, NO_REQUEST},
    {"SKF, header alone", 28, 53, {0}, NO_REQUEST},
    {"SKF cut in its header", 34, 53, {0, 0, 0, 4, 0, 1}, NO_REQUEST},
    {"SKF cut in its numbers", 35, 53, {0, 0, 0, 7, 0, 1, 0}, NO_REQUEST},
    {"SKF with nothing in it", 36, 53, {0, 0, 0, 8, 0, 1, 0, 1}, NO_REQUEST},
    {"SKF, one octet too few", 52, 53, {0, 0, 0, 24, 0, 1, 0, 1}, NO_REQUEST},
    {"SKF, the least", 53, 53, {0, 0, 0, 25, 0, 1, 0, 1}, QCD_ANSWER},
    {"SKF ends early", 80, 53, {0, 0, 0, 51, 0, 1, 0, 1}, NO_REQUEST},
    {"SKF ends late", 80, 53, {0, 0, 0, 53, 0, 1, 0, 1}, NO_REQUEST},
    {"SKF, 1 of 0", 80, 53, {0, 0, 0, 52, 0, 1, 0, 0}, NO_REQUEST},
    {"SKF, 1 of 1", 80, 53, {0, 0, 0, 52, 0, 1, 0, 1}, QCD_ANSWER},
    {"SKF, 1 of 65535", 80, 53, {0, 0, 0, 52, 0, 1, 255, 255}, QCD_ANSWER},
    {"SKF, 0 of 0", 80, 53, {0, 0, 0, 52, 0, 0, 0, 0}, NO_REQUEST},
    {"SKF, 2 of 2", 80, 53, {0, 0, 0, 52, 0, 2, 0, 2}, NO_REQUEST},
    {"SKF, 2 of 1", 80, 53, {0, 0, 0, 52, 0, 2, 0, 1}, NO_REQUEST},
};

static void test_payload_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(payloads); i++) {
        qcd_header h = dead_request();
        qcd_header got;

        h.next_payload = payloads[i].payload;
        uint8_t *in = datagram(&h, payloads[i].body, sizeof(payloads[i].body),
                               payloads[i].len);
        CHECK_INT(payloads[i].name, judge_request(&got, in, payloads[i].len),
                  payloads[i].want);
        free(in);
        /* The number of octets that arrived bounds the reply. */
        CHECK_INT(payloads[i].name, got.length,
                  payloads[i].want == QCD_ANSWER ? payloads[i].len : 0);
    }
}

/* With each length of a message, each length that an Encrypted payload can
 * give. */
static void test_every_payload_length(void **state)
{
    (void)state;
    for (size_t len = QCD_HEADER_LEN; len < 120; len++) {
        for (uint8_t said = 0; said < 120; said++) {
            const uint8_t body[8] = {0, 0, 0, said, 0, 1, 0, 1};
            bool fills = said == len - QCD_HEADER_LEN;
            qcd_header h = dead_request();
            qcd_header got;

            uint8_t *in = datagram(&h, body, sizeof(body), len);
            assert_int_equal(judge_request(&got, in, len) == QCD_ANSWER,
                             fills && said >= 21);
            in[16] = PAYLOAD_SKF;
            assert_int_equal(judge_request(&got, in, len) == QCD_ANSWER,
                             fills && said >= 25);
            free(in);
        }
    }
}

static void test_every_truncation(void **state)
{
    static const uint8_t types[] = {PAYLOAD_SK, PAYLOAD_SKF};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(types); i++) {
        qcd_header h = dead_request();

        h.next_payload = types[i];
        uint8_t *whole = datagram(&h, "\0\0\0\64\0\1\0\1", 8, 80);
        for (size_t len = 0; len < 80; len++) {
            uint8_t *in = copy_exact(whole, len);
            qcd_header got;

            assert_int_equal(judge_request(&got, in, len),
                             QCD_SILENT_NO_REQUEST);
            assert_true(is_zero(&got, sizeof(got)));
            free(in);
        }
        qcd_header got;
        assert_int_equal(judge_request(&got, whole, 80), QCD_ANSWER);
        free(whole);
    }
    qcd_header got;
    assert_int_equal(judge_request(&got, NULL, 0), QCD_SILENT_NO_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAKER_TEST(test_protected_requests),
        MAKER_TEST(test_payload_is_there),
        MAKER_TEST(test_every_payload_length),
        MAKER_TEST(test_every_truncation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

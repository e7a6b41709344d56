/* SPDX-License-Identifier: Apache-2.0 */
/* test_maker.c: src/maker.c. */
#include "test.h"

#include "ike.h"
#include "shown.h"

enum { NODE = 7, FIRST_RUN = 10, RUN = 12, START_MS = 123456789 };

static qcd_maker maker;
static const qcd_address peer = {4, {192, 0, 2, 1}};

static int set_up(void **state)
{
    const qcd_maker_settings settings = {.node = NODE,
                                         .token_len = 32,
                                         .reply_rate = QCD_RATE_MAX,
                                         .reply_burst = QCD_RATE_MAX,
                                         .source_rate = QCD_RATE_MAX};
    qcd_maker_state begin = {.num_secrets = QCD_GENERATIONS_MAX,
                             .run = FIRST_RUN};

    (void)state;
    count_up(begin.seal_key, 1, sizeof(begin.seal_key));
    count_up(begin.secrets, 0, sizeof(begin.secrets));
    count_up(begin.random, 1, sizeof(begin.random));
    assert_int_equal(qcd_maker_init(&maker, &settings, &begin), QCD_OK);
    assert_int_equal(qcd_maker_next_run(&maker, RUN), QCD_OK);
    maker.mint.counter = 1000;
    return 0;
}

static qcd_spi sealed(uint8_t node, uint16_t run, uint32_t counter)
{
    const qcd_origin origin = {node, run, counter};
    qcd_spi spi;

    assert_int_equal(spi_seal(&spi, &maker.seal, &origin), QCD_OK);
    return spi;
}

static qcd_spi dead_spi(void)
{
    return sealed(NODE, FIRST_RUN - 1, 3);
}

static qcd_spi live_spi(void)
{
    return sealed(NODE, RUN, 3);
}

static qcd_spi peer_spi(void)
{
    qcd_spi spi;

    count_up(&spi, 0x21, sizeof(spi));
    return spi;
}

/* A request of the original initiator for an SA that died with its run. */
static qcd_header dead_request(void)
{
    const qcd_header h = {.spis = {peer_spi(), dead_spi()},
                          .next_payload = PAYLOAD_SK,
                          .version = 0x20,
                          .exchange_type = 37,
                          .flags = QCD_FLAG_INITIATOR,
                          .message_id = 0x81828384};

    return h;
}

/* Writes `h` and `len` - 28 octets after it, those of `body` first; with NULL,
 * an Encrypted payload that fills the message. */
static uint8_t *datagram(const qcd_header *h, const void *body, size_t body_len,
                         size_t len)
{
    const uint8_t filling[] = {0, 0, (uint8_t)((len - QCD_HEADER_LEN) >> 8),
                               (uint8_t)(len - QCD_HEADER_LEN)};
    uint8_t *out = calloc(1, len > 0 ? len : 1);
    static uint8_t whole[70000];
    qcd_header sent = *h;
    wr w;

    assert_non_null(out);
    assert_true(len <= sizeof(whole));
    sent.length = (uint32_t)len;
    memset(whole, 0, len > 40 ? len : 40);
    wr_init(&w, whole, sizeof(whole));
    header_write(&w, &sent);
    wr_bytes(&w, body != NULL ? body : filling,
             body != NULL ? body_len : sizeof(filling));
    memcpy(out, whole, len);
    return out;
}

static enum qcd_judgement judge(qcd_header *out, const uint8_t *in,
                                size_t in_len)
{
    const qcd_packet packet = {.octets = in, .len = in_len, .source = peer};

    dirty(out, sizeof(*out));
    return qcd_maker_judge(&maker, out, &packet, START_MS);
}

/* Builds a reply with tokens of `token_len`, bound to `taker` unless NULL. */
static enum qcd_err reply(qcd_datagram *out, const qcd_header *request,
                          const qcd_address *taker, uint8_t token_len,
                          uint64_t now_ms)
{
    maker.settings.token_len = token_len;
    maker.settings.is_bound = taker != NULL;
    dirty(out, sizeof(*out));
    return qcd_maker_reply(&maker, out, request, taker != NULL ? taker : &peer,
                           now_ms);
}

/* ---- What is a protected request, RFC 6290 section 3 ---- */

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

#define NO_REQUEST QCD_SILENT_NO_REQUEST

static const change requests[] = {
    {"INFORMATIONAL", 0x20, 37, 0x08, 46, {0}, false, false, QCD_ANSWER},
    {"CREATE_CHILD_SA", 0x20, 36, 0x08, 46, {0}, false, false, QCD_ANSWER},
    {"IKE_AUTH", 0x20, 35, 0x08, 46, {0}, false, false, QCD_ANSWER},
    {"unknown exchange", 0x20, 250, 0x08, 46, {0}, false, false, QCD_ANSWER},
    {"minor version 1", 0x21, 37, 0x08, 46, {0}, false, false, QCD_ANSWER},
    {"reserved flags", 0x20, 37, 0xdf, 46, {0}, false, false, QCD_ANSWER},
    {"IKE_SA_INIT", 0x20, 34, 0x08, 46, {0}, false, false, NO_REQUEST},
    {"IKE_SESSION_RESUME", 0x20, 38, 0x08, 46, {0}, false, false, NO_REQUEST},
    {"major version 1", 0x10, 37, 0x08, 46, {0}, false, false, NO_REQUEST},
    {"major version 3", 0x30, 37, 0x08, 46, {0}, false, false, NO_REQUEST},
    /* RFC 7296 section 2.21.4: a response is never answered. */
    {"response", 0x20, 37, 0x28, 46, {0}, false, false, NO_REQUEST},
    {"response, all flags", 0x20, 37, 0xff, 46, {0}, false, false, NO_REQUEST},
    {"notify in the clear", 0x20, 37, 0x08, 41, {0}, false, false, NO_REQUEST},
    {"no payload", 0x20, 37, 0x08, 0, {0}, false, false, NO_REQUEST},
    {"payload below SK", 0x20, 37, 0x08, 45, {0}, false, false, NO_REQUEST},
    {"payload above SK", 0x20, 37, 0x08, 47, {0}, false, false, NO_REQUEST},
    {"no SPI of the initiator",
     0x20,
     37,
     0x08,
     46,
     {0},
     true,
     false,
     NO_REQUEST},
    {"no SPI of the responder",
     0x20,
     37,
     0x08,
     46,
     {0},
     false,
     true,
     NO_REQUEST},
    /* RFC 7383 section 2.5: Fragment Number follows the payload's header. */
    {"first fragment of 1",
     0x20,
     37,
     0x08,
     53,
     {0, 0, 0, 52, 0, 1, 0, 1},
     false,
     false,
     QCD_ANSWER},
    {"first fragment of 9",
     0x20,
     37,
     0x08,
     53,
     {35, 0, 0, 52, 0, 1, 0, 9},
     false,
     false,
     QCD_ANSWER},
    {"fragment 0",
     0x20,
     37,
     0x08,
     53,
     {0, 0, 0, 52, 0, 0, 0, 1},
     false,
     false,
     NO_REQUEST},
    {"second fragment",
     0x20,
     37,
     0x08,
     53,
     {0, 0, 0, 52, 0, 2, 0, 9},
     false,
     false,
     NO_REQUEST},
    {"fragment 257",
     0x20,
     37,
     0x08,
     53,
     {0, 0, 0, 52, 1, 1, 1, 9},
     false,
     false,
     NO_REQUEST},
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
        CHECK_INT(c->name, judge(&got, in, 80), c->want);
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
 * the header names is there, and is the last one. */
static const struct {
    const char *name;
    size_t len; /* of the whole message */
    uint8_t payload;
    uint8_t body[8]; /* the first octets behind the IKE header */
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
        CHECK_INT(payloads[i].name, judge(&got, in, payloads[i].len),
                  payloads[i].want);
        free(in);
        /* The bound of the reply is set by what arrived. */
        CHECK_INT(payloads[i].name, got.length,
                  payloads[i].want == QCD_ANSWER ? payloads[i].len : 0);
    }
}

/* With each length of a message, each that an Encrypted payload can say. */
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
            assert_int_equal(judge(&got, in, len) == QCD_ANSWER,
                             fills && said >= 21);
            in[16] = PAYLOAD_SKF;
            assert_int_equal(judge(&got, in, len) == QCD_ANSWER,
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

            assert_int_equal(judge(&got, in, len), QCD_SILENT_NO_REQUEST);
            assert_true(is_zero(&got, sizeof(got)));
            free(in);
        }
        qcd_header got;
        assert_int_equal(judge(&got, whole, 80), QCD_ANSWER);
        free(whole);
    }
    qcd_header got;
    assert_int_equal(judge(&got, NULL, 0), QCD_SILENT_NO_REQUEST);
}

/* ---- Evidence, RFC 6290 section 9.2 ---- */

enum which { PEER, DEAD, LIVE, BURIED, FUTURE, OTHER_NODE };

static qcd_spi spi_which(enum which which)
{
    switch (which) {
    case DEAD:
        return dead_spi();
    case LIVE:
        return live_spi();
    case BURIED:
        return sealed(NODE, RUN, 4);
    case FUTURE:
        return sealed(NODE, RUN + 1, 3);
    case OTHER_NODE:
        return sealed(NODE + 1, FIRST_RUN - 1, 3);
    case PEER:
    default:
        return peer_spi();
    }
}

static const struct {
    const char *name;
    enum which initiator;
    enum which responder;
    uint8_t flags;
    enum qcd_judgement want;
} evidence_rows[] = {
    {"dead", PEER, DEAD, 8, QCD_ANSWER},
    {"dead, we were the initiator", DEAD, PEER, 0, QCD_ANSWER},
    {"dead, I flag flipped", PEER, DEAD, 0, QCD_SILENT_NO_EVIDENCE},
    {"dead, SPIs swapped", DEAD, PEER, 8, QCD_SILENT_NO_EVIDENCE},
    {"live", PEER, LIVE, 8, QCD_SILENT_NO_EVIDENCE},
    {"live, I flag flipped", PEER, LIVE, 0, QCD_SILENT_NO_EVIDENCE},
    {"live, SPIs swapped", LIVE, PEER, 8, QCD_SILENT_NO_EVIDENCE},
    {"live, both", LIVE, PEER, 0, QCD_SILENT_NO_EVIDENCE},
    {"live, the peer's SPI is a dead one of ours", DEAD, LIVE, 8,
     QCD_SILENT_NO_EVIDENCE},
    {"buried", PEER, BURIED, 8, QCD_ANSWER},
    {"buried, I flag flipped", PEER, BURIED, 0, QCD_SILENT_NO_EVIDENCE},
    {"buried, SPIs swapped", BURIED, PEER, 8, QCD_SILENT_NO_EVIDENCE},
    {"buried, both", BURIED, PEER, 0, QCD_SILENT_NO_EVIDENCE},
    {"buried, other peer", DEAD, BURIED, 8, QCD_SILENT_NO_EVIDENCE},
    {"future run", PEER, FUTURE, 8, QCD_SILENT_NO_EVIDENCE},
    {"other node", PEER, OTHER_NODE, 8, QCD_SILENT_NO_EVIDENCE},
    {"neither is ours", PEER, PEER, 8, QCD_SILENT_NO_EVIDENCE},
};

static void test_evidence(void **state)
{
    const qcd_spis buried = {peer_spi(), spi_which(BURIED)};

    (void)state;
    graveyard_bury(&maker.graveyard, &(qcd_ike_sa){buried, QCD_RESPONDER});
    for (size_t i = 0; i < NUM_ROWS(evidence_rows); i++) {
        qcd_header h = dead_request();
        qcd_header got;

        h.spis.initiator = spi_which(evidence_rows[i].initiator);
        h.spis.responder = spi_which(evidence_rows[i].responder);
        h.flags = evidence_rows[i].flags;
        uint8_t *in = datagram(&h, NULL, 0, 80);
        CHECK_INT(evidence_rows[i].name, judge(&got, in, 80),
                  evidence_rows[i].want);
        free(in);
    }
}

static bool shows(const qcd_datagram *out, const qcd_token *token)
{
    for (size_t i = 0; i + token->len <= out->len; i++) {
        if (memcmp(out->octets + i, token->octets, token->len) == 0) {
            return true;
        }
    }
    return false;
}

/* RFC 6290 section 9.2.  A peer may take for its SPI one that was ours in an
 * earlier run; then the I flag, flipped, finds evidence.  What is shown is not
 * the live SA's token even so, of no generation. */
static void test_no_answer_shows_a_live_token(void **state)
{
    static const enum which remotes[] = {PEER, DEAD, FUTURE, OTHER_NODE};
    unsigned num_answers = 0;

    (void)state;
    for (unsigned i = 0; i < NUM_ROWS(remotes) * 2; i++) {
        enum qcd_role role = i % 2 == 0 ? QCD_RESPONDER : QCD_INITIATOR;
        qcd_spi remote = spi_which(remotes[i / 2]);
        qcd_spis live = {remote, live_spi()};

        if (role == QCD_INITIATOR) {
            live = (qcd_spis){live_spi(), remote};
        }
        for (unsigned trick = 0; trick < 4; trick++) {
            qcd_header h = dead_request();
            qcd_header got;

            h.spis = (trick & 1) == 0
                         ? live
                         : (qcd_spis){live.responder, live.initiator};
            h.flags = (trick & 2) == 0 ? QCD_FLAG_INITIATOR : 0;
            uint8_t *in = datagram(&h, NULL, 0, 200);
            enum qcd_judgement said = judge(&got, in, 200);
            free(in);
            if (said != QCD_ANSWER) {
                continue;
            }
            num_answers++;
            qcd_datagram out;
            assert_int_equal(reply(&out, &got, NULL, 32, 0), QCD_OK);
            for (size_t g = 0; g < QCD_GENERATIONS_MAX; g++) {
                qcd_token token;

                assert_int_equal(token_make(&token,
                                            &(recipe){&maker.keys, NULL, 16}, g,
                                            &(qcd_ike_sa){live, role}),
                                 QCD_OK);
                assert_false(shows(&out, &token));
            }
        }
    }
    /* With the dead SPI as the remote one: two tricks in each role. */
    assert_int_equal(num_answers, 4);
}

static void test_random_requests_are_not_answered(void **state)
{
    uint64_t random = 5;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        qcd_header h = dead_request();
        qcd_header got;

        random_octets(&random, &h.spis, sizeof(h.spis));
        h.flags = (uint8_t)random64(&random) & 0x08;
        uint8_t *in = datagram(&h, NULL, 0, 80);
        assert_int_equal(judge(&got, in, 80), QCD_SILENT_NO_EVIDENCE);
        assert_true(is_zero(&got, sizeof(got)));
        free(in);
    }
}

/* ---- Limits, RFC 6290 section 8.1 ---- */

static void test_over_the_limit(void **state)
{
    const uint8_t key[QCD_RANDOM_KEY_LEN] = {1};
    qcd_header h = dead_request();
    qcd_header got;

    (void)state;
    assert_int_equal(reply_limit_init(&maker.replies, 100, 100, 3, key),
                     QCD_OK);
    uint8_t *in = datagram(&h, NULL, 0, 80);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(judge(&got, in, 80),
                         i < 3 ? QCD_ANSWER : QCD_SILENT_LIMIT);
        assert_int_equal(is_zero(&got, sizeof(got)), i >= 3);
    }
    free(in);
}

/* Where the daemon knows that their peers are there, the first request for each
 * of many SAs is answered. */
static void test_many_behind_one_address(void **state)
{
    enum { NUM_LOST = 20, RATE_SOURCE = 3 };
    const uint8_t key[QCD_RANDOM_KEY_LEN] = {1};
    qcd_header got;

    (void)state;
    assert_int_equal(
        reply_limit_init(&maker.replies, 1000, 1000, RATE_SOURCE, key), QCD_OK);
    for (uint32_t n = 0; n < 2 * NUM_LOST; n++) {
        qcd_header h = dead_request();

        h.spis.responder = sealed(NODE, FIRST_RUN - 1, n);
        uint8_t *in = datagram(&h, NULL, 0, 80);
        const qcd_packet packet = {
            .octets = in, .len = 80, .source = peer, .is_home = n < NUM_LOST};
        assert_int_equal(qcd_maker_judge(&maker, &got, &packet, START_MS),
                         n < NUM_LOST + RATE_SOURCE ? QCD_ANSWER
                                                    : QCD_SILENT_LIMIT);
        free(in);
    }
}

/* What gets no answer leaves the limits as they are, so nobody uses them up
 * who does not know a dead SA. */
static void test_silence_costs_nothing(void **state)
{
    static qcd_maker before;
    qcd_header no_evidence = dead_request();
    qcd_header no_request = dead_request();
    qcd_header got;

    (void)state;
    no_evidence.spis.responder = live_spi();
    no_request.flags |= QCD_FLAG_RESPONSE;
    uint8_t *first = datagram(&no_evidence, NULL, 0, 80);
    uint8_t *second = datagram(&no_request, NULL, 0, 80);
    before = maker;
    assert_int_equal(judge(&got, first, 80), QCD_SILENT_NO_EVIDENCE);
    assert_int_equal(judge(&got, second, 80), QCD_SILENT_NO_REQUEST);
    assert_memory_equal(&maker, &before, sizeof(maker));
    free(first);
    free(second);
}

/* A limit that was never set up lets nothing pass. */
static void test_zero_limit(void **state)
{
    qcd_header h = dead_request();
    qcd_header got;

    (void)state;
    memset(&maker.replies, 0, sizeof(maker.replies));
    uint8_t *in = datagram(&h, NULL, 0, 80);
    assert_int_equal(judge(&got, in, 80), QCD_SILENT_LIMIT);
    free(in);
}

/* ---- The reply ---- */

/* RFC 7296 section 1.5 and RFC 6290 section 4.5: both SPIs, Message ID and
 * exchange type are the request's, R is set, I flipped; INVALID_IKE_SPI has no
 * data, Protocol ID is 0 (erratum 3449).  The tokens, in Python, are those of
 * test_token.c for 2122232425262728 and 7d07df890eaaf62b, 16 octets long. */
static const char known_reply[] = "21222324252627287d07df890eaaf62b"
                                  "292025208182838400000054"
                                  "2900000800000004"
                                  "2900001800004023"
                                  "26aec82c3056da251d98b79037c1e27d"
                                  "0000001800004023"
                                  "c86b0816bf283faa599db1c2f5d75d9c";

static void test_reply_octets(void **state)
{
    qcd_header h = dead_request();
    qcd_secret secrets[2];
    qcd_datagram out;

    (void)state;
    count_up(secrets, 0, sizeof(secrets));
    assert_int_equal(keys_init(&maker.keys, secrets, 2), QCD_OK);
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

/* The peer's own way back: what it was given is what it is shown. */
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
        qcd_header h = dead_request();
        qcd_held held = {0};
        qcd_datagram out;
        qcd_message m;
        qcd_token token;

        if (role == QCD_INITIATOR) {
            h.spis = (qcd_spis){h.spis.responder, h.spis.initiator};
            h.flags = 0;
        }
        h.length = 200;
        assert_int_equal(token_make(&token, &(recipe){&maker.keys, taker, 20},
                                    i >> 2, &(qcd_ike_sa){h.spis, role}),
                         QCD_OK);
        qcd_taker_store(&taker_of_peer, &held, &token);
        assert_int_equal(reply(&out, &h, taker, 20, 0), QCD_OK);
        assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
        assert_int_equal(m.cause, QCD_CAUSE_INVALID_IKE_SPI);
        assert_int_equal(m.num_tokens, QCD_GENERATIONS_MAX);
        assert_int_equal(qcd_taker_check(&taker_of_peer, &held, &m), QCD_MATCH);
    }
}

/* How many tokens fit under three times each size of a request. */
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

/* ---- Which generation comes first ---- */

static size_t first_at(const qcd_spis *spis, uint64_t now_ms, uint32_t len)
{
    size_t num = maker.keys.num_generations;
    qcd_header h = dead_request();
    qcd_datagram out;
    qcd_message m;

    h.spis = *spis;
    h.length = len;
    assert_int_equal(reply(&out, &h, NULL, 16, now_ms), QCD_OK);
    assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
    size_t fit = (len * 3 - 36) / 24;
    assert_int_equal(m.num_tokens, fit < num ? fit : num);
    return shown_first(&m, &maker.keys, QCD_RESPONDER);
}

static void set_generations(size_t num)
{
    qcd_secret secrets[QCD_GENERATIONS_MAX];

    count_up(secrets, 0, sizeof(secrets));
    assert_int_equal(keys_init(&maker.keys, secrets, num), QCD_OK);
}

/* The rest follows, newest first; also where one token fits, or two, or three,
 * and so each generation has its turn there as well. */
static void test_order_of_generations(void **state)
{
    static const uint32_t lens[] = {20, 28, 36, 80};
    const qcd_spis spis = {peer_spi(), dead_spi()};

    (void)state;
    for (size_t num = 1; num <= QCD_GENERATIONS_MAX; num++) {
        set_generations(num);
        for (size_t i = 0; i < NUM_ROWS(lens); i++) {
            unsigned seen = 0;

            for (uint64_t now_ms = 0; now_ms < 100; now_ms++) {
                size_t first = first_at(&spis, now_ms, lens[i]);
                seen |= 1u << first;
                assert_int_equal(first, first_at(&spis, now_ms, 80));
            }
            assert_int_equal(seen, (1u << num) - 1);
        }
    }
}

/* When a peer asks, in milliseconds after its first request; and then all of
 * that again, each time so much later. */
static const struct {
    const char *name;
    size_t num;
    uint32_t at[8];
    uint32_t again;
} schedules[] = {
    {"charon", 6, {0, 4000, 11200, 24160, 47488, 89478}, 165000},
    {"libreswan", 8, {0, 500, 1500, 3500, 7500, 15500, 31500, 63500}, 127500},
    {"each 100 ms", 1, {0}, 100},
    {"each second", 1, {0}, 1000},
    {"each 1024 ms", 1, {0}, 1024},
    {"each 2 s", 1, {0}, 2000},
    {"each 3 s", 1, {0}, 3000},
    {"each 5 s", 1, {0}, 5000},
    {"each 7 s", 1, {0}, 7000},
    {"each 10 s", 1, {0}, 10000},
    {"each 15 s", 1, {0}, 15000},
    {"each 16.384 s", 1, {0}, 16384},
    {"each 20 s", 1, {0}, 20000},
    {"each 30 s", 1, {0}, 30000},
    {"each 60 s", 1, {0}, 60000},
    {"each 65.536 s", 1, {0}, 65536},
    {"each 5 minutes", 1, {0}, 300000},
    {"each hour", 1, {0}, 3600000},
};

enum { NUM_PEERS = 1000, REPLIES_MAX = 150 };

/* How many replies each of many peers gets until the first token is of
 * `generation`: tells the number of those who got more than `bound`. */
static size_t count_late(size_t schedule, size_t generation, size_t bound)
{
    uint64_t random = schedule * 100 + generation;
    size_t num_late = 0;

    for (size_t peers = 0; peers < NUM_PEERS; peers++) {
        qcd_spis spis;
        uint64_t start_ms = random64(&random) % ((uint64_t)1 << 40);
        size_t num = schedules[schedule].num;
        size_t n = 0;
        size_t first = SIZE_MAX;

        random_octets(&random, &spis, sizeof(spis));
        while (n < REPLIES_MAX && first != generation) {
            first = first_at(&spis,
                             start_ms + schedules[schedule].at[n % num] +
                                 n / num * schedules[schedule].again,
                             80);
            n++;
        }
        CHECK(schedules[schedule].name, first == generation);
        num_late += n > bound;
    }
    return num_late;
}

/* A peer that reads the first token alone is told, whichever generation's it
 * holds and whenever it asks: of 100 peers 99 within so many replies. */
static void test_each_generation_comes_first_soon(void **state)
{
    static const size_t newest_bounds[] = {0, 1, 10, 10, 10};
    static const size_t older_bounds[] = {0, 0, 10, 20, 32};

    (void)state;
    for (size_t num = 1; num <= QCD_GENERATIONS_MAX; num++) {
        set_generations(num);
        for (size_t i = 0; i < NUM_ROWS(schedules); i++) {
            for (size_t g = 0; g < num; g++) {
                size_t bound = g == 0 ? newest_bounds[num] : older_bounds[num];

                CHECK(schedules[i].name,
                      count_late(i, g, bound) <= NUM_PEERS / 100);
            }
        }
    }
}

/* The newest in half of all replies, the older ones in equal parts. */
static void test_shares_of_generations(void **state)
{
    enum { NUM = 12000 };
    const qcd_spis spis = {peer_spi(), dead_spi()};

    (void)state;
    for (size_t num = 2; num <= QCD_GENERATIONS_MAX; num++) {
        size_t shares[QCD_GENERATIONS_MAX] = {0};

        set_generations(num);
        for (uint64_t i = 0; i < NUM; i++) {
            shares[first_at(&spis, START_MS + i * 1000, 80)]++;
        }
        for (size_t g = 0; g < num; g++) {
            size_t want = g == 0 ? NUM / 2 : NUM / 2 / (num - 1);

            assert_in_range(shares[g], want - want / 10, want + want / 10);
        }
    }
}

static const struct {
    const char *name;
    uint8_t token_len;
    uint8_t address_len; /* 0xff: not bound */
    uint32_t request_len;
    enum qcd_err want;
} reply_errors[] = {
    {"token of 15", 15, 0xff, 80, QCD_ERR_RANGE},
    {"token of 16", 16, 0xff, 80, QCD_OK},
    {"token of 32", 32, 0xff, 80, QCD_OK},
    {"token of 33", 33, 0xff, 80, QCD_ERR_RANGE},
    {"address of 4", 32, 4, 80, QCD_OK},
    {"address of 5", 32, 5, 80, QCD_ERR_RANGE},
    {"address of 16", 32, 16, 80, QCD_OK},
    {"one token under the bound", 32, 0xff, 26, QCD_OK},
    {"none under the bound", 32, 0xff, 25, QCD_ERR_NOBUF},
};

static void test_reply_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(reply_errors); i++) {
        const char *name = reply_errors[i].name;
        qcd_address address = {.len = reply_errors[i].address_len};
        qcd_header h = dead_request();
        qcd_datagram out;

        h.length = reply_errors[i].request_len;
        CHECK_INT(name,
                  reply(&out, &h, address.len == 0xff ? NULL : &address,
                        reply_errors[i].token_len, 0),
                  reply_errors[i].want);
        CHECK(name, (out.len > 0) == (reply_errors[i].want == QCD_OK));
        CHECK(name,
              is_zero(out.octets + out.len, sizeof(out.octets) - out.len));
    }
}

/* ---- The maker as a whole ---- */

static const struct {
    const char *name;
    uint8_t token_len;
    uint32_t reply_rate;
    uint32_t reply_burst;
    uint32_t source_rate;
    size_t num_secrets;
    uint16_t run;
    enum qcd_err want;
} inits[] = {
    {"least", 16, 0, 0, 0, 1, 1, QCD_OK},
    {"most", 32, 1000000, 1000000, 1000000, 4, 65535, QCD_OK},
    {"token of 15", 15, 0, 0, 0, 1, 1, QCD_ERR_RANGE},
    {"token of 33", 33, 0, 0, 0, 1, 1, QCD_ERR_RANGE},
    {"rate", 16, 1000001, 0, 0, 1, 1, QCD_ERR_RANGE},
    {"burst", 16, 0, 1000001, 0, 1, 1, QCD_ERR_RANGE},
    {"rate of a source", 16, 0, 0, 1000001, 1, 1, QCD_ERR_RANGE},
    {"no secret", 16, 0, 0, 0, 0, 1, QCD_ERR_RANGE},
    {"five secrets", 16, 0, 0, 0, 5, 1, QCD_ERR_RANGE},
    {"run 0", 16, 0, 0, 0, 1, 0, QCD_ERR_RANGE},
};

static void test_init(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(inits); i++) {
        const qcd_maker_settings settings = {
            .token_len = inits[i].token_len,
            .reply_rate = inits[i].reply_rate,
            .reply_burst = inits[i].reply_burst,
            .source_rate = inits[i].source_rate};
        const qcd_maker_state begin = {.num_secrets = inits[i].num_secrets,
                                       .run = inits[i].run};

        dirty(&maker, sizeof(maker));
        CHECK_INT(inits[i].name, qcd_maker_init(&maker, &settings, &begin),
                  inits[i].want);
        if (inits[i].want == QCD_OK) {
            CHECK_INT(inits[i].name, qcd_maker_run(&maker), inits[i].run);
        } else {
            CHECK(inits[i].name, is_zero(&maker, sizeof(maker)));
        }
        qcd_maker_wipe(&maker);
        CHECK(inits[i].name, is_zero(&maker, sizeof(maker)));
    }
}

/* What it mints it owns, also after the run has changed, and nothing else. */
static void test_mint_and_own(void **state)
{
    qcd_ike_sa sa = {{peer_spi(), peer_spi()}, QCD_RESPONDER};

    (void)state;
    assert_false(qcd_maker_owns(&maker, &sa));
    assert_int_equal(qcd_maker_mint(&maker, &sa.spis.responder), QCD_OK);
    assert_true(qcd_maker_owns(&maker, &sa));
    assert_true(qcd_maker_knows(&maker, &sa.spis.responder));
    sa.role = QCD_INITIATOR;
    assert_false(qcd_maker_owns(&maker, &sa));
    sa.role = QCD_RESPONDER;
    maker.mint.counter = QCD_COUNTER_END;
    qcd_spi none;
    assert_int_equal(qcd_maker_mint(&maker, &none), QCD_ERR_EXHAUSTED);
    assert_true(is_zero(&none, sizeof(none)));
    assert_int_equal(qcd_maker_next_run(&maker, RUN), QCD_ERR_RANGE);
    assert_int_equal(qcd_maker_next_run(&maker, RUN + 1), QCD_OK);
    assert_int_equal(qcd_maker_run(&maker), RUN + 1);
    assert_int_equal(qcd_maker_mint(&maker, &none), QCD_OK);
    assert_true(qcd_maker_owns(&maker, &sa));
    /* Of another run, or of another node: known, but not ours. */
    sa.spis.responder = dead_spi();
    assert_false(qcd_maker_owns(&maker, &sa));
    assert_true(qcd_maker_knows(&maker, &sa.spis.responder));
    sa.spis.responder = sealed(NODE + 1, RUN, 3);
    assert_false(qcd_maker_owns(&maker, &sa));
    assert_true(qcd_maker_knows(&maker, &sa.spis.responder));
    sa.spis.responder = peer_spi();
    assert_false(qcd_maker_knows(&maker, &sa.spis.responder));
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_protected_requests),
        TEST(test_payload_is_there),
        TEST(test_every_payload_length),
        TEST(test_every_truncation),
        TEST(test_evidence),
        TEST(test_no_answer_shows_a_live_token),
        TEST(test_random_requests_are_not_answered),
        TEST(test_over_the_limit),
        TEST(test_many_behind_one_address),
        TEST(test_silence_costs_nothing),
        TEST(test_zero_limit),
        TEST(test_reply_octets),
        TEST(test_reply_flags),
        TEST(test_reply_is_verified_by_the_taker),
        TEST(test_amplification),
        TEST(test_order_of_generations),
        TEST(test_each_generation_comes_first_soon),
        TEST(test_shares_of_generations),
        TEST(test_reply_errors),
        TEST(test_init),
        TEST(test_mint_and_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

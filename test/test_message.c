/* SPDX-License-Identifier: Apache-2.0 */
/* test_message.c: messages that src/message.c reads. */
#include "test.h"

#include "ike.h"

enum { N = PAYLOAD_NOTIFY, V = 43, SK = PAYLOAD_SK, SKF = PAYLOAD_SKF };
enum { QCD = 16419, BUF_MAX = 4096 };

/* A payload: for a notify, `len` octets follow its type, including an SPI.  For
 * others they follow its header.  `len_off` is added to its length field. */
typedef struct part {
    uint8_t type;
    uint8_t flags;
    uint8_t spi_size;
    uint16_t notify;
    size_t len;
    int len_off;
} part;

typedef struct shape {
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    int len_off;     /* added to the header's length field */
    uint8_t last;    /* next payload of the last one */
    size_t trailing; /* octets after the last one */
    part parts[16];
} shape;

static void put_part(wr *w, const part *p, uint8_t next)
{
    uint8_t data[512];
    size_t len = PAYLOAD_HEADER_LEN + p->len;

    if (p->type == N) {
        len += NOTIFY_HEADER_LEN;
    }
    wr_u8(w, next);
    wr_u8(w, p->flags);
    wr_be16(w, (uint16_t)((int)len + p->len_off));
    if (p->type == N) {
        wr_u8(w, 0);
        wr_u8(w, p->spi_size);
        wr_be16(w, p->notify);
    }
    count_up(data, (uint8_t)w->len, p->len);
    wr_bytes(w, data, p->len);
}

static size_t build(uint8_t out[BUF_MAX], const shape *s)
{
    qcd_header h = {.next_payload = s->parts[0].type,
                    .version = s->version,
                    .exchange_type = s->exchange,
                    .flags = s->flags,
                    .message_id = 7};
    uint8_t none[512] = {0};
    wr w;

    count_up(&h.spis, 1, sizeof(h.spis));
    wr_init(&w, out, BUF_MAX);
    header_write(&w, &h);
    for (const part *p = s->parts; p->type != 0; p++) {
        put_part(&w, p, p[1].type != 0 ? p[1].type : s->last);
    }
    wr_bytes(&w, none, s->trailing);
    assert_false(w.bad);

    size_t len = w.len;
    wr_init(&w, out + 24, 4);
    wr_be32(&w, (uint32_t)((int)len + s->len_off));
    return len;
}

#define TOKEN(n)                                                               \
    {                                                                          \
        N, 0, 0, QCD, (n), 0                                                   \
    }
#define IKE_SPI                                                                \
    {                                                                          \
        N, 0, 0, 4, 0, 0                                                       \
    }
#define SHAPE .version = 0x20, .exchange = 37, .flags = 0x20

typedef struct row {
    const char *name;
    shape s;
    enum qcd_err want; /* if omitted it is zero, like QCD_OK */
    size_t num_tokens;
    size_t num_skipped;
    enum qcd_cause cause;
    bool no_candidate;
} row;

static const row rows[] = {
    /* RFC 6290 section 4.5, and how many tokens it may have. */
    {"INVALID_IKE_SPI, no token",
     {SHAPE, .parts = {IKE_SPI}},
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"1 token",
     {SHAPE, .parts = {IKE_SPI, TOKEN(32)}},
     .num_tokens = 1,
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"4 tokens",
     {SHAPE, .parts = {IKE_SPI, TOKEN(32), TOKEN(16), TOKEN(128), TOKEN(17)}},
     .num_tokens = 4,
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"5 tokens",
     {SHAPE, .parts = {IKE_SPI, TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32),
                       TOKEN(32)}},
     .num_tokens = 5,
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"8 tokens",
     {SHAPE, .parts = {TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32),
                       TOKEN(32), TOKEN(32), TOKEN(33)}},
     .num_tokens = 8},
    {"9 tokens",
     {SHAPE, .parts = {TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32),
                       TOKEN(32), TOKEN(32), TOKEN(33), TOKEN(16)}},
     .num_tokens = 8,
     .num_skipped = 1},
    {"9 tokens, the last too short",
     {SHAPE, .parts = {TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32), TOKEN(32),
                       TOKEN(32), TOKEN(32), TOKEN(33), TOKEN(15)}},
     .want = QCD_ERR_MALFORMED},
    {"token alone", {SHAPE, .parts = {TOKEN(32)}}, .num_tokens = 1},
    {"token before its cause",
     {SHAPE, .parts = {TOKEN(32), IKE_SPI}},
     .num_tokens = 1,
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"INVALID_SPI",
     {SHAPE, .parts = {{N, 0, 0, 11, 4, 0}, TOKEN(32)}},
     .num_tokens = 1,
     .cause = QCD_CAUSE_INVALID_SPI},
    {"INVALID_SPI of 3",
     {SHAPE, .parts = {{N, 0, 0, 11, 3, 0}, TOKEN(32)}},
     .want = QCD_ERR_MALFORMED},
    {"INVALID_SPI of 5",
     {SHAPE, .parts = {{N, 0, 0, 11, 5, 0}, TOKEN(32)}},
     .want = QCD_ERR_MALFORMED},
    {"INVALID_SPI of 0",
     {SHAPE, .parts = {{N, 0, 0, 11, 0, 0}, TOKEN(32)}},
     .want = QCD_ERR_MALFORMED},

    /* RFC 6290 section 5: 16 to 128 octets. */
    {"token of 0", {SHAPE, .parts = {TOKEN(0)}}, .want = QCD_ERR_MALFORMED},
    {"token of 15", {SHAPE, .parts = {TOKEN(15)}}, .want = QCD_ERR_MALFORMED},
    {"token of 16", {SHAPE, .parts = {TOKEN(16)}}, .num_tokens = 1},
    {"token of 33", {SHAPE, .parts = {TOKEN(33)}}, .num_tokens = 1},
    {"token of 128", {SHAPE, .parts = {TOKEN(128)}}, .num_tokens = 1},
    {"token of 129", {SHAPE, .parts = {TOKEN(129)}}, .want = QCD_ERR_MALFORMED},
    {"good token, then a bad one",
     {SHAPE, .parts = {TOKEN(32), TOKEN(129)}},
     .want = QCD_ERR_MALFORMED},
    {"SPI of 1",
     {SHAPE, .parts = {{N, 0, 1, QCD, 33, 0}}},
     .want = QCD_ERR_MALFORMED},
    {"SPI beyond the notify",
     {SHAPE, .parts = {{N, 0, 33, QCD, 32, 0}}},
     .want = QCD_ERR_TRUNCATED},

    /* What is skipped, and what is not. */
    {"unknown notify",
     {SHAPE, .parts = {{N, 0, 0, 40000, 9, 0}, TOKEN(32)}},
     .num_tokens = 1},
    {"unknown notify with SPI",
     {SHAPE, .parts = {{N, 0, 4, 16384, 9, 0}, TOKEN(32)}},
     .num_tokens = 1},
    {"critical bit on a notify",
     {SHAPE, .parts = {{N, 0x80, 0, QCD, 32, 0}}},
     .num_tokens = 1},
    {"vendor ID between",
     {SHAPE, .parts = {IKE_SPI, {V, 0, 0, 0, 20, 0}, TOKEN(32)}},
     .num_tokens = 1,
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"unknown payload",
     {SHAPE, .parts = {IKE_SPI, {200, 0, 0, 0, 0, 0}}},
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"reserved bits of an unknown payload",
     {SHAPE, .parts = {IKE_SPI, {200, 0x7f, 0, 0, 0, 0}}},
     .cause = QCD_CAUSE_INVALID_IKE_SPI},
    {"unknown critical payload",
     {SHAPE, .parts = {TOKEN(32), {200, 0x80, 0, 0, 4, 0}}},
     .want = QCD_ERR_MALFORMED},
    {"SK in the chain",
     {SHAPE, .parts = {TOKEN(32), {SK, 0, 0, 0, 40, 0}}},
     .want = QCD_ERR_MALFORMED},
    {"SKF in the chain",
     {SHAPE, .parts = {TOKEN(32), {SKF, 0, 0, 0, 40, 0}}},
     .want = QCD_ERR_MALFORMED},

    /* Payload lengths. */
    {"payload length 0",
     {SHAPE, .parts = {{N, 0, 0, QCD, 32, -40}}},
     .want = QCD_ERR_MALFORMED},
    {"payload length 3",
     {SHAPE, .parts = {{N, 0, 0, QCD, 32, -37}}},
     .want = QCD_ERR_MALFORMED},
    {"payload length 4 of a notify",
     {SHAPE, .parts = {{N, 0, 0, 4, 0, -4}}},
     .want = QCD_ERR_TRUNCATED},
    {"payload length 7 of a notify",
     {SHAPE, .parts = {{N, 0, 0, 4, 0, -1}}},
     .want = QCD_ERR_TRUNCATED},
    {"payload length one below",
     {SHAPE, .parts = {{N, 0, 0, QCD, 32, -1}}},
     .want = QCD_ERR_MALFORMED},
    {"payload length one above",
     {SHAPE, .parts = {{N, 0, 0, QCD, 32, 1}}},
     .want = QCD_ERR_TRUNCATED},
    {"payload length 65535",
     {SHAPE, .parts = {{N, 0, 0, QCD, 32, 65495}}},
     .want = QCD_ERR_TRUNCATED},
    {"next payload where there is none",
     {SHAPE, .last = N, .parts = {TOKEN(32)}},
     .want = QCD_ERR_TRUNCATED},
    {"octet behind the last payload",
     {SHAPE, .trailing = 1, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED},
    {"message length one below",
     {SHAPE, .len_off = -1, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED},
    {"message length one above",
     {SHAPE, .len_off = 1, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED},

    /* Messages that are no candidates. */
    {"minor version 15",
     {.version = 0x2f, .exchange = 37, .parts = {TOKEN(32)}},
     .num_tokens = 1},
    {"major version 1",
     {.version = 0x10, .exchange = 37, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
    {"major version 3",
     {.version = 0x30, .exchange = 37, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
    {"IKE_SA_INIT",
     {.version = 0x20, .exchange = 34, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
    {"IKE_SESSION_RESUME",
     {.version = 0x20, .exchange = 38, .parts = {TOKEN(32)}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
    {"IKE_AUTH",
     {.version = 0x20, .exchange = 35, .parts = {TOKEN(32)}},
     .num_tokens = 1},
    {"INFORMATIONAL of the initiator, R clear",
     {.version = 0x20, .exchange = 37, .flags = 8, .parts = {TOKEN(32)}},
     .num_tokens = 1},
    {"first payload SK",
     {SHAPE, .parts = {{SK, 0, 0, 0, 40, 0}}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
    {"first payload a vendor ID",
     {SHAPE, .parts = {{V, 0, 0, 0, 4, 0}, TOKEN(32)}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
    {"header alone",
     {SHAPE, .parts = {{0}}},
     .want = QCD_ERR_MALFORMED,
     .no_candidate = true},
};

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const char *name = rows[i].name;
        uint8_t in[BUF_MAX];
        qcd_message m;

        size_t len = build(in, &rows[i].s);
        uint8_t *copy = copy_exact(in, len);
        dirty(&m, sizeof(m));
        enum qcd_err got = qcd_message_decode(&m, copy, len);
        CHECK(name,
              qcd_message_is_candidate(copy, len) != rows[i].no_candidate);
        free(copy);
        CHECK_INT(name, got, rows[i].want);
        if (got != QCD_OK) {
            CHECK_ZERO(name, m);
        }
        CHECK_INT(name, m.num_tokens, rows[i].num_tokens);
        CHECK_INT(name, m.num_skipped, rows[i].num_skipped);
        CHECK_INT(name, m.cause, rows[i].cause);
    }
}

/* Each token is that of the message, in order. */
static void test_decoded_octets(void **state)
{
    const shape s = {SHAPE,
                     .parts = {{N, 0, 0, 11, 4, 0}, TOKEN(16), TOKEN(128)}};
    uint8_t in[BUF_MAX];
    qcd_message m;

    (void)state;
    size_t len = build(in, &s);
    assert_int_equal(qcd_message_decode(&m, in, len), QCD_OK);
    assert_memory_equal(&m.header.spis, in, 16);
    assert_int_equal(m.header.message_id, 7);
    assert_int_equal(m.header.exchange_type, 37);
    assert_int_equal(m.header.length, len);
    assert_memory_equal(m.child_spi.octets, in + 28 + 8, 4);
    assert_int_equal(m.tokens[0].len, 16);
    assert_memory_equal(m.tokens[0].octets, in + 28 + 12 + 8, 16);
    assert_int_equal(m.tokens[1].len, 128);
    assert_memory_equal(m.tokens[1].octets, in + 28 + 12 + 24 + 8, 128);
}

static const shape whole = {
    SHAPE, .parts = {IKE_SPI, {V, 0, 0, 0, 8, 0}, TOKEN(16), TOKEN(32)}};

/* Cut off at every octet, with the original length field and with one that fits
 * the rest. */
static void test_every_truncation(void **state)
{
    uint8_t in[BUF_MAX];
    qcd_message m;

    (void)state;
    size_t whole_len = build(in, &whole);
    assert_int_equal(qcd_message_decode(&m, in, whole_len), QCD_OK);
    for (size_t len = 0; len < whole_len; len++) {
        enum qcd_err lies =
            len < QCD_HEADER_LEN ? QCD_ERR_TRUNCATED : QCD_ERR_MALFORMED;
        uint8_t *copy = copy_exact(in, len);

        dirty(&m, sizeof(m));
        assert_int_equal(qcd_message_decode(&m, copy, len), lies);
        assert_true(is_zero(&m, sizeof(m)));
        assert_int_equal(qcd_message_is_candidate(copy, len),
                         len >= QCD_HEADER_LEN);
        if (len >= QCD_HEADER_LEN) {
            wr w;

            wr_init(&w, copy + 24, 4);
            wr_be32(&w, (uint32_t)len);
            dirty(&m, sizeof(m));
            assert_int_equal(qcd_message_decode(&m, copy, len),
                             QCD_ERR_TRUNCATED);
            assert_true(is_zero(&m, sizeof(m)));
        }
        free(copy);
    }
    assert_int_equal(qcd_message_decode(&m, NULL, 0), QCD_ERR_TRUNCATED);
    assert_false(qcd_message_is_candidate(NULL, 0));
}

static void check_decodes_safely(const uint8_t *in, size_t len)
{
    qcd_message m;

    dirty(&m, sizeof(m));
    if (qcd_message_decode(&m, in, len) != QCD_OK) {
        assert_true(is_zero(&m, sizeof(m)));
        return;
    }
    assert_true(m.num_tokens <= QCD_TOKENS_READ_MAX);
    for (size_t i = 0; i < m.num_tokens; i++) {
        assert_in_range(m.tokens[i].len, QCD_TOKEN_MIN, QCD_TOKEN_MAX);
    }
}

static void test_every_bit_flip(void **state)
{
    uint8_t in[BUF_MAX];

    (void)state;
    size_t len = build(in, &whole);
    for (size_t bit = 0; bit < len * 8; bit++) {
        uint8_t *copy = copy_exact(in, len);

        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_decodes_safely(copy, len);
        free(copy);
    }
}

static void test_every_octet_value(void **state)
{
    uint8_t in[BUF_MAX];

    (void)state;
    size_t len = build(in, &whole);
    for (size_t at = 16; at < len; at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t *copy = copy_exact(in, len);

            copy[at] = (uint8_t)value;
            check_decodes_safely(copy, len);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decoded_octets),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_bit_flip),
        cmocka_unit_test(test_every_octet_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

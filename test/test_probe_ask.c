/* SPDX-License-Identifier: Apache-2.0 */
/* test_probe_ask.c: what qcd probe sends, and when. */
#include "probe_box.h"

enum { AUTH = 35 };
enum { I = QCD_FLAG_INITIATOR, R = QCD_FLAG_RESPONSE };
enum { NONE = PAYLOAD_NONE, SA = BOX_SA, N = PAYLOAD_NOTIFY, SK = PAYLOAD_SK };
enum { RANDOM, ZERO, ACCEPTED };

static const struct {
    const char *name;
    enum probe_ask ask;
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    uint8_t first;
    uint8_t spi_i;
    uint8_t spi_r;
    uint32_t id;
    size_t len; /* 0: any */
} messages[] = {
    {"version", PROBE_VERSION, 0x30, INFORMATIONAL, I, NONE, RANDOM, ZERO, 0,
     28},
    {"init", PROBE_INIT, 0x20, IKE_SA_INIT, I, SA, RANDOM, ZERO, 0, 0},
    {"live", PROBE_LIVE, 0x20, INFORMATIONAL, I, SK, ACCEPTED, ACCEPTED, 19,
     80},
    {"flipped", PROBE_LIVE_FLIPPED, 0x20, INFORMATIONAL, 0, SK, ACCEPTED,
     ACCEPTED, 20, 80},
    {"again", PROBE_INIT_AGAIN, 0x20, IKE_SA_INIT, I, SA, ACCEPTED, ZERO, 0, 0},
    {"token", PROBE_TOKEN, 0x20, AUTH, I, N, ACCEPTED, ACCEPTED, 1, 68},
    {"control", PROBE_CONTROL, 0x20, AUTH, I, N, ACCEPTED, ACCEPTED, 1, 68},
    {"first", PROBE_FIRST, 0x20, INFORMATIONAL, I, SK, RANDOM, RANDOM, 24, 80},
    {"repeat", PROBE_REPEAT, 0x20, INFORMATIONAL, I, SK, RANDOM, RANDOM, 25,
     80},
    {"response", PROBE_RESPONSE, 0x20, INFORMATIONAL, I | R, SK, RANDOM, RANDOM,
     26, 80},
    {"shown", PROBE_SHOWN, 0x20, INFORMATIONAL, R, N, RANDOM, RANDOM, 27, 76},
    {"unprotected", PROBE_UNPROTECTED, 0x20, INFORMATIONAL, I, N, RANDOM,
     RANDOM, 28, 68},
    {"sa_init", PROBE_SA_INIT, 0x20, IKE_SA_INIT, I, SK, RANDOM, RANDOM, 29,
     80},
    {"zero i", PROBE_ZERO_I, 0x20, INFORMATIONAL, I, SK, ZERO, RANDOM, 30, 80},
    {"zero r", PROBE_ZERO_R, 0x20, INFORMATIONAL, I, SK, RANDOM, ZERO, 31, 80},
    {"rate", PROBE_RATE, 0x20, INFORMATIONAL, I, SK, RANDOM, RANDOM, 32, 80},
};

/* begun returns a probe with an IKE SA, all of whose responder's SPI is 7. */
static void begun(probe *p)
{
    uint8_t answer[BOX_MAX];
    probe_datagram out;
    box_init(p, 1);
    probe_build(p, &out, PROBE_INIT);
    probe_take(p, answer, box_accept(answer, &p->seen[PROBE_INIT], 7));
    assert_non_null(probe_accepted(p));
}

static void check_spi(const char *row, const qcd_spi *got, uint8_t kind,
                      const qcd_spi *accepted)
{
    CHECK(row, is_zero(got, sizeof(*got)) == (kind == ZERO));
    CHECK(row,
          (memcmp(got, accepted, sizeof(*got)) == 0) == (kind == ACCEPTED));
}

static void test_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(messages); i++) {
        const char *row = messages[i].name;
        probe_datagram out;
        qcd_header h;
        probe p;
        begun(&p);
        qcd_spis accepted = *probe_accepted(&p);
        /* The first one names the same initiator as the IKE SA it begins. */
        if (messages[i].ask == PROBE_INIT) {
            box_init(&p, 2);
        }
        probe_build(&p, &out, messages[i].ask);
        CHECK_INT(row, qcd_header_decode(&h, out.octets, out.len), QCD_OK);
        CHECK_INT(row, h.version, messages[i].version);
        CHECK_INT(row, h.exchange_type, messages[i].exchange);
        CHECK_INT(row, h.flags, messages[i].flags);
        CHECK_INT(row, h.next_payload, messages[i].first);
        CHECK_INT(row, h.message_id, messages[i].id);
        CHECK(row, messages[i].len == 0 || out.len == messages[i].len);
        check_spi(row, &h.spis.initiator, messages[i].spi_i,
                  &accepted.initiator);
        check_spi(row, &h.spis.responder, messages[i].spi_r,
                  &accepted.responder);
        CHECK_OCTETS(row, &p.seen[messages[i].ask].spis, &h.spis,
                     sizeof(h.spis));
        CHECK_INT(row, p.seen[messages[i].ask].sent_len, out.len);
    }
}

/* The two messages on our IKE SA differ in the notify type alone. */
static void test_control(void **state)
{
    (void)state;
    probe_datagram token, control;
    probe p;
    begun(&p);
    memset(p.random.body, 9, sizeof(p.random.body));
    probe_build(&p, &token, PROBE_TOKEN);
    probe_build(&p, &control, PROBE_CONTROL);
    CHECK_HEX("token", token.octets + 28, 8, "00000028c8004023");
    CHECK_HEX("control", control.octets + 28, 8, "00000028c800c363");
    CHECK_OCTETS("before", token.octets, control.octets, 34);
    CHECK_OCTETS("behind", token.octets + 36, control.octets + 36, 32);
}

/* What is shown is read by a token taker. */
static void test_shown(void **state)
{
    (void)state;
    probe_datagram out;
    qcd_message m;
    probe p;
    box_init(&p, 3);
    probe_build(&p, &out, PROBE_SHOWN);
    assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
    assert_int_equal(m.cause, QCD_CAUSE_INVALID_IKE_SPI);
    assert_int_equal(m.num_tokens, 1);
    assert_int_equal(m.tokens[0].len, 32);
}

static void test_which_spis(void **state)
{
    (void)state;
    probe_datagram out;
    probe p;
    for (int known = 0; known < 2; known++) {
        box_init(&p, 4);
        p.has_spis = known != 0;
        count_up(&p.spis, 1, sizeof(p.spis));
        for (int ask = PROBE_FIRST; ask < PROBE_NUM; ask++) {
            probe_build(&p, &out, (enum probe_ask)ask);
        }
        const qcd_spis *first = &p.seen[PROBE_FIRST].spis;
        const qcd_spis *last = &p.seen[PROBE_NUM - 1].spis;
        assert_memory_equal(first, &p.seen[PROBE_REPEAT].spis, sizeof(*first));
        assert_int_equal(memcmp(first, last, sizeof(*first)) == 0, known);
        assert_int_equal(memcmp(first, &p.spis, sizeof(*first)) == 0, known);
    }
}

static const struct {
    const char *name;
    uint16_t wanted;
    bool is_due;
    size_t len; /* of the public value */
} groups[] = {
    {"MODP 2048", 14, true, 256},      {"MODP 3072", 15, true, 384},
    {"MODP 4096", 16, true, 512},      {"not random octets", 19, false, 0},
    {"the one refused", 31, false, 0}, {"none", 0, false, 0},
};

/* find_ke returns the KE payload of an IKE_SA_INIT. */
static const uint8_t *find_ke(const probe_datagram *d)
{
    size_t sa_len = (size_t)d->octets[30] << 8 | d->octets[31];
    assert_int_equal(d->octets[28], 34);
    return d->octets + QCD_HEADER_LEN + sa_len;
}

static void test_group(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(groups); i++) {
        const char *row = groups[i].name;
        uint8_t answer[BOX_MAX];
        probe_datagram first, second, again;
        probe p;
        box_init(&p, 5);
        probe_build(&p, &first, PROBE_INIT);
        CHECK_INT(row, find_ke(&first)[5], 31);
        probe_take(&p, answer,
                   box_error(answer, &p.seen[PROBE_INIT], IKE_SA_INIT, 17,
                             groups[i].wanted));
        CHECK(row, probe_is_due(&p, PROBE_INIT_GROUP) == groups[i].is_due);
        if (!groups[i].is_due) {
            continue;
        }
        probe_build(&p, &second, PROBE_INIT_GROUP);
        const uint8_t *ke = find_ke(&second);
        CHECK_INT(row, ke[2] << 8 | ke[3], 8 + groups[i].len);
        CHECK_INT(row, ke[4] << 8 | ke[5], groups[i].wanted);
        CHECK(row, ke[8] < 0x80);
        probe_take(&p, answer,
                   box_accept(answer, &p.seen[PROBE_INIT_GROUP], 3));
        probe_build(&p, &again, PROBE_INIT_AGAIN);
        CHECK_INT(row, again.len, second.len);
        CHECK_OCTETS(row, again.octets, second.octets, second.len);
    }
}

static void test_when(void **state)
{
    (void)state;
    uint8_t answer[BOX_MAX];
    probe_datagram out;
    probe p;

    box_init(&p, 6);
    assert_true(probe_is_due(&p, PROBE_VERSION));
    assert_true(probe_is_due(&p, PROBE_INIT));
    assert_false(probe_is_due(&p, PROBE_LIVE));
    assert_false(probe_is_due(&p, PROBE_TOKEN));
    assert_true(probe_is_due(&p, PROBE_FIRST));
    assert_false(probe_is_due(&p, PROBE_RATE));
    p.may_init = false;
    assert_false(probe_is_due(&p, PROBE_INIT));

    begun(&p);
    assert_false(probe_is_due(&p, PROBE_INIT_GROUP));
    assert_true(probe_is_due(&p, PROBE_LIVE));
    assert_true(probe_is_due(&p, PROBE_INIT_AGAIN));
    assert_false(probe_is_due(&p, PROBE_TOKEN));
    probe_build(&p, &out, PROBE_INIT_AGAIN);
    probe_take(&p, answer, box_accept(answer, &p.seen[PROBE_INIT_AGAIN], 7));
    assert_true(probe_is_due(&p, PROBE_TOKEN));
    assert_false(probe_is_due(&p, PROBE_CONTROL));
    probe_build(&p, &out, PROBE_TOKEN);
    assert_true(probe_is_due(&p, PROBE_CONTROL));
    probe_take(&p, answer, box_error(answer, &p.seen[PROBE_TOKEN], AUTH, 7, 0));
    assert_false(probe_is_due(&p, PROBE_CONTROL));

    probe_build(&p, &out, PROBE_REPEAT);
    probe_take(&p, answer, box_tokens(answer, &p.seen[PROBE_REPEAT], 0, 0, 0));
    assert_true(probe_is_due(&p, PROBE_RATE));
    assert_true(probe_is_due(&p, PROBE_NUM - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_control),
        cmocka_unit_test(test_shown),    cmocka_unit_test(test_which_spis),
        cmocka_unit_test(test_group),    cmocka_unit_test(test_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

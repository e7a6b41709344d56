/* SPDX-License-Identifier: Apache-2.0 */
/* test_resumption.c: the calls of a daemon with session resumption (RFC 5723),
 * in its order: RFC 6290 section 7, and section 4.3 with erratum 3448. */
#include "test.h"

#include "ike.h"

enum { FIRST_RUN = 20, START_MS = 5000, REQUEST_LEN = 80 };
enum { IKE_AUTH = 35, PAYLOAD_NONCE = 40 };

/* An end of the tunnel, which has both roles. */
typedef struct end {
    uint8_t number;
    qcd_address address;
    qcd_maker maker;
    qcd_taker taker;
    qcd_held held; /* the peer's tokens for the only SA */
} end;

static end client;
static end gateway;

/* The state on disk, and the next run. */
static void start(end *e, uint16_t run)
{
    const qcd_maker_settings settings = {.token_len = 32,
                                         .reply_rate = 1000,
                                         .reply_burst = 1000,
                                         .source_rate = 1000};
    qcd_maker_state begin = {.num_secrets = 1, .run = run};

    count_up(begin.seal_key, e->number, sizeof(begin.seal_key));
    count_up(begin.random, e->number, sizeof(begin.random));
    count_up(begin.secrets, (uint8_t)(e->number + 100), QCD_SECRET_LEN);
    assert_int_equal(qcd_maker_init(&e->maker, &settings, &begin), QCD_OK);
    assert_int_equal(qcd_taker_init(&e->taker, 1000, begin.random), QCD_OK);
    memset(&e->held, 0, sizeof(e->held));
}

static void make_end(end *out, uint8_t number)
{
    memset(out, 0, sizeof(*out));
    out->number = number;
    out->address = (qcd_address){4, {192, 0, 2, number}};
    start(out, FIRST_RUN);
}

static int set_up(void **state)
{
    (void)state;
    make_end(&client, 1);
    make_end(&gateway, 50);
    return 0;
}

static void crash(end *e)
{
    start(e, (uint16_t)(qcd_maker_run(&e->maker) + 1));
}

static qcd_spi mint(end *e)
{
    qcd_spi spi;

    assert_int_equal(qcd_maker_mint(&e->maker, &spi), QCD_OK);
    return spi;
}

/* The SPIs of an IKE SA that the client initiates, with either exchange. */
static qcd_spis new_spis(void)
{
    return (qcd_spis){mint(&client), mint(&gateway)};
}

/* IKE_AUTH: each end adds its token to its message, since none is held for
 * these SPIs, and stores the other end's. */
static void exchange_tokens(const qcd_spis *spis)
{
    static const enum qcd_role roles[] = {QCD_INITIATOR, QCD_RESPONDER};
    end *const ends[] = {&client, &gateway};

    for (size_t i = 0; i < 2; i++) {
        end *peer = ends[1 - i];
        const qcd_ike_sa sa = {*spis, roles[i]};
        const qcd_offer offer = {.taker = peer->address};
        qcd_promise promise = {0};
        qcd_token made;
        qcd_token read;

        assert_true(
            qcd_maker_offer(&ends[i]->maker, &promise, &made, &sa, &offer));
        assert_false(
            qcd_maker_is_due(&ends[i]->maker, &promise, &sa, &peer->address));
        assert_int_equal(qcd_token_read(&read, made.octets, made.len), QCD_OK);
        memset(&peer->held, 0, sizeof(peer->held)); /* it is another SA */
        qcd_taker_store(&peer->taker, &peer->held, &read);
    }
}

static enum qcd_judgement judge(end *maker, const end *from, qcd_header *h)
{
    uint8_t octets[REQUEST_LEN] = {0};
    const qcd_packet packet = {.octets = octets,
                               .len = sizeof(octets),
                               .source = from->address,
                               .destination = maker->address};
    qcd_header out;
    wr w;

    h->version = 0x20;
    h->length = sizeof(octets);
    wr_init(&w, octets, sizeof(octets));
    header_write(&w, h);
    /* An Encrypted payload that fills the rest, or its only fragment. */
    wr_be16(&w, 0);
    wr_be16(&w, REQUEST_LEN - QCD_HEADER_LEN);
    wr_be32(&w, 0x00010001);
    return qcd_maker_judge(&maker->maker, &out, &packet, START_MS);
}

static qcd_header request(const qcd_spis *spis, const end *from)
{
    return (qcd_header){.spis = *spis,
                        .next_payload = PAYLOAD_SK,
                        .exchange_type = INFORMATIONAL,
                        .flags = from == &client ? QCD_FLAG_INITIATOR : 0,
                        .message_id = 3};
}

/* Asks `maker` about the SA `spis`, as its peer does, and returns the reply. */
static qcd_message ask(end *maker, const end *from, const qcd_spis *spis)
{
    qcd_header h = request(spis, from);
    qcd_datagram reply;
    qcd_message m;

    assert_int_equal(judge(maker, from, &h), QCD_ANSWER);
    assert_int_equal(
        qcd_maker_reply(&maker->maker, &reply, &h, &from->address, 0), QCD_OK);
    assert_true(qcd_message_is_candidate(reply.octets, reply.len));
    assert_int_equal(qcd_message_decode(&m, reply.octets, reply.len), QCD_OK);
    return m;
}

static enum qcd_verdict verify(end *taker, const qcd_message *m)
{
    return qcd_taker_check(&taker->taker, &taker->held, m);
}

/* RFC 6290 section 7, its figure: a crash, the token, the resumption with new
 * SPIs, and new tokens of both ends in the IKE_AUTH after it. */
static void test_crash_resumption_crash(void **state)
{
    (void)state;
    qcd_spis old = new_spis();
    exchange_tokens(&old);
    crash(&gateway);
    qcd_message shown = ask(&gateway, &client, &old);
    assert_int_equal(verify(&client, &shown), QCD_MATCH);

    qcd_spis resumed = new_spis();
    exchange_tokens(&resumed);
    /* The token shown in cleartext is useless against the resumed SA. */
    assert_int_equal(verify(&client, &shown), QCD_NO_MATCH);
    shown.header.spis = resumed;
    assert_int_equal(verify(&client, &shown), QCD_NO_MATCH);

    crash(&gateway);
    shown = ask(&gateway, &client, &resumed);
    assert_int_equal(verify(&client, &shown), QCD_MATCH);
}

/* The initiator's token was in that IKE_AUTH as well (erratum 3448). */
static void test_initiator_crashes_after_resumption(void **state)
{
    (void)state;
    qcd_spis old = new_spis();
    exchange_tokens(&old);
    crash(&gateway);
    qcd_spis resumed = new_spis();
    exchange_tokens(&resumed);

    crash(&client);
    qcd_message shown = ask(&client, &gateway, &resumed);
    assert_int_equal(verify(&gateway, &shown), QCD_MATCH);
}

/* RFC 6290 section 9.2: a resumed SA is alive, and so is one that is being
 * resumed, although the ticket belongs to a run that has ended. */
static void test_no_token_of_a_resumed_sa(void **state)
{
    (void)state;
    qcd_spis old = new_spis();
    exchange_tokens(&old);
    crash(&gateway);
    qcd_spis resumed = new_spis();

    for (unsigned flags = 0; flags < 256; flags++) {
        qcd_header h = request(&resumed, &client);

        h.flags = (uint8_t)flags;
        assert_int_not_equal(judge(&gateway, &client, &h), QCD_ANSWER);
        h.exchange_type = IKE_AUTH;
        assert_int_not_equal(judge(&gateway, &client, &h), QCD_ANSWER);
        h.spis = (qcd_spis){resumed.responder, resumed.initiator};
        assert_int_not_equal(judge(&gateway, &client, &h), QCD_ANSWER);
    }
}

/* RFC 5723 section 4.3.4: the client lost its path to a live gateway and
 * resumes.  The old SA is deleted silently.  Of the two, that one is dead. */
static void test_resumption_replaces_a_live_sa(void **state)
{
    (void)state;
    qcd_spis old = new_spis();
    exchange_tokens(&old);
    qcd_held of_old = client.held;
    qcd_spis resumed = new_spis();
    exchange_tokens(&resumed);
    const qcd_promise given = {.is_given = true};
    qcd_maker_bury(&gateway.maker, &(qcd_ike_sa){old, QCD_RESPONDER}, &given);

    qcd_header h = request(&resumed, &client);
    assert_int_equal(judge(&gateway, &client, &h), QCD_SILENT_NO_EVIDENCE);
    qcd_message shown = ask(&gateway, &client, &old);
    assert_int_equal(verify(&client, &shown), QCD_NO_MATCH);
    client.held = of_old;
    assert_int_equal(verify(&client, &shown), QCD_MATCH);
}

/* The exchange is in cleartext: neither role handles it, with its SPIs (the
 * responder's still zero, or set) or with forged ones. */
static void test_resume_exchange_is_passed_over(void **state)
{
    static const uint8_t payloads[] = {PAYLOAD_NONCE, PAYLOAD_NOTIFY,
                                       PAYLOAD_SK, PAYLOAD_SKF};

    (void)state;
    qcd_spis old = new_spis();
    exchange_tokens(&old);
    crash(&gateway);
    const qcd_message with_token = ask(&gateway, &client, &old);
    const qcd_spis pairs[] = {
        {mint(&client), {{0}}}, {mint(&client), mint(&gateway)}, old};

    for (size_t i = 0; i < NUM_ROWS(pairs) * 256; i++) {
        qcd_message m = with_token;
        qcd_message decoded;
        qcd_datagram sent;

        m.header.spis = pairs[i / 256];
        m.header.flags = (uint8_t)i;
        m.header.exchange_type = IKE_SESSION_RESUME;
        assert_int_equal(qcd_message_encode(&sent, &m, SIZE_MAX), QCD_OK);
        assert_false(qcd_message_is_candidate(sent.octets, sent.len));
        assert_int_equal(qcd_message_decode(&decoded, sent.octets, sent.len),
                         QCD_ERR_MALFORMED);
        assert_true(is_zero(&decoded, sizeof(decoded)));
        for (size_t p = 0; p < NUM_ROWS(payloads); p++) {
            m.header.next_payload = payloads[p];
            assert_int_equal(judge(&gateway, &client, &m.header),
                             QCD_SILENT_NO_REQUEST);
        }
    }
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_crash_resumption_crash),
        TEST(test_initiator_crashes_after_resumption),
        TEST(test_no_token_of_a_resumed_sa),
        TEST(test_resumption_replaces_a_live_sa),
        TEST(test_resume_exchange_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

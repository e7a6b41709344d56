/* SPDX-License-Identifier: Apache-2.0 */
/* test_trace.c: tool/trace.c and its parts.  Each row is a capture in short. */
#include "test.h"

#include <stdio.h>

#include "trace.h"

enum what {
    INIT = 0, /* IKE_SA_INIT without a responder's SPI */
    INIT_ACK, /* and with it */
    AUTH,     /* a protected request */
    AUTH_ACK, /* and response; likewise */
    INFO,
    INFO_ACK,
    PART,      /* a fragment of an INFORMATIONAL request, RFC 7383 */
    TOKEN,     /* INVALID_IKE_SPI */
    TOKEN_ESP, /* INVALID_SPI */
    TOKEN_CUT,
    BARE,
    SHORT, /* protected, but shorter than any cipher makes it */
    ESP,
    AH,
};

/* event is a packet.  `sa` names the IKE SA, or the child SPI of ESP and AH.
 * Host 1 is the initiator of each IKE SA unless `flip` is set. */
typedef struct event {
    int at; /* milliseconds */
    int from;
    int to;
    enum what what;
    uint8_t sa;
    uint8_t id;
    uint8_t content;
    bool flip; /* of the I flag */
} event;

typedef struct row {
    const char *name;
    const char *events; /* "AT FROM>TO WHAT SA[:ID[:CONTENT]][!]; ..." */
    const char *want;   /* of the first token: see describe */
} row;

/* Host 2 crashes, host 1 asks, and they have a new IKE SA 6 ms later. */
#define UP                                                                     \
    "0 1>2 AUTH 1:1; "                                                         \
    "1 2>1 AUTH_ACK 1:1; "
#define SHOWN                                                                  \
    "1000 1>2 INFO 1:2; "                                                      \
    "1001 2>1 TOKEN 1:2; "
#define NEW                                                                    \
    "1002 1>2 INIT 2; "                                                        \
    "1003 2>1 INIT_ACK 2; "                                                    \
    "1004 1>2 AUTH 2:1; "                                                      \
    "1006 2>1 AUTH_ACK 2:1; "

static const row rows[] = {
    {"nothing", "", "nothing"},
    {"no crash", UP "2 1>2 ESP 9; 3 2>1 INFO 1:0; ", "nothing"},
    {"recovery", UP SHOWN NEW, "no leak, by request, up 6"},
    {"recovery with traffic",
     UP "2 1>2 ESP 9; 3 2>1 ESP 8; " SHOWN NEW
        "1007 1>2 ESP 7; 1008 2>1 ESP 6; 1009 2>1 ESP 5; ",
     "no leak, by request, up 6, traffic 8"},
    {"traffic one way", UP SHOWN NEW "1007 1>2 ESP 7; 1008 1>2 ESP 6; ",
     "no leak, by request, up 6"},
    {"old traffic is no recovery",
     UP "2 1>2 ESP 9; 3 2>1 ESP 8; " SHOWN NEW
        "1007 1>2 ESP 9; 1008 2>1 ESP 8; ",
     "no leak, by request, up 6"},
    {"several rounds of IKE_AUTH",
     UP SHOWN NEW "1010 1>2 AUTH 2:2; 1012 2>1 AUTH_ACK 2:2; ",
     "no leak, by request, up 12"},
    {"a copy of IKE_AUTH ends nothing",
     UP "2 1>2 AUTH 2:1; 3 2>1 AUTH_ACK 2:1; " SHOWN "1002 2>1 AUTH_ACK 2:1; ",
     "no leak, by request"},
    {"another peer's IKE_AUTH",
     UP SHOWN "1004 3>2 AUTH 2:1; 1006 2>3 AUTH_ACK 2:1; ",
     "no leak, by request"},
    {"retransmitted request", UP "500 1>2 INFO 1:2; " SHOWN NEW,
     "no leak, by request, up 6"},
    {"another Message ID", UP "1000 1>2 INFO 1:3; 1001 2>1 TOKEN 1:2; ",
     "no leak, by unasked"},
    {"request to another host", UP "1000 1>3 INFO 1:2; 1001 2>1 TOKEN 1:2; ",
     "no leak, by unasked"},
    {"announcement", UP "1001 2>1 TOKEN 1:2; " NEW,
     "no leak, by unasked, up 5"},
    {"ESP", UP "1000 1>2 ESP 9; 1001 2>1 TOKEN_ESP 1; " NEW,
     "no leak, by child, up 6"},
    {"AH", UP "1000 1>2 AH 9; 1001 2>1 TOKEN_ESP 1; " NEW,
     "no leak, by child, up 6"},
    {"ESP with another SPI", UP "1000 1>2 ESP 8; 1001 2>1 TOKEN_ESP 1; ",
     "no leak, by unasked"},
    {"ESP from the shower", UP "1000 2>1 ESP 9; 1001 2>1 TOKEN_ESP 1; ",
     "no leak, by unasked"},
    {"ESP 5 s before", UP "1000 1>2 ESP 9; 6000 2>1 TOKEN_ESP 1; ",
     "no leak, by child"},
    {"ESP more than 5 s before", UP "1000 1>2 ESP 9; 6001 2>1 TOKEN_ESP 1; ",
     "no leak, by unasked"},

    {"leak: a request", UP SHOWN "1500 2>1 INFO 1:0:0; ",
     "leak: message, by request"},
    {"leak: IKE_AUTH, which is no recovery", UP SHOWN "1500 2>1 AUTH_ACK 1:2; ",
     "leak: message, by request"},
    {"leak: the response", UP SHOWN "1500 2>1 INFO_ACK 1:2; ",
     "leak: message, by request"},
    {"leak: a fragment", UP SHOWN "1500 2>1 PART 1:0:0; ",
     "leak: message, by request"},
    {"leak after a recovery", UP SHOWN NEW "1500 2>1 INFO_ACK 1:2; ",
     "leak: message, by request, up 6"},
    {"leak to a stranger",
     UP "1000 3>2 INFO 1:2; 1001 2>3 TOKEN 1:2; 1500 2>1 INFO_ACK 1:3; ",
     "leak: message, by request"},
    {"leak to a stranger who is in the wrong role",
     UP "1000 3>2 INFO 1:2:0!; 1001 2>3 TOKEN 1:2:0!; 1500 2>1 INFO_ACK 1:3; ",
     "leak: message, by request"},
    {"leak in an announcement",
     UP "1001 2>1 TOKEN 1:0; 1500 2>1 INFO_ACK 1:2; ",
     "leak: message, by unasked"},
    {"leak without a beginning", "1001 2>1 TOKEN 1:0; 1500 2>1 INFO_ACK 1:2; ",
     "leak: message, by unasked"},
    {"leak: other content, same number",
     UP "2 2>1 INFO_ACK 1:2:1; " SHOWN "1500 2>1 INFO_ACK 1:2:2; ",
     "leak: message, by request"},
    {"leak by the initiator",
     UP "1000 2>1 INFO 1:0:0; 1001 1>2 TOKEN 1:0:0; 1500 1>2 INFO 1:2; ",
     "leak: message, by request"},

    {"the peer goes on", UP SHOWN "1500 1>2 INFO 1:2; 2500 1>2 INFO 1:2; ",
     "no leak, by request"},
    {"the shower has another SA", UP SHOWN "1500 2>1 INFO 3:0:0; ",
     "no leak, by request"},
    {"too short to be protected", UP SHOWN "1500 2>1 SHORT 1:5; ",
     "no leak, by request"},
    {"before the token", UP "999 2>1 INFO_ACK 1:2; " SHOWN,
     "no leak, by request"},
    {"both at one address",
     UP "1000 1>1 INFO 1:2; 1001 1>1 TOKEN 1:2; 1500 1>1 INFO 1:3; ",
     "no leak, by request"},
    {"leak at one address",
     "1000 1>1 INFO 1:2; 1001 1>1 TOKEN 1:2; 1500 1>1 INFO_ACK 1:2; ",
     "leak: message, by request"},

    {"a copy of an earlier message",
     UP "2 2>1 INFO_ACK 1:2; " SHOWN "1500 2>1 INFO_ACK 1:2; ",
     "suspected: old, by request"},
    {"an older number",
     UP "2 2>1 INFO_ACK 1:2; " SHOWN "1500 2>1 INFO_ACK 1:1:7; ",
     "suspected: old, by request"},
    {"a fragment with an earlier number",
     UP "2 2>1 PART 1:2:1; " SHOWN "1500 2>1 PART 1:2:2; ",
     "suspected: old, by request"},
    {"the clock goes back", UP SHOWN "500 2>1 INFO_ACK 1:2; ",
     "suspected: old, by request"},
    {"a copy, then the leak",
     UP "2 2>1 INFO_ACK 1:2; " SHOWN
        "1500 2>1 INFO_ACK 1:2; 1600 2>1 INFO_ACK 1:3; ",
     "leak: message, by request"},
    {"through a second gateway",
     UP "1000 1>3 INFO 1:2; 1001 3>1 TOKEN 1:2; 1500 2>1 INFO_ACK 1:2; ",
     "suspected: elsewhere, by request"},
    {"after a takeover",
     UP "1000 1>3 INFO 1:2; 1001 3>1 TOKEN 1:2; 1500 1>2 INFO 1:3; ",
     "no leak, by request"},
    {"wrong role in an announcement",
     UP "1001 2>1 TOKEN 1:2:0!; 1500 1>2 INFO 1:3; ", "no leak, by unasked"},

    {"an old child SA goes on", UP "2 2>1 ESP 8; " SHOWN "1500 2>1 ESP 8; ",
     "suspected: child, by request"},
    {"the peer's child SA goes on", UP "2 1>2 ESP 8; " SHOWN "1500 1>2 ESP 8; ",
     "no leak, by request"},
    {"a new child SA", UP SHOWN "1500 2>1 ESP 8; 1600 2>1 ESP 8; ",
     "no leak, by request"},
    {"an old child SA of another IKE SA",
     UP "1 2>1 INFO 3:0; 2 2>1 ESP 8; " SHOWN "1500 2>1 ESP 8; ",
     "no leak, by request"},
    {"the kernel kept a child SA until the recovery",
     UP "2 2>1 ESP 8; " SHOWN "1002 2>1 ESP 8; " NEW,
     "no leak, by request, up 6"},

    {"an old request with the same ID",
     "1 1>2 INFO 1:2; 30000 1>2 ESP 1; 31002 2>1 TOKEN 1:2; ",
     "no leak, by unasked"},
    {"a reply that was held", "1000 1>2 INFO 1:2; 31000 2>1 TOKEN 1:2; ",
     "no leak, by request"},
    {"shown twice", UP SHOWN "1100 2>1 TOKEN 1:2; 1200 2>3 TOKEN 1:2; ",
     "no leak, by request"},
    {"two SAs", UP SHOWN "1001 2>1 TOKEN 3:0; " NEW,
     "2 tokens, no leak, by request, up 6"},
    {"the token was cut", UP "1001 2>1 TOKEN_CUT 1:2; ", "nothing"},
    {"no token", UP "1001 2>1 BARE 1:2; ", "nothing"},
};

static const char *const packets[] = {[INIT] = "INIT",
                                      [INIT_ACK] = "INIT_ACK",
                                      [AUTH] = "AUTH",
                                      [AUTH_ACK] = "AUTH_ACK",
                                      [INFO] = "INFO",
                                      [INFO_ACK] = "INFO_ACK",
                                      [PART] = "PART",
                                      [TOKEN] = "TOKEN",
                                      [TOKEN_ESP] = "TOKEN_ESP",
                                      [TOKEN_CUT] = "TOKEN_CUT",
                                      [BARE] = "BARE",
                                      [SHORT] = "SHORT",
                                      [ESP] = "ESP",
                                      [AH] = "AH"};

/* read_event reads the event at `text`, and returns what follows it. */
static const char *read_event(event *out, const char *text)
{
    char what[16];
    char numbers[16];
    int len = 0;
    *out = (event){0};
    assert_int_equal(sscanf(text, "%d %d>%d %15[A-Z_] %15[^;]; %n", &out->at,
                            &out->from, &out->to, what, numbers, &len),
                     5);
    assert_true(len > 0);
    (void)sscanf(numbers, "%hhu:%hhu:%hhu", &out->sa, &out->id, &out->content);
    out->flip = strchr(numbers, '!') != NULL;
    while (strcmp(packets[out->what], what) != 0) {
        out->what++;
        assert_true(out->what < NUM_ROWS(packets));
    }
    return text + len;
}

/* ---- Packets ----------------------------------------------------------- */

static const uint8_t hash_key[RECENT_KEY_LEN] = {1, 2, 3};

static qcd_address host(int number)
{
    return (qcd_address){.len = 4, .octets = {10, 0, 0, (uint8_t)number}};
}

static qcd_header header_of(const event *e)
{
    bool is_response = e->what == INIT_ACK || e->what == AUTH_ACK ||
                       e->what == INFO_ACK || e->what == TOKEN ||
                       e->what == BARE;
    bool is_initiator = (e->from == 1) != e->flip;
    if (e->from == e->to) {
        is_initiator = !is_response;
    }
    if (e->from == 3 && !e->flip) {
        is_initiator = e->to == 2; /* a stranger in the peer's place */
    }
    qcd_header h = {.version = 0x20,
                    .exchange_type = e->what == INIT || e->what == INIT_ACK ? 34
                                     : e->what == AUTH || e->what == AUTH_ACK
                                         ? 35
                                         : 37,
                    .flags = (uint8_t)((is_response ? QCD_FLAG_RESPONSE : 0) |
                                       (is_initiator ? QCD_FLAG_INITIATOR : 0)),
                    .message_id = e->id};
    memset(h.spis.initiator.octets, e->sa, QCD_SPI_LEN);
    memset(h.spis.responder.octets, e->what == INIT ? 0 : 0x80 | e->sa,
           QCD_SPI_LEN);
    return h;
}

static void put_be32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

/* put_message writes a message with one payload of `len` octets. */
static size_t put_message(uint8_t *out, const event *e, uint8_t payload,
                          uint8_t len)
{
    qcd_header h = header_of(e);
    memset(out, e->content, QCD_HEADER_LEN + (size_t)len);
    memcpy(out, &h.spis, sizeof(h.spis));
    out[16] = payload;
    out[17] = h.version;
    out[18] = h.exchange_type;
    out[19] = h.flags;
    put_be32(out + 20, h.message_id);
    put_be32(out + 24, QCD_HEADER_LEN + (uint32_t)len);
    put_be32(out + 28, len);
    return QCD_HEADER_LEN + (size_t)len;
}

static size_t put_token(uint8_t *out, const event *e)
{
    qcd_datagram sent;
    qcd_message m = {.header = header_of(e),
                     .cause = e->what == TOKEN_ESP ? QCD_CAUSE_INVALID_SPI
                                                   : QCD_CAUSE_INVALID_IKE_SPI,
                     .child_spi = {.octets = {9, 9, 9, 9}},
                     .num_tokens = e->what == BARE ? 0 : 1};
    m.tokens[0] = (qcd_token){.len = 32, .octets = {1, 2, 3}};
    assert_int_equal(qcd_message_encode(&sent, &m, SIZE_MAX), QCD_OK);
    memcpy(out, sent.octets, sent.len);
    return sent.len;
}

static size_t put_event(uint8_t *out, const event *e)
{
    switch (e->what) {
    case INIT:
    case INIT_ACK:
        return put_message(out, e, 33, 40);
    case SHORT:
        return put_message(out, e, 46, 20);
    case PART:
        return put_message(out, e, 53, 25);
    case TOKEN:
    case TOKEN_ESP:
    case TOKEN_CUT:
    case BARE:
        return put_token(out, e);
    case AUTH:
    case AUTH_ACK:
    case INFO:
    case INFO_ACK:
    case ESP:
    case AH:
    default:
        return put_message(out, e, 46, 21);
    }
}

static void take_event(trace *t, const event *e)
{
    uint8_t message[QCD_MESSAGE_MAX];
    size_t len = put_event(message, e);
    uint8_t *exact = copy_exact(message, len);
    capture_packet p = {.kind = CAPTURE_IKE,
                        .source = host(e->from),
                        .destination = host(e->to),
                        .message = exact,
                        .message_len = e->what == TOKEN_CUT ? len - 1 : len,
                        .full_len = len};
    if (e->what == ESP || e->what == AH) {
        p.kind = CAPTURE_CHILD;
        p.message = NULL;
        p.message_len = p.full_len = 0;
        memset(p.child_spi.octets, e->sa, QCD_CHILD_SPI_LEN);
        p.child_spi.protocol = e->what == ESP ? QCD_ESP : QCD_AH;
    }
    trace_take(t, &p, INT64_C(1000) * e->at);
    free(exact);
}

/* ---- Tests ------------------------------------------------------------- */

static const char *const verdicts[] = {[TRACE_NO_LEAK] = "no leak",
                                       [TRACE_SUSPECTED] = "suspected",
                                       [TRACE_LEAK] = "leak"};
static const char *const reasons[] = {[TRACE_NOTHING] = "",
                                      [TRACE_MESSAGE] = ": message",
                                      [TRACE_OLD] = ": old",
                                      [TRACE_ELSEWHERE] = ": elsewhere",
                                      [TRACE_CHILD] = ": child"};
static const char *const causes[] = {[TRACE_UNASKED] = "unasked",
                                     [TRACE_REQUEST] = "request",
                                     [TRACE_CHILD_PACKET] = "child"};

static void play(trace *t, const char *events)
{
    event e;
    assert_true(trace_open(t, hash_key, 32));
    while (*events != '\0') {
        events = read_event(&e, events);
        take_event(t, &e);
    }
    trace_end(t);
}

static void describe_ms(char *out, size_t cap, const char *what, int64_t us)
{
    size_t len = strlen(out);
    if (us != TRACE_NEVER) {
        (void)snprintf(out + len, cap - len, ", %s %d", what, (int)(us / 1000));
    }
}

/* describe writes "leak: message, by request, up 6, traffic 8" of the first
 * token; the times are milliseconds. */
static void describe(char *out, size_t cap, const trace *t)
{
    if (trace_num_tokens(t) == 0) {
        (void)snprintf(out, cap, "nothing");
        return;
    }
    const trace_token *token = trace_token_at(t, 0);
    out[0] = '\0';
    if (trace_num_tokens(t) > 1) {
        (void)snprintf(out, cap, "%zu tokens, ", trace_num_tokens(t));
    }
    size_t len = strlen(out);
    (void)snprintf(out + len, cap - len, "%s%s, by %s",
                   verdicts[token->verdict], reasons[token->reason],
                   causes[token->cause]);
    describe_ms(out, cap, "up", trace_recovery(token));
    describe_ms(out, cap, "traffic", trace_traffic(token));
}

static void check_row(const row *r)
{
    trace t;
    char got[100];
    bool failed = false;
    play(&t, r->events);
    describe(got, sizeof(got), &t);
    if (strcmp(got, r->want) != 0) {
        print_error("row '%s': got: %s\n", r->name, got);
        failed = true;
    }
    CHECK_INT(r->name, trace_num_forgotten(&t), 0);
    trace_close(&t);
    assert_false(failed);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        check_row(&rows[i]);
    }
}

static void test_counts(void **state)
{
    static const char events[] =
        UP SHOWN "1100 2>1 TOKEN 1:2; 1101 2>3 TOKEN 1:2; 1102 2>1 BARE 1:2; "
                 "1103 2>1 TOKEN_CUT 1:2; 1104 1>2 ESP 9; "
                 "1105 2>1 INFO_ACK 1:2; 1106 2>1 INFO_ACK 1:3; ";
    trace t;
    (void)state;
    play(&t, events);
    assert_int_equal(t.counts.ike, 10);
    assert_int_equal(t.counts.child, 1);
    assert_int_equal(t.counts.shown, 3);
    assert_int_equal(t.counts.bare, 1);
    assert_int_equal(t.counts.unreadable, 1);
    assert_int_equal(t.counts.malformed, 0);
    const trace_token *token = trace_token_at(&t, 0);
    assert_int_equal(token->num_times, 3);
    assert_int_equal(token->num_elsewhere, 1);
    assert_int_equal(token->num_tokens, 1);
    assert_int_equal(token->num_after, 2);
    assert_int_equal(token->message_id, 2);
    assert_int_equal(token->leak, 1105000);
    assert_int_equal(token->exchange, 37);
    trace_close(&t);
}

/* The other kinds, and messages that are not the length they say. */
static void test_malformed(void **state)
{
    uint8_t message[64];
    const event e = {0, 1, 2, INFO, 1, 0, 0, false};
    size_t len = put_message(message, &e, 46, 21);
    capture_packet p = {.kind = CAPTURE_IKE,
                        .source = host(1),
                        .destination = host(2),
                        .message = message,
                        .message_len = len,
                        .full_len = len + 1};
    trace t;
    (void)state;
    assert_true(trace_open(&t, hash_key, TRACE_TOKENS_MAX));
    trace_take(&t, &p, 0);
    p.full_len = len;
    p.message_len = QCD_HEADER_LEN - 1;
    trace_take(&t, &p, 0);
    p.kind = CAPTURE_MALFORMED;
    trace_take(&t, &p, 0);
    assert_int_equal(t.counts.malformed, 2);
    assert_int_equal(t.counts.unreadable, 1);
    p.kind = CAPTURE_FRAGMENT;
    trace_take(&t, &p, 0);
    assert_int_equal(t.counts.fragments, 1);
    p.kind = CAPTURE_OTHER;
    trace_take(&t, &p, 0);
    assert_int_equal(t.counts.ike, 2);
    assert_int_equal(t.sas.num, 0);
    trace_close(&t);
}

/* More tokens than are kept: those that are kept are judged nevertheless. */
static void test_flood(void **state)
{
    trace t;
    uint8_t octets[QCD_MESSAGE_MAX];
    const event shown = {1, 2, 1, TOKEN, 1, 2, 0, false};
    const event after = {2, 2, 1, INFO, 1, 9, 0, false};
    (void)state;
    assert_true(trace_open(&t, hash_key, TRACE_TOKENS_MAX));
    take_event(&t, &shown);
    size_t len = put_token(octets, &shown);
    capture_packet p = {.kind = CAPTURE_IKE,
                        .source = host(2),
                        .message = octets,
                        .message_len = len,
                        .full_len = len};
    for (uint32_t i = 1; i <= 140000; i++) {
        put_be32(octets, i);
        p.destination = host(1);
        put_be32(p.destination.octets, i);
        trace_take(&t, &p, 1000);
    }
    take_event(&t, &after);
    trace_end(&t);
    assert_int_equal(trace_num_tokens(&t), 131072);
    assert_int_equal(trace_num_refused(&t), 140001 - 131072);
    assert_true(trace_num_forgotten(&t) > 0);
    assert_int_equal(trace_worst(&t), TRACE_LEAK);
    assert_int_equal(trace_token_at(&t, 0)->verdict, TRACE_LEAK);
    trace_close(&t);
}

/* Full tables: the SA and the pair of the first token are forgotten, but the
 * token is not, and its leak is found.  A copy is still no leak. */
static void test_forgotten(void **state)
{
    trace t;
    event e;
    (void)state;
    assert_true(trace_open(&t, hash_key, 8));
    const char *rest = UP SHOWN;
    while (*rest != '\0') {
        rest = read_event(&e, rest);
        take_event(&t, &e);
    }
    for (uint8_t i = 10; i < 30; i++) {
        take_event(&t, &(event){1100, i, 2, INFO, i, 1, 0, false});
        take_event(&t, &(event){1100, i, 2, ESP, i, 0, 0, false});
    }
    assert_int_equal(t.sas.num, 4);
    assert_int_equal(t.pairs.num, 4);
    assert_int_equal(t.children.num, 16);
    assert_true(trace_num_forgotten(&t) > 0);
    take_event(&t, &(event){1150, 2, 1, AUTH_ACK, 1, 1, 0, false});
    trace_token *token = recent_at(&t.tokens, 0);
    assert_int_equal(token->verdict, TRACE_SUSPECTED);
    take_event(&t, &(event){1200, 2, 1, INFO_ACK, 1, 2, 0, false});
    take_event(&t, &(event){1300, 1, 2, AUTH, 2, 1, 0, false});
    take_event(&t, &(event){1400, 2, 1, AUTH_ACK, 2, 1, 0, false});
    trace_end(&t);
    assert_int_equal(trace_num_tokens(&t), 1);
    assert_int_equal(trace_num_refused(&t), 0);
    assert_int_equal(trace_worst(&t), TRACE_LEAK);
    assert_true(trace_recovery(trace_token_at(&t, 0)) == TRACE_NEVER);
    trace_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_counts),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_flood),
        cmocka_unit_test(test_forgotten),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}

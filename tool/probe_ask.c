/* SPDX-License-Identifier: Apache-2.0 */
/* probe_ask.c: the messages of qcd probe, RFC 7296 section 3. */
#include "probe.h"

#include <string.h>

#include "../src/ike.h"
#include "../src/wr.h"

enum {
    INFORMATIONAL_LEN = 80, /* of a usual request of dead peer detection */
    ID_BASE = 16, /* of our Message IDs, so that each message has its own */
    IKE_AUTH = 35,
    IKE_VERSION = IKE_MAJOR_VERSION << 4,
    LATER_VERSION = (IKE_MAJOR_VERSION + 1) << 4,
    PAYLOAD_SA = 33,
    PAYLOAD_KE = 34,
    PAYLOAD_NONCE = 40,
    PROTOCOL_IKE = 1,
    PROTOCOL_UNDEFINED = 200, /* of the private range, RFC 7296 section 3.3.1 */
    PRIVATE_NOTIFY = 50019,   /* of the private range, section 3.10.1 */
    NONCE_LEN = 32,
    TOKEN_LEN = 32,
};

/* ---- IKE_SA_INIT ------------------------------------------------------- */

/* A Diffie-Hellman group in which random octets are a public value. */
typedef struct dh_group {
    uint16_t number;
    uint16_t len;
} dh_group;

enum { CURVE25519 = 31 };
static const dh_group groups[] = {
    {CURVE25519, 32}, {14, 256}, {15, 384}, {16, 512}};

static const dh_group *group_find(uint16_t number)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (groups[i].number == number) {
            return &groups[i];
        }
    }
    return NULL;
}

/* A transform, RFC 7296 section 3.3.2; `key_len` in bits, or 0. */
typedef struct transform {
    uint8_t type;
    uint8_t id;
    uint16_t key_len;
} transform;

/* AES-CBC with SHA-2 or SHA-1, and AES-GCM; both with all groups. */
static const transform cbc[] = {
    {1, 12, 256}, {1, 12, 128}, {3, 12, 0}, {3, 14, 0}, {3, 2, 0},  {2, 5, 0},
    {2, 7, 0},    {2, 2, 0},    {4, 31, 0}, {4, 14, 0}, {4, 15, 0}, {4, 16, 0}};
static const transform gcm[] = {{1, 20, 256}, {1, 20, 128}, {2, 5, 0},
                                {2, 7, 0},    {4, 31, 0},   {4, 14, 0},
                                {4, 15, 0},   {4, 16, 0}};

enum { TRANSFORM_LEN = 8, ATTRIBUTE_LEN = 4 };

static size_t transform_len(const transform *t)
{
    return TRANSFORM_LEN + (t->key_len != 0 ? (size_t)ATTRIBUTE_LEN : 0);
}

static void write_transform(wr *w, const transform *t, bool is_last)
{
    wr_u8(w, is_last ? 0 : 3);
    wr_u8(w, 0);
    wr_be16(w, (uint16_t)transform_len(t));
    wr_u8(w, t->type);
    wr_u8(w, 0);
    wr_be16(w, t->id);
    if (t->key_len != 0) {
        wr_be16(w, 0x800e); /* Key Length, RFC 7296 section 3.3.5 */
        wr_be16(w, t->key_len);
    }
}

/* write_proposal writes the first or the last of two proposals. */
static void write_proposal(wr *w, bool is_last, const transform *rows,
                           size_t num_rows)
{
    size_t len = 8;
    for (size_t i = 0; i < num_rows; i++) {
        len += transform_len(&rows[i]);
    }
    wr_u8(w, is_last ? 0 : 2);
    wr_u8(w, 0);
    wr_be16(w, (uint16_t)len);
    wr_u8(w, is_last ? 2 : 1);
    wr_u8(w, PROTOCOL_IKE);
    wr_u8(w, 0);
    wr_u8(w, (uint8_t)num_rows);
    for (size_t i = 0; i < num_rows; i++) {
        write_transform(w, &rows[i], i + 1 == num_rows);
    }
}

/* write_payload appends a payload with the body in `body`. */
static void write_payload(wr *w, uint8_t next, const void *body, size_t len)
{
    wr_u8(w, next);
    wr_u8(w, 0);
    wr_be16(w, (uint16_t)(PAYLOAD_HEADER_LEN + len));
    wr_bytes(w, body, len);
}

static void write_init(wr *w, const dh_group *group, const uint8_t *random)
{
    uint8_t body[4 + 512];
    wr b;
    wr_init(&b, body, sizeof(body));
    write_proposal(&b, false, cbc, sizeof(cbc) / sizeof(cbc[0]));
    write_proposal(&b, true, gcm, sizeof(gcm) / sizeof(gcm[0]));
    write_payload(w, PAYLOAD_KE, body, b.len);

    wr_init(&b, body, sizeof(body));
    wr_be16(&b, group->number);
    wr_be16(&b, 0);
    /* A leading zero bit keeps a random value below the prime. */
    wr_u8(&b, random[0] & 0x7f);
    wr_bytes(&b, random + 1, group->len - 1U);
    write_payload(w, PAYLOAD_NONCE, body, b.len);
    write_payload(w, PAYLOAD_NONE, random, NONCE_LEN);
}

/* ---- The others -------------------------------------------------------- */

static void write_notify(wr *w, uint16_t type, uint8_t protocol,
                         const uint8_t *data)
{
    uint8_t body[NOTIFY_HEADER_LEN + TOKEN_LEN];
    wr b;
    wr_init(&b, body, sizeof(body));
    wr_u8(&b, protocol);
    wr_u8(&b, 0);
    wr_be16(&b, type);
    wr_bytes(&b, data, TOKEN_LEN);
    write_payload(w, PAYLOAD_NONE, body, b.len);
}

/* A message: what its header says. */
typedef struct kind {
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    uint8_t first; /* payload */
} kind;

enum { I = QCD_FLAG_INITIATOR, R = QCD_FLAG_RESPONSE };

#define REQUEST                                                                \
    {                                                                          \
        IKE_VERSION, INFORMATIONAL, I, PAYLOAD_SK                              \
    }
#define INIT                                                                   \
    {                                                                          \
        IKE_VERSION, IKE_SA_INIT, I, PAYLOAD_SA                                \
    }
#define ON_LIVE                                                                \
    {                                                                          \
        IKE_VERSION, IKE_AUTH, I, PAYLOAD_NOTIFY                               \
    }

static const kind kinds[] = {
    [PROBE_VERSION] = {LATER_VERSION, INFORMATIONAL, I, PAYLOAD_NONE},
    [PROBE_INIT] = INIT,
    [PROBE_INIT_GROUP] = INIT,
    [PROBE_LIVE] = REQUEST,
    [PROBE_LIVE_FLIPPED] = {IKE_VERSION, INFORMATIONAL, 0, PAYLOAD_SK},
    [PROBE_INIT_AGAIN] = INIT,
    [PROBE_TOKEN] = ON_LIVE,
    [PROBE_CONTROL] = ON_LIVE,
    [PROBE_FIRST] = REQUEST,
    [PROBE_REPEAT] = REQUEST,
    [PROBE_RESPONSE] = {IKE_VERSION, INFORMATIONAL, I | R, PAYLOAD_SK},
    [PROBE_SHOWN] = {IKE_VERSION, INFORMATIONAL, R, PAYLOAD_NOTIFY},
    [PROBE_UNPROTECTED] = {IKE_VERSION, INFORMATIONAL, I, PAYLOAD_NOTIFY},
    [PROBE_SA_INIT] = {IKE_VERSION, IKE_SA_INIT, I, PAYLOAD_SK},
    [PROBE_ZERO_I] = REQUEST,
    [PROBE_ZERO_R] = REQUEST,
    [PROBE_RATE] = REQUEST,
};

/* header_of returns the header of a message, except for its length. */
static qcd_header header_of(const probe_seen *seen, enum probe_ask ask)
{
    const kind *k = &kinds[ask < PROBE_RATE ? ask : PROBE_RATE];
    return (qcd_header){.spis = seen->spis,
                        .next_payload = k->first,
                        .version = k->version,
                        .exchange_type = k->exchange,
                        .flags = k->flags,
                        .message_id = seen->message_id};
}

/* write_sa_init writes IKE_SA_INIT with the group that the gateway wants, or at
 * first with Curve25519.  A repeated one must be the same, octet for octet. */
static void write_sa_init(wr *w, const probe *p, enum probe_ask ask)
{
    uint16_t wanted = p->seen[PROBE_INIT].answer.group;
    bool is_first = ask == PROBE_INIT || group_find(wanted) == NULL;
    write_init(w, group_find(is_first ? CURVE25519 : wanted), p->random.body);
}

static void write_body(wr *w, const probe *p, enum probe_ask ask)
{
    const size_t inner =
        INFORMATIONAL_LEN - QCD_HEADER_LEN - PAYLOAD_HEADER_LEN;
    const uint8_t *random = p->random.body + ask;
    switch (kinds[ask < PROBE_RATE ? ask : PROBE_RATE].first) {
    case PAYLOAD_SA:
        write_sa_init(w, p, ask);
        break;
    case PAYLOAD_NOTIFY:
        write_notify(w,
                     ask == PROBE_TOKEN ? QCD_NOTIFY_QUICK_CRASH_DETECTION
                                        : PRIVATE_NOTIFY,
                     ask == PROBE_UNPROTECTED ? 0 : PROTOCOL_UNDEFINED, random);
        break;
    case PAYLOAD_SK:
        write_payload(w, PAYLOAD_NONE, random, inner);
        break;
    default:
        break;
    }
}

/* write_shown writes what a token maker sends (RFC 6290 section 4.5), with a
 * token that nobody was given. */
static void write_shown(probe_datagram *out, const probe *p,
                        const qcd_header *header)
{
    qcd_message m = {.header = *header,
                     .cause = QCD_CAUSE_INVALID_IKE_SPI,
                     .num_tokens = 1,
                     .tokens = {{.len = TOKEN_LEN}}};
    qcd_datagram shown;

    memcpy(m.tokens[0].octets, p->random.body, TOKEN_LEN);
    (void)!qcd_message_encode(&shown, &m, sizeof(out->octets));
    memcpy(out->octets, shown.octets, shown.len);
    out->len = shown.len;
}

/* spis_of returns the SPIs of a message. */
static qcd_spis spis_of(const probe *p, enum probe_ask ask)
{
    static const qcd_spi zero;
    const qcd_spis *accepted = probe_accepted(p);
    qcd_spis spis = p->random.spis[ask];
    if (ask >= PROBE_LIVE && ask < PROBE_FIRST && accepted != NULL) {
        spis = *accepted;
    } else if (ask >= PROBE_FIRST && p->has_spis) {
        spis = p->spis;
    } else if (ask == PROBE_REPEAT) {
        spis = p->random.spis[PROBE_FIRST];
    }
    if (ask <= PROBE_INIT_GROUP || ask == PROBE_INIT_AGAIN ||
        ask == PROBE_ZERO_R) {
        spis.responder = zero;
    }
    if (ask == PROBE_ZERO_I) {
        spis.initiator = zero;
    }
    return spis;
}

static uint32_t id_of(enum probe_ask ask)
{
    if (ask <= PROBE_INIT_GROUP || ask == PROBE_INIT_AGAIN) {
        return 0;
    }
    /* What follows IKE_SA_INIT; a gateway ignores any other. */
    if (ask == PROBE_TOKEN || ask == PROBE_CONTROL) {
        return 1;
    }
    return ID_BASE + (uint32_t)ask;
}

static void write_message(probe_datagram *out, const probe *p,
                          const qcd_header *header, enum probe_ask ask)
{
    qcd_header h = *header;
    wr w;
    wr_init(&w, out->octets, sizeof(out->octets));
    header_write(&w, &h);
    write_body(&w, p, ask);
    out->len = w.len;

    h.length = (uint32_t)w.len;
    wr_init(&w, out->octets, QCD_HEADER_LEN);
    header_write(&w, &h);
}

void probe_build(probe *p, probe_datagram *out, enum probe_ask ask)
{
    probe_seen *seen = &p->seen[ask];

    *seen = (probe_seen){.spis = spis_of(p, ask), .message_id = id_of(ask)};
    qcd_header h = header_of(seen, ask);
    if (ask == PROBE_SHOWN) {
        write_shown(out, p, &h);
    } else {
        write_message(out, p, &h, ask);
    }
    seen->sent_len = out->len;
}

bool probe_is_due(const probe *p, enum probe_ask ask)
{
    const probe_seen *init = &p->seen[PROBE_INIT];
    switch ((int)ask) {
    case PROBE_INIT:
        return p->may_init;
    case PROBE_INIT_GROUP:
        return init->num_answers > 0 && !init->answer.has_sa &&
               init->answer.group != CURVE25519 &&
               group_find(init->answer.group) != NULL;
    case PROBE_LIVE:
    case PROBE_LIVE_FLIPPED:
    case PROBE_INIT_AGAIN:
        return probe_accepted(p) != NULL;
    case PROBE_TOKEN:
        /* The IKE SA is there, and nothing was wrong with it so far. */
        return probe_accepted(p) != NULL &&
               p->seen[PROBE_INIT_AGAIN].num_answers > 0;
    case PROBE_CONTROL:
        return p->seen[PROBE_TOKEN].sent_len > 0 &&
               p->seen[PROBE_TOKEN].num_answers == 0;
    default:
        /* Silence has no rate. */
        return ask < PROBE_RATE || p->seen[PROBE_FIRST].num_answers > 0 ||
               p->seen[PROBE_REPEAT].num_answers > 0;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* maker.c: how a token maker handles a request for an IKE SA that it does not
 * have, RFC 6290 sections 3 and 4.5, and ESP of one that it lost, section
 * 8.2. */
#include "parts.h"

/* RFC 7383 section 2.5: the first fragment.  It stands for the whole message,
 * or is the whole message. */
static bool is_first_fragment(rd *r)
{
    uint16_t number = rd_be16(r);
    uint16_t total = rd_be16(r);

    return number == 1 && total >= number;
}

/* RFC 7296 section 3.14: an Encrypted payload is the last one of its message.
 * So it extends to the end, and a header that only names one is not a
 * request. */
static bool has_encrypted_payload(const qcd_header *h, const uint8_t *in,
                                  size_t in_len)
{
    rd r;

    rd_init(&r, in, in_len);
    (void)rd_bytes(&r, QCD_HEADER_LEN);
    (void)rd_bytes(&r, 2); /* next payload, flags: ignored */
    uint16_t len = rd_be16(&r);
    if (r.bad || len != PAYLOAD_HEADER_LEN + r.len) {
        return false;
    }
    if (h->next_payload == PAYLOAD_SKF) {
        return is_first_fragment(&r) && r.len >= ENCRYPTED_LEN_MIN;
    }
    return h->next_payload == PAYLOAD_SK && r.len >= ENCRYPTED_LEN_MIN;
}

/* RFC 6290 section 3: a protected IKE request.  RFC 7296 section 2.21.4: a
 * message that is marked as a response never gets a reply. */
static bool is_protected_request(const qcd_header *h, const uint8_t *in,
                                 size_t in_len)
{
    if (h->version >> 4 != IKE_MAJOR_VERSION ||
        (h->flags & QCD_FLAG_RESPONSE) != 0 || header_exchange_is_clear(h) ||
        spi_is_zero(&h->spis.initiator) || spi_is_zero(&h->spis.responder)) {
        return false;
    }
    return has_encrypted_payload(h, in, in_len);
}

/* ---- The maker as a whole ---------------------------------------------- */

enum qcd_err qcd_maker_init(qcd_maker *out, const qcd_maker_settings *settings,
                            const qcd_maker_state *state)
{
    memset(out, 0, sizeof(*out));
    if (settings->token_len < QCD_TOKEN_MIN ||
        settings->token_len > QCD_TOKEN_MADE_MAX || state->run == 0) {
        return QCD_ERR_RANGE;
    }
    out->settings = *settings;
    out->mint = (qcd_mint){
        .node = settings->node, .first_run = state->run, .run = state->run};
    seal_init(&out->seal, state->seal_key);
    source_limit_init(&out->lost, 1, state->random);
    enum qcd_err err = reply_limit_init(&out->replies, settings->reply_rate,
                                        settings->reply_burst,
                                        settings->source_rate, state->random);
    if (err == QCD_OK) {
        err = keys_init(&out->keys, state->secrets, state->num_secrets);
    }
    if (err != QCD_OK) {
        qcd_maker_wipe(out);
    }
    return err;
}

void qcd_maker_wipe(qcd_maker *maker)
{
    qcd_wipe(maker, sizeof(*maker));
}

/* ---- Requests for an IKE SA that we don't have ------------------------- */

enum qcd_judgement qcd_maker_judge(qcd_maker *maker, qcd_header *out,
                                   const qcd_packet *packet, uint64_t now_ms)
{
    qcd_header h;

    memset(out, 0, sizeof(*out));
    if (qcd_header_decode(&h, packet->octets, packet->len) != QCD_OK ||
        !is_protected_request(&h, packet->octets, packet->len)) {
        return QCD_SILENT_NO_REQUEST;
    }
    const qcd_ike_sa sa = {h.spis, qcd_header_local_role(&h)};
    if (!evidence_weigh(maker, &sa, &packet->destination)) {
        return QCD_SILENT_NO_EVIDENCE;
    }
    /* RFC 6290 section 9.3: an attacker who guesses SPIs is shown nothing.  The
     * limits come only now: a request that gets no reply must not use them
     * up. */
    if (!reply_limit_pass(&maker->replies, &packet->source,
                          qcd_ike_sa_local(&sa), packet->is_home, now_ms)) {
        return QCD_SILENT_LIMIT;
    }
    *out = h;
    return QCD_ANSWER;
}

/* RFC 7296 section 1.5 and RFC 6290 section 4.5: SPIs, Message ID and exchange
 * type are those of the request.  RFC 7296 section 3.1: R is set, I is the
 * opposite of the request's, all other flags are clear and the minor version is
 * 0. */
static void reply_header(qcd_header *out, const qcd_header *request)
{
    *out = *request;
    out->version = IKE_MAJOR_VERSION << 4;
    out->flags = QCD_FLAG_RESPONSE;
    if ((request->flags & QCD_FLAG_INITIATOR) == 0) {
        out->flags |= QCD_FLAG_INITIATOR;
    }
}

/* The finalizer of splitmix64: each bit of the result depends on all of `v`. */
static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

/* Returns the generation of the first token in a message about `spis`, for a
 * peer that reads only the first token.  It depends on the time, so nothing has
 * to be remembered.  The newest comes first in half of all messages, and each
 * of the others equally often in the rest.  It is a hash of the time: a peer
 * asks at its own intervals, and any simpler function would repeat itself at
 * some of them. */
static size_t first_generation(const qcd_spis *spis, size_t num,
                               uint64_t now_ms)
{
    size_t num_older = num - 1;
    rd r;

    rd_init(&r, spis->initiator.octets, QCD_SPI_LEN);
    uint64_t seed = mix(rd_be64(&r));
    rd_init(&r, spis->responder.octets, QCD_SPI_LEN);
    seed = mix(seed ^ rd_be64(&r));
    uint64_t draw = mix(seed + now_ms * 0x9e3779b97f4a7c15u);

    return num_older == 0 || draw % 2 == 0 ? 0 : 1 + (draw >> 32) % num_older;
}

/* Returns the generation at `place` of a message that starts with `first`.  The
 * others follow, newest first. */
static size_t generation_at(size_t place, size_t first)
{
    if (place == 0) {
        return first;
    }
    return place <= first ? place - 1 : place;
}

/* Adds a token of each generation, RFC 6290 section 4.5.  Our role is in the I
 * flag of what we send.  A token that can't be made stays empty, and a message
 * with an empty token is never encoded. */
static void add_tokens(const qcd_maker *maker, qcd_message *message,
                       const qcd_address *taker, uint64_t now_ms)
{
    bool is_initiator = (message->header.flags & QCD_FLAG_INITIATOR) != 0;
    const qcd_ike_sa sa = {message->header.spis,
                           is_initiator ? QCD_INITIATOR : QCD_RESPONDER};
    size_t num = maker->keys.num_generations;
    size_t first = num > 0 ? first_generation(&sa.spis, num, now_ms) : 0;

    for (size_t i = 0; i < num; i++) {
        (void)!token_make(maker, &message->tokens[i], &sa,
                          generation_at(i, first), taker);
    }
    message->num_tokens = num;
}

/* Encodes `message` with as many of its tokens as fit, and wipes it. */
static enum qcd_err encode(qcd_datagram *out, qcd_message *message,
                           size_t max_len)
{
    enum qcd_err err = qcd_message_encode(out, message, max_len);

    while (err == QCD_ERR_NOBUF && message->num_tokens > 1) {
        message->num_tokens--;
        err = qcd_message_encode(out, message, max_len);
    }
    qcd_wipe(message, sizeof(*message));
    return err;
}

/* The request's length bounds the reply.  Nobody gains by making us reply to
 * somebody else's address. */
static size_t max_reply_len(size_t request_len)
{
    return request_len > SIZE_MAX / QCD_AMPLIFICATION_MAX
               ? SIZE_MAX
               : request_len * QCD_AMPLIFICATION_MAX;
}

enum qcd_err qcd_maker_reply(const qcd_maker *maker, qcd_datagram *out,
                             const qcd_header *request,
                             const qcd_address *taker, uint64_t now_ms)
{
    qcd_message reply = {.cause = QCD_CAUSE_INVALID_IKE_SPI};

    reply_header(&reply.header, request);
    add_tokens(maker, &reply, taker, now_ms);
    return encode(out, &reply, max_reply_len(request->length));
}

/* ---- ESP of lost SAs --------------------------------------------------- */

/* Tells whether the packet is long enough for a reply with a token. */
static bool has_room_for_token(const qcd_traffic *packet, size_t token_len)
{
    const size_t notify_len = PAYLOAD_HEADER_LEN + NOTIFY_HEADER_LEN;
    size_t least = QCD_HEADER_LEN + notify_len + QCD_CHILD_SPI_LEN +
                   notify_len + token_len;

    return max_reply_len(packet->len) >= least;
}

/* Tells whether the packet comes from the peer's address in the map.  Other
 * hosts behind the same NAT address have other ports. */
static bool is_from_peer(const qcd_lost *lost, const qcd_traffic *packet)
{
    return address_equals(&packet->source, &lost->peer) &&
           (!packet->encap || packet->source_port == lost->peer_port);
}

/* judge_known decides about a lost SA of which there is evidence.  Only a reply
 * uses up the SA's second.  If replies that the other limits refuse used it up
 * too, a source over its own limit could hold back the reply to the peer at no
 * cost. */
static enum qcd_judgement judge_known(qcd_maker *maker, const qcd_lost *lost,
                                      const qcd_traffic *packet,
                                      uint64_t now_ms)
{
    const qcd_spi *local = qcd_ike_sa_local(&lost->sa);

    if (!lost_limit_conforms(&maker->lost, local,
                             packet == NULL || is_from_peer(lost, packet),
                             now_ms)) {
        return QCD_SILENT_TOLD;
    }
    if (packet == NULL) {
        /* The peer may have left this address: do not charge its SA. */
        return reply_limit_pass_unasked(&maker->replies) ? QCD_ANSWER
                                                         : QCD_SILENT_LIMIT;
    }
    bool is_home = address_equals(&packet->source, &lost->peer);
    if (!reply_limit_pass(&maker->replies, &packet->source, local, is_home,
                          now_ms)) {
        return QCD_SILENT_LIMIT;
    }
    lost_limit_charge(&maker->lost, local, now_ms);
    return QCD_ANSWER;
}

enum qcd_judgement qcd_maker_judge_lost(qcd_maker *maker, const qcd_lost *lost,
                                        const qcd_traffic *packet,
                                        uint64_t now_ms)
{
    const qcd_address *target = packet != NULL ? &packet->source : &lost->peer;

    if (packet != NULL &&
        !has_room_for_token(packet, maker->settings.token_len)) {
        return QCD_SILENT_NO_REQUEST;
    }
    /* The peer's address comes from the map, so from a disk. */
    if (!address_is_valid(target) || !qcd_maker_is_lost(maker, &lost->sa)) {
        return QCD_SILENT_NO_EVIDENCE;
    }
    return judge_known(maker, lost, packet, now_ms);
}

/* RFC 6290 sections 4.5 and 8.2: the IKE SPIs of the parent, so that the taker
 * finds its SA.  RFC 7296 section 1.5: the message is not a response, and
 * nobody responds to it.  Section 3.1: the SPIs name an SA, so the I flag tells
 * whose is whose. */
static void tell_header(qcd_header *out, const qcd_ike_sa *sa)
{
    memset(out, 0, sizeof(*out));
    out->spis = sa->spis;
    out->version = IKE_MAJOR_VERSION << 4;
    out->exchange_type = INFORMATIONAL;
    out->flags = sa->role == QCD_INITIATOR ? QCD_FLAG_INITIATOR : 0;
}

enum qcd_err qcd_maker_tell(const qcd_maker *maker, qcd_datagram *out,
                            const qcd_lost *lost, const qcd_traffic *packet,
                            uint64_t now_ms)
{
    const qcd_address *taker = packet != NULL ? &packet->source : &lost->peer;
    size_t max_len = packet != NULL ? max_reply_len(packet->len) : SIZE_MAX;
    qcd_message message = {.cause = QCD_CAUSE_INVALID_SPI,
                           .child_spi = lost->child_spi};

    tell_header(&message.header, &lost->sa);
    add_tokens(maker, &message, taker, now_ms);
    return encode(out, &message, max_len);
}

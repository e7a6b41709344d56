/* SPDX-License-Identifier: Apache-2.0 */
/* maker.c: what a token maker does with a request for an IKE SA that it does
 * not have, RFC 6290 sections 3 and 4.5. */
#include <qcd/qcd.h>

#include <string.h>

#include "ike.h"

/* The first fragment speaks for the message, or it stands alone. */
static bool is_first_fragment(const uint8_t *in, size_t in_len)
{
    rd r;

    rd_init(&r, in, in_len);
    (void)rd_bytes(&r, QCD_HEADER_LEN + PAYLOAD_HEADER_LEN);
    return rd_be16(&r) == 1; /* RFC 7383 section 2.5: Fragment Number */
}

/* RFC 6290 section 3: a protected IKE request.  RFC 7296 section 2.21.4: what
 * is marked as a response is never answered. */
static bool is_protected_request(const qcd_header *h, const uint8_t *in,
                                 size_t in_len)
{
    if (h->version >> 4 != IKE_MAJOR_VERSION ||
        (h->flags & QCD_FLAG_RESPONSE) != 0 || header_exchange_is_clear(h) ||
        spi_is_zero(&h->spis.initiator) || spi_is_zero(&h->spis.responder)) {
        return false;
    }
    return h->next_payload == PAYLOAD_SK ||
           (h->next_payload == PAYLOAD_SKF && is_first_fragment(in, in_len));
}

enum qcd_judgement qcd_maker_judge(qcd_header *out, qcd_reply_limit *limit,
                                   const qcd_graveyard *graveyard,
                                   const qcd_seal *seal, const qcd_mint *mint,
                                   const qcd_takeover *takeover,
                                   const qcd_packet *packet, uint64_t now_ms)
{
    qcd_header h;

    memset(out, 0, sizeof(*out));
    if (qcd_header_decode(&h, packet->octets, packet->len) != QCD_OK ||
        !is_protected_request(&h, packet->octets, packet->len)) {
        return QCD_SILENT_NO_REQUEST;
    }
    enum qcd_role role = qcd_header_local_role(&h);
    bool buried = qcd_graveyard_holds(graveyard, &h.spis, role);
    if (qcd_evidence_weigh(&h, seal, mint, buried, takeover,
                           &packet->destination) == QCD_EVIDENCE_NONE) {
        return QCD_SILENT_NO_EVIDENCE;
    }
    /* RFC 6290 section 9.3: who guesses SPIs is shown nothing.  The limits only
     * now: what gets no answer must not use them up. */
    const qcd_spi *local =
        role == QCD_INITIATOR ? &h.spis.initiator : &h.spis.responder;
    if (!qcd_reply_limit_pass(limit, &packet->source, local, now_ms)) {
        return QCD_SILENT_LIMIT;
    }
    *out = h;
    return QCD_ANSWER;
}

/* RFC 7296 section 1.5 and RFC 6290 section 4.5: SPIs, Message ID and exchange
 * type are the request's.  RFC 7296 section 3.1: R is set, I tells that the
 * other side speaks, all other flags are clear and the minor version is 0. */
static void reply_header(qcd_header *out, const qcd_header *request)
{
    *out = *request;
    out->version = IKE_MAJOR_VERSION << 4;
    out->flags = QCD_FLAG_RESPONSE;
    if ((request->flags & QCD_FLAG_INITIATOR) == 0) {
        out->flags |= QCD_FLAG_INITIATOR;
    }
}

static enum qcd_err encode_reply(uint8_t *out, size_t *out_len, size_t out_cap,
                                 const qcd_message *reply, uint32_t request_len)
{
    enum qcd_err err = qcd_message_encode(out, out_len, out_cap, reply);

    if (err == QCD_OK &&
        *out_len > (size_t)request_len * QCD_AMPLIFICATION_MAX) {
        qcd_wipe(out, *out_len);
        *out_len = 0;
        err = QCD_ERR_NOBUF;
    }
    return err;
}

enum qcd_err qcd_maker_reply(uint8_t *out, size_t *out_len, size_t out_cap,
                             const qcd_header *request, const qcd_keys *keys,
                             const qcd_address *taker, size_t token_len)
{
    enum qcd_role role = qcd_header_local_role(request);
    qcd_message reply = {.cause = QCD_CAUSE_INVALID_IKE_SPI};
    enum qcd_err err = QCD_OK;

    *out_len = 0;
    if (out_cap > 0) {
        memset(out, 0, out_cap);
    }
    reply_header(&reply.header, request);
    for (size_t i = 0; i < keys->num_generations && err == QCD_OK; i++) {
        err = qcd_token_make(&reply.tokens[i], keys, i, &request->spis, role,
                             taker, token_len);
        reply.num_tokens++;
    }
    if (err == QCD_OK) {
        err = encode_reply(out, out_len, out_cap, &reply, request->length);
    }
    while (err == QCD_ERR_NOBUF && reply.num_tokens > 1) {
        reply.num_tokens--;
        err = encode_reply(out, out_len, out_cap, &reply, request->length);
    }
    qcd_wipe(&reply, sizeof(reply));
    return err;
}

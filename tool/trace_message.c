/* SPDX-License-Identifier: Apache-2.0 */
/* trace_message.c: IKE messages of which the capture may have cut off the
 * end. */
#include "../src/ike.h"
#include "trace_parts.h"

bool trace_message_read(qcd_header *out, const capture_packet *packet)
{
    rd r;
    rd_init(&r, packet->message, packet->message_len);
    header_read(out, &r);
    return !r.bad && out->length == packet->full_len;
}

bool trace_is_protected(const qcd_header *header, const capture_packet *packet)
{
    bool is_part = header->next_payload == PAYLOAD_SKF;
    if ((header->next_payload != PAYLOAD_SK && !is_part) ||
        spi_is_zero(&header->spis.initiator) ||
        spi_is_zero(&header->spis.responder)) {
        return false;
    }
    rd r;
    rd_init(&r, packet->message, packet->message_len);
    (void)rd_bytes(&r, QCD_HEADER_LEN + 2);
    size_t len = rd_be16(&r);
    if (r.bad) {
        return packet->message_len < packet->full_len;
    }
    /* RFC 7296 section 3.14: the last payload; RFC 7383 section 2.5. */
    return QCD_HEADER_LEN + len == header->length &&
           len >= PAYLOAD_HEADER_LEN + (is_part ? 4U : 0U) + ENCRYPTED_LEN_MIN;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* header.c: the IKE header, RFC 7296 section 3.1. */
#include "ike.h"

void header_read(qcd_header *out, rd *r)
{
    memset(out, 0, sizeof(*out));
    rd_copy(r, out->spis.initiator.octets, QCD_SPI_LEN);
    rd_copy(r, out->spis.responder.octets, QCD_SPI_LEN);
    out->next_payload = rd_u8(r);
    out->version = rd_u8(r);
    out->exchange_type = rd_u8(r);
    out->flags = rd_u8(r);
    out->message_id = rd_be32(r);
    out->length = rd_be32(r);
}

void header_write(wr *w, const qcd_header *header)
{
    wr_bytes(w, &header->spis, sizeof(header->spis));
    wr_u8(w, header->next_payload);
    wr_u8(w, header->version);
    wr_u8(w, header->exchange_type);
    wr_u8(w, header->flags);
    wr_be32(w, header->message_id);
    wr_be32(w, header->length);
}

bool header_exchange_is_clear(const qcd_header *header)
{
    /* RFC 6290 sections 4.3 and 7, with erratum 3448: no token belongs before
     * IKE_AUTH, in a resumption either. */
    return header->exchange_type == IKE_SA_INIT ||
           header->exchange_type == IKE_SESSION_RESUME;
}

bool spi_is_zero(const qcd_spi *spi)
{
    static const qcd_spi zero;

    return memcmp(spi, &zero, sizeof(zero)) == 0;
}

bool address_is_valid(const qcd_address *a)
{
    return a->len == 4 || a->len == 16;
}

bool address_equals(const qcd_address *a, const qcd_address *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

enum qcd_err qcd_header_decode(qcd_header *out, const uint8_t *in,
                               size_t in_len)
{
    rd r;

    rd_init(&r, in, in_len);
    header_read(out, &r);
    if (!r.bad && out->length == in_len) {
        return QCD_OK;
    }
    memset(out, 0, sizeof(*out));
    return r.bad ? QCD_ERR_TRUNCATED : QCD_ERR_MALFORMED;
}

enum qcd_role qcd_header_local_role(const qcd_header *header)
{
    /* RFC 7296 section 3.1: the I flag says that the sender is the original
     * initiator; the receiver is then the responder. */
    return (header->flags & QCD_FLAG_INITIATOR) != 0 ? QCD_RESPONDER
                                                     : QCD_INITIATOR;
}

const qcd_spi *qcd_ike_sa_local(const qcd_ike_sa *sa)
{
    return sa->role == QCD_INITIATOR ? &sa->spis.initiator
                                     : &sa->spis.responder;
}

const qcd_spi *qcd_ike_sa_remote(const qcd_ike_sa *sa)
{
    return sa->role == QCD_INITIATOR ? &sa->spis.responder
                                     : &sa->spis.initiator;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* capture.c: IKE messages and packets of child SAs in captured IP packets: IPv4
 * (RFC 791), IPv6 (RFC 8200), UDP, ESP in UDP (RFC 3948), ESP (RFC 4303), AH
 * (RFC 4302). */
#include "capture.h"

#include <string.h>

#include "../src/rd.h"

enum {
    IPV4_HEADER_LEN = 20,
    IPV4_OFFSET = 0x1fff,
    IPV6_OFFSET = 0xfff8,
    UDP_HEADER_LEN = 8,
    MARKER_LEN = 4,
    EXTENSIONS_MAX = 16,
    PORT_IKE = 500,
    PORT_NAT = 4500,
    CHILD_SPI_MIN = 256, /* RFC 4303 section 2.1: smaller ones are reserved */

    PROTO_HOP_BY_HOP = 0,
    PROTO_UDP = 17,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_DESTINATION = 60,
    PROTO_MOBILITY = 135,
};

/* ip is what follows an IP header. */
typedef struct ip {
    uint8_t protocol;
    bool is_later; /* a later fragment */
} ip;

static void read_address(qcd_address *out, rd *r, uint8_t len)
{
    const uint8_t *p = rd_bytes(r, len);
    if (p != NULL) {
        out->len = len;
        memcpy(out->octets, p, len);
    }
}

/* limit cuts the padding of the link layer, which follows the packet, when
 * `done` of its `total` octets are read.  A total of 0 is that of a packet
 * which the network card was to split. */
static void limit(rd *r, size_t total, size_t done)
{
    if (total != 0 && total - done < r->len) {
        r->len = total - done;
    }
}

static bool read_ipv4(capture_packet *out, ip *behind, rd *r)
{
    size_t header_len = (size_t)(rd_u8(r) & 0x0f) * 4;
    (void)rd_u8(r);
    size_t total = rd_be16(r);
    (void)rd_be16(r);
    behind->is_later = (rd_be16(r) & IPV4_OFFSET) != 0;
    (void)rd_u8(r);
    behind->protocol = rd_u8(r);
    (void)rd_be16(r);
    read_address(&out->source, r, 4);
    read_address(&out->destination, r, 4);
    if (header_len < IPV4_HEADER_LEN || (total != 0 && total < header_len)) {
        return false;
    }
    limit(r, total, IPV4_HEADER_LEN);
    (void)rd_bytes(r, header_len - IPV4_HEADER_LEN);
    return !r->bad;
}

static bool is_extension(uint8_t protocol)
{
    return protocol == PROTO_HOP_BY_HOP || protocol == PROTO_ROUTING ||
           protocol == PROTO_FRAGMENT || protocol == PROTO_DESTINATION ||
           protocol == PROTO_MOBILITY;
}

static void skip_extension(ip *behind, rd *r)
{
    bool is_fragment = behind->protocol == PROTO_FRAGMENT;
    behind->protocol = rd_u8(r);
    size_t words = rd_u8(r);
    uint16_t field = rd_be16(r);
    if (is_fragment) {
        behind->is_later = (field & IPV6_OFFSET) != 0;
        words = 0;
    }
    (void)rd_bytes(r, 8 * words + 4);
}

static bool read_ipv6(capture_packet *out, ip *behind, rd *r)
{
    (void)rd_be32(r);
    size_t total = rd_be16(r);
    behind->protocol = rd_u8(r);
    (void)rd_u8(r);
    read_address(&out->source, r, 16);
    read_address(&out->destination, r, 16);
    limit(r, total, 0);
    for (int i = 0; i < EXTENSIONS_MAX && is_extension(behind->protocol) &&
                    !behind->is_later;
         i++) {
        skip_extension(behind, r);
    }
    return !r->bad;
}

static enum capture_kind read_child(capture_packet *out, rd *r,
                                    uint8_t protocol)
{
    if (protocol == QCD_AH) {
        (void)rd_be32(r); /* next header, length, reserved */
    }
    rd spi = *r;
    const uint8_t *octets = rd_bytes(r, QCD_CHILD_SPI_LEN);
    if (octets == NULL) {
        return CAPTURE_MALFORMED;
    }
    if (rd_be32(&spi) < CHILD_SPI_MIN) {
        return CAPTURE_OTHER;
    }
    memcpy(out->child_spi.octets, octets, QCD_CHILD_SPI_LEN);
    out->child_spi.protocol = protocol;
    return CAPTURE_CHILD;
}

static enum capture_kind take_message(capture_packet *out, const rd *r,
                                      size_t full_len)
{
    out->message = r->p;
    out->message_len = r->len < full_len ? r->len : full_len;
    out->full_len = full_len;
    return CAPTURE_IKE;
}

/* read_nat_port reads what UDP carries on port 4500, RFC 3948 section 2. */
static enum capture_kind read_nat_port(capture_packet *out, rd *r,
                                       size_t full_len)
{
    if (full_len < MARKER_LEN) {
        return CAPTURE_OTHER; /* a keepalive */
    }
    rd marker = *r;
    if (rd_be32(&marker) != 0) {
        return read_child(out, r, QCD_ESP);
    }
    if (marker.bad) {
        return CAPTURE_MALFORMED;
    }
    return take_message(out, &marker, full_len - MARKER_LEN);
}

static enum capture_kind read_udp(capture_packet *out, rd *r)
{
    uint16_t source = rd_be16(r);
    uint16_t destination = rd_be16(r);
    size_t len = rd_be16(r);
    (void)rd_be16(r);
    if (r->bad) {
        return CAPTURE_MALFORMED;
    }
    bool is_ike = source == PORT_IKE || destination == PORT_IKE;
    if (!is_ike && source != PORT_NAT && destination != PORT_NAT) {
        return CAPTURE_OTHER;
    }
    if (len < UDP_HEADER_LEN) {
        return CAPTURE_MALFORMED;
    }
    len -= UDP_HEADER_LEN;
    if (!is_ike) {
        return read_nat_port(out, r, len);
    }
    /* A keepalive is no message. */
    return len > 1 ? take_message(out, r, len) : CAPTURE_OTHER;
}

static enum capture_kind read_behind(capture_packet *out, const ip *behind,
                                     rd *r)
{
    if (behind->protocol != PROTO_UDP && behind->protocol != QCD_ESP &&
        behind->protocol != QCD_AH) {
        return CAPTURE_OTHER;
    }
    if (behind->is_later) {
        return CAPTURE_FRAGMENT;
    }
    return behind->protocol == PROTO_UDP ? read_udp(out, r)
                                         : read_child(out, r, behind->protocol);
}

void capture_read(capture_packet *out, const uint8_t *in, size_t in_len)
{
    rd r;
    ip behind = {0};
    *out = (capture_packet){0};
    rd_init(&r, in, in_len);
    uint8_t version = in_len > 0 ? in[0] >> 4 : 0;
    bool is_read = version == 4   ? read_ipv4(out, &behind, &r)
                   : version == 6 ? read_ipv6(out, &behind, &r)
                                  : false;
    out->kind = is_read ? read_behind(out, &behind, &r) : CAPTURE_MALFORMED;
}

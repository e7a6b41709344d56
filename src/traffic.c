/* SPDX-License-Identifier: Apache-2.0 */
/* traffic.c: packets of child SAs as the kernel delivers them, RFC 6290 section
 * 8.2: IPv4 (RFC 791), IPv6 (RFC 8200), ESP (RFC 4303), ESP in UDP (RFC 3948)
 * and AH (RFC 4302). */
#include "ike.h"

enum {
    IPV4_HEADER_LEN = 20,
    UDP_HEADER_LEN = 8,
    IPV4_MORE = 0x2000,   /* More Fragments */
    IPV4_OFFSET = 0x1fff, /* Fragment Offset, in eights of octets */
    IPV6_MORE = 0x0001,
    IPV6_OFFSET = 0xfff8, /* likewise, with the flags below it cut off */
    EXTENSIONS_MAX = 8,   /* a packet with more is not from a gateway */
    SEGMENTS_LEFT = 0x00ff,
    IKE_PORT = 500,

    PROTO_HOP_BY_HOP = 0,
    PROTO_UDP = 17,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_DESTINATION = 60,

    ESP_MIN = 8, /* SPI and sequence number */
    AH_MIN = 12  /* and the fields before them */
};

/* ip is what follows an IP header: a protocol, and `total` octets that arrived,
 * although the reader may have fewer.  With `has_more` they are the first
 * fragment of a datagram. */
typedef struct ip {
    uint8_t protocol;
    size_t total;
    bool has_more;
} ip;

static void address_read(qcd_address *out, rd *r, uint8_t len)
{
    out->len = len;
    rd_copy(r, out->octets, len);
}

static enum qcd_err read_ipv4(qcd_traffic *out, ip *behind, rd *r)
{
    uint8_t header_len = (uint8_t)((rd_u8(r) & 0x0f) * 4);

    (void)rd_u8(r);
    uint16_t total = rd_be16(r);
    (void)rd_be16(r);
    uint16_t fragment = rd_be16(r);
    (void)rd_u8(r);
    behind->protocol = rd_u8(r);
    (void)rd_be16(r);
    address_read(&out->source, r, 4);
    address_read(&out->destination, r, 4);
    if (r->bad) {
        return QCD_ERR_TRUNCATED;
    }
    if (header_len < IPV4_HEADER_LEN || total < header_len ||
        (fragment & IPV4_OFFSET) != 0) {
        return QCD_ERR_MALFORMED;
    }
    (void)rd_bytes(r, (size_t)header_len - IPV4_HEADER_LEN);
    behind->total = (size_t)total - header_len;
    behind->has_more = (fragment & IPV4_MORE) != 0;
    return r->bad ? QCD_ERR_TRUNCATED : QCD_OK;
}

/* Reads one extension header and records what follows it. */
static enum qcd_err skip_extension(ip *behind, rd *r)
{
    uint8_t type = behind->protocol;

    behind->protocol = rd_u8(r);
    size_t len = ((size_t)rd_u8(r) + 1) * 8;
    uint16_t field = rd_be16(r);
    if (type == PROTO_FRAGMENT) {
        len = 8;
        if ((field & IPV6_OFFSET) != 0) {
            return QCD_ERR_MALFORMED;
        }
        behind->has_more = (field & IPV6_MORE) != 0;
    }
    /* RFC 8200 section 4.4: with segments left, the packet has another
     * destination. */
    if (type == PROTO_ROUTING && (field & SEGMENTS_LEFT) != 0) {
        return QCD_ERR_MALFORMED;
    }
    if (!r->bad && len > behind->total) {
        return QCD_ERR_MALFORMED;
    }
    (void)rd_bytes(r, len - 4);
    if (r->bad) {
        return QCD_ERR_TRUNCATED;
    }
    behind->total -= len;
    return QCD_OK;
}

static bool is_extension(uint8_t protocol)
{
    return protocol == PROTO_HOP_BY_HOP || protocol == PROTO_ROUTING ||
           protocol == PROTO_FRAGMENT || protocol == PROTO_DESTINATION;
}

static enum qcd_err read_ipv6(qcd_traffic *out, ip *behind, rd *r)
{
    enum qcd_err err = QCD_OK;

    (void)rd_be32(r);
    behind->total = rd_be16(r);
    behind->protocol = rd_u8(r);
    (void)rd_u8(r);
    address_read(&out->source, r, 16);
    address_read(&out->destination, r, 16);
    if (r->bad) {
        return QCD_ERR_TRUNCATED;
    }
    for (size_t i = 0; err == QCD_OK && is_extension(behind->protocol); i++) {
        err =
            i < EXTENSIONS_MAX ? skip_extension(behind, r) : QCD_ERR_MALFORMED;
    }
    return err;
}

static enum qcd_err read_udp(qcd_traffic *out, ip *behind, rd *r)
{
    out->encap = true;
    out->source_port = rd_be16(r);
    out->destination_port = rd_be16(r);
    uint16_t len = rd_be16(r);
    (void)rd_be16(r);
    if (r->bad) {
        return QCD_ERR_TRUNCATED;
    }
    if (len < UDP_HEADER_LEN || behind->total < UDP_HEADER_LEN ||
        out->source_port == 0) { /* no reply can go to port 0 */
        return QCD_ERR_MALFORMED;
    }
    /* RFC 7296 section 2.23: a packet to port 500 is IKE, without the zero
     * octets that would mark it as IKE. */
    if (out->destination_port == IKE_PORT) {
        return QCD_ERR_MALFORMED;
    }
    /* The length is that of the whole datagram, and a fragment has less.  The
     * octets that arrived are what counts: they bound the reply. */
    if (len > behind->total && !behind->has_more) {
        return QCD_ERR_MALFORMED;
    }
    if (behind->total > len) {
        behind->total = len;
    }
    behind->total -= UDP_HEADER_LEN;
    return QCD_OK;
}

/* Reads an SPI.  RFC 4303 section 2.1 and RFC 4302 section 2.4: 0 to 255 are
 * reserved.  RFC 3948 section 2: IKE in UDP starts with four zero octets, and a
 * keepalive has a single octet. */
static enum qcd_err read_spi(qcd_traffic *out, const ip *behind, rd *r)
{
    const uint8_t *spi = out->child_spi.octets;

    rd_copy(r, out->child_spi.octets, QCD_CHILD_SPI_LEN);
    if (r->bad) {
        return QCD_ERR_TRUNCATED;
    }
    if (spi[0] == 0 && spi[1] == 0 && spi[2] == 0) {
        return QCD_ERR_MALFORMED;
    }
    out->child_spi.protocol = behind->protocol;
    out->len = behind->total;
    return QCD_OK;
}

/* RFC 4302 section 2.2: AH's length counts words of 32 bits, less two. */
static enum qcd_err read_ah(qcd_traffic *out, const ip *behind, rd *r)
{
    (void)rd_u8(r);
    size_t len = ((size_t)rd_u8(r) + 2) * 4;
    (void)rd_be16(r);
    if (r->bad) {
        return behind->total < AH_MIN ? QCD_ERR_MALFORMED : QCD_ERR_TRUNCATED;
    }
    return len < AH_MIN || len > behind->total ? QCD_ERR_MALFORMED
                                               : read_spi(out, behind, r);
}

/* The reply goes to the source.  If the source names no single host (RFC 1122
 * section 3.2.1.3, RFC 4291 section 2), the reply would go to many.  An IPv4
 * address in an IPv6 header is one of another host's choice. */
static bool is_a_host(const qcd_address *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0,    0,
                                       0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t none[16] = {0};
    static const uint8_t all[4] = {0xff, 0xff, 0xff, 0xff};

    if (a->len == 4) {
        return a->octets[0] != 0 && a->octets[0] >> 4 != 0xe &&
               memcmp(a->octets, all, sizeof(all)) != 0;
    }
    return a->octets[0] != 0xff && memcmp(a->octets, none, sizeof(none)) != 0 &&
           memcmp(a->octets, mapped, sizeof(mapped)) != 0;
}

static enum qcd_err read_upper(qcd_traffic *out, ip *behind, rd *r)
{
    if (behind->protocol == QCD_AH) {
        return read_ah(out, behind, r);
    }
    if (behind->protocol == PROTO_UDP) {
        enum qcd_err err = read_udp(out, behind, r);
        if (err != QCD_OK) {
            return err;
        }
        behind->protocol = QCD_ESP;
    }
    return behind->protocol != QCD_ESP || behind->total < ESP_MIN
               ? QCD_ERR_MALFORMED
               : read_spi(out, behind, r);
}

static enum qcd_err read_packet(qcd_traffic *out, rd *r)
{
    ip behind = {0};

    if (r->len == 0) {
        return QCD_ERR_TRUNCATED;
    }
    uint8_t version = r->p[0] >> 4;
    if (version != 4 && version != 6) {
        return QCD_ERR_MALFORMED;
    }
    enum qcd_err err =
        version == 4 ? read_ipv4(out, &behind, r) : read_ipv6(out, &behind, r);
    if (err == QCD_OK && !is_a_host(&out->source)) {
        err = QCD_ERR_MALFORMED;
    }
    return err == QCD_OK ? read_upper(out, &behind, r) : err;
}

enum qcd_err qcd_traffic_decode(qcd_traffic *out, const uint8_t *in,
                                size_t in_len)
{
    rd r;

    memset(out, 0, sizeof(*out));
    rd_init(&r, in, in_len);
    enum qcd_err err = read_packet(out, &r);
    if (err != QCD_OK) {
        memset(out, 0, sizeof(*out));
    }
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_traffic.c: src/traffic.c.  Each row describes a whole packet, which is
 * built and then cut. */
#include "test.h"

#include <qcd/qcd.h>

#include "traffic_reference.h"
#include "wr.h"

enum { PACKET_MAX = 4096, ESP = 50, AH = 51, UDP = 17, TCP = 6, ESP_LEN = 60 };

#define OK QCD_OK
#define BAD QCD_ERR_MALFORMED

/* Differences from an ordinary packet.  All zero is ESP of 60 octets, alone, in
 * IPv4 without options, if `spi` is set. */
typedef struct packet {
    const char *name;
    uint32_t spi;
    enum qcd_err want;
    bool is_v6;
    bool in_udp;
    uint8_t protocol; /* 0: the one that belongs to in_udp */
    uint8_t header_words;
    uint16_t fragment;
    int total_off; /* difference of the IP length from the true one */
    int udp_off;
    uint16_t destination_port; /* 0: 4500 */
    size_t len;                /* of ESP; 0: 60, 0xffff: none */
    const char *chain;         /* extension headers, a letter for each */
    unsigned ah;               /* AH, of that length field less one */
} packet;

static const uint8_t source4[] = {192, 0, 2, 1};
static const uint8_t destination4[] = {192, 0, 2, 2};
static const uint8_t source6[16] = {0x20, 0x01, 0x0d, 0xb8, 1};
static const uint8_t destination6[16] = {0x20, 0x01, 0x0d, 0xb8, 2};

static size_t esp_len(const packet *p)
{
    return p->len == 0 ? (size_t)ESP_LEN : p->len == 0xffff ? 0 : p->len;
}

static uint8_t upper_protocol(const packet *p)
{
    if (p->protocol != 0) {
        return p->protocol;
    }
    if (p->ah != 0) {
        return AH;
    }
    return p->in_udp ? UDP : ESP;
}

static uint8_t extension_protocol(char letter)
{
    switch (letter) {
    case 'h':
        return 0;
    case 'r':
    case 'R':
        return 43;
    case 'a':
    case 'm':
    case 'l':
    case 'L':
        return 44;
    case 'A':
        return 51;
    case 'd':
    case 'D':
    case 'X':
    default:
        return 60;
    }
}

/* h: hop by hop; r, R: routing, R with a segment left; a, m, l, L: fragment, a
 * without others, m the first of several, l and L the second and a distant one;
 * d, D: destination options, D long; A: AH; X: longer than the whole packet. */
static void write_extension(wr *w, char letter, uint8_t next)
{
    size_t words = letter == 'D' ? 32 : letter == 'X' ? 256 : 1;
    uint16_t field = 0;

    switch (letter) {
    case 'R':
        field = 0x0001;
        break;
    case 'm':
        field = 0x0007; /* including the reserved bits */
        break;
    case 'l':
        field = 0x0008;
        break;
    case 'L':
        field = 0x8001;
        break;
    default:
        break;
    }
    wr_u8(w, next);
    /* In a fragment header this is reserved, and not a length. */
    wr_u8(w, extension_protocol(letter) == 44 ? 9 : (uint8_t)(words - 1));
    wr_be16(w, field);
    for (size_t i = 4; i < (letter == 'X' ? 8 : words * 8); i++) {
        wr_u8(w, 0xee);
    }
}

static size_t chain_len(const packet *p)
{
    size_t len = 0;

    for (const char *c = p->chain; c != NULL && *c != '\0'; c++) {
        len += *c == 'D' ? 256 : 8;
    }
    return len;
}

static void write_ipv4(wr *w, const packet *p, size_t behind)
{
    size_t words = p->header_words != 0 ? p->header_words : 5;
    size_t written = words < 5 ? 5 : words;

    wr_u8(w, (uint8_t)(0x40 | words));
    wr_u8(w, 0xff);
    wr_be16(w, (uint16_t)((long)(written * 4 + behind) + p->total_off));
    wr_be16(w, 0xffff);
    wr_be16(w, p->fragment);
    wr_u8(w, 0xff);
    wr_u8(w, upper_protocol(p));
    wr_be16(w, 0xffff);
    wr_bytes(w, source4, sizeof(source4));
    wr_bytes(w, destination4, sizeof(destination4));
    for (size_t i = 5; i < words; i++) {
        wr_be32(w, 0x01010101);
    }
}

static void write_ipv6(wr *w, const packet *p, size_t behind)
{
    const char *c = p->chain != NULL ? p->chain : "";

    wr_be32(w, 0x6fffffff);
    wr_be16(w, (uint16_t)((long)(behind + chain_len(p)) + p->total_off));
    wr_u8(w, *c != '\0' ? extension_protocol(*c) : upper_protocol(p));
    wr_u8(w, 0xff);
    wr_bytes(w, source6, sizeof(source6));
    wr_bytes(w, destination6, sizeof(destination6));
    for (; *c != '\0'; c++) {
        write_extension(
            w, *c, c[1] != '\0' ? extension_protocol(c[1]) : upper_protocol(p));
    }
}

/* Returns the length, and the position of the SPI. */
static size_t write_packet(uint8_t out[PACKET_MAX], size_t *begin,
                           const packet *p)
{
    uint8_t body[PACKET_MAX];
    size_t len = esp_len(p);
    wr w;

    assert_true(len <= sizeof(body) / 2);
    memset(body, 0x5a, sizeof(body));
    size_t spi_at = p->ah != 0 ? 4 : 0;
    for (size_t i = 0; i < 4; i++) {
        body[spi_at + i] = (uint8_t)(p->spi >> (24 - 8 * i));
    }
    if (p->ah != 0) {
        body[1] = (uint8_t)(p->ah - 1);
    }
    wr_init(&w, out, PACKET_MAX);
    if (p->is_v6) {
        write_ipv6(&w, p, len + (p->in_udp ? 8 : 0));
    } else {
        write_ipv4(&w, p, len + (p->in_udp ? 8 : 0));
    }
    if (p->in_udp) {
        wr_be16(&w, 31234);
        wr_be16(&w, p->destination_port != 0 ? p->destination_port : 4500);
        wr_be16(&w, (uint16_t)((long)(8 + len) + p->udp_off));
        wr_be16(&w, 0);
    }
    *begin = w.len + spi_at;
    wr_bytes(&w, body, len);
    assert_false(w.bad);
    return w.len;
}

#define SPI .spi = 0xc1c2c3c4

static const packet packets[] = {
    {"ESP", SPI, .want = OK},
    {"ESP in UDP", SPI, OK, .in_udp = true},
    {"ESP in IPv6", SPI, OK, .is_v6 = true},
    {"ESP in UDP in IPv6", SPI, OK, .is_v6 = true, .in_udp = true},
    {"shortest", SPI, OK, .len = 8},
    {"too short", SPI, BAD, .len = 7},
    {"shortest in UDP", SPI, OK, .in_udp = true, .len = 8},
    {"too short in UDP", SPI, BAD, .in_udp = true, .len = 7},
    {"no octet", SPI, BAD, .len = 0xffff},
    {"no octet in UDP", SPI, BAD, .in_udp = true, .len = 0xffff},
    {"no octet in IPv6", SPI, BAD, .is_v6 = true, .len = 0xffff},
    {"large", SPI, OK, .len = 1400},

    /* RFC 4303 section 2.1, RFC 3948 section 2 */
    {"SPI 0", 0, .want = BAD},
    {"SPI 1", 1, .want = BAD},
    {"SPI 255", 255, .want = BAD},
    {"SPI 256", 256, .want = OK},
    {"SPI 0x00010000", 0x10000, .want = OK},
    {"SPI 0xffffffff", 0xffffffff, .want = OK},
    {"IKE in UDP", 0, BAD, .in_udp = true},
    {"SPI 255 in UDP", 255, BAD, .in_udp = true},
    {"SPI 256 in UDP", 256, OK, .in_udp = true},
    {"keepalive", 0xffffffff, BAD, .in_udp = true, .len = 1},
    {"IKE to its own port", SPI, BAD, .in_udp = true, .destination_port = 500},
    {"to port 499", SPI, OK, .in_udp = true, .destination_port = 499},
    {"to port 501", SPI, OK, .in_udp = true, .destination_port = 501},
    {"IKE to its own port, IPv6", SPI, BAD, .is_v6 = true, .in_udp = true,
     .destination_port = 500},

    /* other protocols */
    {"TCP", SPI, BAD, .protocol = TCP},
    {"protocol 49", SPI, BAD, .protocol = 49},
    {"what is no AH", SPI, BAD, .protocol = 51},
    {"IPv6's fragment header in IPv4", SPI, BAD, .protocol = 44},
    {"TCP in IPv6", SPI, BAD, .is_v6 = true, .protocol = TCP},
    {"no next header", SPI, BAD, .is_v6 = true, .protocol = 59},

    /* RFC 791 section 3.1 */
    {"header of 16", SPI, BAD, .header_words = 4},
    {"header of 4", SPI, BAD, .header_words = 1},
    {"options of 4", SPI, OK, .header_words = 6},
    {"options of 40", SPI, OK, .header_words = 15},
    {"options of 40, UDP", SPI, OK, .header_words = 15, .in_udp = true},
    {"length without the header", SPI, BAD, .total_off = -61},
    {"length of the header", SPI, BAD, .total_off = -60},
    {"length 0", SPI, BAD, .total_off = -80},
    {"7 octets behind the header", SPI, BAD, .total_off = -53},
    {"8 octets behind the header", SPI, OK, .total_off = -52},
    {"longer than it came", SPI, OK, .total_off = 1000},
    {"don't fragment, reserved bit", SPI, OK, .fragment = 0xc000},
    {"first fragment", SPI, OK, .fragment = 0x2000},
    {"second fragment", SPI, BAD, .fragment = 0x2001},
    {"last fragment", SPI, BAD, .fragment = 0x0001},
    {"fragment far behind", SPI, BAD, .fragment = 0x1000},
    {"fragment at the very end", SPI, BAD, .fragment = 0x1fff},

    /* RFC 768 */
    {"UDP length 7", SPI, BAD, .in_udp = true, .udp_off = -61},
    {"UDP length 8", SPI, BAD, .in_udp = true, .udp_off = -60},
    {"UDP length 15", SPI, BAD, .in_udp = true, .udp_off = -53},
    {"UDP length 16", SPI, OK, .in_udp = true, .udp_off = -52},
    {"UDP length 0", SPI, BAD, .in_udp = true, .udp_off = -68},
    {"UDP shorter than IP", SPI, OK, .in_udp = true, .udp_off = -1},
    {"UDP longer than IP", SPI, BAD, .in_udp = true, .udp_off = 1},
    {"IP shorter than UDP", SPI, BAD, .in_udp = true, .total_off = -1},
    {"IP ends before UDP", SPI, BAD, .in_udp = true, .total_off = -68},
    {"IP ends in UDP", SPI, BAD, .in_udp = true, .total_off = -61},
    {"IP ends in UDP, and UDP knows", SPI, BAD, .in_udp = true,
     .total_off = -61, .udp_off = -61},
    {"first fragment of UDP", SPI, OK, .in_udp = true, .fragment = 0x2000,
     .udp_off = 1400},
    {"first fragment of UDP that ends in UDP", SPI, BAD, .in_udp = true,
     .fragment = 0x2000, .total_off = -61, .udp_off = 1400},

    /* RFC 8200 sections 3 and 4 */
    {"IPv6 length 0", SPI, BAD, .is_v6 = true, .total_off = -60},
    {"IPv6 length 7", SPI, BAD, .is_v6 = true, .total_off = -53},
    {"IPv6 length 8", SPI, OK, .is_v6 = true, .total_off = -52},
    {"IPv6 longer than it came", SPI, OK, .is_v6 = true, .total_off = 1000},
    {"jumbogram", SPI, BAD, .is_v6 = true, .total_off = -68, .chain = "h"},
    {"hop by hop", SPI, OK, .is_v6 = true, .chain = "h"},
    {"destination options", SPI, OK, .is_v6 = true, .chain = "d"},
    {"long destination options", SPI, OK, .is_v6 = true, .chain = "D"},
    {"options beyond the packet", SPI, BAD, .is_v6 = true, .chain = "X"},
    {"routed, arrived", SPI, OK, .is_v6 = true, .chain = "r"},
    {"routed, to go on", SPI, BAD, .is_v6 = true, .chain = "R"},
    {"atomic fragment", SPI, OK, .is_v6 = true, .chain = "a"},
    {"first fragment in IPv6", SPI, OK, .is_v6 = true, .chain = "m"},
    {"second fragment in IPv6", SPI, BAD, .is_v6 = true, .chain = "l"},
    {"far fragment in IPv6", SPI, BAD, .is_v6 = true, .chain = "L"},
    {"AH of 8 octets in IPv6", SPI, BAD, .is_v6 = true, .chain = "A"},
    {"AH of 8 octets behind another", SPI, BAD, .is_v6 = true, .chain = "hA"},
    {"all of them", SPI, OK, .is_v6 = true, .chain = "hdrad"},
    {"all of them, and UDP", SPI, OK, .is_v6 = true, .in_udp = true,
     .chain = "hdrad"},
    {"seven extensions", SPI, OK, .is_v6 = true, .chain = "hdddddd"},
    {"eight extensions", SPI, OK, .is_v6 = true, .chain = "hddddddd"},
    {"nine extensions", SPI, BAD, .is_v6 = true, .chain = "hdddddddd"},
    {"length ends in the extension", SPI, BAD, .is_v6 = true, .total_off = -61,
     .chain = "d"},
    {"length ends behind the extension", SPI, BAD, .is_v6 = true,
     .total_off = -60, .chain = "d"},
    {"length ends behind the sequence number", SPI, OK, .is_v6 = true,
     .total_off = -52, .chain = "d"},
    {"first fragment of UDP in IPv6", SPI, OK, .is_v6 = true, .in_udp = true,
     .udp_off = 1400, .chain = "m"},
    {"atomic fragment of UDP that lies", SPI, BAD, .is_v6 = true,
     .in_udp = true, .udp_off = 1, .chain = "a"},

    /* RFC 4302 section 2: 60 octets are 15 words, and the field says 13 */
    {"AH", SPI, OK, .ah = 1 + 4},
    {"AH in IPv6", SPI, OK, .ah = 1 + 4, .is_v6 = true},
    {"AH behind others", SPI, OK, .ah = 1 + 4, .is_v6 = true, .chain = "had"},
    {"AH of 8 octets", SPI, BAD, .ah = 1 + 0},
    {"AH of 12 octets", SPI, OK, .ah = 1 + 1},
    {"AH that is all", SPI, OK, .ah = 1 + 13},
    {"AH beyond the packet", SPI, BAD, .ah = 1 + 14},
    {"AH of the longest", SPI, BAD, .ah = 1 + 255},
    {"12 octets of AH", SPI, OK, .ah = 1 + 1, .len = 12},
    {"11 octets of AH", SPI, BAD, .ah = 1 + 1, .len = 11},
    {"one octet of AH", SPI, BAD, .ah = 1 + 1, .len = 1},
    {"AH, SPI 255", 255, BAD, .ah = 1 + 4},
    {"AH, SPI 256", 256, OK, .ah = 1 + 4},
    {"AH, second fragment", SPI, BAD, .ah = 1 + 4, .fragment = 0x2001},
};

static enum qcd_err decode(qcd_traffic *out, const uint8_t *in, size_t in_len)
{
    uint8_t *exact = copy_exact(in, in_len);

    dirty(out, sizeof(*out));
    enum qcd_err err = qcd_traffic_decode(out, exact, in_len);
    free(exact);
    return err;
}

/* The expected result for ESP, by the row. */
static size_t want_len(const packet *p)
{
    long of_ip = (long)esp_len(p) + p->total_off;
    long of_udp = (long)esp_len(p) + p->udp_off;

    return (size_t)(p->in_udp && of_udp < of_ip ? of_udp : of_ip);
}

static void check_fields(const packet *p, const qcd_traffic *got)
{
    const char *row = p->name;
    uint8_t len = p->is_v6 ? 16 : 4;
    const uint8_t spi[] = {(uint8_t)(p->spi >> 24), (uint8_t)(p->spi >> 16),
                           (uint8_t)(p->spi >> 8), (uint8_t)p->spi};

    CHECK_OCTETS(row, got->child_spi.octets, spi, 4);
    CHECK_INT(row, got->child_spi.protocol, p->ah != 0 ? QCD_AH : QCD_ESP);
    CHECK_INT(row, got->encap, p->in_udp);
    CHECK_INT(row, got->source.len, len);
    CHECK_INT(row, got->destination.len, len);
    CHECK_OCTETS(row, got->source.octets, p->is_v6 ? source6 : source4, len);
    CHECK_OCTETS(row, got->destination.octets,
                 p->is_v6 ? destination6 : destination4, len);
    CHECK(row, is_zero(got->source.octets + len, 16u - len));
    CHECK(row, is_zero(got->destination.octets + len, 16u - len));
    CHECK_INT(row, got->source_port, p->in_udp ? 31234 : 0);
    CHECK(row, p->in_udp || got->destination_port == 0);
    CHECK_INT(row, got->len, want_len(p));
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(packets); i++) {
        const packet *p = &packets[i];
        uint8_t whole[PACKET_MAX];
        qcd_traffic got;
        size_t begin;
        size_t len = write_packet(whole, &begin, p);

        CHECK_INT(p->name, decode(&got, whole, len), p->want);
        if (p->want == OK) {
            check_fields(p, &got);
        } else {
            CHECK_ZERO(p->name, got);
        }
    }
}

/* Cut after the SPI, a packet decodes as the whole one does; cut before that,
 * it does not decode.  A packet that is not ESP does not become ESP by a
 * cut. */
static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(packets); i++) {
        const packet *p = &packets[i];
        uint8_t whole[PACKET_MAX];
        qcd_traffic want;
        size_t begin;
        size_t whole_len = write_packet(whole, &begin, p);

        (void)!decode(&want, whole, whole_len);
        for (size_t len = 0; len < whole_len; len++) {
            qcd_traffic got;
            enum qcd_err err = decode(&got, whole, len);

            if (p->want == OK) {
                CHECK_INT(p->name, err,
                          len < begin + 4 ? QCD_ERR_TRUNCATED : QCD_OK);
            } else {
                CHECK(p->name, err == QCD_ERR_TRUNCATED || err == BAD);
            }
            if (err == OK) {
                CHECK_OCTETS(p->name, &got, &want, sizeof(want));
            } else {
                CHECK_ZERO(p->name, got);
            }
        }
    }
}

static void test_nothing(void **state)
{
    qcd_traffic got;

    (void)state;
    dirty(&got, sizeof(got));
    assert_int_equal(qcd_traffic_decode(&got, NULL, 0), QCD_ERR_TRUNCATED);
    assert_true(is_zero(&got, sizeof(got)));
}

/* Only 4 and 6 are valid versions. */
static void test_every_version(void **state)
{
    uint8_t whole[PACKET_MAX];
    size_t begin;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const packet p = {"version", SPI, OK, .is_v6 = i == 1, .len = 1000};
        size_t len = write_packet(whole, &begin, &p);

        for (unsigned version = 0; version < 16; version++) {
            qcd_traffic got;

            whole[0] = (uint8_t)(version << 4 | (whole[0] & 0x0f));
            enum qcd_err err = decode(&got, whole, len);
            if (version == (p.is_v6 ? 6 : 4)) {
                assert_int_equal(err, QCD_OK);
            } else if (version != 4 && version != 6) {
                assert_int_equal(err, QCD_ERR_MALFORMED);
                assert_int_equal(decode(&got, whole, 1), QCD_ERR_MALFORMED);
            }
        }
    }
}

/* ---- Destination of a reply ---- */

static const struct {
    const char *name;
    uint8_t len;
    uint8_t octets[16];
    enum qcd_err want;
} sources[] = {
    {"0.0.0.0", 4, {0}, BAD},
    {"0.255.255.255", 4, {0, 255, 255, 255}, BAD},
    {"1.0.0.0", 4, {1}, OK},
    {"127.0.0.1", 4, {127, 0, 0, 1}, OK},
    {"223.255.255.255", 4, {223, 255, 255, 255}, OK},
    {"224.0.0.0", 4, {224}, BAD},
    {"239.255.255.255", 4, {239, 255, 255, 255}, BAD},
    {"240.0.0.0", 4, {240}, OK},
    {"255.255.255.254", 4, {255, 255, 255, 254}, OK},
    {"255.255.255.255", 4, {255, 255, 255, 255}, BAD},
    {"::", 16, {0}, BAD},
    {"::1", 16, {[15] = 1}, OK},
    {"::ffff:192.0.2.1", 16, {[10] = 0xff, 0xff, 192, 0, 2, 1}, BAD},
    {"::fffe:192.0.2.1", 16, {[10] = 0xff, 0xfe, 192, 0, 2, 1}, OK},
    {"::1:ffff:c000:201", 16, {[9] = 1, 0xff, 0xff, 192, 0, 2, 1}, OK},
    {"64:ff9b::192.0.2.1", 16, {0, 0x64, 0xff, 0x9b, [12] = 192, 0, 2, 1}, OK},
    {"fe80::1", 16, {0xfe, 0x80, [15] = 1}, OK},
    {"feff::", 16, {0xfe, 0xff}, OK},
    {"ff00::", 16, {0xff}, BAD},
    {"ff02::1", 16, {0xff, 2, [15] = 1}, BAD},
};

/* RFC 1122 section 3.2.1.3, RFC 4291 section 2: a source is a single host. */
static void test_sources(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(sources); i++) {
        bool is_v6 = sources[i].len == 16;
        const packet p = {"source", SPI, OK, .is_v6 = is_v6};
        uint8_t whole[PACKET_MAX];
        qcd_traffic got;
        size_t begin;
        size_t len = write_packet(whole, &begin, &p);

        memcpy(whole + (is_v6 ? 8 : 12), sources[i].octets, sources[i].len);
        CHECK_INT(sources[i].name, decode(&got, whole, len), sources[i].want);
        if (sources[i].want == OK) {
            CHECK_INT(sources[i].name, got.source.len, sources[i].len);
            CHECK_OCTETS(sources[i].name, got.source.octets, sources[i].octets,
                         sources[i].len);
        } else {
            CHECK_ZERO(sources[i].name, got);
        }
    }
}

/* ---- Compared with another decoder ---- */

static void check_reference(const char *name, const uint8_t *in, size_t in_len)
{
    qcd_traffic got;
    qcd_traffic want;
    uint8_t *exact = copy_exact(in, in_len);

    dirty(&got, sizeof(got));
    enum qcd_err err = qcd_traffic_decode(&got, exact, in_len);
    bool is_esp = reference_decode(&want, exact, in_len);

    free(exact);
    CHECK(name, err == OK || err == BAD || err == QCD_ERR_TRUNCATED);
    CHECK_INT(name, err == QCD_OK, is_esp);
    if (!is_esp) {
        CHECK_ZERO(name, got);
        return;
    }
    CHECK_OCTETS(name, &got.child_spi, &want.child_spi, sizeof(want.child_spi));
    CHECK_OCTETS(name, &got.source, &want.source, sizeof(want.source));
    CHECK_OCTETS(name, &got.destination, &want.destination,
                 sizeof(want.destination));
    CHECK_INT(name, got.encap, want.encap);
    CHECK_INT(name, got.source_port, want.source_port);
    CHECK_INT(name, got.destination_port, want.destination_port);
    CHECK_INT(name, got.len, want.len);
}

/* Each value of each octet up to the sequence number. */
static void test_every_octet_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(packets); i++) {
        uint8_t whole[PACKET_MAX];
        size_t begin;
        size_t len = write_packet(whole, &begin, &packets[i]);

        if (begin > 120) {
            continue; /* long options, whose octets mean nothing */
        }
        for (size_t at = 0; at < begin + 4 && at < len; at++) {
            uint8_t was = whole[at];

            for (unsigned value = 0; value < 256; value++) {
                whole[at] = (uint8_t)value;
                check_reference(packets[i].name, whole, len);
            }
            whole[at] = was;
        }
    }
}

/* Several octets at once, cut anywhere. */
static void test_random_changes(void **state)
{
    uint64_t random = 8;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        const packet *p = &packets[random64(&random) % NUM_ROWS(packets)];
        uint8_t whole[PACKET_MAX];
        size_t begin;
        size_t len = write_packet(whole, &begin, p);

        for (uint64_t n = random64(&random) % 4; n > 0; n--) {
            whole[random64(&random) % (begin + 1)] =
                (uint8_t)(random64(&random) >> random64(&random) % 8);
        }
        if (random64(&random) % 4 == 0) {
            len = (size_t)(random64(&random) % (len + 1));
        }
        check_reference(p->name, whole, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_every_version),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_every_octet_value),
        cmocka_unit_test(test_random_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_capture.c: tool/capture.c and tool/link.c. */
#include "test.h"

#include "capture.h"
#include "link.h"

#define PACKET_MAX 512

/* Parts of packets, as hex.  The addresses end in 01 and 02. */
#define V4_ENDS "c0000201c0000202"
#define V4(total, fragment, protocol)                                          \
    "4500" total "0001" fragment "40" protocol "0000" V4_ENDS
#define V6_ENDS                                                                \
    "20010db8000000000000000000000001"                                         \
    "20010db8000000000000000000000002"
#define V6(len, next) "60000000" len next "40" V6_ENDS
#define UDP(source, destination, len) source destination len "0000"
#define IKE8 "0102030405060708"
#define PORT_500 "01f4"
#define PORT_4500 "1194"
#define SPI "c1c2c3c4"
#define SEQ "00000001"

static const struct {
    const char *name;
    const char *packet;
    enum capture_kind kind;
    size_t message_len; /* of IKE */
    size_t full_len;
    uint8_t protocol; /* of a child SA */
} rows[] = {
    {"IKE", V4("0024", "0000", "11") UDP(PORT_500, PORT_500, "0010") IKE8,
     CAPTURE_IKE, 8, 8, 0},
    {"IKE from any port",
     V4("0024", "0000", "11") UDP("d431", PORT_500, "0010") IKE8, CAPTURE_IKE,
     8, 8, 0},
    {"IKE to any port",
     V4("0024", "0000", "11") UDP(PORT_500, "d431", "0010") IKE8, CAPTURE_IKE,
     8, 8, 0},
    {"IKE with a marker",
     V4("0028", "0000", "11") UDP(PORT_4500, "d431", "0014") "00000000" IKE8,
     CAPTURE_IKE, 8, 8, 0},
    {"padding of the link layer",
     V4("0024", "0000", "11") UDP(PORT_500, PORT_500, "0010") IKE8 "ffff",
     CAPTURE_IKE, 8, 8, 0},
    {"UDP longer than IP",
     V4("0024", "0000", "11") UDP(PORT_500, PORT_500, "0012") IKE8 "ffff",
     CAPTURE_IKE, 8, 10, 0},
    {"UDP shorter than IP",
     V4("0024", "0000", "11") UDP(PORT_500, PORT_500, "000f") IKE8, CAPTURE_IKE,
     7, 7, 0},
    {"cut by the capture",
     V4("0400", "0000", "11") UDP(PORT_500, PORT_500, "03ec") IKE8, CAPTURE_IKE,
     8, 0x3e4, 0},
    {"split by the network card",
     V4("0000", "0000", "11") UDP(PORT_500, PORT_500, "0010") IKE8, CAPTURE_IKE,
     8, 8, 0},
    {"first fragment",
     V4("0024", "2000", "11") UDP(PORT_500, PORT_500, "0100") IKE8, CAPTURE_IKE,
     8, 0xf8, 0},
    {"don't fragment",
     V4("0024", "4000", "11") UDP(PORT_500, PORT_500, "0010") IKE8, CAPTURE_IKE,
     8, 8, 0},
    {"later fragment",
     V4("0024", "2001", "11") UDP(PORT_500, PORT_500, "0010") IKE8,
     CAPTURE_FRAGMENT, 0, 0, 0},
    {"last fragment of ESP", V4("001c", "0001", "32") SPI SEQ, CAPTURE_FRAGMENT,
     0, 0, 0},
    {"fragment of TCP", V4("001c", "0001", "06") SPI SEQ, CAPTURE_OTHER, 0, 0,
     0},
    {"options",
     "4600002800010000401100"
     "00" V4_ENDS "01010101" UDP(PORT_500, PORT_500, "0010") IKE8,
     CAPTURE_IKE, 8, 8, 0},
    {"keepalive",
     V4("001d", "0000", "11") UDP(PORT_4500, PORT_4500, "0009") "ff",
     CAPTURE_OTHER, 0, 0, 0},
    {"keepalive on port 500",
     V4("001d", "0000", "11") UDP(PORT_500, PORT_500, "0009") "ff",
     CAPTURE_OTHER, 0, 0, 0},
    {"no octets on port 500",
     V4("001c", "0000", "11") UDP(PORT_500, PORT_500, "0008"), CAPTURE_OTHER, 0,
     0, 0},
    {"other ports", V4("0024", "0000", "11") UDP("0035", "d431", "0010") IKE8,
     CAPTURE_OTHER, 0, 0, 0},
    {"UDP length 7",
     V4("0024", "0000", "11") UDP(PORT_500, PORT_500, "0007") IKE8,
     CAPTURE_MALFORMED, 0, 0, 0},
    {"UDP cut", V4("0024", "0000", "11") "01f401f400", CAPTURE_MALFORMED, 0, 0,
     0},
    {"marker cut",
     V4("0028", "0000", "11") UDP(PORT_4500, PORT_4500, "0014") "000000",
     CAPTURE_MALFORMED, 0, 0, 0},
    {"ESP", V4("001c", "0000", "32") SPI SEQ, CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"ESP, SPI alone", V4("001c", "0000", "32") SPI, CAPTURE_CHILD, 0, 0,
     QCD_ESP},
    {"ESP, SPI cut", V4("001c", "0000", "32") "c1c2c3", CAPTURE_MALFORMED, 0, 0,
     0},
    {"ESP in UDP",
     V4("0024", "0000", "11") UDP(PORT_4500, PORT_4500, "0010") SPI SEQ,
     CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"SPI 255", V4("001c", "0000", "32") "000000ff" SEQ, CAPTURE_OTHER, 0, 0,
     0},
    {"AH", V4("0024", "0000", "33") "32040000" SPI SEQ, CAPTURE_CHILD, 0, 0,
     QCD_AH},
    {"AH, SPI cut", V4("0024", "0000", "33") "32040000c1", CAPTURE_MALFORMED, 0,
     0, 0},
    {"IPv6", V6("0010", "11") UDP(PORT_500, PORT_500, "0010") IKE8, CAPTURE_IKE,
     8, 8, 0},
    {"IPv6 ESP", V6("0008", "32") SPI SEQ, CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"IPv6, length 0", V6("0000", "32") SPI SEQ, CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"IPv6 padding", V6("0002", "32") SPI SEQ, CAPTURE_MALFORMED, 0, 0, 0},
    {"IPv6 options",
     V6("0020", "00") "3c00000000000000"
                      "3201000000000000"
                      "0000000000000000" SPI SEQ,
     CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"IPv6 routing header", V6("0010", "2b") "3200000000000000" SPI SEQ,
     CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"IPv6 first fragment", V6("0010", "2c") "32ff000100000000" SPI SEQ,
     CAPTURE_CHILD, 0, 0, QCD_ESP},
    {"IPv6 later fragment", V6("0010", "2c") "3200000800000000" SPI SEQ,
     CAPTURE_FRAGMENT, 0, 0, 0},
    {"IPv6 extension cut", V6("0010", "3c") "32000000", CAPTURE_MALFORMED, 0, 0,
     0},
    {"IPv6 extension too long", V6("0010", "3c") "3201000000000000" SPI SEQ,
     CAPTURE_MALFORMED, 0, 0, 0},
    {"IPv6 TCP", V6("0008", "06") SPI SEQ, CAPTURE_OTHER, 0, 0, 0},
    {"total below the header",
     V4("0013", "0000", "11") UDP(PORT_500, PORT_500, "0010") IKE8,
     CAPTURE_MALFORMED, 0, 0, 0},
    {"header alone", V4("0014", "0000", "32") SPI SEQ, CAPTURE_MALFORMED, 0, 0,
     0},
    {"header of 16",
     "4400001c00010000403200"
     "00" V4_ENDS SPI SEQ,
     CAPTURE_MALFORMED, 0, 0, 0},
    {"version 5", "55", CAPTURE_MALFORMED, 0, 0, 0},
    {"empty", "", CAPTURE_MALFORMED, 0, 0, 0},
};

static void check_row(size_t i)
{
    capture_packet p;
    uint8_t octets[PACKET_MAX];
    const char *name = rows[i].name;
    size_t len = unhex(octets, sizeof(octets), rows[i].packet);
    uint8_t *in = copy_exact(octets, len);
    dirty(&p, sizeof(p));
    capture_read(&p, in, len);
    CHECK_INT(name, p.kind, rows[i].kind);
    CHECK_INT(name, p.message_len, rows[i].message_len);
    CHECK_INT(name, p.full_len, rows[i].full_len);
    CHECK_INT(name, p.child_spi.protocol, rows[i].protocol);
    if (p.kind == CAPTURE_IKE) {
        CHECK_HEX(name, p.message, 7, "01020304050607");
    }
    if (p.kind == CAPTURE_CHILD) {
        CHECK_HEX(name, p.child_spi.octets, 4, SPI);
    }
    if (p.kind == CAPTURE_IKE || p.kind == CAPTURE_CHILD) {
        CHECK_INT(name, p.source.len, in[0] >> 4 == 6 ? 16 : 4);
        CHECK_INT(name, p.source.octets[p.source.len - 1], 1);
        CHECK_INT(name, p.destination.octets[p.destination.len - 1], 2);
    }
    free(in);
}

static void test_capture_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        check_row(i);
    }
}

/* ---- The link layer ---------------------------------------------------- */

#define MACS "020000000001020000000002"
#define IP4 V4("001c", "0000", "32") SPI SEQ
#define IP6 V6("0008", "32") SPI SEQ

static const struct {
    const char *name;
    int type;
    const char *frame;
    int offset; /* or -1 */
} frames[] = {
    {"Ethernet", DLT_EN10MB, MACS "0800" IP4, 14},
    {"Ethernet, IPv6", DLT_EN10MB, MACS "86dd" IP6, 14},
    {"VLAN", DLT_EN10MB,
     MACS "81000005"
          "0800" IP4,
     18},
    {"VLAN, IPv6", DLT_EN10MB,
     MACS "81000005"
          "86dd" IP6,
     18},
    {"two VLANs", DLT_EN10MB,
     MACS "88a80005"
          "81000006"
          "0800" IP4,
     22},
    {"PPPoE", DLT_EN10MB,
     MACS "8864"
          "11000001001e"
          "0021" IP4,
     22},
    {"MPLS", DLT_EN10MB,
     MACS "8847"
          "00001140" IP4,
     18},
    {"ARP", DLT_EN10MB, MACS "0806" IP4, -1},
    {"Ethernet that lies", DLT_EN10MB, MACS "0800" IP6, -1},
    {"only Ethernet", DLT_EN10MB, MACS "0800", -1},
    {"Ethernet cut", DLT_EN10MB, "0200", -1},
    {"no octets", DLT_EN10MB, "", -1},
    {"raw IP", DLT_RAW, IP4, 0},
    {"raw IP, IPv6", DLT_RAW, IP6, 0},
    {"raw IP, other", DLT_RAW, "55" IP4, -1},
    {"IPv4", DLT_IPV4, IP4, 0},
    {"IPv6", DLT_IPV6, IP6, 0},
    {"Linux cooked", DLT_LINUX_SLL, "00000001000602000000000100000800" IP4, 16},
    {"Linux cooked 2", DLT_LINUX_SLL2,
     "0800000000000001"
     "000104060200000000010000" IP4,
     20},
    {"Linux cooked 2, IPv6", DLT_LINUX_SLL2,
     "86dd000000000001"
     "000104060200000000010000" IP6,
     20},
    {"BSD loopback", DLT_NULL, "02000000" IP4, 4},
    {"OpenBSD loopback", DLT_LOOP, "00000002" IP4, 4},
    {"PPP", DLT_PPP, "ff030021" IP4, 4},
    {"PPP, IPv6", DLT_PPP, "ff030057" IP6, 4},
    {"Cisco HDLC", DLT_C_HDLC, "0f000800" IP4, 4},
    {"802.11 with radiotap", DLT_IEEE802_11_RADIO,
     "0000080000000000"
     "08000000"
     "020000000001020000000002020000000003"
     "0000"
     "aaaa030000000800" IP4,
     40},
    {"NFLOG", DLT_NFLOG,
     "02000000"
     "08000100deadbeef"
     "2000"
     "0900" IP4,
     16},
    {"NFLOG, padded", DLT_NFLOG,
     "02000000"
     "05000a0061000000"
     "2000"
     "0900" IP4,
     16},
    {"NFLOG, no payload", DLT_NFLOG,
     "02000000"
     "08000100deadbeef",
     -1},
    {"NFLOG, no octets of it", DLT_NFLOG,
     "02000000"
     "04000900",
     -1},
    {"NFLOG, length 0", DLT_NFLOG,
     "02000000"
     "00000100"
     "00000000",
     -1},
    {"NFLOG, length 1", DLT_NFLOG,
     "02000000"
     "01000100"
     "2000"
     "0900" IP4,
     -1},
    {"NFLOG, cut", DLT_NFLOG, "0200", -1},
    {"NFLOG, too long", DLT_NFLOG,
     "02000000"
     "ffff0100" IP4,
     -1},
};

static void check_frame(link_layer *l, size_t i)
{
    size_t offset;
    uint8_t octets[PACKET_MAX];
    size_t len = unhex(octets, sizeof(octets), frames[i].frame);
    uint8_t *in = copy_exact(octets, len);
    struct pcap_pkthdr header = {.caplen = (bpf_u_int32)len,
                                 .len = (bpf_u_int32)len};
    bool is_found = link_find(l, &offset, &header, in);
    CHECK_INT(frames[i].name, is_found, frames[i].offset >= 0);
    CHECK_INT(frames[i].name, offset, is_found ? frames[i].offset : 0);
    free(in);
}

/* Each row alone, and then all of a type with one link_layer, so that each
 * guess from the row before is wrong. */
static void test_link_find(void **state)
{
    link_layer l;
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(frames); i++) {
        CHECK(frames[i].name, link_open(&l, frames[i].type));
        check_frame(&l, i);
        link_close(&l);
    }
    assert_true(link_open(&l, DLT_EN10MB));
    for (size_t i = 0; i < NUM_ROWS(frames); i++) {
        if (frames[i].type == DLT_EN10MB) {
            check_frame(&l, i);
            check_frame(&l, 0);
        }
    }
    link_close(&l);
}

static void test_link_types(void **state)
{
    link_layer l;
    (void)state;
    assert_false(link_open(&l, DLT_USB_LINUX));
    link_close(&l);
    assert_false(link_open(&l, DLT_BLUETOOTH_HCI_H4));
    link_close(&l);
    assert_false(link_open(&l, 60000));
    link_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capture_read),
        cmocka_unit_test(test_link_find),
        cmocka_unit_test(test_link_types),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}

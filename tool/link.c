/* SPDX-License-Identifier: Apache-2.0 */
/* link.c: finds the IP packet in a captured frame.
 *
 * A filter such as "vlan and ip and ip[0] & 0xf0 = 0x40" tells whether a frame
 * has an IPv4 packet.  It also tells where: BPF refuses a frame when it has to
 * read beyond what was captured, and the first octet of IP is the last octet
 * that the filter reads.  So the filter accepts a frame of n octets if and only
 * if that octet is among them, and the least such n is found by bisection. */
#include "link.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "../src/rd.h"

/* No link layer has longer headers. */
#define HEADERS_MAX 1024

#define SNAPLEN 262144

enum {
    NFLOG_HEADER_LEN = 4,
    NFULA_PAYLOAD = 9,
    NFLOG_TYPE = 0x7fff, /* without the flag of nested attributes */
};

static const char *const prefixes[] = {"",
                                       "vlan and ",
                                       "vlan and vlan and ",
                                       "pppoes and ",
                                       "vlan and pppoes and ",
                                       "mpls and "};

static const char *const versions[] = {"ip and ip[0] & 0xf0 = 0x40",
                                       "ip6 and ip6[0] & 0xf0 = 0x60"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static_assert(COUNT(prefixes) * COUNT(versions) == LINK_PROGRAMS_MAX,
              "room for all programs");

/* add_program compiles a filter.  It is no failure if the link type has no
 * VLANs, for example. */
static void add_program(link_layer *out, pcap_t *dead, const char *prefix,
                        const char *version)
{
    char filter[96];
    (void)snprintf(filter, sizeof(filter), "%s%s", prefix, version);
    if (pcap_compile(dead, &out->programs[out->num_programs], filter, 1,
                     PCAP_NETMASK_UNKNOWN) == 0) {
        out->num_programs++;
    }
}

bool link_open(link_layer *out, int type)
{
    *out = (link_layer){.type = type};
    if (type == DLT_NFLOG) {
        return true;
    }
    pcap_t *dead = pcap_open_dead(type, SNAPLEN);
    if (dead == NULL) {
        return false;
    }
    for (size_t p = 0; p < COUNT(prefixes); p++) {
        for (size_t v = 0; v < COUNT(versions); v++) {
            add_program(out, dead, prefixes[p], versions[v]);
        }
    }
    pcap_close(dead);
    return out->num_programs > 0;
}

void link_close(link_layer *l)
{
    for (size_t i = 0; i < l->num_programs; i++) {
        pcap_freecode(&l->programs[i]);
    }
    *l = (link_layer){0};
}

/* accepts tells whether a filter accepts the first `len` octets of a frame. */
static bool accepts(const struct bpf_program *program,
                    const struct pcap_pkthdr *header, const uint8_t *frame,
                    size_t len)
{
    struct pcap_pkthdr cut = *header;
    cut.caplen = (bpf_u_int32)len;
    return pcap_offline_filter(program, &cut, frame) != 0;
}

static size_t bisect(const struct bpf_program *program,
                     const struct pcap_pkthdr *header, const uint8_t *frame,
                     size_t len)
{
    size_t low = 0; /* not accepted; `len` is */
    while (len - low > 1) {
        size_t middle = low + (len - low) / 2;
        if (accepts(program, header, frame, middle)) {
            len = middle;
        } else {
            low = middle;
        }
    }
    return len - 1;
}

static bool try_program(link_layer *l, size_t *out_offset, size_t number,
                        const struct pcap_pkthdr *header, const uint8_t *frame)
{
    const struct bpf_program *program = &l->programs[number];
    size_t len = header->caplen < HEADERS_MAX ? header->caplen : HEADERS_MAX;
    if (!accepts(program, header, frame, len)) {
        return false;
    }
    /* Nearly always IP is where it was in the last frame. */
    size_t guess = l->last_offset;
    if (guess >= len || !accepts(program, header, frame, guess + 1) ||
        (guess > 0 && accepts(program, header, frame, guess))) {
        guess = bisect(program, header, frame, len);
    }
    l->last = number;
    l->last_offset = guess;
    *out_offset = guess;
    return true;
}

/* find_nflog finds the payload among the attributes of a packet that netfilter
 * logged.  They are padded to four octets.  Their numbers are in the order of
 * this machine: libpcap swaps them if need be. */
static bool find_nflog(size_t *out_offset, const uint8_t *frame, size_t len)
{
    rd r;
    rd_init(&r, frame, len);
    (void)rd_bytes(&r, NFLOG_HEADER_LEN);
    for (;;) {
        uint16_t head[2]; /* length and type */
        const uint8_t *p = rd_bytes(&r, sizeof(head));
        if (p == NULL) {
            return false;
        }
        memcpy(head, p, sizeof(head));
        if (head[0] < sizeof(head)) {
            return false;
        }
        if ((head[1] & NFLOG_TYPE) == NFULA_PAYLOAD && r.len > 0) {
            *out_offset = len - r.len;
            return true;
        }
        (void)rd_bytes(&r, (head[0] - sizeof(head) + 3) & ~(size_t)3);
    }
}

bool link_find(link_layer *l, size_t *out_offset,
               const struct pcap_pkthdr *header, const uint8_t *frame)
{
    *out_offset = 0;
    if (l->type == DLT_NFLOG) {
        return find_nflog(out_offset, frame, header->caplen);
    }
    if (l->num_programs > 0 &&
        try_program(l, out_offset, l->last, header, frame)) {
        return true;
    }
    for (size_t i = 0; i < l->num_programs; i++) {
        if (i != l->last && try_program(l, out_offset, i, header, frame)) {
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* link.h: finds the IP packet in a captured frame, whatever the link layer. */
#ifndef QCD_TOOL_LINK_H
#define QCD_TOOL_LINK_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_PROGRAMS_MAX 12

/* link_layer finds IP in frames of one link type.  libpcap knows the headers of
 * all link types that it has filters for, so its filters find IP; only NFLOG is
 * read here. */
typedef struct link_layer {
    int type;
    size_t num_programs;
    struct bpf_program programs[LINK_PROGRAMS_MAX];
    size_t last; /* the program that found the last packet, and where */
    size_t last_offset;
} link_layer;

/* link_open prepares for a link type, DLT_EN10MB for example.  It returns false
 * if IP can't be found in frames of that type. */
bool link_open(link_layer *out, int type);

/* link_close frees the filters.  A link_layer of zeros has none. */
void link_close(link_layer *l);

/* link_find returns whether the frame of `header->caplen` octets at `frame` has
 * an IP packet, and sets `out_offset` to its first octet, which was
 * captured. */
bool link_find(link_layer *l, size_t *out_offset,
               const struct pcap_pkthdr *header, const uint8_t *frame);

#endif

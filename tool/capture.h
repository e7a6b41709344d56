/* SPDX-License-Identifier: Apache-2.0 */
/* capture.h: IKE messages and packets of child SAs in captured IP packets.  The
 * octets may be cut off, and may be anything. */
#ifndef QCD_TOOL_CAPTURE_H
#define QCD_TOOL_CAPTURE_H

#include <qcd/qcd.h>

/* capture_kind tells what an IP packet carries. */
enum capture_kind {
    CAPTURE_OTHER = 0,
    CAPTURE_IKE = 1,       /* UDP port 500, or 4500 with a non-ESP marker */
    CAPTURE_CHILD = 2,     /* ESP or AH, alone or in UDP */
    CAPTURE_FRAGMENT = 3,  /* a later fragment of UDP, ESP or AH */
    CAPTURE_MALFORMED = 4, /* IP, UDP, ESP or AH with impossible lengths, or cut
                            * off before it tells what it is */
};

/* capture_packet is one of them.  `message` is borrowed from the input. */
typedef struct capture_packet {
    enum capture_kind kind;
    qcd_address source;
    qcd_address destination;
    qcd_child_spi child_spi; /* of CAPTURE_CHILD */
    const uint8_t *message;  /* of CAPTURE_IKE, without a non-ESP marker */
    size_t message_len;      /* the octets that were captured */
    size_t full_len;         /* the octets of the message, by UDP's length */
} capture_packet;

/* capture_read reads an IP packet, of which the first `in_len` octets were
 * captured at `in`.  The first fragment of a datagram is read like a packet
 * that was cut off. */
void capture_read(capture_packet *out, const uint8_t *in, size_t in_len);

#endif

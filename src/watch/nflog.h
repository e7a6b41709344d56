/* SPDX-License-Identifier: Apache-2.0 */
/* nflog.h: receives the packets that nftables rules log to a group. */
#ifndef QCD_WATCH_NFLOG_H
#define QCD_WATCH_NFLOG_H

#include "netlink.h"

#define NFLOG_COPY 128 /* octets of a packet that are delivered */

/* nflog is a group that we have bound, and what we have read from it. */
typedef struct nflog {
    netlink link;
    uint16_t group;
    uint32_t seq;
    const struct nlmsghdr *next; /* message in the buffer, of `left` octets */
    int left;
    char buffer[8192] NETLINK_ALIGNED;
} nflog;

#define NFLOG_GROUP_FIRST 6290
#define NFLOG_GROUP_LAST 6299

/* nflog_open binds the first of these groups that is free.  It returns 0 or an
 * errno: EPERM or EBUSY if other sockets have all of them. */
int nflog_open(nflog *out);

/* nflog_close unbinds the group. */
void nflog_close(nflog *n);

/* nflog_read returns the next packet without waiting: `*out_len` octets of an
 * IP packet, which stay valid until the next call.  It returns NULL if there is
 * none. */
const uint8_t *nflog_read(nflog *n, size_t *out_len);

#endif

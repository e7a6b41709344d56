/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h: a transaction of nftables in the family inet.  Either all of its
 * messages take effect, or none. */
#ifndef QCD_WATCH_BATCH_H
#define QCD_WATCH_BATCH_H

#include "netlink.h"

/* batch is a transaction under construction.  Any failure on the way makes
 * batch_commit fail. */
typedef struct batch {
    char *octets;
    size_t cap;
    size_t len;            /* without `last` */
    struct nlmsghdr *last; /* the latest message, or NULL */
    uint32_t seq;
    bool is_bad;
} batch;

/* batch_init makes room for all messages of a table and for `num` elements. */
void batch_init(batch *out, size_t num);

/* batch_begin starts a message, NFT_MSG_*, with flags NLM_F_*.  Up to 4096
 * octets of attributes may be appended to it until the next one is started.  It
 * returns NULL if the transaction is bad. */
struct nlmsghdr *batch_begin(batch *b, uint16_t type, uint16_t flags);

/* batch_spoil makes batch_commit fail: a message could not be completed. */
void batch_spoil(batch *b);

/* batch_elements appends messages that add the `num` keys to our set
 * (NFT_MSG_NEWSETELEM) or delete them from it (NFT_MSG_DELSETELEM). */
void batch_elements(batch *b, uint16_t type, const uint32_t *keys, size_t num);

/* batch_commit sends the transaction and frees it.  It returns 0 or an
 * errno. */
int batch_commit(batch *b, netlink *n);

#endif

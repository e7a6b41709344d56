/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h: a transaction of nftables in the family inet: messages of which all
 * have their effect, or none. */
#ifndef QCD_WATCH_BATCH_H
#define QCD_WATCH_BATCH_H

#include "netlink.h"

/* batch is a transaction that is being made.  What fails on the way lets
 * batch_commit fail. */
typedef struct batch {
    char *octets;
    size_t cap;
    size_t len;            /* without `last` */
    struct nlmsghdr *last; /* the message that was begun last, or NULL */
    uint32_t seq;
    bool is_bad;
} batch;

/* batch_init makes room for all messages of a table and for `num` elements. */
void batch_init(batch *out, size_t num);

/* batch_begin begins a message, NFT_MSG_*, with flags NLM_F_*, to which up to
 * 4096 octets of attributes may be appended until the next one is begun.  It
 * returns NULL where the transaction is bad. */
struct nlmsghdr *batch_begin(batch *b, uint16_t type, uint16_t flags);

/* batch_spoil lets batch_commit fail: a message could not be completed. */
void batch_spoil(batch *b);

/* batch_elements appends messages that add the `num` keys to our set, or delete
 * them from it: NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM. */
void batch_elements(batch *b, uint16_t type, const uint32_t *keys, size_t num);

/* batch_commit sends it all, and frees it.  It returns 0 or an errno. */
int batch_commit(batch *b, netlink *n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c: a transaction of nftables. */
#include "batch.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

/* Most octets of one message, and of all messages without elements together,
 * including the begin and end of the batch. */
#define MESSAGE_MAX 4096
#define MESSAGES_MAX 16384

/* Octets of an element, most elements in a message (they must fit into an
 * attribute, with its 16 bits of length), and all other octets of such a
 * message. */
#define ELEMENT_LEN 16
#define ELEMENTS_MAX 2048
#define ELEMENTS_HEAD 128

void batch_init(batch *out, size_t num)
{
    size_t parts = num / ELEMENTS_MAX + 1;

    memset(out, 0, sizeof(*out));
    out->cap =
        MESSAGES_MAX + parts * (ELEMENTS_HEAD + ELEMENTS_MAX * ELEMENT_LEN);
    out->octets = calloc(1, out->cap); /* libmnl doesn't clear padding */
    out->is_bad = out->octets == NULL;
    if (!out->is_bad) {
        out->last = nftnl_batch_begin(out->octets, out->seq);
    }
}

/* finish_last completes the last message and returns where the next one
 * starts. */
static char *finish_last(batch *b)
{
    if (b->last != NULL) {
        b->len += ((size_t)b->last->nlmsg_len + 3) / 4 * 4; /* aligned */
        b->last = NULL;
    }
    return b->octets + b->len;
}

static struct nlmsghdr *begin_sized(batch *b, uint16_t type, uint16_t flags,
                                    size_t len)
{
    if (b->is_bad) {
        return NULL;
    }
    char *at = finish_last(b);
    if (b->cap - b->len < len) {
        b->is_bad = true;
        return NULL;
    }
    b->last = nftnl_nlmsg_build_hdr(at, type, NFPROTO_INET, flags, ++b->seq);
    return b->last;
}

struct nlmsghdr *batch_begin(batch *b, uint16_t type, uint16_t flags)
{
    return begin_sized(b, type, flags, MESSAGE_MAX);
}

void batch_spoil(batch *b)
{
    b->is_bad = true;
}

static void put_element(struct nlmsghdr *h, uint32_t value)
{
    struct nlattr *element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
    struct nlattr *key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);

    mnl_attr_put(h, NFTA_DATA_VALUE, sizeof(value), &value);
    mnl_attr_nest_end(h, key);
    mnl_attr_nest_end(h, element);
}

/* libnftnl makes an object for each element, which we don't need. */
static void put_elements(struct nlmsghdr *h, const uint32_t *keys, size_t num)
{
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, RULES_TABLE);
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, RULES_SET);
    struct nlattr *list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (size_t i = 0; i < num; i++) {
        put_element(h, keys[i]);
    }
    mnl_attr_nest_end(h, list);
}

void batch_elements(batch *b, uint16_t type, const uint32_t *keys, size_t num)
{
    uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
    size_t len = ELEMENTS_HEAD + ELEMENTS_MAX * ELEMENT_LEN;

    for (size_t done = 0; done < num; done += ELEMENTS_MAX) {
        size_t left = num - done;
        struct nlmsghdr *h = begin_sized(b, type, flags, len);
        if (h == NULL) {
            return;
        }
        put_elements(h, keys + done, left < ELEMENTS_MAX ? left : ELEMENTS_MAX);
    }
}

int batch_commit(batch *b, netlink *n)
{
    const netlink_answer nobody = {0};
    uint32_t seq = b->seq;
    int why = ENOMEM;

    if (!b->is_bad && b->last != NULL) {
        /* Not all kernels acknowledge the end.  An error of the transaction as
         * a whole comes before this acknowledgement. */
        b->last->nlmsg_flags |= NLM_F_ACK;
        b->last = nftnl_batch_end(finish_last(b), ++b->seq);
        (void)finish_last(b);
        why = netlink_request(n, b->octets, b->len, seq, &nobody);
    }
    free(b->octets);
    memset(b, 0, sizeof(*b));
    return why;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* nflog.c: receives the packets that nftables rules log to a group. */
#include "nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>

/* Octets of the kernel's buffer for a packet and its attributes, and of packets
 * that may wait for us. */
#define MESSAGE_MAX 1024
#define WAITING_MAX (1024 * 1024)

/* begin starts a message that configures the group. */
static struct nlmsghdr *begin(nflog *n, void *buffer)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

    h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    h->nlmsg_seq = ++n->seq;
    struct nfgenmsg *gen = mnl_nlmsg_put_extra_header(h, sizeof(*gen));
    gen->nfgen_family = AF_UNSPEC;
    gen->version = NFNETLINK_V0;
    gen->res_id = htons(n->group);
    return h;
}

static int end(nflog *n, const struct nlmsghdr *h)
{
    const netlink_answer nobody = {0};

    return netlink_request(&n->link, h, h->nlmsg_len, h->nlmsg_seq, &nobody);
}

/* command binds or unbinds the group. */
static int command(nflog *n, uint8_t what)
{
    char buffer[256] NETLINK_ALIGNED = {0};
    const struct nfulnl_msg_config_cmd config = {.command = what};
    struct nlmsghdr *h = begin(n, buffer);

    mnl_attr_put(h, NFULA_CFG_CMD, sizeof(config), &config);
    return end(n, h);
}

/* configure says how to deliver packets: each one immediately, and only its
 * first octets. */
static int configure(nflog *n)
{
    char buffer[256] NETLINK_ALIGNED = {0};
    const struct nfulnl_msg_config_mode mode = {
        .copy_range = htonl(NFLOG_COPY), .copy_mode = NFULNL_COPY_PACKET};
    struct nlmsghdr *h = begin(n, buffer);

    mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
    mnl_attr_put_u32(h, NFULA_CFG_NLBUFSIZ, htonl(MESSAGE_MAX));
    mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(1));
    return end(n, h);
}

static int bind_group(nflog *n)
{
    int why = EBUSY;

    for (n->group = NFLOG_GROUP_FIRST; n->group <= NFLOG_GROUP_LAST;
         n->group++) {
        why = command(n, NFULNL_CFG_CMD_BIND);
        if (why != EPERM && why != EBUSY) {
            break; /* EPERM: another socket has it */
        }
    }
    return why != 0 ? why : configure(n);
}

int nflog_open(nflog *out)
{
    int room = WAITING_MAX;
    int on = 1;

    memset(out, 0, sizeof(*out));
    int why = netlink_open(&out->link);
    if (why == 0) {
        why = bind_group(out);
    }
    if (why != 0) {
        netlink_close(&out->link);
        return why;
    }
    /* Both options help, but we can do without.  An overrun would stop the
     * kernel until we have read everything. */
    (void)setsockopt(out->link.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
                     sizeof(room));
    (void)setsockopt(out->link.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on,
                     sizeof(on));
    return 0;
}

void nflog_close(nflog *n)
{
    if (n->link.socket != NULL) {
        (void)command(n, NFULNL_CFG_CMD_UNBIND);
        netlink_close(&n->link);
    }
}

/* fill reads more messages.  It returns false if there are none. */
static bool fill(nflog *n)
{
    ssize_t len;

    do { /* packets that did not fit are lost, as by a limit */
        len = netlink_receive(&n->link, n->buffer, sizeof(n->buffer));
    } while (len == 0 || (len < 0 && errno == ENOBUFS));
    n->next = (const struct nlmsghdr *)n->buffer;
    n->left = len > 0 ? (int)len : 0;
    return len > 0;
}

typedef struct payload {
    const uint8_t *octets;
    size_t len;
} payload;

static int get_payload(const struct nlattr *attr, void *user)
{
    payload *out = user;

    if (mnl_attr_get_type(attr) == NFULA_PAYLOAD) {
        out->octets = mnl_attr_get_payload(attr);
        out->len = mnl_attr_get_payload_len(attr);
    }
    return MNL_CB_OK;
}

/* packet_of finds the packet in a message, if it has one. */
static payload packet_of(const struct nlmsghdr *h)
{
    payload out = {0};

    if (h->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) &&
        mnl_nlmsg_get_payload_len(h) >= sizeof(struct nfgenmsg)) {
        (void)mnl_attr_parse(h, sizeof(struct nfgenmsg), get_payload, &out);
    }
    return out;
}

const uint8_t *nflog_read(nflog *n, size_t *out_len)
{
    while (true) {
        if (!netlink_holds(n->next, n->left) && !fill(n)) {
            *out_len = 0;
            return NULL;
        }
        if (netlink_holds(n->next, n->left)) {
            const payload p = packet_of(n->next);
            n->next = mnl_nlmsg_next(n->next, &n->left);
            if (p.len > 0) {
                *out_len = p.len < NFLOG_COPY ? p.len : NFLOG_COPY;
                return p.octets;
            }
        }
    }
}

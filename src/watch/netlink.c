/* SPDX-License-Identifier: Apache-2.0 */
/* netlink.c: a socket to the kernel's netfilter. */
#include "netlink.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Octets of an answer.  An error repeats no more than the header of its
 * message. */
#define ANSWER_MAX 8192

/* Requested beyond the size of a transaction. */
#define SPARE_ROOM 4096

int netlink_open(netlink *out)
{
    int on = 1;

    memset(out, 0, sizeof(*out));
    out->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (out->socket == NULL) {
        return errno;
    }
    if (mnl_socket_bind(out->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int why = errno;
        netlink_close(out);
        return why;
    }
    /* Otherwise an error repeats the whole message. */
    (void)mnl_socket_setsockopt(out->socket, NETLINK_CAP_ACK, &on, sizeof(on));
    out->fd = mnl_socket_get_fd(out->socket);
    return 0;
}

void netlink_close(netlink *n)
{
    if (n->socket != NULL) {
        (void)mnl_socket_close(n->socket);
        n->socket = NULL;
    }
}

uint32_t netlink_port(const netlink *n)
{
    return mnl_socket_get_portid(n->socket);
}

ssize_t netlink_receive(const netlink *n, void *out, size_t cap)
{
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof(from);
    ssize_t len;

    do {
        len = recvfrom(n->fd, out, cap, MSG_DONTWAIT | MSG_TRUNC,
                       (struct sockaddr *)&from, &from_len);
    } while (len < 0 && errno == EINTR);
    return len > (ssize_t)cap || (len >= 0 && from.nl_pid != 0) ? 0 : len;
}

bool netlink_holds(const struct nlmsghdr *h, int left)
{
    return mnl_nlmsg_ok(h, left) && h->nlmsg_len <= INT_MAX;
}

/* A transaction is one datagram. */
static void make_room(netlink *n, size_t len)
{
    int room = len < INT_MAX / 4 ? (int)len : INT_MAX / 4;

    if ((size_t)room > n->room &&
        (setsockopt(n->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) ==
             0 ||
         setsockopt(n->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0)) {
        /* If that was not enough, sending reports it. */
        n->room = (size_t)room;
    }
}

/* outcome is the result of a request. */
typedef struct outcome {
    uint32_t seq;
    bool is_acknowledged;
    int error; /* the first */
    const netlink_answer *answer;
} outcome;

static void note_error(outcome *o, int error)
{
    if (o->error == 0) {
        o->error = error;
    }
}

static void take(outcome *o, const struct nlmsghdr *header)
{
    const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);

    if (header->nlmsg_type != NLMSG_ERROR) {
        if (o->answer->take != NULL && header->nlmsg_type >= NLMSG_MIN_TYPE) {
            o->answer->take(o->answer->user, header);
        }
    } else if (mnl_nlmsg_get_payload_len(header) < sizeof(*error)) {
        note_error(o, EBADMSG);
    } else if (error->error != 0) {
        note_error(o, abs(error->error));
    } else if (header->nlmsg_seq == o->seq) {
        o->is_acknowledged = true;
    }
}

/* Takes all waiting messages.  It returns 0, or the errno after which nothing
 * more can be read. */
static int take_all(const netlink *n, outcome *o)
{
    char buffer[ANSWER_MAX] NETLINK_ALIGNED;
    ssize_t got;

    while ((got = netlink_receive(n, buffer, sizeof(buffer))) >= 0 ||
           errno == ENOBUFS) {
        if (got < 0) {
            /* Some messages did not fit into the socket's buffer.  The others
             * can be read. */
            note_error(o, ENOBUFS);
            continue;
        }
        int len = (int)got;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *)buffer;
             netlink_holds(h, len); h = mnl_nlmsg_next(h, &len)) {
            take(o, h);
        }
    }
    return errno == EAGAIN ? 0 : errno;
}

int netlink_request(netlink *n, const void *messages, size_t len, uint32_t seq,
                    const netlink_answer *answer)
{
    outcome o = {.seq = seq, .answer = answer};

    make_room(n, len + SPARE_ROOM);
    if (mnl_socket_sendto(n->socket, messages, len) < 0) {
        return errno;
    }
    /* The kernel has finished by now, and its answers are waiting. */
    int why = take_all(n, &o);
    if (why != 0) {
        return why;
    }
    if (o.error == 0 && !o.is_acknowledged) {
        return EPROTO;
    }
    return o.error;
}

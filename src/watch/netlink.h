/* SPDX-License-Identifier: Apache-2.0 */
/* netlink.h: a socket to the kernel's netfilter. */
#ifndef QCD_WATCH_NETLINK_H
#define QCD_WATCH_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A buffer must have the alignment of the messages in it. */
#define NETLINK_ALIGNED __attribute__((aligned(NLMSG_ALIGNTO)))

typedef struct netlink {
    struct mnl_socket *socket;
    int fd;
    size_t room; /* send buffer that we asked for, in octets */
} netlink;

/* netlink_open opens a socket to the netfilter of the calling thread's network
 * namespace.  It returns 0 or an errno. */
int netlink_open(netlink *out);

/* netlink_close closes it. */
void netlink_close(netlink *n);

/* netlink_message is called with an answer of the kernel that is neither an
 * error nor an acknowledgement. */
typedef void netlink_message(void *user, const struct nlmsghdr *header);

/* netlink_answer receives the answers to a request.  If it is all zero, nobody
 * does. */
typedef struct netlink_answer {
    netlink_message *take;
    void *user;
} netlink_answer;

/* netlink_request sends the `len` octets of messages at `messages`.  None of
 * them asks for a dump.  The one with the sequence number `seq`, the last with
 * content, asks for an acknowledgement.  It returns 0, or the first error as an
 * errno. */
int netlink_request(netlink *n, const void *messages, size_t len, uint32_t seq,
                    const netlink_answer *answer);

/* netlink_receive receives what the kernel has sent, without waiting, into the
 * `cap` octets at `out`, which must be NETLINK_ALIGNED.  It returns the number
 * of octets.  It returns 0 if the message isn't from the kernel or didn't fit,
 * and -1 with an errno on error: EAGAIN if nothing is waiting. */
ssize_t netlink_receive(const netlink *n, void *out, size_t cap);

/* netlink_holds tells whether the `left` octets at `h` begin with a whole
 * message.  mnl_nlmsg_ok() alone takes a length above INT_MAX for a negative
 * one. */
bool netlink_holds(const struct nlmsghdr *h, int left);

/* netlink_port returns our netlink port. */
uint32_t netlink_port(const netlink *n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* netlink.h: a socket to the kernel's netfilter. */
#ifndef QCD_WATCH_NETLINK_H
#define QCD_WATCH_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A buffer for messages has to be aligned as they are. */
#define NETLINK_ALIGNED __attribute__((aligned(NLMSG_ALIGNTO)))

typedef struct netlink {
    struct mnl_socket *socket;
    int fd;
    size_t room; /* octets that may be sent at once, as far as asked for */
} netlink;

/* netlink_open opens a socket to the netfilter of the calling thread's network
 * namespace.  It returns 0 or an errno. */
int netlink_open(netlink *out);

/* netlink_close closes it. */
void netlink_close(netlink *n);

/* netlink_message is called with an answer of the kernel's that is neither an
 * error nor an acknowledgement. */
typedef void netlink_message(void *user, const struct nlmsghdr *header);

/* netlink_answer is who gets the answers to a request, all zero for nobody. */
typedef struct netlink_answer {
    netlink_message *take;
    void *user;
} netlink_answer;

/* netlink_request sends the `len` octets of messages at `messages`, none of
 * which asks for a dump and of which that with the sequence number `seq`, the
 * last with content, asks for an acknowledgement.  It returns 0, or what went
 * wrong first, as an errno. */
int netlink_request(netlink *n, const void *messages, size_t len, uint32_t seq,
                    const netlink_answer *answer);

/* netlink_receive receives what the kernel has sent, without waiting, into the
 * `cap` octets at `out`, which is NETLINK_ALIGNED.  It returns how many octets;
 * 0 for what isn't the kernel's or didn't fit; -1 with an errno, EAGAIN where
 * there is nothing. */
ssize_t netlink_receive(const netlink *n, void *out, size_t cap);

/* netlink_port returns the port by which the kernel knows us. */
uint32_t netlink_port(const netlink *n);

#endif

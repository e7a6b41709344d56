/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_kernel.c: a kernel that is played: a table of nftables with SPIs, and a
 * log.  What it is sent must be well-formed. */
#include "fuzz_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <sys/socket.h>

enum { NUM_ERRORS = 12, NUM_SOCKETS = 2, QUEUE_MAX = 8, ANSWER_MAX = 8192 };

/* How requests are answered, by the lower bits of a plan. */
enum { OBEY, REFUSE, CONFUSE, NO_SEND, NUM_PLANS };

/* A datagram that waits, or an error. */
typedef struct datagram {
    int error;
    bool is_kernel;
    size_t len;
    uint8_t octets[ANSWER_MAX];
} datagram;

struct mnl_socket {
    bool is_open;
    size_t num_waiting;
    datagram waiting[QUEUE_MAX];
};

played_kernel kernel;
static struct mnl_socket sockets[NUM_SOCKETS]; /* of the table, of the log */
static uint8_t plans[8];
static size_t num_plans;
static datagram log_of;

static const int errors[NUM_ERRORS] = {
    EPERM,    EINVAL,     ENOENT,          EBUSY,        ENOMEM,  EEXIST,
    EMSGSIZE, EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT, ENOBUFS, EIO};

uint8_t next_u8(void)
{
    return rd_u8(&kernel.r);
}

const uint8_t *next_octets(size_t *out_len, size_t max_len)
{
    size_t len = next_u8() * 2u % (max_len + 1);

    *out_len = len < kernel.r.len ? len : kernel.r.len;
    return rd_bytes(&kernel.r, *out_len);
}

void kernel_start(const uint8_t *in, size_t in_len)
{
    memset(&kernel, 0, sizeof(kernel));
    for (size_t i = 0; i < NUM_SOCKETS; i++) {
        sockets[i].is_open = false;
        sockets[i].num_waiting = 0;
    }
    kernel_obey();
    rd_init(&kernel.r, in, in_len);
}

void kernel_stop(void)
{
    for (size_t i = 0; i < NUM_SOCKETS; i++) {
        DEMAND(!sockets[i].is_open); /* all that was opened is closed */
    }
    DEMAND(!kernel.has_table || kernel.has_lied);
}

void kernel_obey(void)
{
    num_plans = 0;
}

void kernel_choose(void)
{
    num_plans = next_u8() % (sizeof(plans) + 1);
    for (size_t i = 0; i < num_plans; i++) {
        plans[i] = next_u8();
    }
}

static uint8_t next_plan(void)
{
    uint8_t plan = num_plans > 0 ? plans[0] : OBEY;

    if (num_plans > 0) {
        num_plans--;
        memmove(plans, plans + 1, num_plans);
    }
    return plan;
}

/* ---- Datagrams --------------------------------------------------------- */

static void enqueue(struct mnl_socket *s, const void *octets, size_t len,
                    bool is_kernel, int error)
{
    if (s->num_waiting < QUEUE_MAX && len <= ANSWER_MAX) {
        datagram *d = &s->waiting[s->num_waiting++];
        d->error = error;
        d->is_kernel = is_kernel;
        d->len = len;
        if (len > 0) {
            memcpy(d->octets, octets, len);
        }
    }
}

static void answer(struct mnl_socket *s, const struct nlmsghdr *to, int error)
{
    _Alignas(8) uint8_t octets[64] = {0};
    struct nlmsghdr *h = (struct nlmsghdr *)octets;
    struct nlmsgerr *e = (struct nlmsgerr *)(octets + sizeof(*h));

    h->nlmsg_len = sizeof(*h) + sizeof(*e);
    h->nlmsg_type = NLMSG_ERROR;
    h->nlmsg_seq = to->nlmsg_seq;
    e->error = -error;
    e->msg = *to;
    enqueue(s, octets, h->nlmsg_len, true, 0);
}

void kernel_begin_log(void)
{
    log_of.len = 0;
}

bool kernel_log(const uint8_t *octets, size_t len)
{
    uint8_t *at = log_of.octets + log_of.len;
    struct nlmsghdr *h;
    struct nfgenmsg *gen;

    if (log_of.len + len + 256 > sizeof(log_of.octets) || len == 0) {
        return false;
    }
    memset(at, 0, len + 256);
    h = mnl_nlmsg_put_header(at);
    h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
    gen = mnl_nlmsg_put_extra_header(h, sizeof(*gen));
    gen->version = NFNETLINK_V0;
    mnl_attr_put_u32(h, NFULA_IFINDEX_INDEV, 1);
    mnl_attr_put(h, NFULA_PAYLOAD, len, octets);
    mnl_attr_put_u32(h, NFULA_MARK, 1);
    log_of.len += h->nlmsg_len;
    return true;
}

void kernel_end_log(void)
{
    struct mnl_socket *s = &sockets[1];

    s->num_waiting = 0;
    /* A datagram of another process is ignored, whatever is in it. */
    enqueue(s, log_of.octets, log_of.len, false, 0);
    enqueue(s, log_of.octets, log_of.len, true, 0);
}

void kernel_noise(const uint8_t *octets, size_t len, bool is_kernel, int error)
{
    struct mnl_socket *s = &sockets[1];

    s->num_waiting = 0;
    if ((error & 1) != 0) {
        enqueue(s, NULL, 0, true, (error & 2) != 0 ? ENOBUFS : EINTR);
    }
    enqueue(s, octets, len, is_kernel, 0);
}

/* ---- Transactions ------------------------------------------------------ */

/* element_of finds the SPI in an element of a set. */
static int element_of(const struct nlattr *element)
{
    const struct nlattr *key = mnl_attr_get_payload(element);
    const struct nlattr *value = mnl_attr_get_payload(key);
    const uint8_t *spi = mnl_attr_get_payload(value);

    DEMAND(mnl_attr_get_type(element) == NFTA_LIST_ELEM);
    DEMAND(mnl_attr_get_type(key) == NFTA_SET_ELEM_KEY);
    DEMAND(mnl_attr_get_type(value) == NFTA_DATA_VALUE);
    DEMAND(mnl_attr_get_payload_len(value) == 4);
    DEMAND(spi[0] == 0 && spi[1] == 0 && spi[2] == 0);
    DEMAND(spi[3] > 0 && spi[3] < KERNEL_SPIS);
    return spi[3];
}

/* changing is what a message does with its elements. */
typedef struct changing {
    played_kernel *kernel;
    bool is_added;
    int why;
} changing;

static int change_one(const struct nlattr *element, void *user)
{
    changing *c = user;
    int n = element_of(element);

    /* One that is missing can't be deleted. */
    if (!c->is_added && !c->kernel->has_spi[n]) {
        c->why = ENOENT;
        return MNL_CB_STOP;
    }
    c->kernel->has_spi[n] = c->is_added;
    return MNL_CB_OK;
}

static int change_list(const struct nlattr *attr, void *user)
{
    return mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_ELEMENTS
               ? mnl_attr_parse_nested(attr, change_one, user)
               : MNL_CB_OK;
}

static int change(played_kernel *k, const struct nlmsghdr *h, bool is_added)
{
    changing c = {.kernel = k, .is_added = is_added};

    if (!k->has_table) {
        return ENOENT;
    }
    DEMAND(mnl_attr_parse(h, sizeof(struct nfgenmsg), change_list, &c) >= 0);
    return c.why;
}

static int apply(played_kernel *k, const struct nlmsghdr *h)
{
    switch (h->nlmsg_type & 0xff) {
    case NFT_MSG_NEWTABLE:
        k->has_table = true;
        return 0;
    case NFT_MSG_DELTABLE:
        if (!k->has_table) {
            return ENOENT;
        }
        k->has_table = false;
        memset(k->has_spi, 0, sizeof(k->has_spi));
        return 0;
    case NFT_MSG_NEWSETELEM:
        return change(k, h, true);
    case NFT_MSG_DELSETELEM:
        return change(k, h, false);
    default:
        return k->has_table ? 0 : ENOENT;
    }
}

/* obey applies all messages of a transaction, or none.  What it was told must
 * be whole messages. */
static void obey(struct mnl_socket *s, const void *messages, size_t len)
{
    played_kernel after = kernel;
    const struct nlmsghdr *h = messages;
    int left = (int)len;
    int why = 0;

    for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
        bool is_table = h->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES;
        int error = is_table && why == 0 ? apply(&after, h) : 0;
        why = why != 0 ? why : error;
        if (error != 0 || ((h->nlmsg_flags & NLM_F_ACK) != 0 && why == 0)) {
            answer(s, h, error);
        }
    }
    DEMAND(left == 0);
    if (why == 0) {
        kernel = after;
    }
}

/* confuse answers with any octets, and then as it should, or not at all. */
static void confuse(struct mnl_socket *s, uint8_t plan, const void *messages,
                    size_t len)
{
    size_t num;
    const uint8_t *octets = next_octets(&num, 400);

    kernel.has_lied = true;
    if (octets != NULL) {
        enqueue(s, octets, num, (plan & 8) != 0, 0);
    }
    if ((plan & 16) != 0) {
        enqueue(s, NULL, 0, true, (plan & 32) != 0 ? ENOBUFS : EIO);
    }
    if ((plan & 64) != 0) {
        obey(s, messages, len);
    }
}

/* own tells who has the table: the answer to that question. */
static void own(struct mnl_socket *s, const struct nlmsghdr *to)
{
    _Alignas(8) uint8_t octets[256] = {0};
    struct nlmsghdr *h = mnl_nlmsg_put_header(octets);
    struct nfgenmsg *gen;

    h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE;
    h->nlmsg_seq = to->nlmsg_seq;
    gen = mnl_nlmsg_put_extra_header(h, sizeof(*gen));
    gen->version = NFNETLINK_V0;
    mnl_attr_put_strz(h, NFTA_TABLE_NAME, "qcd");
    mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
    mnl_attr_put_u32(h, NFTA_TABLE_OWNER, htonl(next_u8()));
    enqueue(s, octets, h->nlmsg_len, true, 0);
    answer(s, to, 0);
}

/* ---- The exchanged functions ------------------------------------------- */

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags);
int __wrap_mnl_socket_bind(struct mnl_socket *s, unsigned int groups,
                           pid_t pid);
int __wrap_mnl_socket_setsockopt(const struct mnl_socket *s, int type,
                                 void *value, socklen_t len);
int __wrap_mnl_socket_get_fd(const struct mnl_socket *s);
unsigned int __wrap_mnl_socket_get_portid(const struct mnl_socket *s);
int __wrap_mnl_socket_close(struct mnl_socket *s);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *s,
                                 const void *messages, size_t len);
ssize_t __wrap_recvfrom(int fd, void *out, size_t cap, int flags,
                        struct sockaddr *from, socklen_t *from_len);
int __wrap_setsockopt(int fd, int level, int name, const void *value,
                      socklen_t len);

int __wrap_setsockopt(int fd, int level, int name, const void *value,
                      socklen_t len)
{
    DEMAND(fd == KERNEL_TABLE_FD || fd == KERNEL_LOG_FD);
    DEMAND(value != NULL && len == sizeof(int));
    /* Root of a container may not force a size. */
    return level == SOL_SOCKET && name == SO_SNDBUFFORCE ? -1 : 0;
}

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags)
{
    struct mnl_socket *s = &sockets[sockets[0].is_open ? 1 : 0];

    DEMAND(bus == NETLINK_NETFILTER && flags == SOCK_CLOEXEC && !s->is_open);
    if (next_plan() % 32 == 31) {
        errno = EMFILE;
        return NULL;
    }
    s->is_open = true;
    return s;
}

int __wrap_mnl_socket_bind(struct mnl_socket *s, unsigned int groups, pid_t pid)
{
    DEMAND(s->is_open && groups == 0 && pid == MNL_SOCKET_AUTOPID);
    errno = EADDRINUSE;
    return next_plan() % 32 == 31 ? -1 : 0;
}

int __wrap_mnl_socket_setsockopt(const struct mnl_socket *s, int type,
                                 void *value, socklen_t len)
{
    DEMAND(s->is_open && type == NETLINK_CAP_ACK && value != NULL && len == 4);
    return 0;
}

int __wrap_mnl_socket_get_fd(const struct mnl_socket *s)
{
    return KERNEL_TABLE_FD + (int)(s - sockets);
}

unsigned int __wrap_mnl_socket_get_portid(const struct mnl_socket *s)
{
    return 100 + (unsigned int)(s - sockets);
}

int __wrap_mnl_socket_close(struct mnl_socket *s)
{
    /* The kernel removes the table of a process that ends. */
    DEMAND(s->is_open);
    s->is_open = false;
    return 0;
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *which,
                                 const void *messages, size_t len)
{
    struct mnl_socket *s = &sockets[which - sockets];
    const struct nlmsghdr *h = messages;
    uint8_t plan = next_plan();

    s->num_waiting = 0;
    if ((h->nlmsg_type & 0xff) == NFT_MSG_GETTABLE &&
        h->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES && plan % 2 == 0) {
        own(s, h);
        return (ssize_t)len;
    }
    int error = errors[plan / NUM_PLANS % NUM_ERRORS];
    if ((plan % NUM_PLANS == REFUSE || plan % NUM_PLANS == NO_SEND) &&
        error == ENOENT) {
        kernel.has_lied = true; /* it may well have the table */
    }
    switch (plan % NUM_PLANS) {
    case OBEY:
        obey(s, messages, len);
        break;
    case REFUSE:
        answer(s, h, error);
        break;
    case CONFUSE:
        confuse(s, plan, messages, len);
        break;
    default:
        errno = error;
        return -1;
    }
    return (ssize_t)len;
}

ssize_t __wrap_recvfrom(int fd, void *out, size_t cap, int flags,
                        struct sockaddr *from, socklen_t *from_len)
{
    struct mnl_socket *s = &sockets[fd - KERNEL_TABLE_FD];
    struct sockaddr_nl *address = (struct sockaddr_nl *)from;
    static datagram d;

    DEMAND(fd == KERNEL_TABLE_FD || fd == KERNEL_LOG_FD);
    DEMAND(flags == (MSG_DONTWAIT | MSG_TRUNC));
    DEMAND(*from_len == sizeof(*address));
    if (s->num_waiting == 0) {
        errno = EAGAIN;
        return -1;
    }
    d = s->waiting[0];
    s->num_waiting--;
    memmove(s->waiting, s->waiting + 1, s->num_waiting * sizeof(d));
    if (d.error != 0) {
        errno = d.error;
        return -1;
    }
    address->nl_pid = d.is_kernel ? 0 : 4711;
    memcpy(out, d.octets, d.len < cap ? d.len : cap);
    return (ssize_t)d.len;
}

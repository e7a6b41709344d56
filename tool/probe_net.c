/* SPDX-License-Identifier: Apache-2.0 */
/* probe_net.c: sends the messages of qcd probe, slowly, and waits for what the
 * gateway answers. */
#include "probe_net.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

enum {
    GAP_MS = 105,       /* between two messages: ten a second, with a margin */
    WAIT_MS = 1000,     /* for an answer */
    READ_MAX = 1000,    /* messages read from one target */
    MARKER_LEN = 4,     /* non-ESP marker, RFC 3948 section 2.2 */
    PACKET_MAX = 65536, /* no datagram is longer */
};

/* run is the work at one target. */
typedef struct run {
    probe *p;
    sentence *why;
    probe_pace *pace;
    const probe_target *target;
    int fd;
    size_t num_read;
    bool is_heard; /* the gateway has answered something */
    enum probe_reach reach;
} run;

/* wait_kind tells how long to wait after a message. */
enum wait_kind {
    WAIT_NOT,   /* the next one does not depend on the answer */
    WAIT_FIRST, /* until it is answered */
    WAIT_ALL    /* the whole time: silence is expected */
};

static enum wait_kind wait_after(enum probe_ask ask)
{
    switch ((int)ask) {
    case PROBE_INIT:
    case PROBE_INIT_GROUP:
    case PROBE_INIT_AGAIN:
    case PROBE_TOKEN:
    case PROBE_CONTROL:
        return WAIT_FIRST;
    case PROBE_LIVE_FLIPPED:
    case PROBE_ZERO_R:
    case PROBE_NUM - 1:
        return WAIT_ALL;
    default:
        return WAIT_NOT;
    }
}

static uint64_t now_ms(void)
{
    return (uint64_t)clock_ms(CLOCK_MONOTONIC);
}

/* take_error notes what an error of the socket says about the target.  ICMP is
 * easily forged, so it counts only while nobody has answered. */
static void take_error(run *r, int error)
{
    if (r->is_heard || error == EINTR || error == EAGAIN) {
        return;
    }
    switch (error) {
    case ECONNREFUSED:
        r->reach = PROBE_CLOSED;
        break;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
        r->reach = PROBE_UNREACHABLE;
        break;
    default:
        sentence_set(r->why, "cannot send: %s", describe_error(error));
        r->reach = PROBE_BROKEN;
        break;
    }
}

static void take_packet(run *r, const uint8_t *octets, size_t len)
{
    static const uint8_t marker[MARKER_LEN];
    r->num_read++;
    if (r->target->has_marker) {
        /* Without a marker it is ESP. */
        if (len < MARKER_LEN || memcmp(octets, marker, MARKER_LEN) != 0) {
            return;
        }
        octets += MARKER_LEN;
        len -= MARKER_LEN;
    }
    r->is_heard = true;
    probe_take(r->p, octets, len);
}

/* receive reads everything that waits in the socket. */
static void receive(run *r)
{
    uint8_t octets[PACKET_MAX];
    while (r->num_read < READ_MAX && r->reach == PROBE_REACHED) {
        ssize_t len = recv(r->fd, octets, sizeof(octets), MSG_DONTWAIT);
        if (len >= 0) {
            take_packet(r, octets, (size_t)len);
        } else if (errno == EAGAIN) {
            return;
        } else {
            take_error(r, errno);
        }
    }
}

/* receive_until reads until the time `end_ms`, or until `ask` is answered if it
 * is not PROBE_NUM. */
static void receive_until(run *r, uint64_t end_ms, enum probe_ask ask)
{
    receive(r);
    for (uint64_t now = now_ms();
         now < end_ms && r->num_read < READ_MAX && r->reach == PROBE_REACHED &&
         (ask == PROBE_NUM || r->p->seen[ask].num_answers == 0);
         now = now_ms()) {
        struct pollfd one = {.fd = r->fd, .events = POLLIN};
        (void)poll(&one, 1, (int)(end_ms - now));
        receive(r);
    }
}

static void send_datagram(run *r, const probe_datagram *datagram)
{
    uint8_t octets[MARKER_LEN + PROBE_MESSAGE_MAX] = {0};
    size_t head = r->target->has_marker ? MARKER_LEN : 0;
    memcpy(octets + head, datagram->octets, datagram->len);
    size_t len = head + datagram->len;
    /* The first error may be about an earlier message. */
    if (send(r->fd, octets, len, 0) < 0) {
        take_error(r, errno);
        if (r->reach == PROBE_REACHED && send(r->fd, octets, len, 0) < 0) {
            take_error(r, errno);
        }
    }
}

static void ask_one(run *r, enum probe_ask ask)
{
    probe_datagram datagram;
    receive_until(r, r->pace->next_ms, PROBE_NUM);
    if (r->reach != PROBE_REACHED) {
        return;
    }
    probe_build(r->p, &datagram, ask);
    send_datagram(r, &datagram);
    uint64_t now = now_ms();
    r->pace->next_ms = now + GAP_MS;
    enum wait_kind kind = wait_after(ask);
    if (kind != WAIT_NOT) {
        receive_until(r, now + WAIT_MS, kind == WAIT_FIRST ? ask : PROBE_NUM);
    }
}

enum probe_reach probe_run(probe *p, sentence *why, probe_pace *pace,
                           const probe_target *target)
{
    run r = {.p = p, .why = why, .pace = pace, .target = target};
    r.fd = socket(target->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (r.fd < 0) {
        int error = errno;
        sentence_set(why, "cannot make a socket: %s", describe_error(error));
        return error == EAFNOSUPPORT ? PROBE_UNREACHABLE : PROBE_BROKEN;
    }
    if (connect(r.fd, (const struct sockaddr *)&target->address,
                target->address_len) != 0) {
        take_error(&r, errno);
    }
    for (int ask = 0;
         ask < PROBE_NUM && r.reach == PROBE_REACHED && r.num_read < READ_MAX;
         ask++) {
        if (probe_is_due(p, (enum probe_ask)ask)) {
            ask_one(&r, (enum probe_ask)ask);
        }
    }
    p->is_flooded = r.num_read >= READ_MAX;
    (void)close(r.fd);
    return r.reach;
}

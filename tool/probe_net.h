/* SPDX-License-Identifier: Apache-2.0 */
/* probe_net.h: sends the messages of qcd probe, slowly, and waits for what the
 * gateway answers. */
#ifndef QCD_TOOL_PROBE_NET_H
#define QCD_TOOL_PROBE_NET_H

#include <sys/socket.h>

#include "output.h"
#include "probe.h"

/* probe_target is an address and port to ask.  Nothing goes anywhere else, and
 * what comes from elsewhere is not read. */
typedef struct probe_target {
    struct sockaddr_storage address; /* with the port */
    socklen_t address_len;
    bool has_marker; /* RFC 3948 section 2.2: at port 4500 */
} probe_target;

/* probe_pace keeps all targets of a run together below eleven messages in any
 * second.  It starts all zero. */
typedef struct probe_pace {
    uint64_t next_ms;
} probe_pace;

/* probe_reach is how a run at one target ended. */
enum probe_reach {
    PROBE_REACHED,     /* everything was sent; judge the answers */
    PROBE_CLOSED,      /* the host says that nobody listens at the port */
    PROBE_UNREACHABLE, /* the network says that the host is not there */
    PROBE_BROKEN       /* no socket, or this host cannot send; `why` is set */
};

/* probe_run sends all messages to `target` and records the answers in `p`. */
enum probe_reach probe_run(probe *p, sentence *why, probe_pace *pace,
                           const probe_target *target);

#endif

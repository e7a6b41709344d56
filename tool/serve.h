/* SPDX-License-Identifier: Apache-2.0 */
/* serve.h: serves one text at /metrics by HTTP, on loopback.  Any local user
 * may connect, so everything has a bound: connections, their lifetime, and the
 * size of a request. */
#ifndef QCD_TOOL_SERVE_H
#define QCD_TOOL_SERVE_H

#include <sys/socket.h>

#include "output.h"

/* serve_address is where to listen. */
typedef struct serve_address {
    const char *text; /* as the user wrote it */
    struct sockaddr_storage socket;
    socklen_t len;
} serve_address;

/* serve_read reads "127.0.0.1:9814" or "[::1]:9814".  If it is anything else,
 * or no address of loopback, `why` says so. */
bool serve_read(serve_address *out, const char *text, sentence *why);

/* serve_text returns the text to serve, which is freed after use, or NULL if
 * there is no memory.  One thread at a time calls it. */
typedef char *serve_text(void *user);

/* serve_run serves until the process gets SIGINT or SIGTERM.  It returns false
 * if it cannot listen; `why` says why. */
bool serve_run(const serve_address *address, serve_text *text, void *user,
               sentence *why);

#endif

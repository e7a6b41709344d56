/* SPDX-License-Identifier: Apache-2.0 */
/* client.h: asks the gateway over its UNIX socket.  One line of text goes
 * there; lines of JSON come back, an object each, the first of which tells
 * whether it went well: {"ok":true} or {"ok":false,"error":"..."}.  What comes
 * is bounded in length and in time, whoever sends it. */
#ifndef QCD_TOOL_CLIENT_H
#define QCD_TOOL_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "output.h"

#define CLIENT_LINE_MAX 65536

/* client is a question that was asked.  The answer to one that `is_stream` goes
 * on until nobody reads our standard output any more: CLIENT_END.  That the
 * gateway ends it is a failure. */
typedef struct client {
    int fd;
    bool is_stream;
    const char *socket;
    int64_t deadline_ms; /* of the whole answer */
    size_t total;        /* octets so far */
    size_t len;          /* in `buffer` */
    size_t line;         /* where the next line starts in it */
    char buffer[CLIENT_LINE_MAX];
} client;

enum client_result {
    CLIENT_OK = 0,
    CLIENT_END = 1,    /* the answer is complete */
    CLIENT_ABSENT = 2, /* nobody serves that socket */
    CLIENT_FAILED = 3
};

/* client_ask sends `question` and reads the first line of the answer.
 * client_close in any case.
 *
 *   CLIENT_OK      the gateway does it; client_next gives what it tells
 *   CLIENT_ABSENT  no gateway runs; `why` says so
 *   CLIENT_FAILED  as `why` says, also where the gateway refused */
enum client_result client_ask(client *out, sentence *why, const char *socket,
                              const char *question, bool is_stream);

/* client_next reads the next object, which the caller releases, or NULL.
 *
 *   CLIENT_OK, CLIENT_END, CLIENT_FAILED */
enum client_result client_next(client *c, json_t **out, sentence *why);

void client_close(client *c);

#endif

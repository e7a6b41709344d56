/* SPDX-License-Identifier: Apache-2.0 */
/* client.h: asks the gateway through its UNIX socket.  We send one line of
 * text.  The gateway answers with lines of JSON, one object each.  The first
 * tells whether the request succeeded: {"ok":true} or
 * {"ok":false,"error":"..."}.  The answer is bounded in length and in time,
 * whoever sends it. */
#ifndef QCD_TOOL_CLIENT_H
#define QCD_TOOL_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "output.h"

#define CLIENT_LINE_MAX 65536

/* client is a question that was asked.  If it `is_stream`, its answer continues
 * until nobody reads our standard output any more: CLIENT_END.  It is a failure
 * if the gateway ends it. */
typedef struct client {
    int fd;
    bool is_stream;
    const char *socket;
    int64_t deadline_ms; /* of the whole answer */
    size_t total;        /* octets so far */
    size_t len;          /* in `buffer` */
    size_t line;         /* offset of the next line */
    char buffer[CLIENT_LINE_MAX];
} client;

enum client_result {
    CLIENT_OK = 0,
    CLIENT_END = 1,    /* the answer is complete */
    CLIENT_ABSENT = 2, /* no gateway serves that socket */
    CLIENT_FAILED = 3
};

/* client_ask sends `question` and reads the first line of the answer.  Call
 * client_close in any case.
 *
 *   CLIENT_OK      the gateway accepts; client_next returns the objects
 *   CLIENT_ABSENT  no gateway runs; `why` says so
 *   CLIENT_FAILED  `why` says why; also if the gateway refused */
enum client_result client_ask(client *out, sentence *why, const char *socket,
                              const char *question, bool is_stream);

/* client_ask_within does the same for a caller that waits no longer than
 * `patience_ms` for the whole answer. */
enum client_result client_ask_within(client *out, sentence *why,
                                     const char *socket, const char *question,
                                     int64_t patience_ms);

/* client_next reads the next object, or NULL.  The caller releases it.  It
 * returns CLIENT_OK, CLIENT_END or CLIENT_FAILED. */
enum client_result client_next(client *c, json_t **out, sentence *why);

void client_close(client *c);

#endif

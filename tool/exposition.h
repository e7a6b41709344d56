/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.h: a gateway's answer to "status" as OpenMetrics text.  Whatever
 * is missing or has the wrong type in the answer is missing in the text too. */
#ifndef QCD_TOOL_EXPOSITION_H
#define QCD_TOOL_EXPOSITION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bounds of the label `name`: connections, and octets of a name. */
#define EXPOSITION_CONNECTIONS_MAX 10000
#define EXPOSITION_NAME_MAX 256

#define EXPOSITION_TYPE                                                        \
    "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* connection_metrics is what we count of one connection. */
typedef struct connection_metrics {
    char *label; /* its name, without control characters */
    int64_t ike_sas;
    int64_t tokens_sent;
    int64_t tokens_held;
    int64_t recoveries;    /* under way */
    int64_t last_recovery; /* seconds since 1970, -1 if there was none */
} connection_metrics;

/* exposition collects the objects of an answer. */
typedef struct exposition {
    json_t *gateway; /* NULL if the gateway did not answer */
    json_t *times;
    json_t *places; /* labels, with their places in `connections` */
    connection_metrics *connections;
    size_t num_connections;
    int64_t left_out; /* connections over the bounds */
    bool bad;         /* out of memory */
} exposition;

/* exposition_init prepares an empty one.  Its text says that the gateway does
 * not answer.  Call exposition_free in any case. */
void exposition_init(exposition *e);

/* exposition_take takes the next object of the answer; `user` is the
 * exposition.  The object stays the caller's. */
void exposition_take(void *user, json_t *object);

/* exposition_text returns the whole text, or NULL if there is no memory.  The
 * caller frees it. */
char *exposition_text(const exposition *e);

void exposition_free(exposition *e);

#endif

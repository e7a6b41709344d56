/* SPDX-License-Identifier: Apache-2.0 */
/* sample.h: what the gateway's answer to `status` tells at one time, ordered
 * for a view. */
#ifndef QCD_TOOL_SAMPLE_H
#define QCD_TOOL_SAMPLE_H

#include "answer.h"

/* Most connections, and most recoveries, of a sample.  It bounds the memory
 * that an answer can make us use. */
#define SAMPLE_ROWS_MAX 100000

enum { SAMPLE_CONNECTION_COLUMNS = 6 };

/* sample_failure tells why a sample is useless. */
enum sample_failure {
    SAMPLE_GOOD = 0,
    SAMPLE_NO_MEMORY = 1,
    SAMPLE_TOO_LONG = 2 /* more than SAMPLE_ROWS_MAX rows */
};

/* sample_connection is a connection while the answer is read. */
typedef struct sample_connection sample_connection;

/* sample is an answer.  Both tables begin with their headings.  Recoveries are
 * ordered by name and peer.  Connections that are being recovered come first,
 * then those that are down, then the others, each by name. */
typedef struct sample {
    int64_t at_ms;   /* when the gateway told it, by a monotonic clock */
    int64_t wall_ms; /* the same, since 1970 */
    json_t *gateway; /* NULL if the answer has none */
    table recoveries;
    table connections;
    size_t num_recovering; /* connections */
    size_t num_down;
    size_t num_up;
    enum sample_failure failure;

    /* While the answer is read: */
    sample_connection *rows;
    size_t num_rows;
    size_t cap;
    json_t *index; /* from names to numbers of rows */
} sample;

/* sample_init starts a sample.  Call sample_free in any case. */
void sample_init(sample *out);

/* sample_take adds an object of the answer to the sample at `user`.  Objects of
 * unknown types are ignored.  Failure sticks. */
void sample_take(void *user, json_t *object);

/* sample_end completes the tables and the numbers.  It tells whether the
 * sample is good. */
bool sample_end(sample *s);

void sample_free(sample *s);

/* sample_ask asks the gateway that serves `opts->socket`.  After a failure
 * `why` says what is wrong.  Call sample_free in any case. */
bool sample_ask(sample *out, const options *opts, sentence *why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h: reads the objects of an answer.  A member that is missing or has
 * the wrong type is shown as "-". */
#ifndef QCD_TOOL_ANSWER_H
#define QCD_TOOL_ANSWER_H

#include "client.h"
#include "table.h"
#include "text.h"

/* answer_is tells whether `object` has the type `type`. */
bool answer_is(const json_t *object, const char *type);

/* answer_text adds the member `key`, a string or a number, as a cell. */
void answer_text(table *t, const json_t *object, const char *key);

/* answer_yes adds the member `key`, a boolean, as a cell. */
void answer_yes(table *t, const json_t *object, const char *key);

/* answer_since writes the member `key`, seconds since 1970, as local time. */
void answer_since(char out[TEXT_TIME_MAX], const json_t *object,
                  const char *key);

/* answer_time adds the member `key`, seconds since 1970, as a cell. */
void answer_time(table *t, const json_t *object, const char *key);

enum { ANSWER_RECOVERY_COLUMNS = 5 };
extern const char *const answer_recovery_headings[ANSWER_RECOVERY_COLUMNS];

/* answer_recovery adds a recovery as a row below those headings. */
void answer_recovery(table *t, const json_t *object);

/* answer_each passes the objects of an answer to `take`, with `user`, up to its
 * end. */
enum client_result answer_each(client *c, sentence *why,
                               void (*take)(void *user, json_t *object),
                               void *user);

/* answer_ms returns the time of an event in milliseconds, or -1 if it has
 * none. */
int64_t answer_ms(const json_t *object);

/* answer_run asks `question` and passes each object of the answer to `take`,
 * with `user`.  With --json it prints the objects instead. */
enum client_result answer_run(const options *opts, sentence *why,
                              const char *question,
                              void (*take)(void *user, json_t *object),
                              void *user);

#endif

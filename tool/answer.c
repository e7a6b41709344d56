/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c: reads the objects of an answer. */
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

const char *const answer_recovery_headings[ANSWER_RECOVERY_COLUMNS] = {
    "RECOVERING", "PEER", "TRIES", "NEXT_TRY", "LAST_FAILURE"};

bool answer_is(const json_t *object, const char *type)
{
    const char *is = json_string_value(json_object_get(object, "type"));
    return is != NULL && strcmp(is, type) == 0;
}

void answer_text(table *t, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) {
        table_add(t, json_string_value(value));
        return;
    }
    char number[24];
    (void)snprintf(number, sizeof(number), "%" PRId64,
                   (int64_t)json_integer_value(value));
    table_add(t, number);
}

void answer_yes(table *t, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const char *word = json_is_true(value) ? "yes" : "no";
    table_add(t, json_is_boolean(value) ? word : NULL);
}

/* to_ms converts seconds to milliseconds, or returns -1 if they are not a valid
 * time. */
static int64_t to_ms(int64_t seconds)
{
    return seconds >= 0 && seconds <= INT64_MAX / 1000 ? seconds * 1000 : -1;
}

void answer_since(char out[TEXT_TIME_MAX], const json_t *object,
                  const char *key)
{
    const json_t *value = json_object_get(object, key);
    text_time(out,
              json_is_integer(value) ? to_ms(json_integer_value(value)) : -1,
              false);
}

void answer_time(table *t, const json_t *object, const char *key)
{
    char text[TEXT_TIME_MAX];
    answer_since(text, object, key);
    table_add(t, text);
}

void answer_recovery(table *t, const json_t *object)
{
    json_int_t next_ms = json_integer_value(json_object_get(object, "next_ms"));
    char text[TEXT_TIME_MAX];

    answer_text(t, object, "connection");
    answer_text(t, object, "peer");
    answer_text(t, object, "tries");
    if (json_is_true(json_object_get(object, "waiting"))) {
        (void)snprintf(text, sizeof(text), "waits");
    } else {
        text_duration(text, next_ms / 1000 + (next_ms % 1000 > 0 ? 1 : 0));
    }
    table_add(t, text);
    answer_text(t, object, "last_failure");
}

int64_t answer_ms(const json_t *object)
{
    const json_t *ms = json_object_get(object, "time_ms");
    const json_t *seconds = json_object_get(object, "time");
    double value = json_number_value(seconds);
    if (json_is_integer(ms)) {
        return json_integer_value(ms);
    }
    if (!json_is_number(seconds) || !(value >= 0 && value < 1e15)) {
        return -1;
    }
    return (int64_t)(value * 1000 + 0.5);
}

enum client_result answer_each(client *c, sentence *why,
                               void (*take)(void *user, json_t *object),
                               void *user)
{
    for (;;) {
        json_t *object;
        enum client_result result = client_next(c, &object, why);
        if (result != CLIENT_OK) {
            return result;
        }
        take(user, object);
        json_decref(object);
    }
}

static void print(void *user, json_t *object)
{
    (void)user;
    output_object(object);
}

enum client_result answer_run(const options *opts, sentence *why,
                              const char *question,
                              void (*take)(void *user, json_t *object),
                              void *user)
{
    client c;
    enum client_result result =
        client_ask(&c, why, opts->socket, question, false);
    if (result == CLIENT_OK) {
        output_ok(opts);
        result = answer_each(&c, why, is_json(opts) ? print : take, user);
    }
    client_close(&c);
    return result;
}

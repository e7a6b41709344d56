/* SPDX-License-Identifier: Apache-2.0 */
/* events.c: qcd events, prints events as they happen. */
#include <inttypes.h>
#include <stdio.h>

#include "answer.h"
#include "text.h"

#define SHOWN_MAX (TABLE_CELL_MAX + 1)

/* print_member prints a word and a string of the event, if it has that
 * string. */
static void print_member(const json_t *event, const char *word, const char *key)
{
    const char *value = json_string_value(json_object_get(event, key));
    char safe[SHOWN_MAX];
    if (value != NULL) {
        text_safe(safe, sizeof(safe), value);
        (void)printf("  %s %s", word, safe);
    }
}

static void print_event(const json_t *event)
{
    char when[TEXT_TIME_MAX];
    char what[SHOWN_MAX];
    const char *name = json_string_value(json_object_get(event, "event"));
    text_time(when, answer_ms(event), true);
    text_safe(what, sizeof(what), name != NULL ? name : "-");
    (void)printf("%s  %s", when, what);
    print_member(event, "connection", "connection");
    print_member(event, "peer", "peer");
    print_member(event, "spi_i", "spi_i");
    print_member(event, "spi_r", "spi_r");
    print_member(event, "because", "detail");
    json_int_t num = json_integer_value(json_object_get(event, "suppressed"));
    if (num > 0) {
        (void)printf("  (%" PRId64 " more before)", (int64_t)num);
    }
    (void)putchar('\n');
}

/* follow prints events until nobody reads them or the stream fails. */
static enum client_result follow(client *c, const options *opts, sentence *why)
{
    output_ok(opts);
    for (;;) {
        if (fflush(stdout) != 0) {
            return CLIENT_END; /* output_end reports it */
        }
        json_t *event;
        enum client_result result = client_next(c, &event, why);
        if (result != CLIENT_OK) {
            return result;
        }
        if (is_json(opts)) {
            output_object(event);
        } else if (answer_is(event, "event")) {
            print_event(event);
        }
        json_decref(event);
    }
}

int events_main(const options *opts)
{
    client c;
    sentence why;
    enum client_result result =
        client_ask(&c, &why, opts->socket, "events", true);
    if (result == CLIENT_OK) {
        result = follow(&c, opts, &why);
    }
    client_close(&c);
    return result == CLIENT_END ? TOOL_OK : output_fail(opts, &why);
}

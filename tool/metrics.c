/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c: qcd metrics, prints or serves the gateway's state and counters for
 * Prometheus. */
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "exposition.h"
#include "serve.h"

/* Prometheus gives up after ten seconds unless it is told otherwise.  Before
 * that it should learn that the gateway does not answer. */
#define PATIENCE_MS 8000

/* scrape asks the gateway, and fills `e`. */
static bool scrape(exposition *e, const char *socket, sentence *why)
{
    client c;
    enum client_result result =
        client_ask_within(&c, why, socket, "status", PATIENCE_MS);
    if (result == CLIENT_OK) {
        result = answer_each(&c, why, exposition_take, e);
    }
    client_close(&c);
    if (result == CLIENT_END && e->gateway == NULL) {
        sentence_set(
            why,
            "%s does not answer like a gateway. Check the path of the socket",
            socket);
        return false;
    }
    return result == CLIENT_END;
}

/* ---- Serving ----------------------------------------------------------- */

/* target is the gateway that is asked for each request. */
typedef struct target {
    const char *socket;
    bool failed; /* the last time */
} target;

/* note_change tells that the gateway does not answer, or answers again, once
 * each time. */
static void note_change(target *t, bool failed, const sentence *why)
{
    if (failed && !t->failed) {
        output_note("%s", why->text);
    } else if (!failed && t->failed) {
        output_note("the gateway answers again");
    }
    t->failed = failed;
}

/* text_of returns what a request gets.  If the gateway does not answer, that is
 * what the metrics say. */
static char *text_of(void *user)
{
    target *t = user;
    exposition e;
    sentence why;
    exposition_init(&e);
    bool scraped = scrape(&e, t->socket, &why);
    note_change(t, !scraped, &why);
    if (!scraped) {
        exposition_free(&e);
        exposition_init(&e);
    }
    char *text = exposition_text(&e);
    exposition_free(&e);
    return text;
}

static int serve(const options *opts)
{
    serve_address address;
    sentence why;
    target t = {.socket = opts->socket};
    if (!serve_read(&address, opts->listen, &why)) {
        output_misuse("%s", why.text);
        return TOOL_MISUSE;
    }
    return serve_run(&address, text_of, &t, &why) ? TOOL_OK
                                                  : output_fail(opts, &why);
}

/* ---- Printing ---------------------------------------------------------- */

static int print(const options *opts)
{
    exposition e;
    sentence why;
    exposition_init(&e);
    bool scraped = scrape(&e, opts->socket, &why);
    char *text = scraped ? exposition_text(&e) : NULL;
    if (scraped && text == NULL) {
        sentence_set(&why, "out of memory");
    }
    int code = TOOL_OK;
    if (text != NULL) {
        (void)fputs(text, stdout);
    } else {
        code = output_fail(opts, &why);
    }
    free(text);
    exposition_free(&e);
    return code;
}

int metrics_main(const options *opts)
{
    return (opts->given & OPTION_LISTEN) != 0 ? serve(opts) : print(opts);
}

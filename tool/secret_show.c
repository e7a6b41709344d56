/* SPDX-License-Identifier: Apache-2.0 */
/* secret_show.c: qcd secret show, shows when the secrets were made.  It asks
 * the gateway if that runs, and otherwise reads its folder. */
#include <stdio.h>
#include <time.h>

#include "answer.h"
#include "secret.h"
#include "text.h"

static const char *const headings[] = {"GENERATION", "MADE_AT", "AGE"};

static void add_age(table *t, const json_t *object)
{
    const json_t *made_at = json_object_get(object, "made_at");
    char text[TEXT_TIME_MAX] = "-";
    int64_t now = (int64_t)time(NULL);
    if (json_is_integer(made_at) && json_integer_value(made_at) >= 0 &&
        json_integer_value(made_at) <= now) {
        text_duration(text, now - json_integer_value(made_at));
    }
    table_add(t, text);
}

static void take(void *user, json_t *object)
{
    table *t = user;
    if (answer_is(object, "generation")) {
        answer_text(t, object, "generation");
        answer_time(t, object, "made_at");
        add_age(t, object);
    }
}

/* show_folder prints from the folder what the gateway would answer. */
static enum client_result show_folder(const options *opts, sentence *why,
                                      table *t)
{
    qcd_store_report report;
    qcd_secrets secrets;
    if (!secret_may_use(opts, why)) {
        return CLIENT_FAILED;
    }
    if (qcd_store_peek(&secrets, &report, opts->state_dir) != QCD_STORE_OK) {
        sentence_set(why, "%s", report.text);
        return CLIENT_FAILED;
    }
    output_ok(opts);
    for (size_t i = 0; i < secrets.num_generations; i++) {
        json_t *object =
            json_pack("{s:s, s:i, s:I}", "type", "generation", "generation",
                      (int)i, "made_at", (json_int_t)secrets.made_at[i]);
        if (is_json(opts)) {
            output_object(object);
        } else {
            take(t, object);
        }
        json_decref(object);
    }
    qcd_wipe(&secrets, sizeof(secrets));
    return CLIENT_END;
}

int secret_show_main(const options *opts)
{
    table t;
    sentence why;
    enum client_result result = CLIENT_ABSENT;
    table_init(&t, headings, 3);
    if ((opts->given & OPTION_STATE_DIR) == 0) {
        result = answer_run(opts, &why, "secret-show", take, &t);
    }
    if (result == CLIENT_ABSENT && (opts->given & OPTION_SOCKET) == 0) {
        result = show_folder(opts, &why, &t);
    }
    if (result == CLIENT_END && t.bad) {
        sentence_set(&why, "out of memory");
        result = CLIENT_FAILED;
    }
    if (result == CLIENT_END && !is_json(opts)) {
        table_print(&t, "");
    }
    table_free(&t);
    return result == CLIENT_END ? TOOL_OK : output_fail(opts, &why);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: qcd status, shows the gateway, its connections and their tokens. */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "text.h"

/* view is the gateway's answer, as tables. */
typedef struct view {
    table gateway;
    sentence maker_error; /* "" if there is none */
    sentence map_error;
    table connections;
    table sas;
    table recoveries;
} view;

static const char *const connection_headings[] = {"CONNECTION", "STATE",
                                                  "IKE_SAS", "LAST_RECOVERY"};
static const char *const sa_headings[] = {
    "CONNECTION", "ID",         "STATE",         "LOCAL", "REMOTE", "SENT",
    "HELD",       "GENERATION", "LAST_RECOVERY", "SPI_I", "SPI_R"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* take_member shows a member of the gateway's object under its own name.  So
 * members that later versions add are shown as well. */
static void take_member(table *t, const json_t *object, const char *key,
                        const json_t *value)
{
    char text[TEXT_TIME_MAX];
    char name[32];
    (void)snprintf(name, sizeof(name), "%s", key);
    for (char *c = strchr(name, '_'); c != NULL; c = strchr(c, '_')) {
        *c = ' ';
    }
    if (strcmp(key, "newest_age") == 0) {
        text_duration(text,
                      json_is_integer(value) ? json_integer_value(value) : -1);
        table_add(t, "newest secret");
        table_add(t, text);
        return;
    }
    bool is_role = strcmp(key, "maker") == 0 || strcmp(key, "taker") == 0;
    (void)snprintf(text, sizeof(text), "%s%s", is_role ? "token " : "", name);
    table_add(t, text);
    if (json_is_boolean(value)) {
        table_add(t, json_is_true(value) ? "on" : "off");
    } else {
        answer_text(t, object, key);
    }
}

/* take_errors takes what is too long for a table. */
static void take_errors(view *v, const json_t *object)
{
    char text[512];
    char since[TEXT_TIME_MAX];
    const char *error =
        json_string_value(json_object_get(object, "maker_error"));
    if (error != NULL) {
        text_safe(text, sizeof(text), error);
        sentence_set(&v->maker_error, "The token maker is off: %s", text);
    }
    error = json_string_value(json_object_get(object, "map_error"));
    if (error != NULL) {
        text_safe(text, sizeof(text), error);
        answer_since(since, object, "map_error_since");
        sentence_set(&v->map_error,
                     "The SA map can't be written since %s, so after a crash "
                     "ESP of newer child SAs gets no reply: %s",
                     since, text);
    }
}

static void take_gateway(view *v, json_t *object)
{
    /* The age of the newest secret says the same as the time. */
    static const char *const others[] = {"type", "newest_made_at",
                                         "maker_error", "map_error",
                                         "map_error_since"};
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool is_other = false;
        for (size_t i = 0; i < COUNT(others); i++) {
            is_other = is_other || strcmp(key, others[i]) == 0;
        }
        if (!is_other) {
            take_member(&v->gateway, object, key, value);
        }
    }
    take_errors(v, object);
}

static void take_sa(table *t, const json_t *object)
{
    answer_text(t, object, "connection");
    answer_text(t, object, "id");
    answer_text(t, object, "state");
    answer_text(t, object, "local");
    answer_text(t, object, "remote");
    answer_yes(t, object, "token_sent");
    answer_yes(t, object, "token_held");
    answer_text(t, object, "generation");
    answer_time(t, object, "last_recovery");
    answer_text(t, object, "spi_i");
    answer_text(t, object, "spi_r");
}

static void take(void *user, json_t *object)
{
    view *v = user;
    if (answer_is(object, "gateway")) {
        take_gateway(v, object);
    } else if (answer_is(object, "connection")) {
        answer_text(&v->connections, object, "name");
        answer_text(&v->connections, object, "state");
        answer_text(&v->connections, object, "ike_sas");
        answer_time(&v->connections, object, "last_recovery");
    } else if (answer_is(object, "sa")) {
        take_sa(&v->sas, object);
    } else if (answer_is(object, "recovery")) {
        answer_recovery(&v->recoveries, object);
    }
}

static void print_error(const sentence *error)
{
    if (error->text[0] != '\0') {
        (void)printf("\n%s\n", error->text);
    }
}

static void print(const view *v)
{
    (void)puts("gateway");
    table_print(&v->gateway, "  ");
    print_error(&v->maker_error);
    print_error(&v->map_error);
    (void)puts("");
    table_print(&v->connections, "");
    if (v->sas.num_cells > v->sas.num_columns) {
        (void)puts("");
        table_print(&v->sas, "");
    }
    if (v->recoveries.num_cells > v->recoveries.num_columns) {
        (void)puts("");
        table_print(&v->recoveries, "");
    }
}

int status_main(const options *opts)
{
    view v = {.maker_error = {""}, .map_error = {""}};
    sentence why;
    table_init(&v.gateway, NULL, 2);
    table_init(&v.connections, connection_headings, COUNT(connection_headings));
    table_init(&v.sas, sa_headings, COUNT(sa_headings));
    table_init(&v.recoveries, answer_recovery_headings,
               ANSWER_RECOVERY_COLUMNS);
    int code = TOOL_OK;
    if (answer_run(opts, &why, "status", take, &v) != CLIENT_END) {
        code = output_fail(opts, &why);
    } else if (v.gateway.bad || v.connections.bad || v.sas.bad ||
               v.recoveries.bad) {
        sentence_set(&why, "out of memory");
        code = output_fail(opts, &why);
    } else if (!is_json(opts)) {
        print(&v);
    }
    table_free(&v.gateway);
    table_free(&v.connections);
    table_free(&v.sas);
    table_free(&v.recoveries);
    return code;
}

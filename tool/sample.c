/* SPDX-License-Identifier: Apache-2.0 */
/* sample.c: what the gateway tells at one time, ordered for a view. */
#include "sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "text.h"

static const char *const headings[SAMPLE_CONNECTION_COLUMNS] = {
    "CONNECTION", "STATE", "IKE_SAS", "SENT", "HELD", "LAST_RECOVERY"};

/* rank orders connections: those that need attention come first. */
enum rank {
    RANK_RECOVERING = 0,
    RANK_DOWN = 1,
    RANK_UP = 2,
    RANK_UNKNOWN = 3,
    NUM_RANKS = 4
};

struct sample_connection {
    json_t *told; /* its object, or NULL if only its IKE SAs were told */
    char *name;
    bool is_recovering;
    size_t num_sas;
    size_t num_sent; /* IKE SAs whose peer holds a token */
    size_t num_held; /* IKE SAs of whose peer we hold a token */
};

void sample_init(sample *out)
{
    *out = (sample){.at_ms = clock_ms(CLOCK_MONOTONIC),
                    .wall_ms = clock_ms(CLOCK_REALTIME),
                    .index = json_object()};
    if (out->index == NULL) {
        out->failure = SAMPLE_NO_MEMORY;
    }
    table_init(&out->recoveries, answer_recovery_headings,
               ANSWER_RECOVERY_COLUMNS);
    table_init(&out->connections, headings, SAMPLE_CONNECTION_COLUMNS);
}

/* ---- Reading ----------------------------------------------------------- */

static void fail(sample *s, enum sample_failure failure)
{
    s->failure = s->failure == SAMPLE_GOOD ? failure : s->failure;
}

static bool make_room(sample *s)
{
    if (s->num_rows < s->cap) {
        return true;
    }
    size_t cap = s->cap == 0 ? 64 : 2 * s->cap;
    sample_connection *rows = reallocarray(s->rows, cap, sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    s->rows = rows;
    s->cap = cap;
    return true;
}

static sample_connection *add_row(sample *s, const char *name)
{
    if (s->num_rows == SAMPLE_ROWS_MAX) {
        fail(s, SAMPLE_TOO_LONG);
        return NULL;
    }
    char *copy = make_room(s) ? strdup(name) : NULL;
    if (copy == NULL ||
        json_object_set_new(s->index, name,
                            json_integer((json_int_t)s->num_rows)) != 0) {
        free(copy);
        fail(s, SAMPLE_NO_MEMORY);
        return NULL;
    }
    sample_connection *row = &s->rows[s->num_rows++];
    *row = (sample_connection){.name = copy};
    return row;
}

/* row_of returns the row that a member of `object` names, and adds it if it is
 * missing.  It returns NULL without a name, and after a failure. */
static sample_connection *row_of(sample *s, const json_t *object,
                                 const char *key)
{
    const char *name = json_string_value(json_object_get(object, key));
    if (name == NULL) {
        return NULL;
    }
    const json_t *number = json_object_get(s->index, name);
    return number != NULL ? &s->rows[json_integer_value(number)]
                          : add_row(s, name);
}

static void take_connection(sample *s, json_t *object)
{
    sample_connection *row = row_of(s, object, "name");
    if (row != NULL && row->told == NULL) {
        row->told = json_incref(object);
    }
}

static void take_sa(sample *s, const json_t *object)
{
    sample_connection *row = row_of(s, object, "connection");
    if (row != NULL) {
        row->num_sas++;
        row->num_sent += json_is_true(json_object_get(object, "token_sent"));
        row->num_held += json_is_true(json_object_get(object, "token_held"));
    }
}

static size_t num_rows_of(const table *t)
{
    return t->num_cells / t->num_columns;
}

static void take_recovery(sample *s, const json_t *object)
{
    if (num_rows_of(&s->recoveries) > SAMPLE_ROWS_MAX) {
        fail(s, SAMPLE_TOO_LONG);
        return;
    }
    sample_connection *row = row_of(s, object, "connection");
    if (row != NULL) {
        row->is_recovering = true;
    }
    answer_recovery(&s->recoveries, object);
}

void sample_take(void *user, json_t *object)
{
    sample *s = user;
    if (s->failure != SAMPLE_GOOD) {
        return;
    }
    if (answer_is(object, "gateway") && s->gateway == NULL) {
        s->gateway = json_incref(object);
        s->at_ms = clock_ms(CLOCK_MONOTONIC);
    } else if (answer_is(object, "connection")) {
        take_connection(s, object);
    } else if (answer_is(object, "sa")) {
        take_sa(s, object);
    } else if (answer_is(object, "recovery")) {
        take_recovery(s, object);
    }
}

/* ---- Ordering ---------------------------------------------------------- */

static enum rank rank_of(const sample_connection *row)
{
    const char *state = json_string_value(json_object_get(row->told, "state"));
    if (row->is_recovering) {
        return RANK_RECOVERING;
    }
    if (state != NULL && strcmp(state, "down") == 0) {
        return RANK_DOWN;
    }
    return state != NULL && strcmp(state, "up") == 0 ? RANK_UP : RANK_UNKNOWN;
}

static int compare_connections(const void *one, const void *other)
{
    const sample_connection *a = one;
    const sample_connection *b = other;
    int ranks = (int)rank_of(a) - (int)rank_of(b);
    return ranks != 0 ? ranks : strcmp(a->name, b->name);
}

/* compare_recoveries compares two rows of cells. */
static int compare_recoveries(const void *one, const void *other)
{
    char *const *a = one;
    char *const *b = other;
    int names = strcmp(a[0], b[0]);
    return names != 0 ? names : strcmp(a[1], b[1]);
}

/* add_share shows how many of the IKE SAs of a connection have something. */
static void add_share(table *t, size_t num, size_t num_sas)
{
    char text[48];
    if (num_sas == 0) {
        table_add(t, NULL);
    } else if (num == 0 || num == num_sas) {
        table_add(t, num == 0 ? "no" : "yes");
    } else {
        (void)snprintf(text, sizeof(text), "%zu of %zu", num, num_sas);
        table_add(t, text);
    }
}

static void add_connection(table *t, const sample_connection *row)
{
    table_add(t, row->name);
    answer_text(t, row->told, "state");
    answer_text(t, row->told, "ike_sas");
    add_share(t, row->num_sent, row->num_sas);
    add_share(t, row->num_held, row->num_sas);
    answer_time(t, row->told, "last_recovery");
}

/* forget releases what only the reading needs. */
static void forget(sample *s)
{
    for (size_t i = 0; i < s->num_rows; i++) {
        json_decref(s->rows[i].told);
        free(s->rows[i].name);
    }
    free(s->rows);
    json_decref(s->index);
    s->rows = NULL;
    s->num_rows = 0;
    s->cap = 0;
    s->index = NULL;
}

bool sample_end(sample *s)
{
    size_t counts[NUM_RANKS] = {0};
    if (s->num_rows > 0) {
        qsort(s->rows, s->num_rows, sizeof(*s->rows), compare_connections);
    }
    for (size_t i = 0; s->failure == SAMPLE_GOOD && i < s->num_rows; i++) {
        counts[rank_of(&s->rows[i])]++;
        add_connection(&s->connections, &s->rows[i]);
    }
    s->num_recovering = counts[RANK_RECOVERING];
    s->num_down = counts[RANK_DOWN];
    s->num_up = counts[RANK_UP];
    forget(s);
    if (s->recoveries.bad || s->connections.bad) {
        fail(s, SAMPLE_NO_MEMORY);
        return false;
    }
    qsort(s->recoveries.cells + ANSWER_RECOVERY_COLUMNS,
          num_rows_of(&s->recoveries) - 1,
          ANSWER_RECOVERY_COLUMNS * sizeof(char *), compare_recoveries);
    return s->failure == SAMPLE_GOOD;
}

void sample_free(sample *s)
{
    forget(s);
    table_free(&s->recoveries);
    table_free(&s->connections);
    json_decref(s->gateway);
    *s = (sample){0};
}

/* ---- Asking ------------------------------------------------------------ */

bool sample_ask(sample *out, const options *opts, sentence *why)
{
    sample_init(out);
    if (answer_run(opts, why, "status", sample_take, out) != CLIENT_END) {
        return false;
    }
    if (sample_end(out)) {
        return true;
    }
    if (out->failure == SAMPLE_TOO_LONG) {
        sentence_set(why,
                     "the gateway has more than %d connections, too many to "
                     "show. Use: qcd status",
                     SAMPLE_ROWS_MAX);
    } else {
        sentence_set(why, "out of memory");
    }
    return false;
}

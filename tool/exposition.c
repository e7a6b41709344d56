/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.c: collects a gateway's answer to "status" for its metrics. */
#include "exposition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX (4 * EXPOSITION_NAME_MAX + 1)

void exposition_init(exposition *e)
{
    memset(e, 0, sizeof(*e));
    e->places = json_object();
    e->bad = e->places == NULL;
}

void exposition_free(exposition *e)
{
    json_decref(e->gateway);
    json_decref(e->times);
    json_decref(e->places);
    for (size_t i = 0; i < e->num_connections; i++) {
        free(e->connections[i].label);
    }
    free(e->connections);
    memset(e, 0, sizeof(*e));
}

static bool is_type(const json_t *object, const char *type)
{
    const char *is = json_string_value(json_object_get(object, "type"));
    return is != NULL && strcmp(is, type) == 0;
}

/* grow makes room for another connection. */
static bool grow(exposition *e)
{
    size_t num = e->num_connections;
    if ((num & (num - 1)) != 0) {
        return true; /* the room is a power of two, and not full */
    }
    size_t room = num == 0 ? 1 : 2 * num;
    connection_metrics *larger =
        realloc(e->connections, room * sizeof(e->connections[0]));
    if (larger == NULL) {
        return false;
    }
    e->connections = larger;
    return true;
}

/* add_connection adds a connection that has no metrics yet. */
static connection_metrics *add_connection(exposition *e, const char *label)
{
    char *copy = strdup(label);
    if (copy == NULL || !grow(e) ||
        json_object_set_new(e->places, label,
                            json_integer((json_int_t)e->num_connections)) !=
            0) {
        free(copy);
        e->bad = true;
        return NULL;
    }
    connection_metrics *added = &e->connections[e->num_connections++];
    *added = (connection_metrics){.label = copy, .last_recovery = -1};
    return added;
}

/* is_control tells whether a control character of UTF-8 begins at `in`, or is
 * continued there. */
static bool is_control(const char *in, const char *start)
{
    unsigned char c = (unsigned char)*in;
    unsigned char before = in > start ? (unsigned char)in[-1] : 0;
    if (c == 0xc2) { /* U+0080 to U+009F are control characters as well */
        return (unsigned char)in[1] < 0xa0;
    }
    return (c < 0x20 && c != '\n') || c == 0x7f || (before == 0xc2 && c < 0xa0);
}

/* label_of writes the label of a name, in which no character controls a
 * terminal.  The end of a line is no danger: write_label escapes it. */
static void label_of(char out[LABEL_MAX], const char *name)
{
    size_t len = 0;
    for (const char *in = name; *in != '\0'; in++) {
        if (is_control(in, name)) {
            (void)snprintf(out + len, 5, "\\x%02x", (unsigned char)*in);
            len += 4;
        } else {
            out[len++] = *in;
        }
    }
    out[len] = '\0';
}

/* connection_of returns the connection that the member `key` names, or NULL if
 * it is over the bounds. */
static connection_metrics *connection_of(exposition *e, const json_t *object,
                                         const char *key)
{
    const char *name = json_string_value(json_object_get(object, key));
    if (name == NULL || strlen(name) > EXPOSITION_NAME_MAX) {
        return NULL;
    }
    char label[LABEL_MAX];
    label_of(label, name);
    const json_t *place = json_object_get(e->places, label);
    if (place != NULL) {
        return &e->connections[json_integer_value(place)];
    }
    return e->num_connections < EXPOSITION_CONNECTIONS_MAX
               ? add_connection(e, label)
               : NULL;
}

static void take_connection(exposition *e, const json_t *object)
{
    connection_metrics *connection = connection_of(e, object, "name");
    if (connection == NULL) {
        e->left_out++;
        return;
    }
    const json_t *recovery = json_object_get(object, "last_recovery");
    connection->last_recovery =
        json_is_integer(recovery) ? json_integer_value(recovery) : -1;
}

static void take_sa(exposition *e, const json_t *object)
{
    connection_metrics *connection = connection_of(e, object, "connection");
    if (connection == NULL) {
        return;
    }
    connection->ike_sas++;
    connection->tokens_sent +=
        json_is_true(json_object_get(object, "token_sent"));
    connection->tokens_held +=
        json_is_true(json_object_get(object, "token_held"));
}

void exposition_take(void *user, json_t *object)
{
    exposition *e = user;
    if (is_type(object, "gateway") && e->gateway == NULL) {
        e->gateway = json_incref(object);
    } else if (is_type(object, "recovery_times") && e->times == NULL) {
        e->times = json_incref(object);
    } else if (is_type(object, "connection")) {
        take_connection(e, object);
    } else if (is_type(object, "sa")) {
        take_sa(e, object);
    } else if (is_type(object, "recovery")) {
        connection_metrics *connection = connection_of(e, object, "connection");
        if (connection != NULL) {
            connection->recoveries++;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_text.c: writes the metrics as OpenMetrics text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exposition.h"

#define PREFIX "ipsec_qcd_"
#define LIMITS_MAX 64 /* of the histogram */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* family is the head of a metric. */
typedef struct family {
    const char *name; /* without the prefix */
    const char *type;
    const char *unit; /* the end of the name, or NULL */
    const char *help; /* needs no escape */
} family;

/* The members of the gateway's object that are metrics of their own, each under
 * its name in "qcd status --json". */
static const struct {
    const char *member;
    family head;
} members[] = {
    {"maker",
     {"maker", "gauge", NULL,
      "Whether the gateway gives tokens to its peers."}},
    {"taker",
     {"taker", "gauge", NULL,
      "Whether the gateway keeps the tokens of its peers."}},
    {"esp",
     {"esp", "gauge", NULL,
      "Whether the gateway sees ESP and AH of lost SAs."}},
    {"announce",
     {"announce", "gauge", NULL,
      "Whether the gateway announces lost SAs without being asked."}},
    {"map",
     {"map", "gauge", NULL,
      "Whether the SA map can be written, so that after a crash ESP of all "
      "lost "
      "SAs gets a reply."}},
    {"run",
     {"run", "gauge", NULL,
      "How often the gateway was started with its present sealing key."}},
    {"generations",
     {"generations", "gauge", NULL, "Secrets that the gateway has."}},
    {"newest_made_at",
     {"newest_secret_timestamp_seconds", "gauge", "seconds",
      "When the newest secret was made."}},
    {"waiting",
     {"waiting_peers", "gauge", NULL,
      "Peers that will be told later that their IKE SA is lost."}},
    {"lost_children",
     {"lost_children", "gauge", NULL,
      "Child SAs that were lost in a crash and not replaced yet."}},
    {"announced",
     {"announced", "counter", NULL,
      "Announcements sent since the daemon was started."}},
};

/* The members that count events, in the order of the plugin. */
static const char *const events[] = {
    "told",      "limited",    "no_evidence", "alive",     "esp_passed_over",
    "verified",  "mismatched", "unknown",     "unchecked", "retrying",
    "recovered", "abandoned",  "rotated"};

static const family up_head = {"up", "gauge", NULL,
                               "Whether the gateway answered."};
static const family events_head = {
    "events", "counter", NULL,
    "Events since the daemon was started, by the names of qcd-events(8)."};
static const family times_head = {
    "recovery_duration_seconds", "histogram", "seconds",
    "Time from the proof of a crash until the connection was up again."};
static const family left_out_head = {
    "connections_left_out", "gauge", NULL,
    "Connections without metrics of their own, since there are too many or "
    "their names are too long."};

/* The metrics of each connection. */
enum { UP, IKE_SAS, TOKENS_SENT, TOKENS_HELD, RECOVERIES, LAST_RECOVERY };
static const family connection_heads[] = {
    [UP] = {"connection_up", "gauge", NULL,
            "Whether the connection has an IKE SA."},
    [IKE_SAS] = {"connection_ike_sas", "gauge", NULL,
                 "IKE SAs of the connection."},
    [TOKENS_SENT] = {"connection_tokens_sent", "gauge", NULL,
                     "IKE SAs whose peer holds a token of this gateway."},
    [TOKENS_HELD] = {"connection_tokens_held", "gauge", NULL,
                     "IKE SAs for which this gateway holds a token."},
    [RECOVERIES] = {"connection_recoveries", "gauge", NULL,
                    "Recoveries under way."},
    [LAST_RECOVERY] = {"connection_last_recovery_timestamp_seconds", "gauge",
                       "seconds",
                       "When the connection was last up again after "
                       "a crash of the peer."},
};

/* number_of returns the member `key`, a boolean or an integer, or -1 if it is
 * neither.  No metric of ours is negative: negative numbers are left out. */
static int64_t number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_boolean(value)) {
        return json_is_true(value) ? 1 : 0;
    }
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void write_head(FILE *out, const family *head)
{
    (void)fprintf(out, "# TYPE " PREFIX "%s %s\n", head->name, head->type);
    if (head->unit != NULL) {
        (void)fprintf(out, "# UNIT " PREFIX "%s %s\n", head->name, head->unit);
    }
    (void)fprintf(out, "# HELP " PREFIX "%s %s\n", head->name, head->help);
}

/* write_gauge writes a metric without labels. */
static void write_gauge(FILE *out, const family *head, int64_t value)
{
    write_head(out, head);
    bool is_counter = strcmp(head->type, "counter") == 0;
    (void)fprintf(out, PREFIX "%s%s %" PRId64 "\n", head->name,
                  is_counter ? "_total" : "", value);
}

static void write_members(FILE *out, const json_t *gateway)
{
    for (size_t i = 0; i < COUNT(members); i++) {
        int64_t value = number_of(gateway, members[i].member);
        if (value >= 0) {
            write_gauge(out, &members[i].head, value);
        }
    }
}

static void write_events(FILE *out, const json_t *gateway)
{
    write_head(out, &events_head);
    for (size_t i = 0; i < COUNT(events); i++) {
        int64_t value = number_of(gateway, events[i]);
        if (value >= 0) {
            (void)fprintf(out, PREFIX "%s_total{event=\"%s\"} %" PRId64 "\n",
                          events_head.name, events[i], value);
        }
    }
}

/* write_seconds writes milliseconds as seconds: "0.025", "1.0". */
static void write_seconds(FILE *out, int64_t ms)
{
    char digits[8];
    (void)snprintf(digits, sizeof(digits), "%03d", (int)(ms % 1000));
    size_t len = 3;
    while (len > 1 && digits[len - 1] == '0') {
        len--;
    }
    (void)fprintf(out, "%" PRId64 ".%.*s", ms / 1000, (int)len, digits);
}

/* item returns an item of an array, or -1 if it is no number. */
static int64_t item(const json_t *array, size_t i)
{
    const json_t *value = json_array_get(array, i);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* is_histogram tells whether limits grow, and counts never fall, as a histogram
 * needs. */
static bool is_histogram(const json_t *limits, const json_t *within,
                         int64_t count)
{
    size_t num = json_array_size(limits);
    if (num == 0 || num > LIMITS_MAX || json_array_size(within) != num) {
        return false;
    }
    int64_t limit = -1;
    int64_t before = 0;
    for (size_t i = 0; i < num; i++) {
        if (item(limits, i) <= limit || item(within, i) < before) {
            return false;
        }
        limit = item(limits, i);
        before = item(within, i);
    }
    return before <= count;
}

static void write_times(FILE *out, const json_t *times)
{
    const json_t *limits = json_object_get(times, "limits_ms");
    const json_t *within = json_object_get(times, "within");
    int64_t count = number_of(times, "count");
    int64_t sum = number_of(times, "sum_ms");
    if (sum < 0 || !is_histogram(limits, within, count)) {
        return;
    }
    write_head(out, &times_head);
    for (size_t i = 0; i < json_array_size(limits); i++) {
        (void)fprintf(out, PREFIX "%s_bucket{le=\"", times_head.name);
        write_seconds(out, item(limits, i));
        (void)fprintf(out, "\"} %" PRId64 "\n", item(within, i));
    }
    (void)fprintf(out, PREFIX "%s_bucket{le=\"+Inf\"} %" PRId64 "\n",
                  times_head.name, count);
    (void)fprintf(out, PREFIX "%s_count %" PRId64 "\n", times_head.name, count);
    (void)fprintf(out, PREFIX "%s_sum ", times_head.name);
    write_seconds(out, sum);
    (void)fputc('\n', out);
}

/* write_label writes the value of a label, which is UTF-8, with the escapes of
 * OpenMetrics. */
static void write_label(FILE *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            (void)fputs("\\n", out);
            continue;
        }
        if (*value == '\\' || *value == '"') {
            (void)fputc('\\', out);
        }
        (void)fputc(*value, out);
    }
}

/* value_of returns what a metric says about a connection, or -1 for
 * nothing. */
static int64_t value_of(const connection_metrics *connection, size_t metric)
{
    switch (metric) {
    case UP:
        return connection->ike_sas > 0;
    case IKE_SAS:
        return connection->ike_sas;
    case TOKENS_SENT:
        return connection->tokens_sent;
    case TOKENS_HELD:
        return connection->tokens_held;
    case RECOVERIES:
        return connection->recoveries;
    default:
        return connection->last_recovery;
    }
}

static void write_connections(FILE *out, const exposition *e, size_t metric)
{
    const family *head = &connection_heads[metric];
    write_head(out, head);
    for (size_t i = 0; i < e->num_connections; i++) {
        int64_t value = value_of(&e->connections[i], metric);
        if (value < 0) {
            continue;
        }
        (void)fprintf(out, PREFIX "%s{name=\"", head->name);
        write_label(out, e->connections[i].label);
        (void)fprintf(out, "\"} %" PRId64 "\n", value);
    }
}

static void write_all(FILE *out, const exposition *e)
{
    write_gauge(out, &up_head, e->gateway != NULL);
    if (e->gateway != NULL) {
        write_members(out, e->gateway);
        write_events(out, e->gateway);
        write_times(out, e->times);
        write_gauge(out, &left_out_head, e->left_out);
        for (size_t i = 0; i < COUNT(connection_heads); i++) {
            write_connections(out, e, i);
        }
    }
    (void)fputs("# EOF\n", out);
}

char *exposition_text(const exposition *e)
{
    char *text = NULL;
    size_t len;
    FILE *out = e->bad ? NULL : open_memstream(&text, &len);
    if (out == NULL) {
        return NULL;
    }
    write_all(out, e);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (failed) {
        free(text);
        return NULL;
    }
    return text;
}

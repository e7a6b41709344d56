/* SPDX-License-Identifier: Apache-2.0 */
/* test_exposition.c: tool/exposition.c and tool/exposition_text.c. */
#include "test.h"

#include <stdio.h>

#include "exposition.h"

/* text_of returns the text of an answer, which is lines of JSON. */
static char *text_of(const char *const *lines, size_t num_lines)
{
    exposition e;
    exposition_init(&e);
    for (size_t i = 0; i < num_lines; i++) {
        json_t *object = json_loads(lines[i], 0, NULL);
        assert_non_null(object);
        exposition_take(&e, object);
        json_decref(object);
    }
    char *text = exposition_text(&e);
    assert_non_null(text);
    exposition_free(&e);
    return text;
}

/* has_line tells whether `line`, without its end, is a line of `text`. */
static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = strstr(text, line); at != NULL;
         at = strstr(at + 1, line)) {
        if ((at == text || at[-1] == '\n') && at[len] == '\n') {
            return true;
        }
    }
    return false;
}

/* ---- A whole answer ---------------------------------------------------- */

static const char *const whole[] = {
    "{\"type\":\"gateway\",\"maker\":true,\"taker\":false,\"node\":3,\"run\":"
    "57,"
    "\"generations\":2,\"newest_age\":9,\"newest_made_at\":1700000000,"
    "\"waiting\":1,\"esp\":true,\"announce\":false,\"lost_children\":4,"
    "\"map\":true,"
    "\"announced\":5,\"told\":6,\"limited\":7,\"no_evidence\":8,\"alive\":9,"
    "\"esp_passed_over\":10,\"verified\":11,\"mismatched\":12,\"unknown\":13,"
    "\"unchecked\":14,\"retrying\":15,\"recovered\":16,\"abandoned\":17,"
    "\"rotated\":18,\"later\":19}",
    "{\"type\":\"recovery_times\",\"limits_ms\":[10,1000],\"within\":[1,2],"
    "\"count\":3,\"sum_ms\":61050}",
    "{\"type\":\"sa\",\"connection\":\"berlin\",\"token_sent\":true,"
    "\"token_held\":false}",
    "{\"type\":\"sa\",\"connection\":\"berlin\",\"token_sent\":true,"
    "\"token_held\":true}",
    "{\"type\":\"connection\",\"name\":\"paris\",\"last_recovery\":1700000007}",
    "{\"type\":\"connection\",\"name\":\"berlin\"}",
    "{\"type\":\"recovery\",\"connection\":\"paris\"}",
    "{\"type\":\"later\",\"name\":\"rome\"}",
};

/* Heads are in the next test: only samples are compared here. */
static const char whole_samples[] =
    "ipsec_qcd_up 1\n"
    "ipsec_qcd_maker 1\n"
    "ipsec_qcd_taker 0\n"
    "ipsec_qcd_esp 1\n"
    "ipsec_qcd_announce 0\n"
    "ipsec_qcd_map 1\n"
    "ipsec_qcd_run 57\n"
    "ipsec_qcd_generations 2\n"
    "ipsec_qcd_newest_secret_timestamp_seconds 1700000000\n"
    "ipsec_qcd_waiting_peers 1\n"
    "ipsec_qcd_lost_children 4\n"
    "ipsec_qcd_announced_total 5\n"
    "ipsec_qcd_events_total{event=\"told\"} 6\n"
    "ipsec_qcd_events_total{event=\"limited\"} 7\n"
    "ipsec_qcd_events_total{event=\"no_evidence\"} 8\n"
    "ipsec_qcd_events_total{event=\"alive\"} 9\n"
    "ipsec_qcd_events_total{event=\"esp_passed_over\"} 10\n"
    "ipsec_qcd_events_total{event=\"verified\"} 11\n"
    "ipsec_qcd_events_total{event=\"mismatched\"} 12\n"
    "ipsec_qcd_events_total{event=\"unknown\"} 13\n"
    "ipsec_qcd_events_total{event=\"unchecked\"} 14\n"
    "ipsec_qcd_events_total{event=\"retrying\"} 15\n"
    "ipsec_qcd_events_total{event=\"recovered\"} 16\n"
    "ipsec_qcd_events_total{event=\"abandoned\"} 17\n"
    "ipsec_qcd_events_total{event=\"rotated\"} 18\n"
    "ipsec_qcd_recovery_duration_seconds_bucket{le=\"0.01\"} 1\n"
    "ipsec_qcd_recovery_duration_seconds_bucket{le=\"1.0\"} 2\n"
    "ipsec_qcd_recovery_duration_seconds_bucket{le=\"+Inf\"} 3\n"
    "ipsec_qcd_recovery_duration_seconds_count 3\n"
    "ipsec_qcd_recovery_duration_seconds_sum 61.05\n"
    "ipsec_qcd_connections_left_out 0\n"
    "ipsec_qcd_connection_up{name=\"berlin\"} 1\n"
    "ipsec_qcd_connection_up{name=\"paris\"} 0\n"
    "ipsec_qcd_connection_ike_sas{name=\"berlin\"} 2\n"
    "ipsec_qcd_connection_ike_sas{name=\"paris\"} 0\n"
    "ipsec_qcd_connection_tokens_sent{name=\"berlin\"} 2\n"
    "ipsec_qcd_connection_tokens_sent{name=\"paris\"} 0\n"
    "ipsec_qcd_connection_tokens_held{name=\"berlin\"} 1\n"
    "ipsec_qcd_connection_tokens_held{name=\"paris\"} 0\n"
    "ipsec_qcd_connection_recoveries{name=\"berlin\"} 0\n"
    "ipsec_qcd_connection_recoveries{name=\"paris\"} 1\n"
    "ipsec_qcd_connection_last_recovery_timestamp_seconds{name=\"paris\"} "
    "1700000007\n";

/* drop_heads removes the lines that begin with '#'. */
static void drop_heads(char *text)
{
    char *out = text;
    for (char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n") + 1;
        if (*line != '#') {
            memmove(out, line, len);
            out += len;
        }
        line += len;
    }
    *out = '\0';
}

static void test_whole(void **state)
{
    (void)state;
    char *text = text_of(whole, NUM_ROWS(whole));
    drop_heads(text);
    assert_string_equal(text, whole_samples);
    free(text);
}

static void test_heads(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "# TYPE ipsec_qcd_up gauge",
        "# TYPE ipsec_qcd_events counter",
        "# TYPE ipsec_qcd_announced counter",
        "# TYPE ipsec_qcd_recovery_duration_seconds histogram",
        "# UNIT ipsec_qcd_recovery_duration_seconds seconds",
        "# HELP ipsec_qcd_up Whether the gateway answered.",
        "# UNIT ipsec_qcd_newest_secret_timestamp_seconds seconds",
    };
    char *text = text_of(whole, NUM_ROWS(whole));
    for (size_t i = 0; i < NUM_ROWS(lines); i++) {
        CHECK(lines[i], has_line(text, lines[i]));
    }
    assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
    assert_ptr_equal(strstr(text, "# EOF"), text + strlen(text) - 6);
    free(text);
}

static void test_no_answer(void **state)
{
    (void)state;
    static const char want[] = "# TYPE ipsec_qcd_up gauge\n"
                               "# HELP ipsec_qcd_up Whether the gateway "
                               "answered.\nipsec_qcd_up 0\n# EOF\n";
    static const char *const other[] = {
        "{\"type\":\"connection\",\"name\":\"x\"}"};
    char *text = text_of(NULL, 0);
    assert_string_equal(text, want);
    free(text);
    text = text_of(other, 1);
    assert_string_equal(text, want);
    free(text);
}

/* ---- Names ------------------------------------------------------------- */

#define A16 "aaaaaaaaaaaaaaaa"
#define A255                                                                   \
    A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16                \
        "aaaaaaaaaaaaaaa"

static const struct {
    const char *row;
    const char *name;  /* in JSON */
    const char *label; /* NULL if it is left out */
} name_rows[] = {
    {"plain", "gw-1_a.b", "gw-1_a.b"},
    {"empty", "", ""},
    {"quote", "a\\\"b", "a\\\"b"},
    {"backslash", "a\\\\b", "a\\\\b"},
    {"end of a line", "a\\nb", "a\\nb"},
    {"end of the label", "x\\\"} 1\\n", "x\\\"} 1\\n"},
    {"braces, hash", "{#}", "{#}"},
    {"UTF-8", "z\xc3\xbcrich", "z\xc3\xbcrich"},
    {"longest UTF-8", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
    {"first of ASCII that is none", "\\u001f", "\\\\x1f"},
    {"return, escape", "\\r\\u001b[2J", "\\\\x0d\\\\x1b[2J"},
    {"delete", "\\u007f", "\\\\x7f"},
    {"first C1 control", "\\u0080", "\\\\xc2\\\\x80"},
    {"last C1 control", "\\u009f", "\\\\xc2\\\\x9f"},
    {"after C1", "\\u00a0", "\xc2\xa0"},
    {"octets of C1 in another", "\xc3\x9f", "\xc3\x9f"},
    {"255 octets", A255, A255},
    {"256 octets", A255 "b", A255 "b"},
    {"257 octets", A255 "bc", NULL},
    {"256 octets, cut in UTF-8", A255 "\xc3\xbc", NULL},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(name_rows); i++) {
        char object[512];
        char line[512];
        const char *lines[] = {"{\"type\":\"gateway\"}", object};
        (void)snprintf(object, sizeof(object),
                       "{\"type\":\"connection\",\"name\":\"%s\"}",
                       name_rows[i].name);
        char *text = text_of(lines, 2);
        bool shown = name_rows[i].label != NULL;
        (void)snprintf(line, sizeof(line),
                       "ipsec_qcd_connection_up{name=\"%s\"} 0",
                       shown ? name_rows[i].label : name_rows[i].name);
        CHECK(name_rows[i].row, has_line(text, line) == shown);
        CHECK(name_rows[i].row,
              has_line(text, "ipsec_qcd_connections_left_out 0") == shown);
        free(text);
    }
}

/* No name has two series: Prometheus would refuse all of them. */
static void test_same_names(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"type\":\"gateway\"}",
        "{\"type\":\"connection\",\"name\":\"a\"}",
        "{\"type\":\"connection\",\"name\":\"a\"}",
        "{\"type\":\"connection\",\"name\":\"\\u001b\"}",
        "{\"type\":\"connection\",\"name\":\"\\\\x1b\"}",
        "{\"type\":\"gateway\",\"told\":1}",
    };
    char *text = text_of(lines, NUM_ROWS(lines));
    drop_heads(text);
    const char *first = strstr(text, "ipsec_qcd_connection_up{");
    assert_non_null(first);
    const char *second = strstr(first + 1, "ipsec_qcd_connection_up{");
    assert_non_null(second);
    assert_null(strstr(second + 1, "ipsec_qcd_connection_up{"));
    assert_null(strstr(text, "told"));
    free(text);
}

static void test_many_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int num;
        int left_out;
    } rows[] = {
        {"the most", EXPOSITION_CONNECTIONS_MAX, 0},
        {"one more", EXPOSITION_CONNECTIONS_MAX + 1, 1},
        {"many more", 3 * EXPOSITION_CONNECTIONS_MAX,
         2 * EXPOSITION_CONNECTIONS_MAX},
    };
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        exposition e;
        exposition_init(&e);
        json_t *object = json_pack("{s:s}", "type", "gateway");
        exposition_take(&e, object);
        json_decref(object);
        for (int j = 0; j < rows[i].num; j++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "c%d", j);
            object = json_pack("{s:s,s:s}", "type", "connection", "name", name);
            exposition_take(&e, object);
            json_decref(object);
        }
        char *text = exposition_text(&e);
        char line[64];
        (void)snprintf(line, sizeof(line), "ipsec_qcd_connections_left_out %d",
                       rows[i].left_out);
        CHECK(rows[i].name, has_line(text, line));
        CHECK(rows[i].name,
              has_line(text, "ipsec_qcd_connection_up{name=\"c9999\"} 0"));
        CHECK(rows[i].name, strstr(text, "\"c10000\"") == NULL);
        CHECK_INT(rows[i].name, e.num_connections, EXPOSITION_CONNECTIONS_MAX);
        free(text);
        exposition_free(&e);
    }
}

/* ---- What no plugin says ----------------------------------------------- */

#define TIMES "{\"type\":\"recovery_times\","

static const struct {
    const char *name;
    const char *object;
    const char *want;   /* a line, or NULL */
    const char *absent; /* part of a line, or NULL */
} hostile_rows[] = {
    {"no type", "{}", NULL, NULL},
    {"type is a number", "{\"type\":7}", NULL, NULL},
    {"negative counter", "{\"type\":\"gateway\",\"told\":-1}", NULL,
     "\"told\""},
    {"real counter", "{\"type\":\"gateway\",\"told\":1.5}", NULL, "\"told\""},
    {"text", "{\"type\":\"gateway\",\"told\":\"1\\n2\"}", NULL, "\"told\""},
    {"null", "{\"type\":\"gateway\",\"run\":null}", NULL, "_run "},
    {"largest number", "{\"type\":\"gateway\",\"run\":9223372036854775807}",
     "ipsec_qcd_run 9223372036854775807", NULL},
    {"role as a number", "{\"type\":\"gateway\",\"maker\":1}",
     "ipsec_qcd_maker 1", NULL},
    {"no name", "{\"type\":\"connection\"}", "ipsec_qcd_connections_left_out 1",
     "{name"},
    {"name is an array", "{\"type\":\"connection\",\"name\":[]}",
     "ipsec_qcd_connections_left_out 1", "{name"},
    {"SA without a connection", "{\"type\":\"sa\",\"token_sent\":true}", NULL,
     "{name"},
    {"negative time",
     "{\"type\":\"connection\",\"name\":\"a\",\"last_recovery\":-5}", NULL,
     "recovery_timestamp_seconds{"},
    {"token sent as a number",
     "{\"type\":\"sa\",\"connection\":\"a\",\"token_sent\":7}",
     "ipsec_qcd_connection_tokens_sent{name=\"a\"} 0", NULL},
    {"no times", TIMES "\"count\":0,\"sum_ms\":0}", NULL, "duration"},
    {"no limit",
     TIMES "\"limits_ms\":[],\"within\":[],\"count\":0,\"sum_ms\":0}", NULL,
     "duration"},
    {"one limit",
     TIMES "\"limits_ms\":[0],\"within\":[0],\"count\":0,\"sum_ms\":0}",
     "ipsec_qcd_recovery_duration_seconds_bucket{le=\"0.0\"} 0", NULL},
    {"fewer counts",
     TIMES "\"limits_ms\":[1,2],\"within\":[1],\"count\":1,\"sum_ms\":1}", NULL,
     "duration"},
    {"limits are equal",
     TIMES "\"limits_ms\":[1,1],\"within\":[1,1],\"count\":1,\"sum_ms\":1}",
     NULL, "duration"},
    {"counts fall",
     TIMES "\"limits_ms\":[1,2],\"within\":[2,1],\"count\":2,\"sum_ms\":1}",
     NULL, "duration"},
    {"count below the last",
     TIMES "\"limits_ms\":[1],\"within\":[2],\"count\":1,\"sum_ms\":1}", NULL,
     "duration"},
    {"negative limit",
     TIMES "\"limits_ms\":[-1],\"within\":[1],\"count\":1,\"sum_ms\":1}", NULL,
     "duration"},
    {"negative count",
     TIMES "\"limits_ms\":[1],\"within\":[-1],\"count\":1,\"sum_ms\":1}", NULL,
     "duration"},
    {"negative sum",
     TIMES "\"limits_ms\":[1],\"within\":[1],\"count\":1,\"sum_ms\":-1}", NULL,
     "duration"},
    {"limit is text",
     TIMES "\"limits_ms\":[\"1\"],\"within\":[1],\"count\":1,\"sum_ms\":1}",
     NULL, "duration"},
    {"limits are no array",
     TIMES "\"limits_ms\":{\"a\":1},\"within\":[1],\"count\":1,\"sum_ms\":1}",
     NULL, "duration"},
    {"largest sum",
     TIMES "\"limits_ms\":[9223372036854775807],\"within\":[1],\"count\":1,"
           "\"sum_ms\":9223372036854775807}",
     "ipsec_qcd_recovery_duration_seconds_sum 9223372036854775.807", NULL},
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(hostile_rows); i++) {
        /* The row's object comes first, in case it is a gateway. */
        const char *lines[] = {hostile_rows[i].object,
                               "{\"type\":\"gateway\"}"};
        char *text = text_of(lines, 2);
        CHECK(hostile_rows[i].name, hostile_rows[i].want == NULL ||
                                        has_line(text, hostile_rows[i].want));
        CHECK(hostile_rows[i].name,
              hostile_rows[i].absent == NULL ||
                  strstr(text, hostile_rows[i].absent) == NULL);
        CHECK(hostile_rows[i].name, has_line(text, "ipsec_qcd_up 1"));
        free(text);
    }
}

/* limits_of writes a histogram with that many limits. */
static void limits_of(char *out, size_t cap, int num)
{
    json_t *limits = json_array();
    json_t *within = json_array();
    for (int i = 0; i < num; i++) {
        json_array_append_new(limits, json_integer(i));
        json_array_append_new(within, json_integer(1));
    }
    json_t *times = json_pack("{s:s,s:o,s:o,s:i,s:i}", "type", "recovery_times",
                              "limits_ms", limits, "within", within, "count", 1,
                              "sum_ms", 1);
    size_t len = json_dumpb(times, out, cap - 1, 0);
    assert_in_range(len, 1, cap - 1);
    out[len] = '\0';
    json_decref(times);
}

static void test_many_limits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int num;
        bool shown;
    } rows[] = {{"64", 64, true}, {"65", 65, false}};
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        char object[2200];
        const char *lines[] = {object, "{\"type\":\"gateway\"}"};
        limits_of(object, sizeof(object), rows[i].num);
        char *text = text_of(lines, 2);
        CHECK(rows[i].name,
              (strstr(text, "duration") != NULL) == rows[i].shown);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),      cmocka_unit_test(test_heads),
        cmocka_unit_test(test_no_answer),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_same_names), cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_many_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_sample.c: tool/sample.c. */
#include "test.h"

#include <stdio.h>

#include "sample.h"

#define ROW_MAX 512

/* take gives a sample an object in JSON. */
static void take(sample *s, const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    sample_take(s, object);
    json_decref(object);
}

/* rows_of writes a table's rows: cells with '|' between, rows with '\n'. */
static void rows_of(char out[ROW_MAX], const table *t)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = t->num_columns; i < t->num_cells; i++) {
        bool is_last = (i + 1) % t->num_columns == 0;
        len += (size_t)snprintf(out + len, ROW_MAX - len, "%s%s", t->cells[i],
                                is_last ? "\n" : "|");
        assert_true(len < ROW_MAX);
    }
}

#define UP(name)                                                               \
    "{\"type\":\"connection\",\"name\":\"" name                                \
    "\",\"state\":\"up\",\"ike_sas\":1}"
#define DOWN(name)                                                             \
    "{\"type\":\"connection\",\"name\":\"" name                                \
    "\",\"state\":\"down\",\"ike_sas\":0}"
#define SA(name, sent, held)                                                   \
    "{\"type\":\"sa\",\"connection\":\"" name "\",\"token_sent\":" sent        \
    ",\"token_held\":" held "}"
#define RECOVERY(name, peer)                                                   \
    "{\"type\":\"recovery\",\"connection\":\"" name "\",\"peer\":\"" peer      \
    "\",\"tries\":2,\"next_ms\":1001,\"last_failure\":\"no reply\","           \
    "\"waiting\":false}"

#define OBJECTS_MAX 6

static const struct {
    const char *name;
    const char *objects[OBJECTS_MAX];
    const char *connections;
    const char *recoveries;
    size_t num_recovering, num_down, num_up;
} rows[] = {
    {"nothing", {NULL}, "", "", 0, 0, 0},
    {"unknown type", {"{\"type\":\"later\"}", "{}"}, "", "", 0, 0, 0},
    {"by state, then by name",
     {UP("a"), DOWN("z"), UP("B"), DOWN("c")},
     "c|down|0|-|-|-\nz|down|0|-|-|-\nB|up|1|-|-|-\na|up|1|-|-|-\n",
     "",
     0,
     2,
     2},
    {"recovering first, counted once, whatever comes first",
     {DOWN("a"), RECOVERY("c", "p"), UP("c"), DOWN("d"), RECOVERY("d", "p")},
     "c|up|1|-|-|-\nd|down|0|-|-|-\na|down|0|-|-|-\n",
     "c|p|2|2s|no reply\nd|p|2|2s|no reply\n",
     2,
     1,
     0},
    {"recoveries by name, then by peer",
     {RECOVERY("b", "1"), RECOVERY("a", "2"), RECOVERY("a", "1")},
     "a|-|-|-|-|-\nb|-|-|-|-|-\n",
     "a|1|2|2s|no reply\na|2|2|2s|no reply\nb|1|2|2s|no reply\n",
     2,
     0,
     0},
    {"tokens of one IKE SA",
     {SA("a", "true", "false"), UP("a")},
     "a|up|1|yes|no|-\n",
     "",
     0,
     0,
     1},
    {"tokens of several",
     {UP("a"), SA("a", "true", "false"), SA("a", "false", "true"),
      SA("a", "true", "false")},
     "a|up|1|2 of 3|1 of 3|-\n",
     "",
     0,
     0,
     1},
    {"IKE SA of a connection that is not loaded",
     {SA("a", "true", "true")},
     "a|-|-|yes|yes|-\n",
     "",
     0,
     0,
     0},
    {"no name, or not a string",
     {"{\"type\":\"connection\"}", "{\"type\":\"connection\",\"name\":7}",
      "{\"type\":\"sa\",\"connection\":[]}"},
     "",
     "",
     0,
     0,
     0},
    {"the first of two of a name",
     {UP("a"), DOWN("a")},
     "a|up|1|-|-|-\n",
     "",
     0,
     0,
     1},
    {"members of wrong types",
     {"{\"type\":\"connection\",\"name\":\"a\",\"state\":1,\"ike_sas\":{}}",
      "{\"type\":\"sa\",\"connection\":\"a\",\"token_sent\":1}"},
     "a|1|-|no|no|-\n",
     "",
     0,
     0,
     0},
    {"the longest time and the most tries",
     {"{\"type\":\"recovery\",\"tries\":9223372036854775807,"
      "\"next_ms\":9223372036854775807}"},
     "",
     "-|-|9223372036854775807|106751991167d 7h|-\n",
     0,
     0,
     0},
    {"waits",
     {"{\"type\":\"recovery\",\"connection\":\"a\",\"waiting\":true}"},
     "a|-|-|-|-|-\n",
     "a|-|-|waits|-\n",
     1,
     0,
     0},
    {"name that steers a terminal",
     {UP("\\u001b[2J")},
     "\\x1b[2J|up|1|-|-|-\n",
     "",
     0,
     0,
     1},
};

static void test_sample(void **state)
{
    (void)state;
    char text[ROW_MAX];
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        sample s;
        sample_init(&s);
        for (size_t k = 0; k < OBJECTS_MAX && rows[i].objects[k]; k++) {
            take(&s, rows[i].objects[k]);
        }
        CHECK(rows[i].name, sample_end(&s));
        rows_of(text, &s.connections);
        CHECK(rows[i].name, strcmp(text, rows[i].connections) == 0);
        rows_of(text, &s.recoveries);
        CHECK(rows[i].name, strcmp(text, rows[i].recoveries) == 0);
        CHECK_INT(rows[i].name, s.num_recovering, rows[i].num_recovering);
        CHECK_INT(rows[i].name, s.num_down, rows[i].num_down);
        CHECK_INT(rows[i].name, s.num_up, rows[i].num_up);
        sample_free(&s);
    }
}

static void test_first_gateway(void **state)
{
    (void)state;
    sample s;
    sample_init(&s);
    assert_null(s.gateway);
    take(&s, "{\"type\":\"gateway\",\"run\":1}");
    take(&s, "{\"type\":\"gateway\",\"run\":2}");
    assert_true(sample_end(&s));
    assert_int_equal(json_integer_value(json_object_get(s.gateway, "run")), 1);
    sample_free(&s);
}

/* fill gives a sample `num` objects, each of another connection. */
static void fill(sample *s, const char *type, const char *key, int num)
{
    char name[16];
    for (int i = 0; i < num; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        json_t *object = json_pack("{s:s, s:s}", "type", type, key, name);
        assert_non_null(object);
        sample_take(s, object);
        json_decref(object);
    }
}

static void test_most_rows(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *key;
    } kinds[] = {{"connection", "name"},
                 {"sa", "connection"},
                 {"recovery", "connection"}};
    for (size_t i = 0; i < NUM_ROWS(kinds); i++) {
        sample s;
        sample_init(&s);
        fill(&s, kinds[i].type, kinds[i].key, SAMPLE_ROWS_MAX);
        CHECK(kinds[i].type, sample_end(&s));
        sample_free(&s);
        sample_init(&s);
        fill(&s, kinds[i].type, kinds[i].key, SAMPLE_ROWS_MAX + 1);
        CHECK(kinds[i].type, !sample_end(&s));
        CHECK_INT(kinds[i].type, s.failure, SAMPLE_TOO_LONG);
        sample_free(&s);
    }
    sample s;
    sample_init(&s);
    for (int i = 0; i <= SAMPLE_ROWS_MAX; i++) { /* all of one connection */
        fill(&s, "recovery", "connection", 1);
    }
    assert_false(sample_end(&s));
    assert_int_equal(s.failure, SAMPLE_TOO_LONG);
    sample_free(&s);
}

static void test_free_at_any_time(void **state)
{
    (void)state;
    sample s;
    sample_init(&s);
    take(&s, UP("a"));
    take(&s, RECOVERY("b", "p"));
    sample_free(&s);
    sample_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_first_gateway),
        cmocka_unit_test(test_most_rows),
        cmocka_unit_test(test_free_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* test_view.c: tool/view.c. */
#include "test.h"

#include <stdio.h>
#include <time.h>

#include "view.h"

#define SCREEN_MAX ((size_t)60 * VIEW_LINE_MAX)

static char got[SCREEN_MAX];

static void take(sample *s, const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    sample_take(s, object);
    json_decref(object);
}

/* begin starts a sample of the moment `at_ms`, one of 2023. */
static void begin(sample *s, int64_t at_ms, const char *gateway)
{
    sample_init(s);
    take(s, gateway);
    s->at_ms = at_ms;
    s->wall_ms = 1700000000000;
}

static void add_connection(sample *s, const char *name, const char *state)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "{\"type\":\"connection\",\"name\":\"%s\","
                   "\"state\":\"%s\",\"ike_sas\":%d}",
                   name, state, strcmp(state, "up") == 0);
    take(s, text);
}

static void add_recovery(sample *s, const char *name, const char *failure)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{\"type\":\"recovery\",\"connection\":\"%s\","
                   "\"peer\":\"10.0.0.2[4500]\",\"tries\":2,\"next_ms\":9000,"
                   "\"waiting\":false,\"last_failure\":\"%s\"}",
                   name, failure);
    take(s, text);
}

/* draw writes the whole screen into `got`, each line without the blanks at its
 * end, and checks that it is printable and narrow enough. */
static void draw(view *v, size_t width, size_t height)
{
    char text[VIEW_LINE_MAX];
    size_t len = 0;
    v->width = width;
    v->height = height;
    view_lay(v);
    for (size_t y = 0; y < height; y++) {
        dirty(text, sizeof(text));
        (void)view_line(v, y, text);
        assert_true(memchr(text, '\0', sizeof(text)) != NULL);
        assert_true(strlen(text) <= width);
        for (const char *c = text; *c != '\0'; c++) {
            assert_true(*c >= ' ' && *c <= '~');
        }
        for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--) {
            text[n - 1] = '\0';
        }
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%s\n", text);
        assert_true(len < sizeof(got));
    }
}

/* line_of returns line `y` of what was drawn. */
static const char *line_of(size_t y)
{
    static char text[VIEW_LINE_MAX];
    const char *line = got;
    for (; y > 0; y--) {
        line = strchr(line, '\n') + 1;
    }
    (void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\n"), line);
    return text;
}

#define GATEWAY                                                                \
    "{\"type\":\"gateway\",\"maker\":true,\"taker\":false,\"node\":3,"         \
    "\"run\":57,\"generations\":2,\"newest_age\":273600,\"waiting\":1,"        \
    "\"esp\":true,\"announce\":false,\"lost_children\":4,\"announced\":5,"     \
    "\"told\":99,\"limited\":1,\"no_evidence\":1134,\"alive\":0,"              \
    "\"esp_passed_over\":6,\"verified\":7,\"mismatched\":2,\"unchecked\":8,"   \
    "\"retrying\":9,\"recovered\":4,\"abandoned\":10}"

#define EARLIER                                                                \
    "{\"type\":\"gateway\",\"run\":57,\"announced\":5,\"told\":94,"            \
    "\"limited\":1,\"no_evidence\":1134,\"alive\":1,\"verified\":6}"

static void fill(sample *s)
{
    begin(s, 4000, GATEWAY);
    add_connection(s, "berlin", "up");
    add_connection(s, "a-long-name", "down");
    add_connection(s, "rome", "down");
    take(s, "{\"type\":\"sa\",\"connection\":\"berlin\",\"token_sent\":true,"
            "\"token_held\":false}");
    add_recovery(s, "rome", "the peer does not answer");
    assert_true(sample_end(s));
}

static const char screen_80_24[] =
    "1 down, 1 recovering, 1 up                             "
    "2023-11-14T22:13:20+00:00\n"
    "token maker on  token taker off  node 3  run 57  generations 2\n"
    "waiting 1  lost children 4  esp on  announce off  newest secret 3d 4h\n"
    "\n"
    "                 a second        total                   a second        "
    "total\n"
    "told                  2.5           99  verified              0.5"
    "            7\n"
    "announced             0.0            5  mismatched              -"
    "            2\n"
    "limited               0.0            1  unchecked               -"
    "            8\n"
    "no evidence           0.0         1134  retrying                -"
    "            9\n"
    "alive                   -            0  recovered               -"
    "            4\n"
    "esp passed over         -            6  abandoned               -"
    "           10\n"
    "\n"
    "RECOVERING  PEER            TRIES  NEXT_TRY  LAST_FAILURE\n"
    "rome        10.0.0.2[4500]  2      9s        the peer does not answer\n"
    "\n"
    "CONNECTION   STATE  IKE_SAS  SENT  HELD  LAST_RECOVERY\n"
    "rome         down   0        -     -     -\n"
    "a-long-name  down   0        -     -     -\n"
    "berlin       up     1        yes   no    -\n"
    "\n\n\n\n"
    "1-7 of 7 lines   q quits   arrows, PgUp, PgDn, Home, End scroll\n";

static const char screen_20_5[] = "1 down, 1 recovering\n"
                                  "RECOVERING  PEER\n"
                                  "rome        10.0.0.2\n"
                                  "\n"
                                  "CONNECTION  STATE  I\n";

static void test_screens(void **state)
{
    (void)state;
    sample before, now;
    begin(&before, 2000, EARLIER);
    assert_true(sample_end(&before));
    fill(&now);
    view v = {.now = &now, .before = &before};
    draw(&v, 80, 24);
    assert_string_equal(got, screen_80_24);
    draw(&v, 20, 5);
    assert_string_equal(got, screen_20_5);
    draw(&v, 200, 50);
    assert_string_equal(line_of(18),
                        "berlin       up     1        yes   no    -");
    assert_non_null(strstr(line_of(0), " 2023-11-14T22:13:20+00:00"));
    assert_int_equal(strlen(line_of(0)), 200);
    draw(&v, 77, 24); /* the counters one below the other */
    assert_string_equal(line_of(16), "abandoned               -           10");
    draw(&v, 80, 17); /* no counters */
    assert_string_equal(line_of(4), "RECOVERING  PEER            TRIES  "
                                    "NEXT_TRY  LAST_FAILURE");
    sample_free(&before);
    sample_free(&now);
}

/* test_all_sizes draws every small size; draw checks each line. */
static void test_all_sizes(void **state)
{
    (void)state;
    sample now;
    fill(&now);
    view v = {.now = &now};
    for (size_t width = 0; width < 100; width++) {
        for (size_t height = 0; height < 40; height++) {
            for (int k = 0; k < 2; k++) {
                v.trouble = k == 0 ? NULL : "no\x1b[2J \xff gateway";
                v.top = 1000;
                draw(&v, width, height);
                bool is_small =
                    width < VIEW_WIDTH_MIN || height < VIEW_HEIGHT_MIN;
                bool is_told =
                    strncmp(got, "terminal", width < 8 ? width : 8) == 0;
                assert_true(height == 0 || width == 0 || is_small == is_told);
            }
        }
    }
    draw(&v, 5000, 3); /* wider than a line can be */
    sample_free(&now);
}

static void test_styles(void **state)
{
    (void)state;
    static const enum view_style want[24] = {
        [0] = VIEW_REVERSE, [4] = VIEW_BOLD,  [12] = VIEW_BOLD,
        [15] = VIEW_BOLD,   [16] = VIEW_BOLD, [17] = VIEW_BOLD};
    char text[VIEW_LINE_MAX];
    sample now;
    fill(&now);
    view v = {.now = &now, .width = 80, .height = 24};
    view_lay(&v);
    for (size_t y = 0; y < 24; y++) {
        (void)snprintf(got, sizeof(got), "line %zu", y);
        CHECK_INT(got, view_line(&v, y, text), want[y]);
    }
    sample_free(&now);
}

static void test_no_connections(void **state)
{
    (void)state;
    sample now;
    begin(&now, 0, "{\"type\":\"gateway\"}");
    assert_true(sample_end(&now));
    view v = {.now = &now, .top = 7};
    draw(&v, 80, 24);
    assert_memory_equal(got, "no connections  ", 16);
    assert_string_equal(line_of(1), "token maker -  token taker -  node -  "
                                    "run -  generations -");
    assert_string_equal(line_of(12), "CONNECTION  STATE  IKE_SAS  SENT  HELD  "
                                     "LAST_RECOVERY");
    assert_string_equal(line_of(13), "");
    assert_int_equal(v.top, 0);
    sample_free(&now);

    sample_init(&now); /* not even a gateway */
    assert_true(sample_end(&now));
    draw(&v, 80, 24);
    sample_free(&now);
}

static const struct {
    const char *name;
    const char *before;
    const char *now;
    int64_t ms;
    const char *trouble;
    const char *rate;
    const char *total;
} rate_rows[] = {
    {"grew", "{\"told\":10}", "{\"told\":13}", 2000, NULL, "1.5", "13"},
    {"same", "{\"told\":10}", "{\"told\":10}", 2000, NULL, "0.0", "10"},
    {"went back", "{\"told\":10}", "{\"told\":9}", 2000, NULL, "-", "9"},
    {"another run", "{\"run\":1,\"told\":10}", "{\"run\":2,\"told\":13}", 2000,
     NULL, "-", "13"},
    {"no time between", "{\"told\":10}", "{\"told\":13}", 0, NULL, "-", "13"},
    {"not current", "{\"told\":10}", "{\"told\":13}", 2000, "gone", "-", "13"},
    {"new counter", "{}", "{\"told\":13}", 2000, NULL, "-", "13"},
    {"old counter", "{\"told\":13}", "{}", 2000, NULL, "-", "-"},
    {"not a number", "{\"told\":1}",
     ", "
     "{\"told\":\"2\"}",
     2000, NULL, "-", "-"},
    {"12 digits", "{}", "{\"told\":999999999999}", 2000, NULL, "-",
     "999999999999"},
    {"13 digits", "{}", "{\"told\":1000000000000}", 2000, NULL, "-",
     "1.000e+12"},
    {"fast", "{\"told\":0}", "{\"told\":19999998}", 2000, NULL, "9999999.0",
     "19999998"},
    {"faster", "{\"told\":0}", "{\"told\":20000000}", 2000, NULL, "1.00e+07",
     "20000000"},
    {"the largest leap", "{\"told\":-9223372036854775808}",
     "{\"told\":9223372036854775807}", 1, NULL, "1.84e+22", "9.223e+18"},
    {"negative", "{}", "{\"told\":-99999999999}", 2000, NULL, "-",
     "-99999999999"},
};

static void test_rates(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rate_rows); i++) {
        char want[64];
        sample before, now;
        sample_init(&before);
        sample_init(&now);
        before.gateway = json_loads(rate_rows[i].before, 0, NULL);
        now.gateway = json_loads(rate_rows[i].now, 0, NULL);
        now.at_ms = before.at_ms + rate_rows[i].ms;
        assert_true(sample_end(&before) && sample_end(&now));
        view v = {
            .now = &now, .before = &before, .trouble = rate_rows[i].trouble};
        draw(&v, 40, 24);
        const char *line = line_of(5);
        (void)snprintf(want, sizeof(want), "told%21s%13s", rate_rows[i].rate,
                       rate_rows[i].total);
        CHECK(rate_rows[i].name, strcmp(line, want) == 0);
        sample_free(&before);
        sample_free(&now);
    }
}

static void test_trouble(void **state)
{
    (void)state;
    sample now;
    fill(&now);
    view v = {.now = &now,
              .trouble = "no gateway serves /run/x\x1b[2J",
              .age_ms = 64999};
    draw(&v, 80, 24);
    assert_string_equal(line_of(0), "no answer for 1m 4s; before: 1 down, "
                                    "1 recovering, 1 up");
    assert_string_equal(line_of(1), "no gateway serves /run/x\\x1b[2J");
    assert_string_equal(line_of(16), "rome         down   0        -     -     "
                                     "-");
    draw(&v, 40, 5);
    assert_string_equal(line_of(1), "no gateway serves /run/x\\x1b[2J");
    sample_free(&now);
}

static void test_narrow_cells(void **state)
{
    (void)state;
    sample now;
    begin(&now, 0, GATEWAY);
    add_connection(&now,
                   "a-name-that-is-as-long-as-it-must-be-to-be-shortened-"
                   "in-any-terminal-of-eighty-columns",
                   "up");
    add_recovery(&now, "another-long-name-of-thirty-three",
                 "the peer refused: NO_PROPOSAL_CHOSEN, for the fourth time");
    assert_true(sample_end(&now));
    view v = {.now = &now};
    draw(&v, 80, 12);
    assert_string_equal(line_of(5),
                        "another-long-name-of-~  10.0.0.2[4500]  2      9s"
                        "        the peer refused: NO_P~");
    assert_int_equal(strlen(line_of(5)), 80);
    assert_string_equal(line_of(9),
                        "a-name-that-is-as-long-as-it-must-be~  up  "
                        "   1        -     -     -");
    draw(&v, 20, 12);
    assert_string_equal(line_of(5), "another-l~  10.0.0.2");
    sample_free(&now);
}

/* test_scrolling goes through both tables line by line: the topmost line is
 * always the heading of what follows. */
static void test_scrolling(void **state)
{
    (void)state;
    static const struct {
        size_t top;
        const char *first;
        const char *second;
    } scroll_rows[] = {
        {0, "RECOVERING", "r0"},    {1, "RECOVERING", "r1"},
        {2, "RECOVERING", "r2"},    {3, "RECOVERING", ""},
        {4, "", "CONNECTION"},      {5, "CONNECTION", "r0"},
        {6, "CONNECTION", "r1"},    {9, "CONNECTION", "c1"},
        {12, "CONNECTION", "c4"},   {13, "CONNECTION", "c4"},
        {1000, "CONNECTION", "c4"},
    };
    char name[8];
    sample now;
    begin(&now, 0, GATEWAY);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        add_recovery(&now, name, "");
    }
    for (int i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        add_connection(&now, name, "up");
    }
    assert_true(sample_end(&now));
    for (size_t i = 0; i < NUM_ROWS(scroll_rows); i++) {
        view v = {.now = &now, .top = scroll_rows[i].top};
        (void)snprintf(name, sizeof(name), "%zu", scroll_rows[i].top);
        draw(&v, 40, 10); /* a room of five lines */
        CHECK_INT(name, strcspn(line_of(4), " "), strlen(scroll_rows[i].first));
        CHECK(name, strstr(line_of(4), scroll_rows[i].first) != NULL);
        CHECK_INT(name, strcspn(line_of(5), " "),
                  strlen(scroll_rows[i].second));
        CHECK(name, strstr(line_of(5), scroll_rows[i].second) != NULL);
    }
    sample_free(&now);
}

static void test_many(void **state)
{
    (void)state;
    char name[16];
    sample now;
    begin(&now, 0, GATEWAY);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "c%04d", i);
        add_connection(&now, name, i % 100 == 0 ? "down" : "up");
    }
    assert_true(sample_end(&now));
    view v = {.now = &now};
    draw(&v, 80, 24);
    assert_memory_equal(got, "100 down, 0 recovering, 9900 up ", 32);
    assert_string_equal(line_of(13), "c0000       down   0        -     -     "
                                     "-");
    assert_memory_equal(line_of(23), "1-11 of 10001 lines ", 20);
    v.top = 1000000;
    draw(&v, 80, 24);
    assert_string_equal(line_of(22), "c9999       up     1        -     -     "
                                     "-");
    assert_memory_equal(line_of(23), "9991-10001 of 10001 lines ", 26);
    sample_free(&now);
}

static int use_utc(void **state)
{
    (void)state;
    (void)setenv("TZ", "UTC0", 1);
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screens),
        cmocka_unit_test(test_all_sizes),
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_no_connections),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_narrow_cells),
        cmocka_unit_test(test_scrolling),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}

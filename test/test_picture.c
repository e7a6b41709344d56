/* SPDX-License-Identifier: Apache-2.0 */
/* test_picture.c: tool/picture.c. */
#include "test.h"

#include "picture.h"

/* gcc takes a local variable for what open_memstream fills. */
static char *drawn;
static size_t drawn_len;

/* draw returns a picture, which the caller frees. */
static char *draw(const char *title, const picture_lane *lanes, size_t num,
                  size_t total)
{
    FILE *out = open_memstream(&drawn, &drawn_len);
    assert_non_null(out);
    picture_draw(out, title, lanes, num, total);
    assert_int_equal(fclose(out), 0);
    return drawn;
}

static size_t count(const char *text, const char *part)
{
    size_t num = 0;
    for (const char *p = strstr(text, part); p != NULL;
         p = strstr(p + 1, part)) {
        num++;
    }
    return num;
}

static const picture_lane recovery = {
    .title = "b showed a a token",
    .remark = "an SA",
    .num_steps = 3,
    .steps = {{0, "request"}, {500, "token"}, {6000, "IKE_AUTH"}},
    .up = 6000,
    .lives_on = -1,
};

static void test_lane(void **state)
{
    char *text = draw("a capture", &recovery, 1, 1);
    (void)state;
    assert_int_equal(count(text, "<svg "), 1);
    assert_int_equal(count(text, ">request<"), 1);
    assert_int_equal(count(text, ">token 0.5<"), 1);
    assert_int_equal(count(text, ">IKE_AUTH 6.0<"), 1);
    assert_int_equal(count(text, ">2 ms<"), 1);
    assert_int_equal(count(text, ">recovery<"), 1);
    assert_int_equal(count(text, "height=\"28\" class=\"dead\""), 1);
    assert_int_equal(count(text, "height=\"28\" class=\"up\""), 1);
    assert_int_equal(count(text, "height=\"28\" class=\"alive\""), 0);
    assert_int_equal(count(text, "leaks first"), 0);
    free(text);
}

static void test_kinds(void **state)
{
    picture_lane lane = recovery;
    (void)state;
    lane.up = -1;
    char *text = draw("", &lane, 1, 1);
    assert_int_equal(count(text, ">not recovered<"), 1);
    assert_int_equal(count(text, "height=\"28\" class=\"up\""), 0);
    free(text);
    lane.lives_on = 5000;
    text = draw("", &lane, 1, 1);
    assert_int_equal(count(text, ">live token<"), 1);
    assert_int_equal(count(text, "height=\"28\" class=\"alive\""), 1);
    free(text);
}

static void test_escaped(void **state)
{
    picture_lane lane = recovery;
    (void)state;
    (void)snprintf(lane.title, sizeof(lane.title), "<script>\"&'\x1b\xff");
    lane.steps[1].words = "</text>";
    char *text = draw("</title><b>", &lane, 1, 1);
    assert_int_equal(count(text, "<script>"), 0);
    assert_int_equal(count(text, "&#60;script&#62;&#34;&#38;&#39;??"), 1);
    assert_int_equal(count(text, "&#60;/title&#62;&#60;b&#62;"), 1);
    assert_int_equal(count(text, "&#60;/text&#62; 0.5"), 1);
    for (const char *c = text; *c != '\0'; c++) {
        assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
    }
    free(text);
}

/* As many lanes as there can be, with every extreme of time, and all steps in
 * one place: the picture stays small, and nothing is left of its frame. */
static void test_bounds(void **state)
{
    static picture_lane lanes[PICTURE_LANES_MAX];
    static const int64_t spans[] = {0, 1, 999999, 10000000,
                                    INT64_C(253402300799000000)};
    (void)state;
    for (size_t i = 0; i < PICTURE_LANES_MAX; i++) {
        int64_t span = spans[i % NUM_ROWS(spans)];
        lanes[i] = recovery;
        lanes[i].num_steps = PICTURE_STEPS_MAX;
        for (size_t k = 0; k < PICTURE_STEPS_MAX; k++) {
            lanes[i].steps[k] = (picture_step){
                i % 2 == 0 ? span : span / 2 * (int64_t)(k % 2), "a step"};
        }
        lanes[i].up = span;
    }
    char *text = draw("", lanes, PICTURE_LANES_MAX, 1000000);
    assert_true(strlen(text) < 200000);
    assert_int_equal(count(text, "Tokens shown: 1000000. Here are 20"), 1);
    assert_int_equal(count(text, "=\"-"), 0);
    assert_int_equal(count(text, "nan"), 0);
    assert_int_equal(count(text, "inf"), 0);
    assert_int_equal(count(text, "a step"),
                     PICTURE_LANES_MAX * PICTURE_STEPS_MAX);
    free(text);
}

static void test_empty(void **state)
{
    char *text = draw("x", NULL, 0, 0);
    (void)state;
    assert_int_equal(count(text, "Tokens shown: 0."), 1);
    assert_int_equal(count(text, "</svg>"), 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lane),    cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_escaped), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}

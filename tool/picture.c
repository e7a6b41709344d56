/* SPDX-License-Identifier: Apache-2.0 */
/* picture.c: recoveries as an SVG picture, which looks like that of the demo
 * (lab/timeline.py). */
#include "picture.h"

#include <inttypes.h>
#include <string.h>

enum { WIDTH = 960, LABEL_STEP = 15 };
static const double LEFT = 150;
static const double RIGHT = 930;
static const double LANE_HEIGHT = 28;

/* Plain colours, no CSS variables: many viewers don't support those. */
static const char style[] =
    "text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, "
    "sans-serif; font-size: 13px; }\n"
    ".title { font-size: 19px; font-weight: 600; }\n"
    ".soft { font-size: 12px; }\n"
    ".lane, .inside { font-weight: 600; }\n"
    ".axis { stroke-width: 1; } .tick { stroke-width: 1.5; }\n"
    ".card { fill: #ffffff; stroke: #d9dee5; } .axis { stroke: #d9dee5; } "
    ".tick { stroke: #1d2733; } text { fill: #1d2733; } "
    ".soft { fill: #5d6b7a; } .up { fill: #2f9e6e; } .dead { fill: #d64550; } "
    ".alive { fill: #8a4fbf; } .inside { fill: #ffffff; }\n"
    "@media (prefers-color-scheme: dark) { "
    ".card { fill: #12181f; stroke: #2b3642; } .axis { stroke: #2b3642; } "
    ".tick { stroke: #e8edf2; } text { fill: #e8edf2; } "
    ".soft { fill: #9fadbb; } .up { fill: #2fa472; } .dead { fill: #e0525d; } "
    ".alive { fill: #9d68cc; } .inside { fill: #ffffff; } }\n";

static const struct {
    const char *kind;
    const char *words;
} legend[] = {{"dead", "recovering"},
              {"up", "a new IKE SA is up"},
              {"alive", "the IKE SA of the token lives on"}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* scale maps microseconds to positions. */
typedef struct scale {
    double low;
    double high;
    double unit; /* microseconds of the unit of the axis */
    const char *name;
} scale;

static double place(const scale *s, double at)
{
    double part = (at - s->low) / (s->high - s->low);
    part = part < 0 ? 0 : part;
    part = part > 1 ? 1 : part;
    return LEFT + part * (RIGHT - LEFT);
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c > 0x7e) {
            (void)fputc('?', out);
        } else if (strchr("&<>\"'", c) != NULL) {
            (void)fprintf(out, "&#%d;", c);
        } else {
            (void)fputc(c, out);
        }
    }
}

static void put_text(FILE *out, double x, double y, const char *kind,
                     const char *anchor, const char *words)
{
    (void)fprintf(out,
                  "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" "
                  "text-anchor=\"%s\">",
                  x, y, kind, anchor);
    put_escaped(out, words);
    (void)fputs("</text>\n", out);
}

static void put_bar(FILE *out, double begin, double end, double y,
                    const char *kind)
{
    double width = end - begin < 0.8 ? 0.8 : end - begin;
    (void)fprintf(out,
                  "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.0f\" "
                  "class=\"%s\"/>\n",
                  begin, y, width, LANE_HEIGHT, kind);
}

static void put_line(FILE *out, double x, double top, double bottom,
                     const char *kind)
{
    (void)fprintf(out,
                  "<line x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\" "
                  "class=\"%s\"/>\n",
                  x, top, x, bottom, kind);
}

/* ---- A lane ------------------------------------------------------------ */

static int64_t last_step(const picture_lane *lane)
{
    int64_t last = 0;
    for (size_t i = 0; i < lane->num_steps; i++) {
        last = lane->steps[i].at > last ? lane->steps[i].at : last;
    }
    return last;
}

static scale scale_of(const picture_lane *lane)
{
    double last = (double)last_step(lane);
    last = last < 1000 ? 1000 : last;
    scale s = {-0.03 * last, 1.17 * last, 1000, "ms"};
    if (last >= 10000000) {
        s.unit = 1000000;
        s.name = "s";
    }
    return s;
}

/* step_of returns a round interval between ticks, so that five to ten fit. */
static double step_of(double span)
{
    static const double factors[] = {1, 2, 2.5, 5};
    double size = 0.001;
    for (;;) {
        for (size_t i = 0; i < COUNT(factors); i++) {
            if (span / (size * factors[i]) <= 9) {
                return size * factors[i];
            }
        }
        size *= 10;
    }
}

static void put_axis(FILE *out, const scale *s, double top, double bottom)
{
    double high = s->high / s->unit;
    double step = step_of(high);
    int num = (int)(high / step) + 1;
    for (int i = 0; i < num; i++) {
        char number[40];
        double x = place(s, i * step * s->unit);
        (void)snprintf(number, sizeof(number), "%g %s", i * step, s->name);
        put_line(out, x, top - 4, bottom + 4, "axis");
        put_text(out, x, bottom + 18, "soft", "middle", number);
    }
}

/* label is the text of a step, and the room that it takes. */
typedef struct label {
    char words[64];
    double x;
    double begin;
    double end;
    int level;
} label;

static void label_set(label *out, const scale *s, const picture_step *step)
{
    double value = (double)step->at / s->unit;
    (void)snprintf(out->words, sizeof(out->words),
                   step->at == 0 ? "%s" : "%s %.1f", step->words, value);
    out->x = place(s, (double)step->at);
    double width = 7.0 * (double)strlen(out->words);
    out->begin = out->x + 3 + width > WIDTH - 12 ? out->x - 3 - width : out->x;
    out->end = out->begin + width + 3;
    out->level = 0;
}

/* set_labels makes the labels of a lane, from left to right. */
static void set_labels(label *out, const scale *s, const picture_lane *lane)
{
    for (size_t i = 0; i < lane->num_steps; i++) {
        label made;
        size_t at = i;
        label_set(&made, s, &lane->steps[i]);
        for (; at > 0 && out[at - 1].x > made.x; at--) {
            out[at] = out[at - 1];
        }
        out[at] = made;
    }
}

/* place_labels gives each label the lowest level where it hides no other and no
 * line of another crosses it: lines go down from the labels. */
static int place_labels(label *labels, size_t num)
{
    int highest = 0;
    for (size_t i = num; i-- > 0;) {
        for (size_t other = i + 1; other < num; other++) {
            bool is_over = labels[i].begin <= labels[other].end &&
                           labels[other].begin <= labels[i].end;
            if (is_over && labels[i].level <= labels[other].level) {
                labels[i].level = labels[other].level + 1;
            }
        }
        highest = labels[i].level > highest ? labels[i].level : highest;
    }
    return highest;
}

static void put_label(FILE *out, const label *l, double y)
{
    double base = y - 8 - LABEL_STEP * l->level;
    bool is_left = l->begin < l->x;
    put_line(out, l->x, base - 5, y + LANE_HEIGHT, "tick");
    put_text(out, is_left ? l->x - 3 : l->x + 3, base, "soft",
             is_left ? "end" : "start", l->words);
}

static void put_bars(FILE *out, const picture_lane *lane, const scale *s,
                     double y)
{
    double up = lane->up >= 0 ? place(s, (double)lane->up) : RIGHT;
    put_bar(out, LEFT, up, y, "dead");
    if (lane->up >= 0) {
        put_bar(out, up, RIGHT, y, "up");
    }
    if (lane->lives_on >= 0) {
        put_bar(out, place(s, (double)lane->lives_on), RIGHT, y, "alive");
    }
    const char *name = lane->lives_on >= 0 ? "live token"
                       : lane->up >= 0     ? "recovery"
                                           : "not recovered";
    put_text(out, LEFT - 12, y + LANE_HEIGHT / 2.0 + 4.5, "", "end", name);
}

/* put_lane draws a recovery below `top` and returns where it ends. */
static double put_lane(FILE *out, const picture_lane *lane, double top)
{
    label labels[PICTURE_STEPS_MAX];
    scale s = scale_of(lane);
    set_labels(labels, &s, lane);
    int levels = place_labels(labels, lane->num_steps);
    double y = top + 60 + LABEL_STEP * levels;
    put_text(out, 24, top + 15, "lane", "start", lane->title);
    put_text(out, 24, top + 32, "soft", "start", lane->remark);
    put_axis(out, &s, y, y + LANE_HEIGHT);
    put_bars(out, lane, &s, y);
    for (size_t i = 0; i < lane->num_steps; i++) {
        put_label(out, &labels[i], y);
    }
    return y + LANE_HEIGHT + 34;
}

static double lane_height(const picture_lane *lane)
{
    label labels[PICTURE_STEPS_MAX];
    scale s = scale_of(lane);
    set_labels(labels, &s, lane);
    return 60 + LABEL_STEP * place_labels(labels, lane->num_steps) +
           LANE_HEIGHT + 34;
}

/* ---- The picture ------------------------------------------------------- */

static void put_head(FILE *out, int height)
{
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d "
                  "%d\" width=\"%d\" height=\"%d\" role=\"img\">\n"
                  "<title>Recoveries in a capture</title>\n"
                  "<style>\n%s</style>\n"
                  "<rect x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" "
                  "rx=\"10\" class=\"card\"/>\n",
                  WIDTH, height, WIDTH, height, style, WIDTH - 1, height - 1);
}

static void put_legend(FILE *out, double y)
{
    double x = LEFT;
    for (size_t i = 0; i < COUNT(legend); i++) {
        (void)fprintf(out,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" "
                      "rx=\"2\" class=\"%s\"/>\n",
                      x, y - 10, legend[i].kind);
        put_text(out, x + 18, y, "soft", "start", legend[i].words);
        x += 40 + 6.6 * (double)strlen(legend[i].words);
    }
}

void picture_draw(FILE *out, const char *title, const picture_lane *lanes,
                  size_t num, size_t total)
{
    char remark[120];
    double y = 104;
    for (size_t i = 0; i < num; i++) {
        y += lane_height(&lanes[i]);
    }
    put_head(out, (int)y + 4);
    (void)snprintf(remark, sizeof(remark),
                   total > num ? "Tokens shown: %zu. Here are %zu of them, "
                                 "leaks first."
                               : "Tokens shown: %zu.",
                   total, num);
    put_text(out, 24, 36, "title", "start", title);
    put_text(out, 24, 57, "soft", "start", remark);
    put_legend(out, 84);
    y = 104;
    for (size_t i = 0; i < num; i++) {
        y = put_lane(out, &lanes[i], y);
    }
    (void)fputs("</svg>\n", out);
}

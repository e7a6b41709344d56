/* SPDX-License-Identifier: Apache-2.0 */
/* view.c: a sample as the lines of a screen. */
#include "view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define GAP 2             /* blanks between columns */
#define CELL_MIN 10       /* a cell is not shortened below that */
#define FULL_HEIGHT_MIN 8 /* lower screens show the title and the tables */
#define TABLES_MIN 5      /* lines that the counters leave to the tables */
#define BLOCK_WIDTH 39

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The counters, as the gateway names them: first those of a token maker, then
 * those of a token taker. */
static const char *const counters[] = {
    "told",      "announced",       "limited",   "no_evidence",
    "alive",     "esp_passed_over", "verified",  "mismatched",
    "unchecked", "retrying",        "recovered", "abandoned"};

/* ---- Lines ------------------------------------------------------------- */

/* line is a line that is being written.  What exceeds its width is cut. */
typedef struct line {
    char *out;
    size_t width;
    size_t len;
} line;

static line line_begin(char *out, const view *v)
{
    size_t max = VIEW_LINE_MAX - 1;
    *out = '\0';
    return (line){.out = out, .width = v->width < max ? v->width : max};
}

__attribute__((format(printf, 2, 3))) static void put(line *l,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = l->width - l->len;
    /* clang 16 misses va_start here. */
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    int len = vsnprintf(l->out + l->len, room + 1, format, args);
    va_end(args);
    if (len > 0) {
        l->len += (size_t)len < room ? (size_t)len : room;
    }
}

static void pad(line *l, size_t column)
{
    if (column > l->len) {
        put(l, "%*s", (int)(column - l->len), "");
    }
}

/* put_cell writes a cell of a fixed width, and marks one that was cut. */
static void put_cell(line *l, const char *cell, size_t width)
{
    size_t len = strlen(cell);
    if (len <= width) {
        put(l, "%-*s", (int)width, cell);
    } else {
        put(l, "%.*s~", (int)width - 1, cell);
    }
}

/* ---- Numbers ----------------------------------------------------------- */

#define NUMBER_MAX 24

static const json_t *member(const sample *s, const char *key)
{
    return s != NULL ? json_object_get(s->gateway, key) : NULL;
}

/* write_number keeps a column's width: it rounds what has over 12 digits. */
static void write_number(char out[NUMBER_MAX], const json_t *number)
{
    json_int_t value = json_integer_value(number);
    if (!json_is_integer(number)) {
        (void)snprintf(out, NUMBER_MAX, "-");
    } else if (value > -100000000000 && value < 1000000000000) {
        (void)snprintf(out, NUMBER_MAX, "%" PRId64, (int64_t)value);
    } else {
        (void)snprintf(out, NUMBER_MAX, "%.3e", (double)value);
    }
}

/* is_comparable tells whether both samples are of one run of the gateway. */
static bool is_comparable(const view *v)
{
    const json_t *now = member(v->now, "run");
    const json_t *before = member(v->before, "run");
    return v->trouble == NULL && v->before != NULL &&
           v->now->at_ms > v->before->at_ms &&
           json_integer_value(now) == json_integer_value(before);
}

/* write_rate writes how much a counter grew a second.  A counter that went
 * back began again, in another run of the gateway. */
static void write_rate(char out[NUMBER_MAX], const view *v, const char *key)
{
    const json_t *now = member(v->now, key);
    const json_t *before = member(v->before, key);
    json_int_t last = json_integer_value(before);
    json_int_t value = json_integer_value(now);
    (void)snprintf(out, NUMBER_MAX, "-");
    if (!is_comparable(v) || !json_is_integer(now) ||
        !json_is_integer(before) || value < last) {
        return;
    }
    double rate = ((double)value - (double)last) * 1000 /
                  (double)(v->now->at_ms - v->before->at_ms);
    (void)snprintf(out, NUMBER_MAX, rate < 1e7 ? "%.1f" : "%.2e", rate);
}

/* ---- The header -------------------------------------------------------- */

static void put_title(line *l, const view *v)
{
    const sample *s = v->now;
    char text[TEXT_TIME_MAX];
    if (v->trouble != NULL) {
        text_duration(text, v->age_ms / 1000);
        put(l, "no answer for %s; before: ", text);
    }
    if (s->connections.num_cells == s->connections.num_columns) {
        put(l, "no connections");
    } else {
        put(l, "%zu down, %zu recovering, %zu up", s->num_down,
            s->num_recovering, s->num_up);
    }
    text_time(text, s->wall_ms, false);
    size_t time_len = strlen(text);
    if (l->len + GAP + time_len <= l->width) {
        pad(l, l->width - time_len);
        put(l, "%s", text);
    }
    pad(l, l->width);
}

static void put_on_off(line *l, const view *v, const char *label,
                       const char *key)
{
    const json_t *value = member(v->now, key);
    const char *word = json_is_true(value) ? "on" : "off";
    put(l, "%s%s %s", l->len > 0 ? "  " : "", label,
        json_is_boolean(value) ? word : "-");
}

static void put_fact(line *l, const view *v, const char *label, const char *key)
{
    char number[NUMBER_MAX];
    write_number(number, member(v->now, key));
    put(l, "%s%s %s", l->len > 0 ? "  " : "", label, number);
}

static enum view_style put_roles(line *l, const view *v)
{
    if (v->trouble != NULL) {
        char safe[VIEW_LINE_MAX];
        text_safe(safe, sizeof(safe), v->trouble);
        put(l, "%s", safe);
        return VIEW_BOLD;
    }
    put_on_off(l, v, "token maker", "maker");
    put_on_off(l, v, "token taker", "taker");
    put_fact(l, v, "node", "node");
    put_fact(l, v, "run", "run");
    put_fact(l, v, "generations", "generations");
    return VIEW_PLAIN;
}

static void put_loss(line *l, const view *v)
{
    const json_t *age = member(v->now, "newest_age");
    char text[TEXT_TIME_MAX];
    put_fact(l, v, "waiting", "waiting");
    put_fact(l, v, "lost children", "lost_children");
    put_on_off(l, v, "esp", "esp");
    put_on_off(l, v, "announce", "announce");
    text_duration(text, json_is_integer(age) ? json_integer_value(age) : -1);
    put(l, "  newest secret %s", text);
}

static void put_counter(line *l, const view *v, const char *key)
{
    char name[32];
    char rate[NUMBER_MAX];
    char total[NUMBER_MAX];
    (void)snprintf(name, sizeof(name), "%s", key);
    for (char *c = strchr(name, '_'); c != NULL; c = strchr(c, '_')) {
        *c = ' ';
    }
    write_rate(rate, v, key);
    write_number(total, member(v->now, key));
    put(l, "%-15s%10s%13s", name, rate, total);
}

/* put_counters writes a line of the counters; the first one is a heading. */
static enum view_style put_counters(line *l, const view *v, size_t row)
{
    size_t num_rows = COUNT(counters) / v->num_blocks;
    for (size_t i = 0; i < v->num_blocks; i++) {
        pad(l, i * (BLOCK_WIDTH + 1));
        if (row == 0) {
            put(l, "%-15s%10s%13s", "", "a second", "total");
        } else {
            put_counter(l, v, counters[i * num_rows + row - 1]);
        }
    }
    return row == 0 ? VIEW_BOLD : VIEW_PLAIN;
}

static enum view_style put_header(line *l, const view *v, size_t y)
{
    if (y == 0) {
        put_title(l, v);
        return VIEW_REVERSE;
    }
    if (y == 1) {
        return put_roles(l, v);
    }
    if (y == 2) {
        put_loss(l, v);
    } else if (y > 3 && y + 1 < v->header) {
        return put_counters(l, v, y - 4);
    }
    return VIEW_PLAIN;
}

/* ---- The tables -------------------------------------------------------- */

static size_t num_rows_of(const table *t)
{
    return t->num_cells / t->num_columns;
}

/* put_row writes a row of a table; the first one is the heading. */
static void put_row(line *l, const table *t, const size_t *widths, size_t row)
{
    for (size_t i = 0; i < t->num_columns && l->len < l->width; i++) {
        put_cell(l, t->cells[row * t->num_columns + i], widths[i]);
        if (i + 1 < t->num_columns) {
            put(l, "%*s", GAP, "");
        }
    }
}

/* put_tables writes a line of both tables, one below the other.  The table of
 * recoveries and the empty line below it only exist if there are any. */
static enum view_style put_tables(line *l, const view *v, size_t at)
{
    const sample *s = v->now;
    size_t num = num_rows_of(&s->recoveries);
    if (num > 1 && at <= num) {
        if (at < num) {
            put_row(l, &s->recoveries, v->recovery_widths, at);
        }
        return at == 0 ? VIEW_BOLD : VIEW_PLAIN;
    }
    size_t row = num > 1 ? at - num - 1 : at;
    put_row(l, &s->connections, v->connection_widths, row);
    return row <= s->num_recovering + s->num_down ? VIEW_BOLD : VIEW_PLAIN;
}

/* heading_of returns the line that the line `at` of the tables shows if it is
 * the topmost: the heading of its table. */
static size_t heading_of(const view *v, size_t at)
{
    size_t num = num_rows_of(&v->now->recoveries);
    if (num == 1) {
        return 0;
    }
    if (at == num) {
        return at;
    }
    return at < num ? 0 : num + 1;
}

static void put_footer(line *l, const view *v)
{
    size_t end = v->top + v->room;
    put(l, "%zu-%zu of %zu lines", v->top + 1,
        end < v->num_lines ? end : v->num_lines, v->num_lines);
    put(l, "   q quits");
    put(l, "   arrows, PgUp, PgDn, Home, End scroll");
}

/* ---- The layout -------------------------------------------------------- */

/* lay_columns narrows those columns of a table whose bits are in `flexible`,
 * the widest one first, until the table fits or none can be narrowed. */
static void lay_columns(size_t *widths, const table *t, size_t screen,
                        unsigned int flexible)
{
    size_t total = (t->num_columns - 1) * (size_t)GAP;
    for (size_t i = 0; i < t->num_columns; i++) {
        widths[i] = table_width(t, i);
        total += widths[i];
    }
    while (total > screen) {
        size_t widest = TABLE_COLUMNS_MAX;
        for (size_t i = 0; i < t->num_columns; i++) {
            if ((flexible >> i & 1) != 0 && widths[i] > CELL_MIN &&
                (widest == TABLE_COLUMNS_MAX || widths[i] > widths[widest])) {
                widest = i;
            }
        }
        if (widest == TABLE_COLUMNS_MAX) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

static void lay_header(view *v)
{
    v->has_footer = v->height >= FULL_HEIGHT_MIN;
    v->num_blocks = 0;
    if (!v->has_footer) {
        v->header = v->trouble != NULL ? 2 : 1;
        return;
    }
    v->header = 4; /* title, two lines, an empty one */
    size_t num_blocks = v->width >= (size_t)2 * BLOCK_WIDTH ? 2 : 1;
    size_t lines = COUNT(counters) / num_blocks + 2;
    if (v->height >= v->header + lines + TABLES_MIN + 1) {
        v->num_blocks = num_blocks;
        v->header += lines;
    }
}

static bool is_too_small(const view *v)
{
    return v->width < VIEW_WIDTH_MIN || v->height < VIEW_HEIGHT_MIN;
}

void view_lay(view *v)
{
    if (is_too_small(v)) {
        return;
    }
    const sample *s = v->now;
    size_t num = num_rows_of(&s->recoveries);
    lay_header(v);
    v->room = v->height - v->header - (v->has_footer ? 1 : 0);
    v->num_lines = (num > 1 ? num + 1 : 0) + num_rows_of(&s->connections);
    size_t last = v->num_lines > v->room ? v->num_lines - v->room : 0;
    v->top = v->top < last ? v->top : last;
    /* The names of connections, addresses and reasons. */
    lay_columns(v->recovery_widths, &s->recoveries, v->width,
                1u << 0 | 1u << 1 | 1u << 4);
    lay_columns(v->connection_widths, &s->connections, v->width, 1u << 0);
}

enum view_style view_line(const view *v, size_t y, char out[VIEW_LINE_MAX])
{
    line l = line_begin(out, v);
    if (is_too_small(v)) {
        if (y == 0) {
            put(&l, "terminal too small");
        }
        return VIEW_PLAIN;
    }
    if (y < v->header) {
        return put_header(&l, v, y);
    }
    size_t at = v->top + y - v->header;
    if (y - v->header < v->room) {
        if (at >= v->num_lines) {
            return VIEW_PLAIN;
        }
        return put_tables(&l, v, y == v->header ? heading_of(v, at) : at);
    }
    if (y < v->height) {
        put_footer(&l, v);
    }
    return VIEW_PLAIN;
}

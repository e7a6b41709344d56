/* SPDX-License-Identifier: Apache-2.0 */
/* table.c: rows of cells, printed with aligned columns. */
#include "table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define GAP 2 /* blanks between columns */

void table_init(table *out, const char *const *headings, size_t num_columns)
{
    assert(num_columns >= 1 && num_columns <= TABLE_COLUMNS_MAX);
    *out = (table){.num_columns = num_columns};
    for (size_t i = 0; headings != NULL && i < num_columns; i++) {
        table_add(out, headings[i]);
    }
}

static bool make_room(table *t)
{
    if (t->num_cells < t->cap) {
        return true;
    }
    size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
    char **cells = reallocarray(t->cells, cap, sizeof(*cells));
    if (cells == NULL) {
        return false;
    }
    t->cells = cells;
    t->cap = cap;
    return true;
}

void table_add(table *t, const char *cell)
{
    char safe[TABLE_CELL_MAX + 1];
    text_safe(safe, sizeof(safe), cell == NULL || *cell == '\0' ? "-" : cell);
    char *copy = t->bad || !make_room(t) ? NULL : strdup(safe);
    if (copy == NULL) {
        t->bad = true;
        return;
    }
    t->cells[t->num_cells++] = copy;
}

size_t table_width(const table *t, size_t column)
{
    size_t width = 0;
    for (size_t i = column; i < t->num_cells; i += t->num_columns) {
        size_t len = strlen(t->cells[i]);
        width = len > width ? len : width;
    }
    return width;
}

void table_print(const table *t, const char *indent)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->num_columns; i++) {
        widths[i] = table_width(t, i);
    }
    size_t column = 0;
    for (size_t i = 0; i < t->num_cells; i++) {
        bool is_last = column + 1 == t->num_columns;
        int width = is_last ? 0 : (int)widths[column] + GAP;
        (void)printf("%s%-*s%s", column == 0 ? indent : "", width, t->cells[i],
                     is_last ? "\n" : "");
        column = is_last ? 0 : column + 1;
    }
}

void table_free(table *t)
{
    for (size_t i = 0; i < t->num_cells; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (table){0};
}

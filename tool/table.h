/* SPDX-License-Identifier: Apache-2.0 */
/* table.h: rows of cells, printed with aligned columns. */
#ifndef QCD_TOOL_TABLE_H
#define QCD_TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Most octets of a cell that are shown. */
#define TABLE_CELL_MAX 96

#define TABLE_COLUMNS_MAX 16

/* table holds the cells in their order, from left to right and down.  Failure
 * sticks: if there is no memory for a cell, the table is `bad`. */
typedef struct table {
    size_t num_columns;
    size_t num_cells;
    size_t cap;
    char **cells;
    bool bad;
} table;

/* table_init starts a table with a row of `headings`, or an empty one if they
 * are NULL.  There are 1 to TABLE_COLUMNS_MAX columns. */
void table_init(table *out, const char *const *headings, size_t num_columns);

/* table_add appends a cell, made safe for a terminal.  NULL and "" are shown
 * as "-". */
void table_add(table *t, const char *cell);

/* table_width returns the width of the widest cell of a column. */
size_t table_width(const table *t, size_t column);

/* table_print prints to standard output, each line after `indent`. */
void table_print(const table *t, const char *indent);

/* table_free frees the cells.  A table of zeros has none. */
void table_free(table *t);

#endif

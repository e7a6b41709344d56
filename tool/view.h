/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: a sample as the lines of a screen of a given size.  No I/O: every
 * line is printable ASCII, and never longer than the screen is wide. */
#ifndef QCD_TOOL_VIEW_H
#define QCD_TOOL_VIEW_H

#include "sample.h"

/* The smallest screen.  On a smaller one the only line says that it is too
 * small. */
#define VIEW_WIDTH_MIN 20
#define VIEW_HEIGHT_MIN 3

/* A line with its end.  What is right of it stays empty. */
#define VIEW_LINE_MAX 512

enum view_style { VIEW_PLAIN = 0, VIEW_BOLD = 1, VIEW_REVERSE = 2 };

/* view is what to show.  The caller sets the members of the first part.  The
 * samples must outlive it. */
typedef struct view {
    const sample *now;
    const sample *before; /* an earlier one, or NULL: no rates are known */
    const char *trouble;  /* why `now` is not current, or NULL if it is */
    int64_t age_ms;       /* of `now`; only shown with `trouble` */
    size_t width;
    size_t height;
    size_t top; /* first line of the tables that is shown */

    /* view_lay sets these: */
    size_t header;     /* lines above the tables */
    size_t num_blocks; /* of counters, side by side; 0 to show none */
    size_t room;       /* lines for the tables */
    size_t num_lines;  /* of the tables, whether shown or not */
    bool has_footer;
    size_t recovery_widths[TABLE_COLUMNS_MAX];
    size_t connection_widths[TABLE_COLUMNS_MAX];
} view;

/* view_lay computes where everything goes.  If `top` is beyond the end of the
 * tables, it becomes the last one that still fills the screen.  Call it after
 * each change of the first part. */
void view_lay(view *v);

/* view_line writes line `y` of the screen, counted from 0, and returns how to
 * show it. */
enum view_style view_line(const view *v, size_t y, char out[VIEW_LINE_MAX]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* screen.h: the terminal, by ncurses.  It sends only what has changed. */
#ifndef QCD_TOOL_SCREEN_H
#define QCD_TOOL_SCREEN_H

#include "output.h"
#include "view.h"

/* screen_check tells whether standard input and output are a terminal that can
 * show a screen.  If not, `why` says why. */
bool screen_check(sentence *why);

/* screen_open takes over the terminal.  After a success call screen_close. */
bool screen_open(sentence *why);

/* screen_close gives the terminal back as it was. */
void screen_close(void);

/* screen_fit sets the size of a view to that of the terminal. */
void screen_fit(view *v);

/* screen_draw shows a view.  It shows nothing while the terminal takes no
 * output. */
void screen_draw(const view *v);

enum screen_key {
    SCREEN_NONE = 0, /* no key was pressed */
    SCREEN_OTHER,
    SCREEN_QUIT,
    SCREEN_REDRAW,
    SCREEN_UP,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_HOME,
    SCREEN_END
};

/* screen_key returns a key that was pressed, without waiting for one. */
enum screen_key screen_key(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* screen.c: the terminal, by ncurses. */
#define NCURSES_NOMACROS /* its macros shadow names and drop results */
#include "screen.h"

#include <curses.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

#define REDRAW_KEY ('l' & 0x1f)

/* has_string tells whether the terminal type has a capability. */
static bool has_string(const char *name)
{
    char copy[8];
    (void)snprintf(copy, sizeof(copy), "%s", name);
    /* (char *)-1 tells that it is no string at all. */
    uintptr_t value = (uintptr_t)tigetstr(copy);
    return value != 0 && value != UINTPTR_MAX;
}

bool screen_check(sentence *why)
{
    const char *type = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe) */
    int error;
    if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
        sentence_set(why, "\"qcd top\" needs a terminal as its standard input "
                          "and output. Use: qcd status");
        return false;
    }
    if (type == NULL || *type == '\0') {
        sentence_set(why, "TERM is not set, so the type of the terminal is "
                          "unknown. Set it (TERM=vt100), or use: qcd status");
        return false;
    }
    if (setupterm(NULL, STDOUT_FILENO, &error) != OK) {
        sentence_set(why,
                     "the terminal type \"%s\" is unknown. Set TERM to another "
                     "one (TERM=vt100), or use: qcd status",
                     type);
        return false;
    }
    bool can_move = has_string("cup") && has_string("clear");
    (void)del_curterm(cur_term);
    if (!can_move) {
        sentence_set(why,
                     "a terminal of the type \"%s\" cannot move its cursor. "
                     "Use: qcd status",
                     type);
        return false;
    }
    return true;
}

bool screen_open(sentence *why)
{
    /* The size is the terminal's, not that of LINES and COLUMNS: vt100 is told
     * to scroll so many lines before screen_fit corrects them. */
    use_env(FALSE);
    use_tioctl(TRUE);
    if (newterm(NULL, stdout, stdin) == NULL) {
        sentence_set(why, "cannot use the terminal. Use: qcd status");
        return false;
    }
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    return true;
}

void screen_close(void)
{
    (void)endwin();
}

void screen_fit(view *v)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
        size.ws_col > 0 && is_term_resized(size.ws_row, size.ws_col)) {
        (void)resizeterm(size.ws_row, size.ws_col);
    }
    v->width = (size_t)getmaxx(stdscr);
    v->height = (size_t)getmaxy(stdscr);
}

/* can_write tells whether the terminal takes output.  It does not after ^S; we
 * would hang in the middle of a line, with no key to leave. */
static bool can_write(void)
{
    struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0;
}

void screen_draw(const view *v)
{
    static const attr_t attributes[] = {
        [VIEW_PLAIN] = A_NORMAL,
        [VIEW_BOLD] = A_BOLD,
        [VIEW_REVERSE] = A_REVERSE,
    };
    char text[VIEW_LINE_MAX];
    if (!can_write()) {
        return;
    }
    (void)werase(stdscr);
    for (size_t y = 0; y < v->height; y++) {
        enum view_style style = view_line(v, y, text);
        (void)wattrset(stdscr, (int)attributes[style]);
        (void)mvwaddnstr(stdscr, (int)y, 0, text, (int)v->width);
    }
    (void)wrefresh(stdscr);
}

enum screen_key screen_key(void)
{
    switch (wgetch(stdscr)) {
    case ERR:
        return SCREEN_NONE;
    case 'q':
        return SCREEN_QUIT;
    case REDRAW_KEY:
        (void)clearok(curscr, TRUE);
        return SCREEN_REDRAW;
    case KEY_UP:
        return SCREEN_UP;
    case KEY_DOWN:
        return SCREEN_DOWN;
    case KEY_PPAGE:
        return SCREEN_PAGE_UP;
    case KEY_NPAGE:
        return SCREEN_PAGE_DOWN;
    case KEY_HOME:
        return SCREEN_HOME;
    case KEY_END:
        return SCREEN_END;
    default:
        return SCREEN_OTHER;
    }
}

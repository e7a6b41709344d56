/* SPDX-License-Identifier: Apache-2.0 */
/* passphrase.c: asks for a passphrase, or reads it from a file. */
#include "passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <qcd/qcd.h>

/* read_line reads to the end of the first line, octet by octet, so that no
 * other buffer holds it.  It tells whether the line was complete. */
static bool read_line(passphrase *out, int fd)
{
    out->len = 0;
    for (;;) {
        char c;
        ssize_t num = read(fd, &c, 1);
        if (num < 0 && errno == EINTR) {
            continue;
        }
        if (num < 0 || out->len == sizeof(out->text)) {
            return false;
        }
        if (num == 0 || c == '\n') {
            return true;
        }
        out->text[out->len++] = c;
    }
}

/* ---- From a file ------------------------------------------------------- */

static bool read_file(passphrase *out, const char *path, sentence *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        sentence_set(why, "cannot open %s: %s", path, describe_error(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    bool is_open = S_ISREG(st.st_mode) && (st.st_mode & 0077) != 0;
    bool is_read = !is_open && read_line(out, fd);
    (void)close(fd);
    if (is_open) {
        sentence_set(why,
                     "%s is open to others. chmod 600 it, and choose another "
                     "passphrase if somebody may have read this one",
                     path);
    } else if (!is_read) {
        sentence_set(why,
                     "%s has no passphrase of at most %zu octets in its "
                     "first line",
                     path, sizeof(out->text));
    }
    return is_read;
}

/* ---- At the terminal --------------------------------------------------- */

/* ask reads a line without echo.  Meanwhile ^C is an ordinary character, so
 * that the terminal cannot be left without echo. */
static bool ask(passphrase *out, int tty, const char *question)
{
    struct termios before;
    if (tcgetattr(tty, &before) != 0) {
        return false;
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    if (tcsetattr(tty, TCSAFLUSH, &silent) != 0) {
        return false;
    }
    bool is_read =
        write(tty, question, strlen(question)) >= 0 && read_line(out, tty);
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    (void)!write(tty, "\n", 1);
    return is_read && memchr(out->text, '\x03', out->len) == NULL;
}

static bool ask_both(passphrase *out, int tty, bool is_new, sentence *why)
{
    passphrase again = {0};
    bool is_read = ask(out, tty, "Passphrase: ") &&
                   (!is_new || ask(&again, tty, "Repeat the passphrase: "));
    bool is_same = !is_new || (again.len == out->len &&
                               memcmp(again.text, out->text, out->len) == 0);
    qcd_wipe(&again, sizeof(again));
    if (!is_read) {
        sentence_set(why, "no passphrase was given");
    } else if (!is_same) {
        sentence_set(why, "the two passphrases are not the same");
    }
    return is_read && is_same;
}

static bool ask_terminal(passphrase *out, bool is_new, sentence *why)
{
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0) {
        sentence_set(why, "there is no terminal to ask for the passphrase. Put "
                          "it into a file for --passphrase-file");
        return false;
    }
    bool is_read = ask_both(out, tty, is_new, why);
    (void)close(tty);
    return is_read;
}

static bool take(passphrase *out, const options *opts, bool is_new,
                 sentence *why)
{
    memset(out, 0, sizeof(*out));
    return opts->passphrase_file != NULL
               ? read_file(out, opts->passphrase_file, why)
               : ask_terminal(out, is_new, why);
}

bool passphrase_new(passphrase *out, const options *opts, sentence *why)
{
    if (!take(out, opts, true, why)) {
        return false;
    }
    if (out->len < PASSPHRASE_MIN) {
        sentence_set(
            why,
            "the passphrase is too short: anybody who guesses it can make "
            "every token of this gateway. Use %d characters or more",
            PASSPHRASE_MIN);
        return false;
    }
    return true;
}

bool passphrase_known(passphrase *out, const options *opts, sentence *why)
{
    return take(out, opts, false, why);
}

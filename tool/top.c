/* SPDX-License-Identifier: Apache-2.0 */
/* top.c: qcd top, a live view of the gateway in a terminal. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "asker.h"
#include "clock.h"
#include "screen.h"

#define PAUSE_MS 2000 /* between an answer and the next question */
#define LATE_MS 3000  /* an answer that takes longer is missed */
#define TICK_MS 1000  /* how often the age of an old answer is shown */

/* Reads without a key, although the terminal has input, until we give up. */
#define STRAYS_MAX 10

/* top is the state of the view.  `ended_by` is the signal that ended it, 0 if
 * it still runs or a key ended it. */
typedef struct top {
    const options *opts;
    int signals;    /* signalfd */
    int replies[2]; /* a pipe from the asker */
    asker_reply *now;
    asker_reply *before;
    sentence why; /* why the last answer failed */
    bool is_failed;
    bool is_asking;
    int64_t asked_ms; /* when we asked, or else will ask */
    unsigned int num_strays;
    bool is_over;
    int ended_by;
    int code;
    view shown;
} top;

/* ---- Asking ------------------------------------------------------------ */

static void take_failure(top *t, const sentence *why)
{
    t->why = *why;
    t->is_failed = true;
}

static void ask(top *t)
{
    sentence why;
    t->is_asking = asker_start(t->opts, t->replies[1], &why);
    t->asked_ms = clock_ms(CLOCK_MONOTONIC) + (t->is_asking ? 0 : PAUSE_MS);
    if (!t->is_asking) {
        take_failure(t, &why);
    }
}

static void take_reply(top *t)
{
    asker_reply *reply = asker_receive(t->replies[0]);
    if (reply == NULL) {
        return;
    }
    t->is_asking = false;
    t->asked_ms = clock_ms(CLOCK_MONOTONIC) + PAUSE_MS;
    if (!reply->is_good) {
        take_failure(t, &reply->why);
        asker_free(reply);
        return;
    }
    t->is_failed = false;
    asker_free(t->before);
    t->before = t->now;
    t->now = reply;
}

/* trouble_of returns why what is shown is not current, or NULL if it is. */
static const char *trouble_of(const top *t)
{
    if (t->is_asking && clock_ms(CLOCK_MONOTONIC) - t->asked_ms > LATE_MS) {
        return "the gateway does not answer. Check whether it still works: "
               "swanctl --stats";
    }
    return t->is_failed ? t->why.text : NULL;
}

static void show(top *t)
{
    view *v = &t->shown;
    v->now = &t->now->told;
    v->before = t->before != NULL ? &t->before->told : NULL;
    v->trouble = trouble_of(t);
    v->age_ms = clock_ms(CLOCK_MONOTONIC) - v->now->at_ms;
    screen_fit(v);
    view_lay(v);
    screen_draw(v);
}

/* ---- Keys and signals -------------------------------------------------- */

static void scroll_up(view *v, size_t num)
{
    v->top = v->top > num ? v->top - num : 0;
}

/* take_key acts on a key.  view_lay bounds how far down we get. */
static void take_key(top *t, enum screen_key key)
{
    view *v = &t->shown;
    size_t page =
        v->room > 2 ? v->room - 2 : 1; /* a heading, and a row again */
    switch (key) {
    case SCREEN_QUIT:
        t->is_over = true;
        break;
    case SCREEN_UP:
        scroll_up(v, 1);
        break;
    case SCREEN_DOWN:
        v->top++;
        break;
    case SCREEN_PAGE_UP:
        scroll_up(v, page);
        break;
    case SCREEN_PAGE_DOWN:
        v->top += page;
        break;
    case SCREEN_HOME:
        v->top = 0;
        break;
    case SCREEN_END:
        v->top = v->num_lines;
        break;
    case SCREEN_NONE:
    case SCREEN_OTHER:
    case SCREEN_REDRAW:
        break;
    }
}

static void take_keys(top *t)
{
    enum screen_key key = screen_key();
    t->num_strays = key == SCREEN_NONE ? t->num_strays + 1 : 0;
    if (t->num_strays > STRAYS_MAX) {
        t->is_over = true;
        t->code = TOOL_FAILED;
    }
    for (; key != SCREEN_NONE && !t->is_over; key = screen_key()) {
        take_key(t, key);
        view_lay(&t->shown);
    }
}

/* take_signal ends the view, but for a new size of the terminal. */
static void take_signal(top *t)
{
    struct signalfd_siginfo info;
    if (read(t->signals, &info, sizeof(info)) != sizeof(info) ||
        info.ssi_signo == SIGWINCH) {
        return;
    }
    t->is_over = true;
    t->ended_by = info.ssi_signo == SIGINT ? 0 : (int)info.ssi_signo;
}

/* ---- The loop ---------------------------------------------------------- */

/* wait_ms returns how long to wait for a key at most. */
static int wait_ms(const top *t)
{
    int64_t left =
        t->is_asking ? TICK_MS : t->asked_ms - clock_ms(CLOCK_MONOTONIC);
    left = left < TICK_MS ? left : TICK_MS;
    return left > 0 ? (int)left : 0;
}

static void wait_and_act(top *t)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = t->signals, .events = POLLIN},
                           {.fd = t->replies[0], .events = POLLIN},
                           {.fd = STDOUT_FILENO}};
    if (poll(fds, 4, wait_ms(t)) < 0) {
        return; /* EINTR: we were stopped, and continue */
    }
    if (fds[1].revents != 0) {
        take_signal(t);
    }
    if (fds[2].revents != 0) {
        take_reply(t);
    }
    if (((fds[0].revents | fds[3].revents) & (POLLHUP | POLLERR | POLLNVAL)) !=
        0) {
        t->is_over = true; /* the terminal is gone */
        t->code = TOOL_FAILED;
    } else if (fds[0].revents != 0) {
        take_keys(t);
    }
}

static void run(top *t)
{
    while (!t->is_over) {
        if (!t->is_asking && t->asked_ms <= clock_ms(CLOCK_MONOTONIC)) {
            ask(t);
        }
        show(t);
        wait_and_act(t);
    }
}

/* ---- Start and end ----------------------------------------------------- */

static void signals_of(sigset_t *out)
{
    static const int ours[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
    (void)sigemptyset(out);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        (void)sigaddset(out, ours[i]);
    }
}

/* open_all opens what the loop waits for, and the screen. */
static bool open_all(top *t, sentence *why)
{
    sigset_t set;
    signals_of(&set);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 ||
        pipe2(t->replies, O_CLOEXEC) != 0) {
        sentence_set(why, "cannot make a pipe: %s", describe_error(errno));
        return false;
    }
    t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (t->signals < 0) {
        sentence_set(why, "cannot wait for signals: %s", describe_error(errno));
        return false;
    }
    return screen_open(why);
}

/* end_by lets a signal end us as if we had not caught it. */
static void end_by(int number)
{
    sigset_t set;
    signals_of(&set);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int run_open(top *t)
{
    run(t);
    screen_close();
    if (t->ended_by != 0) {
        end_by(t->ended_by);
    }
    return t->code;
}

int top_main(const options *opts)
{
    sentence why;
    if (!screen_check(&why)) {
        output_misuse("%s", why.text);
        return TOOL_MISUSE;
    }
    asker_reply *first = asker_ask(opts, &why);
    top t = {.opts = opts,
             .now = first,
             .asked_ms = clock_ms(CLOCK_MONOTONIC) + PAUSE_MS,
             .code = TOOL_OK};
    int code = first != NULL && open_all(&t, &why) ? run_open(&t)
                                                   : output_fail(opts, &why);
    asker_free(t.before);
    asker_free(t.now);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* samap_check.c: whether the SA map is damaged, found out by a child process.
 *
 * The caller may have threads.  Between fork and the end of such a child only
 * what is safe in a signal handler may be called.  We keep to that but for
 * malloc, which LMDB needs: glibc's fork leaves its locks free in the child. No
 * stdio, no exit handlers, no lock of ours.  Were a lock held for ever
 * nevertheless, the child would be ended when its time is up. */
#include "samap_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "sys.h"

#define CPU_SECONDS 10
#define POLL_MS 50

/* answer is what the child tells. */
typedef struct answer {
    enum samap_verdict verdict;
    int why;
} answer;

/* ---- The child --------------------------------------------------------- */

/* be_disposable makes all that can go wrong end this process alone, and leave
 * nothing behind. */
static void be_disposable(void)
{
    const struct rlimit no_core = {0, 0};
    const struct rlimit cpu = {CPU_SECONDS, CPU_SECONDS + 1};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A core would have the caller's secrets.  Where it goes to a program, the
     * limit alone does not prevent it. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)setrlimit(RLIMIT_CPU, &cpu);
    struct sigaction by_default;
    memset(&by_default, 0, sizeof(by_default));
    by_default.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) {
        (void)sigaction(number, &by_default, NULL); /* not of some */
    }
    /* The others stay held back: a service that is told to stop now has no
     * damaged map.  Those of a crash come through nevertheless. */
    sigset_t cpu_only;
    (void)sigemptyset(&cpu_only);
    (void)sigaddset(&cpu_only, SIGXCPU);
    (void)pthread_sigmask(SIG_UNBLOCK, &cpu_only, NULL);
}

static void be_child(int fd, const char *path)
{
    answer told;
    be_disposable();
    memset(&told, 0, sizeof(told));
    told.why = samap_look(&told.verdict, path);
    (void)io_write(fd, &told, sizeof(told));
    _exit(0);
}

/* ---- The parent -------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* child is the one that looks. */
typedef struct child {
    pid_t pid;
    bool is_gone;
    bool was_killed; /* by SIGKILL */
} child;

/* has_ended tells whether the child is gone, and reaps it; somebody else may
 * have done so. */
static bool has_ended(child *c)
{
    int status = 0;
    pid_t got = 0;
    if (!c->is_gone) {
        do {
            got = waitpid(c->pid, &status, WNOHANG);
        } while (got < 0 && errno == EINTR);
        c->is_gone = got != 0;
        c->was_killed =
            got > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    return c->is_gone;
}

/* hear waits for the answer, or for the child's end without one: then it is all
 * zero.  The end of the pipe doesn't tell: a process that another thread has
 * forked meanwhile may hold it open. */
static int hear(answer *out, child *c, int fd, int64_t deadline)
{
    memset(out, 0, sizeof(*out));
    while (now_ms() < deadline) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        bool is_over = has_ended(c); /* what it told is there by now */
        int num = poll(&in, 1, is_over ? 0 : POLL_MS);
        if (num > 0 && (in.revents & POLLIN) != 0) {
            size_t len;
            return io_read(fd, (uint8_t *)out, &len, sizeof(*out));
        }
        if (is_over) {
            return c->was_killed ? EINTR : 0; /* that is no damage */
        }
    }
    /* It uses no processor, or its limit would have ended it: a slow disk is no
     * damage either. */
    return ETIMEDOUT;
}

/* end_child ends the child.  It returns 0, or EIO for one that not even SIGKILL
 * ends at once, since it waits for a disk. */
static int end_child(child *c)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    for (int i = 0; i < 1000; i++) {
        if (has_ended(c)) {
            return 0;
        }
        (void)kill(c->pid, SIGKILL);
        (void)nanosleep(&moment, NULL);
    }
    return EIO;
}

/* start forks with all signals held back: a handler of the caller's must not
 * run in the child. */
static int start(child *out, const int fds[2], const char *path)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    memset(out, 0, sizeof(*out));
    out->pid = sys_fork();
    int why = out->pid < 0 ? errno : 0;
    if (out->pid == 0) {
        be_child(fds[1], path);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return why;
}

int samap_check(enum samap_verdict *out, const char *path)
{
    answer told;
    int fds[2];
    child c;
    *out = SAMAP_DAMAGED;
    memset(&told, 0, sizeof(told));
    if (sys_pipe(fds) != 0) {
        return errno;
    }
    int why = start(&c, fds, path);
    (void)io_close(fds[1]);
    if (why == 0) {
        why = hear(&told, &c, fds[0], now_ms() + SAMAP_CHECK_MS);
        int why_end = end_child(&c);
        why = why != 0 ? why : why_end;
    }
    (void)io_close(fds[0]);
    if (why == 0) {
        why = told.why;
    }
    if (why == 0) {
        *out = told.verdict;
    }
    return why;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* decode_svg.c: qcd decode --svg, the picture of the recoveries in a
 * capture. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decode.h"
#include "picture.h"
#include "text.h"

#define STEPS_MAX 6

/* step is a step of a recovery. */
typedef struct step {
    int64_t time;
    char words[DECODE_TEXT_MAX];
} step;

static_assert(STEPS_MAX <= PICTURE_STEPS_MAX, "room for all steps");

static void add_step(step *out, size_t *num, int64_t time, const char *words)
{
    if (time != TRACE_NEVER) {
        out[*num].time = time;
        (void)snprintf(out[*num].words, sizeof(out[*num].words), "%s", words);
        (*num)++;
    }
}

/* get_steps returns how many steps of a recovery the capture has. */
static size_t get_steps(step out[STEPS_MAX], const trace_token *token)
{
    size_t num = 0;
    char cause[DECODE_TEXT_MAX];
    decode_cause(cause, token);
    if (token->cause != TRACE_UNASKED) {
        add_step(out, &num, token->begin, cause);
    }
    add_step(out, &num, token->time, "token");
    if (token->init >= token->begin) {
        add_step(out, &num, token->init, "IKE_SA_INIT");
    }
    add_step(out, &num, token->auth, "IKE_AUTH");
    int64_t traffic = trace_traffic(token);
    add_step(out, &num, traffic < 0 ? TRACE_NEVER : token->begin + traffic,
             "traffic");
    if (token->verdict != TRACE_NO_LEAK) {
        add_step(out, &num, token->leak,
                 token->verdict == TRACE_LEAK ? "lives on" : "lives on?");
    }
    return num;
}

/* from_begin returns a time after the beginning of a recovery.  A capture may
 * have its packets in any order of time. */
static int64_t from_begin(const trace_token *token, int64_t time)
{
    return time < token->begin ? 0 : time - token->begin;
}

static void fill_lane(picture_lane *out, step steps[STEPS_MAX],
                      const trace_token *token)
{
    char from[DECODE_TEXT_MAX];
    char to[DECODE_TEXT_MAX];
    char when[TEXT_TIME_MAX];
    decode_address(from, &token->shower);
    decode_address(to, &token->receiver);
    (void)snprintf(out->title, sizeof(out->title), "%s showed %s a token", from,
                   to);
    text_time(when, token->time / 1000, true);
    decode_spi(from, &token->spis.initiator);
    decode_spi(to, &token->spis.responder);
    (void)snprintf(out->remark, sizeof(out->remark),
                   "%s, IKE SA with the SPIs %s and %s", when, from, to);
    out->num_steps = get_steps(steps, token);
    for (size_t i = 0; i < out->num_steps; i++) {
        out->steps[i] = (picture_step){.at = from_begin(token, steps[i].time),
                                       .words = steps[i].words};
    }
    out->up = token->auth == TRACE_NEVER ? -1 : from_begin(token, token->auth);
    out->lives_on =
        token->verdict == TRACE_NO_LEAK ? -1 : from_begin(token, token->leak);
}

static void draw(FILE *out, const decoded *d)
{
    static picture_lane lanes[PICTURE_LANES_MAX];
    static step steps[PICTURE_LANES_MAX][STEPS_MAX];
    size_t num = 0;
    const trace_token *token;
    decode_cursor cursor = decode_first();
    while (num < PICTURE_LANES_MAX &&
           (token = decode_next(d, &cursor)) != NULL) {
        fill_lane(&lanes[num], steps[num], token);
        num++;
    }
    const char *slash = strrchr(d->path, '/');
    char title[80];
    (void)snprintf(title, sizeof(title), "%.60s",
                   slash != NULL && slash[1] != '\0' ? slash + 1 : d->path);
    picture_draw(out, title, lanes, num, trace_num_tokens(&d->trace));
}

/* close_drawn closes a file and tells whether all of it was written. */
static bool close_drawn(FILE *file)
{
    bool is_written = fflush(file) == 0 && ferror(file) == 0;
    int why = errno;
    bool is_closed = fclose(file) == 0;
    errno = is_written ? errno : why;
    return is_written && is_closed;
}

/* draw_beside draws into a new file beside `path`, which then replaces it. */
static bool draw_beside(const decoded *d, const char *path)
{
    char name[4096];
    if ((size_t)snprintf(name, sizeof(name), "%s.XXXXXX", path) >=
        sizeof(name)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = mkstemp(name);
    if (fd < 0) {
        return false;
    }
    mode_t mask = umask(0);
    (void)umask(mask);
    FILE *file = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "w") : NULL;
    bool is_done = false;
    if (file == NULL) {
        (void)close(fd);
    } else {
        draw(file, d);
        is_done = close_drawn(file) && rename(name, path) == 0;
    }
    int why = errno;
    if (!is_done) {
        (void)unlink(name);
    }
    errno = why;
    return is_done;
}

/* draw_into draws into what is there already and is no file: a pipe or a
 * device. */
static bool draw_into(const decoded *d, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    draw(file, d);
    return close_drawn(file);
}

/* find_file finds the regular file at `path`, also behind a link.  Only the
 * open follows the link, so that the kernel can refuse to: in /tmp somebody
 * else may have put it there (fs.protected_symlinks, proc(5)). */
static bool find_file(char out[PATH_MAX], const char *path, bool *out_is_other)
{
    struct stat info;
    char link[40];
    ssize_t len = -1;
    int fd = open(path, O_PATH | O_CLOEXEC);
    bool is_there = fd >= 0 && fstat(fd, &info) == 0;
    *out_is_other = is_there && !S_ISREG(info.st_mode);
    if (is_there) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        len = readlink(link, out, PATH_MAX - 1);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    out[len > 0 ? len : 0] = '\0';
    return len > 0;
}

bool decode_draw(const decoded *d, const char *path, sentence *why)
{
    char file[PATH_MAX];
    bool is_other;
    bool is_file = find_file(file, path, &is_other);
    bool is_done =
        is_other ? draw_into(d, path) : draw_beside(d, is_file ? file : path);
    if (!is_done) {
        sentence_set(why, "cannot write the picture %s: %s", path,
                     describe_error(errno));
    }
    return is_done;
}

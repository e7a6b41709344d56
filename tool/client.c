/* SPDX-License-Identifier: Apache-2.0 */
/* client.c: asks the gateway through its UNIX socket. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

#define ANSWER_MS 30000 /* for a whole answer */
#define SILENCE_MS 10000
#define ANSWER_MAX ((size_t)64 << 20)
#define SCHEME "unix://" /* as strongSwan writes such addresses */

/* ---- Asking ------------------------------------------------------------ */

static enum client_result late(sentence *why)
{
    sentence_set(why, "the gateway did not answer in time. Check whether it "
                      "still works: swanctl --stats");
    return CLIENT_FAILED;
}

static enum client_result no_connection(const client *c, int error,
                                        sentence *why)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        sentence_set(why,
                     "no gateway serves %s. Start strongSwan with the plugin "
                     "qcd, or name its socket with --socket",
                     c->socket);
        return CLIENT_ABSENT;
    case EACCES:
    case EPERM:
        sentence_set(why,
                     "only root may use the gateway's socket (permission "
                     "denied on %s). Try again with sudo",
                     c->socket);
        return CLIENT_FAILED;
    case EAGAIN: /* too many wait for it already */
        return late(why);
    default:
        sentence_set(why, "cannot connect to %s: %s", c->socket,
                     describe_error(error));
        return CLIENT_FAILED;
    }
}

static enum client_result connect_to(client *c, sentence *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(c->socket) >= sizeof(address.sun_path)) {
        sentence_set(why, "the path of the socket is too long: %s", c->socket);
        return CLIENT_FAILED;
    }
    memcpy(address.sun_path, c->socket, strlen(c->socket));
    int64_t left_ms = c->deadline_ms - clock_ms(CLOCK_MONOTONIC);
    struct timeval patience = {.tv_sec = left_ms / 1000,
                               .tv_usec = left_ms % 1000 * 1000 + 1};
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* A gateway that hangs accepts nobody: connect() waits for room. */
    if (c->fd < 0 ||
        setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
                   sizeof(patience)) != 0 ||
        connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) !=
            0) {
        return no_connection(c, errno, why);
    }
    return CLIENT_OK;
}

/* send_line sends the question, which fits into any socket's buffer.  Our end
 * stays open for writing: if we closed it, the gateway would think that we have
 * left. */
static enum client_result send_line(client *c, const char *question,
                                    sentence *why)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "%s\n", question);
    if (send(c->fd, line, (size_t)len, MSG_NOSIGNAL) != len) {
        sentence_set(why, "cannot send to %s: %s", c->socket,
                     describe_error(errno));
        return CLIENT_FAILED;
    }
    return CLIENT_OK;
}

/* read_verdict reads the first line, which tells whether the request
 * succeeded. */
static enum client_result read_verdict(client *c, sentence *why)
{
    json_t *first;
    enum client_result result = client_next(c, &first, why);
    if (result == CLIENT_END) {
        sentence_set(why,
                     "the gateway closed %s without an answer: it is busy with "
                     "other clients or about to stop. Try again",
                     c->socket);
        return CLIENT_FAILED;
    }
    if (result != CLIENT_OK) {
        return result;
    }
    const json_t *ok = json_object_get(first, "ok");
    const char *error = json_string_value(json_object_get(first, "error"));
    if (!json_is_boolean(ok)) {
        sentence_set(
            why,
            "%s does not answer like a gateway. Check the path of the socket",
            c->socket);
        result = CLIENT_FAILED;
    } else if (json_is_false(ok)) {
        sentence_set(why, "the gateway refused: %s",
                     error != NULL ? error : "it gave no reason");
        result = CLIENT_FAILED;
    }
    json_decref(first);
    return result;
}

enum client_result client_ask_within(client *out, sentence *why,
                                     const char *socket, const char *question,
                                     int64_t patience_ms)
{
    size_t scheme = strlen(SCHEME);
    bool has_scheme = strncmp(socket, SCHEME, scheme) == 0;
    out->fd = -1;
    out->is_stream = false;
    out->socket = socket + (has_scheme ? scheme : 0);
    out->deadline_ms = clock_ms(CLOCK_MONOTONIC) + patience_ms;
    out->total = 0;
    out->len = 0;
    out->line = 0;
    enum client_result result = connect_to(out, why);
    if (result == CLIENT_OK) {
        result = send_line(out, question, why);
    }
    if (result == CLIENT_OK) {
        result = read_verdict(out, why);
    }
    return result;
}

enum client_result client_ask(client *out, sentence *why, const char *socket,
                              const char *question, bool is_stream)
{
    enum client_result result =
        client_ask_within(out, why, socket, question, ANSWER_MS);
    /* Of a stream only the first line has to come in time. */
    out->is_stream = is_stream;
    return result;
}

void client_close(client *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    c->fd = -1;
}

/* ---- Listening --------------------------------------------------------- */

/* wait_more waits until there is more to read.  With a stream it also notices
 * when nobody reads our own output any more. */
static enum client_result wait_more(const client *c, sentence *why)
{
    struct pollfd fds[2] = {{.fd = c->fd, .events = POLLIN},
                            {.fd = c->is_stream ? STDOUT_FILENO : -1}};
    int timeout = -1;
    if (!c->is_stream) {
        int64_t left = c->deadline_ms - clock_ms(CLOCK_MONOTONIC);
        left = left < SILENCE_MS ? left : SILENCE_MS;
        timeout = left > 0 ? (int)left : 0;
    }
    int num;
    do {
        num = poll(fds, 2, timeout);
    } while (num < 0 && errno == EINTR);
    if (num < 0) {
        sentence_set(why, "cannot wait for the gateway: %s",
                     describe_error(errno));
        return CLIENT_FAILED;
    }
    if (num == 0) {
        return late(why);
    }
    return fds[0].revents == 0 ? CLIENT_END : CLIENT_OK;
}

/* read_more appends to the buffer, which must have room. */
static enum client_result read_more(client *c, sentence *why)
{
    enum client_result result = wait_more(c, why);
    if (result != CLIENT_OK) {
        return result;
    }
    ssize_t num;
    do {
        num = recv(c->fd, c->buffer + c->len, sizeof(c->buffer) - c->len, 0);
    } while (num < 0 && errno == EINTR);
    if (num < 0) {
        sentence_set(why, "the gateway broke off its answer: %s",
                     describe_error(errno));
        return CLIENT_FAILED;
    }
    if (num == 0) {
        if (c->is_stream) {
            sentence_set(why, "the gateway stopped, or closed this connection "
                              "because its lines were not read in time");
            return CLIENT_FAILED;
        }
        if (c->len == c->line) {
            return CLIENT_END;
        }
        sentence_set(
            why, "the gateway broke off its answer in the middle of a line");
        return CLIENT_FAILED;
    }
    c->len += (size_t)num;
    c->total += (size_t)num;
    if (!c->is_stream && c->total > ANSWER_MAX) {
        sentence_set(why, "the gateway's answer is too long");
        return CLIENT_FAILED;
    }
    return CLIENT_OK;
}

static enum client_result parse(json_t **out, const char *line, size_t len,
                                sentence *why)
{
    *out = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        sentence_set(why, "the gateway's answer is not valid JSON. Check that "
                          "this command and the plugin have the same version");
        return CLIENT_FAILED;
    }
    return CLIENT_OK;
}

enum client_result client_next(client *c, json_t **out, sentence *why)
{
    *out = NULL;
    for (;;) {
        const char *line = c->buffer + c->line;
        const char *end = memchr(line, '\n', c->len - c->line);
        if (end != NULL) {
            size_t len = (size_t)(end - line);
            c->line += len + 1;
            return parse(out, line, len, why);
        }
        memmove(c->buffer, line, c->len - c->line);
        c->len -= c->line;
        c->line = 0;
        if (c->len == sizeof(c->buffer)) {
            sentence_set(why, "a line of the gateway's answer is too long");
            return CLIENT_FAILED;
        }
        enum client_result result = read_more(c, why);
        if (result != CLIENT_OK) {
            return result;
        }
    }
}

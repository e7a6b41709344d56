/* SPDX-License-Identifier: Apache-2.0 */
/* asker.c: asks the gateway in a thread of its own. */
#include "asker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* run passes the reply on; a pointer is written to a pipe in one piece. */
static void *run(void *user)
{
    asker_reply *reply = user;
    reply->is_good = sample_ask(&reply->told, &reply->opts, &reply->why);
    if (write(reply->fd, &reply, sizeof(void *)) != sizeof(void *)) {
        asker_free(reply);
    }
    return NULL;
}

/* start_thread starts a detached thread that gets no signals: they concern the
 * terminal, which is not its own. */
static int start_thread(asker_reply *reply)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, run, reply);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error != 0 ? error : pthread_detach(thread);
}

static asker_reply *make(const options *opts, int fd, sentence *why)
{
    asker_reply *reply = calloc(1, sizeof(*reply));
    if (reply == NULL) {
        sentence_set(why, "out of memory");
        return NULL;
    }
    reply->opts = *opts;
    reply->fd = fd;
    return reply;
}

asker_reply *asker_ask(const options *opts, sentence *why)
{
    asker_reply *reply = make(opts, -1, why);
    if (reply != NULL && !sample_ask(&reply->told, opts, why)) {
        asker_free(reply);
        return NULL;
    }
    return reply;
}

bool asker_start(const options *opts, int fd, sentence *why)
{
    asker_reply *reply = make(opts, fd, why);
    if (reply == NULL) {
        return false;
    }
    int error = start_thread(reply);
    if (error != 0) {
        sentence_set(why, "cannot start a thread: %s", describe_error(error));
        asker_free(reply);
        return false;
    }
    return true;
}

asker_reply *asker_receive(int fd)
{
    asker_reply *reply;
    return read(fd, &reply, sizeof(void *)) == sizeof(void *) ? reply : NULL;
}

void asker_free(asker_reply *reply)
{
    if (reply != NULL) {
        sample_free(&reply->told);
        free(reply);
    }
}

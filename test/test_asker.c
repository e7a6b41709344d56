/* SPDX-License-Identifier: Apache-2.0 */
/* test_asker.c: tool/asker.c. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "asker.h"

static const char answer[] =
    "{\"ok\":true}\n"
    "{\"type\":\"connection\",\"name\":\"a\",\"state\":\"up\",\"ike_sas\":1}\n";

/* listen_in listens in a new folder, and writes the path of the socket. */
static int listen_in(struct sockaddr_un *out)
{
    char folder[] = "/tmp/qcd-asker-XXXXXX";
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(folder));
    (void)snprintf(out->sun_path, sizeof(out->sun_path), "%s/socket", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)out, sizeof(*out)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void remove_socket(struct sockaddr_un *at)
{
    assert_int_equal(unlink(at->sun_path), 0);
    *strrchr(at->sun_path, '/') = '\0';
    assert_int_equal(rmdir(at->sun_path), 0);
}

/* The caller may end, and its options with it, before the gateway answers. */
static void test_caller_has_ended(void **state)
{
    struct sockaddr_un at;
    int pipe_fds[2];
    sentence why;
    (void)state;
    int listener = listen_in(&at);
    assert_int_equal(pipe(pipe_fds), 0);
    options opts = {.socket = at.sun_path};
    assert_true(asker_start(&opts, pipe_fds[1], &why));

    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    opts.given = OPTION_JSON; /* what is there after the caller has ended */
    assert_int_equal(write(fd, answer, sizeof(answer) - 1), sizeof(answer) - 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    asker_reply *reply = asker_receive(pipe_fds[0]);
    assert_non_null(reply);
    assert_true(reply->is_good);
    assert_int_equal(reply->told.num_up, 1);

    asker_free(reply);
    (void)close(fd);
    (void)close(listener);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    remove_socket(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caller_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

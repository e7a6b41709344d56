/* SPDX-License-Identifier: Apache-2.0 */
/* asker.h: asks the gateway in a thread of its own, so that a gateway that
 * does not answer never blocks the terminal. */
#ifndef QCD_TOOL_ASKER_H
#define QCD_TOOL_ASKER_H

#include "sample.h"

/* asker_reply is the outcome of a question.  Give it to asker_free. */
typedef struct asker_reply {
    sample told;
    bool is_good;
    sentence why; /* if it is not */

    /* Of the asker: */
    options opts;
    int fd;
} asker_reply;

/* asker_ask asks the gateway and waits for the reply, which is good.  After a
 * failure it returns NULL, and `why` says why. */
asker_reply *asker_ask(const options *opts, sentence *why);

/* asker_start asks the gateway.  Later the pointer to the reply can be read
 * from the pipe whose end for writing is `fd`; asker_receive does.  `opts` is
 * copied, since the caller may end before the gateway answers; its strings must
 * live until the reply.  If it cannot ask, it returns false, and `why` says
 * why. */
bool asker_start(const options *opts, int fd, sentence *why);

/* asker_receive returns the reply at the pipe's end for reading, or NULL. */
asker_reply *asker_receive(int fd);

void asker_free(asker_reply *reply);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_control.h: strongSwan's headers, and those of the plugin, together with
 * ours. */
#ifndef QCD_FUZZ_CONTROL_H
#define QCD_FUZZ_CONTROL_H

#include "box.h"

#include <errno.h>
#include <threading/thread.h>
#include <unistd.h>

#include "fuzz.h"
#include "qcd_socket.h"
#include "rd.h"

struct pollfd;
int __real_poll(struct pollfd *fds, unsigned long num, int timeout);

#endif

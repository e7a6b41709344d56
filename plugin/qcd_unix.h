/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_unix qcd_unix
 * @{ @ingroup qcd
 */

#ifndef QCD_UNIX_H_
#define QCD_UNIX_H_

#include <utils/utils.h>

/**
 * Listen on a UNIX socket that only root and the user of charon may use. A
 * stale socket that a crash left is replaced. A socket that somebody serves is
 * not.
 *
 * @param path			path of the socket
 * @param backlog		number of clients that may wait to be accepted
 * @return				non-blocking socket, -1 on an error, with errno set
 */
int qcd_unix_listen(char *path, int backlog);

/**
 * Check that a client is root or our own user. The mode of the socket already
 * ensures that, this is a second check.
 *
 * @param fd			connection to the client
 * @return				TRUE if the client is allowed
 */
bool qcd_unix_is_allowed(int fd);

#endif /** QCD_UNIX_H_ @}*/

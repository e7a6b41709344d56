/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_unix qcd_unix
 * @{ @ingroup qcd
 */

#ifndef QCD_UNIX_H_
#define QCD_UNIX_H_

#include <utils/utils.h>

/**
 * Listen on a UNIX socket that only root and the user that charon will be may
 * use. A socket that a crash left is replaced, one that somebody serves is not.
 *
 * @param path			path of the socket
 * @param backlog		clients that may wait to be accepted
 * @return				socket that doesn't block, -1 on an error, as errno says
 */
int qcd_unix_listen(char *path, int backlog);

/**
 * Check that a client is root or our own user. The mode of the socket says so,
 * this says it again.
 *
 * @param fd			connection with the client
 * @return				TRUE if it may ask
 */
bool qcd_unix_is_allowed(int fd);

#endif /** QCD_UNIX_H_ @}*/

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_socket qcd_socket
 * @{ @ingroup qcd
 */

#ifndef QCD_SOCKET_H_
#define QCD_SOCKET_H_

#include "qcd_control.h"

typedef struct qcd_socket_t qcd_socket_t;

/**
 * UNIX socket for the qcd command. Only root and the daemon's own user may
 * connect.
 *
 * A client sends one line, receives lines of JSON, and is disconnected. A
 * client that sends "events" receives a line for each event until it
 * disconnects. One thread of the plugin serves all clients and waits for none
 * of them. A slow, broken or hostile client thus delays nobody. A client that
 * does not read is disconnected.
 */
struct qcd_socket_t {

	/**
	 * Destroy a qcd_socket_t and disconnect all clients.
	 */
	void (*destroy)(qcd_socket_t *this);
};

/**
 * Create a qcd_socket_t.
 *
 * @param path			path of the socket
 * @param control		what commands are about, all of which must outlive the
 *						socket; cloned
 * @return				instance, NULL if the socket can't be created (logged)
 */
qcd_socket_t *qcd_socket_create(char *path, const qcd_control_t *control);

#endif /** QCD_SOCKET_H_ @}*/

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_socket qcd_socket
 * @{ @ingroup qcd
 */

#ifndef QCD_SOCKET_H_
#define QCD_SOCKET_H_

#include "qcd_control.h"
#include "qcd_events.h"

typedef struct qcd_socket_t qcd_socket_t;

/**
 * UNIX socket that serves the qcd command, for root and our own user only.
 *
 * A client sends one line, gets lines of JSON, and is closed; one that sends
 * "events" gets a line for each event until it leaves. A thread of our own
 * serves them all and waits for none of them, so a slow, broken or hostile
 * client holds up nobody, and one that does not read is closed.
 */
struct qcd_socket_t {

	/**
	 * Destroy a qcd_socket_t, close all clients.
	 */
	void (*destroy)(qcd_socket_t *this);
};

/**
 * Create a qcd_socket_t.
 *
 * @param path			path of the socket
 * @param control		commands, outlive the socket
 * @param events		events, outlive the socket
 * @return				instance, NULL if there can be no such socket (logged)
 */
qcd_socket_t *qcd_socket_create(char *path, qcd_control_t *control,
								qcd_events_t *events);

#endif /** QCD_SOCKET_H_ @}*/

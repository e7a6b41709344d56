/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_receiver qcd_receiver
 * @{ @ingroup qcd
 */

#ifndef QCD_RECEIVER_H_
#define QCD_RECEIVER_H_

#include <networking/packet.h>

typedef struct qcd_receiver_t qcd_receiver_t;

/**
 * Inspects an IKE message before charon does.
 *
 * @param data			as passed to add()
 * @param packet		packet from the socket
 * @param message		IKE message in it, after any non-ESP marker
 * @return				TRUE to hide the packet from charon
 */
typedef bool (*qcd_receiver_cb_t)(void *data, packet_t *packet,
								  chunk_t message);

/**
 * Receives all packets between charon's sockets and its receiver.
 */
struct qcd_receiver_t {

	/**
	 * Have a callback inspect all IKE messages. Call this before any thread
	 * receives packets.
	 *
	 * @param cb			callback, called by the receiving thread
	 * @param data			passed to cb
	 */
	void (*add)(qcd_receiver_t *this, qcd_receiver_cb_t cb, void *data);

	/**
	 * Destroy a qcd_receiver_t. No thread may receive packets any more.
	 */
	void (*destroy)(qcd_receiver_t *this);
};

/**
 * Create a qcd_receiver_t and put it in front of charon's receiver.
 *
 * @return				instance
 */
qcd_receiver_t *qcd_receiver_create(void);

#endif /** QCD_RECEIVER_H_ @}*/

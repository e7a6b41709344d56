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
 * Looks at an IKE message before charon does.
 *
 * @param data			as given to add()
 * @param packet		packet as it came from the socket
 * @param message		IKE message in it, behind a non-ESP marker
 * @return				TRUE to keep the packet from charon
 */
typedef bool (*qcd_receiver_cb_t)(void *data, packet_t *packet,
								  chunk_t message);

/**
 * Stands between charon's sockets and its receiver.
 */
struct qcd_receiver_t {

	/**
	 * Have a function look at all IKE messages. No thread receives packets yet.
	 *
	 * @param cb			function, called by the thread that receives
	 * @param data			data to pass to it
	 */
	void (*add)(qcd_receiver_t *this, qcd_receiver_cb_t cb, void *data);

	/**
	 * Destroy a qcd_receiver_t. No thread receives packets any more.
	 */
	void (*destroy)(qcd_receiver_t *this);
};

/**
 * Create a qcd_receiver_t and put it before charon's.
 *
 * @return				instance
 */
qcd_receiver_t *qcd_receiver_create(void);

#endif /** QCD_RECEIVER_H_ @}*/

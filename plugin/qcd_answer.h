/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_answer qcd_answer
 * @{ @ingroup qcd
 */

#ifndef QCD_ANSWER_H_
#define QCD_ANSWER_H_

#include "qcd_events.h"
#include "qcd_lost_index.h"
#include "qcd_pending.h"
#include "qcd_promises.h"

typedef struct qcd_answer_t qcd_answer_t;

/**
 * Answers requests for lost IKE_SAs (RFC 6290 sections 3 and 4.5) and tells
 * peers of lost CHILD_SAs (section 8.2). It sends a message once that helps the
 * peer:
 *
 * - the daemon would accept the peer now (qcd_ready_t);
 * - the peer's address has a turn for one more handshake (qcd_turns_t);
 * - we are not connecting to the peer ourselves. If we are, we repeat our
 *   request at once, since the peer has seen no other. If the peer does not
 *   answer it within half a second, it is told.
 *
 * Until then a reply waits (qcd_waiting_t). One job checks all waiting replies
 * against one snapshot of the loaded connections. It runs when a reply is
 * added, when a handshake ends, and at intervals. It uses at most a fortieth of
 * a processor.
 */
struct qcd_answer_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Handle a message whose IKE_SA may be lost. May be called in a listener.
	 *
	 * @param message		octets of the message
	 * @param src			its source, cloned if needed
	 * @param dst			its destination, cloned if needed
	 * @param unknown		TRUE if the daemon found no such IKE_SA
	 */
	void (*handle)(qcd_answer_t *this, chunk_t message, host_t *src,
				   host_t *dst, bool unknown);

	/**
	 * Tell a peer that a CHILD_SA is lost, as soon as that helps the peer. The
	 * caller has asked qcd_promises_t.judge_lost() whether the peer may be
	 * told. An announcement is dropped, not kept waiting, if the peer would not
	 * be accepted.
	 *
	 * @param lost			CHILD_SA, cloned
	 * @param packet		packet to reply to, NULL for an announcement
	 * @param peer			address to send to, cloned
	 * @param me			address to send from, cloned
	 */
	void (*tell)(qcd_answer_t *this, const qcd_lost *lost, const qcd_traffic *packet,
				 host_t *peer, host_t *me);

	/**
	 * Check if the daemon seems to have loaded its connections.
	 *
	 * @return				FALSE if it started recently and may load more
	 */
	bool (*is_settled)(qcd_answer_t *this);

	/**
	 * Get the number of waiting replies.
	 */
	u_int (*get_waiting)(qcd_answer_t *this);

	/**
	 * Get the number of announcements that wait.
	 */
	u_int (*get_unsent)(qcd_answer_t *this);

	/**
	 * Get the number of announcements sent.
	 */
	u_int (*get_announced)(qcd_answer_t *this);

	/**
	 * Destroy a qcd_answer_t. All jobs must have ended.
	 */
	void (*destroy)(qcd_answer_t *this);
};

/**
 * Create a qcd_answer_t and register it with the bus.
 *
 * @param promises		tokens that peers hold; all objects must outlive the
 *						qcd_answer_t
 * @param events		events
 * @param pending		IKE_SAs that we initiate
 * @param index			lost IKE_SAs
 * @return				instance
 */
qcd_answer_t *qcd_answer_create(qcd_promises_t *promises, qcd_events_t *events,
								qcd_pending_t *pending,
								qcd_lost_index_t *index);

#endif /** QCD_ANSWER_H_ @}*/

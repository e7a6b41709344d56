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
 * Answers requests for IKE_SAs that were lost, RFC 6290 sections 3 and 4.5, and
 * tells of lost CHILD_SAs, section 8.2, when that helps the peer:
 *
 * - the daemon would accept it now (qcd_ready_t);
 * - its address has a turn for one more handshake (qcd_turns_t);
 * - we are not connecting to it ourselves. If we are, our request is repeated at
 *   once, as the peer has seen no other; if it is not answered for half a
 *   second, the peer is told.
 *
 * Until then a reply waits (qcd_waiting_t). One job looks at all that wait, with
 * one snapshot of what is loaded, when one is added, when a handshake ends, and
 * now and then; it takes a fortieth of a processor at most.
 */
struct qcd_answer_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Handle a message for whose IKE_SA there may be evidence that it is dead.
	 * May be called in a listener.
	 *
	 * @param message		octets of the message
	 * @param src			its source, cloned where it is needed later
	 * @param dst			its destination, likewise
	 * @param unknown		TRUE if the daemon found no such IKE_SA
	 */
	void (*handle)(qcd_answer_t *this, chunk_t message, host_t *src,
				   host_t *dst, bool unknown);

	/**
	 * Tell a peer that a CHILD_SA is lost, as soon as that helps it. Who calls
	 * has asked the state whether that may be done. An announcement to a peer
	 * that would not be accepted is dropped, not kept waiting.
	 *
	 * @param lost			CHILD_SA, cloned
	 * @param packet		its packet that we answer, NULL if none
	 * @param peer			where to, cloned
	 * @param me			where from, cloned
	 */
	void (*tell)(qcd_answer_t *this, const qcd_lost *lost, const qcd_traffic *packet,
				 host_t *peer, host_t *me);

	/**
	 * Check if the daemon has loaded its connections, as far as one can see.
	 *
	 * @return				FALSE if it has just started and more may follow
	 */
	bool (*is_settled)(qcd_answer_t *this);

	/**
	 * Get the number of replies that wait.
	 */
	u_int (*get_waiting)(qcd_answer_t *this);

	/**
	 * Get the number of announcements that were sent.
	 */
	u_int (*get_announced)(qcd_answer_t *this);

	/**
	 * Destroy a qcd_answer_t. There are no jobs any more.
	 */
	void (*destroy)(qcd_answer_t *this);
};

/**
 * Create a qcd_answer_t and register it with the bus.
 *
 * @param promises		tokens that peers hold; all objects outlive the answers
 * @param events		events
 * @param pending		IKE_SAs that we initiate
 * @param index			lost IKE_SAs
 * @return				instance
 */
qcd_answer_t *qcd_answer_create(qcd_promises_t *promises, qcd_events_t *events,
								qcd_pending_t *pending,
								qcd_lost_index_t *index);

#endif /** QCD_ANSWER_H_ @}*/

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_pending qcd_pending
 * @{ @ingroup qcd
 */

#ifndef QCD_PENDING_H_
#define QCD_PENDING_H_

#include "qcd_sa.h"

#include <bus/listeners/listener.h>
#include <collections/linked_list.h>

typedef struct qcd_pending_t qcd_pending_t;
typedef struct qcd_pending_sa_t qcd_pending_sa_t;

/**
 * An IKE_SA that we initiate and that is not established yet, or the current
 * request of an established one.
 */
struct qcd_pending_sa_t {
	uint32_t unique_id;
	/** the responder's SPI is zero until the peer has replied */
	qcd_spis spis;
	/** when it was begun, as qcd_now() */
	uint64_t begun;
	/** whether it is a try of a recovery, see claim() */
	bool claimed;
	/** source and destination of its current request, when that was sent and,
	 * unless 0, last repeated, as qcd_now() */
	host_t *me;
	host_t *other;
	uint64_t since;
	uint64_t repeated;
	/** milliseconds from its first request to the response, 0 until then */
	u_int round_trip;
	/** when the peer's address last responded, on any IKE_SA; 0 if unknown */
	uint64_t heard;
	/** milliseconds that a response of that address may take, 0 if unknown */
	u_int usual;
	/** whether the peer has refused the request before it, an IKE_SA_INIT, and
	 * for example requested a cookie or another group */
	bool again;
};

/**
 * The IKE_SAs that we initiate, whatever started them, and the unanswered
 * requests of all established ones.
 *
 * charon repeats a request after four seconds at the earliest. A peer that has
 * just started may have missed it. Here the request can be repeated
 * immediately, octet for octet, without being counted as one of charon's
 * retransmissions.
 *
 * Only we initiate IKE_SAs and only authenticated peers establish them, so a
 * stranger can't add to either. All methods are thread-safe. None of them
 * checks out an IKE_SA.
 */
struct qcd_pending_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Find the pending IKE_SAs of a connection.
	 *
	 * @param name			name of the connection, NULL for all
	 * @param peer			address of the peer, any port; NULL for all
	 * @return				list of qcd_pending_sa_t in any order; destroy each
	 *						with qcd_pending_sa_destroy()
	 */
	linked_list_t *(*find)(qcd_pending_t *this, char *name, host_t *peer);

	/**
	 * Tell whether there are pending IKE_SAs, with any peer.
	 *
	 * @return				FALSE if find() finds none
	 */
	bool (*has_any)(qcd_pending_t *this);

	/**
	 * Get the highest unique ID of all IKE_SAs that we or a peer began: what is
	 * begun later has a higher one.
	 */
	uint32_t (*get_youngest)(qcd_pending_t *this);

	/**
	 * Get the number of IKE_SAs that may be begun with an address now. qcd_pace
	 * decides, by what was completed there and what had to be repeated.
	 *
	 * @param peer			address of the peer, any port
	 * @param underway		number of IKE_SAs that are being established there
	 */
	u_int (*get_due)(qcd_pending_t *this, host_t *peer, u_int underway);

	/**
	 * Get the unanswered request of an IKE_SA. We initiated the IKE_SA, and it
	 * may already be established.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @return				request, destroy it with qcd_pending_sa_destroy();
	 *						NULL if there is none
	 */
	qcd_pending_sa_t *(*get_request)(qcd_pending_t *this, uint32_t unique_id);

	/**
	 * Find a pending IKE_SA by its SPIs, once its peer has responded.
	 *
	 * @param spis			both SPIs
	 * @param unique_id		receives its unique ID
	 * @return				name of its connection, to free; NULL if not found
	 */
	char *(*find_answered)(qcd_pending_t *this, const qcd_spis *spis,
						   uint32_t *unique_id);

	/**
	 * Send the current request of an IKE_SA again, with the same addresses. If
	 * our address is gone, the kernel chooses another one: the peer responds to
	 * the source of a request.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @return				FALSE if it has no unanswered request
	 */
	bool (*repeat)(qcd_pending_t *this, uint32_t unique_id);

	/**
	 * Mark an IKE_SA as a try of a recovery. Other recoveries then don't take
	 * it for their own.
	 *
	 * @param unique_id		unique ID of the IKE_SA, ignored if not pending
	 */
	void (*claim)(qcd_pending_t *this, uint32_t unique_id);

	/**
	 * Ask the peer if it still has an IKE_SA. If not, it shows the token. An
	 * unanswered request is repeated, since charon sends another one only after
	 * its response.
	 *
	 * @param ike_sa		IKE_SA, established and checked out
	 * @return				status for qcd_sa_checkin()
	 */
	status_t (*ask)(qcd_pending_t *this, ike_sa_t *ike_sa);

	/**
	 * Destroy a qcd_pending_t.
	 */
	void (*destroy)(qcd_pending_t *this);
};

/**
 * Destroy a qcd_pending_sa_t.
 *
 * @param sa			IKE_SA, may be NULL
 */
void qcd_pending_sa_destroy(qcd_pending_sa_t *sa);

/**
 * Create a qcd_pending_t and register it with the bus.
 *
 * @return				instance
 */
qcd_pending_t *qcd_pending_create(void);

#endif /** QCD_PENDING_H_ @}*/

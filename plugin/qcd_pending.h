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
 * An IKE_SA that we initiate and that is not established yet, or a request of one
 * that is.
 */
struct qcd_pending_sa_t {
	uint32_t unique_id;
	/** the responder's SPI is zero until the peer has answered */
	qcd_spis spis;
	/** when it was begun, qcd_now() */
	uint64_t begun;
	/** whether it is a try of a recovery, see claim() */
	bool claimed;
	/** where its current request was sent from and to, and when, qcd_now() */
	host_t *me;
	host_t *other;
	uint64_t since;
	/** from its first request to the answer in milliseconds, 0 until then */
	u_int round_trip;
	/** when the peer's address answered last, on whatever IKE_SA; 0 if unknown */
	uint64_t heard;
};

/**
 * The IKE_SAs that we initiate, by whatever cause, and what all established ones
 * wait for an answer to.
 *
 * charon repeats a request after four seconds at the earliest. A peer that has
 * just started may have missed it; here it can be repeated at once, octet for
 * octet, without charon's retransmissions being counted up.
 *
 * Nobody but us initiates, and only peers that were authenticated establish an
 * IKE_SA, so a stranger can't make these more. All methods are
 * thread-safe; none of them checks out an IKE_SA.
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
	 * @return				list of qcd_pending_sa_t in any order, to destroy with
	 *						qcd_pending_sa_destroy() for each
	 */
	linked_list_t *(*find)(qcd_pending_t *this, char *name, host_t *peer);

	/**
	 * Get the request that an IKE_SA waits for an answer to. It was initiated by
	 * us, and may be established meanwhile.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @return				to destroy with qcd_pending_sa_destroy(), NULL if there is
	 *						no such request
	 */
	qcd_pending_sa_t *(*get_request)(qcd_pending_t *this, uint32_t unique_id);

	/**
	 * Find a pending IKE_SA whose peer has answered by its SPIs.
	 *
	 * @param spis			both SPIs
	 * @param unique_id		receives its unique ID
	 * @return				name of its connection, to free; NULL if there is none
	 */
	char *(*find_answered)(qcd_pending_t *this, const qcd_spis *spis,
						   uint32_t *unique_id);

	/**
	 * Send the current request of an IKE_SA again, from and to the addresses
	 * that it was first sent with. If we don't have ours any more, from the one that
	 * the kernel chooses: the peer answers to where a request comes from.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @return				FALSE if it waits for no answer any more
	 */
	bool (*repeat)(qcd_pending_t *this, uint32_t unique_id);

	/**
	 * Note that an IKE_SA is a try of a recovery, which no other one takes for its
	 * own.
	 *
	 * @param unique_id		unique ID of the IKE_SA, ignored if not pending
	 */
	void (*claim)(qcd_pending_t *this, uint32_t unique_id);

	/**
	 * Ask the peer if it still has an IKE_SA. If not, it shows the token. A request
	 * that it has not answered yet is repeated: charon sends another one only then.
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
 * Destroy what find() returned of an IKE_SA.
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

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_turns qcd_turns
 * @{ @ingroup qcd
 */

#ifndef QCD_TURNS_H_
#define QCD_TURNS_H_

#include "qcd_reply.h"

#include <networking/host.h>
#include <sa/ike_sa.h>

typedef struct qcd_turns_t qcd_turns_t;

/**
 * Limits how many peers are told at the same time, to as many as may have a
 * handshake with us.
 *
 * charon drops an IKE_SA_INIT if its source has block_threshold half-open
 * IKE_SAs, and the peer repeats it after four seconds. From cookie_threshold_ip
 * on, or cookie_threshold for all sources, charon requests cookies. Peers that
 * all reconnected at the same time would exceed these limits. Therefore a peer
 * that is told takes a turn. If others have left so many half-open IKE_SAs at an
 * address that charon requests cookies, there is one turn at a time.
 *
 * At its address, the turn ends when its handshake is established or takes too
 * long, or if none begins for a few round trips. Each address is counted
 * separately. A stranger thus delays only peers at the address that it pretends
 * to have.
 *
 * Of all peers that are told at their last known address, qcd_pace decides how
 * many have turns. Such a turn ends once the handshake is established or takes too
 * long. If it fails before, the peer is waited for again. Peers that were told
 * before and have not come take half of them at most. Peers elsewhere have a pace
 * of their own, and so have those whose SAs are not in the map: what a stranger
 * makes us tell there takes no turns of peers at home. Thread-safe.
 */
struct qcd_turns_t {

	/**
	 * Tell whether a turn is available.
	 *
	 * @param peer			peer, its port is ignored
	 * @param rank			its rank
	 */
	bool (*available)(qcd_turns_t *this, host_t *peer, qcd_rank_t rank);

	/**
	 * Tell whether no peer of a rank may be told now, whatever its address.
	 *
	 * @param rank			rank
	 */
	bool (*is_full)(qcd_turns_t *this, qcd_rank_t rank);

	/**
	 * Take a turn for a peer that is to be told now, if one is available.
	 *
	 * @param peer			peer, its port is ignored
	 * @param rank			its rank
	 * @return				FALSE if no turn is available now
	 */
	bool (*take)(qcd_turns_t *this, host_t *peer, qcd_rank_t rank);

	/**
	 * Note that a peer has begun a handshake. It only accesses memory, so it
	 * may be called in a listener.
	 *
	 * @param ike_sa		IKE_SA that the peer initiates
	 */
	void (*came)(qcd_turns_t *this, ike_sa_t *ike_sa);

	/**
	 * Note that a handshake has ended. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA
	 * @param established	TRUE if the IKE_SA is established
	 */
	void (*ended)(qcd_turns_t *this, ike_sa_t *ike_sa, bool established);

	/**
	 * Release expired turns.
	 */
	void (*expire)(qcd_turns_t *this);

	/**
	 * Destroy a qcd_turns_t.
	 */
	void (*destroy)(qcd_turns_t *this);
};

/**
 * Create a qcd_turns_t.
 *
 * @return				instance
 */
qcd_turns_t *qcd_turns_create(void);

#endif /** QCD_TURNS_H_ @}*/

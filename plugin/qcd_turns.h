/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_turns qcd_turns
 * @{ @ingroup qcd
 */

#ifndef QCD_TURNS_H_
#define QCD_TURNS_H_

#include <networking/host.h>

typedef struct qcd_turns_t qcd_turns_t;

/**
 * Limits how many peers at one address are told at the same time, to as many as
 * may have a handshake with us.
 *
 * charon drops an IKE_SA_INIT if its source has block_threshold half-open
 * IKE_SAs, and the peer repeats it after four seconds. From cookie_threshold_ip
 * on, charon requests cookies. Peers behind one NAT that all reconnected at the
 * same time would exceed these limits. Therefore a peer that is told takes a
 * turn. The turn ends when its handshake begins, since charon counts it from
 * then on, or after a few round trips.
 *
 * Each address is counted separately. A stranger thus delays only peers at the
 * address that it pretends to have. At that address, peers come first that are
 * told at their last known address. Thread-safe.
 */
struct qcd_turns_t {

	/**
	 * Take a turn for a peer that is to be told now.
	 *
	 * @param peer			peer, its port is ignored
	 * @return				FALSE if no turn is available now
	 */
	bool (*take)(qcd_turns_t *this, host_t *peer);

	/**
	 * Note that a peer has begun a handshake. It only accesses memory, so it
	 * may be called in a listener.
	 *
	 * @param peer			peer, its port is ignored
	 */
	void (*came)(qcd_turns_t *this, host_t *peer);

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

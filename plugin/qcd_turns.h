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
 * As many peers of one address are told at once as may handshake with us.
 *
 * charon drops an IKE_SA_INIT if block_threshold IKE_SAs are half open with its
 * source, and the peer repeats it after four seconds; from cookie_threshold_ip on
 * it asks for cookies. Peers behind one NAT that all came at once would run into
 * that. So a peer that was told has a turn: until its handshake begins, when
 * charon counts it, or a few round trips have passed.
 *
 * Each address is counted by itself, so a stranger holds up nobody but where he
 * pretends to be, and there those come first who are told where they were.
 * Thread-safe.
 */
struct qcd_turns_t {

	/**
	 * Take a turn for a peer that is told now.
	 *
	 * @param peer			peer, its port is ignored
	 * @return				FALSE if there is none now
	 */
	bool (*take)(qcd_turns_t *this, host_t *peer);

	/**
	 * Note that a peer has begun a handshake. Does no more than to look, so it
	 * may be called in a listener.
	 *
	 * @param peer			peer, its port is ignored
	 */
	void (*came)(qcd_turns_t *this, host_t *peer);

	/**
	 * Take back the turns whose time is up.
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

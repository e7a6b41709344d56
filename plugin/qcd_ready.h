/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_ready qcd_ready
 * @{ @ingroup qcd
 */

#ifndef QCD_READY_H_
#define QCD_READY_H_

#include "qcd_lost_index.h"

#include <networking/host.h>

typedef struct qcd_ready_t qcd_ready_t;

/**
 * Tells whether the daemon would accept a peer if it reconnected now.
 *
 * A daemon that starts opens its sockets before it knows its connections, and
 * then loads them one after the other. A peer that was told too early would be
 * refused, and until it is told the kernel's old SAs may still carry its
 * traffic.
 *
 * - A connection whose name is that of the lost SA's: accepted, unless its
 *   identities are certain and are others.
 * - Else a connection that names the peer's address, once loading has settled:
 *   before, the peer's own may follow. One that has its peer anywhere, in
 *   a subnet or with a name says little of a peer whose own connection we know
 *   and miss: then nothing must have changed for ten seconds.
 * - Else nobody accepts it, however long we have been running. The connection
 *   may have been unloaded on purpose; stock charon says nothing either, and RFC
 *   6290 lets a maker be silent.
 *
 * look() takes one snapshot, for all peers that are judged then. With vici's lock
 * held it only takes references. Not thread-safe, except for is_settled().
 */
struct qcd_ready_t {

	/**
	 * Take a snapshot of the connections that are loaded.
	 */
	void (*look)(qcd_ready_t *this);

	/**
	 * Judge by the last snapshot if a peer would be accepted.
	 *
	 * @param peer			peer
	 * @param id			who it is, NULL if not known
	 * @param name			receives the name of its connection, valid until the
	 *						next look(), or NULL if it is not certain which it is
	 * @return				FALSE if not, or not yet
	 */
	bool (*judge)(qcd_ready_t *this, host_t *peer, const qcd_peer_id_t *id,
				  char **name);

	/**
	 * Check by the last snapshot if loading has settled: connections are
	 * loaded, and have not changed for a while.
	 */
	bool (*is_settled)(qcd_ready_t *this);

	/**
	 * Destroy a qcd_ready_t.
	 */
	void (*destroy)(qcd_ready_t *this);
};

/**
 * Create a qcd_ready_t.
 *
 * @return				instance
 */
qcd_ready_t *qcd_ready_create(void);

#endif /** QCD_READY_H_ @}*/

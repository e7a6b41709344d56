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
 * Tells whether the daemon would accept a peer that reconnects now.
 *
 * A daemon opens its sockets at startup, before it knows its connections, and
 * then loads them one after the other. A peer that is told too early would be
 * refused. Until it is told, the kernel's old SAs may still carry its traffic.
 *
 * - A loaded connection has the name of the lost SA's connection: accepted,
 *   unless its identities are certain and differ.
 * - Otherwise, a loaded connection names the peer's address: accepted once
 *   loading has settled. Before that, the peer's own connection may still be
 *   loaded. A connection may also give its peer as anywhere, as a subnet or by
 *   name. It says little about a peer whose own connection we know and miss. In
 *   that case nothing must have changed for ten seconds.
 * - Otherwise the peer is not accepted, however long the daemon has been
 *   running. The connection may have been unloaded on purpose. Stock charon
 *   does not reply either, and RFC 6290 allows a maker to be silent.
 *
 * look() takes one snapshot, by which all peers are judged. With vici's lock
 * held it only takes references. Not thread-safe, except for is_settled().
 */
struct qcd_ready_t {

	/**
	 * Take a snapshot of the loaded connections.
	 */
	void (*look)(qcd_ready_t *this);

	/**
	 * Tell from the last snapshot whether a peer would be accepted.
	 *
	 * @param peer			peer
	 * @param id			identifies the peer, NULL if not known
	 * @param name			receives the name of its connection, valid until the
	 *						next look(); NULL if the connection is not certain
	 * @return				FALSE if it would not, or not yet
	 */
	bool (*judge)(qcd_ready_t *this, host_t *peer, const qcd_peer_id_t *id,
				  char **name);

	/**
	 * Check in the last snapshot if loading has settled: connections are loaded
	 * and have not changed for a while.
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

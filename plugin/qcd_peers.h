/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_peers qcd_peers
 * @{ @ingroup qcd
 */

#ifndef QCD_PEERS_H_
#define QCD_PEERS_H_

#include "qcd_sa.h"

#include <bus/listeners/listener.h>
#include <collections/linked_list.h>

typedef struct qcd_peers_t qcd_peers_t;

/**
 * The established IKE_SAs by their connections and peers. charon's manager finds
 * one by its SPIs only, or looks at all of them.
 *
 * All methods are thread-safe; none of them checks out an IKE_SA.
 */
struct qcd_peers_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Find the IKE_SAs of a connection that may be with a peer: at the same
	 * address, or with the same identity. Check that once one is checked out.
	 *
	 * @param name			name of the connection
	 * @param peer			address of the peer, any port
	 * @param id			identity of the peer
	 * @return				list of qcd_sa_t, oldest first; to destroy with
	 *						destroy_function(list, free)
	 */
	linked_list_t *(*find)(qcd_peers_t *this, char *name, host_t *peer,
						   identification_t *id);

	/**
	 * Destroy a qcd_peers_t.
	 */
	void (*destroy)(qcd_peers_t *this);
};

/**
 * Create a qcd_peers_t and register it with the bus.
 *
 * @return				instance
 */
qcd_peers_t *qcd_peers_create(void);

#endif /** QCD_PEERS_H_ @}*/

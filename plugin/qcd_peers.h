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
 * Picks an IKE_SA.
 *
 * @param data			as given
 * @param unique_id		unique ID of the IKE_SA
 * @return				TRUE to pick it
 */
typedef bool (*qcd_peers_pick_t)(void *data, uint32_t unique_id);

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
	 * Find the IKE_SAs of a connection that may be with a peer, and those that
	 * somebody else picks. Check the identity once one is checked out.
	 *
	 * @param name			name of the connection
	 * @param id			identity of the peer
	 * @param pick			picks others by their unique IDs, or NULL; called with
	 *						a mutex held, so it only looks
	 * @param data			to pass to pick
	 * @return				list of qcd_sa_t, oldest first; to destroy with
	 *						destroy_function(list, free)
	 */
	linked_list_t *(*find)(qcd_peers_t *this, char *name, identification_t *id,
						   qcd_peers_pick_t pick, void *data);

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

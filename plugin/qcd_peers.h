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
 * Selects an IKE_SA.
 *
 * @param data			as passed to find()
 * @param unique_id		unique ID of the IKE_SA
 * @return				TRUE to select it
 */
typedef bool (*qcd_peers_pick_t)(void *data, uint32_t unique_id);

/**
 * The established IKE_SAs by connection and peer. charon's manager finds an
 * IKE_SA only by its SPIs, or by checking all of them.
 *
 * All methods are thread-safe. None of them checks out an IKE_SA.
 */
struct qcd_peers_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Find the IKE_SAs of a connection that may be with a peer, and those that
	 * a callback selects. The caller must check the identity once it has
	 * checked one out.
	 *
	 * @param name			name of the connection
	 * @param id			identity of the peer
	 * @param pick			selects others by their unique IDs, or NULL; called
	 *						with a mutex held, so it must do no more than look
	 *						up
	 * @param data			passed to pick
	 * @return				list of qcd_sa_t, oldest first, destroy it with
	 *						destroy_function(list, free)
	 */
	linked_list_t *(*find)(qcd_peers_t *this, char *name, identification_t *id,
						   qcd_peers_pick_t pick, void *data);

	/**
	 * Tell whether there may be several IKE_SAs with the peer of an IKE_SA, on any
	 * connection.
	 *
	 * @param unique_id		unique ID of an established IKE_SA
	 * @return				FALSE if it is the only one
	 */
	bool (*has_several)(qcd_peers_t *this, uint32_t unique_id);

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

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_lost_index qcd_lost_index
 * @{ @ingroup qcd
 */

#ifndef QCD_LOST_INDEX_H_
#define QCD_LOST_INDEX_H_

#include "qcd_sa.h"

#include <qcd/store.h>

#include <collections/array.h>
#include <utils/identification.h>

typedef struct qcd_lost_index_t qcd_lost_index_t;
typedef struct qcd_lost_place_t qcd_lost_place_t;
typedef struct qcd_lost_peer_t qcd_lost_peer_t;
typedef struct qcd_peer_id_t qcd_peer_id_t;

/**
 * Position among the lost IKE_SAs: a turn of all addresses, and how many had it.
 */
struct qcd_lost_place_t {
	u_int turn;
	u_int count;
};

/**
 * Identifies a peer in the SA map: a digest of its connection's name, and a
 * digest of both identities. The latter is zero if the identities are not
 * certain.
 */
struct qcd_peer_id_t {
	uint8_t name[QCD_SAMAP_PEER_LEN / 2];
	uint8_t ids[QCD_SAMAP_PEER_LEN / 2];
};

/**
 * Peer of a lost IKE_SA.
 */
struct qcd_lost_peer_t {
	/** identifies the peer, all zero if the map does not know it */
	qcd_peer_id_t id;
	/** its last address and port */
	qcd_address address;
	uint16_t port;
	/** when it was last told, as qcd_now(), 0 if never */
	uint64_t told;
};

/**
 * The lost IKE_SAs that have rows in the SA map, in memory. An IKE request
 * names no CHILD_SA, but the maker must find its peer immediately. A peer that
 * has returned names neither the IKE_SA nor the CHILD_SA.
 *
 * An IKE_SA is kept as long as one of its rows. The index is thus bounded by
 * the map, and a stranger can't make it grow. All methods are thread-safe and
 * only access memory, so they may be called in listeners.
 */
struct qcd_lost_index_t {

	/**
	 * Add a row of a lost CHILD_SA.
	 *
	 * @param row			row that was not added before
	 */
	void (*add)(qcd_lost_index_t *this, const qcd_samap_row *row);

	/**
	 * Remove a row of a CHILD_SA that is no longer lost.
	 *
	 * @param row			row, ignored if it was not added
	 */
	void (*remove)(qcd_lost_index_t *this, const qcd_samap_row *row);

	/**
	 * Find the peer of a lost IKE_SA.
	 *
	 * @param spis			both SPIs
	 * @param peer			receives the peer
	 * @return				FALSE if no such IKE_SA is known
	 */
	bool (*find)(qcd_lost_index_t *this, const qcd_spis *spis,
				 qcd_lost_peer_t *peer);

	/**
	 * Tell whether the peer of a lost IKE_SA was never told and a host is where
	 * it was. The pace limits how many such peers are told, not a rate.
	 *
	 * @param spis			both SPIs
	 * @param host			address and port
	 */
	bool (*is_first)(qcd_lost_index_t *this, const qcd_spis *spis,
					 host_t *host);

	/**
	 * Note that the peer of a lost IKE_SA is being told where it was.
	 *
	 * @param spis			both SPIs, ignored if not known
	 */
	void (*note_told)(qcd_lost_index_t *this, const qcd_spis *spis);

	/**
	 * Get the next lost IKE_SA. Addresses take turns: first comes the first
	 * IKE_SA that was added of each address, then the second one of each.
	 *
	 * @param place			position to continue from, zeroed at first
	 * @param spi			receives the SPI of one of its CHILD_SAs
	 * @return				FALSE if there are no more
	 */
	bool (*next)(qcd_lost_index_t *this, qcd_lost_place_t *place,
				 qcd_child_spi *spi);

	/**
	 * Find the SAs that a returned peer has replaced. If it had one lost
	 * IKE_SA, that one is replaced. If it had several, it may not have been
	 * told of all of them. Then those are replaced of which it was told and
	 * about which it did not ask again.
	 *
	 * @param id			identifies the peer
	 * @param address		last address of the peer
	 * @param silence		milliseconds without a request
	 * @param others		set if the peer had others, which are not replaced
	 *						yet
	 * @return				array of qcd_child_spi
	 */
	array_t *(*find_replaced)(qcd_lost_index_t *this, const qcd_peer_id_t *id,
							  const qcd_address *address, uint64_t silence,
							  bool *others);

	/**
	 * Remove all rows.
	 */
	void (*clear)(qcd_lost_index_t *this);

	/**
	 * Destroy a qcd_lost_index_t.
	 */
	void (*destroy)(qcd_lost_index_t *this);
};

/**
 * Create an empty qcd_lost_index_t.
 *
 * @return				instance
 */
qcd_lost_index_t *qcd_lost_index_create(void);

/**
 * Identify a peer by its connection and both identities, so that the peer and
 * its connection can be recognized later.
 *
 * @param name			name of the connection
 * @param my_id			our identity, NULL if not certain
 * @param other_id		identity of the peer, its EAP identity if it has one;
 *						NULL if not certain
 * @param id			receives the digests
 */
void qcd_peer_digest(char *name, identification_t *my_id,
					 identification_t *other_id, qcd_peer_id_t *id);

/**
 * Check if a host has the last address of a peer, whatever its port.
 *
 * @param peer			peer
 * @param host			host
 * @return				TRUE if it has
 */
bool qcd_lost_peer_is_at(const qcd_lost_peer_t *peer, host_t *host);

/**
 * Check if a host has the last address and port of a peer. Other hosts behind
 * the same NAT have other ports.
 *
 * @param peer			peer
 * @param host			host
 * @return				TRUE if it has
 */
bool qcd_lost_peer_is_home(const qcd_lost_peer_t *peer, host_t *host);

#endif /** QCD_LOST_INDEX_H_ @}*/

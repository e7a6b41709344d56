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
typedef struct qcd_lost_peer_t qcd_lost_peer_t;
typedef struct qcd_peer_id_t qcd_peer_id_t;

/**
 * What an SA map has for who a peer is: digests of its connection's name, and of
 * both identities. The latter are zero where they are not certain.
 */
struct qcd_peer_id_t {
	uint8_t name[QCD_SAMAP_PEER_LEN / 2];
	uint8_t ids[QCD_SAMAP_PEER_LEN / 2];
};

/**
 * Peer of a lost IKE_SA
 */
struct qcd_lost_peer_t {
	/** who it is, all zero if the map does not know */
	qcd_peer_id_t id;
	/** where it was */
	qcd_address address;
	uint16_t port;
};

/**
 * The lost IKE_SAs that have rows in the SA map, in memory: IKE requests name no
 * CHILD_SA, and the maker must know at once whom they are about. A peer that is
 * back names neither.
 *
 * An IKE_SA is known as long as one of its rows is. So this is bounded by the
 * map, and a stranger can't make it grow. All methods are thread-safe and do no
 * more than to look, so they may be called in listeners.
 */
struct qcd_lost_index_t {

	/**
	 * Add a row of a lost CHILD_SA.
	 *
	 * @param row			row, not added yet
	 */
	void (*add)(qcd_lost_index_t *this, const qcd_samap_row *row);

	/**
	 * Remove a row of a CHILD_SA that is lost no more.
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
	 * Note that a peer is just being told that an IKE_SA is lost.
	 *
	 * @param spis			both SPIs, ignored if not known
	 */
	void (*note_told)(qcd_lost_index_t *this, const qcd_spis *spis);

	/**
	 * Get the next lost IKE_SA, in the order in which they were added.
	 *
	 * @param place			place to go on from, 0 to begin
	 * @param spi			receives the SPI of one of its CHILD_SAs
	 * @return				FALSE if there are no more
	 */
	bool (*next)(qcd_lost_index_t *this, u_int *place, qcd_child_spi *spi);

	/**
	 * Find what a peer that is back has replaced: all that it had, if that was one
	 * IKE_SA. Of several it may not have been told yet of the others: those of
	 * which it was, and about which it did not ask again, are replaced.
	 *
	 * @param id			who the peer is
	 * @param address		where it was
	 * @param silence		milliseconds without a question
	 * @param others		set if it had others, that are not replaced yet
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
 * Name a peer by its connection and both identities, so that it is known again
 * when it comes back, and that its connection is.
 *
 * @param name			name of the connection
 * @param my_id			our identity, NULL if it is not certain
 * @param other_id		the peer's, that of EAP where it has one; likewise
 * @param id			receives digests
 */
void qcd_peer_digest(char *name, identification_t *my_id,
					 identification_t *other_id, qcd_peer_id_t *id);

/**
 * Check if a peer was at a host's address, whatever the port.
 *
 * @param peer			peer
 * @param host			host
 * @return				TRUE if so
 */
bool qcd_lost_peer_is_at(const qcd_lost_peer_t *peer, host_t *host);

#endif /** QCD_LOST_INDEX_H_ @}*/

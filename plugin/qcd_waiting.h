/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_waiting qcd_waiting
 * @{ @ingroup qcd
 */

#ifndef QCD_WAITING_H_
#define QCD_WAITING_H_

#include "qcd_sa.h"

#include <collections/linked_list.h>

typedef enum qcd_rank_t qcd_rank_t;
typedef struct qcd_reply_t qcd_reply_t;
typedef struct qcd_waiting_t qcd_waiting_t;

/**
 * Whom a reply goes to, the most trusted first: each has a number of places of
 * its own, so that no stranger waits in the place of a peer.
 */
enum qcd_rank_t {
	/** to where the peer was, so that it is told whoever asked */
	QCD_RANK_HOME,
	/** about an SA in the map, but to somewhere else: a peer that has moved, or
	 * somebody who has seen its SPIs */
	QCD_RANK_ELSEWHERE,
	/** about an SA that the map does not have */
	QCD_RANK_UNKNOWN,
};

#define QCD_RANKS (QCD_RANK_UNKNOWN + 1)

/**
 * A reply, or an announcement
 */
struct qcd_reply_t {
	qcd_spis spis;
	/** who is told, and at which of our addresses it asked */
	host_t *src;
	host_t *dst;
	/** not asked for */
	bool unasked;
	qcd_rank_t rank;
	/** to a request... */
	qcd_header request;
	/** ...or to a packet of a lost CHILD_SA, or to nothing at all */
	bool is_lost;
	qcd_lost lost;
	qcd_traffic packet;
	/** when it was asked for the last time, qcd_now() */
	uint64_t asked;
	/** when it was first held since we are connecting to the peer, or 0 */
	uint64_t held;
};

/**
 * The replies that wait, in bounded memory.
 *
 * One is added, and repeated, by those who ask; removed by the one job that
 * looks at all of them. A reply is found by the SA and by where it goes. Of one
 * SA only four wait, of which one is kept for where the map has the peer: who
 * has seen its SPIs can take no more places, and not that one. Thread-safe.
 */
struct qcd_waiting_t {

	/**
	 * Have a reply wait, as long as a peer repeats its request. If the same one
	 * waits already, it takes over what is new in this.
	 *
	 * @param reply			reply, which is adopted
	 * @return				FALSE if there was no place, and it was destroyed
	 */
	bool (*add)(qcd_waiting_t *this, qcd_reply_t *reply);

	/**
	 * Get all replies, those to where peers were first, else in the order in
	 * which they came. Those whose time is up are removed.
	 *
	 * @return				list of qcd_reply_t; their addresses, SPIs and rank may be
	 *						read until they are removed, all else belongs to us
	 */
	linked_list_t *(*get_all)(qcd_waiting_t *this);

	/**
	 * Take a reply out.
	 *
	 * @param reply			reply, now the caller's
	 */
	void (*remove)(qcd_waiting_t *this, qcd_reply_t *reply);

	/**
	 * Tell whether replies of a rank take more than half of its places.
	 *
	 * @param rank			rank
	 * @return				TRUE if they do
	 */
	bool (*is_crowded)(qcd_waiting_t *this, qcd_rank_t rank);

	/**
	 * Get the number of replies.
	 */
	u_int (*get_count)(qcd_waiting_t *this);

	/**
	 * Destroy a qcd_waiting_t.
	 */
	void (*destroy)(qcd_waiting_t *this);
};

/**
 * Create a reply.
 *
 * @param spis			SPIs of its IKE_SA
 * @param src			where it goes, cloned
 * @param dst			where it comes from, cloned
 * @return				reply
 */
qcd_reply_t *qcd_reply_create(const qcd_spis *spis, host_t *src, host_t *dst);

/**
 * Destroy a reply.
 *
 * @param reply			reply
 */
void qcd_reply_destroy(qcd_reply_t *reply);

/**
 * Create an empty qcd_waiting_t.
 *
 * @return				instance
 */
qcd_waiting_t *qcd_waiting_create(void);

#endif /** QCD_WAITING_H_ @}*/

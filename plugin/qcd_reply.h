/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_reply qcd_reply
 * @{ @ingroup qcd
 */

#ifndef QCD_REPLY_H_
#define QCD_REPLY_H_

#include "qcd_sa.h"

typedef enum qcd_rank_t qcd_rank_t;
typedef struct qcd_reply_t qcd_reply_t;

/**
 * Destination of a reply, the most trusted first. Each rank has its own number
 * of places, so that a stranger can't take the place of a peer.
 */
enum qcd_rank_t {
	/** last known address of the peer: it is told, whoever asked */
	QCD_RANK_HOME,
	/** the same, but the peer was told before and has not returned: the message
	 * was lost, or the peer is not there, or somebody else asks */
	QCD_RANK_AGAIN,
	/** another address, about an SA in the map: the peer has moved, or somebody
	 * has seen its SPIs */
	QCD_RANK_ELSEWHERE,
	/** about an SA that is not in the map */
	QCD_RANK_UNKNOWN,
};

#define QCD_RANKS (QCD_RANK_UNKNOWN + 1)

/**
 * A reply, or an announcement.
 */
struct qcd_reply_t {
	qcd_spis spis;
	/** which of the SPIs is ours */
	qcd_spi ours;
	/** who is told, and our address that it asked */
	host_t *src;
	host_t *dst;
	/** whether it is an announcement */
	bool unasked;
	qcd_rank_t rank;
	/** the request to reply to... */
	qcd_header request;
	/** ...or the lost CHILD_SA, and the packet to reply to, if any */
	bool is_lost;
	qcd_lost lost;
	qcd_traffic packet;
	/** when it was created, as qcd_now() */
	uint64_t created;
	/** when it was last asked for, as qcd_now() */
	uint64_t asked;
	/** when it was first held because we are connecting to the peer, or 0 */
	uint64_t held;
};

/**
 * Tell whether replies of a rank go to the last known address of their peer.
 *
 * @param rank			rank
 * @return				TRUE if they do
 */
bool qcd_rank_is_home(qcd_rank_t rank);

/**
 * Create a reply.
 *
 * @param sa			its IKE_SA
 * @param src			destination of the reply, cloned
 * @param dst			source of the reply, cloned
 * @return				reply
 */
qcd_reply_t *qcd_reply_create(const qcd_ike_sa *sa, host_t *src, host_t *dst);

/**
 * Destroy a reply.
 *
 * @param reply			reply
 */
void qcd_reply_destroy(qcd_reply_t *reply);

#endif /** QCD_REPLY_H_ @}*/

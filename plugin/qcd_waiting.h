/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_waiting qcd_waiting
 * @{ @ingroup qcd
 */

#ifndef QCD_WAITING_H_
#define QCD_WAITING_H_

#include "qcd_reply.h"

typedef enum qcd_look_t qcd_look_t;
typedef struct qcd_waiting_t qcd_waiting_t;

/**
 * What was done with a reply, and where to look next.
 */
enum qcd_look_t {
	/** it was removed */
	QCD_LOOK_REMOVED,
	/** it waits, the next one may not */
	QCD_LOOK_NEXT,
	/** it waits, as all others to its address do */
	QCD_LOOK_OTHER_ADDRESS,
	/** it waits, as all others of its rank do */
	QCD_LOOK_OTHER_RANK,
};

/**
 * Looks at a reply.
 *
 * @param user			what was passed to visit()
 * @param reply			reply
 */
typedef qcd_look_t (*qcd_waiting_look_t)(void *user, qcd_reply_t *reply);

/**
 * The waiting replies, in bounded memory.
 *
 * Whoever asks adds a reply, or repeats one that waits. One job visits and
 * removes them. Of each rank, addresses take turns. A reply is identified by its
 * SA and its destination. qcd_places_t limits their numbers. Thread-safe.
 */
struct qcd_waiting_t {

	/**
	 * Keep a reply waiting for as long as a peer repeats its request. If the
	 * same reply is waiting already, it is updated from this one, but stays a
	 * reply to an IKE request once it is one.
	 *
	 * @param reply			reply, adopted
	 * @return				FALSE if there was no place and the reply was
	 *						destroyed
	 */
	bool (*add)(qcd_waiting_t *this, qcd_reply_t *reply);

	/**
	 * Keep a reply to an IKE request waiting for longer, if it is waiting
	 * already. It replies to this request then, unless this one is shorter and
	 * leaves less room for tokens.
	 *
	 * @param request		header of the request
	 * @param src			who is told
	 * @param dst			our address that it asked
	 * @return				FALSE if it is not waiting
	 */
	bool (*touch)(qcd_waiting_t *this, const qcd_header *request, host_t *src,
				  host_t *dst);

	/**
	 * Look at the replies, the most trusted rank first, those to one address in
	 * order of arrival. Expired ones are removed. Only one thread may do this.
	 *
	 * @param look			looks at a reply, and may remove it
	 * @param user			passed to look
	 */
	void (*visit)(qcd_waiting_t *this, qcd_waiting_look_t look, void *user);

	/**
	 * Remove a reply, without destroying it.
	 *
	 * @param reply			reply, then owned by the caller
	 */
	void (*remove)(qcd_waiting_t *this, qcd_reply_t *reply);

	/**
	 * Tell whether a reply should leave its place to a newer one if it can't be
	 * sent now: those of its rank use more than half of their places, or those
	 * that name its SPI of ours use all that are not reserved. Never true at
	 * home.
	 *
	 * @param reply			waiting reply
	 */
	bool (*is_surplus)(qcd_waiting_t *this, qcd_reply_t *reply);

	/**
	 * Tell whether a reply is to an IKE request that arrived lately.
	 *
	 * @param reply			waiting reply
	 * @param age			milliseconds
	 * @return				TRUE if it arrived less than that ago
	 */
	bool (*is_recent)(qcd_waiting_t *this, qcd_reply_t *reply, uint64_t age);

	/**
	 * Get the number of replies, including announcements.
	 */
	u_int (*get_count)(qcd_waiting_t *this);

	/**
	 * Get the number of announcements.
	 */
	u_int (*get_unasked)(qcd_waiting_t *this);

	/**
	 * Destroy a qcd_waiting_t.
	 */
	void (*destroy)(qcd_waiting_t *this);
};

/**
 * Create an empty qcd_waiting_t.
 *
 * @return				instance
 */
qcd_waiting_t *qcd_waiting_create(void);

#endif /** QCD_WAITING_H_ @}*/

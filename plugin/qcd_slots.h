/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_slots qcd_slots
 * @{ @ingroup qcd
 */

#ifndef QCD_SLOTS_H_
#define QCD_SLOTS_H_

#include "qcd_recovery.h"

typedef struct qcd_slot_t qcd_slot_t;
typedef struct qcd_slots_t qcd_slots_t;

/**
 * A recovery, the state of its jobs, and what it has to be told.
 */
struct qcd_slot_t {
	/** names it in jobs, which may outlive it */
	uintptr_t number;
	qcd_recovery_t *recovery;
	/** its connection, and the next slot of that */
	char *name;
	qcd_slot_t *next;
	/** a hash of the identities of both peers, and where the peer was: several
	 * clients may have the same identity */
	uintptr_t identities;
	host_t *peer;
	/** a step is under way, in that thread; another one is due after it */
	bool running;
	u_int thread;
	bool again;
	/** when the next step is due, UINT64_MAX if no job is queued */
	uint64_t due;
	/** what the next step tells the recovery: qcd_lost_sa_t, address of the peer */
	linked_list_t *lost;
	host_t *resolved;
	/** whether it waits for other recoveries to end their tries */
	bool waiting;
	/** when the peer's name was looked up, and when a hint was heeded */
	uint64_t resolved_at;
	uint64_t hinted_at;
};

/**
 * An IKE_SA that the peer of a recovery has lost, too.
 */
typedef struct {
	qcd_wanted_t *wanted;
	uint32_t unique_id;
} qcd_lost_sa_t;

/**
 * The recoveries that are under way: one slot for each connection and peer. Not
 * thread-safe.
 */
struct qcd_slots_t {

	/**
	 * Add a slot. There must be none yet for connection and peer.
	 *
	 * @param ike_sa		IKE_SA with the peer
	 * @param recovery		recovery, adopted
	 * @return				slot, to remove and destroy
	 */
	qcd_slot_t *(*add)(qcd_slots_t *this, ike_sa_t *ike_sa,
					   qcd_recovery_t *recovery);

	/**
	 * Get a slot by its number.
	 *
	 * @return				NULL if there is none any more
	 */
	qcd_slot_t *(*get)(qcd_slots_t *this, uintptr_t number);

	/**
	 * Find the slot of an IKE_SA's connection and peer.
	 *
	 * @return				NULL if there is none
	 */
	qcd_slot_t *(*find)(qcd_slots_t *this, ike_sa_t *ike_sa);

	/**
	 * Find the slot of the recovery that an IKE_SA is a try of.
	 *
	 * @return				NULL if there is none
	 */
	qcd_slot_t *(*find_try)(qcd_slots_t *this, ike_sa_t *ike_sa);

	/**
	 * Get the first slot of a connection. Its member next leads to the others.
	 *
	 * @param name			name of the connection
	 * @return				NULL if there is none
	 */
	qcd_slot_t *(*get_first)(qcd_slots_t *this, char *name);

	/**
	 * Count the slots between the same identities, of any connection.
	 *
	 * @param slot			one of them
	 * @return				number of slots, 1 at least
	 */
	u_int (*count_same)(qcd_slots_t *this, qcd_slot_t *slot);

	/**
	 * Create an enumerator over all slots.
	 *
	 * @return				enumerator over qcd_slot_t
	 */
	enumerator_t *(*create_enumerator)(qcd_slots_t *this);

	/**
	 * Remove a slot, which is not destroyed.
	 */
	void (*remove)(qcd_slots_t *this, qcd_slot_t *slot);

	/**
	 * Destroy a qcd_slots_t and the slots in it.
	 */
	void (*destroy)(qcd_slots_t *this);
};

/**
 * Create a qcd_slots_t.
 *
 * @return				instance
 */
qcd_slots_t *qcd_slots_create(void);

/**
 * Tell whether an IKE_SA of the same connection may be about a recovery: it is one
 * of its tries, or between the same identities.
 *
 * @param slot			recovery
 * @param ike_sa		IKE_SA
 * @return				TRUE if so
 */
bool qcd_slot_is_about(qcd_slot_t *slot, ike_sa_t *ike_sa);

/**
 * Tell whether an IKE_SA ends because somebody wants it to: not by a failure, and
 * not by a step of the recovery.
 *
 * @param slot			slot
 * @param ike_sa		IKE_SA
 * @param state			state that the IKE_SA enters
 * @param failing		whether the IKE_SA fails if it ends now
 * @return				TRUE if so
 */
bool qcd_slot_is_closing(qcd_slot_t *slot, ike_sa_t *ike_sa,
						 ike_sa_state_t state, bool failing);

/**
 * Destroy a slot and its recovery.
 *
 * @param slot			slot, removed
 */
void qcd_slot_destroy(qcd_slot_t *slot);

#endif /** QCD_SLOTS_H_ @}*/

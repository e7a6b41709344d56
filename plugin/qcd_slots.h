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
 * A recovery, the state of its jobs, and what it is to be told.
 */
struct qcd_slot_t {
	/** identifies it in jobs, which may outlive it */
	uintptr_t number;
	qcd_recovery_t *recovery;
	/** its connection, and the next slot of the same connection */
	char *name;
	qcd_slot_t *next;
	/** hash of the identities of both peers, and last address of the peer:
	 * several clients may have the same identity */
	uintptr_t identities;
	host_t *peer;
	/** whether a step is running, its thread, and whether another one is due
	 * after it */
	bool running;
	u_int thread;
	bool again;
	/** when the next step is due, UINT64_MAX if no job is queued */
	uint64_t due;
	/** what the next step tells the recovery: lost IKE_SAs as qcd_lost_sa_t,
	 * and the address of the peer */
	linked_list_t *lost;
	host_t *resolved;
	/** whether it waits for other recoveries to end their tries */
	bool waiting;
	/** when the peer's name was last looked up, and when a hint was last
	 * followed */
	uint64_t resolved_at;
	uint64_t hinted_at;
};

/**
 * Another IKE_SA that the peer of a recovery has lost.
 */
typedef struct {
	qcd_wanted_t *wanted;
	uint32_t unique_id;
} qcd_lost_sa_t;

/**
 * The current recoveries: one slot for each connection and peer. Not
 * thread-safe.
 */
struct qcd_slots_t {

	/**
	 * Add a slot. Its connection and peer must not have one yet.
	 *
	 * @param ike_sa		IKE_SA with the peer
	 * @param recovery		recovery, adopted
	 * @return				slot, to be removed and destroyed
	 */
	qcd_slot_t *(*add)(qcd_slots_t *this, ike_sa_t *ike_sa,
					   qcd_recovery_t *recovery);

	/**
	 * Get a slot by its number.
	 *
	 * @return				NULL if it does not exist any more
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
	 * Get the first slot of a connection. The member next leads to the other
	 * ones.
	 *
	 * @param name			name of the connection
	 * @return				NULL if there is none
	 */
	qcd_slot_t *(*get_first)(qcd_slots_t *this, char *name);

	/**
	 * Count the slots between the same identities, of all connections.
	 *
	 * @param slot			one of them
	 * @return				number of slots, at least 1
	 */
	u_int (*count_same)(qcd_slots_t *this, qcd_slot_t *slot);

	/**
	 * Create an enumerator over all slots.
	 *
	 * @return				enumerator over uintptr_t number, qcd_slot_t
	 */
	enumerator_t *(*create_enumerator)(qcd_slots_t *this);

	/**
	 * Remove a slot without destroying it.
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
 * Tell whether an IKE_SA of the same connection may concern a recovery: it is
 * one of its tries, or it is between the same identities.
 *
 * @param slot			recovery
 * @param ike_sa		IKE_SA
 * @return				TRUE if it may
 */
bool qcd_slot_is_about(qcd_slot_t *slot, ike_sa_t *ike_sa);

/**
 * Tell whether the calling thread runs a step of a recovery.
 *
 * @param slot			recovery
 * @return				TRUE if it does
 */
bool qcd_slot_is_stepping(qcd_slot_t *slot);

/**
 * Tell whether an IKE_SA ends because somebody closes it, and not because of a
 * failure or a step of the recovery.
 *
 * @param slot			slot
 * @param ike_sa		IKE_SA
 * @param state			state that the IKE_SA enters
 * @param failing		TRUE if an end of the IKE_SA now is a failure
 * @return				TRUE if somebody closes it
 */
bool qcd_slot_is_closing(qcd_slot_t *slot, ike_sa_t *ike_sa,
						 ike_sa_state_t state, bool failing);

/**
 * Destroy a slot and its recovery.
 *
 * @param slot			slot, already removed
 */
void qcd_slot_destroy(qcd_slot_t *slot);

#endif /** QCD_SLOTS_H_ @}*/

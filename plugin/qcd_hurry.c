/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_hurry.h"

#include <daemon.h>
#include <collections/hashtable.h>

/**
 * Age up to which a request of ours is considered to be on its way, so that it
 * need not be repeated
 */
#define YOUNG_MS 20

/**
 * Minimum time between two repetitions of a request. A stranger who forges
 * requests of the peer must not make us repeat it more often than he sends
 * them.
 */
#define REPEAT_MS 1000

typedef struct private_qcd_hurry_t private_qcd_hurry_t;

/**
 * Private data
 */
struct private_qcd_hurry_t {

	/**
	 * Public interface
	 */
	qcd_hurry_t public;

	/**
	 * IKE_SAs that we initiate
	 */
	qcd_pending_t *pending;

	/**
	 * Requests that were repeated in the last second, as repeat_t by the unique
	 * IDs of their IKE_SAs
	 */
	hashtable_t *repeats;
};

/**
 * A request that was repeated
 */
typedef struct {
	uint64_t at;
} repeat_t;

/**
 * Forget requests whose last repetition is old enough
 */
static void forget(private_qcd_hurry_t *this, uint64_t now)
{
	enumerator_t *enumerator;
	repeat_t *repeat;

	enumerator = this->repeats->create_enumerator(this->repeats);
	while (enumerator->enumerate(enumerator, NULL, &repeat))
	{
		if (now - repeat->at >= REPEAT_MS)
		{
			this->repeats->remove_at(this->repeats, enumerator);
			free(repeat);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Repeat a request, unless it was just sent or repeated
 */
static void repeat_request(private_qcd_hurry_t *this, qcd_pending_sa_t *sa)
{
	void *key = (void*)(uintptr_t)sa->unique_id;
	uint64_t now = qcd_now();
	repeat_t *repeat;

	if (now - sa->since < YOUNG_MS || this->repeats->get(this->repeats, key))
	{
		return;
	}
	if (this->pending->repeat(this->pending, sa->unique_id))
	{
		INIT(repeat,
			.at = now,
		);
		this->repeats->put(this->repeats, key, repeat);
	}
}

/**
 * Find our requests to a peer
 *
 * @param repeat		TRUE to repeat them
 * @return				FALSE if there are none
 */
static bool find_requests(private_qcd_hurry_t *this, host_t *peer, char *name,
						  bool repeat)
{
	linked_list_t *pending;
	qcd_pending_sa_t *sa;
	bool found = FALSE;

	pending = this->pending->find(this->pending, name, peer);
	while (pending->remove_first(pending, (void**)&sa) == SUCCESS)
	{
		found = TRUE;
		if (repeat)
		{
			repeat_request(this, sa);
		}
		qcd_pending_sa_destroy(sa);
	}
	pending->destroy(pending);
	return found;
}

METHOD(qcd_hurry_t, holds, bool,
	private_qcd_hurry_t *this, host_t *peer, char *name, uint64_t *held)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;
	uint64_t now = qcd_now();

	if (manager->get_half_open_count(manager, peer, FALSE) <=
		manager->get_half_open_count(manager, peer, TRUE))
	{	/* the usual case, found without walking the list */
		return FALSE;
	}
	forget(this, now);
	if (!find_requests(this, peer, name, !*held))
	{
		return FALSE;
	}
	*held = *held ?: now;
	return now - *held < QCD_HELD_MAX_MS;
}

METHOD(qcd_hurry_t, destroy, void,
	private_qcd_hurry_t *this)
{
	this->repeats->destroy_function(this->repeats, (void*)free);
	free(this);
}

/*
 * Described in header
 */
qcd_hurry_t *qcd_hurry_create(qcd_pending_t *pending)
{
	private_qcd_hurry_t *this;

	INIT(this,
		.public = {
			.holds = _holds,
			.destroy = _destroy,
		},
		.pending = pending,
		.repeats = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									8),
	);
	return &this->public;
}

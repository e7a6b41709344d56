/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_tries.h"

#include <collections/array.h>
#include <threading/mutex.h>

/**
 * Milliseconds for which a try counts as being under way: some never end
 */
#define ANSWERED_COUNTS_MS 2000
#define UNANSWERED_COUNTS_MS 10000

/**
 * Maximum number of tries that are known as ours: older ones are gone
 */
#define KNOWN_MAX 16

/**
 * Maximum interval in milliseconds between repetitions of an unanswered
 * request. Up to that, the interval is a share of the time since the request
 * was first sent.
 */
#define REPEAT_MAX_MS 30000

/**
 * Minimum interval if the peer has answered others since: it is busy, and most
 * likely has our request
 */
#define REPEAT_BUSY_MS 2000

#define REPEAT_SHARE 8

/**
 * Minimum interval for the first repetition of an IKE_SA_INIT after one that the
 * peer has refused. charon drops the response if it arrives while the refusal,
 * which has the same message ID, is still being processed.
 */
#define REPEAT_AGAIN_MS 100

/**
 * Minimum interval in times that a response of the peer may take. If a peer gets
 * an IKE_SA_INIT twice, and requests a cookie for the second one, charon sends a
 * third one, and the handshake fails.
 */
#define REPEAT_USUAL 2

typedef struct private_qcd_tries_t private_qcd_tries_t;

/**
 * An IKE_SA that we began
 */
typedef struct {
	uint32_t unique_id;
	/** CHILD_SAs that were missing */
	u_int missing;
} known_t;

/**
 * Private data
 */
struct private_qcd_tries_t {

	/**
	 * Public interface
	 */
	qcd_tries_t public;

	/**
	 * IKE_SAs that we initiate
	 */
	qcd_pending_t *pending;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * IKE_SAs that we began, as known_t
	 */
	array_t *known;
};

/**
 * Find an IKE_SA that we began
 *
 * @param missing		receives how many CHILD_SAs were missing, 0 if not found
 */
static bool is_known(private_qcd_tries_t *this, uint32_t unique_id,
					 u_int *missing)
{
	known_t current;
	bool found = FALSE;
	int i;

	this->mutex->lock(this->mutex);
	for (i = 0; !found && i < array_count(this->known); i++)
	{
		array_get(this->known, i, &current);
		found = current.unique_id == unique_id;
	}
	this->mutex->unlock(this->mutex);
	*missing = found ? current.missing : 0;
	return found;
}

METHOD(qcd_tries_t, has, bool,
	private_qcd_tries_t *this, uint32_t unique_id)
{
	u_int missing;

	return is_known(this, unique_id, &missing);
}

/**
 * Create an IKE_SA that requests everything wanted, without initiating it
 *
 * @param me			address to send from, adopted
 * @param other			address to send to, adopted
 * @param known			receives what is to be known of it
 * @return				IKE_SA, checked out; NULL on failure
 */
static ike_sa_t *create_sa(qcd_wanted_t *wanted, peer_cfg_t *peer_cfg,
						   host_t *me, host_t *other, known_t *known)
{
	ike_sa_t *ike_sa;

	ike_sa = charon->ike_sa_manager->create_new(charon->ike_sa_manager, IKEV2,
												TRUE);
	if (!ike_sa)
	{
		me->destroy(me);
		other->destroy(other);
		return NULL;
	}
	ike_sa->set_peer_cfg(ike_sa, peer_cfg);
	ike_sa->set_other_host(ike_sa, other);
	ike_sa->set_my_host(ike_sa, me);
	charon->ike_sa_manager->checkout_new(charon->ike_sa_manager, ike_sa);
	charon->bus->set_sa(charon->bus, ike_sa);
	wanted->add_virtual_ips(wanted, ike_sa);
	*known = (known_t){
		.unique_id = ike_sa->get_unique_id(ike_sa),
		.missing = wanted->queue_missing(wanted, peer_cfg, ike_sa),
	};
	return ike_sa;
}

METHOD(qcd_tries_t, begin, uint32_t,
	private_qcd_tries_t *this, qcd_wanted_t *wanted, peer_cfg_t *peer_cfg,
	host_t *me, host_t *other)
{
	ike_sa_t *ike_sa;
	known_t known;
	status_t status;

	ike_sa = create_sa(wanted, peer_cfg, me, other, &known);
	if (!ike_sa)
	{
		return 0;
	}
	/* listeners must know it before anything happens to it */
	this->mutex->lock(this->mutex);
	array_insert(this->known, ARRAY_TAIL, &known);
	if (array_count(this->known) > KNOWN_MAX)
	{
		array_remove(this->known, ARRAY_HEAD, NULL);
	}
	this->mutex->unlock(this->mutex);
	/* ike_sa_t.reestablish() first initiates a new SA and then hands it to the
	 * manager. On a fast network the IKE_SA_INIT response arrives before that.
	 * The manager does not know the SA and drops the response, and both peers
	 * wait four seconds for a retransmission. Here, the thread that receives
	 * the response waits until the SA is checked in. */
	status = ike_sa->initiate(ike_sa, NULL, NULL);
	qcd_sa_checkin(ike_sa, status);
	if (status == DESTROY_ME)
	{
		return 0;
	}
	this->pending->claim(this->pending, known.unique_id);
	return known.unique_id;
}

/**
 * Find the current tries
 *
 * @return				list of qcd_pending_sa_t
 */
static linked_list_t *find(private_qcd_tries_t *this, qcd_wanted_t *wanted)
{
	linked_list_t *list, *found = linked_list_create();
	qcd_pending_sa_t *sa;

	list = this->pending->find(this->pending, wanted->name, NULL);
	while (list->remove_first(list, (void**)&sa) == SUCCESS)
	{
		if (has(this, sa->unique_id) ||
			(!sa->claimed && sa->other->ip_equals(sa->other, wanted->peer)))
		{
			found->insert_last(found, sa);
		}
		else
		{
			qcd_pending_sa_destroy(sa);
		}
	}
	list->destroy(list);
	return found;
}

METHOD(qcd_tries_t, get_youngest, qcd_pending_sa_t*,
	private_qcd_tries_t *this, qcd_wanted_t *wanted)
{
	linked_list_t *list;
	qcd_pending_sa_t *sa, *youngest = NULL, *other;

	list = find(this, wanted);
	while (list->remove_first(list, (void**)&sa) == SUCCESS)
	{
		other = sa;
		if (!youngest || sa->unique_id > youngest->unique_id)
		{
			other = youngest;
			youngest = sa;
		}
		qcd_pending_sa_destroy(other);
	}
	list->destroy(list);
	return youngest;
}

/**
 * Get the interval after which a request is to be repeated
 */
static uint64_t get_gap(qcd_pending_sa_t *sa, uint64_t now)
{
	uint64_t least = QCD_REPEAT_MIN_MS;

	if (sa->again && !sa->repeated)
	{
		least = REPEAT_AGAIN_MS;
	}
	else if (sa->heard > sa->since)
	{
		least = REPEAT_BUSY_MS;
	}
	least = max(least, (uint64_t)REPEAT_USUAL * sa->usual);
	return max(least, min((now - min(now, sa->since)) / REPEAT_SHARE,
						  REPEAT_MAX_MS));
}

METHOD(qcd_tries_t, repeat, uint64_t,
	private_qcd_tries_t *this, qcd_pending_sa_t *sa, bool at_once)
{
	uint64_t due, now = qcd_now();

	due = max(sa->repeated, sa->since) + get_gap(sa, now);
	if (!at_once && now < due)
	{
		return due;
	}
	this->pending->repeat(this->pending, sa->unique_id);
	sa->repeated = now;
	return now + get_gap(sa, now);
}

METHOD(qcd_tries_t, are_enough, bool,
	private_qcd_tries_t *this, host_t *peer)
{
	linked_list_t *list;
	qcd_pending_sa_t *sa;
	uint64_t age, now = qcd_now();
	u_int count = 0;

	list = this->pending->find(this->pending, NULL, peer);
	while (list->remove_first(list, (void**)&sa) == SUCCESS)
	{
		age = now - min(now, sa->since);
		count += age < (sa->round_trip ? ANSWERED_COUNTS_MS
									   : UNANSWERED_COUNTS_MS);
		qcd_pending_sa_destroy(sa);
	}
	list->destroy(list);
	return !this->pending->get_due(this->pending, peer, count);
}

METHOD(qcd_tries_t, repeat_request, void,
	private_qcd_tries_t *this, uint32_t unique_id)
{
	qcd_pending_sa_t *sa;

	sa = this->pending->get_request(this->pending, unique_id);
	if (sa)
	{
		repeat(this, sa, FALSE);
		qcd_pending_sa_destroy(sa);
	}
}

/**
 * Drop a try, unless it has been established meanwhile. What something else
 * requested on it is kept: an administrator may have done that, or a trap policy.
 *
 * @return				TRUE if it was dropped
 */
static bool drop_one(private_qcd_tries_t *this, qcd_wanted_t *wanted,
					 qcd_pending_sa_t *pending)
{
	qcd_sa_t sa = {
		.ike = { pending->spis, QCD_INITIATOR },
		.unique_id = pending->unique_id,
	};
	ike_sa_t *ike_sa;
	ike_sa_state_t state;
	u_int missing;
	bool drop;

	ike_sa = qcd_sa_checkout_same(&sa);
	if (!ike_sa)
	{
		return FALSE;
	}
	state = ike_sa->get_state(ike_sa);
	drop = state == IKE_CONNECTING || state == IKE_CREATED;
	if (drop)
	{
		is_known(this, pending->unique_id, &missing);
		wanted->take_requests(wanted, ike_sa, missing);
	}
	qcd_sa_checkin(ike_sa, drop ? DESTROY_ME : SUCCESS);
	return drop;
}

METHOD(qcd_tries_t, drop, bool,
	private_qcd_tries_t *this, qcd_wanted_t *wanted, bool answered,
	uint64_t since)
{
	linked_list_t *list;
	qcd_pending_sa_t *sa;
	bool dropped = FALSE;

	list = find(this, wanted);
	while (list->remove_first(list, (void**)&sa) == SUCCESS)
	{	/* what others began after that time serves another purpose */
		if ((has(this, sa->unique_id) || sa->begun <= since) &&
			(answered || !sa->round_trip) && drop_one(this, wanted, sa))
		{
			dropped |= sa->round_trip != 0;
		}
		qcd_pending_sa_destroy(sa);
	}
	list->destroy(list);
	return dropped;
}

METHOD(qcd_tries_t, destroy, void,
	private_qcd_tries_t *this)
{
	array_destroy(this->known);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_tries_t *qcd_tries_create(qcd_pending_t *pending)
{
	private_qcd_tries_t *this;

	INIT(this,
		.public = {
			.begin = _begin,
			.has = _has,
			.get_youngest = _get_youngest,
			.repeat = _repeat,
			.are_enough = _are_enough,
			.repeat_request = _repeat_request,
			.drop = _drop,
			.destroy = _destroy,
		},
		.pending = pending,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.known = array_create(sizeof(known_t), 0),
	);
	return &this->public;
}

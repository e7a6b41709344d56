/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_recovery.h"
#include "qcd_found.h"
#include "qcd_tries.h"
#include "qcd_try.h"

#include <threading/mutex.h>

/**
 * Milliseconds after which a request without an answer is repeated for the first
 * time; later on after a share of the time since it was first sent
 */
#define REPEAT_MIN_MS 500
#define REPEAT_MAX_MS 30000
#define REPEAT_SHARE 8

/**
 * Milliseconds after which another address of the peer is tried, if it has
 * several
 */
#define OTHER_ADDRESS_MS 1000

/**
 * Milliseconds after which another try is begun beside one whose peer has
 * answered and is silent since, and how many round trips that is at least. It
 * doubles with each.
 */
#define BESIDE_MS 4000
#define BESIDE_ROUND_TRIPS 8
#define BESIDE_DOUBLE_MAX 4

/**
 * Milliseconds after which a look is taken at what nobody announces
 */
#define LOOK_MS 250

/**
 * Milliseconds that the peer has to bring up the CHILD_SAs of its own IKE_SA,
 * and to answer on one of several IKE_SAs
 */
#define PEERS_TIME_MS 1000

/**
 * Milliseconds, once all is up, after which tries that are left over go, and
 * after which the recovery is over
 */
#define LEFT_OVER_MS 5000
#define OVER_MS 30000

/**
 * Milliseconds after which a connection that is not loaded is given up
 */
#define UNLOADED_MS 30000

typedef struct private_qcd_recovery_t private_qcd_recovery_t;

/**
 * Private data
 */
struct private_qcd_recovery_t {

	/**
	 * Public interface
	 */
	qcd_recovery_t public;

	/**
	 * Events
	 */
	qcd_events_t *events;

	/**
	 * IKE_SAs that we initiate, the tries among them, and IKE_SAs that are
	 * established
	 */
	qcd_pending_t *pending;
	qcd_tries_t *tries;
	qcd_peers_t *peers;

	/**
	 * What has to be up
	 */
	qcd_wanted_t *wanted;

	/**
	 * The youngest IKE_SA that was lost: younger ones may take its place
	 */
	uint32_t lost;

	/**
	 * Whether a crash was proved, so that its end is worth an event
	 */
	bool proved;

	/**
	 * When to try, and when the next try is due
	 */
	qcd_retry retry;
	uint64_t next;

	/**
	 * Unique ID of the last try, 0 once it has failed
	 */
	uint32_t current;

	/**
	 * Whether a try is due beside one that is under way, and how often that was
	 * so because the peer was silent
	 */
	bool extra;
	u_int extras;

	/**
	 * When a request was repeated the last time
	 */
	uint64_t repeated;

	/**
	 * Whether as many tries as may be are under way
	 */
	bool waiting;

	/**
	 * What the peer's name stands for, or NULL
	 */
	host_t *resolved;

	/**
	 * From where the peer was reached the last time, NULL if there is no route
	 */
	host_t *source;

	/**
	 * Since when all is up, since when there is an IKE_SA without all of its
	 * CHILD_SAs, since when there are several with all of them, and since when
	 * the connection is not loaded; 0 if that is not so
	 */
	uint64_t up_since;
	uint64_t incomplete_since;
	uint64_t several_since;
	uint64_t unloaded_since;

	/**
	 * Whether CHILD_SAs were asked for on an IKE_SA that lacked them
	 */
	bool asked;

	/**
	 * Whether the first step is done: IKE_SAs that were there before may be lost
	 * like the first one
	 */
	bool begun;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * IKE_SA that we delete ourselves
	 */
	uint32_t deleted;

	/**
	 * Why the last try fails
	 */
	enum qcd_failure failure;
	char reason[64];

	/**
	 * IKE_SA that the peer does not know, or so somebody says; 0 if none
	 */
	uint32_t unknown;

	/**
	 * Whether somebody closed the connection on purpose
	 */
	bool closed;

	/**
	 * What is shown of it
	 */
	struct {
		char *name;
		host_t *peer;
		u_int tries;
		uint64_t next;
		bool waiting;
		bool over;
	} shown;
};

METHOD(qcd_recovery_t, is_try, bool,
	private_qcd_recovery_t *this, uint32_t unique_id)
{
	return this->tries->has(this->tries, unique_id);
}

METHOD(qcd_recovery_t, note_failure, void,
	private_qcd_recovery_t *this, enum qcd_failure failure, const char *reason)
{
	this->mutex->lock(this->mutex);
	this->failure = failure;
	snprintf(this->reason, sizeof(this->reason), "%s", reason);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, note_unknown, void,
	private_qcd_recovery_t *this, uint32_t unique_id)
{
	this->mutex->lock(this->mutex);
	this->unknown = unique_id;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, note_closed, void,
	private_qcd_recovery_t *this, uint32_t unique_id)
{
	this->mutex->lock(this->mutex);
	this->closed |= unique_id != this->deleted;
	this->mutex->unlock(this->mutex);
}

/**
 * Forget why an earlier try failed
 */
static void reset_failure(private_qcd_recovery_t *this)
{
	this->mutex->lock(this->mutex);
	this->failure = QCD_FAILURE_SILENT;
	this->reason[0] = '\0';
	this->unknown = 0;
	this->mutex->unlock(this->mutex);
}

/**
 * The last try has failed: find out when the next one is due, and tell why
 */
static void fail(private_qcd_recovery_t *this)
{
	char detail[128];
	uint64_t now = qcd_now();
	uint32_t random = 0;

	/* without random numbers, the gaps are just not spread */
	ignore_result(qcd_random((uint8_t*)&random, sizeof(random)));
	this->current = 0;
	this->mutex->lock(this->mutex);
	qcd_retry_fail(&this->retry, this->failure, now);
	this->next = max(now, qcd_retry_due(&this->retry, random));
	snprintf(detail, sizeof(detail), "try %u failed: %s, next in %u ms",
			 this->retry.num_tries, *this->reason ? this->reason : "no answer",
			 (u_int)(this->next - now));
	this->mutex->unlock(this->mutex);
	this->events->raise_detail(this->events, QCD_EVENT_RETRYING,
							   this->wanted->get_peer(this->wanted),
							   this->wanted->get_name(this->wanted), detail);
}

/**
 * Get the address at which the next try looks for the peer
 *
 * @param count			receives the number of addresses that it may have
 */
static host_t *get_address(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
						   u_int *count)
{
	return qcd_try_get_peer(peer_cfg->get_ike_cfg(peer_cfg),
							this->wanted->get_peer(this->wanted),
							this->resolved, this->retry.num_tries, count);
}

/**
 * Get the address to reach the peer from. If it has changed, tries begin to come
 * fast again.
 *
 * @return				NULL if there is no route
 */
static host_t *get_source(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
						  host_t *other)
{
	host_t *me;

	me = qcd_try_get_source(peer_cfg->get_ike_cfg(peer_cfg), other);
	if (me && !(this->source && me->ip_equals(me, this->source)))
	{
		if (this->retry.num_tries)
		{
			qcd_retry_hasten(&this->retry, qcd_now());
			this->next = min(this->next, qcd_now());
		}
		DESTROY_IF(this->source);
		this->source = me->clone(me);
	}
	else if (!me)
	{
		DESTROY_IF(this->source);
		this->source = NULL;
	}
	return me;
}

/**
 * Look if there is a route to the peer again
 */
static void look_for_route(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg)
{
	host_t *other, *me;
	u_int count;

	other = get_address(this, peer_cfg, &count);
	me = get_source(this, peer_cfg, other);
	DESTROY_IF(me);
	other->destroy(other);
}

/**
 * Begin a try, unless too many are under way
 *
 * @return				when to look again
 */
static uint64_t begin_try(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg)
{
	uint64_t now = qcd_now();
	host_t *other, *me;
	u_int count;

	other = get_address(this, peer_cfg, &count);
	this->waiting = this->tries->are_enough(this->tries, other);
	if (this->waiting)
	{
		other->destroy(other);
		return now + LOOK_MS;
	}
	reset_failure(this);
	this->extra = FALSE;
	this->asked = FALSE;
	this->repeated = now;
	qcd_retry_try(&this->retry, now);
	me = get_source(this, peer_cfg, other);
	if (!me)
	{
		other->destroy(other);
		note_failure(this, QCD_FAILURE_SILENT, "no route to the peer");
		fail(this);
		return this->next;
	}
	this->current = this->tries->begin(this->tries, this->wanted, peer_cfg, me,
									   other);
	if (!this->current)
	{
		note_failure(this, QCD_FAILURE_REFUSED, "it can't be initiated");
		fail(this);
		return this->next;
	}
	return now + REPEAT_MIN_MS;
}

/**
 * Check if a request is on its way to where the peer is not, or from where we
 * are not any more. If the peer may have several addresses, the next one gets its
 * turn after a while.
 */
static bool is_astray(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
					  qcd_pending_sa_t *sa)
{
	host_t *other, *me;
	u_int count;
	bool astray;

	other = get_address(this, peer_cfg, &count);
	astray = !sa->other->ip_equals(sa->other, other) &&
			 (count == 1 || qcd_now() - sa->since >= OTHER_ADDRESS_MS);
	other->destroy(other);
	me = get_source(this, peer_cfg, sa->other);
	astray |= me && !me->ip_equals(me, sa->me);
	DESTROY_IF(me);
	return astray;
}

/**
 * Check if another try is due beside one that was answered: the peer says that it
 * does not know it, or is silent
 */
static bool is_extra_due(private_qcd_recovery_t *this, qcd_pending_sa_t *sa)
{
	uint64_t patience = max(BESIDE_MS, sa->round_trip * BESIDE_ROUND_TRIPS);
	bool unknown;

	this->mutex->lock(this->mutex);
	unknown = this->unknown == sa->unique_id;
	this->mutex->unlock(this->mutex);
	if (unknown)
	{
		note_failure(this, QCD_FAILURE_CRASHED,
					 "the peer does not know the new IKE_SA");
		fail(this);
		return TRUE;
	}
	if (qcd_now() - sa->since >= patience << min(this->extras,
												 BESIDE_DOUBLE_MAX))
	{
		this->extras++;
		fail(this);
		return TRUE;
	}
	return FALSE;
}

/**
 * Repeat a request that was not answered, if that is due
 *
 * @return				when to look again
 */
static uint64_t repeat(private_qcd_recovery_t *this, qcd_pending_sa_t *sa)
{
	uint64_t gap, due, now = qcd_now();

	gap = (now - min(now, sa->since)) / REPEAT_SHARE;
	gap = max(REPEAT_MIN_MS, min(gap, REPEAT_MAX_MS));
	due = max(this->repeated, sa->since) + gap;
	if (this->begun && now < due)
	{
		return due;
	}
	/* when we begin, the peer may just have started */
	this->pending->repeat(this->pending, sa->unique_id);
	this->repeated = now;
	return now + gap;
}

/**
 * There is no IKE_SA: go on with the try that is under way, or begin one
 *
 * @return				when to look again
 */
static uint64_t connect_peer(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
							 qcd_pending_sa_t *sa)
{
	if (sa && !this->extra)
	{
		if (!sa->round_trip && is_astray(this, peer_cfg, sa))
		{
			this->tries->drop(this->tries, this->wanted, FALSE);
			return begin_try(this, peer_cfg);
		}
		this->extra = sa->round_trip && is_extra_due(this, sa);
		if (!this->extra)
		{
			return repeat(this, sa);
		}
	}
	else if (!sa && this->current)
	{
		fail(this);
	}
	if (!this->source && this->retry.num_tries)
	{
		look_for_route(this, peer_cfg);
	}
	return qcd_now() < this->next ? this->next : begin_try(this, peer_cfg);
}

/**
 * Delete an IKE_SA
 */
static void delete_sa(private_qcd_recovery_t *this, qcd_sa_t *sa)
{
	ike_sa_t *ike_sa;

	this->mutex->lock(this->mutex);
	this->deleted = sa->unique_id;
	this->mutex->unlock(this->mutex);
	ike_sa = qcd_sa_checkout_same(sa);
	if (ike_sa)
	{
		qcd_sa_checkin(ike_sa, ike_sa->delete(ike_sa, FALSE));
	}
}

/**
 * Ask for the CHILD_SAs that an IKE_SA has not
 */
static void ask_children(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
						 qcd_sa_t *sa)
{
	ike_sa_t *ike_sa;

	reset_failure(this);
	qcd_retry_try(&this->retry, qcd_now());
	this->asked = TRUE;
	ike_sa = qcd_sa_checkout_same(sa);
	if (ike_sa)
	{
		this->wanted->queue_missing(this->wanted, peer_cfg, ike_sa);
		qcd_sa_checkin(ike_sa, ike_sa->initiate(ike_sa, NULL, NULL));
	}
}

/**
 * There is an IKE_SA without all of its CHILD_SAs: get them
 *
 * @return				when to look again
 */
static uint64_t complete(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
						 qcd_found_t *best)
{
	uint64_t now = qcd_now();

	if (!this->incomplete_since)
	{
		this->incomplete_since = now;
	}
	if (best->busy)
	{
		return now + LOOK_MS;
	}
	if (!best->initiator && now - this->incomplete_since < PEERS_TIME_MS)
	{
		return this->incomplete_since + PEERS_TIME_MS;
	}
	if (this->asked || this->current == best->sa.unique_id)
	{
		this->asked = FALSE;
		this->mutex->lock(this->mutex);
		this->failure = QCD_FAILURE_REFUSED;
		if (!*this->reason)
		{
			snprintf(this->reason, sizeof(this->reason),
					 "an IKE_SA without its CHILD_SA");
		}
		this->mutex->unlock(this->mutex);
		fail(this);
	}
	if (now < this->next)
	{
		return this->next;
	}
	if (best->no_vip)
	{	/* they are asked for with the IKE_SA only */
		delete_sa(this, &best->sa);
		return now + LOOK_MS;
	}
	ask_children(this, peer_cfg, &best->sa);
	return now + LOOK_MS;
}

/**
 * There are several IKE_SAs with all CHILD_SAs, as where both peers initiated
 * one: find out which the peer has as well, and delete all of these but one. Both
 * peers would keep the same one.
 *
 * @return				when to look again
 */
static uint64_t tidy(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg)
{
	uint64_t now = qcd_now();
	linked_list_t *surplus;
	qcd_sa_t *sa;
	array_t *all;
	u_int wanted;

	if (this->several_since && now - this->several_since < PEERS_TIME_MS)
	{
		return this->several_since + PEERS_TIME_MS;
	}
	all = qcd_found_create(this->peers, this->wanted, peer_cfg, this->lost,
						   !this->several_since);
	if (!this->several_since)
	{
		this->several_since = now;
	}
	else
	{
		this->several_since = 0;
		this->wanted->count_missing(this->wanted, peer_cfg, &wanted);
		surplus = qcd_found_surplus(all, wanted);
		while (surplus->remove_first(surplus, (void**)&sa) == SUCCESS)
		{
			delete_sa(this, sa);
			free(sa);
		}
		surplus->destroy(surplus);
	}
	array_destroy(all);
	return now + PEERS_TIME_MS;
}

/**
 * All is up: clean up behind us
 *
 * @return				when to look again, 0 if it is over
 */
static uint64_t settle(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
					   qcd_found_t *best, u_int complete)
{
	uint64_t now = qcd_now();

	this->current = 0;
	this->extra = FALSE;
	this->waiting = FALSE;
	this->incomplete_since = 0;
	if (!this->up_since)
	{
		this->up_since = now;
		if (this->proved)
		{
			this->events->recovered(this->events, &best->sa.spis,
									this->wanted->get_peer(this->wanted),
									this->wanted->get_name(this->wanted));
		}
		if (this->wanted->has_tasks(this->wanted))
		{
			ask_children(this, peer_cfg, &best->sa);
		}
	}
	/* a late answer to what was answered already may end the other IKE_SA at the
	 * peer, so these have their time */
	this->tries->drop(this->tries, this->wanted,
					  now - this->up_since >= LEFT_OVER_MS);
	if (complete > 1)
	{
		return tidy(this, peer_cfg);
	}
	this->several_since = 0;
	if (now - this->up_since >= OVER_MS)
	{
		return 0;
	}
	return this->up_since + (now - this->up_since < LEFT_OVER_MS ?
							 LEFT_OVER_MS : OVER_MS);
}

/**
 * Check if somebody has closed the connection
 */
static bool is_closed(private_qcd_recovery_t *this)
{
	bool closed;

	this->mutex->lock(this->mutex);
	closed = this->closed;
	this->mutex->unlock(this->mutex);
	return closed;
}

/**
 * End the recovery before all is up
 */
static uint64_t give_up(private_qcd_recovery_t *this, char *why)
{
	if (this->proved && !this->up_since)
	{
		this->events->raise_detail(this->events, QCD_EVENT_ABANDONED,
								   this->wanted->get_peer(this->wanted),
								   this->wanted->get_name(this->wanted), why);
	}
	return 0;
}

/**
 * Do what is due
 */
static uint64_t step_with(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg)
{
	qcd_pending_sa_t *sa;
	array_t *all;
	qcd_found_t best;
	u_int missing, wanted, num_complete;
	uint64_t due;
	bool found;

	/* in this order: a try is pending until it is established */
	sa = this->tries->get_youngest(this->tries, this->wanted);
	all = qcd_found_create(this->peers, this->wanted, peer_cfg, this->lost,
						   !this->begun);
	missing = this->wanted->count_missing(this->wanted, peer_cfg, &wanted);
	found = qcd_found_best(all, wanted, &best, &num_complete);
	array_destroy(all);

	if (found && !missing)
	{
		due = settle(this, peer_cfg, &best, num_complete);
	}
	else if (is_closed(this))
	{
		due = give_up(this, "it was closed");
	}
	else if (found)
	{
		this->up_since = 0;
		due = complete(this, peer_cfg, &best);
	}
	else if (!this->proved)
	{	/* the peer came and went */
		due = 0;
	}
	else
	{
		this->up_since = 0;
		this->incomplete_since = 0;
		due = connect_peer(this, peer_cfg, sa);
	}
	this->begun = TRUE;
	if (sa)
	{
		qcd_pending_sa_destroy(sa);
	}
	return due;
}

/**
 * Show where we are
 */
static void show(private_qcd_recovery_t *this, uint64_t due)
{
	host_t *peer = this->wanted->get_peer(this->wanted);

	this->mutex->lock(this->mutex);
	DESTROY_IF(this->shown.peer);
	this->shown.peer = peer->clone(peer);
	this->shown.tries = this->retry.num_tries;
	this->shown.next = due;
	this->shown.waiting = this->waiting;
	this->shown.over = this->up_since || !this->proved;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, step, uint64_t,
	private_qcd_recovery_t *this)
{
	peer_cfg_t *peer_cfg = this->wanted->get_config(this->wanted);
	uint64_t due, now = qcd_now();

	if (!peer_cfg)
	{
		if (!this->unloaded_since)
		{
			this->unloaded_since = now;
		}
		return now - this->unloaded_since < UNLOADED_MS ? now + LOOK_MS :
			   give_up(this, "it is not loaded any more");
	}
	this->unloaded_since = 0;
	if (this->wanted->is_obsolete(this->wanted, peer_cfg))
	{
		due = give_up(this, "its CHILD_SAs are not configured any more");
	}
	else
	{
		due = step_with(this, peer_cfg);
	}
	peer_cfg->destroy(peer_cfg);
	show(this, due);
	return due;
}

METHOD(qcd_recovery_t, get_wanted, qcd_wanted_t*,
	private_qcd_recovery_t *this)
{
	return this->wanted;
}

METHOD(qcd_recovery_t, go_on, void,
	private_qcd_recovery_t *this, qcd_wanted_t *wanted, uint32_t unique_id)
{
	uint64_t now = qcd_now();

	if (this->up_since && now - this->up_since < QCD_STABLE_MS &&
		unique_id > this->lost)
	{	/* what was just brought up */
		note_failure(this, wanted->was_used(wanted) ? QCD_FAILURE_LOST
													: QCD_FAILURE_CRASHED,
					 "the peer lost it again");
		fail(this);
	}
	else if (this->up_since)
	{
		qcd_retry_init(&this->retry, now);
		this->next = now;
	}
	this->wanted->merge(this->wanted, wanted);
	this->lost = max(this->lost, unique_id);
	this->up_since = 0;
	this->proved = TRUE;
	this->mutex->lock(this->mutex);
	this->closed = FALSE;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, is_waiting, bool,
	private_qcd_recovery_t *this)
{
	return this->waiting;
}

METHOD(qcd_recovery_t, is_up, bool,
	private_qcd_recovery_t *this)
{
	return this->up_since != 0;
}

METHOD(qcd_recovery_t, set_resolved, void,
	private_qcd_recovery_t *this, host_t *host)
{
	DESTROY_IF(this->resolved);
	this->resolved = host;
}

METHOD(qcd_recovery_t, describe, void,
	private_qcd_recovery_t *this, qcd_json_t *json)
{
	uint64_t now = qcd_now();

	this->mutex->lock(this->mutex);
	if (!this->shown.over)
	{
		json->begin(json, "recovery");
		json->add_str(json, "connection", this->shown.name);
		json->add_host(json, "peer", this->shown.peer);
		json->add_num(json, "tries", this->shown.tries);
		json->add_str(json, "failed", this->reason);
		json->add_bool(json, "waiting", this->shown.waiting);
		json->add_num(json, "next_ms", this->shown.next > now ?
					  this->shown.next - now : 0);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, destroy, void,
	private_qcd_recovery_t *this)
{
	this->wanted->destroy(this->wanted);
	DESTROY_IF(this->resolved);
	DESTROY_IF(this->source);
	this->shown.peer->destroy(this->shown.peer);
	free(this->shown.name);
	this->tries->destroy(this->tries);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_recovery_t *qcd_recovery_create(qcd_events_t *events,
									qcd_pending_t *pending, qcd_peers_t *peers,
									qcd_wanted_t *wanted, uint32_t unique_id)
{
	private_qcd_recovery_t *this;
	host_t *peer = wanted->get_peer(wanted);

	INIT(this,
		.public = {
			.get_wanted = _get_wanted,
			.go_on = _go_on,
			.step = _step,
			.is_waiting = _is_waiting,
			.is_up = _is_up,
			.set_resolved = _set_resolved,
			.is_try = _is_try,
			.note_failure = _note_failure,
			.note_unknown = _note_unknown,
			.note_closed = _note_closed,
			.describe = _describe,
			.destroy = _destroy,
		},
		.events = events,
		.pending = pending,
		.peers = peers,
		.wanted = wanted,
		.lost = unique_id,
		.proved = unique_id != 0,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.tries = qcd_tries_create(pending),
		.shown = {
			.name = strdup(wanted->get_name(wanted)),
			.peer = peer->clone(peer),
			.over = !unique_id,
		},
	);
	qcd_retry_init(&this->retry, qcd_now());
	this->next = qcd_now();
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_connector.h"
#include "qcd_tries.h"
#include "qcd_try.h"

#include <threading/mutex.h>

/**
 * Milliseconds after which another address of the peer is tried, if it has
 * several
 */
#define OTHER_ADDRESS_MS 1000

/**
 * Milliseconds after which another try begins beside one whose peer has
 * answered but is silent since, and the minimum number of round trips. The time
 * doubles with each such try, this many times at most.
 */
#define BESIDE_MS 4000
#define BESIDE_ROUND_TRIPS 8
#define BESIDE_DOUBLE_MAX 4

/**
 * Milliseconds after which a recovery that waits for others checks again. It is
 * woken when one of their tries ends, but some never end.
 */
#define WAIT_MS 1000

typedef struct private_qcd_connector_t private_qcd_connector_t;

/**
 * Private data
 */
struct private_qcd_connector_t {

	/**
	 * Public interface
	 */
	qcd_connector_t public;

	/**
	 * Events; current tries
	 */
	qcd_events_t *events;
	qcd_tries_t *tries;

	/**
	 * What has to be up, owned by the recovery
	 */
	qcd_wanted_t *wanted;

	/**
	 * When the next try is due
	 */
	uint64_t due;

	/**
	 * Unique ID of the last try, 0 once it has failed
	 */
	uint32_t current;

	/**
	 * Whether a try is due beside the current one, and how many of these were
	 * due because the peer was silent
	 */
	bool extra;
	u_int extras;

	/**
	 * Address that the peer's name resolved to, or NULL
	 */
	host_t *resolved;

	/**
	 * Source address of the last try, NULL if there was no route
	 */
	host_t *source;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing is called while it is held. Only the thread that runs the step
	 * writes, so it reads pace and waiting without the mutex.
	 */
	mutex_t *mutex;

	/**
	 * Paces the tries
	 */
	qcd_retry pace;

	/**
	 * Whether the maximum number of tries is reached
	 */
	bool waiting;

	/**
	 * Why the last try fails
	 */
	enum qcd_failure failure;
	char reason[64];

	/**
	 * IKE_SA that is claimed to be unknown to the peer, 0 if none
	 */
	uint32_t unknown;
};

METHOD(qcd_connector_t, is_try, bool,
	private_qcd_connector_t *this, uint32_t unique_id)
{
	return this->tries->has(this->tries, unique_id);
}

METHOD(qcd_connector_t, note_failure, void,
	private_qcd_connector_t *this, enum qcd_failure failure, const char *reason)
{
	this->mutex->lock(this->mutex);
	/* the first reason is the peer's, later ones are charon's conclusions */
	if (!*this->reason)
	{
		this->failure = failure;
		snprintf(this->reason, sizeof(this->reason), "%s", reason);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_connector_t, note_unknown, void,
	private_qcd_connector_t *this, uint32_t unique_id)
{
	this->mutex->lock(this->mutex);
	this->unknown = unique_id;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_connector_t, reset, void,
	private_qcd_connector_t *this)
{
	uint64_t now = qcd_now();

	this->mutex->lock(this->mutex);
	qcd_retry_init(&this->pace, now);
	this->mutex->unlock(this->mutex);
	this->due = now;
}

METHOD(qcd_connector_t, begin, void,
	private_qcd_connector_t *this)
{
	this->mutex->lock(this->mutex);
	this->failure = QCD_FAILURE_SILENT;
	this->reason[0] = '\0';
	this->unknown = 0;
	qcd_retry_try(&this->pace, qcd_now());
	this->mutex->unlock(this->mutex);
}

/**
 * Note that the last try has failed for the reason noted, determine when the
 * next one is due, and report both
 */
static void fail_as_noted(private_qcd_connector_t *this)
{
	char detail[128];
	uint64_t now = qcd_now();
	uint32_t random = 0;

	/* without random numbers, the intervals are just not spread */
	ignore_result(qcd_random((uint8_t*)&random, sizeof(random)));
	this->current = 0;
	this->mutex->lock(this->mutex);
	qcd_retry_fail(&this->pace, this->failure, now);
	this->due = max(now, qcd_retry_due(&this->pace, random));
	snprintf(detail, sizeof(detail), "try %u failed: %s, next in %u ms",
			 this->pace.num_tries, *this->reason ? this->reason : "no answer",
			 (u_int)(this->due - now));
	this->mutex->unlock(this->mutex);
	this->events->raise(this->events, QCD_EVENT_RETRYING, NULL,
						this->wanted->peer, this->wanted->name, detail);
}

METHOD(qcd_connector_t, fail, void,
	private_qcd_connector_t *this, enum qcd_failure failure, const char *reason)
{
	this->mutex->lock(this->mutex);
	this->failure = failure;
	snprintf(this->reason, sizeof(this->reason), "%s", reason);
	this->mutex->unlock(this->mutex);
	fail_as_noted(this);
}

METHOD(qcd_connector_t, refuse, void,
	private_qcd_connector_t *this, const char *reason)
{
	note_failure(this, QCD_FAILURE_REFUSED, reason);
	this->mutex->lock(this->mutex);
	this->failure = QCD_FAILURE_REFUSED;
	this->mutex->unlock(this->mutex);
	fail_as_noted(this);
}

METHOD(qcd_connector_t, get_due, uint64_t,
	private_qcd_connector_t *this)
{
	return this->due;
}

METHOD(qcd_connector_t, is_current, bool,
	private_qcd_connector_t *this, uint32_t unique_id)
{
	return this->current == unique_id;
}

METHOD(qcd_connector_t, is_waiting, bool,
	private_qcd_connector_t *this)
{
	return this->waiting;
}

/**
 * Set whether the maximum number of tries is reached
 */
static void set_waiting(private_qcd_connector_t *this, bool waiting)
{
	this->mutex->lock(this->mutex);
	this->waiting = waiting;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_connector_t, set_resolved, void,
	private_qcd_connector_t *this, host_t *host)
{
	DESTROY_IF(this->resolved);
	this->resolved = host;
}

/**
 * Get the address at which the next try looks for the peer
 *
 * @param count			receives the number of addresses that the peer may have
 */
static host_t *get_address(private_qcd_connector_t *this, peer_cfg_t *peer_cfg,
						   u_int *count)
{
	return qcd_try_get_peer(peer_cfg->get_ike_cfg(peer_cfg),
							this->wanted->peer, this->resolved,
							this->pace.num_tries, count);
}

/**
 * Try again soon, because something has changed
 */
static void hasten(private_qcd_connector_t *this)
{
	uint64_t now = qcd_now();

	this->mutex->lock(this->mutex);
	qcd_retry_hasten(&this->pace, now);
	this->mutex->unlock(this->mutex);
	this->due = min(this->due, now);
}

/**
 * Get the address from which to reach the peer. If it has changed, the next try
 * is due now.
 *
 * @return				NULL if there is no route
 */
static host_t *get_source(private_qcd_connector_t *this, peer_cfg_t *peer_cfg,
						  host_t *other)
{
	host_t *me;

	me = qcd_try_get_source(peer_cfg->get_ike_cfg(peer_cfg), other);
	if (me && this->source && me->ip_equals(me, this->source))
	{
		return me;
	}
	if (me && this->pace.num_tries)
	{
		hasten(this);
	}
	DESTROY_IF(this->source);
	this->source = me ? me->clone(me) : NULL;
	return me;
}

/**
 * Begin a try, unless the maximum number is reached
 *
 * @return				when to check again
 */
static uint64_t begin_try(private_qcd_connector_t *this, peer_cfg_t *peer_cfg)
{
	uint64_t now = qcd_now();
	host_t *other, *me;
	u_int count;

	other = get_address(this, peer_cfg, &count);
	set_waiting(this, this->tries->are_enough(this->tries, other));
	if (this->waiting)
	{
		other->destroy(other);
		return now + WAIT_MS;
	}
	begin(this);
	this->extra = FALSE;
	me = get_source(this, peer_cfg, other);
	if (!me)
	{
		other->destroy(other);
		fail(this, QCD_FAILURE_SILENT, "no route to the peer");
		return this->due;
	}
	this->current = this->tries->begin(this->tries, this->wanted, peer_cfg, me,
									   other);
	if (!this->current)
	{
		fail(this, QCD_FAILURE_REFUSED, "it can't be initiated");
		return this->due;
	}
	return now + QCD_REPEAT_MIN_MS;
}

/**
 * Tell whether a request goes to an address where the peer is not, or from an
 * address that is not ours any more. If the peer may have several addresses,
 * each gets its turn.
 */
static bool is_astray(private_qcd_connector_t *this, peer_cfg_t *peer_cfg,
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
 * Tell whether an IKE_SA is claimed to be unknown to the peer
 */
static bool is_unknown(private_qcd_connector_t *this, qcd_pending_sa_t *sa)
{
	bool unknown;

	this->mutex->lock(this->mutex);
	unknown = this->unknown == sa->unique_id;
	this->mutex->unlock(this->mutex);
	return unknown;
}

/**
 * Tell whether another try is due beside one that was answered: the peer says
 * that it does not know it, or is silent. The answered try has then failed.
 */
static bool is_extra_due(private_qcd_connector_t *this, qcd_pending_sa_t *sa)
{
	uint64_t patience = max(BESIDE_MS, sa->round_trip * BESIDE_ROUND_TRIPS);

	patience <<= min(this->extras, BESIDE_DOUBLE_MAX);
	if (is_unknown(this, sa))
	{
		fail(this, QCD_FAILURE_CRASHED,
			 "the peer does not know the new IKE_SA");
		return TRUE;
	}
	if (qcd_now() - sa->since >= patience)
	{
		this->extras++;
		fail_as_noted(this);
		return TRUE;
	}
	return FALSE;
}

METHOD(qcd_connector_t, get_try, qcd_pending_sa_t*,
	private_qcd_connector_t *this)
{
	return this->tries->get_youngest(this->tries, this->wanted);
}

METHOD(qcd_connector_t, connect_peer, uint64_t,
	private_qcd_connector_t *this, peer_cfg_t *peer_cfg, qcd_pending_sa_t *sa,
	bool at_once)
{
	host_t *other, *me;
	u_int count;

	if (sa && !this->extra)
	{
		if (!sa->round_trip && is_astray(this, peer_cfg, sa))
		{	/* it did not fail, even if the next one has to wait */
			this->tries->drop(this->tries, this->wanted, FALSE, qcd_now());
			this->current = 0;
			return begin_try(this, peer_cfg);
		}
		this->extra = sa->round_trip && is_extra_due(this, sa);
		if (!this->extra)
		{
			return this->tries->repeat(this->tries, sa, at_once);
		}
	}
	else if (!sa && this->current)
	{
		fail_as_noted(this);
	}
	if (!this->source && this->pace.num_tries)
	{	/* check if there is a route again */
		other = get_address(this, peer_cfg, &count);
		me = get_source(this, peer_cfg, other);
		DESTROY_IF(me);
		other->destroy(other);
	}
	return qcd_now() < this->due ? this->due : begin_try(this, peer_cfg);
}

METHOD(qcd_connector_t, repeat_request, void,
	private_qcd_connector_t *this, uint32_t unique_id)
{
	this->tries->repeat_request(this->tries, unique_id);
}

METHOD(qcd_connector_t, settle, bool,
	private_qcd_connector_t *this, bool answered, uint64_t since)
{
	this->current = 0;
	this->extra = FALSE;
	set_waiting(this, FALSE);
	return this->tries->drop(this->tries, this->wanted, answered, since);
}

METHOD(qcd_connector_t, describe, void,
	private_qcd_connector_t *this, qcd_json_t *json)
{
	this->mutex->lock(this->mutex);
	json->add_num(json, "tries", this->pace.num_tries);
	json->add_str(json, "last_failure", this->reason);
	json->add_bool(json, "waiting", this->waiting);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_connector_t, destroy, void,
	private_qcd_connector_t *this)
{
	DESTROY_IF(this->resolved);
	DESTROY_IF(this->source);
	this->tries->destroy(this->tries);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_connector_t *qcd_connector_create(qcd_events_t *events,
									  qcd_pending_t *pending,
									  qcd_wanted_t *wanted)
{
	private_qcd_connector_t *this;

	INIT(this,
		.public = {
			.reset = _reset,
			.get_try = _get_try,
			.connect = _connect_peer,
			.begin = _begin,
			.fail = _fail,
			.refuse = _refuse,
			.get_due = _get_due,
			.is_current = _is_current,
			.repeat_request = _repeat_request,
			.settle = _settle,
			.set_resolved = _set_resolved,
			.is_waiting = _is_waiting,
			.is_try = _is_try,
			.note_failure = _note_failure,
			.note_unknown = _note_unknown,
			.describe = _describe,
			.destroy = _destroy,
		},
		.events = events,
		.wanted = wanted,
		.tries = qcd_tries_create(pending),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	reset(this);
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_recovery.h"
#include "qcd_rivals.h"

#include <threading/mutex.h>

/**
 * In milliseconds: interval between checks for changes that nothing reports, and
 * for responses; time that the peer has to establish the CHILD_SAs of its own
 * IKE_SA, and to confirm doubtful IKE_SAs; time after which a connection that is
 * not loaded is given up
 */
#define LOOK_MS 250
#define DOUBTFUL_MS 50
#define PEERS_TIME_MS 1000
#define UNLOADED_MS 30000

/**
 * Milliseconds after everything is up: until remaining tries are dropped, and
 * until the recovery ends
 */
#define LEFT_OVER_MS 5000
#define OVER_MS 30000

typedef struct private_qcd_recovery_t private_qcd_recovery_t;

/**
 * How many IKE_SAs were closed by anybody, and how many of these by us
 */
typedef struct {
	u_int all;
	u_int ours;
} closings_t;

/**
 * Private data
 */
struct private_qcd_recovery_t {

	/**
	 * Public interface
	 */
	qcd_recovery_t public;

	/**
	 * As passed to qcd_recovery_create()
	 */
	qcd_events_t *events;
	qcd_pending_t *pending;

	/**
	 * What has to be up
	 */
	qcd_wanted_t *wanted;

	/**
	 * Reaches the peer; IKE_SAs that may replace the lost one
	 */
	qcd_connector_t *connector;
	qcd_rivals_t *rivals;

	/**
	 * Unique ID of the youngest lost IKE_SA
	 */
	uint32_t lost;

	/**
	 * Unique ID of the IKE_SA that brought everything up again, 0 if none
	 */
	uint32_t replacement;

	/**
	 * When a crash was proved, whose recovery raises an event; 0 if none was
	 */
	uint64_t proved_at;

	/**
	 * Since when everything is up, and since when it is without surplus IKE_SAs;
	 * since when there is an IKE_SA without all of its CHILD_SAs, since when
	 * there are only doubtful ones, and since when the connection is not loaded;
	 * 0 if not so
	 */
	uint64_t up_since;
	uint64_t settled_since;
	uint64_t incomplete_since;
	uint64_t doubtful_since;
	uint64_t unloaded_since;

	/**
	 * Whether CHILD_SAs were requested on an IKE_SA that lacked them; the peer's
	 * IKE_SA without all of them that it was last asked about
	 */
	bool asked;
	uint32_t incomplete;

	/**
	 * Whether none is left of two IKE_SAs, because each end deleted another one
	 */
	bool none_left;

	/**
	 * Whether the first step since the crash is done, which asks the peer about
	 * all IKE_SAs
	 */
	bool begun;

	/**
	 * Numbers of closings that did not end the connection, as below
	 */
	closings_t ignored;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing that needs the bus is called while it is held.
	 */
	mutex_t *mutex;

	/**
	 * IKE_SA that we delete ourselves
	 */
	uint32_t deleted;

	/**
	 * Numbers of IKE_SAs that were closed on purpose
	 */
	closings_t closings;

	/**
	 * What describe() shows: where the peer is, when the next step is due, and
	 * whether nothing is left to bring up
	 */
	struct {
		host_t *peer;
		uint64_t next;
		bool over;
	} shown;
};

METHOD(qcd_recovery_t, note_closed, void,
	private_qcd_recovery_t *this, uint32_t unique_id, bool by_peer)
{
	this->mutex->lock(this->mutex);
	if (unique_id != this->deleted && (!by_peer || this->shown.over))
	{
		this->closings.all++;
		this->closings.ours += !by_peer;
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Delete an IKE_SA
 */
static void delete_sa(private_qcd_recovery_t *this, qcd_sa_t *sa)
{
	this->mutex->lock(this->mutex);
	this->deleted = sa->unique_id;
	this->mutex->unlock(this->mutex);
	this->rivals->remove(this->rivals, sa);
}

/**
 * Request the CHILD_SAs that an IKE_SA lacks. Those that charon itself is to
 * request again later are requested now.
 */
static void ask_children(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
						 qcd_sa_t *sa)
{
	ike_sa_t *ike_sa;

	this->connector->begin(this->connector);
	this->asked = TRUE;
	ike_sa = qcd_sa_checkout_same(sa);
	if (ike_sa)
	{
		if (this->up_since || !qcd_sa_hasten(ike_sa, TASK_CHILD_CREATE))
		{
			this->wanted->queue_missing(this->wanted, peer_cfg, ike_sa);
		}
		qcd_sa_checkin(ike_sa, ike_sa->initiate(ike_sa, NULL, NULL));
	}
}

/**
 * Request on the IKE_SA that is up what was requested while there was none.
 * charon does not create what is up there.
 */
static void pass_requests(private_qcd_recovery_t *this, qcd_sa_t *sa)
{
	ike_sa_t *ike_sa = qcd_sa_checkout_same(sa);

	if (ike_sa)
	{
		this->wanted->queue_requests(this->wanted, ike_sa);
		qcd_sa_checkin(ike_sa, ike_sa->initiate(ike_sa, NULL, NULL));
	}
}

/**
 * Ask the peer about its IKE_SA. It responds once the IKE_SA is established there
 * as well, which is later than here, by a round trip at least. By then it has
 * requested the other CHILD_SAs that it creates itself.
 */
static void ask_peer(private_qcd_recovery_t *this, qcd_sa_t *sa)
{
	ike_sa_t *ike_sa = qcd_sa_checkout_same(sa);

	if (ike_sa)
	{
		qcd_sa_checkin(ike_sa, this->pending->ask(this->pending, ike_sa));
	}
}

/**
 * Handle that there is an IKE_SA without all of its CHILD_SAs: request the
 * missing ones, unless the peer does
 *
 * @return				when to check again
 */
static uint64_t complete(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
						 qcd_rival_t *best)
{
	uint64_t due, now = qcd_now();
	bool was_asked;

	if (best->busy)
	{
		this->incomplete_since = 0;
		this->connector->repeat_request(this->connector, best->sa.unique_id);
		return now + LOOK_MS;
	}
	this->incomplete_since = this->incomplete_since ?: now;
	was_asked = this->incomplete == best->sa.unique_id;
	due = this->incomplete_since + (was_asked ? PEERS_TIME_MS : LOOK_MS);
	if (!best->initiator && now < due)
	{
		return due;
	}
	if (!best->initiator && !was_asked)
	{
		this->incomplete = best->sa.unique_id;
		this->incomplete_since = 0;
		ask_peer(this, &best->sa);
		return now + DOUBTFUL_MS;
	}
	if (this->asked ||
		this->connector->is_current(this->connector, best->sa.unique_id))
	{
		this->asked = FALSE;
		this->connector->refuse(this->connector,
								"an IKE_SA without its CHILD_SA");
	}
	due = this->connector->get_due(this->connector);
	if (now < due)
	{
		return due;
	}
	if (best->no_vip)
	{	/* virtual IPs can only be requested with the IKE_SA */
		delete_sa(this, &best->sa);
	}
	else
	{
		ask_children(this, peer_cfg, &best->sa);
	}
	return now + LOOK_MS;
}

/**
 * Tell that the connection is up again, with the IKE_SA checked out so that
 * charon's log names it. Expect, also on IKE_SAs of the peer, the traffic
 * selectors that it now has: what the peer requests may have changed.
 */
static void note_up(private_qcd_recovery_t *this, qcd_sa_t *sa)
{
	qcd_child_list_t *children = this->wanted->children;
	ike_sa_t *ike_sa = qcd_sa_checkout_same(sa);

	this->replacement = sa->unique_id;
	if (this->proved_at)
	{
		this->events->recovered(this->events, &sa->ike.spis,
								this->wanted->peer, this->wanted->name,
								this->proved_at);
	}
	if (ike_sa)
	{
		children->learn(children, ike_sa);
		qcd_sa_checkin(ike_sa, SUCCESS);
	}
}

/**
 * Handle that everything is up: clean up
 *
 * @return				when to check again, 0 if the recovery has ended
 */
static uint64_t settle(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
					   qcd_rival_t *best, u_int complete)
{
	uint64_t look, over, now = qcd_now();

	this->incomplete_since = 0;
	this->none_left = FALSE;
	if (!this->up_since)
	{
		this->up_since = now;
		this->rivals->note_up(this->rivals);
		note_up(this, &best->sa);
	}
	/* The peer may still complete a try that it has answered, and delete the
	 * other IKE_SA for it. Such a try therefore gets some time. The peer may
	 * have done both already. */
	if (this->connector->settle(this->connector,
								now - this->up_since >= LEFT_OVER_MS,
								this->up_since))
	{	/* check if the peer has deleted this one for such a try */
		ask_peer(this, &best->sa);
	}
	/* The peer may request the same. If two requests cross, charon does not see
	 * that, so the peer's comes first. */
	if (now - this->up_since >= LEFT_OVER_MS &&
		this->wanted->has_requests(this->wanted))
	{
		pass_requests(this, &best->sa);
	}
	if (complete > 1)
	{
		this->settled_since = 0;
		return this->rivals->tidy(this->rivals, peer_cfg);
	}
	this->rivals->reset(this->rivals);
	this->settled_since = this->settled_since ?: now;
	look = this->rivals->get_over(this->rivals);
	over = max(this->up_since + OVER_MS, look);
	if (now >= over)
	{
		return 0;
	}
	if (now - this->up_since < LEFT_OVER_MS)
	{
		return this->up_since + LEFT_OVER_MS;
	}
	return look > now ? look : over;
}

/**
 * Handle that no IKE_SA can replace the lost one: reach the peer. If there are
 * doubtful IKE_SAs, it first gets some time to confirm them.
 *
 * @param sa			current try, or NULL
 * @param doubtful		TRUE if there are doubtful IKE_SAs
 * @return				when to check again
 */
static uint64_t reach(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg,
					  qcd_pending_sa_t *sa, bool doubtful)
{
	uint64_t now = qcd_now();

	this->up_since = 0;
	this->settled_since = 0;
	this->incomplete_since = 0;
	this->asked = FALSE;
	this->doubtful_since = doubtful ? this->doubtful_since ?: now : 0;
	if (doubtful && !sa && now - this->doubtful_since < PEERS_TIME_MS)
	{
		return now + DOUBTFUL_MS;
	}
	this->rivals->note_try(this->rivals);
	return this->connector->connect(this->connector, peer_cfg, sa,
									!this->begun);
}

/**
 * End the recovery before everything is up
 */
static uint64_t give_up(private_qcd_recovery_t *this, char *why)
{
	if (this->proved_at && !this->up_since)
	{
		this->events->raise(this->events, QCD_EVENT_ABANDONED, NULL,
							this->wanted->peer, this->wanted->name, why);
	}
	return 0;
}

/**
 * Do what is due
 */
static uint64_t step_with(private_qcd_recovery_t *this, peer_cfg_t *peer_cfg)
{
	qcd_child_list_t *children = this->wanted->children;
	qcd_pending_sa_t *sa;
	array_t *all;
	qcd_rival_t best;
	u_int missing, wanted, num_complete;
	closings_t closings;
	uint64_t due;
	bool found, doubtful, up;

	/* first of all: what is closed from now on concerns the next step */
	this->mutex->lock(this->mutex);
	closings = this->closings;
	this->mutex->unlock(this->mutex);

	/* what is begun later than that replaces nothing that was lost */
	this->rivals->set_closed(this->rivals, this->settled_since &&
							 qcd_now() - this->settled_since >= PEERS_TIME_MS);
	/* in this order: a try is pending until it is established */
	sa = this->connector->get_try(this->connector);
	all = this->rivals->find(this->rivals, peer_cfg, !this->begun);
	missing = children->count_missing(children, peer_cfg, &wanted);
	found = qcd_rivals_best(all, wanted, &best, &num_complete);
	doubtful = !found && array_count(all);
	array_destroy(all);
	if (!found && !sa)
	{	/* charon may just have replaced the one that was found */
		sa = this->connector->get_try(this->connector);
	}
	/* what is closed after everything was up stays closed */
	up = found && (this->up_since || !missing);
	if (!found && this->rivals->has_deleted(this->rivals) &&
		closings.ours == this->ignored.ours)
	{	/* the peer may have deleted the one that we kept */
		this->none_left = TRUE;
		this->ignored = closings;
		this->up_since = 0;
	}
	if (found || sa)
	{	/* one was only replaced: closing the connection ends these as well */
		this->ignored = closings;
	}
	if (up)
	{
		due = settle(this, peer_cfg, &best, num_complete);
	}
	else if (closings.all != this->ignored.all ||
			 (!found && !sa && this->rivals->is_closing(this->rivals)))
	{
		due = give_up(this, "it was closed");
	}
	else if (this->up_since && qcd_now() - this->up_since >= LEFT_OVER_MS)
	{
		due = 0;
	}
	else if (found)
	{
		due = complete(this, peer_cfg, &best);
	}
	else if (!this->proved_at && !this->none_left)
	{	/* the peer initiated an IKE_SA, which is gone again */
		due = 0;
	}
	else
	{
		due = reach(this, peer_cfg, sa, doubtful);
	}
	this->begun = TRUE;
	qcd_pending_sa_destroy(sa);
	return due;
}

/**
 * Update what describe() shows
 */
static void show(private_qcd_recovery_t *this, uint64_t due)
{
	this->mutex->lock(this->mutex);
	DESTROY_IF(this->shown.peer);
	this->shown.peer = this->wanted->peer->clone(this->wanted->peer);
	this->shown.next = due;
	this->shown.over = this->up_since || !this->proved_at;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, step, uint64_t,
	private_qcd_recovery_t *this)
{
	peer_cfg_t *peer_cfg = this->wanted->get_config(this->wanted);
	uint64_t due, now = qcd_now();

	if (!peer_cfg)
	{
		this->unloaded_since = this->unloaded_since ?: now;
		return now - this->unloaded_since < UNLOADED_MS ? now + LOOK_MS :
			   give_up(this, "it is not loaded any more");
	}
	this->unloaded_since = 0;
	due = this->wanted->is_obsolete(this->wanted, peer_cfg) ?
		  give_up(this, "its CHILD_SAs are not configured any more") :
		  step_with(this, peer_cfg);
	peer_cfg->destroy(peer_cfg);
	show(this, due);
	return due;
}

METHOD(qcd_recovery_t, get_connector, qcd_connector_t*,
	private_qcd_recovery_t *this)
{
	return this->connector;
}

METHOD(qcd_recovery_t, go_on, void,
	private_qcd_recovery_t *this, qcd_wanted_t *wanted, uint32_t unique_id)
{
	uint64_t now = qcd_now();

	if (this->up_since && now - this->up_since < QCD_STABLE_MS &&
		unique_id > this->lost)
	{	/* the IKE_SA that was just established */
		this->connector->fail(this->connector,
							  wanted->used ? QCD_FAILURE_LOST
										   : QCD_FAILURE_CRASHED,
							  "the peer lost it again");
	}
	else if (this->up_since)
	{
		this->connector->reset(this->connector);
	}
	this->proved_at = this->up_since ? now : this->proved_at ?: now;
	/* An older one was lost in the same crash as those before. Of two younger
	 * ones that are lost together, the second one adds to the first. */
	this->wanted->merge(this->wanted, wanted,
						this->up_since && unique_id >= this->replacement);
	this->lost = max(this->lost, unique_id);
	this->rivals->note_lost(this->rivals, unique_id);
	this->begun &= !this->up_since;
	this->up_since = 0;
	this->settled_since = 0;
	this->doubtful_since = 0;
	this->mutex->lock(this->mutex);
	this->ignored = this->closings;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, is_up, bool,
	private_qcd_recovery_t *this)
{
	return this->up_since != 0;
}

METHOD(qcd_recovery_t, describe, void,
	private_qcd_recovery_t *this, qcd_json_t *json)
{
	uint64_t now = qcd_now();

	this->mutex->lock(this->mutex);
	if (!this->shown.over)
	{
		json->begin(json, "recovery");
		json->add_str(json, "connection", this->wanted->name);
		json->add_host(json, "peer", this->shown.peer);
		this->connector->describe(this->connector, json);
		json->add_num(json, "next_ms", max(this->shown.next, now) - now);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recovery_t, destroy, void,
	private_qcd_recovery_t *this)
{
	this->rivals->destroy(this->rivals);
	this->connector->destroy(this->connector);
	this->wanted->destroy(this->wanted);
	this->shown.peer->destroy(this->shown.peer);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_recovery_t *qcd_recovery_create(qcd_events_t *events,
									qcd_pending_t *pending, qcd_peers_t *peers,
									qcd_wanted_t *wanted, uint32_t unique_id,
									bool lost)
{
	private_qcd_recovery_t *this;

	INIT(this,
		.public = {
			.go_on = _go_on,
			.step = _step,
			.is_up = _is_up,
			.get_connector = _get_connector,
			.note_closed = _note_closed,
			.describe = _describe,
			.destroy = _destroy,
		},
		.events = events,
		.pending = pending,
		.wanted = wanted,
		.lost = lost ? unique_id : 0,
		.proved_at = lost ? qcd_now() : 0,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.connector = qcd_connector_create(events, pending, wanted),
		.shown = {
			.peer = wanted->peer->clone(wanted->peer),
			.over = !lost,
		},
	);
	this->rivals = qcd_rivals_create(pending, peers, this->connector, wanted,
									 unique_id, lost);
	return &this->public;
}

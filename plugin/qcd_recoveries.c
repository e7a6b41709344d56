/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_recoveries.h"
#include "qcd_compat.h"
#include "qcd_recovery.h"
#include "qcd_try.h"

#include <collections/hashtable.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>
#include <threading/thread.h>

/**
 * Milliseconds between two looks at what the name of a peer stands for
 */
#define RESOLVE_MS 30000

/**
 * Milliseconds for which another hint about the tries of a recovery is ignored
 */
#define HINT_MS 250

/**
 * Milliseconds within which a message has to have been processed, by the same
 * thread, that an IKE_SA fails for
 */
#define CAUSE_MS 2000

/**
 * Older IKE_SAs that a peer is asked about when it has initiated another one
 */
#define ASKED_MAX 4

/**
 * Error notifies, RFC 7296 3.10.1, end before this
 */
#define STATUS_NOTIFIES 16384

typedef struct private_qcd_recoveries_t private_qcd_recoveries_t;

/**
 * Listener for changes of routes and addresses. Its methods get a pointer to the
 * listener itself, so that has to come first.
 */
typedef struct {
	kernel_listener_t listener;
	private_qcd_recoveries_t *recoveries;
} roaming_t;

/**
 * Private data
 */
struct private_qcd_recoveries_t {

	/**
	 * Public interface
	 */
	qcd_recoveries_t public;

	/**
	 * Sees changes of routes and addresses
	 */
	roaming_t roaming;

	/**
	 * Settings
	 */
	qcd_config_t *config;

	/**
	 * Events
	 */
	qcd_events_t *events;

	/**
	 * IKE_SAs that we initiate, and those that are established
	 */
	qcd_pending_t *pending;
	qcd_peers_t *peers;

	/**
	 * Tokens of peers
	 */
	qcd_tokens_t *tokens;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing that needs the bus is called with it.
	 */
	mutex_t *mutex;

	/**
	 * Recoveries as slot_t, by their numbers
	 */
	hashtable_t *slots;

	/**
	 * The same as the first of those with the same connection
	 */
	hashtable_t *names;

	/**
	 * Numbers of recoveries between the same identities, by a hash of these
	 */
	hashtable_t *identities;

	/**
	 * The last number
	 */
	uintptr_t last;

	/**
	 * Recoveries that wait for others to end their tries, as their numbers
	 */
	linked_list_t *waiting;

	/**
	 * Recoveries whose peer's name is to be looked up, as their numbers, and
	 * whether a job is at it
	 */
	linked_list_t *unresolved;
	bool resolving;
};

typedef struct slot_t slot_t;

/**
 * A recovery and what is known of it to listeners
 */
struct slot_t {
	uintptr_t number;
	qcd_recovery_t *recovery;
	slot_t *next;
	char *name;
	uintptr_t identities;
	/** a job is at it, in that thread, and something happened meanwhile */
	bool running;
	u_int thread;
	bool again;
	/** when the next job is due, UINT64_MAX if there is none */
	uint64_t due;
	/** what the next step has to be told */
	linked_list_t *lost;
	host_t *resolved;
	/** whether it is among those that wait */
	bool waiting;
	/** whether the peer has a name, and when that was looked up */
	uint64_t resolved_at;
	/** the last message or alert that an IKE_SA may have failed for */
	uint32_t cause_id;
	u_int cause_thread;
	uint64_t cause_at;
	uint64_t hinted_at;
};

/**
 * Another IKE_SA that the peer of a recovery has lost
 */
typedef struct {
	qcd_wanted_t *wanted;
	uint32_t unique_id;
} lost_t;

/**
 * A job
 */
typedef struct {
	private_qcd_recoveries_t *this;
	/** for a step: recovery, and when it was due */
	uintptr_t number;
	uint64_t due;
	/** for what else is to be done: IKE_SA, and where a token came from */
	qcd_sa_t sa;
	host_t *src;
} todo_t;

/**
 * Destroy a todo_t
 */
static void todo_destroy(todo_t *todo)
{
	DESTROY_IF(todo->src);
	free(todo);
}

/**
 * Hash the identities of an IKE_SA
 */
static uintptr_t hash_identities(ike_sa_t *ike_sa)
{
	identification_t *my_id = ike_sa->get_my_id(ike_sa);
	identification_t *other_id = ike_sa->get_other_eap_id(ike_sa);

	return other_id->hash(other_id, my_id->hash(my_id, 0));
}

/**
 * Count a recovery between identities, with the mutex
 *
 * @return				number of recoveries
 */
static uintptr_t count_identities(private_qcd_recoveries_t *this,
								  uintptr_t identities, int change)
{
	void *key = (void*)identities;
	uintptr_t count = (uintptr_t)this->identities->get(this->identities, key);

	count += change;
	if (!count)
	{
		this->identities->remove(this->identities, key);
	}
	else if (change)
	{
		this->identities->put(this->identities, key, (void*)count);
	}
	return count;
}

static job_requeue_t step_job(todo_t *todo);

/**
 * Have a step done at a time, or as soon as one is over that is at work; with the
 * mutex
 */
static void wake(private_qcd_recoveries_t *this, slot_t *slot, uint64_t due)
{
	uint64_t now = qcd_now();
	todo_t *todo;
	job_t *job;

	if (slot->running)
	{
		slot->again |= due <= now;
		return;
	}
	if (due >= slot->due)
	{
		return;
	}
	slot->due = due;
	INIT(todo,
		.this = this,
		.number = slot->number,
		.due = due,
	);
	job = (job_t*)callback_job_create_with_prio((void*)step_job, todo,
									(void*)todo_destroy, NULL, JOB_PRIO_HIGH);
	if (due > now)
	{
		lib->scheduler->schedule_job_ms(lib->scheduler, job, due - now);
	}
	else
	{
		lib->processor->queue_job(lib->processor, job);
	}
}

/**
 * Wake all recoveries of a connection, with the mutex
 */
static void wake_name(private_qcd_recoveries_t *this, char *name)
{
	slot_t *slot;

	for (slot = this->names->get(this->names, name); slot; slot = slot->next)
	{
		wake(this, slot, qcd_now());
	}
}

/**
 * Wake the next recovery that waits for others, with the mutex
 */
static void wake_waiting(private_qcd_recoveries_t *this)
{
	slot_t *slot = NULL;
	void *number;

	while (!slot && this->waiting->remove_first(this->waiting,
												&number) == SUCCESS)
	{
		slot = this->slots->get(this->slots, number);
	}
	if (slot)
	{
		slot->waiting = FALSE;
		wake(this, slot, qcd_now());
	}
}

/**
 * Destroy a slot and its recovery
 */
static void slot_destroy(slot_t *slot)
{
	lost_t *lost;

	while (slot->lost->remove_first(slot->lost, (void**)&lost) == SUCCESS)
	{
		lost->wanted->destroy(lost->wanted);
		free(lost);
	}
	slot->lost->destroy(slot->lost);
	DESTROY_IF(slot->resolved);
	slot->recovery->destroy(slot->recovery);
	free(slot->name);
	free(slot);
}

/**
 * Add a recovery, with the mutex
 */
static slot_t *add_slot(private_qcd_recoveries_t *this, qcd_wanted_t *wanted,
						uint32_t unique_id, uintptr_t identities)
{
	slot_t *slot;

	INIT(slot,
		.number = ++this->last,
		.name = strdup(wanted->get_name(wanted)),
		.identities = identities,
		.due = UINT64_MAX,
		.lost = linked_list_create(),
	);
	slot->recovery = qcd_recovery_create(this->events, this->pending,
										 this->peers, wanted, unique_id);
	this->slots->put(this->slots, (void*)slot->number, slot);
	slot->next = this->names->put(this->names, slot->name, slot);
	count_identities(this, identities, 1);
	return slot;
}

/**
 * Take out a recovery, with the mutex
 */
static void remove_slot(private_qcd_recoveries_t *this, slot_t *slot)
{
	slot_t *first, **link;

	this->slots->remove(this->slots, (void*)slot->number);
	first = this->names->remove(this->names, slot->name);
	for (link = &first; *link != slot; link = &(*link)->next)
	{
		/* go on */
	}
	*link = slot->next;
	if (first)
	{
		this->names->put(this->names, first->name, first);
	}
	count_identities(this, slot->identities, -1);
}

/**
 * Tell a recovery what has happened since its last step
 */
static void tell(private_qcd_recoveries_t *this, slot_t *slot)
{
	lost_t *lost;
	host_t *resolved;

	this->mutex->lock(this->mutex);
	resolved = slot->resolved;
	slot->resolved = NULL;
	while (slot->lost->remove_first(slot->lost, (void**)&lost) == SUCCESS)
	{
		this->mutex->unlock(this->mutex);
		slot->recovery->go_on(slot->recovery, lost->wanted, lost->unique_id);
		free(lost);
		this->mutex->lock(this->mutex);
	}
	this->mutex->unlock(this->mutex);
	if (resolved)
	{
		slot->recovery->set_resolved(slot->recovery, resolved);
	}
}

/**
 * Look up the name of a peer, with nothing held: a resolver may not answer for
 * a long time
 */
static host_t *resolve(char *name)
{
	peer_cfg_t *peer_cfg;
	ike_cfg_t *ike_cfg;
	host_t *host = NULL;

	peer_cfg = charon->backends->get_peer_cfg_by_name(charon->backends, name);
	if (peer_cfg)
	{
		ike_cfg = peer_cfg->get_ike_cfg(peer_cfg);
		if (qcd_try_is_named(ike_cfg))
		{
			host = ike_cfg->resolve_other(ike_cfg, AF_UNSPEC);
		}
		peer_cfg->destroy(peer_cfg);
	}
	return host;
}

/**
 * Job that looks up names of peers, one after the other: a resolver that is
 * silent has one thread wait, not all
 */
static job_requeue_t resolve_job(private_qcd_recoveries_t *this)
{
	slot_t *slot;
	void *number;
	host_t *host;
	char *name;

	this->mutex->lock(this->mutex);
	while (this->unresolved->remove_first(this->unresolved, &number) == SUCCESS)
	{
		slot = this->slots->get(this->slots, number);
		if (!slot)
		{
			continue;
		}
		name = strdup(slot->name);
		this->mutex->unlock(this->mutex);
		host = resolve(name);
		free(name);
		this->mutex->lock(this->mutex);
		slot = this->slots->get(this->slots, number);
		if (slot && host)
		{
			DESTROY_IF(slot->resolved);
			slot->resolved = host;
			host = NULL;
			wake(this, slot, qcd_now());
		}
		DESTROY_IF(host);
	}
	this->resolving = FALSE;
	this->mutex->unlock(this->mutex);
	return JOB_REQUEUE_NONE;
}

/**
 * Have the name of a recovery's peer looked up now and then, with the mutex
 */
static void look_up(private_qcd_recoveries_t *this, slot_t *slot)
{
	uint64_t now = qcd_now();

	if (slot->resolved_at && now - slot->resolved_at < RESOLVE_MS)
	{
		return;
	}
	slot->resolved_at = now;
	this->unresolved->insert_last(this->unresolved, (void*)slot->number);
	if (!this->resolving)
	{
		this->resolving = TRUE;
		lib->processor->queue_job(lib->processor,
			(job_t*)callback_job_create_with_prio((void*)resolve_job, this, NULL,
									(callback_job_cancel_t)return_false, JOB_PRIO_LOW));
	}
}

/**
 * Note what became of a step, with the mutex
 *
 * @param due			when the next one is due, 0 if the recovery is over
 * @return				FALSE if it is over
 */
static bool end_step(private_qcd_recoveries_t *this, slot_t *slot, uint64_t due)
{
	slot->running = FALSE;
	if (!due && !slot->lost->get_count(slot->lost))
	{
		remove_slot(this, slot);
		return FALSE;
	}
	if (slot->recovery->is_waiting(slot->recovery) && !slot->waiting)
	{
		slot->waiting = TRUE;
		this->waiting->insert_last(this->waiting, (void*)slot->number);
	}
	if (!slot->recovery->is_up(slot->recovery))
	{
		look_up(this, slot);
	}
	wake(this, slot, slot->again ? qcd_now() : due);
	slot->again = FALSE;
	return TRUE;
}

/**
 * Do a step of a recovery
 *
 * @param due			when it was due, another job does it if that is not so
 */
static void step(private_qcd_recoveries_t *this, uintptr_t number, uint64_t due)
{
	slot_t *slot;
	bool goes_on;

	this->mutex->lock(this->mutex);
	slot = this->slots->get(this->slots, (void*)number);
	if (!slot || slot->running || slot->due != due)
	{
		this->mutex->unlock(this->mutex);
		return;
	}
	slot->running = TRUE;
	slot->thread = thread_current_id();
	slot->due = UINT64_MAX;
	this->mutex->unlock(this->mutex);

	tell(this, slot);
	due = slot->recovery->step(slot->recovery);

	this->mutex->lock(this->mutex);
	goes_on = end_step(this, slot, due);
	this->mutex->unlock(this->mutex);
	if (!goes_on)
	{
		slot_destroy(slot);
	}
}

/**
 * Job that does a step
 */
static job_requeue_t step_job(todo_t *todo)
{
	step(todo->this, todo->number, todo->due);
	return JOB_REQUEUE_NONE;
}

/**
 * Begin a recovery, or let the one that there is go on
 *
 * @param ike_sa		IKE_SA that the recovery is about, checked out
 * @param wanted		what has to be up, adopted
 * @param unique_id		unique ID of the IKE_SA if it is lost, or 0
 */
static void begin(private_qcd_recoveries_t *this, ike_sa_t *ike_sa,
				  qcd_wanted_t *wanted, uint32_t unique_id)
{
	uintptr_t identities = hash_identities(ike_sa);
	slot_t *slot;
	lost_t *lost;

	this->mutex->lock(this->mutex);
	for (slot = this->names->get(this->names, ike_sa->get_name(ike_sa));
		 slot && slot->identities != identities; slot = slot->next)
	{
		/* go on */
	}
	if (!slot)
	{
		slot = add_slot(this, wanted, unique_id, identities);
	}
	else if (unique_id)
	{
		INIT(lost,
			.wanted = wanted,
			.unique_id = unique_id,
		);
		slot->lost->insert_last(slot->lost, lost);
	}
	else
	{
		wanted->destroy(wanted);
	}
	wake(this, slot, qcd_now());
	this->mutex->unlock(this->mutex);
}

/**
 * Check if an IKE_SA is one that should be up
 */
static bool should_be_up(ike_sa_t *ike_sa)
{
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_ESTABLISHED:
		case IKE_REKEYING:
			return TRUE;
		case IKE_DELETING:
			/* where it is closed only to be opened again */
			return ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING) &&
				   !lib->settings->get_bool(lib->settings,
								"%s.make_before_break", QCD_MAKE_BEFORE_BREAK,
								lib->ns);
		default:
			return FALSE;
	}
}

/**
 * Find out what to do in place of an IKE_SA that was lost
 */
static void replace(private_qcd_recoveries_t *this, ike_sa_t *ike_sa)
{
#ifdef ME
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
#endif
	qcd_wanted_t *wanted;

	if (!should_be_up(ike_sa) ||
		qcd_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE))
	{
		return;
	}
#ifdef ME
	if (peer_cfg->is_mediation(peer_cfg))
	{	/* has no children, charon knows how to keep it up */
		ike_sa->reestablish(ike_sa);
		return;
	}
#endif
	wanted = qcd_wanted_create(this->config, ike_sa);
	if (wanted)
	{
		begin(this, ike_sa, wanted, ike_sa->get_unique_id(ike_sa));
	}
	else
	{
		this->events->expect(this->events, ike_sa->get_name(ike_sa));
	}
}

/**
 * Job that recovers an IKE_SA
 */
static job_requeue_t recover_job(todo_t *todo)
{
	private_qcd_recoveries_t *this = todo->this;
	ike_sa_state_t state;
	ike_sa_t *ike_sa;
	char *name;

	ike_sa = qcd_sa_checkout(&todo->sa);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	name = ike_sa->get_name(ike_sa);
	if (!this->config->role_enabled(this->config, name, "taker"))
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
		return JOB_REQUEUE_NONE;
	}
	this->events->raise(this->events, QCD_EVENT_VERIFIED, &todo->sa.spis,
						todo->src, name);
	state = ike_sa->get_state(ike_sa);
	replace(this, ike_sa);
	/* as charon does where an SA is given up after retransmissions */
	if (state != IKE_CONNECTING && state != IKE_REKEYED)
	{
		charon->bus->ike_updown(charon->bus, ike_sa, FALSE);
	}
	charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager, ike_sa);
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_recoveries_t, recover, void,
	private_qcd_recoveries_t *this, qcd_sa_t *sa, host_t *src, u_int delay)
{
	todo_t *todo;
	job_t *job;

	INIT(todo,
		.this = this,
		.sa = *sa,
		.src = src->clone(src),
	);
	job = (job_t*)callback_job_create_with_prio((void*)recover_job, todo,
									(void*)todo_destroy, NULL, JOB_PRIO_HIGH);
	if (delay)
	{
		lib->scheduler->schedule_job_ms(lib->scheduler, job, delay);
	}
	else
	{
		lib->processor->queue_job(lib->processor, job);
	}
}

METHOD(qcd_recoveries_t, hint, void,
	private_qcd_recoveries_t *this, const qcd_spis *spis)
{
	uint64_t now = qcd_now();
	uint32_t unique_id;
	slot_t *slot;
	char *name;

	name = this->pending->find_answered(this->pending, spis, &unique_id);
	if (!name)
	{
		return;
	}
	this->mutex->lock(this->mutex);
	for (slot = this->names->get(this->names, name); slot; slot = slot->next)
	{
		if (now - slot->hinted_at >= HINT_MS)
		{
			slot->hinted_at = now;
			slot->recovery->note_unknown(slot->recovery, unique_id);
			wake(this, slot, now);
		}
	}
	this->mutex->unlock(this->mutex);
	free(name);
}

/**
 * Ask the peer about older IKE_SAs of a connection: it may have lost these in
 * a crash, and never tell, since nothing is sent on them any more
 */
static void ask_older(private_qcd_recoveries_t *this, linked_list_t *sas,
					  uint32_t unique_id)
{
	ike_sa_t *ike_sa;
	qcd_sa_t *sa;
	status_t status;
	int asked = 0;

	while (sas->remove_last(sas, (void**)&sa) == SUCCESS)
	{
		ike_sa = NULL;
		if (sa->unique_id < unique_id && asked < ASKED_MAX &&
			this->tokens->holds(this->tokens, sa))
		{
			ike_sa = qcd_sa_checkout_same(sa);
		}
		if (ike_sa)
		{
			asked++;
			status = SUCCESS;
			if (ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
				!ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING))
			{
				status = qcd_sa_ask(ike_sa);
			}
			qcd_sa_checkin(ike_sa, status);
		}
		free(sa);
	}
}

/**
 * Job for an IKE_SA that a peer has initiated
 */
static job_requeue_t peer_is_back(todo_t *todo)
{
	private_qcd_recoveries_t *this = todo->this;
	linked_list_t *sas, *pending;
	identification_t *id;
	ike_sa_t *ike_sa;
	host_t *peer;
	char *name;

	ike_sa = qcd_sa_checkout(&todo->sa);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	name = ike_sa->get_name(ike_sa);
	peer = ike_sa->get_other_host(ike_sa);
	id = ike_sa->get_other_eap_id(ike_sa);
	sas = this->peers->find(this->peers, name, peer, id);
	pending = this->pending->find(this->pending, name, peer);
	if (pending->get_count(pending))
	{	/* ours is one too many, but it may ask for more than the peer's */
		begin(this, ike_sa, qcd_wanted_create_started(this->config, ike_sa),
			  0);
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	ask_older(this, sas, todo->sa.unique_id);
	sas->destroy_function(sas, free);
	pending->destroy_function(pending, (void*)qcd_pending_sa_destroy);
	return JOB_REQUEUE_NONE;
}

METHOD(listener_t, ike_updown, bool,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, bool up)
{
	todo_t *todo;
	qcd_sa_t sa;

	this->mutex->lock(this->mutex);
	wake_name(this, ike_sa->get_name(ike_sa));
	this->mutex->unlock(this->mutex);
	/* of peers that never gave us a token nothing is known */
	if (up && qcd_sa_identify(ike_sa, &sa) && sa.role == QCD_RESPONDER &&
		this->tokens->holds(this->tokens, &sa))
	{
		INIT(todo,
			.this = this,
			.sa = sa,
		);
		lib->processor->queue_job(lib->processor,
			(job_t*)callback_job_create_with_prio((void*)peer_is_back, todo,
									(void*)todo_destroy, NULL, JOB_PRIO_HIGH));
	}
	return TRUE;
}

METHOD(listener_t, child_updown, bool,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	bool up)
{
	this->mutex->lock(this->mutex);
	wake_name(this, ike_sa->get_name(ike_sa));
	this->mutex->unlock(this->mutex);
	return TRUE;
}

/**
 * Check if an IKE_SA ends because somebody wants it to: not for a message that
 * was just processed, and not by ourselves; with the mutex
 */
static bool is_closing(slot_t *slot, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);

	if (slot->running && slot->thread == thread_current_id())
	{
		return FALSE;
	}
	if (state == IKE_DELETING)
	{
		return slot->identities == hash_identities(ike_sa) &&
			   !ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING);
	}
	return state == IKE_DESTROYING &&
		   ike_sa->get_state(ike_sa) == IKE_CONNECTING &&
		   slot->recovery->is_try(slot->recovery, unique_id) &&
		   (slot->cause_id != unique_id ||
			slot->cause_thread != thread_current_id() ||
			qcd_now() - slot->cause_at >= CAUSE_MS);
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	slot_t *slot;

	if (state == IKE_CONNECTING)
	{
		return TRUE;
	}
	this->mutex->lock(this->mutex);
	for (slot = this->names->get(this->names, ike_sa->get_name(ike_sa)); slot;
		 slot = slot->next)
	{
		if (is_closing(slot, ike_sa, state))
		{
			slot->recovery->note_closed(slot->recovery,
										ike_sa->get_unique_id(ike_sa));
		}
		wake(this, slot, qcd_now());
	}
	if (state == IKE_ESTABLISHED || state == IKE_DESTROYING)
	{
		wake_waiting(this);
	}
	this->mutex->unlock(this->mutex);
	return TRUE;
}

/**
 * Get the first error that a message tells of
 */
static notify_type_t get_error(message_t *message)
{
	enumerator_t *enumerator;
	notify_payload_t *notify;
	payload_t *payload;
	notify_type_t error = 0;

	enumerator = message->create_payload_enumerator(message);
	while (!error && enumerator->enumerate(enumerator, &payload))
	{
		notify = (notify_payload_t*)payload;
		if (payload->get_type(payload) == PLV2_NOTIFY &&
			notify->get_notify_type(notify) < STATUS_NOTIFIES)
		{
			error = notify->get_notify_type(notify);
		}
	}
	enumerator->destroy(enumerator);
	return error;
}

/**
 * Note what an IKE_SA may fail for, NULL if that is not known, with the mutex
 */
static void note_cause(slot_t *slot, ike_sa_t *ike_sa, enum qcd_failure failure,
					   char *reason)
{
	slot->cause_id = ike_sa->get_unique_id(ike_sa);
	slot->cause_thread = thread_current_id();
	slot->cause_at = qcd_now();
	if (reason)
	{
		slot->recovery->note_failure(slot->recovery, failure, reason);
	}
}

/**
 * Note what an IKE_SA of a connection may fail for
 */
static void note_causes(private_qcd_recoveries_t *this, ike_sa_t *ike_sa,
						enum qcd_failure failure, char *reason)
{
	slot_t *slot;

	this->mutex->lock(this->mutex);
	for (slot = this->names->get(this->names, ike_sa->get_name(ike_sa)); slot;
		 slot = slot->next)
	{
		note_cause(slot, ike_sa, failure, reason);
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Remove INITIAL_CONTACT where it would be untrue: other connections between the
 * same identities are just being brought up, too, and the peer would destroy
 * those that are.
 */
static void remove_initial_contact(private_qcd_recoveries_t *this,
								   ike_sa_t *ike_sa, message_t *message)
{
	enumerator_t *enumerator;
	payload_t *payload;
	slot_t *slot;
	bool remove = FALSE;

	this->mutex->lock(this->mutex);
	for (slot = this->names->get(this->names, ike_sa->get_name(ike_sa)); slot;
		 slot = slot->next)
	{
		remove |= slot->recovery->is_try(slot->recovery,
										 ike_sa->get_unique_id(ike_sa)) &&
				  count_identities(this, slot->identities, 0) > 1;
	}
	this->mutex->unlock(this->mutex);
	if (!remove)
	{
		return;
	}
	enumerator = message->create_payload_enumerator(message);
	while (enumerator->enumerate(enumerator, &payload))
	{
		if (payload->get_type(payload) == PLV2_NOTIFY &&
			((notify_payload_t*)payload)->get_notify_type(
								(notify_payload_t*)payload) == INITIAL_CONTACT)
		{
			message->remove_payload_at(message, enumerator);
			payload->destroy(payload);
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(listener_t, message_hook, bool,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	notify_type_t error;

	if (!ike_sa || !plain || ike_sa->get_version(ike_sa) != IKEV2)
	{
		return TRUE;
	}
	if (incoming)
	{
		error = message->get_request(message) ? 0 : get_error(message);
		note_causes(this, ike_sa, QCD_FAILURE_REFUSED,
					error ? enum_to_name(notify_type_names, error) : NULL);
	}
	else if (message->get_request(message) &&
			 message->get_exchange_type(message) == IKE_AUTH)
	{
		remove_initial_contact(this, ike_sa, message);
	}
	return TRUE;
}

METHOD(listener_t, alert_hook, bool,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, alert_t alert,
	va_list args)
{
	if (!ike_sa)
	{
		return TRUE;
	}
	switch (alert)
	{
		case ALERT_LOCAL_AUTH_FAILED:
			note_causes(this, ike_sa, QCD_FAILURE_REFUSED,
						"we can't authenticate ourselves");
			break;
		case ALERT_PEER_AUTH_FAILED:
			note_causes(this, ike_sa, QCD_FAILURE_REFUSED,
						"we don't accept who the peer is");
			break;
		case ALERT_RETRANSMIT_SEND_TIMEOUT:
			note_causes(this, ike_sa, QCD_FAILURE_SILENT, "no answer");
			break;
		default:
			note_causes(this, ike_sa, QCD_FAILURE_SILENT, NULL);
			break;
	}
	return TRUE;
}

METHOD(kernel_listener_t, roam, bool,
	roaming_t *roaming, bool address)
{
	private_qcd_recoveries_t *this = roaming->recoveries;
	enumerator_t *enumerator;
	slot_t *slot;

	this->mutex->lock(this->mutex);
	enumerator = this->slots->create_enumerator(this->slots);
	while (enumerator->enumerate(enumerator, NULL, &slot))
	{
		wake(this, slot, qcd_now());
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return TRUE;
}

METHOD(qcd_recoveries_t, describe, void,
	private_qcd_recoveries_t *this, qcd_json_t *json)
{
	enumerator_t *enumerator;
	slot_t *slot;

	this->mutex->lock(this->mutex);
	enumerator = this->slots->create_enumerator(this->slots);
	while (enumerator->enumerate(enumerator, NULL, &slot))
	{
		slot->recovery->describe(slot->recovery, json);
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recoveries_t, destroy, void,
	private_qcd_recoveries_t *this)
{
	enumerator_t *enumerator;
	slot_t *slot;

	charon->kernel->remove_listener(charon->kernel, &this->roaming.listener);
	charon->bus->remove_listener(charon->bus, &this->public.listener);
	this->peers->destroy(this->peers);
	enumerator = this->slots->create_enumerator(this->slots);
	while (enumerator->enumerate(enumerator, NULL, &slot))
	{
		slot_destroy(slot);
	}
	enumerator->destroy(enumerator);
	this->slots->destroy(this->slots);
	this->names->destroy(this->names);
	this->identities->destroy(this->identities);
	this->waiting->destroy(this->waiting);
	this->unresolved->destroy(this->unresolved);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_recoveries_t *qcd_recoveries_create(qcd_config_t *config,
										qcd_events_t *events,
										qcd_pending_t *pending,
										qcd_tokens_t *tokens)
{
	private_qcd_recoveries_t *this;

	INIT(this,
		.public = {
			.listener = {
				.alert = _alert_hook,
				.message = _message_hook,
				.ike_state_change = _ike_state_change,
				.ike_updown = _ike_updown,
				.child_updown = _child_updown,
			},
			.recover = _recover,
			.hint = _hint,
			.describe = _describe,
			.destroy = _destroy,
		},
		.roaming = {
			.listener = {
				.roam = _roam,
			},
		},
		.config = config,
		.events = events,
		.pending = pending,
		.peers = qcd_peers_create(),
		.tokens = tokens,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.slots = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 8),
		.names = hashtable_create(hashtable_hash_str, hashtable_equals_str, 8),
		.identities = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									   8),
		.waiting = linked_list_create(),
		.unresolved = linked_list_create(),
	);
	charon->bus->add_listener(charon->bus, &this->public.listener);
	this->roaming.recoveries = this;
	charon->kernel->add_listener(charon->kernel, &this->roaming.listener);
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_recoveries.h"
#include "qcd_resolver.h"
#include "qcd_slots.h"

#include <threading/mutex.h>
#include <threading/thread.h>

/**
 * Milliseconds between two lookups of a peer's name
 */
#define RESOLVE_MS 30000

/**
 * Milliseconds after a hint about a recovery for which other hints are ignored
 */
#define HINT_MS 250

typedef struct private_qcd_recoveries_t private_qcd_recoveries_t;

/**
 * Private data
 */
struct private_qcd_recoveries_t {

	/**
	 * Public interface
	 */
	qcd_recoveries_t public;

	/**
	 * Events; IKE_SAs that we initiate; established IKE_SAs
	 */
	qcd_events_t *events;
	qcd_pending_t *pending;
	qcd_peers_t *peers;

	/**
	 * Looks up the names of peers
	 */
	qcd_resolver_t *resolver;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus. While
	 * it is held, nothing that needs the bus is called, no IKE_SA is checked
	 * out, and no name is resolved.
	 */
	mutex_t *mutex;

	/**
	 * The recoveries
	 */
	qcd_slots_t *slots;

	/**
	 * Numbers of the recoveries that wait for other recoveries to end their
	 * tries
	 */
	linked_list_t *waiting;
};

/**
 * Job that runs a step: its recovery, and when it was due
 */
typedef struct {
	private_qcd_recoveries_t *this;
	uintptr_t number;
	uint64_t due;
} step_t;

static job_requeue_t step_job(step_t *step);

/**
 * Run a step at a given time, or after the current step has ended; with the
 * mutex held
 */
static void wake_slot(private_qcd_recoveries_t *this, qcd_slot_t *slot,
					  uint64_t due)
{
	uint64_t now = qcd_now();
	step_t *step;

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
	INIT(step,
		.this = this,
		.number = slot->number,
		.due = due,
	);
	qcd_job_queue(step_job, step, free, JOB_PRIO_HIGH,
				  due > now ? due - now : 0);
}

/**
 * Wake the next recovery that waits for others, with the mutex held
 */
static void wake_waiting(private_qcd_recoveries_t *this)
{
	qcd_slot_t *slot = NULL;
	void *number;

	while (!slot && this->waiting->remove_first(this->waiting,
												&number) == SUCCESS)
	{
		slot = this->slots->get(this->slots, (uintptr_t)number);
	}
	if (slot)
	{
		slot->waiting = FALSE;
		wake_slot(this, slot, qcd_now());
	}
}

/**
 * Receives the address that the name of a recovery's peer resolved to
 */
CALLBACK(resolved, void,
	private_qcd_recoveries_t *this, uintptr_t number, host_t *host)
{
	qcd_slot_t *slot;

	this->mutex->lock(this->mutex);
	slot = this->slots->get(this->slots, number);
	if (slot)
	{
		DESTROY_IF(slot->resolved);
		slot->resolved = host;
		host = NULL;
		wake_slot(this, slot, qcd_now());
	}
	this->mutex->unlock(this->mutex);
	DESTROY_IF(host);
}

/**
 * Look up the name of a recovery's peer at intervals, with the mutex held
 */
static void look_up(private_qcd_recoveries_t *this, qcd_slot_t *slot)
{
	uint64_t now = qcd_now();

	if (!slot->resolved_at || now - slot->resolved_at >= RESOLVE_MS)
	{
		slot->resolved_at = now;
		this->resolver->look_up(this->resolver, slot->name, slot->number);
	}
}

/**
 * Tell a recovery what has happened since its last step
 */
static void tell(private_qcd_recoveries_t *this, qcd_slot_t *slot)
{
	qcd_connector_t *connector = slot->recovery->get_connector(slot->recovery);
	qcd_lost_sa_t *lost;
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
		connector->set_resolved(connector, resolved);
	}
}

/**
 * Begin a step, with the mutex held
 *
 * @return				NULL if the step is not due any more, because another
 *						job runs it
 */
static qcd_slot_t *begin_step(private_qcd_recoveries_t *this, step_t *step)
{
	qcd_slot_t *slot;

	slot = this->slots->get(this->slots, step->number);
	if (!slot || slot->running || slot->due != step->due)
	{
		return NULL;
	}
	slot->running = TRUE;
	slot->thread = thread_current_id();
	slot->due = UINT64_MAX;
	return slot;
}

/**
 * End a step, with the mutex held
 *
 * @param due			when the next one is due, 0 if the recovery has ended
 * @return				FALSE if the recovery has ended, and its slot was
 *						removed
 */
static bool end_step(private_qcd_recoveries_t *this, qcd_slot_t *slot,
					 uint64_t due)
{
	qcd_connector_t *connector = slot->recovery->get_connector(slot->recovery);

	slot->running = FALSE;
	if (!due && !slot->lost->get_count(slot->lost))
	{
		this->slots->remove(this->slots, slot);
		this->resolver->cancel(this->resolver, slot->number);
		return FALSE;
	}
	if (connector->is_waiting(connector) && !slot->waiting)
	{
		slot->waiting = TRUE;
		this->waiting->insert_last(this->waiting, (void*)slot->number);
	}
	if (!slot->recovery->is_up(slot->recovery))
	{
		look_up(this, slot);
	}
	wake_slot(this, slot, slot->again ? qcd_now() : due);
	slot->again = FALSE;
	return TRUE;
}

/**
 * Job that runs a step
 */
static job_requeue_t step_job(step_t *step)
{
	private_qcd_recoveries_t *this = step->this;
	qcd_slot_t *slot;
	uint64_t due;
	bool goes_on;

	this->mutex->lock(this->mutex);
	slot = begin_step(this, step);
	this->mutex->unlock(this->mutex);
	if (!slot)
	{
		return JOB_REQUEUE_NONE;
	}

	tell(this, slot);
	due = slot->recovery->step(slot->recovery);

	this->mutex->lock(this->mutex);
	goes_on = end_step(this, slot, due);
	this->mutex->unlock(this->mutex);
	if (!goes_on)
	{
		qcd_slot_destroy(slot);
	}
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_recoveries_t, begin, void,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, qcd_wanted_t *wanted,
	bool lost)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	qcd_slot_t *slot;
	qcd_lost_sa_t *lost_sa;

	this->mutex->lock(this->mutex);
	slot = this->slots->find(this->slots, ike_sa);
	if (!slot)
	{
		slot = this->slots->add(this->slots, ike_sa,
								qcd_recovery_create(this->events, this->pending,
											this->peers, wanted, unique_id,
											lost));
	}
	else if (lost)
	{
		INIT(lost_sa,
			.wanted = wanted,
			.unique_id = unique_id,
		);
		slot->lost->insert_last(slot->lost, lost_sa);
	}
	else
	{
		wanted->destroy(wanted);
	}
	wake_slot(this, slot, qcd_now());
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recoveries_t, hint, void,
	private_qcd_recoveries_t *this, const qcd_spis *spis)
{
	uint64_t now = qcd_now();
	qcd_connector_t *connector;
	uint32_t unique_id;
	qcd_slot_t *slot;
	char *name;

	name = this->pending->find_answered(this->pending, spis, &unique_id);
	if (!name)
	{
		return;
	}
	this->mutex->lock(this->mutex);
	for (slot = this->slots->get_first(this->slots, name); slot;
		 slot = slot->next)
	{
		if (now - slot->hinted_at >= HINT_MS)
		{
			slot->hinted_at = now;
			connector = slot->recovery->get_connector(slot->recovery);
			connector->note_unknown(connector, unique_id);
			wake_slot(this, slot, now);
		}
	}
	this->mutex->unlock(this->mutex);
	free(name);
}

/**
 * Wake all recoveries, with the mutex held
 */
static void wake_all(private_qcd_recoveries_t *this)
{
	enumerator_t *enumerator;
	qcd_slot_t *slot;

	enumerator = this->slots->create_enumerator(this->slots);
	while (enumerator->enumerate(enumerator, NULL, &slot))
	{
		wake_slot(this, slot, qcd_now());
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_recoveries_t, wake, void,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa)
{
	qcd_slot_t *slot;

	this->mutex->lock(this->mutex);
	if (ike_sa)
	{
		for (slot = this->slots->get_first(this->slots,
										   ike_sa->get_name(ike_sa));
			 slot; slot = slot->next)
		{
			if (qcd_slot_is_about(slot, ike_sa))
			{
				wake_slot(this, slot, qcd_now());
			}
		}
	}
	else
	{
		wake_all(this);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recoveries_t, note_init, void,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa)
{
	qcd_slot_t *slot;

	this->mutex->lock(this->mutex);
	for (slot = this->slots->get_first(this->slots, ike_sa->get_name(ike_sa));
		 slot; slot = slot->next)
	{	/* a step knows what it sends */
		if (!qcd_slot_is_stepping(slot) && qcd_slot_is_about(slot, ike_sa))
		{
			wake_slot(this, slot, qcd_now());
		}
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recoveries_t, note_state, void,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, ike_sa_state_t state,
	bool failing)
{
	qcd_slot_t *slot;

	this->mutex->lock(this->mutex);
	for (slot = this->slots->get_first(this->slots, ike_sa->get_name(ike_sa));
		 slot; slot = slot->next)
	{
		if (qcd_slot_is_closing(slot, ike_sa, state, failing))
		{
			slot->recovery->note_closed(slot->recovery,
										ike_sa->get_unique_id(ike_sa), failing);
		}
		if (qcd_slot_is_about(slot, ike_sa))
		{
			wake_slot(this, slot, qcd_now());
		}
	}
	if (state == IKE_ESTABLISHED || state == IKE_DESTROYING)
	{	/* a try may have ended */
		wake_waiting(this);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recoveries_t, note_failure, void,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa, enum qcd_failure failure,
	char *reason)
{
	qcd_connector_t *connector;
	qcd_slot_t *slot, *owner;

	this->mutex->lock(this->mutex);
	owner = this->slots->find_try(this->slots, ike_sa) ?:
			this->slots->find(this->slots, ike_sa);
	for (slot = this->slots->get_first(this->slots, ike_sa->get_name(ike_sa));
		 slot; slot = slot->next)
	{
		if (!owner || slot == owner)
		{
			connector = slot->recovery->get_connector(slot->recovery);
			connector->note_failure(connector, failure, reason);
		}
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_recoveries_t, is_one_of_several, bool,
	private_qcd_recoveries_t *this, ike_sa_t *ike_sa)
{
	qcd_slot_t *slot;
	bool several;

	this->mutex->lock(this->mutex);
	slot = this->slots->find_try(this->slots, ike_sa);
	several = slot && this->slots->count_same(this->slots, slot) > 1;
	this->mutex->unlock(this->mutex);
	return several;
}

METHOD(qcd_recoveries_t, describe, void,
	private_qcd_recoveries_t *this, qcd_json_t *json)
{
	enumerator_t *enumerator;
	qcd_slot_t *slot;

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
	this->slots->destroy(this->slots);
	this->resolver->destroy(this->resolver);
	this->waiting->destroy(this->waiting);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_recoveries_t *qcd_recoveries_create(qcd_events_t *events,
										qcd_pending_t *pending,
										qcd_peers_t *peers)
{
	private_qcd_recoveries_t *this;

	INIT(this,
		.public = {
			.begin = _begin,
			.hint = _hint,
			.wake = _wake,
			.note_init = _note_init,
			.note_state = _note_state,
			.note_failure = _note_failure,
			.is_one_of_several = _is_one_of_several,
			.describe = _describe,
			.destroy = _destroy,
		},
		.events = events,
		.pending = pending,
		.peers = peers,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.slots = qcd_slots_create(),
		.waiting = linked_list_create(),
	);
	this->resolver = qcd_resolver_create(resolved, this);
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_pending.h"
#include "qcd_contacts.h"
#include "qcd_listeners.h"
#include "qcd_packets.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <sa/ikev2/tasks/ike_dpd.h>
#include <threading/mutex.h>

typedef struct private_qcd_pending_t private_qcd_pending_t;

/**
 * Private data
 */
struct private_qcd_pending_t {

	/**
	 * Public interface
	 */
	qcd_pending_t public;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing that needs the bus is called while it is held.
	 */
	mutex_t *mutex;

	/**
	 * IKE_SAs that are not established, or have a request, as entry_t by their
	 * unique IDs
	 */
	hashtable_t *entries;

	/**
	 * Those that are not established, also by our SPIs. charon does not always
	 * pass the IKE_SA that a message belongs to: while one is being replaced, it
	 * passes the old one.
	 */
	linked_list_t *open;
	hashtable_t *spis;

	/**
	 * Addresses that responded recently
	 */
	qcd_contacts_t *contacts;

	/**
	 * Highest unique ID of an IKE_SA that we or a peer began
	 */
	uint32_t youngest;
};

/**
 * A pending IKE_SA
 */
typedef struct {
	qcd_pending_sa_t sa;
	char *name;
	/** whether it is established, and only has a request */
	bool established;
	/** the unanswered request, as several packets if it is fragmented */
	linked_list_t *packets;
} entry_t;

/**
 * Destroy an entry, which may be NULL
 */
static void entry_destroy(entry_t *entry)
{
	if (entry)
	{
		entry->packets->destroy_offset(entry->packets,
									   offsetof(packet_t, destroy));
		DESTROY_IF(entry->sa.me);
		DESTROY_IF(entry->sa.other);
		free(entry->name);
		free(entry);
	}
}

/**
 * Set the request of an entry, as a list of packets
 */
static void set_packets(entry_t *entry, linked_list_t *packets)
{
	entry->packets->destroy_offset(entry->packets, offsetof(packet_t, destroy));
	entry->packets = packets;
}

/**
 * Remove an entry, if there is one
 */
static entry_t *remove_entry(private_qcd_pending_t *this, uint32_t unique_id)
{
	entry_t *entry;

	entry = this->entries->remove(this->entries, (void*)(uintptr_t)unique_id);
	if (entry && !entry->established)
	{
		this->open->remove(this->open, entry, NULL);
		this->spis->remove(this->spis, &entry->sa.spis.initiator);
	}
	return entry;
}

/**
 * Let an entry take over what does not change if its IKE_SA begins once more
 */
static void take_over(entry_t *entry, entry_t *old)
{
	entry->sa.begun = old->sa.begun;
	entry->sa.claimed = old->sa.claimed;
	entry->sa.again = old->sa.again;
	entry->sa.since = old->sa.since;
	entry->sa.me = old->sa.me;
	entry->sa.other = old->sa.other;
	old->sa.me = old->sa.other = NULL;
}

/**
 * Add an IKE_SA, with the mutex held
 *
 * @param established	TRUE if it is established, FALSE if we are about to
 *						initiate it
 */
static entry_t *add_entry(private_qcd_pending_t *this, ike_sa_t *ike_sa,
						  bool established)
{
	entry_t *entry;
	qcd_sa_t sa;

	qcd_sa_identify(ike_sa, &sa);
	INIT(entry,
		.sa = {
			.unique_id = sa.unique_id,
			.spis = sa.ike.spis,
			.begun = qcd_now(),
		},
		.name = strdup(ike_sa->get_name(ike_sa)),
		.established = established,
		.packets = linked_list_create(),
	);
	this->entries->put(this->entries, (void*)(uintptr_t)sa.unique_id, entry);
	if (!established)
	{
		this->open->insert_last(this->open, entry);
		this->spis->put(this->spis, &entry->sa.spis.initiator, entry);
	}
	return entry;
}

/**
 * Note that an IKE_SA begins. If it is known already, it begins once more.
 */
static void note_begun(private_qcd_pending_t *this, ike_sa_t *ike_sa)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	entry_t *entry, *old = NULL;

	this->mutex->lock(this->mutex);
	this->youngest = max(this->youngest, unique_id);
	if (id->is_initiator(id) && ike_sa->get_version(ike_sa) == IKEV2)
	{
		old = remove_entry(this, unique_id);
		entry = add_entry(this, ike_sa, FALSE);
		if (old)
		{
			take_over(entry, old);
		}
	}
	this->mutex->unlock(this->mutex);
	entry_destroy(old);
}

/**
 * Find the entry of the IKE_SA that a message belongs to, with the mutex held.
 * If the peer initiated the SA, its SPI may equal one of ours.
 */
static entry_t *find_entry(private_qcd_pending_t *this, ike_sa_t *ike_sa,
						   message_t *message, bool incoming)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	ike_sa_id_t *id = message->get_ike_sa_id(message);
	qcd_spis spis = qcd_spis_from_id(id);
	entry_t *entry;

	/* the initiator flag describes the sender */
	if (id->is_initiator(id) != incoming)
	{
		entry = this->spis->get(this->spis, &spis.initiator);
		if (entry)
		{
			entry->sa.spis.responder = spis.responder;
			return entry;
		}
	}
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	return entry && qcd_spis_equals(&entry->sa.spis, &spis) ? entry : NULL;
}

/**
 * Add the entry of an established IKE_SA that a request belongs to, with the mutex
 * held
 *
 * @return				NULL if there is none
 */
static entry_t *add_request(private_qcd_pending_t *this, ike_sa_t *ike_sa,
							message_t *message)
{
	qcd_spis spis = qcd_spis_from_id(message->get_ike_sa_id(message));
	qcd_sa_t sa;

	return qcd_sa_identify(ike_sa, &sa) &&
		   qcd_spis_equals(&sa.ike.spis, &spis) &&
		   !this->entries->get(this->entries, (void*)(uintptr_t)sa.unique_id) ?
		   add_entry(this, ike_sa, TRUE) : NULL;
}

/**
 * Note a request that is about to be sent
 */
static void note_request(private_qcd_pending_t *this, ike_sa_t *ike_sa,
						 message_t *message)
{
	host_t *me = message->get_source(message);
	host_t *other = message->get_destination(message);
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, ike_sa, message, FALSE) ?:
			add_request(this, ike_sa, message);
	if (entry)
	{
		set_packets(entry, qcd_packets_create(message));
		entry->sa.since = qcd_now();
		entry->sa.repeated = 0;
		DESTROY_IF(entry->sa.me);
		DESTROY_IF(entry->sa.other);
		entry->sa.me = me->clone(me);
		entry->sa.other = other->clone(other);
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Note that an IKE_SA with an address is established, with the mutex held
 */
static void note_completed(private_qcd_pending_t *this, host_t *peer)
{
	enumerator_t *enumerator;
	entry_t *entry;
	u_int underway = 0;

	enumerator = this->open->create_enumerator(this->open);
	while (enumerator->enumerate(enumerator, &entry))
	{
		underway += entry->sa.other && peer->ip_equals(peer, entry->sa.other);
	}
	enumerator->destroy(enumerator);
	this->contacts->completed(this->contacts, peer, underway);
}

/**
 * Forget an established IKE_SA that has no request, with the mutex held
 */
static void forget_idle(private_qcd_pending_t *this, entry_t *entry)
{
	if (entry->established && !entry->packets->get_count(entry->packets))
	{
		remove_entry(this, entry->sa.unique_id);
		entry_destroy(entry);
	}
}

/**
 * Note that the peer has responded, and how long its first response took
 */
static void note_response(private_qcd_pending_t *this, ike_sa_t *ike_sa,
						  message_t *message)
{
	entry_t *entry;
	uint64_t took;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, ike_sa, message, TRUE);
	if (entry)
	{
		took = entry->sa.since ? qcd_now() - entry->sa.since : 0;
		this->contacts->heard(this->contacts, message->get_source(message), took);
		set_packets(entry, linked_list_create());
		entry->sa.round_trip = entry->sa.round_trip ?: max(1, took);
		entry->sa.again = FALSE;
		forget_idle(this, entry);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(listener_t, message_hook, bool,
	private_qcd_pending_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	if (plain == incoming && message->get_request(message) != incoming)
	{	/* our requests once they are encrypted, and the responses to them */
		(incoming ? note_response : note_request)(this, ike_sa, message);
	}
	return TRUE;
}

/**
 * Note that an IKE_SA has been established
 */
static void note_established(private_qcd_pending_t *this, ike_sa_t *ike_sa)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry && !entry->established)
	{
		if (entry->sa.other)
		{
			note_completed(this, entry->sa.other);
		}
		this->open->remove(this->open, entry, NULL);
		this->spis->remove(this->spis, &entry->sa.spis.initiator);
		entry->established = TRUE;
		forget_idle(this, entry);
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Forget the request of an IKE_SA that is reset, for one with a cookie or another
 * group, for example. It is still pending, and will begin once more.
 */
static void forget_request(private_qcd_pending_t *this, uint32_t unique_id)
{
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry)
	{
		set_packets(entry, linked_list_create());
		entry->sa.again = entry->sa.round_trip != 0;
		entry->sa.round_trip = 0;
	}
	this->mutex->unlock(this->mutex);
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_pending_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	entry_t *entry;

	switch (state)
	{
		case IKE_CONNECTING:
			note_begun(this, ike_sa);
			break;
		case IKE_ESTABLISHED:
			note_established(this, ike_sa);
			break;
		case IKE_CREATED:
			forget_request(this, unique_id);
			break;
		case IKE_DESTROYING:
			this->mutex->lock(this->mutex);
			entry = remove_entry(this, unique_id);
			this->mutex->unlock(this->mutex);
			entry_destroy(entry);
			break;
		default:
			break;
	}
	return TRUE;
}

/**
 * Clone the data of an IKE_SA, with the mutex held
 */
static qcd_pending_sa_t *clone_sa(private_qcd_pending_t *this, entry_t *entry)
{
	qcd_pending_sa_t *sa = malloc_thing(qcd_pending_sa_t);

	*sa = entry->sa;
	sa->me = sa->me->clone(sa->me);
	sa->other = sa->other->clone(sa->other);
	sa->heard = this->contacts->get_heard(this->contacts, sa->other);
	sa->usual = this->contacts->get_usual(this->contacts, sa->other);
	return sa;
}

METHOD(qcd_pending_t, find, linked_list_t*,
	private_qcd_pending_t *this, char *name, host_t *peer)
{
	linked_list_t *found = linked_list_create();
	enumerator_t *enumerator;
	entry_t *entry;

	this->mutex->lock(this->mutex);
	enumerator = this->open->create_enumerator(this->open);
	while (enumerator->enumerate(enumerator, &entry))
	{
		if (entry->sa.other &&
			(!name || streq(entry->name, name)) &&
			(!peer || peer->ip_equals(peer, entry->sa.other)))
		{
			found->insert_last(found, clone_sa(this, entry));
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return found;
}

METHOD(qcd_pending_t, has_any, bool,
	private_qcd_pending_t *this)
{
	bool any;

	this->mutex->lock(this->mutex);
	any = this->open->get_count(this->open) > 0;
	this->mutex->unlock(this->mutex);
	return any;
}

METHOD(qcd_pending_t, get_youngest, uint32_t,
	private_qcd_pending_t *this)
{
	uint32_t youngest;

	this->mutex->lock(this->mutex);
	youngest = this->youngest;
	this->mutex->unlock(this->mutex);
	return youngest;
}

METHOD(qcd_pending_t, get_due, u_int,
	private_qcd_pending_t *this, host_t *peer, u_int underway)
{
	u_int due;

	this->mutex->lock(this->mutex);
	due = this->contacts->get_due(this->contacts, peer, underway);
	this->mutex->unlock(this->mutex);
	return due;
}

METHOD(qcd_pending_t, get_request, qcd_pending_sa_t*,
	private_qcd_pending_t *this, uint32_t unique_id)
{
	qcd_pending_sa_t *sa = NULL;
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry && entry->packets->get_count(entry->packets))
	{
		sa = clone_sa(this, entry);
	}
	this->mutex->unlock(this->mutex);
	return sa;
}

METHOD(qcd_pending_t, find_answered, char*,
	private_qcd_pending_t *this, const qcd_spis *spis, uint32_t *unique_id)
{
	entry_t *entry;
	char *name = NULL;

	this->mutex->lock(this->mutex);
	entry = this->spis->get(this->spis, &spis->initiator);
	if (entry && entry->sa.round_trip && qcd_spis_equals(&entry->sa.spis, spis))
	{
		*unique_id = entry->sa.unique_id;
		name = strdup(entry->name);
	}
	this->mutex->unlock(this->mutex);
	return name;
}

METHOD(qcd_pending_t, repeat, bool,
	private_qcd_pending_t *this, uint32_t unique_id)
{
	linked_list_t *packets = NULL;
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry)
	{
		packets = entry->packets->clone_offset(entry->packets,
											   offsetof(packet_t, clone));
		entry->sa.repeated = qcd_now();
	}
	if (entry && !entry->established && entry->sa.other &&
		!entry->sa.round_trip && !entry->sa.again)
	{	/* a peer that has responded before is just slow, with EAP for example */
		this->contacts->failed(this->contacts, entry->sa.other);
	}
	this->mutex->unlock(this->mutex);
	return packets && qcd_packets_send(packets);
}

METHOD(qcd_pending_t, claim, void,
	private_qcd_pending_t *this, uint32_t unique_id)
{
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry)
	{
		entry->sa.claimed = TRUE;
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_pending_t, ask, status_t,
	private_qcd_pending_t *this, ike_sa_t *ike_sa)
{
	bool repeated;

	repeated = repeat(this, ike_sa->get_unique_id(ike_sa));
	if ((repeated && qcd_sa_has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_IKE_DPD)) ||
		qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DPD))
	{
		return SUCCESS;
	}
	ike_sa->queue_task(ike_sa, (task_t*)ike_dpd_create(TRUE));
	return ike_sa->initiate(ike_sa, NULL, NULL);
}

METHOD(qcd_pending_t, destroy, void,
	private_qcd_pending_t *this)
{
	qcd_listeners_remove(&this->public.listener);
	this->entries->destroy_function(this->entries, (void*)entry_destroy);
	this->spis->destroy(this->spis);
	this->open->destroy(this->open);
	this->contacts->destroy(this->contacts);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
void qcd_pending_sa_destroy(qcd_pending_sa_t *sa)
{
	if (sa)
	{
		sa->me->destroy(sa->me);
		sa->other->destroy(sa->other);
		free(sa);
	}
}

/*
 * Described in header
 */
qcd_pending_t *qcd_pending_create()
{
	private_qcd_pending_t *this;

	INIT(this,
		.public = {
			.listener = {
				.message = _message_hook,
				.ike_state_change = _ike_state_change,
			},
			.find = _find,
			.has_any = _has_any,
			.get_youngest = _get_youngest,
			.get_due = _get_due,
			.get_request = _get_request,
			.find_answered = _find_answered,
			.repeat = _repeat,
			.claim = _claim,
			.ask = _ask,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.entries = hashtable_create(qcd_number_hash, hashtable_equals_ptr, 8),
		.spis = hashtable_create(qcd_spi_hash, qcd_spi_equals, 8),
		.open = linked_list_create(),
		.contacts = qcd_contacts_create(),
	);
	qcd_listeners_add(&this->public.listener);
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_pending.h"

#include <daemon.h>
#include <collections/hashtable.h>
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
	 * nothing that needs the bus is called with it.
	 */
	mutex_t *mutex;

	/**
	 * Pending IKE_SAs as entry_t, by their unique IDs
	 */
	hashtable_t *entries;

	/**
	 * Those of them that were answered, by their SPIs
	 */
	hashtable_t *answered;
};

/**
 * A pending IKE_SA
 */
typedef struct {
	qcd_pending_sa_t sa;
	char *name;
	/** when the first request was sent */
	uint64_t begun;
	/** the current request, several packets where it is fragmented */
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
 * Take out an entry, which may not be there
 */
static entry_t *remove_entry(private_qcd_pending_t *this, uint32_t unique_id)
{
	entry_t *entry;

	entry = this->entries->remove(this->entries, (void*)(uintptr_t)unique_id);
	if (entry)
	{
		this->answered->remove(this->answered, &entry->sa.spis);
	}
	return entry;
}

/**
 * Check if an IKE_SA is one that we establish: the SA that replaces another one
 * in a rekeying sends no requests of its own before it is established
 */
static bool is_pending(ike_sa_t *ike_sa)
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	ike_sa_state_t state = ike_sa->get_state(ike_sa);

	return ike_sa->get_version(ike_sa) == IKEV2 && id->is_initiator(id) &&
		   (state == IKE_CREATED || state == IKE_CONNECTING);
}

/**
 * Get the entry of an IKE_SA, make one if there is none
 */
static entry_t *get_entry(private_qcd_pending_t *this, ike_sa_t *ike_sa)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	entry_t *entry;

	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (!entry)
	{
		INIT(entry,
			.sa = {
				.unique_id = unique_id,
			},
			.name = strdup(ike_sa->get_name(ike_sa)),
			.begun = qcd_now(),
			.packets = linked_list_create(),
		);
		this->entries->put(this->entries, (void*)(uintptr_t)unique_id, entry);
	}
	return entry;
}

/**
 * Get the packets of a message that was encoded
 */
static linked_list_t *get_packets(message_t *message)
{
	linked_list_t *packets = linked_list_create();
	enumerator_t *enumerator;
	packet_t *packet;

	if (!message->is_fragmented(message))
	{
		packets->insert_last(packets, message->get_packet(message));
		return packets;
	}
	enumerator = message->get_fragments(message);
	while (enumerator->enumerate(enumerator, &packet))
	{
		packets->insert_last(packets, packet->clone(packet));
	}
	enumerator->destroy(enumerator);
	return packets;
}

/**
 * Note a request that is being sent
 */
static void note_request(private_qcd_pending_t *this, ike_sa_t *ike_sa,
						 message_t *message)
{
	linked_list_t *packets = get_packets(message);
	host_t *me = message->get_source(message);
	host_t *other = message->get_destination(message);
	entry_t *entry;
	qcd_sa_t sa;
	bool answered;

	answered = qcd_sa_identify(ike_sa, &sa);
	this->mutex->lock(this->mutex);
	entry = get_entry(this, ike_sa);
	entry->packets->destroy_offset(entry->packets, offsetof(packet_t, destroy));
	entry->packets = packets;
	this->answered->remove(this->answered, &entry->sa.spis);
	entry->sa.spis = sa.spis;
	if (answered)
	{
		this->answered->put(this->answered, &entry->sa.spis, entry);
	}
	entry->sa.since = qcd_now();
	DESTROY_IF(entry->sa.me);
	DESTROY_IF(entry->sa.other);
	entry->sa.me = me->clone(me);
	entry->sa.other = other->clone(other);
	this->mutex->unlock(this->mutex);
}

/**
 * Note that the peer has answered, and how long that took the first time
 */
static void note_response(private_qcd_pending_t *this, ike_sa_t *ike_sa)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry && !entry->sa.round_trip)
	{
		entry->sa.round_trip = max(1, qcd_now() - entry->begun);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(listener_t, message_hook, bool,
	private_qcd_pending_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	if (ike_sa && is_pending(ike_sa))
	{
		if (!incoming && !plain && message->get_request(message))
		{
			note_request(this, ike_sa, message);
		}
		else if (incoming && plain && !message->get_request(message))
		{
			note_response(this, ike_sa);
		}
	}
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_pending_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);
	entry_t *entry;

	/* CREATED: it was reset for another try, with other SPIs */
	if (state != IKE_CONNECTING)
	{
		this->mutex->lock(this->mutex);
		entry = remove_entry(this, unique_id);
		this->mutex->unlock(this->mutex);
		entry_destroy(entry);
	}
	return TRUE;
}

METHOD(qcd_pending_t, find, linked_list_t*,
	private_qcd_pending_t *this, char *name, host_t *peer)
{
	linked_list_t *found = linked_list_create();
	enumerator_t *enumerator;
	qcd_pending_sa_t *sa;
	entry_t *entry;

	this->mutex->lock(this->mutex);
	enumerator = this->entries->create_enumerator(this->entries);
	while (enumerator->enumerate(enumerator, NULL, &entry))
	{
		if ((!name || streq(entry->name, name)) &&
			(!peer || peer->ip_equals(peer, entry->sa.other)))
		{
			sa = malloc_thing(qcd_pending_sa_t);
			*sa = entry->sa;
			sa->me = sa->me->clone(sa->me);
			sa->other = sa->other->clone(sa->other);
			found->insert_last(found, sa);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return found;
}

METHOD(qcd_pending_t, find_answered, char*,
	private_qcd_pending_t *this, const qcd_spis *spis, uint32_t *unique_id)
{
	entry_t *entry;
	char *name = NULL;

	this->mutex->lock(this->mutex);
	entry = this->answered->get(this->answered, (void*)spis);
	if (entry)
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
	packet_t *packet;
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	if (entry)
	{
		packets = entry->packets->clone_offset(entry->packets,
											   offsetof(packet_t, clone));
	}
	this->mutex->unlock(this->mutex);
	if (!packets)
	{
		return FALSE;
	}
	while (packets->remove_first(packets, (void**)&packet) == SUCCESS)
	{
		charon->sender->send(charon->sender, packet);
	}
	packets->destroy(packets);
	return TRUE;
}

METHOD(qcd_pending_t, destroy, void,
	private_qcd_pending_t *this)
{
	enumerator_t *enumerator;
	entry_t *entry;

	charon->bus->remove_listener(charon->bus, &this->public.listener);
	enumerator = this->entries->create_enumerator(this->entries);
	while (enumerator->enumerate(enumerator, NULL, &entry))
	{
		entry_destroy(entry);
	}
	enumerator->destroy(enumerator);
	this->entries->destroy(this->entries);
	this->answered->destroy(this->answered);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
void qcd_pending_sa_destroy(qcd_pending_sa_t *sa)
{
	sa->me->destroy(sa->me);
	sa->other->destroy(sa->other);
	free(sa);
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
			.find_answered = _find_answered,
			.repeat = _repeat,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.entries = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									8),
		.answered = hashtable_create(qcd_spis_hash, qcd_spis_equals, 8),
	);
	charon->bus->add_listener(charon->bus, &this->public.listener);
	return &this->public;
}

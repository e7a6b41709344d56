/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_peers.h"
#include "qcd_listeners.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_qcd_peers_t private_qcd_peers_t;

/**
 * Private data
 */
struct private_qcd_peers_t {

	/**
	 * Public interface
	 */
	qcd_peers_t public;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * IKE_SAs as entry_t, by their unique IDs
	 */
	hashtable_t *entries;

	/**
	 * The same IKE_SAs by their connections, as connection_t
	 */
	hashtable_t *connections;

	/**
	 * Number of IKE_SAs with each peer, by a hash of its identity
	 */
	hashtable_t *counts;
};

typedef struct entry_t entry_t;

/**
 * The IKE_SAs of a connection, youngest first
 */
typedef struct {
	char *name;
	entry_t *first;
} connection_t;

/**
 * An IKE_SA
 */
struct entry_t {
	qcd_sa_t sa;
	u_int id;
	connection_t *connection;
	entry_t *next;
	entry_t *previous;
};

/**
 * Remove the entry of an IKE_SA, and its connection if that was the last entry
 */
static void remove_entry(private_qcd_peers_t *this, uint32_t unique_id)
{
	connection_t *connection;
	entry_t *entry;

	entry = this->entries->remove(this->entries, (void*)(uintptr_t)unique_id);
	if (!entry)
	{
		return;
	}
	qcd_count_change(this->counts, entry->id, -1);
	connection = entry->connection;
	if (entry->previous)
	{
		entry->previous->next = entry->next;
	}
	else
	{
		connection->first = entry->next;
	}
	if (entry->next)
	{
		entry->next->previous = entry->previous;
	}
	if (!connection->first)
	{
		this->connections->remove(this->connections, connection->name);
		qcd_named_destroy(connection);
	}
	free(entry);
}

/**
 * Tell whether an IKE_SA has an entry that is still correct, with the mutex held
 *
 * @param id			identity of its peer, NULL if that has not changed
 */
static bool is_noted(private_qcd_peers_t *this, qcd_sa_t *sa, char *name,
					 identification_t *id)
{
	entry_t *entry;

	entry = this->entries->get(this->entries, (void*)(uintptr_t)sa->unique_id);
	return entry && streq(entry->connection->name, name) &&
		   (!id || entry->id == id->hash(id, 0)) &&
		   entry->sa.ike.role == sa->ike.role &&
		   qcd_spis_equals(&entry->sa.ike.spis, &sa->ike.spis);
}

/**
 * Add an IKE_SA, replacing its entry if there is one
 *
 * @param id			identity of its peer, NULL if that is the same as in the
 *						entry
 */
static void note(private_qcd_peers_t *this, ike_sa_t *ike_sa,
				 identification_t *id)
{
	char *name = ike_sa->get_name(ike_sa);
	connection_t *connection;
	entry_t *entry;
	qcd_sa_t sa;

	if (!qcd_sa_identify(ike_sa, &sa))
	{
		return;
	}
	this->mutex->lock(this->mutex);
	if (is_noted(this, &sa, name, id))
	{
		this->mutex->unlock(this->mutex);
		return;
	}
	id = id ?: ike_sa->get_other_eap_id(ike_sa);
	INIT(entry,
		.sa = sa,
		.id = id->hash(id, 0),
	);
	remove_entry(this, sa.unique_id);
	connection = qcd_named_get(this->connections, name, sizeof(*connection));
	entry->connection = connection;
	entry->next = connection->first;
	if (connection->first)
	{
		connection->first->previous = entry;
	}
	connection->first = entry;
	this->entries->put(this->entries, (void*)(uintptr_t)sa.unique_id, entry);
	qcd_count_change(this->counts, entry->id, 1);
	this->mutex->unlock(this->mutex);
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_peers_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	switch (state)
	{
		case IKE_ESTABLISHED:
			note(this, ike_sa, ike_sa->get_other_eap_id(ike_sa));
			break;
		case IKE_DELETING:
			if (ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING))
			{	/* it is to be opened again, without make_before_break */
				break;
			}
			/* fall-through */
		case IKE_REKEYED:
		case IKE_DESTROYING:
			this->mutex->lock(this->mutex);
			remove_entry(this, ike_sa->get_unique_id(ike_sa));
			this->mutex->unlock(this->mutex);
			break;
		default:
			break;
	}
	return TRUE;
}

METHOD(listener_t, ike_updown, bool,
	private_qcd_peers_t *this, ike_sa_t *ike_sa, bool up)
{
	if (up)
	{	/* by now a responder knows its connection, as it usually did when it
		 * was established; to find its identity takes charon some time */
		note(this, ike_sa, NULL);
	}
	return TRUE;
}

METHOD(listener_t, ike_rekey, bool,
	private_qcd_peers_t *this, ike_sa_t *old, ike_sa_t *new)
{
	/* by now the new IKE_SA has its identities */
	note(this, new, new->get_other_eap_id(new));
	return TRUE;
}

METHOD(qcd_peers_t, find, linked_list_t*,
	private_qcd_peers_t *this, char *name, identification_t *id,
	qcd_peers_pick_t pick, void *data)
{
	linked_list_t *found = linked_list_create();
	connection_t *connection;
	u_int hash = id->hash(id, 0);
	entry_t *entry;
	qcd_sa_t *sa;

	this->mutex->lock(this->mutex);
	connection = this->connections->get(this->connections, name);
	for (entry = connection ? connection->first : NULL; entry;
		 entry = entry->next)
	{
		if (entry->id == hash || (pick && pick(data, entry->sa.unique_id)))
		{
			sa = malloc_thing(qcd_sa_t);
			*sa = entry->sa;
			found->insert_first(found, sa);
		}
	}
	this->mutex->unlock(this->mutex);
	return found;
}

METHOD(qcd_peers_t, has_several, bool,
	private_qcd_peers_t *this, uint32_t unique_id)
{
	entry_t *entry;
	bool several;

	this->mutex->lock(this->mutex);
	entry = this->entries->get(this->entries, (void*)(uintptr_t)unique_id);
	several = entry && qcd_count_change(this->counts, entry->id, 0) > 1;
	this->mutex->unlock(this->mutex);
	return several;
}

METHOD(qcd_peers_t, destroy, void,
	private_qcd_peers_t *this)
{
	qcd_listeners_remove(&this->public.listener);
	this->connections->destroy_function(this->connections,
										(void*)qcd_named_destroy);
	this->entries->destroy_function(this->entries, (void*)free);
	this->counts->destroy(this->counts);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_peers_t *qcd_peers_create()
{
	private_qcd_peers_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_state_change = _ike_state_change,
				.ike_updown = _ike_updown,
				.ike_rekey = _ike_rekey,
			},
			.find = _find,
			.has_several = _has_several,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.entries = hashtable_create(qcd_number_hash, hashtable_equals_ptr,
									32),
		.connections = hashtable_create(hashtable_hash_str,
										hashtable_equals_str, 8),
		.counts = hashtable_create(qcd_number_hash, hashtable_equals_ptr,
								   32),
	);
	qcd_listeners_add(&this->public.listener);
	return &this->public;
}

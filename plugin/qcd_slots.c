/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_slots.h"

#include <collections/hashtable.h>
#include <threading/thread.h>

typedef struct private_qcd_slots_t private_qcd_slots_t;

/**
 * Private data
 */
struct private_qcd_slots_t {

	/**
	 * Public interface
	 */
	qcd_slots_t public;

	/**
	 * Slots by their numbers
	 */
	hashtable_t *numbers;

	/**
	 * First slot of each connection, by the connection's name
	 */
	hashtable_t *names;

	/**
	 * Number of slots between the same identities, by a hash of these
	 */
	hashtable_t *identities;

	/**
	 * Number of the last slot that was added
	 */
	uintptr_t last;
};

/**
 * Hash the identities of an IKE_SA
 */
static uintptr_t hash_identities(ike_sa_t *ike_sa)
{
	identification_t *my_id = ike_sa->get_my_id(ike_sa);
	identification_t *other_id = ike_sa->get_other_eap_id(ike_sa);

	return other_id->hash(other_id, my_id->hash(my_id, 0));
}

METHOD(qcd_slots_t, add, qcd_slot_t*,
	private_qcd_slots_t *this, ike_sa_t *ike_sa, qcd_recovery_t *recovery)
{
	host_t *peer = ike_sa->get_other_host(ike_sa);
	qcd_slot_t *slot;

	INIT(slot,
		.number = ++this->last,
		.recovery = recovery,
		.name = strdup(ike_sa->get_name(ike_sa)),
		.identities = hash_identities(ike_sa),
		.peer = peer->clone(peer),
		.due = UINT64_MAX,
		.lost = linked_list_create(),
	);
	this->numbers->put(this->numbers, (void*)slot->number, slot);
	slot->next = this->names->put(this->names, slot->name, slot);
	qcd_count_change(this->identities, slot->identities, 1);
	return slot;
}

METHOD(qcd_slots_t, get, qcd_slot_t*,
	private_qcd_slots_t *this, uintptr_t number)
{
	return this->numbers->get(this->numbers, (void*)number);
}

METHOD(qcd_slots_t, get_first, qcd_slot_t*,
	private_qcd_slots_t *this, char *name)
{
	return this->names->get(this->names, name);
}

METHOD(qcd_slots_t, find, qcd_slot_t*,
	private_qcd_slots_t *this, ike_sa_t *ike_sa)
{
	uintptr_t identities = hash_identities(ike_sa);
	host_t *peer = ike_sa->get_other_host(ike_sa);
	qcd_slot_t *slot;

	for (slot = get_first(this, ike_sa->get_name(ike_sa)); slot;
		 slot = slot->next)
	{
		if (slot->identities == identities &&
			slot->peer->equals(slot->peer, peer))
		{
			break;
		}
	}
	return slot;
}

/**
 * Tell whether an IKE_SA is a try of a recovery
 */
static bool is_try(qcd_slot_t *slot, ike_sa_t *ike_sa)
{
	qcd_connector_t *connector = slot->recovery->get_connector(slot->recovery);

	return connector->is_try(connector, ike_sa->get_unique_id(ike_sa));
}

METHOD(qcd_slots_t, find_try, qcd_slot_t*,
	private_qcd_slots_t *this, ike_sa_t *ike_sa)
{
	qcd_slot_t *slot;

	for (slot = get_first(this, ike_sa->get_name(ike_sa)); slot;
		 slot = slot->next)
	{
		if (is_try(slot, ike_sa))
		{
			break;
		}
	}
	return slot;
}

METHOD(qcd_slots_t, count_same, u_int,
	private_qcd_slots_t *this, qcd_slot_t *slot)
{
	return qcd_count_change(this->identities, slot->identities, 0);
}

METHOD(qcd_slots_t, create_enumerator, enumerator_t*,
	private_qcd_slots_t *this)
{
	return this->numbers->create_enumerator(this->numbers);
}

METHOD(qcd_slots_t, remove_slot, void,
	private_qcd_slots_t *this, qcd_slot_t *slot)
{
	qcd_slot_t *first, **link;

	this->numbers->remove(this->numbers, (void*)slot->number);
	first = this->names->remove(this->names, slot->name);
	for (link = &first; *link != slot; link = &(*link)->next)
	{
		/* go on */
	}
	*link = slot->next;
	if (first)
	{	/* the key is the name of the first slot */
		this->names->put(this->names, first->name, first);
	}
	qcd_count_change(this->identities, slot->identities, -1);
}

METHOD(qcd_slots_t, destroy, void,
	private_qcd_slots_t *this)
{
	this->numbers->destroy_function(this->numbers, (void*)qcd_slot_destroy);
	this->names->destroy(this->names);
	this->identities->destroy(this->identities);
	free(this);
}

/*
 * Described in header
 */
bool qcd_slot_is_about(qcd_slot_t *slot, ike_sa_t *ike_sa)
{
	return slot->identities == hash_identities(ike_sa) ||
		   is_try(slot, ike_sa);
}

/*
 * Described in header
 */
bool qcd_slot_is_stepping(qcd_slot_t *slot)
{
	return slot->running && slot->thread == thread_current_id();
}

/*
 * Described in header
 */
bool qcd_slot_is_closing(qcd_slot_t *slot, ike_sa_t *ike_sa,
						 ike_sa_state_t state, bool failing)
{
	if (qcd_slot_is_stepping(slot))
	{
		return FALSE;
	}
	if (state == IKE_DELETING)
	{
		return slot->identities == hash_identities(ike_sa) &&
			   ike_sa->get_state(ike_sa) != IKE_REKEYED &&
			   !ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING);
	}
	return state == IKE_DESTROYING && !failing &&
		   ike_sa->get_state(ike_sa) == IKE_CONNECTING &&
		   is_try(slot, ike_sa);
}

/*
 * Described in header
 */
void qcd_slot_destroy(qcd_slot_t *slot)
{
	qcd_lost_sa_t *lost;

	while (slot->lost->remove_first(slot->lost, (void**)&lost) == SUCCESS)
	{
		lost->wanted->destroy(lost->wanted);
		free(lost);
	}
	slot->lost->destroy(slot->lost);
	DESTROY_IF(slot->resolved);
	slot->peer->destroy(slot->peer);
	slot->recovery->destroy(slot->recovery);
	free(slot->name);
	free(slot);
}

/*
 * Described in header
 */
qcd_slots_t *qcd_slots_create()
{
	private_qcd_slots_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.get = _get,
			.find = _find,
			.find_try = _find_try,
			.get_first = _get_first,
			.count_same = _count_same,
			.create_enumerator = _create_enumerator,
			.remove = _remove_slot,
			.destroy = _destroy,
		},
		.numbers = hashtable_create(qcd_number_hash, hashtable_equals_ptr,
									8),
		.names = hashtable_create(hashtable_hash_str, hashtable_equals_str, 8),
		.identities = hashtable_create(qcd_number_hash, hashtable_equals_ptr,
									   8),
	);
	return &this->public;
}

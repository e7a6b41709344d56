/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_outbound.h"
#include "qcd_sa.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_qcd_outbound_t private_qcd_outbound_t;

/**
 * Private data
 */
struct private_qcd_outbound_t {

	/**
	 * Public interface
	 */
	qcd_outbound_t public;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * CHILD_SAs, as the first child_t of those with the same outbound SPI
	 */
	hashtable_t *children;
};

typedef struct child_t child_t;

/**
 * A CHILD_SA
 */
struct child_t {
	uint32_t spi;
	uint32_t unique_id;
	qcd_spis spis;
	child_t *next;
};

/**
 * Remove a CHILD_SA and pass it to the caller, NULL if not found
 */
static child_t *take(private_qcd_outbound_t *this, uint32_t spi,
					 uint32_t unique_id)
{
	void *key = (void*)(uintptr_t)spi;
	child_t *first, *child, **link;

	first = this->children->remove(this->children, key);
	for (link = &first; *link && (*link)->unique_id != unique_id;
		 link = &(*link)->next)
	{
		/* go on */
	}
	child = *link;
	if (child)
	{
		*link = child->next;
		child->next = NULL;
	}
	if (first)
	{
		this->children->put(this->children, key, first);
	}
	return child;
}

/**
 * Note the current IKE_SA of a CHILD_SA
 */
static void add(private_qcd_outbound_t *this, ike_sa_t *ike_sa,
				child_sa_t *child_sa)
{
	uint32_t spi = child_sa->get_spi(child_sa, FALSE);
	uint32_t unique_id = child_sa->get_unique_id(child_sa);
	child_t *child;
	qcd_sa_t sa;

	if (!spi || !qcd_sa_identify(ike_sa, &sa))
	{
		return;
	}
	this->mutex->lock(this->mutex);
	child = take(this, spi, unique_id);
	if (!child)
	{
		INIT(child,
			.spi = spi,
			.unique_id = unique_id,
		);
	}
	child->spis = sa.ike.spis;
	child->next = this->children->put(this->children, (void*)(uintptr_t)spi,
									  child);
	this->mutex->unlock(this->mutex);
}

/**
 * Forget a CHILD_SA
 */
static void forget(private_qcd_outbound_t *this, child_sa_t *child_sa)
{
	child_t *child;

	this->mutex->lock(this->mutex);
	child = take(this, child_sa->get_spi(child_sa, FALSE),
				 child_sa->get_unique_id(child_sa));
	this->mutex->unlock(this->mutex);
	free(child);
}

METHOD(listener_t, child_state_change, bool,
	private_qcd_outbound_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	child_sa_state_t state)
{
	if (state == CHILD_DESTROYING)
	{
		forget(this, child_sa);
	}
	else if (state == CHILD_INSTALLED && ike_sa)
	{
		add(this, ike_sa, child_sa);
	}
	return TRUE;
}

/**
 * Note the current IKE_SA of all its CHILD_SAs
 */
static void add_all(private_qcd_outbound_t *this, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		add(this, ike_sa, child_sa);
	}
	enumerator->destroy(enumerator);
}

METHOD(listener_t, ike_rekey, bool,
	private_qcd_outbound_t *this, ike_sa_t *old, ike_sa_t *new)
{
	/* by now the new IKE_SA has the CHILD_SAs */
	add_all(this, new);
	return TRUE;
}

METHOD(listener_t, children_migrate, bool,
	private_qcd_outbound_t *this, ike_sa_t *ike_sa, ike_sa_id_t *new,
	uint32_t unique)
{
	if (!new)
	{	/* by now the CHILD_SAs have arrived */
		add_all(this, ike_sa);
	}
	return TRUE;
}

METHOD(qcd_outbound_t, find, u_int,
	private_qcd_outbound_t *this, const qcd_child_spi *spi,
	qcd_spis spis[QCD_OUTBOUND_MAX])
{
	uint32_t key;
	child_t *child;
	u_int count = 0;

	memcpy(&key, spi->octets, sizeof(key));
	this->mutex->lock(this->mutex);
	child = this->children->get(this->children, (void*)(uintptr_t)key);
	while (child && count < QCD_OUTBOUND_MAX)
	{
		spis[count++] = child->spis;
		child = child->next;
	}
	this->mutex->unlock(this->mutex);
	return count;
}

/**
 * Free all CHILD_SAs with the same outbound SPI
 */
static void free_all(child_t *child)
{
	child_t *next;

	for (; child; child = next)
	{
		next = child->next;
		free(child);
	}
}

METHOD(qcd_outbound_t, destroy, void,
	private_qcd_outbound_t *this)
{
	this->children->destroy_function(this->children, (void*)free_all);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_outbound_t *qcd_outbound_create()
{
	private_qcd_outbound_t *this;

	INIT(this,
		.public = {
			.listener = {
				.child_state_change = _child_state_change,
				.ike_rekey = _ike_rekey,
				.children_migrate = _children_migrate,
			},
			.find = _find,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.children = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									 32),
	);

	return &this->public;
}

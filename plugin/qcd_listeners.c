/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_listeners.h"
#include "qcd_compat.h"

#include <pthread.h>

#include <daemon.h>

/**
 * Number of listeners that we have a place for
 */
#define LISTENERS_MAX 16

/**
 * Mutex for adding and removing listeners. No method of a listener takes it.
 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/**
 * Listeners in the order in which they are called, NULL for one that was
 * removed. Events are passed on without the mutex, so these are atomic.
 */
static listener_t *listeners[LISTENERS_MAX];

/**
 * Number of places up to the last one in use, which is atomic as well
 */
static u_int count;

/**
 * Get the next listener that has a method
 *
 * @param i				index to begin at, receives that after the one found
 * @param method		offset of the method
 * @return				NULL if there is none
 */
static inline listener_t *next(u_int *i, size_t method)
{
	u_int end = __atomic_load_n(&count, __ATOMIC_ACQUIRE);
	listener_t *listener;

	while (*i < end)
	{
		listener = __atomic_load_n(&listeners[(*i)++], __ATOMIC_ACQUIRE);
		if (listener && *(void**)((char*)listener + method))
		{
			return listener;
		}
	}
	return NULL;
}

METHOD(listener_t, alert_hook, bool,
	listener_t *this, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	listener_t *listener;
	va_list copy;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, alert))))
	{
		va_copy(copy, args);
		listener->alert(listener, ike_sa, alert, copy);
		va_end(copy);
	}
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	listener_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, ike_state_change))))
	{
		listener->ike_state_change(listener, ike_sa, state);
	}
	return TRUE;
}

METHOD(listener_t, child_state_change, bool,
	listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	child_sa_state_t state)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, child_state_change))))
	{
		listener->child_state_change(listener, ike_sa, child_sa, state);
	}
	return TRUE;
}

METHOD(listener_t, message_hook, bool,
	listener_t *this, ike_sa_t *ike_sa, message_t *message, bool incoming,
	bool plain)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, message))))
	{
		listener->message(listener, ike_sa, message, incoming, plain);
	}
	return TRUE;
}

METHOD(listener_t, ike_keys, bool,
	listener_t *this, ike_sa_t *ike_sa, QCD_IKE_KEYS_ARGS, ike_sa_t *rekey,
	shared_key_t *shared, auth_method_t method)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, ike_keys))))
	{
		listener->ike_keys(listener, ike_sa, QCD_IKE_KEYS_PASSED, rekey, shared,
						   method);
	}
	return TRUE;
}

METHOD(listener_t, ike_updown, bool,
	listener_t *this, ike_sa_t *ike_sa, bool up)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, ike_updown))))
	{
		listener->ike_updown(listener, ike_sa, up);
	}
	return TRUE;
}

METHOD(listener_t, ike_rekey, bool,
	listener_t *this, ike_sa_t *old, ike_sa_t *new)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, ike_rekey))))
	{
		listener->ike_rekey(listener, old, new);
	}
	return TRUE;
}

METHOD(listener_t, ike_update, bool,
	listener_t *this, ike_sa_t *ike_sa, host_t *local, host_t *remote)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, ike_update))))
	{
		listener->ike_update(listener, ike_sa, local, remote);
	}
	return TRUE;
}

METHOD(listener_t, child_updown, bool,
	listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa, bool up)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, child_updown))))
	{
		listener->child_updown(listener, ike_sa, child_sa, up);
	}
	return TRUE;
}

METHOD(listener_t, children_migrate, bool,
	listener_t *this, ike_sa_t *ike_sa, ike_sa_id_t *new, uint32_t unique)
{
	listener_t *listener;
	u_int i = 0;

	while ((listener = next(&i, offsetof(listener_t, children_migrate))))
	{
		listener->children_migrate(listener, ike_sa, new, unique);
	}
	return TRUE;
}

/**
 * What charon's bus sees, from the first listener to the last
 */
static listener_t ours;

/**
 * Set our methods, before charon sees them: those of METHOD() are no constants
 */
static void init_ours()
{
	if (count)
	{
		return;
	}
	ours = (listener_t){
		.alert = _alert_hook,
		.ike_state_change = _ike_state_change,
		.child_state_change = _child_state_change,
		.message = _message_hook,
		.ike_keys = _ike_keys,
		.ike_updown = _ike_updown,
		.ike_rekey = _ike_rekey,
		.ike_update = _ike_update,
		.child_updown = _child_updown,
		.children_migrate = _children_migrate,
	};
}

/**
 * Tell whether we pass events to all methods of a listener
 */
static bool is_covered(listener_t *listener)
{
	void **methods = (void**)listener, **passed = (void**)&ours;
	int i;

	for (i = 0; i < sizeof(ours) / sizeof(*methods); i++)
	{
		if (methods[i] && !passed[i])
		{
			return FALSE;
		}
	}
	return TRUE;
}

/*
 * Described in header
 */
void qcd_listeners_add(listener_t *listener)
{
	pthread_mutex_lock(&mutex);
	init_ours();
	if (count == LISTENERS_MAX || !is_covered(listener))
	{
		charon->bus->add_listener(charon->bus, listener);
	}
	else
	{
		__atomic_store_n(&listeners[count], listener, __ATOMIC_RELEASE);
		__atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
		if (count == 1)
		{
			charon->bus->add_listener(charon->bus, &ours);
		}
	}
	pthread_mutex_unlock(&mutex);
}

/**
 * Take a listener out of its place, if it has one
 */
static void take_out(listener_t *listener)
{
	u_int i, end = 0;

	for (i = 0; i < count; i++)
	{
		if (listeners[i] == listener)
		{
			__atomic_store_n(&listeners[i], NULL, __ATOMIC_RELEASE);
		}
		else if (listeners[i])
		{
			end = i + 1;
		}
	}
	if (count && !end)
	{
		charon->bus->remove_listener(charon->bus, &ours);
	}
	__atomic_store_n(&count, end, __ATOMIC_RELEASE);
}

/*
 * Described in header
 */
void qcd_listeners_remove(listener_t *listener)
{
	pthread_mutex_lock(&mutex);
	take_out(listener);
	/* The bus may know it, if it had no place here. In any case the bus waits
	 * for the event that it is raising, which may still be passed on. */
	charon->bus->remove_listener(charon->bus, listener);
	pthread_mutex_unlock(&mutex);
}

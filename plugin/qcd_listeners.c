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

/**
 * Pass an event on to all listeners that have a method for it
 *
 * @param method		name of the method
 * @param ...			its arguments
 */
#define PASS_ON(method, ...) ({ \
	listener_t *listener; \
	u_int i = 0; \
	while ((listener = next(&i, offsetof(listener_t, method)))) \
	{ \
		listener->method(listener, __VA_ARGS__); \
	} \
})

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
	PASS_ON(ike_state_change, ike_sa, state);
	return TRUE;
}

METHOD(listener_t, child_state_change, bool,
	listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	child_sa_state_t state)
{
	PASS_ON(child_state_change, ike_sa, child_sa, state);
	return TRUE;
}

METHOD(listener_t, message_hook, bool,
	listener_t *this, ike_sa_t *ike_sa, message_t *message, bool incoming,
	bool plain)
{
	PASS_ON(message, ike_sa, message, incoming, plain);
	return TRUE;
}

METHOD(listener_t, ike_keys, bool,
	listener_t *this, ike_sa_t *ike_sa, QCD_IKE_KEYS_ARGS, ike_sa_t *rekey,
	shared_key_t *shared, auth_method_t method)
{
	PASS_ON(ike_keys, ike_sa, QCD_IKE_KEYS_PASSED, rekey, shared, method);
	return TRUE;
}

METHOD(listener_t, ike_updown, bool,
	listener_t *this, ike_sa_t *ike_sa, bool up)
{
	PASS_ON(ike_updown, ike_sa, up);
	return TRUE;
}

METHOD(listener_t, ike_rekey, bool,
	listener_t *this, ike_sa_t *old, ike_sa_t *new)
{
	PASS_ON(ike_rekey, old, new);
	return TRUE;
}

METHOD(listener_t, ike_update, bool,
	listener_t *this, ike_sa_t *ike_sa, host_t *local, host_t *remote)
{
	PASS_ON(ike_update, ike_sa, local, remote);
	return TRUE;
}

METHOD(listener_t, child_updown, bool,
	listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa, bool up)
{
	PASS_ON(child_updown, ike_sa, child_sa, up);
	return TRUE;
}

METHOD(listener_t, children_migrate, bool,
	listener_t *this, ike_sa_t *ike_sa, ike_sa_id_t *new, uint32_t unique)
{
	PASS_ON(children_migrate, ike_sa, new, unique);
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

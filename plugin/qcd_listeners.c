/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_listeners.h"
#include "qcd_compat.h"

#include <daemon.h>

/**
 * Maximum number of listeners
 */
#define LISTENERS_MAX 16

/**
 * Listeners in the order in which they are called. As charon calls them with
 * the bus locked, they only change while charon does not know of ours.
 */
static listener_t *listeners[LISTENERS_MAX];
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
	listener_t *listener;

	while (*i < count)
	{
		listener = listeners[(*i)++];
		if (*(void**)((char*)listener + method))
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
 * What charon's bus sees
 */
static listener_t ours;

/**
 * Set our methods. Those of METHOD() are no constants.
 */
static void init_ours()
{
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

/**
 * Hide our listener from charon. When this returns, no method is running.
 */
static void hide()
{
	if (count)
	{
		charon->bus->remove_listener(charon->bus, &ours);
	}
}

/**
 * Show it again, if there are any that it passes events to
 */
static void show()
{
	if (count)
	{
		charon->bus->add_listener(charon->bus, &ours);
	}
}

/*
 * Described in header
 */
void qcd_listeners_add(listener_t *listener)
{
	hide();
	init_ours();
	if (count < LISTENERS_MAX && is_covered(listener))
	{
		listeners[count++] = listener;
	}
	else
	{
		DBG1(DBG_CFG, "QCD: a listener has no place, or a method that is not "
			 "passed on: its part of the plugin is off");
	}
	show();
}

/*
 * Described in header
 */
void qcd_listeners_remove(listener_t *listener)
{
	u_int i;

	hide();
	for (i = 0; i < count; i++)
	{
		if (listeners[i] == listener)
		{
			count--;
			memmove(&listeners[i], &listeners[i + 1],
					(count - i) * sizeof(listeners[0]));
		}
	}
	show();
}

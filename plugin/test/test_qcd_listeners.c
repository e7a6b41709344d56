/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_listeners.h"
#include "qcd_compat.h"

#include <threading/thread.h>

#include "box.h"
#include "played.h"

/**
 * More listeners than there are places, and events while one comes and goes
 */
#define MANY 20
#define EVENTS 20000

/**
 * Which listeners were called, by their names, since the last check
 */
static char called[64];

/**
 * A listener, whose name is a letter
 */
typedef struct {
	listener_t public;
	char name;
} named_t;

static bool note(listener_t *listener)
{
	size_t len = strlen(called);

	called[len] = ((named_t*)listener)->name;
	called[len + 1] = '\0';
	/* charon would remove it */
	return FALSE;
}

METHOD(listener_t, alert_hook, bool,
	listener_t *this, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	CHECK_INT("alert", alert, ALERT_INVALID_IKE_SPI);
	/* each gets all arguments */
	CHECK_STR("argument", va_arg(args, char*), "message");
	return note(this);
}

METHOD(listener_t, ike_state_change, bool,
	listener_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	CHECK_INT("state", state, IKE_DESTROYING);
	return note(this);
}

METHOD(listener_t, child_state_change, bool,
	listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	child_sa_state_t state)
{
	CHECK_INT("state", state, CHILD_DESTROYING);
	return note(this);
}

METHOD(listener_t, message_hook, bool,
	listener_t *this, ike_sa_t *ike_sa, message_t *message, bool incoming,
	bool plain)
{
	CHECK("arguments", incoming && !plain);
	return note(this);
}

METHOD(listener_t, ike_keys, bool,
	listener_t *this, ike_sa_t *ike_sa, QCD_IKE_KEYS_ARGS, ike_sa_t *rekey,
	shared_key_t *shared, auth_method_t method)
{
	CHECK("nonces", nonce_i.len == 1 && nonce_r.len == 2);
	CHECK_INT("method", method, AUTH_PSK);
	return note(this);
}

METHOD(listener_t, ike_updown, bool,
	listener_t *this, ike_sa_t *ike_sa, bool up)
{
	CHECK("up", up);
	return note(this);
}

METHOD(listener_t, ike_rekey, bool,
	listener_t *this, ike_sa_t *old, ike_sa_t *new)
{
	CHECK("not the same", old != new);
	return note(this);
}

METHOD(listener_t, ike_update, bool,
	listener_t *this, ike_sa_t *ike_sa, host_t *local, host_t *remote)
{
	CHECK("not the same", local != remote);
	return note(this);
}

METHOD(listener_t, child_updown, bool,
	listener_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa, bool up)
{
	CHECK("up", up);
	return note(this);
}

METHOD(listener_t, children_migrate, bool,
	listener_t *this, ike_sa_t *ike_sa, ike_sa_id_t *new, uint32_t unique)
{
	CHECK_INT("unique ID", unique, 7);
	return note(this);
}

/**
 * Make a listener for all events
 */
static void create(named_t *listener, char name)
{
	*listener = (named_t){
		.public = {
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
		},
		.name = name,
	};
}

/**
 * Raise each kind of event, and check who is called
 *
 * @param want			listeners that are called for each event
 */
static void check_events(const char *row, const char *want)
{
	played_ike_t *ike, *other;
	played_child_t *child;
	bus_t *bus = charon->bus;
	qcd_ike_sa sa;
	int event;

	played_spis(&sa, QCD_RESPONDER, 1);
	ike = played_ike_create(1, &sa);
	other = played_ike_create(7, &sa);
	child = played_child_create(1, 1);
	bus->set_sa(bus, &ike->public);
	for (event = 0; event < 10; event++)
	{
		called[0] = '\0';
		switch (event)
		{
			case 0:
				bus->alert(bus, ALERT_INVALID_IKE_SPI, "message");
				break;
			case 1:
				bus->ike_state_change(bus, &ike->public, IKE_DESTROYING);
				break;
			case 2:
				bus->child_state_change(bus, &child->public, CHILD_DESTROYING);
				break;
			case 3:
				bus->message(bus, NULL, TRUE, FALSE);
				break;
			case 4:
				bus->ike_keys(bus, &ike->public, NULL, chunk_empty,
							  chunk_from_chars(1), chunk_from_chars(1, 2), NULL,
							  NULL, AUTH_PSK);
				break;
			case 5:
				bus->ike_updown(bus, &ike->public, TRUE);
				break;
			case 6:
				bus->ike_rekey(bus, &ike->public, &other->public);
				break;
			case 7:
				bus->ike_update(bus, &ike->public, ike->me, ike->other);
				break;
			case 8:
				bus->child_updown(bus, &child->public, TRUE);
				break;
			case 9:
				bus->children_migrate(bus, NULL, 7);
				break;
		}
		CHECK_STR(row, called, want);
	}
	bus->set_sa(bus, NULL);
	played_child_destroy(child);
	played_ike_destroy(other);
	played_ike_destroy(ike);
}

/**
 * They are called in order, and those that are left after one was removed, too
 */
static void test_order(void **state)
{
	named_t a, b, c;

	create(&a, 'a');
	create(&b, 'b');
	create(&c, 'c');
	check_events("none", "");
	qcd_listeners_add(&a.public);
	check_events("first", "a");
	qcd_listeners_add(&b.public);
	qcd_listeners_add(&c.public);
	check_events("all", "abc");
	qcd_listeners_remove(&b.public);
	check_events("without one", "ac");
	qcd_listeners_remove(&b.public);
	check_events("the same again", "ac");
	qcd_listeners_add(&b.public);
	check_events("with it again", "acb");
	qcd_listeners_remove(&b.public);
	qcd_listeners_remove(&a.public);
	check_events("last", "c");
	qcd_listeners_remove(&c.public);
	check_events("none again", "");
}

/**
 * A listener is not called for events for which it has no method
 */
static void test_methods(void **state)
{
	named_t all, none = { .name = 'n' };

	create(&all, 'a');
	qcd_listeners_add(&none.public);
	check_events("has none", "");
	qcd_listeners_add(&all.public);
	check_events("has none, has all", "a");
	qcd_listeners_remove(&none.public);
	qcd_listeners_remove(&all.public);
}

/**
 * A listener that counts
 */
typedef struct {
	listener_t public;
	u_int count;
	bool gone;
} counter_t;

METHOD(listener_t, count_event, bool,
	counter_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	CHECK("not removed", !this->gone);
	this->count++;
	return TRUE;
}

METHOD(listener_t, count_other, bool,
	counter_t *this, ike_sa_t *old, ike_sa_t *new)
{
	this->count++;
	return TRUE;
}

/**
 * The bus calls a listener with a method to which we pass no events, until it is
 * removed
 */
static void test_other_method(void **state)
{
	counter_t other = {};
	int i;

	other.public.ike_state_change = _count_event;
	other.public.ike_reestablish_pre = _count_other;
	for (i = 2; i < 6; i += 2)
	{
		qcd_listeners_add(&other.public);
		charon->bus->ike_state_change(charon->bus, NULL, IKE_ESTABLISHED);
		charon->bus->ike_reestablish_pre(charon->bus, NULL, NULL);
		qcd_listeners_remove(&other.public);
		charon->bus->ike_state_change(charon->bus, NULL, IKE_ESTABLISHED);
		CHECK_INT("called", other.count, i);
	}
}

/**
 * Listeners without a place are called as well
 */
static void test_many(void **state)
{
	counter_t many[MANY] = {};
	int i;

	for (i = 0; i < MANY; i++)
	{
		many[i].public.ike_state_change = _count_event;
		qcd_listeners_add(&many[i].public);
	}
	for (i = 0; i < MANY; i++)
	{
		charon->bus->ike_state_change(charon->bus, NULL, IKE_ESTABLISHED);
		CHECK_INT("called", many[i].count, i + 1);
		qcd_listeners_remove(&many[i].public);
		many[i].gone = TRUE;
	}
	charon->bus->ike_state_change(charon->bus, NULL, IKE_ESTABLISHED);
}

/**
 * The bus's own methods; what is raised after each call of them
 */
static typeof(charon->bus->add_listener) bus_add, bus_remove;
static u_int raised;

static void raise_one()
{
	charon->bus->ike_state_change(charon->bus, NULL, IKE_ESTABLISHED);
	raised++;
}

static void add_and_raise(bus_t *bus, listener_t *listener)
{
	bus_add(bus, listener);
	raise_one();
}

static void remove_and_raise(bus_t *bus, listener_t *listener)
{
	bus_remove(bus, listener);
	raise_one();
}

/**
 * Whatever happens while a listener comes and goes, another one gets it
 */
static void test_never_hidden(void **state)
{
	counter_t stays = {}, comes = {};

	bus_add = charon->bus->add_listener;
	bus_remove = charon->bus->remove_listener;
	stays.public.ike_state_change = _count_event;
	comes.public.ike_state_change = _count_event;
	qcd_listeners_add(&stays.public);
	charon->bus->add_listener = add_and_raise;
	charon->bus->remove_listener = remove_and_raise;
	qcd_listeners_add(&comes.public);
	raise_one();
	qcd_listeners_remove(&comes.public);
	comes.gone = TRUE;
	raise_one();
	charon->bus->add_listener = bus_add;
	charon->bus->remove_listener = bus_remove;
	CHECK_INT("all events", stays.count, raised);
	qcd_listeners_remove(&stays.public);
}

/**
 * Raises events until it is told to stop, and returns how many
 */
static void *raise_events(bool *stop)
{
	uintptr_t raised = 0;

	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
	{
		charon->bus->ike_state_change(charon->bus, NULL, IKE_ESTABLISHED);
		raised++;
	}
	return (void*)raised;
}

/**
 * While a listener comes and goes, another one gets all events, and the one that
 * was removed gets none
 */
static void test_threads(void **state)
{
	counter_t stays = {}, comes;
	thread_t *thread;
	uintptr_t events;
	bool stop = FALSE;

	stays.public.ike_state_change = _count_event;
	qcd_listeners_add(&stays.public);
	thread = thread_create((void*)raise_events, &stop);
	while (__atomic_load_n(&stays.count, __ATOMIC_ACQUIRE) < EVENTS)
	{
		comes = (counter_t){ .public = stays.public };
		qcd_listeners_add(&comes.public);
		qcd_listeners_remove(&comes.public);
		comes.gone = TRUE;
	}
	__atomic_store_n(&stop, TRUE, __ATOMIC_RELEASE);
	events = (uintptr_t)thread->join(thread);
	CHECK_INT("all events", stays.count, events);
	qcd_listeners_remove(&stays.public);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_order),
		BOX_TEST(test_methods),
		BOX_TEST(test_other_method),
		BOX_TEST(test_never_hidden),
		BOX_TEST(test_many),
		BOX_TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

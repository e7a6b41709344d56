/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_slots.h"

#include "box.h"
#include "played.h"

#include <threading/thread.h>

/**
 * A recovery whose connector has one try
 */
typedef struct {
	qcd_recovery_t public;
	qcd_connector_t connector;
	uint32_t try;
	/** counts those that are destroyed */
	u_int *destroyed;
} recovery_t;

METHOD(qcd_recovery_t, get_connector, qcd_connector_t*,
	recovery_t *this)
{
	return &this->connector;
}

METHOD(qcd_recovery_t, recovery_destroy, void,
	recovery_t *this)
{
	(*this->destroyed)++;
	free(this);
}

static bool is_try(qcd_connector_t *connector, uint32_t unique_id)
{
	recovery_t *this = (recovery_t*)((char*)connector -
									 offsetof(recovery_t, connector));

	return this->try == unique_id;
}

static qcd_recovery_t *recovery_create(uint32_t try, u_int *destroyed)
{
	recovery_t *this;

	INIT(this,
		.public = {
			.get_connector = _get_connector,
			.destroy = _recovery_destroy,
		},
		.connector.is_try = is_try,
		.try = try,
		.destroyed = destroyed,
	);
	return &this->public;
}

/**
 * Play an IKE_SA
 */
static played_ike_t *create(uint32_t unique_id, char *name, char *id,
							char *address)
{
	played_ike_t *ike;
	qcd_ike_sa sa;

	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(unique_id, &sa);
	ike->name = name;
	played_ike_identify(ike, id);
	played_ike_move(ike, FALSE, address);
	return ike;
}

/**
 * Add the slot of an IKE_SA, whose recovery tries with a unique ID
 */
static qcd_slot_t *add(qcd_slots_t *slots, char *name, char *id, char *address,
					   uint32_t try, u_int *destroyed)
{
	played_ike_t *ike = create(1000, name, id, address);
	qcd_slot_t *slot;

	slot = slots->add(slots, &ike->public, recovery_create(try, destroyed));
	played_ike_destroy(ike);
	return slot;
}

/**
 * Get the numbers of the slots that are found
 */
static u_int find(qcd_slots_t *slots, char *name, char *id, char *address)
{
	played_ike_t *ike = create(1, name, id, address);
	qcd_slot_t *slot = slots->find(slots, &ike->public);

	played_ike_destroy(ike);
	return slot ? slot->number : 0;
}

static u_int find_try(qcd_slots_t *slots, char *name, uint32_t unique_id)
{
	played_ike_t *ike = create(unique_id, name, "x", "198.51.100.9");
	qcd_slot_t *slot = slots->find_try(slots, &ike->public);

	played_ike_destroy(ike);
	return slot ? slot->number : 0;
}

/**
 * Write down the numbers of a connection's slots
 */
static char *of(qcd_slots_t *slots, char *name)
{
	static char text[64];
	qcd_slot_t *slot;
	size_t len = 0;

	text[0] = '\0';
	for (slot = slots->get_first(slots, name); slot; slot = slot->next)
	{
		len += snprintf(text + len, sizeof(text) - len, "%s%u", len ? " " : "",
						(u_int)slot->number);
	}
	return text;
}

static void test_find(void **state)
{
	static const struct {
		char *name, *id, *address;
		u_int found;
	} table[] = {
		{ "gw", "a", "198.51.100.1", 1 },
		{ "gw", "b", "198.51.100.1", 2 },
		{ "gw", "a", "198.51.100.2", 3 },
		{ "gw2", "a", "198.51.100.1", 4 },
		{ "gw", "b", "198.51.100.2", 0 },
		{ "gw", "c", "198.51.100.1", 0 },
		{ "gw2", "b", "198.51.100.1", 0 },
		{ "gw3", "a", "198.51.100.1", 0 },
	};
	static const struct {
		char *name;
		uint32_t unique_id;
		u_int found;
	} tries[] = {
		{ "gw", 11, 1 }, { "gw", 12, 2 }, { "gw", 13, 3 }, { "gw", 14, 0 },
		{ "gw2", 14, 4 }, { "gw2", 11, 0 }, { "gw3", 11, 0 },
	};
	qcd_slots_t *slots = qcd_slots_create();
	enumerator_t *enumerator;
	qcd_slot_t *slot;
	u_int destroyed = 0, count = 0;
	char row[64];
	int i;

	CHECK("empty", !slots->get(slots, 1));
	for (i = 0; i < 4; i++)
	{
		CHECK_INT("empty", find(slots, table[i].name, table[i].id,
								table[i].address), 0);
		slot = add(slots, table[i].name, table[i].id, table[i].address, 11 + i,
				   &destroyed);
		CHECK_INT("added", slot->number, i + 1);
		CHECK_STR("added", slot->name, table[i].name);
		CHECK("added", slot->due == UINT64_MAX && !slot->running);
		CHECK("added", slots->get(slots, slot->number) == slot);
	}
	for (i = 0; i < countof(table); i++)
	{
		snprintf(row, sizeof(row), "%s %s %s", table[i].name, table[i].id,
				 table[i].address);
		CHECK_INT(row, find(slots, table[i].name, table[i].id,
							table[i].address), table[i].found);
	}
	for (i = 0; i < countof(tries); i++)
	{
		snprintf(row, sizeof(row), "%s %u", tries[i].name, tries[i].unique_id);
		CHECK_INT(row, find_try(slots, tries[i].name, tries[i].unique_id),
				  tries[i].found);
	}
	CHECK("number", !slots->get(slots, 5));
	CHECK_STR("gw", of(slots, "gw"), "3 2 1");
	CHECK_STR("gw2", of(slots, "gw2"), "4");
	CHECK_STR("gw3", of(slots, "gw3"), "");
	enumerator = slots->create_enumerator(slots);
	while (enumerator->enumerate(enumerator, NULL, &slot))
	{
		CHECK_INT("all", slot->number, ++count);
	}
	enumerator->destroy(enumerator);
	CHECK_INT("all", count, 4);
	slots->destroy(slots);
	CHECK_INT("destroyed", destroyed, 4);
}

/**
 * Slots go in any order, and those that are left are still found
 */
static void test_remove(void **state)
{
	static const struct {
		char *row;
		u_int order[4];
		char *left[4];
	} table[] = {
		{ "the first added first", { 1, 2, 3, 4 },
		  { "4 3 2", "4 3", "4", "" } },
		{ "the last added first", { 4, 3, 2, 1 },
		  { "3 2 1", "2 1", "1", "" } },
		{ "from the middle", { 2, 3, 1, 4 }, { "4 3 1", "4 1", "4", "" } },
	};
	qcd_slots_t *slots;
	qcd_slot_t *slot;
	u_int destroyed;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		slots = qcd_slots_create();
		destroyed = 0;
		for (j = 0; j < 4; j++)
		{
			add(slots, "gw", j % 2 ? "a" : "b", "198.51.100.1", j, &destroyed);
		}
		for (j = 0; j < 4; j++)
		{
			slot = slots->get(slots, table[i].order[j]);
			CHECK(table[i].row, slot != NULL);
			slots->remove(slots, slot);
			qcd_slot_destroy(slot);
			CHECK_INT(table[i].row, destroyed, j + 1);
			CHECK(table[i].row, !slots->get(slots, table[i].order[j]));
			CHECK_STR(table[i].row, of(slots, "gw"), table[i].left[j]);
		}
		slot = add(slots, "gw", "a", "198.51.100.1", 0, &destroyed);
		/* jobs of an old one must not find it */
		CHECK_INT(table[i].row, slot->number, 5);
		slots->destroy(slots);
	}
}

static void test_count_same(void **state)
{
	qcd_slots_t *slots = qcd_slots_create();
	u_int destroyed = 0;
	qcd_slot_t *one, *two, *three;

	one = add(slots, "gw", "a", "198.51.100.1", 0, &destroyed);
	CHECK_INT("one", slots->count_same(slots, one), 1);
	two = add(slots, "gw2", "a", "198.51.100.2", 0, &destroyed);
	three = add(slots, "gw", "b", "198.51.100.1", 0, &destroyed);
	CHECK_INT("one", slots->count_same(slots, one), 2);
	CHECK_INT("two", slots->count_same(slots, two), 2);
	CHECK_INT("three", slots->count_same(slots, three), 1);
	slots->remove(slots, one);
	qcd_slot_destroy(one);
	CHECK_INT("one is gone", slots->count_same(slots, two), 1);
	slots->remove(slots, three);
	qcd_slot_destroy(three);
	slots->destroy(slots);
}

/**
 * Whether an IKE_SA ends because somebody wants it to
 */
static void test_is_closing(void **state)
{
	static const struct {
		char *row;
		/* IKE_SA 11 is the recovery's try */
		uint32_t unique_id;
		char *id;
		ike_sa_state_t from, to;
		u_int conditions;
		bool failing, running, closing;
	} table[] = {
		{ "deleted", 1, "a", IKE_ESTABLISHED, IKE_DELETING, 0, FALSE, FALSE,
		  TRUE },
		{ "deleted by our step", 1, "a", IKE_ESTABLISHED, IKE_DELETING, 0,
		  FALSE, TRUE, FALSE },
		{ "of another peer", 1, "b", IKE_ESTABLISHED, IKE_DELETING, 0, FALSE,
		  FALSE, FALSE },
		{ "replaced", 1, "a", IKE_REKEYED, IKE_DELETING, 0, FALSE, FALSE,
		  FALSE },
		{ "reauthenticated", 1, "a", IKE_ESTABLISHED, IKE_DELETING,
		  COND_REAUTHENTICATING, FALSE, FALSE, FALSE },
		{ "try is ended", 11, "b", IKE_CONNECTING, IKE_DESTROYING, 0, FALSE,
		  FALSE, TRUE },
		{ "try is ended by our step", 11, "b", IKE_CONNECTING, IKE_DESTROYING,
		  0, FALSE, TRUE, FALSE },
		{ "try fails", 11, "b", IKE_CONNECTING, IKE_DESTROYING, 0, TRUE, FALSE,
		  FALSE },
		{ "no try", 12, "b", IKE_CONNECTING, IKE_DESTROYING, 0, FALSE, FALSE,
		  FALSE },
		{ "destroyed when it is up", 11, "b", IKE_ESTABLISHED, IKE_DESTROYING,
		  0, FALSE, FALSE, FALSE },
		{ "another state", 11, "a", IKE_CONNECTING, IKE_ESTABLISHED, 0, FALSE,
		  FALSE, FALSE },
	};
	qcd_slots_t *slots = qcd_slots_create();
	u_int destroyed = 0;
	played_ike_t *ike;
	qcd_slot_t *slot;
	int i;

	slot = add(slots, "gw", "a", "198.51.100.1", 11, &destroyed);
	for (i = 0; i < countof(table); i++)
	{
		ike = create(table[i].unique_id, "gw", table[i].id, "198.51.100.1");
		ike->state = table[i].from;
		ike->conditions = table[i].conditions;
		slot->running = table[i].running;
		slot->thread = thread_current_id();
		CHECK_INT(table[i].row, qcd_slot_is_closing(slot, &ike->public,
							table[i].to, table[i].failing), table[i].closing);
		if (table[i].running)
		{	/* a step of another thread has nothing to do with it */
			slot->thread++;
			CHECK(table[i].row, qcd_slot_is_closing(slot, &ike->public,
											table[i].to, table[i].failing));
		}
		CHECK_INT(table[i].row, qcd_slot_is_about(slot, &ike->public),
				  streq(table[i].id, "a") || table[i].unique_id == 11);
		played_ike_destroy(ike);
	}
	slots->destroy(slots);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_find),
		BOX_TEST(test_remove),
		BOX_TEST(test_count_same),
		BOX_TEST(test_is_closing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

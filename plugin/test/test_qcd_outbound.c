/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_outbound.h"

#include "box.h"
#include "played.h"

/**
 * IKE_SAs, whose first octet tells which they are
 */
static played_ike_t *create_ike(uint8_t first)
{
	qcd_ike_sa sa;

	played_spis(&sa, QCD_INITIATOR, first);
	return played_ike_create(first, &sa);
}

static void change(qcd_outbound_t *outbound, played_ike_t *ike,
				   played_child_t *child, child_sa_state_t state)
{
	outbound->listener.child_state_change(&outbound->listener,
								ike ? &ike->public : NULL, &child->public, state);
}

/**
 * Write down which IKE_SAs send to an SPI, "" if none does
 */
static char *find(qcd_outbound_t *outbound, uint32_t spi)
{
	static char text[128];
	qcd_spis spis[QCD_OUTBOUND_MAX];
	qcd_child_spi child_spi = {};
	u_int i, count;
	size_t len = 0;

	htoun32(child_spi.octets, spi);
	count = outbound->find(outbound, &child_spi, spis);
	text[0] = '\0';
	for (i = 0; i < count; i++)
	{
		len += snprintf(text + len, sizeof(text) - len, "%s%u", i ? " " : "",
						spis[i].initiator.octets[0]);
	}
	return text;
}

static void test_states(void **state)
{
	static const struct {
		char *row;
		child_sa_state_t state;
		bool no_ike;
		char *found;
	} table[] = {
		{ "created", CHILD_CREATED, FALSE, "" },
		{ "installed, no IKE_SA", CHILD_INSTALLED, TRUE, "" },
		{ "installed", CHILD_INSTALLED, FALSE, "1" },
		{ "installed again", CHILD_INSTALLED, FALSE, "1" },
		{ "rekeyed", CHILD_REKEYED, FALSE, "1" },
		{ "deleted", CHILD_DELETED, FALSE, "1" },
		{ "destroyed", CHILD_DESTROYING, FALSE, "" },
		{ "destroyed again", CHILD_DESTROYING, TRUE, "" },
	};
	qcd_outbound_t *outbound = qcd_outbound_create();
	played_child_t *child = played_child_create(1, 100);
	played_ike_t *ike = create_ike(1);
	int i;

	for (i = 0; i < countof(table); i++)
	{
		change(outbound, table[i].no_ike ? NULL : ike, child, table[i].state);
		CHECK_STR(table[i].row, find(outbound, 101), table[i].found);
		CHECK_STR(table[i].row, find(outbound, 100), "");
	}
	outbound->destroy(outbound);
	played_child_destroy(child);
	played_ike_destroy(ike);
}

static void test_ignored(void **state)
{
	qcd_outbound_t *outbound = qcd_outbound_create();
	played_child_t *child = played_child_create(1, 100);
	played_ike_t *ike = create_ike(1);

	ike->version = IKEV1;
	change(outbound, ike, child, CHILD_INSTALLED);
	CHECK_STR("IKEv1", find(outbound, 101), "");
	ike->version = IKEV2;
	child->spi_out = 0;
	change(outbound, ike, child, CHILD_INSTALLED);
	CHECK_STR("no SPI", find(outbound, 0), "");
	outbound->destroy(outbound);
	played_child_destroy(child);
	played_ike_destroy(ike);
}

/**
 * Several peers may have chosen the same SPI: so many are found
 */
static void test_same_spi(void **state)
{
	static const struct {
		/* number of the CHILD_SA that is destroyed */
		int gone;
		char *found;
	} table[] = {
		{ 0, "9 8 7 6 5 4 3 2" },
		{ 9, "8 7 6 5 4 3 2 1" },
		{ 5, "8 7 6 4 3 2 1" },
		{ 1, "8 7 6 4 3 2" },
		{ 8, "7 6 4 3 2" },
	};
	qcd_outbound_t *outbound = qcd_outbound_create();
	played_child_t *children[10];
	played_ike_t *ikes[10];
	char row[16];
	int i;

	for (i = 1; i <= 9; i++)
	{
		ikes[i] = create_ike(i);
		children[i] = played_child_create(i, 100);
		change(outbound, ikes[i], children[i], CHILD_INSTALLED);
	}
	for (i = 0; i < countof(table); i++)
	{
		snprintf(row, sizeof(row), "%d is gone", table[i].gone);
		if (table[i].gone)
		{
			change(outbound, NULL, children[table[i].gone], CHILD_DESTROYING);
		}
		CHECK_STR(row, find(outbound, 101), table[i].found);
	}
	outbound->destroy(outbound);
	for (i = 1; i <= 9; i++)
	{
		played_child_destroy(children[i]);
		played_ike_destroy(ikes[i]);
	}
}

/**
 * CHILD_SAs that another IKE_SA takes over
 */
static void test_moved(void **state)
{
	static const struct {
		char *row;
		enum { REKEY, MIGRATING, MIGRATED } event;
		char *found;
	} table[] = {
		{ "begin to move", MIGRATING, "1" },
		{ "have moved", MIGRATED, "2" },
		{ "rekeyed", REKEY, "2" },
	};
	qcd_outbound_t *outbound;
	played_child_t *one = played_child_create(1, 100);
	played_child_t *other = played_child_create(2, 200);
	played_ike_t *old = create_ike(1), *new = create_ike(2);
	listener_t *listener;
	int i;

	new->children->insert_last(new->children, one);
	new->children->insert_last(new->children, other);
	for (i = 0; i < countof(table); i++)
	{
		outbound = qcd_outbound_create();
		listener = &outbound->listener;
		change(outbound, old, one, CHILD_INSTALLED);
		change(outbound, old, other, CHILD_INSTALLED);
		switch (table[i].event)
		{
			case REKEY:
				listener->ike_rekey(listener, &old->public, &new->public);
				break;
			case MIGRATING:
				listener->children_migrate(listener, &old->public, new->id, 2);
				break;
			case MIGRATED:
				listener->children_migrate(listener, &new->public, NULL, 0);
				break;
		}
		CHECK_STR(table[i].row, find(outbound, 101), table[i].found);
		CHECK_STR(table[i].row, find(outbound, 201), table[i].found);
		outbound->destroy(outbound);
	}
	played_child_destroy(one);
	played_child_destroy(other);
	played_ike_destroy(old);
	played_ike_destroy(new);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_states),
		BOX_TEST(test_ignored),
		BOX_TEST(test_same_spi),
		BOX_TEST(test_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

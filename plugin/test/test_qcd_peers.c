/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_peers.h"

#include "box.h"
#include "played.h"

/**
 * Let an IKE_SA with its number in its SPIs be up, and then forget it
 */
static played_ike_t *create(uint8_t number, char *name, char *id)
{
	played_ike_t *ike;
	qcd_ike_sa sa;

	played_spis(&sa, QCD_INITIATOR, number);
	ike = played_ike_create(number, &sa);
	ike->name = name;
	played_ike_identify(ike, id);
	return ike;
}

static void come(qcd_peers_t *peers, uint8_t number, char *name, char *id)
{
	played_ike_t *ike = create(number, name, id);

	peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
	played_ike_destroy(ike);
}

/**
 * Let an IKE_SA enter a state
 */
static void enter(qcd_peers_t *peers, uint8_t number, char *name, char *id,
				  ike_sa_state_t state, u_int conditions)
{
	played_ike_t *ike = create(number, name, id);

	ike->conditions = conditions;
	peers->listener.ike_state_change(&peers->listener, &ike->public, state);
	played_ike_destroy(ike);
}

static bool pick_odd(void *data, uint32_t unique_id)
{
	return unique_id % 2;
}

/**
 * Write down the unique IDs that are found
 */
static char *find(qcd_peers_t *peers, char *name, char *id,
				  qcd_peers_pick_t pick)
{
	static char text[128];
	identification_t *identity = identification_create_from_string(id);
	linked_list_t *found;
	qcd_sa_t *sa;
	size_t len = 0;

	found = peers->find(peers, name, identity, pick, NULL);
	text[0] = '\0';
	while (found->remove_first(found, (void**)&sa) == SUCCESS)
	{
		/* the SPIs are those of that IKE_SA */
		assert_int_equal(sa->ike.spis.initiator.octets[0], sa->unique_id);
		len += snprintf(text + len, sizeof(text) - len, "%s%u", len ? " " : "",
						sa->unique_id);
		free(sa);
	}
	found->destroy(found);
	identity->destroy(identity);
	return text;
}

static void test_find(void **state)
{
	static const struct {
		char *name, *id;
		qcd_peers_pick_t pick;
		char *found;
	} table[] = {
		{ "gw", "a", NULL, "1 3 5" },
		{ "gw", "b", NULL, "2" },
		{ "gw", "c", NULL, "" },
		{ "gw2", "a", NULL, "4" },
		{ "gw3", "a", NULL, "" },
		{ "gw", "b", pick_odd, "1 2 3 5" },
		{ "gw", "c", pick_odd, "1 3 5" },
		{ "gw2", "c", pick_odd, "" },
		{ "gw3", "c", pick_odd, "" },
	};
	qcd_peers_t *peers = qcd_peers_create();
	int i;

	CHECK_STR("empty", find(peers, "gw", "a", pick_odd), "");
	come(peers, 1, "gw", "a");
	come(peers, 2, "gw", "b");
	come(peers, 3, "gw", "a");
	come(peers, 4, "gw2", "a");
	come(peers, 5, "gw", "a");
	for (i = 0; i < countof(table); i++)
	{
		CHECK_STR(table[i].name, find(peers, table[i].name, table[i].id,
									  table[i].pick), table[i].found);
	}
	peers->destroy(peers);
}

/**
 * When an IKE_SA comes and when it goes
 */
static void test_states(void **state)
{
	static const struct {
		char *row;
		ike_sa_state_t state;
		u_int conditions;
		bool before, after;
	} table[] = {
		{ "connecting", IKE_CONNECTING, 0, FALSE, FALSE },
		{ "connecting, known", IKE_CONNECTING, 0, TRUE, TRUE },
		{ "established", IKE_ESTABLISHED, 0, FALSE, TRUE },
		{ "established again", IKE_ESTABLISHED, 0, TRUE, TRUE },
		{ "rekeying", IKE_REKEYING, 0, TRUE, TRUE },
		{ "rekeyed", IKE_REKEYED, 0, TRUE, FALSE },
		{ "deleting", IKE_DELETING, 0, TRUE, FALSE },
		{ "deleting to reauthenticate", IKE_DELETING, COND_REAUTHENTICATING,
		  TRUE, TRUE },
		{ "destroying", IKE_DESTROYING, 0, TRUE, FALSE },
		{ "destroying to reauthenticate", IKE_DESTROYING,
		  COND_REAUTHENTICATING, TRUE, FALSE },
		{ "destroying, not known", IKE_DESTROYING, 0, FALSE, FALSE },
	};
	qcd_peers_t *peers;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		peers = qcd_peers_create();
		come(peers, 1, "gw", "a");
		come(peers, 3, "gw", "a");
		if (table[i].before)
		{
			come(peers, 2, "gw", "a");
		}
		enter(peers, 2, "gw", "a", table[i].state, table[i].conditions);
		CHECK_STR(table[i].row, find(peers, "gw", "a", NULL),
				  !table[i].after ? "1 3" : "1 3 2");
		peers->destroy(peers);
	}
}

/**
 * Those at both ends of a list, and the only one, can go
 */
static void test_remove(void **state)
{
	static const struct {
		uint8_t gone;
		char *found;
	} table[] = {
		{ 4, "1 2 3" }, { 2, "1 3" }, { 1, "3" }, { 1, "3" }, { 3, "" },
		{ 3, "" },
	};
	qcd_peers_t *peers = qcd_peers_create();
	char row[8];
	int i;

	for (i = 1; i <= 4; i++)
	{
		come(peers, i, "gw", "a");
	}
	for (i = 0; i < countof(table); i++)
	{
		snprintf(row, sizeof(row), "%u", table[i].gone);
		/* by its unique ID, whatever its name is now */
		enter(peers, table[i].gone, "other", "b", IKE_DESTROYING, 0);
		CHECK_STR(row, find(peers, "gw", "a", NULL), table[i].found);
	}
	come(peers, 5, "gw", "a");
	CHECK_STR("again", find(peers, "gw", "a", NULL), "5");
	peers->destroy(peers);
}

/**
 * A responder knows the connection and the identity only later on
 */
static void test_renamed(void **state)
{
	qcd_peers_t *peers = qcd_peers_create();
	played_ike_t *ike;
	qcd_ike_sa sa;

	enter(peers, 1, "", "%any", IKE_ESTABLISHED, 0);
	CHECK_STR("no name", find(peers, "gw", "a", NULL), "");
	come(peers, 1, "gw", "a");
	CHECK_STR("named", find(peers, "gw", "a", NULL), "1");
	CHECK_STR("named", find(peers, "", "%any", pick_odd), "");

	ike = create(2, "gw", "a");
	peers->listener.ike_updown(&peers->listener, &ike->public, FALSE);
	CHECK_STR("down", find(peers, "gw", "a", NULL), "1");
	peers->listener.ike_rekey(&peers->listener, NULL, &ike->public);
	CHECK_STR("rekeyed", find(peers, "gw", "a", NULL), "1 2");
	played_ike_destroy(ike);

	ike = create(3, "gw", "a");
	ike->version = IKEV1;
	peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
	CHECK_STR("IKEv1", find(peers, "gw", "a", NULL), "1 2");
	ike->version = IKEV2;
	played_spis(&sa, QCD_INITIATOR, 3);
	memset(&sa.spis.responder, 0, QCD_SPI_LEN);
	played_ike_rename(ike, &sa);
	peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
	CHECK_STR("one SPI", find(peers, "gw", "a", NULL), "1 2");
	played_ike_destroy(ike);
	peers->destroy(peers);
}

/**
 * IKE_SAs with a peer are counted, whatever happens to each
 */
static void test_several(void **state)
{
	static const struct {
		char *row;
		uint8_t number;
		char *name, *id;
		ike_sa_state_t state;
		/** the unique IDs of those whose peer has several */
		char *several;
	} table[] = {
		{ "one", 1, "gw", "a", IKE_ESTABLISHED, "" },
		{ "the same", 1, "gw", "a", IKE_ESTABLISHED, "" },
		{ "another peer", 2, "gw", "b", IKE_ESTABLISHED, "" },
		{ "second", 3, "gw", "a", IKE_ESTABLISHED, "13" },
		{ "other connection", 4, "gw2", "b", IKE_ESTABLISHED, "1234" },
		{ "another identity", 3, "gw", "b", IKE_ESTABLISHED, "234" },
		{ "one is gone", 3, "gw", "b", IKE_DESTROYING, "24" },
		{ "gone again", 3, "gw", "b", IKE_DESTROYING, "24" },
		{ "another is gone", 2, "gw", "b", IKE_REKEYED, "" },
		{ "all are gone", 4, "gw2", "b", IKE_DESTROYING, "" },
	};
	char several[8];
	uint8_t id;
	size_t len;
	qcd_peers_t *peers = qcd_peers_create();
	int i;

	for (i = 0; i < countof(table); i++)
	{
		enter(peers, table[i].number, table[i].name, table[i].id,
			  table[i].state, 0);
		for (id = 1, len = 0; id <= 4; id++)
		{
			if (peers->has_several(peers, id))
			{
				several[len++] = '0' + id;
			}
		}
		several[len] = '\0';
		CHECK_STR(table[i].row, several, table[i].several);
	}
	peers->destroy(peers);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_find),
		BOX_TEST(test_states),
		BOX_TEST(test_remove),
		BOX_TEST(test_renamed),
		BOX_TEST(test_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

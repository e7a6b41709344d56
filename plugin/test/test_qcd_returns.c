/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_returns.h"

#include "box.h"
#include "played.h"

static bool held;

METHOD(qcd_tokens_t, holds, bool,
	qcd_tokens_t *this, qcd_sa_t *sa)
{
	return held;
}

static qcd_tokens_t tokens;
static linked_list_t *sas;
static qcd_pending_t *pending;
static qcd_peers_t *peers;
static qcd_returns_t *returns;

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	held = TRUE;
	tokens.holds = _holds;
	sas = linked_list_create();
	played_manager(sas, NULL);
	pending = qcd_pending_create();
	peers = qcd_peers_create();
	returns = qcd_returns_create(NULL, pending, peers, &tokens, NULL);
	return 0;
}

static int end(void **state)
{
	returns->destroy(returns);
	peers->destroy(peers);
	pending->destroy(pending);
	sas->destroy(sas);
	return box_close(state);
}

/**
 * An IKE_SA on the connection "gw" with its number in its SPIs
 */
static played_ike_t *create(uint8_t number, enum qcd_role role, char *id)
{
	played_ike_t *ike;
	qcd_ike_sa sa;

	played_spis(&sa, role, number);
	ike = played_ike_create(number, &sa);
	ike->name = "gw";
	played_ike_identify(ike, id);
	return ike;
}

/**
 * Let an IKE_SA enter a state, or be up, and forget it
 */
static void enter(uint8_t number, enum qcd_role role, char *id,
				  ike_sa_state_t state)
{
	played_ike_t *ike = create(number, role, id);

	pending->listener.ike_state_change(&pending->listener, &ike->public, state);
	peers->listener.ike_state_change(&peers->listener, &ike->public, state);
	played_ike_destroy(ike);
}

static void come(uint8_t number, enum qcd_role role, char *id, bool up)
{
	played_ike_t *ike = create(number, role, id);

	peers->listener.ike_updown(&peers->listener, &ike->public, up);
	returns->listener.ike_updown(&returns->listener, &ike->public, up);
	played_ike_destroy(ike);
}

/**
 * A job is only queued if the peer has older IKE_SAs, or if we initiate one
 */
static void test_job(void **state)
{
	static const struct {
		char *row;
		/** peer of an older IKE_SA, and of one that we initiate */
		char *older, *ours;
		enum qcd_role role;
		bool up, held;
		u_int jobs;
	} table[] = {
		{ "nothing else", NULL, NULL, QCD_RESPONDER, TRUE, TRUE, 0 },
		{ "an older one", "a", NULL, QCD_RESPONDER, TRUE, TRUE, 1 },
		{ "another peer's", "b", NULL, QCD_RESPONDER, TRUE, TRUE, 0 },
		{ "one of ours", NULL, "a", QCD_RESPONDER, TRUE, TRUE, 1 },
		/* its identity may not be known yet */
		{ "ours with another", NULL, "b", QCD_RESPONDER, TRUE, TRUE, 1 },
		{ "both", "a", "a", QCD_RESPONDER, TRUE, TRUE, 1 },
		{ "we initiated it", "a", "a", QCD_INITIATOR, TRUE, TRUE, 0 },
		{ "down", "a", "a", QCD_RESPONDER, FALSE, TRUE, 0 },
		{ "no token", "a", "a", QCD_RESPONDER, TRUE, FALSE, 0 },
	};
	int i;

	for (i = 0; i < countof(table); i++)
	{
		held = table[i].held;
		if (table[i].older)
		{
			enter(1, QCD_RESPONDER, table[i].older, IKE_ESTABLISHED);
		}
		if (table[i].ours)
		{
			enter(2, QCD_INITIATOR, table[i].ours, IKE_CONNECTING);
		}
		enter(3, table[i].role, "a", IKE_ESTABLISHED);
		come(3, table[i].role, "a", table[i].up);
		CHECK_INT(table[i].row, box_count_jobs(), table[i].jobs);
		/* they find no IKE_SA */
		box_run_jobs();
		enter(1, QCD_RESPONDER, "a", IKE_DESTROYING);
		enter(2, QCD_INITIATOR, "a", IKE_DESTROYING);
		enter(3, table[i].role, "a", IKE_DESTROYING);
	}
}

/**
 * What becomes of IKE_SAs that we initiate: whether any is pending; which IKE_SA
 * is the youngest
 */
static void test_pending(void **state)
{
	static const struct {
		char *row;
		uint8_t number;
		enum qcd_role role;
		ike_sa_state_t state;
		bool any;
		/* of those that began */
		uint32_t youngest;
	} table[] = {
		{ "first", 1, QCD_INITIATOR, IKE_CONNECTING, TRUE, 1 },
		{ "first, again", 1, QCD_INITIATOR, IKE_CONNECTING, TRUE, 1 },
		{ "first is up", 1, QCD_INITIATOR, IKE_ESTABLISHED, FALSE, 1 },
		{ "first is rekeying", 1, QCD_INITIATOR, IKE_REKEYING, FALSE, 1 },
		{ "first is up again", 1, QCD_INITIATOR, IKE_ESTABLISHED, FALSE, 1 },
		{ "peer's", 2, QCD_RESPONDER, IKE_CONNECTING, FALSE, 2 },
		{ "second", 3, QCD_INITIATOR, IKE_CONNECTING, TRUE, 3 },
		{ "peer's is up", 2, QCD_RESPONDER, IKE_ESTABLISHED, TRUE, 3 },
		{ "first is gone", 1, QCD_INITIATOR, IKE_DESTROYING, TRUE, 3 },
		{ "first is gone, again", 1, QCD_INITIATOR, IKE_DESTROYING, TRUE, 3 },
		{ "third", 4, QCD_INITIATOR, IKE_CONNECTING, TRUE, 4 },
		{ "second is reset", 3, QCD_INITIATOR, IKE_CREATED, TRUE, 4 },
		{ "third is gone", 4, QCD_INITIATOR, IKE_DESTROYING, TRUE, 4 },
		{ "second, again", 3, QCD_INITIATOR, IKE_CONNECTING, TRUE, 4 },
		{ "second is up", 3, QCD_INITIATOR, IKE_ESTABLISHED, FALSE, 4 },
		{ "peer's is gone", 2, QCD_RESPONDER, IKE_DESTROYING, FALSE, 4 },
	};
	int i;

	CHECK("none", !pending->has_any(pending));
	for (i = 0; i < countof(table); i++)
	{
		enter(table[i].number, table[i].role, "a", table[i].state);
		CHECK_INT(table[i].row, pending->has_any(pending), table[i].any);
		CHECK_INT(table[i].row, pending->get_youngest(pending),
				  table[i].youngest);
	}
}

METHOD(qcd_pending_t, has_any, bool,
	qcd_pending_t *this)
{
	return FALSE;
}

/**
 * Of several IKE_SAs, the peer is asked about those at its address: the youngest
 * first, and only some
 */
static void test_asked(void **state)
{
	static const struct {
		char *row;
		/** numbers of IKE_SAs that are there in this order: at the peer's address,
		 * elsewhere, and at its address again */
		u_int older, elsewhere, younger;
		char *asked;
	} table[] = {
		{ "one", 1, 0, 0, "" },
		{ "two", 2, 0, 0, "ask 2, ask 1" },
		{ "some", 6, 0, 0, "ask 6, ask 5, ask 4, ask 3, ask 2" },
		{ "one is elsewhere", 1, 1, 1, "ask 3, ask 1" },
		{ "many are elsewhere", 1, 62, 1, "ask 64, ask 1" },
		{ "too many are elsewhere", 1, 63, 1, "ask 65" },
		{ "younger ones are elsewhere", 2, 7, 0, "ask 2, ask 1" },
	};
	played_pending_t played;
	qcd_returns_t *asking;
	played_ike_t *ike;
	u_int i, n, count;

	for (i = 0; i < countof(table); i++)
	{
		played_pending_init(&played);
		played.public.has_any = _has_any;
		asking = qcd_returns_create(NULL, &played.public, peers, &tokens, NULL);
		count = table[i].older + table[i].elsewhere + table[i].younger;
		for (n = 1; n <= count; n++)
		{
			ike = create(n, QCD_RESPONDER, "a");
			if (n > table[i].older && n <= table[i].older + table[i].elsewhere)
			{
				played_ike_move(ike, FALSE, "203.0.113.3");
			}
			sas->insert_last(sas, ike);
			peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
		}
		/* the peer has just initiated the first one */
		sas->get_first(sas, (void**)&ike);
		asking->listener.ike_updown(&asking->listener, &ike->public, TRUE);
		box_run_jobs();
		CHECK_STR(table[i].row, played.done, table[i].asked);
		while (sas->remove_first(sas, (void**)&ike) == SUCCESS)
		{
			peers->listener.ike_state_change(&peers->listener, &ike->public,
											 IKE_DESTROYING);
			played_ike_destroy(ike);
		}
		asking->destroy(asking);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_job),
		TEST(test_pending),
		TEST(test_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

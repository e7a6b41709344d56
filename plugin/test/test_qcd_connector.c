/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_connector.h"
#include "qcd_tries.h"

#include "box.h"
#include "played.h"

/**
 * What a test begins with
 */
static struct {
	qcd_events_t events;
	/** detail of the last event, and how many there were */
	char detail[160];
	u_int raised;
	played_pending_t pending;
	played_wanted_t wanted;
	peer_cfg_t *peer_cfg;
	qcd_connector_t *connector;
	/** IKE_SAs that the manager knows, and all that were begun */
	linked_list_t *sas, *all;
	u_int begun;
	/** address that the kernel sends from, NULL where there is no route */
	char *route;
} begun;

METHOD(qcd_events_t, raise_event, void,
	qcd_events_t *this, qcd_event_t event, const qcd_spis *spis, host_t *peer,
	char *name, char *detail)
{
	assert_int_equal(event, QCD_EVENT_RETRYING);
	assert_string_equal(name, "gw");
	begun.raised++;
	snprintf(begun.detail, sizeof(begun.detail), "%s", detail);
}

METHOD(kernel_interface_t, get_source_addr, host_t*,
	kernel_interface_t *this, host_t *dest, host_t *src)
{
	return begun.route ? host_create_from_string(begun.route, 0) : NULL;
}

/**
 * Begin with a connection whose peer is configured at some addresses
 */
static void begin_at(char *other)
{
	memset(&begun, 0, sizeof(begun));
	begun.events.raise = _raise_event;
	charon->kernel->get_source_addr = _get_source_addr;
	begun.route = "192.0.2.1";
	/* without random numbers, gaps are as long as they can be */
	box_no_random = TRUE;
	played_pending_init(&begun.pending);
	played_wanted_init(&begun.wanted);
	begun.peer_cfg = played_config_create("%any", other);
	begun.sas = linked_list_create();
	begun.all = linked_list_create();
	played_manager(begun.sas, NULL);
	begun.connector = qcd_connector_create(&begun.events, &begun.pending.public,
										   &begun.wanted.public);
}

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	begin_at("198.51.100.2");
	return 0;
}

static void end_all()
{
	begun.connector->destroy(begun.connector);
	begun.sas->destroy(begun.sas);
	begun.all->destroy_function(begun.all, (void*)played_ike_destroy);
	begun.peer_cfg->destroy(begun.peer_cfg);
	played_wanted_clear(&begun.wanted);
	played_pending_clear(&begun.pending);
}

static int end(void **state)
{
	end_all();
	return box_close(state);
}

/**
 * Go on, with a try that is under way or NULL. One that it begins has the next
 * number.
 *
 * @return				milliseconds until it wants to be called again
 */
static int64_t go_on(qcd_pending_sa_t *sa)
{
	played_ike_t *ike;
	qcd_ike_sa spis;
	uint64_t next;

	played_spis(&spis, QCD_INITIATOR, begun.begun + 1);
	ike = played_ike_create(begun.begun + 1, &spis);
	ike->state = IKE_CONNECTING;
	played_manager(begun.sas, ike);
	next = begun.connector->connect(begun.connector, begun.peer_cfg, sa, FALSE);
	if (ike->initiated)
	{
		begun.begun++;
		begun.all->insert_last(begun.all, ike);
	}
	else
	{
		played_ike_destroy(ike);
	}
	return next - box_now;
}

/**
 * The last try is under way
 */
static qcd_pending_sa_t *under_way(u_int round_trip)
{
	qcd_pending_sa_t *sa;

	played_pending_clear(&begun.pending);
	sa = played_pending_add(&begun.pending, begun.begun, "gw", "198.51.100.2");
	sa->claimed = TRUE;
	sa->round_trip = round_trip;
	return sa;
}

/**
 * Tries that fail: when the next one begins
 */
static void test_gaps(void **state)
{
	/* 250 ms at first, and then an eighth of the time since the begin */
	static const int gaps[] = { 250, 250, 250, 250, 250, 250, 250, 250, 250,
								281, 316 };
	char row[16], want[64];
	int i;

	for (i = 0; i < countof(gaps); i++)
	{
		snprintf(row, sizeof(row), "%d", i);
		CHECK_INT(row, go_on(NULL), QCD_REPEAT_MIN_MS);
		CHECK_INT(row, begun.begun, i + 1);
		CHECK(row, begun.connector->is_current(begun.connector, i + 1));
		CHECK(row, begun.connector->is_try(begun.connector, i + 1));
		CHECK(row, !begun.connector->is_try(begun.connector, i + 2));
		/* it is gone without an answer */
		CHECK_INT(row, go_on(NULL), gaps[i]);
		snprintf(want, sizeof(want), "try %d failed: no answer, next in %d ms",
				 i + 1, gaps[i]);
		CHECK_STR(row, begun.detail, want);
		CHECK_INT(row, begun.connector->get_due(begun.connector),
				  box_now + gaps[i]);
		CHECK(row, !begun.connector->is_current(begun.connector, i + 1));
		box_now += gaps[i] - 1;
		CHECK_INT(row, go_on(NULL), 1);
		CHECK_INT(row, begun.begun, i + 1);
		CHECK_INT(row, begun.raised, i + 1);
		box_now++;
	}
	begun.connector->reset(begun.connector);
	CHECK_INT("reset", go_on(NULL), QCD_REPEAT_MIN_MS);
	CHECK_INT("reset", go_on(NULL), 250);
	CHECK_STR("reset", begun.detail, "try 1 failed: no answer, next in 250 ms");
}

/**
 * Why a try fails: the first reason that is noted counts
 */
static void test_reasons(void **state)
{
	static const struct {
		char *row, *noted, *then;
		enum { NOTHING, FAIL, REFUSE } end;
		char *detail;
	} table[] = {
		{ "none", NULL, NULL, NOTHING, "try 1 failed: no answer, next in " },
		{ "noted", "AUTH_FAILED", NULL, NOTHING,
		  "try 1 failed: AUTH_FAILED, next in " },
		{ "noted twice", "AUTH_FAILED", "closed", NOTHING,
		  "try 1 failed: AUTH_FAILED, next in " },
		{ "fails", "AUTH_FAILED", NULL, FAIL,
		  "try 1 failed: other reason, next in " },
		{ "refused", NULL, NULL, REFUSE,
		  "try 1 failed: other reason, next in " },
		{ "refused, noted", "TS_UNACCEPTABLE", NULL, REFUSE,
		  "try 1 failed: TS_UNACCEPTABLE, next in " },
		{ "long", "0123456789012345678901234567890123456789012345678901234567890"
		  "123456789", NULL, NOTHING, "try 1 failed: 0123456789012345678901234567"
		  "89012345678901234567890123456789012, next in " },
	};
	qcd_connector_t *connector;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		end_all();
		begin_at("198.51.100.2");
		connector = begun.connector;
		go_on(NULL);
		if (table[i].noted)
		{
			connector->note_failure(connector, QCD_FAILURE_REFUSED,
									table[i].noted);
		}
		if (table[i].then)
		{
			connector->note_failure(connector, QCD_FAILURE_REFUSED,
									table[i].then);
		}
		switch (table[i].end)
		{
			case NOTHING:
				go_on(NULL);
				break;
			case FAIL:
				connector->fail(connector, QCD_FAILURE_SILENT, "other reason");
				break;
			case REFUSE:
				connector->refuse(connector, "other reason");
				break;
		}
		CHECK_INT(table[i].row, begun.raised, 1);
		CHECK(table[i].row, strpfx(begun.detail, table[i].detail));
	}
}

static void test_waiting(void **state)
{
	qcd_connector_t *connector = begun.connector;
	int i;

	for (i = 0; i < 3; i++)
	{
		played_pending_add(&begun.pending, 100 + i, "gw2", "198.51.100.2");
	}
	CHECK_INT("three of others", go_on(NULL), 1000);
	CHECK("three of others", connector->is_waiting(connector));
	CHECK_INT("three of others", begun.begun, 0);
	CHECK_INT("that is no failure", begun.raised, 0);
	played_pending_clear(&begun.pending);
	CHECK_INT("none", go_on(NULL), QCD_REPEAT_MIN_MS);
	CHECK("none", !connector->is_waiting(connector));
}

static void test_no_route(void **state)
{
	begun.route = NULL;
	CHECK_INT("no route", go_on(NULL), 250);
	CHECK_STR("no route", begun.detail,
			  "try 1 failed: no route to the peer, next in 250 ms");
	CHECK_INT("no route", begun.begun, 0);
	box_now += 100;
	CHECK_INT("still none", go_on(NULL), 150);
	begun.route = "192.0.2.8";
	CHECK_INT("at once where there is one", go_on(NULL), QCD_REPEAT_MIN_MS);
	CHECK_INT("at once where there is one", begun.begun, 1);
	CHECK_INT("at once where there is one", begun.raised, 1);
}

/**
 * Requests that go to where the peer is not, or from where we are not
 */
static void test_astray(void **state)
{
	static const struct {
		char *row, *configured, *route;
		u_int age, round_trip;
		/* what is tried then */
		u_int begun;
	} table[] = {
		{ "as it should be", "198.51.100.2", "192.0.2.1", 0, 0, 1 },
		{ "our address is another one", "198.51.100.2", "192.0.2.8", 0, 0, 2 },
		{ "no route any more", "198.51.100.2", NULL, 0, 0, 1 },
		{ "ours is another one, but answered", "198.51.100.2", "192.0.2.8", 0,
		  5, 1 },
		{ "the peer is configured elsewhere", "198.51.100.3", "192.0.2.1", 0, 0,
		  2 },
		{ "elsewhere, too: not its turn yet", "198.51.100.3,%any", "192.0.2.1",
		  999, 0, 1 },
	};
	qcd_pending_sa_t *sa;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		end_all();
		begin_at("198.51.100.2");
		go_on(NULL);
		begun.peer_cfg->destroy(begun.peer_cfg);
		begun.peer_cfg = played_config_create("%any", table[i].configured);
		begun.route = table[i].route;
		sa = under_way(table[i].round_trip);
		sa->since -= table[i].age;
		go_on(sa);
		CHECK_INT(table[i].row, begun.begun, table[i].begun);
		CHECK_INT(table[i].row, begun.raised, 0);
	}
}

/**
 * Several addresses are tried by turns, a second each
 */
static void test_turns(void **state)
{
	qcd_pending_sa_t *sa;

	end_all();
	begin_at("gw.example");
	begun.connector->set_resolved(begun.connector,
							host_create_from_string("198.51.100.7", 0));
	CHECK_INT("where it was", go_on(NULL), QCD_REPEAT_MIN_MS);
	sa = under_way(0);
	box_now += 999;
	go_on(sa);
	CHECK_INT("not its turn", begun.begun, 1);
	box_now++;
	CHECK_INT("its turn", go_on(sa), QCD_REPEAT_MIN_MS);
	CHECK_INT("its turn", begun.begun, 2);
	CHECK_INT("no failure", begun.raised, 0);
}

/**
 * Another try begins beside one whose peer has answered and is silent since
 */
static void test_beside(void **state)
{
	static const struct {
		char *row;
		u_int round_trip;
		/* milliseconds of each patience in turn */
		u_int patience[6];
	} table[] = {
		{ "near", 5, { 4000, 8000, 16000, 32000, 64000, 64000 } },
		{ "still near", 500, { 4000, 8000, 16000, 32000, 64000, 64000 } },
		{ "far", 501, { 4008, 8016, 16032, 32064, 64128, 64128 } },
	};
	qcd_pending_sa_t *sa;
	u_int before;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		end_all();
		begin_at("198.51.100.2");
		go_on(NULL);
		for (j = 0; j < 6; j++)
		{
			before = begun.begun;
			sa = under_way(table[i].round_trip);
			box_now += table[i].patience[j] - 1;
			go_on(sa);
			CHECK_INT(table[i].row, begun.begun, before);
			CHECK_INT(table[i].row, begun.raised, j);
			box_now++;
			go_on(sa);
			CHECK_INT(table[i].row, begun.raised, j + 1);
			/* when it is due is up to the gaps */
			box_now = max(box_now, begun.connector->get_due(begun.connector));
			if (begun.begun == before)
			{
				go_on(sa);
			}
			CHECK_INT(table[i].row, begun.begun, before + 1);
		}
	}
}

/**
 * The peer does not know an IKE_SA that it has answered
 */
static void test_unknown(void **state)
{
	qcd_pending_sa_t *sa;

	go_on(NULL);
	begun.connector->note_unknown(begun.connector, 99);
	sa = under_way(5);
	go_on(sa);
	CHECK_INT("another one", begun.raised, 0);
	begun.connector->note_unknown(begun.connector, 1);
	CHECK_INT("that one", go_on(sa), 1000);
	CHECK_STR("that one", begun.detail, "try 1 failed: the peer does not know "
			  "the new IKE_SA, next in 1000 ms");
	CHECK_INT("that one", begun.begun, 1);
	box_now += 1000;
	CHECK_INT("due", go_on(sa), QCD_REPEAT_MIN_MS);
	CHECK_INT("due", begun.begun, 2);
	go_on(sa);
	CHECK_INT("once for each", begun.raised, 1);
}

static void test_settle(void **state)
{
	qcd_connector_t *connector = begun.connector;
	played_ike_t *ike;

	go_on(NULL);
	assert_int_equal(begun.sas->get_first(begun.sas, (void**)&ike), SUCCESS);
	under_way(5);
	CHECK("unanswered ones", !connector->settle(connector, FALSE, box_now));
	CHECK("unanswered ones", !ike->destroyed);
	CHECK("no try any more", !connector->is_current(connector, 1));
	CHECK("answered ones", connector->settle(connector, TRUE, box_now));
	CHECK("answered ones", ike->destroyed);
}

static void test_describe(void **state)
{
	qcd_json_t *json = qcd_json_create();
	chunk_t lines;

	go_on(NULL);
	begun.connector->note_failure(begun.connector, QCD_FAILURE_REFUSED,
								  "\"quoted\"");
	json->begin(json, NULL);
	begun.connector->describe(begun.connector, json);
	lines = json->finish(json);
	CHECK("describe", chunk_equals(lines, chunk_from_str("{\"tries\":1,"
			"\"last_failure\":\"\\u0022quoted\\u0022\",\"waiting\":false}\n")));
	chunk_free(&lines);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_gaps),
		TEST(test_reasons),
		TEST(test_waiting),
		TEST(test_no_route),
		TEST(test_astray),
		TEST(test_turns),
		TEST(test_beside),
		TEST(test_unknown),
		TEST(test_settle),
		TEST(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

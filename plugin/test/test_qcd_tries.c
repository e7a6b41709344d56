/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_tries.h"

#include "box.h"
#include "played.h"

static played_pending_t pending;
static played_wanted_t wanted;
static qcd_tries_t *tries;
static linked_list_t *sas;

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	played_pending_init(&pending);
	played_wanted_init(&wanted);
	sas = linked_list_create();
	played_manager(sas, NULL);
	tries = qcd_tries_create(&pending.public);
	return 0;
}

static int end(void **state)
{
	tries->destroy(tries);
	sas->destroy_function(sas, (void*)played_ike_destroy);
	played_wanted_clear(&wanted);
	played_pending_clear(&pending);
	return box_close(state);
}

/**
 * Play an IKE_SA with its number as unique ID, and in its SPIs
 */
static played_ike_t *create(uint32_t number)
{
	qcd_ike_sa sa;

	played_spis(&sa, QCD_INITIATOR, number);
	return played_ike_create(number, &sa);
}

/**
 * Begin a try with a unique ID
 */
static uint32_t begin_try(uint32_t number, status_t status, played_ike_t **out)
{
	played_ike_t *ike = number ? create(number) : NULL;

	if (ike)
	{
		ike->status = status;
	}
	*out = ike;
	played_manager(sas, ike);
	return tries->begin(tries, &wanted.public, NULL,
						host_create_from_string("192.0.2.9", 501),
						host_create_from_string("198.51.100.9", 502));
}

static void test_begin(void **state)
{
	played_ike_t *ike;

	CHECK_INT("begun", begin_try(1, SUCCESS, &ike), 1);
	CHECK_INT("begun", ike->initiated, 1);
	CHECK_INT("begun", wanted.queued, 1);
	CHECK_INT("begun", wanted.vips, 1);
	CHECK("begun", !ike->out && !ike->destroyed);
	CHECK_INT("from", ike->me->get_port(ike->me), 501);
	CHECK_INT("to", ike->other->get_port(ike->other), 502);
	CHECK_STR("begun", pending.done, "claim 1");
	CHECK("known", tries->has(tries, 1));
	CHECK("known", !tries->has(tries, 2));

	CHECK_INT("can't be initiated", begin_try(2, DESTROY_ME, &ike), 0);
	CHECK("can't be initiated", ike->destroyed && !ike->out);
	CHECK_STR("can't be initiated", pending.done, "claim 1");
	/* listeners were told of its end */
	CHECK("can't be initiated", tries->has(tries, 2));
	played_ike_destroy(ike);

	CHECK_INT("no IKE_SA", begin_try(0, SUCCESS, &ike), 0);
	CHECK_INT("no IKE_SA", wanted.queued, 2);

	CHECK_INT("needs more", begin_try(3, NEED_MORE, &ike), 3);
	CHECK("needs more", !ike->out && !ike->destroyed);
	CHECK_STR("needs more", pending.done, "claim 1, claim 3");
}

static void test_known(void **state)
{
	played_ike_t *ike;
	int i;

	for (i = 1; i <= 17; i++)
	{
		CHECK_INT("begun", begin_try(i, SUCCESS, &ike), i);
		CHECK("the latest", tries->has(tries, i));
		CHECK("sixteen", tries->has(tries, max(1, i - 15)));
	}
	CHECK("one more", !tries->has(tries, 1));
	CHECK("one more", tries->has(tries, 2));
}

/**
 * Which IKE_SAs are tries
 */
static void test_youngest(void **state)
{
	static const struct {
		char *row;
		struct {
			uint32_t unique_id;
			char *name, *address;
			bool claimed;
		} sas[3];
		uint32_t youngest;
	} table[] = {
		{ "none", {}, 0 },
		{ "ours", { { 5, "gw", "198.51.100.2", TRUE } }, 5 },
		{ "ours, at another address", { { 5, "gw", "198.51.100.3", TRUE } },
		  5 },
		{ "somebody's", { { 7, "gw", "198.51.100.2", FALSE } }, 7 },
		{ "somebody's, at another address", { { 7, "gw", "198.51.100.3",
		  FALSE } }, 0 },
		{ "another recovery's", { { 7, "gw", "198.51.100.2", TRUE } }, 0 },
		{ "another connection's", { { 7, "gw2", "198.51.100.2", FALSE } }, 0 },
		{ "the last is the youngest", { { 5, "gw", "198.51.100.2", TRUE },
		  { 6, "gw", "198.51.100.2", FALSE }, { 7, "gw", "198.51.100.2",
		  FALSE } }, 7 },
		{ "the first is the youngest", { { 7, "gw", "198.51.100.2", FALSE },
		  { 6, "gw", "198.51.100.2", FALSE }, { 5, "gw", "198.51.100.2",
		  TRUE } }, 7 },
	};
	qcd_pending_sa_t *sa;
	played_ike_t *ike;
	int i, j;

	CHECK_INT("ours", begin_try(5, SUCCESS, &ike), 5);
	for (i = 0; i < countof(table); i++)
	{
		for (j = 0; j < 3 && table[i].sas[j].unique_id; j++)
		{
			sa = played_pending_add(&pending, table[i].sas[j].unique_id,
							table[i].sas[j].name, table[i].sas[j].address);
			sa->claimed = table[i].sas[j].claimed;
		}
		sa = tries->get_youngest(tries, &wanted.public);
		CHECK_INT(table[i].row, sa ? sa->unique_id : 0, table[i].youngest);
		if (sa)
		{
			qcd_pending_sa_destroy(sa);
		}
		played_pending_clear(&pending);
	}
}

/**
 * The gap between two of the same request, by how long there was no answer
 */
static void test_repeat(void **state)
{
	static const struct {
		char *row;
		/* milliseconds since the request was sent */
		uint64_t age;
		/* milliseconds that a response may take */
		u_int usual;
		bool heard, again;
		/* milliseconds after it when it is due; before that nothing is done */
		uint64_t due;
		/* the gap that follows */
		uint64_t gap;
	} table[] = {
		{ "just sent", 0, 0, FALSE, FALSE, 500, 500 },
		{ "not due", 499, 0, FALSE, FALSE, 500, 500 },
		{ "due", 500, 0, FALSE, FALSE, 500, 500 },
		{ "an eighth is the least gap", 4000, 0, FALSE, FALSE, 500, 500 },
		{ "an eighth is more", 4008, 0, FALSE, FALSE, 501, 501 },
		{ "an eighth", 80000, 0, FALSE, FALSE, 10000, 10000 },
		{ "the longest gap", 240000, 0, FALSE, FALSE, 30000, 30000 },
		{ "no longer gap", 999999, 0, FALSE, FALSE, 30000, 30000 },
		{ "busy, not due", 1999, 0, TRUE, FALSE, 2000, 2000 },
		{ "busy, due", 2000, 0, TRUE, FALSE, 2000, 2000 },
		{ "busy, an eighth", 80000, 0, TRUE, FALSE, 10000, 10000 },
		{ "again, not due", 99, 0, TRUE, TRUE, 100, 2000 },
		{ "again, due", 100, 0, TRUE, TRUE, 100, 2000 },
		{ "again, nobody heard, not due", 99, 0, FALSE, TRUE, 100, 500 },
		{ "again, nobody heard, due", 100, 0, FALSE, TRUE, 100, 500 },
		{ "a near peer", 500, 250, FALSE, FALSE, 500, 500 },
		{ "a far peer, not due", 501, 251, FALSE, FALSE, 502, 502 },
		{ "a far peer, due", 502, 251, FALSE, FALSE, 502, 502 },
		{ "very far", 4000, 2000, FALSE, FALSE, 4000, 4000 },
		{ "very far, an eighth", 80000, 2000, FALSE, FALSE, 10000, 10000 },
		{ "far and busy", 2000, 1001, TRUE, FALSE, 2002, 2002 },
		{ "far, again, not due", 1199, 600, TRUE, TRUE, 1200, 2000 },
		{ "far, again, due", 1200, 600, TRUE, TRUE, 1200, 2000 },
	};
	qcd_pending_sa_t *sa;
	uint64_t now;
	bool due;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		tries->destroy(tries);
		tries = qcd_tries_create(&pending.public);
		pending.done[0] = '\0';
		sa = played_pending_add(&pending, 1, "gw", "198.51.100.2");
		sa->since = box_now - table[i].age;
		sa->heard = table[i].heard ? sa->since + 1 : sa->since;
		sa->again = table[i].again;
		sa->usual = table[i].usual;
		due = table[i].age >= table[i].due;
		CHECK_INT(table[i].row, tries->repeat(tries, sa, FALSE),
				  due ? box_now + table[i].gap : sa->since + table[i].due);
		CHECK_STR(table[i].row, pending.done, due ? "repeat 1" : "");

		/* at once in any case, and then only after the gap */
		now = box_now;
		pending.done[0] = '\0';
		CHECK_INT(table[i].row, tries->repeat(tries, sa, TRUE),
				  now + table[i].gap);
		CHECK_STR(table[i].row, pending.done, "repeat 1");
		CHECK_INT(table[i].row, tries->repeat(tries, sa, FALSE),
				  now + table[i].gap);
		CHECK_STR(table[i].row, pending.done, "repeat 1");
		played_pending_clear(&pending);
	}
}

/**
 * Each request has its own interval, so that none takes the turns of another
 */
static void test_repeat_request(void **state)
{
	qcd_pending_sa_t *sa, *other;

	sa = played_pending_add(&pending, 1, "gw", "198.51.100.2");
	tries->repeat_request(tries, 1);
	CHECK_STR("young", pending.done, "");
	box_now += 500;
	tries->repeat_request(tries, 2);
	CHECK_STR("another one", pending.done, "");
	tries->repeat_request(tries, 1);
	CHECK_STR("due", pending.done, "repeat 1");
	sa->repeated = box_now;
	tries->repeat_request(tries, 1);
	CHECK_STR("just repeated", pending.done, "repeat 1");
	other = played_pending_add(&pending, 2, "gw", "198.51.100.2");
	other->since = sa->since;
	tries->repeat_request(tries, 2);
	CHECK_STR("another one is due", pending.done, "repeat 1, repeat 2");
}

/**
 * How many handshakes with one address are enough
 */
static void test_are_enough(void **state)
{
	static const struct {
		char *row;
		struct {
			/* milliseconds since the request was sent, and the round trip */
			uint64_t age;
			u_int round_trip;
			char *address;
		} sas[4];
		bool enough;
	} table[] = {
		{ "none", {}, FALSE },
		{ "two", { { 0, 0, "198.51.100.2" }, { 0, 0, "198.51.100.2" } },
		  FALSE },
		{ "three", { { 0, 0, "198.51.100.2" }, { 0, 0, "198.51.100.2" },
		  { 0, 0, "198.51.100.2" } }, TRUE },
		{ "one elsewhere", { { 0, 0, "198.51.100.2" },
		  { 0, 0, "198.51.100.3" }, { 0, 0, "198.51.100.2" } }, FALSE },
		{ "not answered, still count", { { 9999, 0, "198.51.100.2" },
		  { 9999, 0, "198.51.100.2" }, { 9999, 0, "198.51.100.2" } }, TRUE },
		{ "not answered, one is too old", { { 9999, 0, "198.51.100.2" },
		  { 10000, 0, "198.51.100.2" }, { 9999, 0, "198.51.100.2" } }, FALSE },
		{ "answered, still count", { { 1999, 5, "198.51.100.2" },
		  { 1999, 5, "198.51.100.2" }, { 1999, 5, "198.51.100.2" } }, TRUE },
		{ "answered, one is too old", { { 1999, 5, "198.51.100.2" },
		  { 2000, 5, "198.51.100.2" }, { 1999, 5, "198.51.100.2" } }, FALSE },
		{ "sent after that", { { -5, 0, "198.51.100.2" },
		  { -5, 0, "198.51.100.2" }, { -5, 0, "198.51.100.2" } }, TRUE },
	};
	qcd_pending_sa_t *sa;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		for (j = 0; j < 4 && table[i].sas[j].address; j++)
		{
			/* whatever the connection is */
			sa = played_pending_add(&pending, j + 1, j ? "gw" : "gw2",
									table[i].sas[j].address);
			sa->since = box_now - table[i].sas[j].age;
			sa->round_trip = table[i].sas[j].round_trip;
		}
		CHECK_INT(table[i].row, tries->are_enough(tries, wanted.public.peer),
				  table[i].enough);
		played_pending_clear(&pending);
	}
}

static void test_drop(void **state)
{
	static const struct {
		char *row;
		bool ours, claimed;
		u_int round_trip;
		ike_sa_state_t state;
		/* whether it was begun after what is dropped, and answered ones go */
		bool later, answered;
		bool destroyed, dropped;
	} table[] = {
		{ "ours", TRUE, TRUE, 0, IKE_CONNECTING, FALSE, FALSE, TRUE, FALSE },
		{ "ours, begun later", TRUE, TRUE, 0, IKE_CONNECTING, TRUE, FALSE,
		  TRUE, FALSE },
		{ "ours, not begun yet", TRUE, TRUE, 0, IKE_CREATED, FALSE, FALSE,
		  TRUE, FALSE },
		{ "ours, up meanwhile", TRUE, TRUE, 0, IKE_ESTABLISHED, FALSE, TRUE,
		  FALSE, FALSE },
		{ "ours, answered", TRUE, TRUE, 5, IKE_CONNECTING, FALSE, FALSE, FALSE,
		  FALSE },
		{ "ours, answered ones, too", TRUE, TRUE, 5, IKE_CONNECTING, FALSE,
		  TRUE, TRUE, TRUE },
		{ "ours, answered and up", TRUE, TRUE, 5, IKE_ESTABLISHED, FALSE, TRUE,
		  FALSE, FALSE },
		{ "somebody's", FALSE, FALSE, 0, IKE_CONNECTING, FALSE, FALSE, TRUE,
		  FALSE },
		{ "somebody's, begun later", FALSE, FALSE, 0, IKE_CONNECTING, TRUE,
		  TRUE, FALSE, FALSE },
		{ "another recovery's", FALSE, TRUE, 0, IKE_CONNECTING, FALSE, TRUE,
		  FALSE, FALSE },
	};
	qcd_pending_sa_t *sa;
	played_ike_t *ike;
	uint32_t unique_id = 0;
	u_int taken = 0;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		unique_id++;
		if (table[i].ours)
		{
			CHECK_INT(table[i].row, begin_try(unique_id, SUCCESS, &ike),
					  unique_id);
		}
		else
		{
			ike = create(unique_id);
			sas->insert_last(sas, ike);
		}
		ike->state = table[i].state;
		sa = played_pending_add(&pending, unique_id, "gw", "198.51.100.2");
		sa->claimed = table[i].claimed;
		sa->round_trip = table[i].round_trip;
		CHECK_INT(table[i].row, tries->drop(tries, &wanted.public,
						table[i].answered, sa->begun - table[i].later),
				  table[i].dropped);
		CHECK_INT(table[i].row, ike->destroyed, table[i].destroyed);
		CHECK(table[i].row, !ike->out);
		taken += table[i].destroyed;
		CHECK_INT(table[i].row, wanted.taken, taken);
		if (table[i].destroyed)
		{
			CHECK_INT(table[i].row, wanted.others,
					  table[i].ours ? PLAYED_MISSING : 0);
		}
		if (ike->destroyed)
		{
			CHECK(table[i].row, !tries->drop(tries, &wanted.public, TRUE,
											 box_now));
			played_ike_destroy(ike);
		}
		played_pending_clear(&pending);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_begin),
		TEST(test_known),
		TEST(test_youngest),
		TEST(test_repeat),
		TEST(test_repeat_request),
		TEST(test_are_enough),
		TEST(test_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

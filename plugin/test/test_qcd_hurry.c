/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_hurry.h"

#include "box.h"
#include "played.h"

/**
 * Handshakes that charon counts: all, and those that others began
 */
static u_int half_open, of_others;

METHOD(ike_sa_manager_t, get_half_open_count, u_int,
	ike_sa_manager_t *this, host_t *ip, bool responder_only)
{
	return responder_only ? of_others : half_open;
}

static ike_sa_manager_t manager;
static played_pending_t pending;
static qcd_hurry_t *hurry;
static host_t *peer;

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	manager.get_half_open_count = _get_half_open_count;
	charon->ike_sa_manager = &manager;
	half_open = 1;
	of_others = 0;
	played_pending_init(&pending);
	hurry = qcd_hurry_create(&pending.public);
	peer = host_create_from_string("198.51.100.2", 500);
	return 0;
}

static int end(void **state)
{
	hurry->destroy(hurry);
	played_pending_clear(&pending);
	peer->destroy(peer);
	return box_close(state);
}

/**
 * Check if a reply is held, and what was asked for
 */
static void check_holds(const char *row, uint64_t *held, char *name, bool want,
						const char *done, int line)
{
	check_int(row, "whether it is held", hurry->holds(hurry, peer, name, held),
			  want, __FILE__, line);
	check_str(row, "what is done", pending.done, done, __FILE__, line);
	pending.done[0] = '\0';
}

#define CHECK_HOLDS(row, held, name, want, done) \
	check_holds((row), (held), (name), (want), (done), __LINE__)

static void test_whom(void **state)
{
	static const struct {
		char *row;
		u_int half_open, of_others;
		char *name, *address, *asked_name;
		bool held;
	} table[] = {
		{ "we connect", 1, 0, "gw", "198.51.100.2", "gw", TRUE },
		{ "name not certain", 1, 0, "gw", "198.51.100.2", NULL, TRUE },
		{ "another connection", 1, 0, "gw", "198.51.100.2", "gw2", FALSE },
		{ "another peer", 1, 0, "gw", "198.51.100.3", "gw", FALSE },
		{ "no handshake", 0, 0, "gw", "198.51.100.2", "gw", FALSE },
		{ "the peer's handshakes", 5, 5, "gw", "198.51.100.2", "gw", FALSE },
		{ "ours and the peer's", 6, 5, "gw", "198.51.100.2", "gw", TRUE },
	};
	uint64_t held;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		held = 0;
		half_open = table[i].half_open;
		of_others = table[i].of_others;
		played_pending_add(&pending, 1, table[i].name, table[i].address);
		CHECK_HOLDS(table[i].row, &held, table[i].asked_name, table[i].held,
					"");
		CHECK_INT(table[i].row, held, table[i].held ? box_now : 0);
		played_pending_clear(&pending);
	}
}

static void test_time(void **state)
{
	uint64_t held = 0;

	played_pending_add(&pending, 1, "gw", "198.51.100.2");
	CHECK_HOLDS("at once", &held, "gw", TRUE, "");
	box_now += 499;
	CHECK_HOLDS("499 ms", &held, "gw", TRUE, "");
	box_now++;
	CHECK_HOLDS("500 ms", &held, "gw", FALSE, "");
	CHECK_INT("since", held, BOX_NOW);
	held = 0;
	CHECK_HOLDS("another reply", &held, "gw", TRUE, "repeat 1");
}

/**
 * A request is repeated for each reply, once a second
 */
static void test_repeat(void **state)
{
	uint64_t held = 0, other = 0;

	played_pending_add(&pending, 1, "gw", "198.51.100.2");
	played_pending_add(&pending, 2, "gw", "198.51.100.2");
	pending.sas[1].sa.since -= 1;
	box_now += 19;
	CHECK_HOLDS("one is too young", &held, "gw", TRUE, "repeat 2");
	box_now++;
	CHECK_HOLDS("the same reply", &held, "gw", TRUE, "");
	CHECK_HOLDS("another reply", &other, "gw", TRUE, "repeat 1");
	other = 0;
	box_now += 998;
	CHECK_HOLDS("999 and 998 ms", &other, "gw", TRUE, "");
	other = 0;
	box_now++;
	CHECK_HOLDS("1000 and 999 ms", &other, "gw", TRUE, "repeat 2");
	other = 0;
	box_now++;
	CHECK_HOLDS("the other one", &other, "gw", TRUE, "repeat 1");
	/* where there was nothing to repeat, it may be tried again */
	pending.repeats = FALSE;
	other = 0;
	box_now += 1000;
	CHECK_HOLDS("no request", &other, "gw", TRUE, "repeat 1, repeat 2");
	other = 0;
	CHECK_HOLDS("no request", &other, "gw", TRUE, "repeat 1, repeat 2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_whom),
		TEST(test_time),
		TEST(test_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_turns.h"

#include "box.h"

/**
 * Handshakes that charon says are at work
 */
static u_int half_open;

METHOD(ike_sa_manager_t, get_half_open_count, u_int,
	ike_sa_manager_t *this, host_t *ip, bool responder_only)
{
	assert_non_null(ip);
	assert_true(responder_only);
	return half_open;
}

static ike_sa_manager_t manager;

/**
 * Begin with settings of charon's, NULL for the default
 */
static qcd_turns_t *begin(char *dos, char *block, char *cookie)
{
	manager.get_half_open_count = _get_half_open_count;
	charon->ike_sa_manager = &manager;
	half_open = 0;
	box_set("dos_protection", dos);
	box_set("block_threshold", block);
	box_set("cookie_threshold_ip", cookie);
	return qcd_turns_create();
}

/**
 * Take turns until there are no more, 100 at most
 */
static u_int take_all(qcd_turns_t *turns, host_t *peer)
{
	u_int taken = 0;

	while (taken < 100 && turns->take(turns, peer))
	{
		taken++;
	}
	return taken;
}

static void test_limit(void **state)
{
	static const struct {
		char *row, *dos, *block, *cookie;
		u_int half_open, taken;
	} table[] = {
		{ "defaults", NULL, NULL, NULL, 0, 3 },
		{ "no protection", "no", NULL, NULL, 0, 100 },
		{ "no protection, busy", "no", NULL, NULL, 1000, 100 },
		{ "block below cookie, raised to 4", NULL, "2", "3", 0, 3 },
		{ "no block", NULL, "0", "3", 0, 3 },
		{ "cookies alone, block raised to 11", NULL, "5", "10", 0, 10 },
		{ "block less one", NULL, "4", "10", 0, 10 },
		{ "no cookies", NULL, "5", "0", 0, 4 },
		{ "no cookies, block of 2", NULL, "2", "0", 0, 1 },
		{ "one at least", NULL, "1", "0", 0, 1 },
		{ "neither", NULL, "0", "0", 0, 1 },
		{ "block just above cookie", NULL, "21", "20", 0, 20 },
		{ "block of 50", NULL, "50", "20", 0, 20 },
		{ "one at work", NULL, NULL, NULL, 1, 2 },
		{ "two at work", NULL, NULL, NULL, 2, 1 },
		{ "all at work", NULL, NULL, NULL, 3, 0 },
		{ "more than all", NULL, NULL, NULL, 1000, 0 },
	};
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	qcd_turns_t *turns;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		turns = begin(table[i].dos, table[i].block, table[i].cookie);
		half_open = table[i].half_open;
		CHECK_INT(table[i].row, take_all(turns, peer), table[i].taken);
		turns->destroy(turns);
	}
	peer->destroy(peer);
}

static void test_addresses(void **state)
{
	static const struct {
		char *address;
		uint16_t port;
		u_int taken;
	} table[] = {
		{ "198.51.100.2", 500, 3 },
		{ "198.51.100.2", 4500, 0 },
		{ "198.51.100.3", 500, 3 },
		{ "2001:db8::2", 500, 3 },
		{ "2001:db8::2", 501, 0 },
		{ "2001:db8::3", 500, 3 },
	};
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	host_t *peer;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		peer = host_create_from_string(table[i].address, table[i].port);
		CHECK_INT(table[i].address, take_all(turns, peer), table[i].taken);
		peer->destroy(peer);
	}
	turns->destroy(turns);
}

static void test_came(void **state)
{
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	host_t *natted = host_create_from_string("198.51.100.2", 12345);
	host_t *other = host_create_from_string("198.51.100.3", 500);
	qcd_turns_t *turns = begin(NULL, NULL, NULL);

	turns->came(turns, peer);
	CHECK_INT("was not told", take_all(turns, peer), 3);
	turns->came(turns, other);
	CHECK_INT("another address", take_all(turns, peer), 0);
	turns->came(turns, natted);
	CHECK_INT("one came", take_all(turns, peer), 1);
	turns->came(turns, peer);
	half_open = 1;
	CHECK_INT("charon counts it now", take_all(turns, peer), 0);
	half_open = 0;
	turns->came(turns, peer);
	turns->came(turns, peer);
	turns->came(turns, peer);
	CHECK_INT("all came", take_all(turns, peer), 3);
	turns->destroy(turns);
	peer->destroy(peer);
	natted->destroy(natted);
	other->destroy(other);
}

/**
 * How long a turn lasts, by how long others of the address took to come
 */
static void test_expire(void **state)
{
	static const struct {
		char *row;
		/* milliseconds after which one came, 0 for none */
		u_int came, lasts;
	} table[] = {
		{ "nobody came", 0, 300 },
		{ "came soon", 40, 300 },
		/* a quarter counts, and three times that */
		{ "below the least time", 396, 300 },
		{ "just above", 404, 303 },
		{ "took longer", 1000, 750 },
		{ "below the bound", 2664, 1998 },
		{ "at the bound", 2668, 2000 },
		{ "took a minute", 60000, 2000 },
	};
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	qcd_turns_t *turns;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		turns = begin(NULL, NULL, NULL);
		if (table[i].came)
		{	/* a second one keeps the place */
			CHECK(table[i].row, turns->take(turns, peer));
			box_now += table[i].came;
			CHECK(table[i].row, turns->take(turns, peer));
			turns->came(turns, peer);
		}
		CHECK_INT(table[i].row, take_all(turns, peer), table[i].came ? 2 : 3);
		box_now += table[i].lasts - 1;
		turns->expire(turns);
		CHECK_INT(table[i].row, take_all(turns, peer), 0);
		box_now++;
		turns->expire(turns);
		CHECK_INT(table[i].row, take_all(turns, peer), 3);
		turns->destroy(turns);
	}
	peer->destroy(peer);
}

static void test_expire_oldest(void **state)
{
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	host_t *other = host_create_from_string("198.51.100.3", 500);
	qcd_turns_t *turns = begin(NULL, NULL, NULL);

	CHECK("first", turns->take(turns, peer));
	box_now += 100;
	CHECK("second", turns->take(turns, peer));
	CHECK("other", turns->take(turns, other));
	box_now += 200;
	turns->expire(turns);
	CHECK_INT("first is over", take_all(turns, peer), 2);
	CHECK_INT("other is not", take_all(turns, other), 2);
	turns->destroy(turns);
	peer->destroy(peer);
	other->destroy(other);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_limit),
		BOX_TEST(test_addresses),
		BOX_TEST(test_came),
		BOX_TEST(test_expire),
		BOX_TEST(test_expire_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

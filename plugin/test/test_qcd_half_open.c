/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_half_open.h"

#include "box.h"

#include <daemon.h>
#include <qcd/qcd.h>

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
static void begin(qcd_half_open_t *limits, char *dos, char *block, char *cookie)
{
	manager.get_half_open_count = _get_half_open_count;
	charon->ike_sa_manager = &manager;
	box_set("dos_protection", dos);
	box_set("block_threshold", block);
	box_set("cookie_threshold_ip", cookie);
	box_set("cookie_threshold", NULL);
	box_set("init_limit_half_open", NULL);
	qcd_half_open_init(limits);
}

/**
 * How many peers at an address are told, 100 at most
 */
static void test_address(void **state)
{
	static const struct {
		char *row, *dos, *block, *cookie;
		u_int half_open, handshakes, told;
	} table[] = {
		{ "defaults", NULL, NULL, NULL, 0, 0, 3 },
		{ "no protection", "no", NULL, NULL, 0, 0, 100 },
		{ "no protection, busy", "no", NULL, NULL, 1000, 1000, 100 },
		{ "block below cookie, raised to 4", NULL, "2", "3", 0, 0, 3 },
		{ "no block", NULL, "0", "3", 0, 0, 3 },
		{ "cookies alone, block raised to 11", NULL, "5", "10", 0, 0, 10 },
		{ "block less one", NULL, "4", "10", 0, 0, 10 },
		{ "no cookies", NULL, "5", "0", 0, 0, 4 },
		{ "no cookies, block of 2", NULL, "2", "0", 0, 0, 1 },
		{ "one at least", NULL, "1", "0", 0, 0, 1 },
		{ "neither", NULL, "0", "0", 0, 0, 1 },
		{ "block just above cookie", NULL, "21", "20", 0, 0, 20 },
		{ "block of 50", NULL, "50", "20", 0, 0, 20 },
		{ "one at work", NULL, NULL, NULL, 1, 0, 2 },
		{ "one of a peer at work", NULL, NULL, NULL, 1, 1, 2 },
		{ "two at work", NULL, NULL, NULL, 2, 0, 1 },
		{ "the next one needs a cookie", NULL, NULL, NULL, 3, 0, 1 },
		{ "one of them is a peer's", NULL, NULL, NULL, 3, 1, 0 },
		{ "all of them are peers'", NULL, NULL, NULL, 3, 3, 0 },
		{ "no cookies, three at work", NULL, "5", "0", 3, 0, 1 },
		{ "no cookies, three of peers", NULL, "5", "0", 3, 3, 1 },
		{ "all at work", NULL, NULL, NULL, 4, 0, 0 },
		{ "block just above cookie, all at work", NULL, "4", "3", 3, 0, 0 },
		{ "more than all", NULL, NULL, NULL, 1000, 0, 0 },
	};
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	qcd_half_open_t limits;
	u_int i, told;

	for (i = 0; i < countof(table); i++)
	{
		begin(&limits, table[i].dos, table[i].block, table[i].cookie);
		half_open = table[i].half_open;
		for (told = 0; told < 100; told++)
		{
			if (!qcd_half_open_allows(&limits, peer, told, table[i].handshakes))
			{
				break;
			}
		}
		CHECK_INT(table[i].row, told, table[i].told);
	}
	peer->destroy(peer);
}

/**
 * How many handshakes all addresses may have
 */
static void test_all(void **state)
{
	static const struct {
		char *row, *dos, *cookie, *init;
		u_int free, most;
	} table[] = {
		{ "defaults", NULL, NULL, NULL, 23, QCD_PACE_MAX },
		{ "one", NULL, "1", NULL, 1, QCD_PACE_MAX },
		{ "three", NULL, "3", NULL, 3, QCD_PACE_MAX },
		{ "four", NULL, "4", NULL, 3, QCD_PACE_MAX },
		{ "no cookies", NULL, "0", NULL, 23, QCD_PACE_MAX },
		{ "no protection", "no", "7", NULL, 23, QCD_PACE_MAX },
		{ "no protection, an initial limit", "no", "7", "7", 23, 7 },
		{ "an initial limit", NULL, NULL, "20", 23, 20 },
		{ "a high initial limit", NULL, NULL, "2000", 23, QCD_PACE_MAX },
	};
	qcd_half_open_t limits;
	u_int i;

	for (i = 0; i < countof(table); i++)
	{
		begin(&limits, table[i].dos, NULL, NULL);
		box_set("cookie_threshold", table[i].cookie);
		box_set("init_limit_half_open", table[i].init);
		qcd_half_open_init(&limits);
		CHECK_INT(table[i].row, limits.free, table[i].free);
		CHECK_INT(table[i].row, limits.most, table[i].most);
	}
	box_set("dos_protection", NULL);
	box_set("cookie_threshold", NULL);
	box_set("init_limit_half_open", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_address),
		BOX_TEST(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

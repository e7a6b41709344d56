/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_places.h"

#include "box.h"
#include "reply_box.h"

#include <collections/linked_list.h>

/**
 * Places of each rank
 */
#define HOME_MAX 16384
#define AGAIN_MAX 4096
#define ELSEWHERE_MAX 1024
#define UNKNOWN_MAX 1024

/**
 * Replies that have places, the first one first
 */
static linked_list_t *taken;

static qcd_places_t *begin()
{
	taken = linked_list_create();
	return qcd_places_create();
}

/**
 * Take a place for a reply
 */
static bool take(qcd_places_t *places, qcd_reply_t *reply)
{
	if (places->take(places, reply))
	{
		taken->insert_last(taken, reply);
		return TRUE;
	}
	qcd_reply_destroy(reply);
	return FALSE;
}

/**
 * Release the place of the first reply
 */
static bool release(qcd_places_t *places)
{
	qcd_reply_t *reply;

	if (taken->remove_first(taken, (void**)&reply) != SUCCESS)
	{
		return FALSE;
	}
	places->release(places, reply);
	qcd_reply_destroy(reply);
	return TRUE;
}

static void end(qcd_places_t *places)
{
	while (release(places));
	taken->destroy(taken);
	places->destroy(places);
}

/**
 * Check whether the first reply should make room
 */
static bool is_surplus(qcd_places_t *places)
{
	qcd_reply_t *reply;

	assert_int_equal(taken->get_first(taken, (void**)&reply), SUCCESS);
	return places->is_surplus(places, reply);
}

/**
 * Of one SA four wait, of which one is kept for where its peer was. None of them
 * is a place of another SA.
 */
static void test_same_sa(void **state)
{
	static const struct {
		char *row;
		qcd_rank_t ranks[6];
		bool unasked[6];
		bool added[6];
	} table[] = {
		{ "home", { QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME,
					QCD_RANK_HOME, QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, TRUE, FALSE, FALSE } },
		{ "elsewhere", { QCD_RANK_ELSEWHERE, QCD_RANK_ELSEWHERE,
						 QCD_RANK_ELSEWHERE, QCD_RANK_ELSEWHERE, QCD_RANK_HOME,
						 QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, FALSE, TRUE, FALSE } },
		{ "unknown", { QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN,
					   QCD_RANK_UNKNOWN, QCD_RANK_HOME, QCD_RANK_UNKNOWN },
		  {}, { TRUE, TRUE, TRUE, FALSE, TRUE, FALSE } },
		{ "strangers of both ranks", { QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE,
					   QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE, QCD_RANK_UNKNOWN,
					   QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, FALSE, FALSE, TRUE } },
		{ "home first", { QCD_RANK_HOME, QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN,
						  QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN, QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, TRUE, FALSE, FALSE } },
		{ "an announcement takes none", { QCD_RANK_HOME, QCD_RANK_HOME,
						  QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME,
						  QCD_RANK_HOME },
		  { TRUE }, { TRUE, TRUE, TRUE, TRUE, TRUE, FALSE } },
		{ "nor is it kept out", { QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME,
						  QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME },
		  { FALSE, FALSE, FALSE, FALSE, TRUE },
		  { TRUE, TRUE, TRUE, TRUE, TRUE, FALSE } },
	};
	qcd_places_t *places;
	qcd_reply_t *reply;
	char row[64];
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		places = begin();
		for (j = 0; j < 6; j++)
		{
			snprintf(row, sizeof(row), "%s, %d", table[i].row, j);
			reply = reply_box_create("198.51.100.2", 500 + j, 1, 0,
									 table[i].ranks[j]);
			reply->unasked = table[i].unasked[j];
			CHECK_INT(row, take(places, reply), table[i].added[j]);
			CHECK(row, take(places, reply_box_create("198.51.100.2", 500, 100 + j,
													 0, table[i].ranks[j])));
		}
		end(places);
	}
}

/**
 * Whoever has seen an SPI of ours takes the same three places with any address
 * and any SPI of the peer; the oldest reply should make room for the next one
 */
static void test_same_spi(void **state)
{
	static const qcd_rank_t ranks[] = { QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE };
	qcd_places_t *places;
	qcd_reply_t *home;
	char address[24];
	int i, j;

	for (i = 0; i < countof(ranks); i++)
	{
		places = begin();
		for (j = 0; j < 4; j++)
		{
			snprintf(address, sizeof(address), "198.51.100.%d", j + 1);
			CHECK_INT("three", take(places, reply_box_create(address, 500, 1, j,
															 ranks[i])), j < 3);
			CHECK_INT("surplus", is_surplus(places), j >= 2);
		}
		CHECK("another SPI of ours", take(places,
				reply_box_create("198.51.100.9", 500, 2, 3, ranks[i])));
		home = reply_box_create("198.51.100.4", 500, 1, 3, QCD_RANK_HOME);
		CHECK("at home", take(places, home));
		CHECK("not surplus", !places->is_surplus(places, home));
		CHECK("leaves", release(places));
		CHECK("there is room", !is_surplus(places));
		CHECK("again", take(places, reply_box_create("198.51.100.7", 500, 1, 7,
													 ranks[i])));
		CHECK("and no more", !take(places, reply_box_create("198.51.100.8", 500,
															1, 8, ranks[i])));
		end(places);
	}
}

/**
 * One source takes an eighth of the places of a rank at most, unless its peers
 * are known to be there
 */
static void test_source(void **state)
{
	static const struct {
		char *row, *address, *same, *other;
		qcd_rank_t rank, another;
		u_int most;
	} table[] = {
		{ "IPv4", "198.51.100.1", "198.51.100.1", "198.51.100.2",
		  QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE, UNKNOWN_MAX / 8 },
		{ "IPv6", "2001:db8::1", "2001:db8::1:0:0:2", "2001:db8:0:1::1",
		  QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE, UNKNOWN_MAX / 8 },
		{ "elsewhere", "198.51.100.1", "198.51.100.1", "198.51.100.2",
		  QCD_RANK_ELSEWHERE, QCD_RANK_UNKNOWN, ELSEWHERE_MAX / 8 },
		{ "at home", "198.51.100.1", NULL, NULL, QCD_RANK_HOME, 0, HOME_MAX },
		{ "told before", "198.51.100.1", NULL, NULL, QCD_RANK_AGAIN, 0,
		  AGAIN_MAX },
	};
	qcd_places_t *places;
	u_int n, most;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		places = begin();
		most = table[i].most;
		for (n = 0; n <= most; n++)
		{
			CHECK_INT(table[i].row, take(places, reply_box_create(
							table[i].address, 500, n, 0, table[i].rank)),
					  n < most);
		}
		if (table[i].same)
		{
			CHECK(table[i].row, !take(places, reply_box_create(table[i].same,
											501, n, 0, table[i].rank)));
			CHECK(table[i].row, take(places, reply_box_create(table[i].other,
											500, n, 0, table[i].rank)));
			CHECK("in another rank", take(places, reply_box_create(
					table[i].address, 500, n + 1, 0, table[i].another)));
			CHECK("at home", take(places, reply_box_create(
					table[i].address, 500, n + 2, 0, QCD_RANK_HOME)));
			CHECK("leaves", release(places));
			CHECK("a place again", take(places, reply_box_create(table[i].same,
											501, n, 0, table[i].rank)));
		}
		end(places);
	}
}

/**
 * Create a reply about an SA to an address of its own
 */
static qcd_reply_t *create(uint32_t sa, qcd_rank_t rank)
{
	char address[24];

	snprintf(address, sizeof(address), "10.0.%u.%u", sa >> 8, sa & 255);
	return reply_box_create(address, 500, sa, 0, rank);
}

/**
 * Each rank has places of its own. Those who are not at home should leave more
 * than half of them to newer ones.
 */
static void test_ranks(void **state)
{
	static const struct {
		char *row;
		qcd_rank_t rank;
		u_int max;
		bool home;
	} table[] = {
		{ "home", QCD_RANK_HOME, HOME_MAX, TRUE },
		{ "again", QCD_RANK_AGAIN, AGAIN_MAX, TRUE },
		{ "elsewhere", QCD_RANK_ELSEWHERE, ELSEWHERE_MAX, FALSE },
		{ "unknown", QCD_RANK_UNKNOWN, UNKNOWN_MAX, FALSE },
	};
	qcd_places_t *places = begin();
	qcd_reply_t *reply;
	uint32_t sa = 0;
	u_int n;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		for (n = 1; n <= table[i].max; n++)
		{
			reply = create(++sa, table[i].rank);
			CHECK(table[i].row, take(places, reply));
			CHECK_INT(table[i].row, places->is_surplus(places, reply),
					  !table[i].home && n > table[i].max / 2);
		}
		CHECK(table[i].row, !take(places, create(++sa, table[i].rank)));
	}
	CHECK("one at home leaves", release(places));
	for (i = 1; i < countof(table); i++)
	{
		CHECK(table[i].row, !take(places, create(++sa, table[i].rank)));
	}
	CHECK("home", take(places, create(++sa, QCD_RANK_HOME)));
	CHECK("home", !take(places, create(++sa, QCD_RANK_HOME)));
	end(places);
}

/**
 * Announcements are counted by themselves
 */
static void test_unasked(void **state)
{
	qcd_places_t *places = begin();
	qcd_reply_t *reply;
	int i;

	for (i = 0; i < 6; i++)
	{
		reply = create(i, i < 4 ? QCD_RANK_HOME : QCD_RANK_UNKNOWN);
		reply->unasked = i % 2;
		CHECK("take", take(places, reply));
		CHECK_INT("unasked", places->get_unasked(places), (i + 1) / 2);
	}
	for (i = 0; i < 6; i++)
	{
		CHECK("release", release(places));
		CHECK_INT("unasked", places->get_unasked(places), 3 - (i + 1) / 2);
	}
	end(places);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_same_sa),
		BOX_TEST(test_same_spi),
		BOX_TEST(test_source),
		BOX_TEST(test_ranks),
		BOX_TEST(test_unasked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

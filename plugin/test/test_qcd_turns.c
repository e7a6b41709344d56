/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_turns.h"

#include "box.h"
#include "played.h"

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

METHOD(ike_sa_t, get_other_host, host_t*,
	played_ike_t *this)
{
	return this->other;
}

METHOD(ike_sa_t, get_unique_id, uint32_t,
	played_ike_t *this)
{
	return this->unique_id;
}

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
	box_set("cookie_threshold", NULL);
	box_set("init_limit_half_open", NULL);
	return qcd_turns_create();
}

/**
 * Take turns until there are no more, 100 at most
 */
static u_int take_all(qcd_turns_t *turns, host_t *peer)
{
	u_int taken = 0;

	while (taken < 100 && turns->take(turns, peer, QCD_RANK_UNKNOWN))
	{
		taken++;
	}
	return taken;
}

/**
 * Let a peer begin a handshake
 */
static void came(qcd_turns_t *turns, host_t *peer, uint32_t unique_id)
{
	played_ike_t ike = {
		.public = {
			.get_other_host = _get_other_host,
			.get_unique_id = _get_unique_id,
		},
		.other = peer,
		.unique_id = unique_id,
	};

	turns->came(turns, &ike.public);
}

/**
 * Get the address of the peer at home with a number
 */
static host_t *get_home(u_int number)
{
	char address[24];

	snprintf(address, sizeof(address), "10.0.%u.%u", number >> 8, number & 255);
	return host_create_from_string(address, 500);
}

/**
 * Let the handshake of a peer at home end
 */
static void ended(qcd_turns_t *turns, uint32_t unique_id, bool established)
{
	played_ike_t ike = {
		.public = {
			.get_other_host = _get_other_host,
			.get_unique_id = _get_unique_id,
		},
		.other = get_home(unique_id - 1),
		.unique_id = unique_id,
	};

	turns->ended(turns, &ike.public, established);
	ike.other->destroy(ike.other);
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

	came(turns, peer, 1);
	CHECK_INT("was not told", take_all(turns, peer), 3);
	came(turns, other, 2);
	CHECK_INT("another address", take_all(turns, peer), 0);
	came(turns, natted, 3);
	CHECK_INT("one came", take_all(turns, peer), 1);
	came(turns, peer, 1);
	half_open = 1;
	CHECK_INT("charon counts it now", take_all(turns, peer), 0);
	half_open = 0;
	came(turns, peer, 1);
	came(turns, peer, 1);
	came(turns, peer, 1);
	CHECK_INT("all came", take_all(turns, peer), 3);
	turns->destroy(turns);
	peer->destroy(peer);
	natted->destroy(natted);
	other->destroy(other);
}

/**
 * While charon requests cookies, peers wait for handshakes of peers that were told
 * before, but not for those that others never complete
 */
static void test_whose_handshakes(void **state)
{
	static const struct {
		char *row;
		/* how many peers were told and came, how many of these handshakes
		 * failed, and what became of them after a time */
		u_int came, failed, ended, after;
		/* how many handshakes are at work, and how many are told then */
		u_int half_open, taken;
	} table[] = {
		{ "all are peers'", 3, 0, 0, 0, 3, 0 },
		{ "one is a peer's", 1, 0, 0, 0, 3, 0 },
		{ "one is a peer's, one more without cookies", 1, 0, 0, 0, 2, 1 },
		{ "none is a peer's", 0, 0, 0, 0, 3, 1 },
		{ "peers are almost late", 3, 0, 0, 1999, 3, 0 },
		{ "peers are late", 3, 0, 0, 2000, 3, 1 },
		{ "two have ended", 3, 0, 2, 0, 3, 0 },
		{ "all have ended", 3, 0, 3, 0, 3, 1 },
		{ "late, and ended later", 3, 0, 3, 2000, 3, 1 },
		{ "one has failed and may come again", 1, 1, 0, 0, 0, 2 },
		{ "has failed, and is late", 1, 1, 0, 300, 3, 1 },
		{ "all have failed, and are late", 3, 3, 0, 300, 3, 1 },
	};
	host_t *peer = get_home(0);
	qcd_turns_t *turns;
	u_int i, n;

	for (i = 0; i < countof(table); i++)
	{
		turns = begin(NULL, NULL, NULL);
		for (n = 0; n < table[i].came; n++)
		{
			CHECK(table[i].row, turns->take(turns, peer, QCD_RANK_HOME));
			came(turns, peer, n + 1);
		}
		for (n = 0; n < table[i].failed; n++)
		{
			ended(turns, n + 1, FALSE);
		}
		box_now += table[i].after;
		turns->expire(turns);
		for (n = 0; n < table[i].ended; n++)
		{
			ended(turns, n + 1, TRUE);
		}
		half_open = table[i].half_open;
		CHECK_INT(table[i].row, take_all(turns, peer), table[i].taken);
		turns->destroy(turns);
	}
	peer->destroy(peer);
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
		{ "nobody came", 0, 1000 },
		{ "came soon", 40, 300 },
		/* three times that */
		{ "below the least time", 99, 300 },
		{ "just above", 101, 303 },
		{ "took longer", 250, 750 },
		{ "below the bound", 666, 1998 },
		{ "at the bound", 667, 2000 },
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
			CHECK(table[i].row, turns->take(turns, peer, QCD_RANK_UNKNOWN));
			box_now += table[i].came;
			CHECK(table[i].row, turns->take(turns, peer, QCD_RANK_UNKNOWN));
			came(turns, peer, 1);
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

/**
 * Once the first ones at an address have not come, the others are waited for no
 * longer than elsewhere
 */
static void test_nobody_came(void **state)
{
	static const struct {
		char *row;
		u_int after, taken;
	} table[] = {
		{ "the first have turns", 999, 0 },
		{ "the next ones", 1, 3 },
		{ "these have turns", 299, 0 },
		{ "and so on", 1, 3 },
		{ "these as well", 299, 0 },
		{ "the last ones", 1, 3 },
	};
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int i;

	CHECK_INT("the first", take_all(turns, peer), 3);
	for (i = 0; i < countof(table); i++)
	{
		box_now += table[i].after;
		turns->expire(turns);
		CHECK_INT(table[i].row, take_all(turns, peer), table[i].taken);
	}
	turns->destroy(turns);
	peer->destroy(peer);
}

static void test_expire_oldest(void **state)
{
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	host_t *other = host_create_from_string("198.51.100.3", 500);
	qcd_turns_t *turns = begin(NULL, NULL, NULL);

	CHECK("first", turns->take(turns, peer, QCD_RANK_UNKNOWN));
	box_now += 100;
	CHECK("second", turns->take(turns, peer, QCD_RANK_UNKNOWN));
	CHECK("other", turns->take(turns, other, QCD_RANK_UNKNOWN));
	box_now += 900;
	turns->expire(turns);
	CHECK_INT("first is over", take_all(turns, peer), 2);
	CHECK_INT("other is not", take_all(turns, other), 2);
	turns->destroy(turns);
	peer->destroy(peer);
	other->destroy(other);
}

/**
 * Tell peers at home, each at its own address, until there are no more turns
 */
static u_int take_rank(qcd_turns_t *turns, qcd_rank_t rank, u_int *number)
{
	u_int taken = 0;
	host_t *peer;
	bool more = TRUE;

	while (more && taken < 2000)
	{
		peer = get_home(*number);
		more = turns->take(turns, peer, rank);
		CHECK_INT("or full", turns->is_full(turns, rank), !more ||
				  !turns->available(turns, peer, rank));
		CHECK("as it says", more || !turns->available(turns, peer, rank));
		peer->destroy(peer);
		taken += more;
		*number += more;
	}
	return taken;
}

static u_int take_home(qcd_turns_t *turns, u_int *number)
{
	return take_rank(turns, QCD_RANK_HOME, number);
}

/**
 * Let the peer with a number begin a handshake
 */
static void came_home(qcd_turns_t *turns, u_int number)
{
	host_t *peer = get_home(number);

	came(turns, peer, number + 1);
	peer->destroy(peer);
}

/**
 * What was completed makes room for more, up to charon's limit
 */
static void test_pace(void **state)
{
	static const struct {
		char *row, *dos, *cookie, *init;
		u_int first, most;
	} table[] = {
		/* the jobs of this charon are never run: it is busy */
		{ "defaults", NULL, NULL, NULL, 23, 23 },
		{ "few", NULL, "7", NULL, 6, 6 },
		{ "no cookies", NULL, "0", NULL, 23, 23 },
		{ "an initial limit", NULL, NULL, "20", 20, 20 },
		{ "no protection", "no", "7", NULL, 23, 23 },
		{ "no protection, an initial limit", "no", "7", "7", 7, 7 },
	};
	u_int told, done, i, n, most, first;
	qcd_turns_t *turns;

	for (i = 0; i < countof(table); i++)
	{
		turns = begin(table[i].dos, NULL, NULL);
		turns->destroy(turns);
		box_set("dos_protection", table[i].dos);
		box_set("cookie_threshold", table[i].cookie);
		box_set("init_limit_half_open", table[i].init);
		turns = qcd_turns_create();
		told = done = most = 0;
		first = take_home(turns, &told);
		CHECK_INT(table[i].row, first, table[i].first);
		for (n = 0; n < 2000; n++)
		{
			came_home(turns, done);
			CHECK_INT("a handshake has a turn", take_home(turns, &told), 0);
			ended(turns, done + 1, TRUE);
			done++;
			take_home(turns, &told);
			most = max(most, told - done);
		}
		CHECK_INT(table[i].row, most, table[i].most);
		turns->destroy(turns);
	}
}

/**
 * Turns of the pace end with a failed handshake as well, and if nobody comes
 */
static void test_pace_ends(void **state)
{
	host_t *peer = host_create_from_string("198.51.100.2", 500);
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int told = 0;

	turns->destroy(turns);
	box_set("cookie_threshold", "3");
	turns = qcd_turns_create();
	CHECK_INT("first", take_home(turns, &told), 3);
	CHECK_INT("not at home", take_all(turns, peer), 3);
	came_home(turns, 0);
	ended(turns, 1, FALSE);
	ended(turns, 1, FALSE);
	CHECK_INT("failed: it may begin again", take_home(turns, &told), 0);
	box_now += 300;
	turns->expire(turns);
	/* 3, and one more for each that did not come */
	CHECK_INT("nobody came", take_home(turns, &told), 6);
	for (; told; told--)
	{
		came_home(turns, told - 1);
	}
	told = 1000;
	CHECK_INT("all have a handshake", take_home(turns, &told), 0);
	box_now += 2000;
	turns->expire(turns);
	CHECK_INT("these take too long", take_home(turns, &told), 2);
	turns->destroy(turns);
	peer->destroy(peer);
}

/**
 * A handshake that somebody begins in the name of a peer, which was told long ago,
 * doesn't let the others wait longer; a completed one does
 */
static void test_patience(void **state)
{
	static const struct {
		char *row;
		/* whether it is completed, and whether others are told soon */
		bool established, told;
	} table[] = {
		{ "begun", FALSE, TRUE },
		{ "completed", TRUE, FALSE },
	};
	qcd_turns_t *turns;
	u_int told, i;

	for (i = 0; i < countof(table); i++)
	{
		turns = begin(NULL, NULL, NULL);
		told = 0;
		CHECK_INT(table[i].row, take_home(turns, &told), 23);
		box_now += 5000;
		turns->expire(turns);
		came_home(turns, 0);
		ended(turns, 1, table[i].established);
		while (take_home(turns, &told))
		{
		}
		box_now += 300;
		turns->expire(turns);
		CHECK_INT(table[i].row, take_home(turns, &told) != 0, table[i].told);
		turns->destroy(turns);
	}
}

/**
 * A peer whose handshake fails, since it has guessed the wrong group for example,
 * keeps its turn for another one, but no longer than if it had not come at all
 */
static void test_another_handshake(void **state)
{
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int told = 0, done, i;

	CHECK_INT("first", take_home(turns, &told), 23);
	for (done = 0; done < 23; done++)
	{
		came_home(turns, done);
		ended(turns, done + 1, FALSE);
		CHECK_INT("refused", take_home(turns, &told), 0);
		came_home(turns, done);
		CHECK_INT("came again", take_home(turns, &told), 0);
	}
	box_now += 1000;
	turns->expire(turns);
	CHECK_INT("at work", take_home(turns, &told), 0);
	for (done = 0; done < 23; done++)
	{
		ended(turns, done + 1, TRUE);
	}
	CHECK_INT("all are back", take_home(turns, &told), 23);
	for (i = 0; i < 2000; i++)
	{	/* these fail all the time */
		came_home(turns, 23 + i % 23);
		ended(turns, 24 + i % 23, FALSE);
		box_now++;
		turns->expire(turns);
	}
	CHECK("over", take_home(turns, &told) >= 23);
	turns->destroy(turns);
}

/**
 * Peers that come after their turns are over count, and the next ones are given
 * more time
 */
static void test_late(void **state)
{
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int told = 0, done;

	turns->destroy(turns);
	box_set("cookie_threshold", "5");
	turns = qcd_turns_create();
	CHECK_INT("first", take_home(turns, &told), 4);
	box_now += 400;
	turns->expire(turns);
	for (done = 0; done < 4; done++)
	{
		came_home(turns, done);
	}
	CHECK_INT("all have a handshake", take_home(turns, &told), 0);
	for (done = 0; done < 4; done++)
	{
		ended(turns, done + 1, TRUE);
	}
	CHECK_INT("all are back", take_home(turns, &told), 4);
	box_now += 400;
	turns->expire(turns);
	CHECK_INT("patient", take_home(turns, &told), 0);
	box_now += 10000;
	turns->expire(turns);
	box_now += 10000;
	turns->expire(turns);
	came_home(turns, 4);
	CHECK_INT("too late to count", take_home(turns, &told), 8);
	turns->destroy(turns);
}

/**
 * Handshakes that take longer than it takes to fail, with EAP for example, but
 * are established: the window keeps its size
 */
static void test_slow_handshakes(void **state)
{
	static const struct {
		char *row;
		/* milliseconds that a handshake takes */
		u_int takes;
		bool established;
		/* how many are told in the twelfth round */
		u_int told;
	} table[] = {
		{ "in time", 1999, TRUE, 23 },
		{ "at the bound", 2000, TRUE, 23 },
		{ "late", 2500, TRUE, 23 },
		{ "a minute", 60000, TRUE, 23 },
		{ "late, and fail", 2500, FALSE, 1 },
	};
	u_int told, first, round, n;
	qcd_turns_t *turns;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		turns = begin(NULL, NULL, NULL);
		for (told = first = round = 0; round < 12; round++)
		{
			first = told;
			take_home(turns, &told);
			for (n = first; n < told; n++)
			{
				came_home(turns, n);
			}
			box_now += min(table[i].takes, 2000);
			turns->expire(turns);
			box_now += table[i].takes - min(table[i].takes, 2000);
			turns->expire(turns);
			for (n = first; n < told; n++)
			{
				ended(turns, n + 1, table[i].established);
				ended(turns, n + 1, FALSE);
			}
		}
		CHECK_INT(table[i].row, told - first, table[i].told);
		turns->destroy(turns);
	}
}

METHOD(processor_t, get_no_load, u_int,
	processor_t *this, job_priority_t prio)
{
	return 0;
}

/**
 * The window grows if peers are far away, or if handshakes are long, since then
 * it is not this daemon that limits the pace
 */
static void test_growth(void **state)
{
	static const struct {
		char *row;
		/* milliseconds until a handshake begins, and how long it takes */
		u_int begins, takes;
		/* how many are told in the second round */
		u_int told;
	} table[] = {
		{ "near", 29, 299, 23 },
		{ "far", 30, 0, 31 },
		{ "long", 0, 300, 31 },
		{ "both", 30, 300, 31 },
	};
	processor_t real = *lib->processor;
	u_int told, n;
	qcd_turns_t *turns;
	int i;

	lib->processor->get_job_load = _get_no_load;
	for (i = 0; i < countof(table); i++)
	{
		turns = begin(NULL, NULL, NULL);
		told = 0;
		take_home(turns, &told);
		box_now += table[i].begins;
		for (n = 0; n < told; n++)
		{
			came_home(turns, n);
		}
		box_now += table[i].takes;
		for (n = 0; n < 23; n++)
		{
			ended(turns, n + 1, TRUE);
		}
		CHECK_INT(table[i].row, take_home(turns, &told), table[i].told);
		turns->destroy(turns);
	}
	*lib->processor = real;
}

/**
 * A handshake that takes too long has no turn, and gives none back later
 */
static void test_late_turns(void **state)
{
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int told = 0, n;

	CHECK_INT("first", take_home(turns, &told), 23);
	for (n = 0; n < 23; n++)
	{
		came_home(turns, n);
	}
	box_now += 2000;
	turns->expire(turns);
	box_now += 1000;
	turns->expire(turns);
	CHECK_INT("half, after these failed once", take_home(turns, &told), 12);
	ended(turns, 1, FALSE);
	CHECK_INT("one ends", take_home(turns, &told), 0);
	ended(turns, 2, TRUE);
	CHECK_INT("one is established", take_home(turns, &told), 11);
	for (n = 2; n < 23; n++)
	{
		ended(turns, n + 1, TRUE);
	}
	CHECK_INT("all are", take_home(turns, &told), 0);
	turns->destroy(turns);
}

/**
 * Somebody who asks again and again for peers that are not there can't keep
 * others waiting
 */
static void test_again(void **state)
{
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int number = 0, n;

	CHECK_INT("half", take_rank(turns, QCD_RANK_AGAIN, &number), 11);
	CHECK("full", turns->is_full(turns, QCD_RANK_AGAIN));
	CHECK_INT("the others", take_home(turns, &number), 12);
	for (n = 0; n < 100; n++)
	{
		box_now += 300;
		turns->expire(turns);
		take_rank(turns, QCD_RANK_AGAIN, &number);
		CHECK("there is always one", take_home(turns, &number) >= 12);
	}
	/* a handshake of theirs counts as theirs */
	turns->destroy(turns);
	turns = begin(NULL, NULL, NULL);
	number = 0;
	CHECK_INT("half", take_rank(turns, QCD_RANK_AGAIN, &number), 11);
	for (n = 0; n < 11; n++)
	{
		came_home(turns, n);
	}
	CHECK_INT("at work", take_rank(turns, QCD_RANK_AGAIN, &number), 0);
	ended(turns, 1, FALSE);
	box_now += 300;
	turns->expire(turns);
	CHECK_INT("failed", take_rank(turns, QCD_RANK_AGAIN, &number), 1);
	box_now += 1700;
	turns->expire(turns);
	CHECK_INT("stuck, which does not make the window smaller",
			  take_home(turns, &number), 23);
	turns->destroy(turns);
	/* even of one turn */
	box_set("cookie_threshold", "1");
	turns = qcd_turns_create();
	CHECK_INT("one", take_rank(turns, QCD_RANK_AGAIN, &number), 1);
	turns->destroy(turns);
}

/**
 * Peers elsewhere, and those that are not in the map, have paces of their own:
 * one that nobody else uses up, and no failures make smaller than at first
 */
static void test_strangers(void **state)
{
	static const qcd_rank_t ranks[] = { QCD_RANK_ELSEWHERE, QCD_RANK_UNKNOWN };
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int number = 0, first, round, n;
	int i;

	for (i = 0; i < countof(ranks); i++)
	{
		CHECK_INT("first", take_rank(turns, ranks[i], &number), 23);
		CHECK("full", turns->is_full(turns, ranks[i]));
	}
	CHECK_INT("at home", take_home(turns, &number), 23);
	turns->destroy(turns);

	for (i = 0; i < countof(ranks); i++)
	{
		turns = begin(NULL, NULL, NULL);
		for (number = round = 0; round < 12; round++)
		{	/* all begin handshakes, which take too long */
			first = number;
			CHECK_INT("failed", take_rank(turns, ranks[i], &number), 23);
			for (n = first; n < number; n++)
			{
				came_home(turns, n);
			}
			CHECK("at work", turns->is_full(turns, ranks[i]));
			box_now += 2000;
			turns->expire(turns);
		}
		CHECK_INT("home keeps its pace", take_home(turns, &number), 23);
		turns->destroy(turns);

		turns = begin(NULL, NULL, NULL);
		number = 0;
		CHECK_INT("told", take_rank(turns, ranks[i], &number), 23);
		box_now += 300;
		turns->expire(turns);
		CHECK_INT("nobody came", take_rank(turns, ranks[i], &number), 46);
		CHECK_INT("home keeps its pace", take_home(turns, &number), 23);
		box_now += 10000;
		turns->expire(turns);
		turns->destroy(turns);
	}
}

/**
 * Somebody begins handshakes, one a second, in the name of peers that were told
 */
static void test_forged(void **state)
{
	qcd_turns_t *turns = begin(NULL, NULL, NULL);
	u_int told = 0, first, round, n;

	for (round = 0; round < 20; round++)
	{
		first = told;
		CHECK("at pace", take_home(turns, &told) >= 20);
		for (n = first; n < told; n++)
		{
			came_home(turns, n);
			if (n > first)
			{
				ended(turns, n + 1, TRUE);
			}
		}
		box_now += 1000;
		turns->expire(turns);
	}
	turns->destroy(turns);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_addresses),
		BOX_TEST(test_came),
		BOX_TEST(test_whose_handshakes),
		BOX_TEST(test_expire),
		BOX_TEST(test_nobody_came),
		BOX_TEST(test_expire_oldest),
		BOX_TEST(test_pace),
		BOX_TEST(test_pace_ends),
		BOX_TEST(test_patience),
		BOX_TEST(test_another_handshake),
		BOX_TEST(test_late),
		BOX_TEST(test_slow_handshakes),
		BOX_TEST(test_growth),
		BOX_TEST(test_late_turns),
		BOX_TEST(test_again),
		BOX_TEST(test_strangers),
		BOX_TEST(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

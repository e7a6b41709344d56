/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_waiting.h"

#include "box.h"
#include "reply_box.h"

/**
 * How long a reply waits, in milliseconds
 */
#define WAITING_TIME 165000

/**
 * Create a reply about an SA to a port of a peer
 */
static qcd_reply_t *create(uint32_t sa, uint16_t port, qcd_rank_t rank)
{
	return reply_box_create("198.51.100.2", port, sa, 0, rank);
}

static bool add(qcd_waiting_t *waiting, uint32_t sa, uint16_t port,
				qcd_rank_t rank)
{
	return waiting->add(waiting, create(sa, port, rank));
}

/**
 * What was seen of a visit, and what it does
 */
typedef struct {
	qcd_waiting_t *waiting;
	uint16_t ports[16];
	u_int count;
	/** number of replies to take out, and what to do then */
	u_int take;
	qcd_look_t then;
	qcd_reply_t *taken;
} visit_t;

static qcd_look_t look_at(visit_t *this, qcd_reply_t *reply)
{
	this->ports[this->count++ % 16] = reply->src->get_port(reply->src);
	if (!this->take)
	{
		return this->then;
	}
	this->take--;
	this->waiting->remove(this->waiting, reply);
	if (this->taken)
	{
		qcd_reply_destroy(this->taken);
	}
	this->taken = reply;
	return QCD_LOOK_REMOVED;
}

static visit_t visit(qcd_waiting_t *waiting, u_int take, qcd_look_t then)
{
	visit_t done = {
		.waiting = waiting,
		.take = take,
		.then = then,
	};

	waiting->visit(waiting, (qcd_waiting_look_t)look_at, &done);
	return done;
}

/**
 * Check the ports of replies that were visited, in their order, 0 at the end
 */
static void check_visit(const char *row, visit_t done, const uint16_t *ports)
{
	u_int i;

	for (i = 0; i < done.count; i++)
	{
		CHECK_INT(row, done.ports[i], ports[i]);
	}
	CHECK_INT(row, ports[i], 0);
	if (done.taken)
	{
		qcd_reply_destroy(done.taken);
	}
}

#define CHECK_VISIT(row, done, ...) \
	check_visit((row), (done), (const uint16_t[]){ __VA_ARGS__ })

#define CHECK_PORTS(row, waiting, ...) \
	CHECK_VISIT(row, visit(waiting, 0, QCD_LOOK_NEXT), __VA_ARGS__)

/**
 * Get and take out the first reply
 */
static qcd_reply_t *remove_first(qcd_waiting_t *waiting)
{
	visit_t done = visit(waiting, 1, QCD_LOOK_OTHER_RANK);

	assert_non_null(done.taken);
	return done.taken;
}

/**
 * Whether replies are the same, and which SA's places they take
 */
static void test_same(void **state)
{
	static const struct {
		char *row;
		uint32_t sa;
		uint16_t port;
		char *src, *dst;
		bool unasked;
		u_int count;
	} table[] = {
		{ "first", 1, 500, "198.51.100.2", "192.0.2.1", FALSE, 1 },
		{ "same", 1, 500, "198.51.100.2", "192.0.2.1", FALSE, 1 },
		{ "other SA", 2, 500, "198.51.100.2", "192.0.2.1", FALSE, 2 },
		{ "other port", 1, 501, "198.51.100.2", "192.0.2.1", FALSE, 3 },
		{ "other address", 1, 500, "198.51.100.3", "192.0.2.1", FALSE, 4 },
		{ "other address of ours", 1, 500, "198.51.100.2", "192.0.2.2", FALSE,
		  5 },
		{ "not asked for", 1, 500, "198.51.100.2", "192.0.2.1", TRUE, 6 },
		{ "same, not asked for", 1, 500, "198.51.100.2", "192.0.2.1", TRUE, 6 },
	};
	qcd_waiting_t *waiting = qcd_waiting_create();
	qcd_reply_t *reply;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		reply = create(table[i].sa, table[i].port, QCD_RANK_HOME);
		reply->src->destroy(reply->src);
		reply->dst->destroy(reply->dst);
		reply->src = host_create_from_string(table[i].src, table[i].port);
		reply->dst = host_create_from_string(table[i].dst, 500);
		reply->unasked = table[i].unasked;
		CHECK(table[i].row, waiting->add(waiting, reply));
		CHECK_INT(table[i].row, waiting->get_count(waiting), table[i].count);
	}
	waiting->destroy(waiting);
}

/**
 * A repeated request keeps its place, and the reply takes over what is new
 */
static void test_repeated(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();
	qcd_reply_t *reply;

	reply = create(1, 500, QCD_RANK_HOME);
	reply->request.message_id = 7;
	reply->held = 5;
	reply->is_lost = TRUE;
	CHECK("first", waiting->add(waiting, reply));
	CHECK("second", add(waiting, 2, 501, QCD_RANK_HOME));
	box_now += 10;
	reply = create(1, 500, QCD_RANK_UNKNOWN);
	reply->request.message_id = 8;
	reply->is_lost = TRUE;
	reply->lost.peer_port = 9;
	reply->packet.len = 100;
	CHECK("again", waiting->add(waiting, reply));

	reply = remove_first(waiting);
	CHECK_INT("port", reply->src->get_port(reply->src), 500);
	CHECK_INT("message ID", reply->request.message_id, 8);
	CHECK("lost", reply->is_lost);
	CHECK_INT("lost", reply->lost.peer_port, 9);
	CHECK_INT("packet", reply->packet.len, 100);
	CHECK_INT("asked", reply->asked, BOX_NOW + 10);
	CHECK_INT("rank", reply->rank, QCD_RANK_HOME);
	CHECK_INT("held", reply->held, 5);
	qcd_reply_destroy(reply);
	CHECK_INT("count", waiting->get_count(waiting), 1);
	waiting->destroy(waiting);
}

/**
 * A packet of ESP keeps the reply to an IKE request waiting, as that reply; an
 * IKE request makes the reply to ESP its own
 */
static void test_both(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();
	qcd_reply_t *reply, *lost;
	qcd_header request;
	int i;

	reply = create(1, 500, QCD_RANK_HOME);
	reply->request.message_id = 7;
	request.spis = reply->spis;
	CHECK("request", waiting->add(waiting, reply));
	for (i = 0; i < 2; i++)
	{
		box_now += 10;
		lost = create(1, 500, QCD_RANK_HOME);
		lost->is_lost = TRUE;
		lost->packet.len = 100;
		CHECK("ESP", waiting->add(waiting, lost));
		CHECK("still a request", !reply->is_lost);
		CHECK_INT("its message ID", reply->request.message_id, 7);
		CHECK_INT("asked", reply->asked, box_now);
		CHECK("recent", waiting->is_recent(waiting, reply, 1));
		CHECK("not that recent", !waiting->is_recent(waiting, reply, 0));
	}
	waiting->destroy(waiting);

	waiting = qcd_waiting_create();
	lost = create(1, 500, QCD_RANK_HOME);
	lost->is_lost = TRUE;
	CHECK("ESP", waiting->add(waiting, lost));
	CHECK("no request yet", !waiting->touch(waiting, &request, lost->src, lost->dst));
	CHECK("no recent request", !waiting->is_recent(waiting, lost, 1000));
	CHECK("request", add(waiting, 1, 500, QCD_RANK_HOME));
	CHECK("a request now", !lost->is_lost);
	CHECK("recent", waiting->is_recent(waiting, lost, 1));
	waiting->destroy(waiting);
}

/**
 * A repeated request keeps its reply waiting, and is the one that is replied to,
 * unless somebody has sent one that leaves less room for tokens, or is another
 */
static void test_touch(void **state)
{
	static const struct {
		char *row;
		uint8_t flags;
		uint8_t exchange_type;
		uint32_t length;
		bool taken;
	} table[] = {
		{ "as long", 8, 37, 80, TRUE },
		{ "longer", 8, 37, 81, TRUE },
		{ "shorter", 8, 37, 79, FALSE },
		{ "a response", 40, 37, 81, FALSE },
		{ "another exchange", 8, 36, 81, FALSE },
	};
	qcd_waiting_t *waiting;
	qcd_reply_t *reply, *other, *unasked;
	qcd_header request;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		waiting = qcd_waiting_create();
		reply = create(1, 500, QCD_RANK_HOME);
		other = create(2, 500, QCD_RANK_HOME);
		unasked = create(2, 500, QCD_RANK_HOME);
		reply->request.spis = reply->spis;
		reply->request.flags = 8;
		reply->request.exchange_type = 37;
		reply->request.length = 80;
		reply->request.message_id = 7;
		request = reply->request;
		request.flags = table[i].flags;
		request.exchange_type = table[i].exchange_type;
		request.length = table[i].length;
		request.message_id = 8;
		unasked->unasked = unasked->is_lost = TRUE;
		CHECK("add", waiting->add(waiting, unasked));
		CHECK("add", waiting->add(waiting, reply));
		box_now += 10;
		CHECK(table[i].row, waiting->touch(waiting, &request, reply->src,
										   reply->dst));
		CHECK_INT(table[i].row, reply->asked, box_now);
		CHECK_INT(table[i].row, reply->request.message_id,
				  table[i].taken ? 8 : 7);
		request.spis = other->spis;
		CHECK("only an announcement", !waiting->touch(waiting, &request,
													  other->src, other->dst));
		qcd_reply_destroy(remove_first(waiting));
		reply = remove_first(waiting);
		request.spis = reply->spis;
		CHECK("waits no more", !waiting->touch(waiting, &request, reply->src,
											   reply->dst));
		qcd_reply_destroy(reply);
		qcd_reply_destroy(other);
		waiting->destroy(waiting);
	}
}

/**
 * A place of an SA that was given back is one again
 */
static void test_place_again(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();
	int i;

	for (i = 0; i < 3; i++)
	{
		CHECK("three", add(waiting, 1, 500 + i, QCD_RANK_UNKNOWN));
	}
	CHECK("too many", !add(waiting, 1, 600, QCD_RANK_UNKNOWN));
	qcd_reply_destroy(remove_first(waiting));
	CHECK("one again", add(waiting, 1, 601, QCD_RANK_UNKNOWN));
	CHECK("too many again", !add(waiting, 1, 602, QCD_RANK_UNKNOWN));
	CHECK("for its peer", add(waiting, 1, 603, QCD_RANK_HOME));
	CHECK_PORTS("order", waiting, 603, 501, 502, 601, 0);
	waiting->destroy(waiting);
}

static void test_order(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();

	CHECK_PORTS("empty", waiting, 0);
	CHECK("add", add(waiting, 1, 501, QCD_RANK_UNKNOWN));
	CHECK("add", add(waiting, 2, 502, QCD_RANK_HOME));
	CHECK("add", add(waiting, 3, 503, QCD_RANK_ELSEWHERE));
	CHECK("add", add(waiting, 4, 504, QCD_RANK_HOME));
	CHECK("add", add(waiting, 5, 505, QCD_RANK_UNKNOWN));
	CHECK("add", add(waiting, 6, 506, QCD_RANK_AGAIN));
	CHECK_PORTS("all", waiting, 502, 504, 506, 503, 501, 505, 0);
	CHECK("again", add(waiting, 2, 502, QCD_RANK_HOME));
	CHECK_PORTS("again", waiting, 502, 504, 506, 503, 501, 505, 0);
	waiting->destroy(waiting);
}

/**
 * Add a reply to an address, whose port is its SA
 */
static void add_at(qcd_waiting_t *waiting, char *address, uint32_t sa,
				   qcd_rank_t rank)
{
	CHECK("add", waiting->add(waiting, reply_box_create(address, sa, sa, 0, rank)));
}

/**
 * Addresses take turns, and nobody is looked at in vain
 */
static void test_addresses(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();

	add_at(waiting, "198.51.100.1", 11, QCD_RANK_HOME);
	add_at(waiting, "198.51.100.1", 12, QCD_RANK_HOME);
	add_at(waiting, "198.51.100.1", 13, QCD_RANK_HOME);
	add_at(waiting, "198.51.100.2", 21, QCD_RANK_HOME);
	add_at(waiting, "198.51.100.2", 22, QCD_RANK_HOME);
	add_at(waiting, "198.51.100.3", 31, QCD_RANK_AGAIN);
	add_at(waiting, "198.51.100.3", 32, QCD_RANK_AGAIN);
	CHECK_VISIT("one of each address",
				visit(waiting, 0, QCD_LOOK_OTHER_ADDRESS), 11, 21, 31, 0);
	CHECK_VISIT("one of each rank", visit(waiting, 0, QCD_LOOK_OTHER_RANK),
				11, 31, 0);
	CHECK_VISIT("it keeps its turn", visit(waiting, 0, QCD_LOOK_OTHER_RANK),
				11, 31, 0);
	CHECK_VISIT("it has its turn", visit(waiting, 1, QCD_LOOK_OTHER_RANK),
				11, 12, 31, 0);
	CHECK_VISIT("the other one's turn", visit(waiting, 1, QCD_LOOK_OTHER_RANK),
				21, 22, 31, 0);
	add_at(waiting, "198.51.100.4", 41, QCD_RANK_HOME);
	CHECK_VISIT("then the first one's", visit(waiting, 2, QCD_LOOK_OTHER_RANK),
				12, 13, 22, 31, 0);
	CHECK_INT("rest", waiting->get_count(waiting), 4);
	waiting->destroy(waiting);
}

static void test_late(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();
	int i;

	for (i = 0; i < 3; i++)
	{
		CHECK("add", add(waiting, 1, 501 + i, QCD_RANK_UNKNOWN));
	}
	box_now += WAITING_TIME - 1;
	CHECK_PORTS("in time", waiting, 501, 502, 503, 0);
	CHECK("repeated", add(waiting, 1, 502, QCD_RANK_UNKNOWN));
	box_now++;
	CHECK_PORTS("late", waiting, 502, 0);
	CHECK_INT("late", waiting->get_count(waiting), 1);
	CHECK("place", add(waiting, 1, 504, QCD_RANK_UNKNOWN));
	CHECK("place", add(waiting, 1, 505, QCD_RANK_UNKNOWN));
	CHECK("place", !add(waiting, 1, 506, QCD_RANK_UNKNOWN));
	box_now += WAITING_TIME;
	CHECK_PORTS("all late", waiting, 0);
	CHECK_INT("all late", waiting->get_count(waiting), 0);
	waiting->destroy(waiting);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_same),
		BOX_TEST(test_repeated),
		BOX_TEST(test_both),
		BOX_TEST(test_touch),
		BOX_TEST(test_place_again),
		BOX_TEST(test_order),
		BOX_TEST(test_addresses),
		BOX_TEST(test_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_waiting.h"

#include "box.h"

/**
 * Places of each rank
 */
#define HOME_MAX 16384
#define AGAIN_MAX 4096
#define ELSEWHERE_MAX 1024
#define UNKNOWN_MAX 1024

/**
 * How long a reply waits, in milliseconds
 */
#define WAITING_TIME 165000

/**
 * Create a reply about an SA, in which a number is our SPI and another one is
 * the peer's, to an address and port
 */
static qcd_reply_t *create_at(char *address, uint16_t port, uint32_t ours,
							  uint32_t theirs, qcd_rank_t rank)
{
	qcd_ike_sa sa = {
		.role = QCD_INITIATOR,
	};
	host_t *src = host_create_from_string(address, port);
	host_t *dst = host_create_from_string("192.0.2.1", 500);
	qcd_reply_t *reply;

	memcpy(sa.spis.initiator.octets, &ours, sizeof(ours));
	memcpy(sa.spis.responder.octets, &theirs, sizeof(theirs));
	reply = qcd_reply_create(&sa, src, dst);
	reply->rank = rank;
	src->destroy(src);
	dst->destroy(dst);
	return reply;
}

/**
 * Create a reply about an SA to a port of a peer
 */
static qcd_reply_t *create(uint32_t sa, uint16_t port, qcd_rank_t rank)
{
	return create_at("198.51.100.2", port, sa, 0, rank);
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
 * Of one SA four wait, of which one is kept for where its peer was
 */
static void test_same_sa(void **state)
{
	static const struct {
		char *row;
		qcd_rank_t ranks[6];
		bool unasked[6];
		bool added[6];
		u_int count;
	} table[] = {
		{ "home", { QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME,
					QCD_RANK_HOME, QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, TRUE, FALSE, FALSE }, 4 },
		{ "elsewhere", { QCD_RANK_ELSEWHERE, QCD_RANK_ELSEWHERE,
						 QCD_RANK_ELSEWHERE, QCD_RANK_ELSEWHERE, QCD_RANK_HOME,
						 QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, FALSE, TRUE, FALSE }, 4 },
		{ "unknown", { QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN,
					   QCD_RANK_UNKNOWN, QCD_RANK_HOME, QCD_RANK_UNKNOWN },
		  {}, { TRUE, TRUE, TRUE, FALSE, TRUE, FALSE }, 4 },
		{ "strangers of both ranks", { QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE,
					   QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE, QCD_RANK_UNKNOWN,
					   QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, FALSE, FALSE, TRUE }, 4 },
		{ "home first", { QCD_RANK_HOME, QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN,
						  QCD_RANK_UNKNOWN, QCD_RANK_UNKNOWN, QCD_RANK_HOME },
		  {}, { TRUE, TRUE, TRUE, TRUE, FALSE, FALSE }, 4 },
		{ "an announcement takes none", { QCD_RANK_HOME, QCD_RANK_HOME,
						  QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME,
						  QCD_RANK_HOME },
		  { TRUE }, { TRUE, TRUE, TRUE, TRUE, TRUE, FALSE }, 5 },
		{ "nor is it kept out", { QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME,
						  QCD_RANK_HOME, QCD_RANK_HOME, QCD_RANK_HOME },
		  { FALSE, FALSE, FALSE, FALSE, TRUE },
		  { TRUE, TRUE, TRUE, TRUE, TRUE, FALSE }, 5 },
	};
	qcd_waiting_t *waiting;
	qcd_reply_t *reply;
	char row[64];
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		waiting = qcd_waiting_create();
		for (j = 0; j < 6; j++)
		{
			snprintf(row, sizeof(row), "%s, %d", table[i].row, j);
			reply = create(1, 500 + j, table[i].ranks[j]);
			reply->unasked = table[i].unasked[j];
			CHECK_INT(row, waiting->add(waiting, reply), table[i].added[j]);
			CHECK(row, add(waiting, 100 + j, 500, table[i].ranks[j]));
		}
		CHECK_INT(table[i].row, waiting->get_count(waiting),
				  table[i].count + 6);
		waiting->destroy(waiting);
	}
}

/**
 * Whoever has seen an SPI of ours takes the same three places with any address
 * and any SPI of the peer; the oldest reply should make room for the next one
 */
static void test_same_spi(void **state)
{
	static const qcd_rank_t ranks[] = { QCD_RANK_UNKNOWN, QCD_RANK_ELSEWHERE };
	qcd_waiting_t *waiting;
	qcd_reply_t *reply[4];
	char address[24];
	int i, j;

	for (i = 0; i < countof(ranks); i++)
	{
		waiting = qcd_waiting_create();
		for (j = 0; j < countof(reply); j++)
		{
			snprintf(address, sizeof(address), "198.51.100.%d", j + 1);
			reply[j] = create_at(address, 500, 1, j, ranks[i]);
			CHECK_INT("three", waiting->add(waiting, reply[j]), j < 3);
			CHECK_INT("surplus", waiting->is_surplus(waiting, reply[0]), j >= 2);
		}
		CHECK("another SPI of ours",
			  waiting->add(waiting, create_at("198.51.100.9", 500, 2, 3, ranks[i])));
		reply[3] = create_at("198.51.100.4", 500, 1, 3, QCD_RANK_HOME);
		CHECK("at home", waiting->add(waiting, reply[3]));
		CHECK("not surplus", !waiting->is_surplus(waiting, reply[3]));
		qcd_reply_destroy(remove_first(waiting));
		qcd_reply_destroy(remove_first(waiting));
		CHECK("there is room", !waiting->is_surplus(waiting, reply[1]));
		CHECK("again", waiting->add(waiting, create_at("198.51.100.7", 500, 1, 7,
													   ranks[i])));
		waiting->destroy(waiting);
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
		qcd_rank_t rank;
		u_int most;
	} table[] = {
		{ "IPv4", "198.51.100.1", "198.51.100.1", "198.51.100.2",
		  QCD_RANK_UNKNOWN, UNKNOWN_MAX / 8 },
		{ "IPv6", "2001:db8::1", "2001:db8::1:0:0:2", "2001:db8:0:1::1",
		  QCD_RANK_UNKNOWN, UNKNOWN_MAX / 8 },
		{ "elsewhere", "198.51.100.1", "198.51.100.1", "198.51.100.2",
		  QCD_RANK_ELSEWHERE, ELSEWHERE_MAX / 8 },
		{ "at home", "198.51.100.1", NULL, NULL, QCD_RANK_HOME, HOME_MAX },
		{ "told before", "198.51.100.1", NULL, NULL, QCD_RANK_AGAIN, AGAIN_MAX },
	};
	qcd_waiting_t *waiting;
	u_int n, most;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		waiting = qcd_waiting_create();
		most = table[i].most;
		for (n = 0; n < most + 1; n++)
		{
			CHECK_INT(table[i].row, waiting->add(waiting,
						create_at(table[i].address, 500, n, 0, table[i].rank)),
					  n < most);
		}
		if (table[i].same)
		{
			CHECK(table[i].row, !waiting->add(waiting,
						create_at(table[i].same, 501, n, 0, table[i].rank)));
			CHECK(table[i].row, waiting->add(waiting,
						create_at(table[i].other, 500, n, 0, table[i].rank)));
			CHECK("in another rank", waiting->add(waiting,
						create_at(table[i].address, 500, n + 1, 0,
								  QCD_RANK_ELSEWHERE + QCD_RANK_UNKNOWN -
								  table[i].rank)));
			CHECK("at home", waiting->add(waiting,
						create_at(table[i].address, 500, n + 2, 0,
								  QCD_RANK_HOME)));
			/* a place that is given back is one again */
			qcd_reply_destroy(remove_first(waiting));
		}
		waiting->destroy(waiting);
	}
}

/**
 * Announcements are counted by themselves, too
 */
static void test_unasked(void **state)
{
	qcd_waiting_t *waiting = qcd_waiting_create();
	qcd_reply_t *reply;
	int i;

	for (i = 0; i < 6; i++)
	{
		reply = create(i, 500, i < 4 ? QCD_RANK_HOME : QCD_RANK_UNKNOWN);
		reply->unasked = i % 2;
		CHECK("add", waiting->add(waiting, reply));
		CHECK_INT("count", waiting->get_count(waiting), i + 1);
		CHECK_INT("unasked", waiting->get_unasked(waiting), (i + 1) / 2);
	}
	for (i = 0; i < 6; i++)
	{
		qcd_reply_destroy(remove_first(waiting));
		CHECK_INT("unasked", waiting->get_unasked(waiting), 3 - (i + 1) / 2);
	}
	waiting->destroy(waiting);
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

/**
 * Create a reply about an SA to an address of its own
 */
static qcd_reply_t *create_numbered(uint32_t sa, qcd_rank_t rank)
{
	char address[24];

	snprintf(address, sizeof(address), "10.0.%u.%u", sa >> 8, sa & 255);
	return create_at(address, 500, sa, 0, rank);
}

static bool add_numbered(qcd_waiting_t *waiting, uint32_t sa, qcd_rank_t rank)
{
	return waiting->add(waiting, create_numbered(sa, rank));
}

/**
 * Each rank has places of its own
 */
static void test_ranks(void **state)
{
	static const struct {
		char *row;
		qcd_rank_t rank;
		u_int max;
	} table[] = {
		{ "unknown", QCD_RANK_UNKNOWN, UNKNOWN_MAX },
		{ "elsewhere", QCD_RANK_ELSEWHERE, ELSEWHERE_MAX },
		{ "again", QCD_RANK_AGAIN, AGAIN_MAX },
		{ "home", QCD_RANK_HOME, HOME_MAX },
	};
	qcd_waiting_t *waiting = qcd_waiting_create();
	qcd_reply_t *reply;
	uint32_t sa = 0;
	u_int count = 0, n;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		for (n = 1; n <= table[i].max; n++)
		{
			reply = create_numbered(++sa, table[i].rank);
			CHECK(table[i].row, waiting->add(waiting, reply));
			CHECK_INT(table[i].row, waiting->is_surplus(waiting, reply),
					  table[i].rank >= QCD_RANK_ELSEWHERE &&
					  n > table[i].max / 2);
		}
		CHECK(table[i].row, !add_numbered(waiting, ++sa, table[i].rank));
		count += table[i].max;
		CHECK_INT(table[i].row, waiting->get_count(waiting), count);
		/* a repeated one needs no place */
		CHECK(table[i].row, add_numbered(waiting, sa - 1, table[i].rank));
		CHECK_INT(table[i].row, waiting->get_count(waiting), count);
	}
	/* the first one is of the rank of peers */
	qcd_reply_destroy(remove_first(waiting));
	CHECK("unknown", !add_numbered(waiting, ++sa, QCD_RANK_UNKNOWN));
	CHECK("elsewhere", !add_numbered(waiting, ++sa, QCD_RANK_ELSEWHERE));
	CHECK("again", !add_numbered(waiting, ++sa, QCD_RANK_AGAIN));
	CHECK("home", add_numbered(waiting, ++sa, QCD_RANK_HOME));
	CHECK("home", !add_numbered(waiting, ++sa, QCD_RANK_HOME));
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
	CHECK("add", waiting->add(waiting, create_at(address, sa, sa, 0, rank)));
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
		BOX_TEST(test_same_sa),
		BOX_TEST(test_same_spi),
		BOX_TEST(test_source),
		BOX_TEST(test_unasked),
		BOX_TEST(test_place_again),
		BOX_TEST(test_ranks),
		BOX_TEST(test_order),
		BOX_TEST(test_addresses),
		BOX_TEST(test_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_events.h"

#include "box.h"
#include "played.h"

#include <inttypes.h>

/**
 * What a receiver got
 */
typedef struct {
	u_int count;
	char last[1024];
} received_t;

static void receive(void *data, chunk_t line)
{
	received_t *this = data;

	assert_in_range(line.len, 1, sizeof(this->last) - 1);
	this->count++;
	snprintf(this->last, sizeof(this->last), "%.*s", (int)line.len, line.ptr);
}

/**
 * Each event: its name, and its text in the log, NULL if it is only counted
 */
static const struct {
	qcd_event_t event;
	char *name, *text;
} kinds[] = {
	{ QCD_EVENT_TOLD, "told", "the peer was told that its IKE_SA is lost" },
	{ QCD_EVENT_LIMITED, "limited", "over the rate limit" },
	{ QCD_EVENT_NO_EVIDENCE, "no_evidence", NULL },
	{ QCD_EVENT_ALIVE, "alive", "should be dead but is alive" },
	{ QCD_EVENT_ESP_PASSED_OVER, "esp_passed_over", NULL },
	{ QCD_EVENT_VERIFIED, "verified", "token proves that the peer lost" },
	{ QCD_EVENT_MISMATCHED, "mismatched", "token does not match its IKE_SA" },
	{ QCD_EVENT_UNKNOWN, "unknown", "token for an IKE_SA for which we hold none" },
	{ QCD_EVENT_UNCHECKED, "unchecked", "token not checked" },
	{ QCD_EVENT_RETRYING, "retrying", "connection is not up again yet" },
	{ QCD_EVENT_RECOVERED, "recovered", "connection is up again" },
	{ QCD_EVENT_ABANDONED, "abandoned", "connection is not brought up again" },
	{ QCD_EVENT_ROTATED, "rotated", "tokens are made with a new secret" },
};

/**
 * Get the counter of an event, which has its name
 */
static long count_of(qcd_events_t *events, qcd_event_t event)
{
	qcd_json_t *json = qcd_json_create();
	char line[1024], key[64], *found = NULL;
	chunk_t text;
	int i;

	json->begin(json, NULL);
	events->describe_counts(events, json);
	text = json->finish(json);
	snprintf(line, sizeof(line), "%.*s", (int)text.len, text.ptr);
	chunk_free(&text);
	for (i = 0; i < countof(kinds); i++)
	{
		if (kinds[i].event == event)
		{
			snprintf(key, sizeof(key), "\"%s\":", kinds[i].name);
			found = strstr(line, key);
		}
	}
	assert_non_null(found);
	return strtol(strchr(found, ':') + 1, NULL, 10);
}

static void test_kinds(void **state)
{
	qcd_events_t *events = qcd_events_create();
	received_t received;
	char want[64];
	int i, j;

	assert_int_equal(countof(kinds), QCD_EVENT_MAX);
	events->set_receiver(events, receive, &received);
	for (i = 0; i < countof(kinds); i++)
	{
		bool logged = kinds[i].text != NULL;

		memset(&received, 0, sizeof(received));
		box_forget_log();
		events->raise(events, kinds[i].event, NULL, NULL, NULL, NULL);
		CHECK_LOGGED(kinds[i].name, "", logged);
		snprintf(want, sizeof(want), "QCD: %s: ", kinds[i].name);
		CHECK_LOGGED(kinds[i].name, want, logged);
		CHECK_LOGGED(kinds[i].name, kinds[i].text ?: "", logged);
		CHECK_INT(kinds[i].name, received.count, logged);
		snprintf(want, sizeof(want), ",\"event\":\"%s\",\"suppressed\":0}\n",
				 kinds[i].name);
		CHECK(kinds[i].name, !logged || strstr(received.last, want));
		for (j = 0; j < countof(kinds); j++)
		{
			CHECK_INT(kinds[i].name,
					  count_of(events, kinds[j].event), j <= i);
		}
	}
	events->destroy(events);
}

/**
 * The MESSAGE_ID that charon-systemd derives from a format
 */
static char message_id[64];

METHOD(logger_t, derive_id, void,
	logger_t *this, debug_t group, level_t level, int thread, ike_sa_t *ike_sa,
	const char *fmt, va_list args)
{
	snprintf(message_id, sizeof(message_id), "57d2708c-d607-43bd-8c39-66bf%.8x",
			 chunk_hash_static(chunk_from_str((char*)fmt)));
}

METHOD(logger_t, level_of_all, level_t,
	logger_t *this, debug_t group)
{
	return LEVEL_CTRL;
}

/**
 * Each event that is logged has a MESSAGE_ID of its own, whatever it is about,
 * and the manual has it
 */
static void test_message_ids(void **state)
{
	qcd_events_t *events = qcd_events_create();
	logger_t logger = {
		.vlog = _derive_id,
		.get_level = _level_of_all,
	};
	char row[128], once[sizeof(message_id)];
	chunk_t *page;
	int i;

	page = chunk_map(MANUAL, FALSE);
	assert_non_null(page);
	charon->bus->add_logger(charon->bus, &logger);
	for (i = 0; i < countof(kinds); i++)
	{
		message_id[0] = '\0';
		events->raise(events, kinds[i].event, NULL, NULL, NULL, NULL);
		strcpy(once, message_id);
		events->raise(events, kinds[i].event, NULL, NULL, "gw", "detail");
		CHECK_STR(kinds[i].name, message_id, once);
		CHECK_INT(kinds[i].name, *once != '\0', kinds[i].text != NULL);
		snprintf(row, sizeof(row), "\n.It Li %s\n.Li %s\n", kinds[i].name, once);
		CHECK_INT(kinds[i].name,
				  memmem(page->ptr, page->len, row, strlen(row)) != NULL,
				  kinds[i].text != NULL);
	}
	charon->bus->remove_logger(charon->bus, &logger);
	chunk_unmap(page);
	events->destroy(events);
}

static void test_details(void **state)
{
	static const struct {
		char *row, *name, *peer;
		bool spis;
		char *detail, *log, *json;
	} table[] = {
		{ "nothing", NULL, NULL, FALSE, NULL,
		  "up again yet", "\"retrying\",\"suppressed\":0}\n" },
		{ "connection", "gw", NULL, FALSE, NULL,
		  "up again yet: connection gw",
		  "\"retrying\",\"connection\":\"gw\",\"suppressed\":0}\n" },
		{ "peer", NULL, "192.0.2.7", FALSE, NULL,
		  "up again yet: peer 192.0.2.7[4500]",
		  "\"retrying\",\"peer\":\"192.0.2.7[4500]\",\"suppressed\":0}\n" },
		{ "SPIs", NULL, NULL, TRUE, NULL,
		  "up again yet: SPIs 0102030405060708_i 090a0b0c0d0e0f10_r",
		  "\"retrying\",\"spi_i\":\"0102030405060708\","
		  "\"spi_r\":\"090a0b0c0d0e0f10\",\"suppressed\":0}\n" },
		{ "all", "gw", "2001:db8::7", TRUE, NULL,
		  "up again yet: connection gw peer 2001:db8::7[4500] SPIs "
		  "0102030405060708_i 090a0b0c0d0e0f10_r",
		  "\"connection\":\"gw\",\"peer\":\"2001:db8::7[4500]\","
		  "\"spi_i\":\"0102030405060708\",\"spi_r\":\"090a0b0c0d0e0f10\","
		  "\"suppressed\":0}\n" },
		{ "detail", "gw", "192.0.2.7", FALSE, "no answer",
		  "connection gw peer 192.0.2.7[4500] (no answer)",
		  "\"peer\":\"192.0.2.7[4500]\",\"detail\":\"no answer\","
		  "\"suppressed\":0}\n" },
		{ "quotes, format", "g\"%s", NULL, FALSE, "a\\%n",
		  "connection g\"%s (a\\%n)",
		  "\"connection\":\"g\\u0022%s\",\"detail\":\"a\\u005c%n\"," },
	};
	qcd_events_t *events = qcd_events_create();
	received_t received;
	qcd_ike_sa sa;
	host_t *peer;
	int i;

	played_spis(&sa, QCD_INITIATOR, 1);
	events->set_receiver(events, receive, &received);
	for (i = 0; i < countof(table); i++)
	{
		peer = table[i].peer ? host_create_from_string(table[i].peer, 4500)
							 : NULL;
		box_now += 1000;
		box_forget_log();
		events->raise(events, QCD_EVENT_RETRYING,
					  table[i].spis ? &sa.spis : NULL, peer, table[i].name,
					  table[i].detail);
		CHECK_LOGGED(table[i].row, table[i].log, 1);
		CHECK(table[i].row, strstr(received.last, table[i].json) != NULL);
		CHECK(table[i].row,
			  strpfx(received.last, "{\"type\":\"event\","
					 "\"time_ms\":1700000000000,\"event\":\"retrying\","));
		DESTROY_IF(peer);
	}
	events->destroy(events);
}

/**
 * The log cuts what is too long, a client gets all of it
 */
static void test_long(void **state)
{
	qcd_events_t *events = qcd_events_create();
	char name[201], detail[201], line[256];
	received_t received;
	host_t *peer;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(detail, 'd', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = '\0';
	peer = host_create_from_string("2001:db8:1111:2222:3333:4444:5555:6666",
								   65535);
	events->set_receiver(events, receive, &received);
	events->raise(events, QCD_EVENT_ABANDONED, NULL, peer, name, detail);
	snprintf(line, sizeof(line), ": connection %.64s peer 2001:db8:1111:2222:"
			 "3333:4444:5555:6666[65535] (%.128s)", name, detail);
	CHECK_LOGGED("long", line, 1);
	CHECK("long", strstr(received.last, name) && strstr(received.last, detail));
	peer->destroy(peer);
	events->destroy(events);
}

/**
 * Five of a kind a second are logged and passed on, all are counted
 */
static void test_rate(void **state)
{
	static const struct {
		char *row;
		uint64_t at;
		qcd_event_t event;
		u_int times, lines;
		char *text;
	} table[] = {
		{ "up to the rate", BOX_NOW, QCD_EVENT_TOLD, 5, 5, "IKE_SA is lost" },
		{ "one more", BOX_NOW, QCD_EVENT_TOLD, 1, 0, "" },
		{ "end of the second", BOX_NOW + 999, QCD_EVENT_TOLD, 2, 0, "" },
		{ "another kind", BOX_NOW + 999, QCD_EVENT_MISMATCHED, 5, 5, "match" },
		{ "the next second", BOX_NOW + 1000, QCD_EVENT_TOLD, 1, 1,
		  "(and 3 more before)" },
		{ "told once of these", BOX_NOW + 1000, QCD_EVENT_TOLD, 1, 1, "" },
		{ "and three", BOX_NOW + 1000, QCD_EVENT_TOLD, 3, 3, "IKE_SA is lost" },
		{ "too many again", BOX_NOW + 1000, QCD_EVENT_TOLD, 10000, 0, "" },
		{ "much later", BOX_NOW + 100000, QCD_EVENT_TOLD, 1, 1,
		  "(and 10000 more before)" },
		{ "the other kind", BOX_NOW + 100000, QCD_EVENT_MISMATCHED, 1, 1,
		  "match" },
	};
	qcd_events_t *events = qcd_events_create();
	received_t received = {};
	uint64_t total = 0;
	u_int passed;
	int i, j;

	events->set_receiver(events, receive, &received);
	for (i = 0; i < countof(table); i++)
	{
		box_now = table[i].at;
		box_forget_log();
		passed = received.count;
		for (j = 0; j < table[i].times; j++)
		{
			events->raise(events, table[i].event, NULL, NULL, NULL, NULL);
		}
		CHECK_LOGGED(table[i].row, "", table[i].lines);
		CHECK_LOGGED(table[i].row, table[i].text, table[i].lines);
		CHECK_LOGGED(table[i].row, "more before",
					 strstr(table[i].text, "more before") ? 1 : 0);
		CHECK_INT(table[i].row, received.count - passed, table[i].lines);
		total += table[i].event == QCD_EVENT_TOLD ? table[i].times : 0;
		CHECK_INT(table[i].row, count_of(events, QCD_EVENT_TOLD),
				  total);
	}
	events->destroy(events);
}

static void test_receiver(void **state)
{
	qcd_events_t *events = qcd_events_create();
	received_t one = {}, other = {};

	events->raise(events, QCD_EVENT_TOLD, NULL, NULL, NULL, NULL);
	events->set_receiver(events, receive, &one);
	events->raise(events, QCD_EVENT_TOLD, NULL, NULL, NULL, NULL);
	events->set_receiver(events, receive, &other);
	events->raise(events, QCD_EVENT_TOLD, NULL, NULL, NULL, NULL);
	events->set_receiver(events, NULL, NULL);
	events->raise(events, QCD_EVENT_TOLD, NULL, NULL, NULL, NULL);
	CHECK_INT("first", one.count, 1);
	CHECK_INT("second", other.count, 1);
	CHECK_LOGGED("all", "", 4);
	events->destroy(events);
}

static void test_recovered(void **state)
{
	qcd_events_t *events = qcd_events_create();
	qcd_ike_sa sa;

	played_spis(&sa, QCD_INITIATOR, 1);
	CHECK_INT("never", events->get_recovery(events, "gw"), 0);
	events->recovered(events, &sa.spis, NULL, "gw", box_now);
	CHECK_INT("first", events->get_recovery(events, "gw"), BOX_TIME);
	CHECK_INT("other", events->get_recovery(events, "gw2"), 0);
	box_time += 7;
	events->recovered(events, &sa.spis, NULL, "gw", box_now);
	CHECK_INT("again", events->get_recovery(events, "gw"), BOX_TIME + 7);
	CHECK_INT("count", count_of(events, QCD_EVENT_RECOVERED), 2);
	CHECK_LOGGED("log", "up again after a crash of the peer: connection gw", 2);
	events->destroy(events);
}

/**
 * Give an IKE_SA another peer
 */
static void set_peer(played_ike_t *ike, char *id)
{
	ike->other_id->destroy(ike->other_id);
	ike->other_id = identification_create_from_string(id);
}

/**
 * A connection that only the peer can bring back, and what is seen of IKE_SAs
 */
static void test_expected(void **state)
{
	static const struct {
		char *row;
		bool expect;
		char *name, *id;
		ike_version_t version;
		bool half, up;
		uint64_t after;
		bool recovers;
	} table[] = {
		{ "not expected", FALSE, "gw", "a", IKEV2, FALSE, TRUE, 0, FALSE },
		{ "down", TRUE, "gw", "a", IKEV2, FALSE, FALSE, 0, FALSE },
		{ "another one", FALSE, "gw2", "a", IKEV2, FALSE, TRUE, 0, FALSE },
		{ "another peer", FALSE, "gw", "b", IKEV2, FALSE, TRUE, 0, FALSE },
		{ "IKEv1", FALSE, "gw", "a", IKEV1, FALSE, TRUE, 0, FALSE },
		{ "one SPI", FALSE, "gw", "a", IKEV2, TRUE, TRUE, 0, FALSE },
		{ "back", FALSE, "gw", "a", IKEV2, FALSE, TRUE, 0, TRUE },
		{ "back once", FALSE, "gw", "a", IKEV2, FALSE, TRUE, 0, FALSE },
		{ "expected twice", TRUE, "gw", "a", IKEV2, FALSE, TRUE, 0, TRUE },
		{ "after an hour", TRUE, "gw", "a", IKEV2, FALSE, TRUE, 3600000, TRUE },
		{ "too late", TRUE, "gw", "a", IKEV2, FALSE, TRUE, 3600001, FALSE },
	};
	qcd_events_t *events = qcd_events_create();
	qcd_ike_sa sa, half;
	played_ike_t *ike;
	u_int count = 0;
	int i;

	played_spis(&sa, QCD_RESPONDER, 1);
	half = sa;
	memset(&half.spis.responder, 0, sizeof(half.spis.responder));
	for (i = 0; i < countof(table); i++)
	{
		ike = played_ike_create(1, table[i].half ? &half : &sa);
		ike->name = table[i].name;
		ike->version = table[i].version;
		set_peer(ike, table[i].id);
		if (table[i].expect)
		{
			events->expect(events, &ike->public);
			events->expect(events, &ike->public);
		}
		box_time++;
		box_now += table[i].after;
		charon->bus->ike_updown(charon->bus, &ike->public, table[i].up);
		count += table[i].recovers;
		CHECK_INT(table[i].row,
				  count_of(events, QCD_EVENT_RECOVERED), count);
		CHECK_INT(table[i].row, events->get_recovery(events, "gw") == box_time,
				  table[i].recovers);
		played_ike_destroy(ike);
	}
	CHECK_LOGGED("back", "connection gw peer 198.51.100.2[4500] SPIs "
				 "0102030405060708_i 090a0b0c0d0e0f10_r", 3);
	events->destroy(events);
}

/**
 * A thousand peers are expected at most, those of the last hour
 */
static void test_many_expected(void **state)
{
	qcd_events_t *events = qcd_events_create();
	played_ike_t *ike;
	qcd_ike_sa sa;
	char id[16];
	int i;

	played_spis(&sa, QCD_RESPONDER, 1);
	ike = played_ike_create(1, &sa);
	for (i = 0; i < 1001; i++)
	{
		snprintf(id, sizeof(id), "peer%d", i);
		set_peer(ike, id);
		events->expect(events, &ike->public);
	}
	charon->bus->ike_updown(charon->bus, &ike->public, TRUE);
	CHECK_INT("one more", count_of(events, QCD_EVENT_RECOVERED), 0);
	set_peer(ike, "peer999");
	charon->bus->ike_updown(charon->bus, &ike->public, TRUE);
	CHECK_INT("the last", count_of(events, QCD_EVENT_RECOVERED), 1);
	box_now += 3600001;
	for (i = 0; i < 2; i++)
	{
		set_peer(ike, i ? "peer1" : "other");
		events->expect(events, &ike->public);
		charon->bus->ike_updown(charon->bus, &ike->public, TRUE);
		CHECK_INT("later", count_of(events, QCD_EVENT_RECOVERED), 2 + i);
	}
	played_ike_destroy(ike);
	events->destroy(events);
}

/**
 * Check what is told about the times of recoveries
 */
static void check_times(char *row, qcd_events_t *events, char *within,
						u_int count, uint64_t sum, int line)
{
	qcd_json_t *json = qcd_json_create();
	char want[512];
	chunk_t got;

	events->describe_times(events, json);
	snprintf(want, sizeof(want), "{\"type\":\"recovery_times\",\"limits_ms\":"
			 "[10,25,50,100,250,500,1000,2500,5000,10000,30000,60000,300000],"
			 "\"within\":[%s],\"count\":%u,\"sum_ms\":%" PRIu64 "}\n", within,
			 count, sum);
	got = json->finish(json);
	if (!chunk_equals(got, chunk_from_str(want)))
	{
		print_error("row '%s': the times are '%.*s', want '%s'\n", row,
					(int)got.len, got.ptr, want);
		_fail(__FILE__, line);
	}
	chunk_free(&got);
}

#define CHECK_TIMES(row, events, within, count, sum) \
	check_times((row), (events), (within), (count), (sum), __LINE__)

static void test_times(void **state)
{
	static const struct {
		char *row;
		uint64_t took;
		char *within;
	} table[] = {
		{ "at once", 0, "1,1,1,1,1,1,1,1,1,1,1,1,1" },
		{ "first limit", 10, "2,2,2,2,2,2,2,2,2,2,2,2,2" },
		{ "above it", 11, "2,3,3,3,3,3,3,3,3,3,3,3,3" },
		{ "a second", 1000, "2,3,3,3,3,3,4,4,4,4,4,4,4" },
		{ "more", 1001, "2,3,3,3,3,3,4,5,5,5,5,5,5" },
		{ "last limit", 300000, "2,3,3,3,3,3,4,5,5,5,5,5,6" },
		{ "above all", 300001, "2,3,3,3,3,3,4,5,5,5,5,5,6" },
		{ "fifty days", 50 * 86400000ull, "2,3,3,3,3,3,4,5,5,5,5,5,6" },
	};
	qcd_events_t *events = qcd_events_create();
	uint64_t sum = 0;
	int i;

	CHECK_TIMES("none", events, "0,0,0,0,0,0,0,0,0,0,0,0,0", 0, 0);
	for (i = 0; i < countof(table); i++)
	{
		box_now += 60000;
		events->recovered(events, NULL, NULL, "gw", box_now - table[i].took);
		sum += table[i].took;
		CHECK_TIMES(table[i].row, events, table[i].within, i + 1, sum);
		CHECK_INT(table[i].row, count_of(events, QCD_EVENT_RECOVERED), i + 1);
	}
	events->destroy(events);
}

/**
 * A recovery by the peer takes from the first expect() until the peer is back
 */
static void test_times_expected(void **state)
{
	qcd_events_t *events = qcd_events_create();
	played_ike_t *ike;
	qcd_ike_sa sa;
	int i;

	played_spis(&sa, QCD_RESPONDER, 1);
	for (i = 0; i < 2; i++)
	{
		ike = played_ike_create(1, &sa);
		ike->name = "gw";
		events->expect(events, &ike->public);
		box_now += 1500;
		events->expect(events, &ike->public);
		box_now += 1500;
		charon->bus->ike_updown(charon->bus, &ike->public, TRUE);
		box_now += 100000;
		charon->bus->ike_updown(charon->bus, &ike->public, TRUE);
		played_ike_destroy(ike);
	}
	CHECK_TIMES("by the peer", events, "0,0,0,0,0,0,0,0,2,2,2,2,2", 2, 6000);
	events->destroy(events);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_kinds),
		BOX_TEST(test_message_ids),
		BOX_TEST(test_details),
		BOX_TEST(test_long),
		BOX_TEST(test_rate),
		BOX_TEST(test_receiver),
		BOX_TEST(test_recovered),
		BOX_TEST(test_expected),
		BOX_TEST(test_many_expected),
		BOX_TEST(test_times),
		BOX_TEST(test_times_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

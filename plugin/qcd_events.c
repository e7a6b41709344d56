/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_listeners.h"
#include "qcd_sa.h"

#include <inttypes.h>
#include <time.h>

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Maximum number of events of one kind that are logged and passed on in a
 * second
 */
#define EVENTS_PER_SECOND 5

/**
 * Maximum number of peers that are expected back; for how many milliseconds;
 * length of a key, longer ones are cut off
 */
#define EXPECTED_MAX 1000
#define EXPECTED_MS 3600000
#define KEY_LEN 256

/**
 * In milliseconds, times by which recoveries are counted. The first ones
 * resolve a recovery on a fast network; the tries of a long one are up to 30
 * seconds apart.
 */
static const uint64_t limits_ms[] = {
	10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000,
};

typedef struct private_qcd_events_t private_qcd_events_t;

/**
 * Private data
 */
struct private_qcd_events_t {

	/**
	 * Public interface
	 */
	qcd_events_t public;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * For each kind: its total, the current second, how many were logged in
	 * that second, and how many were suppressed since the last one that was
	 * logged
	 */
	struct {
		uint64_t count;
		uint64_t second;
		u_int logged;
		u_int suppressed;
	} counts[QCD_EVENT_MAX];

	/**
	 * How many recoveries took no longer than each limit, how many there were,
	 * and how long all of them took
	 */
	struct {
		uint64_t within[countof(limits_ms)];
		uint64_t count;
		uint64_t sum_ms;
	} times;

	/**
	 * Connections that recovered, as connection_t by name. They are configured,
	 * so a stranger can't add to them.
	 */
	hashtable_t *connections;

	/**
	 * Peers that are expected back, at most EXPECTED_MAX, as expected_t by the
	 * name of the connection and the peer's identity
	 */
	hashtable_t *expected;

	/**
	 * Receiver of events
	 */
	qcd_events_cb_t cb;
	void *data;
};

/**
 * A connection, and when it last recovered
 */
typedef struct {
	char *name;
	time_t recovered;
} connection_t;

/**
 * A peer that is expected back, and since when
 */
typedef struct {
	char *key;
	uint64_t since;
} expected_t;

/**
 * Name of an event and its format in the log. Each event has a format of its
 * own, because charon-systemd derives the MESSAGE_ID for the journal from it.
 */
#define LOGGED(name, text) { name, "QCD: " name ": " text "%s%s%s" }

/**
 * Name of each event, which is also the name of its counter, and format for the
 * log, NULL if the event is only counted
 */
static const struct {
	char *name;
	char *format;
} kinds[QCD_EVENT_MAX] = {
	[QCD_EVENT_TOLD] = LOGGED("told",
		"the peer was told that its IKE_SA is lost"),
	[QCD_EVENT_LIMITED] = LOGGED("limited",
		"no reply to a request for a lost IKE_SA, over the rate limit"),
	[QCD_EVENT_NO_EVIDENCE] = { "no_evidence", NULL },
	[QCD_EVENT_ALIVE] = LOGGED("alive",
		"no reply to a request, its IKE_SA should be dead but is alive"),
	[QCD_EVENT_ESP_PASSED_OVER] = { "esp_passed_over", NULL },
	[QCD_EVENT_VERIFIED] = LOGGED("verified",
		"token proves that the peer lost its IKE_SA, dropping it"),
	[QCD_EVENT_MISMATCHED] = LOGGED("mismatched",
		"token does not match its IKE_SA, ignored"),
	[QCD_EVENT_UNKNOWN] = LOGGED("unknown",
		"token for an IKE_SA for which we hold none, ignored"),
	[QCD_EVENT_UNCHECKED] = LOGGED("unchecked",
		"token not checked, its source is over the rate limit"),
	[QCD_EVENT_RETRYING] = LOGGED("retrying",
		"connection is not up again yet"),
	[QCD_EVENT_RECOVERED] = LOGGED("recovered",
		"connection is up again after a crash of the peer"),
	[QCD_EVENT_ABANDONED] = LOGGED("abandoned",
		"connection is not brought up again"),
	[QCD_EVENT_ROTATED] = LOGGED("rotated",
		"tokens are made with a new secret"),
};

/**
 * Log an event
 */
static void log_event(qcd_event_t event, const qcd_spis *spis, host_t *peer,
					  char *name, char *detail, u_int suppressed)
{
	char details[384] = "", more[64] = "";
	uint64_t spi_i, spi_r;
	int len = 0;

	if (name)
	{
		len = snprintf(details, sizeof(details), " connection %.64s", name);
	}
	if (peer)
	{
		len += snprintf(details + len, sizeof(details) - len, " peer %#H",
						peer);
	}
	if (spis)
	{
		memcpy(&spi_i, &spis->initiator, sizeof(spi_i));
		memcpy(&spi_r, &spis->responder, sizeof(spi_r));
		len += snprintf(details + len, sizeof(details) - len,
						" SPIs %.16"PRIx64"_i %.16"PRIx64"_r", be64toh(spi_i),
						be64toh(spi_r));
	}
	if (detail)
	{
		snprintf(details + len, sizeof(details) - len, " (%.128s)", detail);
	}
	if (suppressed)
	{
		snprintf(more, sizeof(more), " (and %u more before)", suppressed);
	}
	DBG1(DBG_IKE, kinds[event].format, *details ? ":" : "", details, more);
}

/**
 * Describe an event in a line of JSON
 */
static chunk_t describe(qcd_event_t event, const qcd_spis *spis, host_t *peer,
						char *name, char *detail, u_int suppressed)
{
	qcd_json_t *json = qcd_json_create();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json->begin(json, "event");
	json->add_num(json, "time_ms",
				  (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	json->add_str(json, "event", kinds[event].name);
	if (name)
	{
		json->add_str(json, "connection", name);
	}
	if (peer)
	{
		json->add_host(json, "peer", peer);
	}
	if (spis)
	{
		json->add_spi(json, "spi_i", &spis->initiator);
		json->add_spi(json, "spi_r", &spis->responder);
	}
	if (detail)
	{
		json->add_str(json, "detail", detail);
	}
	json->add_num(json, "suppressed", suppressed);
	return json->finish(json);
}

/**
 * Count an event, and tell whether it may be logged
 */
static bool count(private_qcd_events_t *this, qcd_event_t event,
				  u_int *suppressed)
{
	uint64_t second = qcd_now() / 1000;
	typeof(&this->counts[0]) kind = &this->counts[event];

	kind->count++;
	if (!kinds[event].format)
	{
		return FALSE;
	}
	if (kind->second != second)
	{
		kind->second = second;
		kind->logged = 0;
	}
	if (kind->logged >= EVENTS_PER_SECOND)
	{
		kind->suppressed++;
		return FALSE;
	}
	kind->logged++;
	*suppressed = kind->suppressed;
	kind->suppressed = 0;
	return TRUE;
}

METHOD(qcd_events_t, raise_event, void,
	private_qcd_events_t *this, qcd_event_t event, const qcd_spis *spis,
	host_t *peer, char *name, char *detail)
{
	u_int suppressed;
	chunk_t line;
	bool report;

	this->mutex->lock(this->mutex);
	report = count(this, event, &suppressed);
	if (report && this->cb)
	{
		line = describe(event, spis, peer, name, detail, suppressed);
		this->cb(this->data, line);
		chunk_free(&line);
	}
	this->mutex->unlock(this->mutex);

	if (report)
	{
		log_event(event, spis, peer, name, detail, suppressed);
	}
}

/**
 * Write the key of a peer that is expected back. Many peers may share one
 * connection.
 */
static void write_key(ike_sa_t *ike_sa, char *key, size_t len)
{
	snprintf(key, len, "%s %Y", ike_sa->get_name(ike_sa),
			 ike_sa->get_other_eap_id(ike_sa));
}

/**
 * Forget the peers that did not come back in time, with the mutex held
 */
static void forget_late(private_qcd_events_t *this)
{
	enumerator_t *enumerator;
	expected_t *expected;

	enumerator = this->expected->create_enumerator(this->expected);
	while (enumerator->enumerate(enumerator, NULL, &expected))
	{
		if (qcd_now() - expected->since > EXPECTED_MS)
		{
			this->expected->remove_at(this->expected, enumerator);
			qcd_named_destroy(expected);
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_events_t, expect, void,
	private_qcd_events_t *this, ike_sa_t *ike_sa)
{
	expected_t *expected;
	char key[KEY_LEN];

	write_key(ike_sa, key, sizeof(key));
	this->mutex->lock(this->mutex);
	forget_late(this);
	if (this->expected->get_count(this->expected) < EXPECTED_MAX)
	{
		expected = qcd_named_get(this->expected, key, sizeof(*expected));
		expected->since = expected->since ?: qcd_now();
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Tell whether the peer of an IKE_SA was expected back, and since when. It is
 * not expected any more.
 */
static bool was_expected(private_qcd_events_t *this, ike_sa_t *ike_sa,
						 uint64_t *since)
{
	expected_t *expected = NULL;
	char key[KEY_LEN];

	this->mutex->lock(this->mutex);
	if (this->expected->get_count(this->expected))
	{
		write_key(ike_sa, key, sizeof(key));
		expected = this->expected->remove(this->expected, key);
	}
	this->mutex->unlock(this->mutex);
	if (!expected)
	{
		return FALSE;
	}
	*since = expected->since;
	qcd_named_destroy(expected);
	return qcd_now() - *since <= EXPECTED_MS;
}

/**
 * Record a recovery, with the mutex held
 */
static void record(private_qcd_events_t *this, char *name, uint64_t since)
{
	connection_t *connection;
	uint64_t took = qcd_now() - since;
	int i;

	connection = qcd_named_get(this->connections, name, sizeof(*connection));
	connection->recovered = time(NULL);
	for (i = 0; i < countof(limits_ms); i++)
	{
		this->times.within[i] += took <= limits_ms[i];
	}
	this->times.count++;
	this->times.sum_ms += took;
}

METHOD(qcd_events_t, recovered, void,
	private_qcd_events_t *this, const qcd_spis *spis, host_t *peer, char *name,
	uint64_t since)
{
	this->mutex->lock(this->mutex);
	record(this, name, since);
	this->mutex->unlock(this->mutex);
	raise_event(this, QCD_EVENT_RECOVERED, spis, peer, name, NULL);
}

METHOD(listener_t, ike_updown, bool,
	private_qcd_events_t *this, ike_sa_t *ike_sa, bool up)
{
	uint64_t since;
	qcd_sa_t sa;

	if (up && qcd_sa_identify(ike_sa, &sa) &&
		was_expected(this, ike_sa, &since))
	{
		recovered(this, &sa.ike.spis, ike_sa->get_other_host(ike_sa),
				  ike_sa->get_name(ike_sa), since);
	}
	return TRUE;
}

METHOD(qcd_events_t, describe_counts, void,
	private_qcd_events_t *this, qcd_json_t *json)
{
	qcd_event_t event;

	this->mutex->lock(this->mutex);
	for (event = 0; event < QCD_EVENT_MAX; event++)
	{
		json->add_num(json, kinds[event].name, this->counts[event].count);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_events_t, describe_times, void,
	private_qcd_events_t *this, qcd_json_t *json)
{
	this->mutex->lock(this->mutex);
	json->begin(json, "recovery_times");
	json->add_nums(json, "limits_ms", limits_ms, countof(limits_ms));
	json->add_nums(json, "within", this->times.within, countof(limits_ms));
	json->add_num(json, "count", this->times.count);
	json->add_num(json, "sum_ms", this->times.sum_ms);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_events_t, get_recovery, time_t,
	private_qcd_events_t *this, char *name)
{
	connection_t *connection;
	time_t recovered = 0;

	this->mutex->lock(this->mutex);
	connection = this->connections->get(this->connections, name);
	if (connection)
	{
		recovered = connection->recovered;
	}
	this->mutex->unlock(this->mutex);
	return recovered;
}

METHOD(qcd_events_t, set_receiver, void,
	private_qcd_events_t *this, qcd_events_cb_t cb, void *data)
{
	this->mutex->lock(this->mutex);
	this->cb = cb;
	this->data = data;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_events_t, destroy, void,
	private_qcd_events_t *this)
{
	qcd_listeners_remove(&this->public.listener);
	this->connections->destroy_function(this->connections,
										(void*)qcd_named_destroy);
	this->expected->destroy_function(this->expected, (void*)qcd_named_destroy);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_events_t *qcd_events_create()
{
	private_qcd_events_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_updown = _ike_updown,
			},
			.raise = _raise_event,
			.recovered = _recovered,
			.expect = _expect,
			.describe_counts = _describe_counts,
			.describe_times = _describe_times,
			.get_recovery = _get_recovery,
			.set_receiver = _set_receiver,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.connections = hashtable_create(hashtable_hash_str,
										hashtable_equals_str, 8),
		.expected = hashtable_create(hashtable_hash_str, hashtable_equals_str, 8),
	);
	qcd_listeners_add(&this->public.listener);

	return &this->public;
}

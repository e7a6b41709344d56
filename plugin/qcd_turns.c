/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_turns.h"
#include "qcd_sa.h"

#include <daemon.h>
#include <collections/array.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Time after which a handshake has failed: the network or this machine has more
 * to do than it can, and the peer is about to repeat its message
 */
#define HANDSHAKE_MS 2000

/**
 * Time from which on a peer is far away, from being told to its handshake:
 * handshakes with nearer ones are so short that there need not be more at a time
 * than are free of cookies
 */
#define FAR_MS 30

/**
 * charon's defaults
 */
#define BLOCK_THRESHOLD 5
#define COOKIE_THRESHOLD_IP 3
#define COOKIE_THRESHOLD 30

typedef struct private_qcd_turns_t private_qcd_turns_t;

/**
 * Private data
 */
struct private_qcd_turns_t {

	/**
	 * Public interface
	 */
	qcd_turns_t public;

	/**
	 * Maximum number of simultaneous handshakes with one address, 0 for no
	 * limit
	 */
	u_int limit;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * Addresses with turns, as place_t by address. Each has at least one turn,
	 * so the rate of replies limits their number.
	 */
	hashtable_t *places;

	/**
	 * Handshakes of peers that were told at their last known address, as
	 * handshake_t by the unique IDs of their IKE_SAs
	 */
	hashtable_t *handshakes;

	/**
	 * Decides how many such peers have turns, and how many have
	 */
	qcd_pace pace;
	u_int underway;
};

/**
 * An address at which peers were told
 */
typedef struct {
	host_t *address;
	/** each of them as told_t, the one first told first */
	array_t *told;
	/** knows how long peers there usually take to begin a handshake */
	qcd_pace pace;
} place_t;

/**
 * A peer that was told: when, and whether at its last known address
 */
typedef struct {
	uint64_t at;
	bool home;
} told_t;

/**
 * A handshake: when the peer was told, and when it began
 */
typedef struct {
	uint64_t told;
	uint64_t since;
} handshake_t;

/**
 * Destroy a place
 */
static void place_destroy(place_t *place)
{
	place->address->destroy(place->address);
	array_destroy(place->told);
	free(place);
}

/**
 * Get the place of a peer, creating it if necessary
 */
static place_t *get_place(private_qcd_turns_t *this, host_t *peer)
{
	place_t *place;

	place = this->places->get(this->places, peer);
	if (!place)
	{
		INIT(place,
			.address = peer->clone(peer),
			.told = array_create(sizeof(told_t), 0),
		);
		this->places->put(this->places, place->address, place);
	}
	return place;
}

/**
 * Tell whether a turn is available, with the mutex held
 *
 * @param half_open		number of handshakes that the address has
 */
static bool is_available(private_qcd_turns_t *this, host_t *peer, bool home,
						 u_int half_open)
{
	place_t *place = this->places->get(this->places, peer);

	if (home && !qcd_pace_due(&this->pace, this->underway))
	{
		return FALSE;
	}
	return !this->limit ||
		   half_open + (place ? array_count(place->told) : 0) < this->limit;
}

/**
 * Get the number of handshakes that an address has, before the mutex is taken
 */
static u_int get_half_open(private_qcd_turns_t *this, host_t *peer)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;

	return this->limit ? manager->get_half_open_count(manager, peer, TRUE) : 0;
}

METHOD(qcd_turns_t, available, bool,
	private_qcd_turns_t *this, host_t *peer, bool home)
{
	u_int half_open = get_half_open(this, peer);
	bool available;

	this->mutex->lock(this->mutex);
	available = is_available(this, peer, home, half_open);
	this->mutex->unlock(this->mutex);
	return available;
}

METHOD(qcd_turns_t, is_full, bool,
	private_qcd_turns_t *this)
{
	bool full;

	this->mutex->lock(this->mutex);
	full = !qcd_pace_due(&this->pace, this->underway);
	this->mutex->unlock(this->mutex);
	return full;
}

METHOD(qcd_turns_t, take, bool,
	private_qcd_turns_t *this, host_t *peer, bool home)
{
	u_int half_open = get_half_open(this, peer);
	told_t told = {
		.at = qcd_now(),
		.home = home,
	};
	bool taken;

	this->mutex->lock(this->mutex);
	taken = is_available(this, peer, home, half_open);
	if (taken)
	{
		array_insert(get_place(this, peer)->told, ARRAY_TAIL, &told);
		this->underway += home;
	}
	this->mutex->unlock(this->mutex);
	return taken;
}

/**
 * Remove a place that has no turns
 */
static void release_place(private_qcd_turns_t *this, place_t *place)
{
	if (!array_count(place->told))
	{
		this->places->remove(this->places, place->address);
		place_destroy(place);
	}
}

METHOD(qcd_turns_t, came, void,
	private_qcd_turns_t *this, ike_sa_t *ike_sa)
{
	host_t *peer = ike_sa->get_other_host(ike_sa);
	uintptr_t id = ike_sa->get_unique_id(ike_sa);
	handshake_t *handshake;
	place_t *place;
	told_t told;

	this->mutex->lock(this->mutex);
	place = this->places->get(this->places, peer);
	if (place && array_remove(place->told, ARRAY_HEAD, &told))
	{
		qcd_pace_began(&place->pace, qcd_now() - told.at);
		qcd_pace_began(&this->pace, qcd_now() - told.at);
		release_place(this, place);
		if (told.home)
		{
			INIT(handshake,
				.told = told.at,
				.since = qcd_now(),
			);
			free(this->handshakes->put(this->handshakes, (void*)id, handshake));
		}
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Tell whether this daemon has nothing to do but wait for its peers
 */
static bool is_idle()
{
	u_int jobs = 0;
	int i;

	for (i = 0; i < JOB_PRIO_MAX; i++)
	{
		jobs += lib->processor->get_job_load(lib->processor, i);
	}
	return !jobs;
}

METHOD(qcd_turns_t, ended, void,
	private_qcd_turns_t *this, ike_sa_t *ike_sa, bool established)
{
	uintptr_t id = ike_sa->get_unique_id(ike_sa);
	handshake_t *handshake;
	bool far;

	this->mutex->lock(this->mutex);
	handshake = this->handshakes->remove(this->handshakes, (void*)id);
	if (handshake)
	{
		if (established)
		{
			far = handshake->since - handshake->told >= FAR_MS;
			qcd_pace_completed(&this->pace, this->underway, far && is_idle());
		}
		this->underway--;
		free(handshake);
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Release the expired turns of a place
 */
static void expire_told(private_qcd_turns_t *this, place_t *place, uint64_t now)
{
	told_t told;
	u_int patience;

	patience = max(qcd_pace_patience(&place->pace),
				   qcd_pace_patience(&this->pace));
	while (array_get(place->told, ARRAY_HEAD, &told) &&
		   now - told.at >= patience)
	{
		array_remove(place->told, ARRAY_HEAD, NULL);
		this->underway -= told.home;
	}
}

METHOD(qcd_turns_t, expire, void,
	private_qcd_turns_t *this)
{
	enumerator_t *enumerator;
	handshake_t *handshake;
	place_t *place;
	uint64_t now = qcd_now();

	this->mutex->lock(this->mutex);
	enumerator = this->places->create_enumerator(this->places);
	while (enumerator->enumerate(enumerator, NULL, &place))
	{
		expire_told(this, place, now);
		if (!array_count(place->told))
		{
			this->places->remove_at(this->places, enumerator);
			place_destroy(place);
		}
	}
	enumerator->destroy(enumerator);
	enumerator = this->handshakes->create_enumerator(this->handshakes);
	while (enumerator->enumerate(enumerator, NULL, &handshake))
	{
		if (now - handshake->since >= HANDSHAKE_MS)
		{
			this->handshakes->remove_at(this->handshakes, enumerator);
			this->underway--;
			qcd_pace_failed(&this->pace, now);
			free(handshake);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_turns_t, destroy, void,
	private_qcd_turns_t *this)
{
	this->places->destroy_function(this->places, (void*)place_destroy);
	this->handshakes->destroy_function(this->handshakes, (void*)free);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Get a limit of charon's
 */
static int get_int(char *key, int standard)
{
	return lib->settings->get_int(lib->settings, key, standard, lib->ns);
}

/**
 * Tell whether charon limits half-open IKE_SAs at all
 */
static bool is_limited()
{
	return lib->settings->get_bool(lib->settings, "%s.dos_protection", TRUE,
								   lib->ns);
}

/**
 * Get the number of handshakes that charon accepts from one address, less one
 * in reserve for a peer that was not told; 0 if there is no limit. If the block
 * threshold, even one of 0, is not above that for cookies, charon raises it.
 */
static u_int get_limit()
{
	int block, cookie;

	if (!is_limited())
	{
		return 0;
	}
	cookie = get_int("%s.cookie_threshold_ip", COOKIE_THRESHOLD_IP);
	block = max(get_int("%s.block_threshold", BLOCK_THRESHOLD), cookie + 1);
	/* a cookie costs a round trip, and then charon requests one for each
	 * handshake for ten seconds */
	return max(1, min(block - 1, cookie ?: block));
}

/**
 * Start the pace. charon accepts so many handshakes without cookies, and, if it
 * has another limit, so many at all.
 */
static void init_pace(private_qcd_turns_t *this)
{
	int cookie = 0, most = 0;

	if (is_limited())
	{
		cookie = get_int("%s.cookie_threshold", COOKIE_THRESHOLD);
		most = get_int("%s.init_limit_half_open", 0);
	}
	most = most > 0 ? min(most, QCD_PACE_MAX) : QCD_PACE_MAX;
	qcd_pace_init(&this->pace, cookie > 0 ? min(cookie, most) : most, most);
}

/*
 * Described in header
 */
qcd_turns_t *qcd_turns_create()
{
	private_qcd_turns_t *this;

	INIT(this,
		.public = {
			.available = _available,
			.is_full = _is_full,
			.take = _take,
			.came = _came,
			.ended = _ended,
			.expire = _expire,
			.destroy = _destroy,
		},
		.limit = get_limit(),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.places = hashtable_create(qcd_host_hash, qcd_host_equals, 8),
		.handshakes = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									   8),
	);
	init_pace(this);
	return &this->public;
}

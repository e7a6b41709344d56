/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_turns.h"
#include "qcd_sa.h"

#include <daemon.h>
#include <collections/array.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Time after which the turn of a peer ends that was told but has not begun a
 * handshake: it may not return, or may have more to do first. If peers at its
 * address usually take longer, this is a multiple of the usual time, up to a
 * bound.
 */
#define TURN_TIME_MS 300
#define TURN_TIME_MAX_MS 2000
#define TURN_SHARE 3

/**
 * Weight of the last peer in the usual time, as a divisor
 */
#define USUAL_SHARE 4

/**
 * charon's defaults
 */
#define BLOCK_THRESHOLD 5
#define COOKIE_THRESHOLD_IP 3

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
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * Addresses with turns, as place_t by address. Each has at least one turn,
	 * so the rate of replies limits their number.
	 */
	hashtable_t *places;
};

/**
 * An address at which peers were told
 */
typedef struct {
	host_t *address;
	/** when each of them was told, oldest first, as uint64_t */
	array_t *told;
	/** how long peers usually take to begin a handshake, in milliseconds */
	u_int usual;
} place_t;

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
			.told = array_create(sizeof(uint64_t), 0),
		);
		this->places->put(this->places, place->address, place);
	}
	return place;
}

METHOD(qcd_turns_t, take, bool,
	private_qcd_turns_t *this, host_t *peer)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;
	uint64_t now = qcd_now();
	place_t *place;
	u_int busy;

	if (!this->limit)
	{
		return TRUE;
	}
	busy = manager->get_half_open_count(manager, peer, TRUE);
	this->mutex->lock(this->mutex);
	place = this->places->get(this->places, peer);
	busy += place ? array_count(place->told) : 0;
	if (busy < this->limit)
	{
		array_insert(get_place(this, peer)->told, ARRAY_TAIL, &now);
	}
	this->mutex->unlock(this->mutex);
	return busy < this->limit;
}

METHOD(qcd_turns_t, came, void,
	private_qcd_turns_t *this, host_t *peer)
{
	place_t *place;
	uint64_t told;

	this->mutex->lock(this->mutex);
	place = this->places->get(this->places, peer);
	if (place)
	{
		array_remove(place->told, ARRAY_HEAD, &told);
		place->usual += ((int)(qcd_now() - told) - (int)place->usual) /
						USUAL_SHARE;
		if (!array_count(place->told))
		{
			this->places->remove(this->places, peer);
			place_destroy(place);
		}
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Get the time after which a turn at a place ends
 */
static u_int turn_time(place_t *place)
{
	return max(TURN_TIME_MS, min(TURN_SHARE * place->usual, TURN_TIME_MAX_MS));
}

METHOD(qcd_turns_t, expire, void,
	private_qcd_turns_t *this)
{
	enumerator_t *enumerator;
	place_t *place;
	uint64_t now = qcd_now(), told;

	this->mutex->lock(this->mutex);
	enumerator = this->places->create_enumerator(this->places);
	while (enumerator->enumerate(enumerator, NULL, &place))
	{
		while (array_get(place->told, ARRAY_HEAD, &told) &&
			   now - told >= turn_time(place))
		{
			array_remove(place->told, ARRAY_HEAD, NULL);
		}
		if (!array_count(place->told))
		{
			this->places->remove_at(this->places, enumerator);
			place_destroy(place);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_turns_t, destroy, void,
	private_qcd_turns_t *this)
{
	this->places->destroy_function(this->places, (void*)place_destroy);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Get the number of handshakes that charon accepts from one address, less one
 * in reserve for a peer that was not told; 0 if there is no limit. If the block
 * threshold, even one of 0, is not above that for cookies, charon raises it.
 */
static u_int get_limit()
{
	int block, cookie;

	if (!lib->settings->get_bool(lib->settings, "%s.dos_protection", TRUE,
								 lib->ns))
	{
		return 0;
	}
	block = lib->settings->get_int(lib->settings, "%s.block_threshold",
								   BLOCK_THRESHOLD, lib->ns);
	cookie = lib->settings->get_int(lib->settings, "%s.cookie_threshold_ip",
									COOKIE_THRESHOLD_IP, lib->ns);
	block = max(block, cookie + 1);
	/* a cookie costs a round trip, and then charon requests one for each
	 * handshake for ten seconds */
	return max(1, min(block - 1, cookie ?: block));
}

/*
 * Described in header
 */
qcd_turns_t *qcd_turns_create()
{
	private_qcd_turns_t *this;

	INIT(this,
		.public = {
			.take = _take,
			.came = _came,
			.expire = _expire,
			.destroy = _destroy,
		},
		.limit = get_limit(),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.places = hashtable_create(qcd_host_hash, qcd_host_equals, 8),
	);
	return &this->public;
}

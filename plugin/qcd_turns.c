/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_turns.h"
#include "qcd_half_open.h"
#include "qcd_sa.h"

#include <daemon.h>
#include <collections/array.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Time after which a handshake counts as failed: the network or this machine has
 * more to do than it can, and the peer is about to repeat its message. It may
 * still be completed: with EAP, for example, it just takes longer.
 */
#define HANDSHAKE_MS 2000

/**
 * Minimum time for which the first peers that are told at an address keep others
 * there waiting: until somebody has come it is not known how long that takes, and
 * all at once they would exceed the limits
 */
#define FIRST_MS 1000

/**
 * Time for which a peer is remembered that was told and has not come
 */
#define LATE_MS 10000

/**
 * Time from which on a peer is far away, from being told to its handshake:
 * handshakes with nearer ones are so short that there need not be more at a time
 * than are free of cookies
 */
#define FAR_MS 30

/**
 * Time from which on a handshake itself is long: it waits for something else, an
 * EAP server for example
 */
#define LONG_MS 300

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
	 * charon's limits
	 */
	qcd_half_open_t limits;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * Addresses of peers that were told, as place_t by address. The rate of
	 * replies limits their number.
	 */
	hashtable_t *places;

	/**
	 * Handshakes of peers that were told, as handshake_t by the unique IDs of
	 * their IKE_SAs
	 */
	hashtable_t *handshakes;

	/**
	 * By rank: the pace, which decides how many peers have turns, and how many
	 * have. Peers that were told before share the pace of those that were not.
	 */
	qcd_pace paces[QCD_RANKS];
	u_int underway[QCD_RANKS];
};

/**
 * An address at which peers were told
 */
typedef struct {
	host_t *address;
	/** each of them as told_t, the one first told first */
	array_t *told;
	/** how many of them have a turn at this address */
	u_int turns;
	/** whether it is known if peers there come */
	bool known;
	/** how many others have begun their handshakes, late ones don't count */
	u_int handshakes;
	/** knows how long peers there usually take to begin a handshake */
	qcd_pace pace;
} place_t;

/**
 * A peer that was told: when, its rank, and whether its turns of the pace and at
 * its address are over because it did not come
 */
typedef struct {
	uint64_t at;
	qcd_rank_t rank;
	bool over;
	bool gone;
} told_t;

/**
 * A handshake: when the peer was told, its rank, when it began, and where, NULL if
 * its turn is over because it took too long
 */
typedef struct {
	uint64_t told;
	qcd_rank_t rank;
	uint64_t since;
	place_t *place;
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
 * Tell whether a place is of no more use
 */
static bool is_unused(place_t *place)
{
	return !array_count(place->told) && !place->handshakes;
}

/**
 * Remove a place that is of no more use
 */
static void release_place(private_qcd_turns_t *this, place_t *place)
{
	if (is_unused(place))
	{
		this->places->remove(this->places, place->address);
		place_destroy(place);
	}
}

/**
 * Get the pace of a rank
 */
static qcd_pace *get_pace(private_qcd_turns_t *this, qcd_rank_t rank)
{
	return &this->paces[rank == QCD_RANK_AGAIN ? QCD_RANK_HOME : rank];
}

/**
 * Get the number of peers that have turns of the pace of a rank
 */
static u_int get_underway(private_qcd_turns_t *this, qcd_rank_t rank)
{
	return qcd_rank_is_home(rank) ?
		   this->underway[QCD_RANK_HOME] + this->underway[QCD_RANK_AGAIN] :
		   this->underway[rank];
}

/**
 * End the turn of a handshake, unless it is over
 */
static void end_turn(private_qcd_turns_t *this, handshake_t *handshake)
{
	if (handshake->place)
	{
		this->underway[handshake->rank]--;
		handshake->place->handshakes--;
		release_place(this, handshake->place);
		handshake->place = NULL;
	}
}

/**
 * Tell whether the pace allows no peer of a rank, with the mutex held. Those
 * that were told before have half of the turns at most: somebody who asks again
 * and again for peers that are not there must not keep others waiting.
 */
static bool is_rank_full(private_qcd_turns_t *this, qcd_rank_t rank)
{
	qcd_pace *pace = get_pace(this, rank);

	return (rank == QCD_RANK_AGAIN &&
			this->underway[rank] >= max(1, qcd_pace_due(pace, 0) / 2)) ||
		   !qcd_pace_due(pace, get_underway(this, rank));
}

/**
 * Tell whether a turn is available at an address, with the mutex held. charon
 * counts a handshake before came() is called, so it is not missed in between.
 */
static bool is_place_free(private_qcd_turns_t *this, host_t *peer)
{
	place_t *place = this->places->get(this->places, peer);

	return qcd_half_open_allows(&this->limits, peer, place ? place->turns : 0,
								place ? place->handshakes : 0);
}

/**
 * Tell whether a turn is available, with the mutex held
 */
static bool is_available(private_qcd_turns_t *this, host_t *peer,
						 qcd_rank_t rank)
{
	return !is_rank_full(this, rank) && is_place_free(this, peer);
}

METHOD(qcd_turns_t, available, bool,
	private_qcd_turns_t *this, host_t *peer, qcd_rank_t rank)
{
	bool available;

	this->mutex->lock(this->mutex);
	available = is_available(this, peer, rank);
	this->mutex->unlock(this->mutex);
	return available;
}

METHOD(qcd_turns_t, is_full, bool,
	private_qcd_turns_t *this, qcd_rank_t rank)
{
	bool full;

	this->mutex->lock(this->mutex);
	full = is_rank_full(this, rank);
	this->mutex->unlock(this->mutex);
	return full;
}

METHOD(qcd_turns_t, take, bool,
	private_qcd_turns_t *this, host_t *peer, qcd_rank_t rank)
{
	told_t told = {
		.at = qcd_now(),
		.rank = rank,
	};
	place_t *place;
	bool taken;

	this->mutex->lock(this->mutex);
	taken = is_available(this, peer, rank);
	if (taken)
	{
		place = get_place(this, peer);
		array_insert(place->told, ARRAY_TAIL, &told);
		place->turns++;
		this->underway[rank]++;
	}
	this->mutex->unlock(this->mutex);
	return taken;
}

/**
 * Find out which of the peers at a place has come: the first one that has a
 * turn, else the last one whose turn is over
 */
static bool remove_told(place_t *place, told_t *told)
{
	int i, found = -1;

	for (i = 0; i < array_count(place->told); i++)
	{
		array_get(place->told, i, told);
		found = i;
		if (!told->gone)
		{
			break;
		}
	}
	return array_remove(place->told, found, told);
}

METHOD(qcd_turns_t, came, void,
	private_qcd_turns_t *this, ike_sa_t *ike_sa)
{
	host_t *peer = ike_sa->get_other_host(ike_sa);
	uintptr_t id = ike_sa->get_unique_id(ike_sa);
	uint64_t now = qcd_now();
	handshake_t *handshake;
	place_t *place;
	told_t told;

	this->mutex->lock(this->mutex);
	place = this->places->get(this->places, peer);
	if (place && remove_told(place, &told))
	{
		/* of this address alone: anybody can begin one in the name of a peer */
		qcd_pace_began(&place->pace, now - told.at);
		qcd_pace_present(get_pace(this, told.rank));
		this->underway[told.rank] += told.over;
		place->turns -= !told.gone;
		place->known = TRUE;
		place->handshakes++;
		INIT(handshake,
			.told = told.at,
			.rank = told.rank,
			.since = now,
			.place = place,
		);
		handshake = this->handshakes->put(this->handshakes, (void*)id,
										  handshake);
		if (handshake)
		{
			end_turn(this, handshake);
			free(handshake);
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

/**
 * Give the turn of a handshake back to its peer, which may begin another one at
 * once: with the group that an INVALID_KE_PAYLOAD asks for, for example. It is
 * told no later than before, so nobody keeps a turn with handshakes that fail.
 */
static void give_back(handshake_t *handshake)
{
	place_t *place = handshake->place;
	told_t told = {
		.at = handshake->told,
		.rank = handshake->rank,
	};

	array_insert(place->told, ARRAY_HEAD, &told);
	place->turns++;
	place->handshakes--;
}

METHOD(qcd_turns_t, ended, void,
	private_qcd_turns_t *this, ike_sa_t *ike_sa, bool established)
{
	uintptr_t id = ike_sa->get_unique_id(ike_sa);
	handshake_t *handshake;
	qcd_pace *pace;
	bool waited;

	this->mutex->lock(this->mutex);
	handshake = this->handshakes->remove(this->handshakes, (void*)id);
	if (handshake)
	{
		if (established)
		{
			pace = get_pace(this, handshake->rank);
			/* of all addresses, so not before */
			qcd_pace_began(pace, handshake->since - handshake->told);
			if (!handshake->place)
			{
				qcd_pace_late(pace);
			}
			waited = handshake->since - handshake->told >= FAR_MS ||
					 qcd_now() - handshake->since >= LONG_MS;
			qcd_pace_completed(pace, get_underway(this, handshake->rank),
							   waited && is_idle());
		}
		if (established || !handshake->place)
		{
			end_turn(this, handshake);
		}
		else
		{
			give_back(handshake);
		}
		free(handshake);
	}
	this->mutex->unlock(this->mutex);
}

/**
 * End the turns of a peer that has not come for some time
 *
 * @return				TRUE if one ended
 */
static bool expire_one(private_qcd_turns_t *this, place_t *place, told_t *told,
					   uint64_t age)
{
	qcd_pace *pace = get_pace(this, told->rank);
	bool ended = FALSE;
	u_int patience;

	patience = max(qcd_pace_patience(&place->pace), qcd_pace_patience(pace));
	if (!told->over && age >= patience)
	{
		ended = told->over = TRUE;
		this->underway[told->rank]--;
		if (told->rank != QCD_RANK_AGAIN)
		{
			qcd_pace_absent(pace);
		}
	}
	if (!told->gone &&
		age >= (place->known ? patience : max(patience, FIRST_MS)))
	{
		ended = told->gone = TRUE;
		place->turns--;
	}
	return ended;
}

/**
 * End the turns of peers at a place that have not come. For a while they are
 * remembered, since they may come late: then their handshakes count, and
 * patience grows. Those that were told before are not: they may be away, and
 * somebody else may ask.
 */
static void expire_told(private_qcd_turns_t *this, place_t *place, uint64_t now)
{
	bool known = place->known, ended, forgotten;
	told_t told;
	int i;

	for (i = array_count(place->told) - 1; i >= 0; i--)
	{
		array_get(place->told, i, &told);
		ended = expire_one(this, place, &told, now - told.at);
		forgotten = told.gone && (told.rank == QCD_RANK_AGAIN ||
								  now - told.at >= LATE_MS);
		known |= told.gone;
		if (ended || forgotten)
		{
			array_remove(place->told, i, NULL);
		}
		if (ended && !forgotten)
		{
			array_insert(place->told, i, &told);
		}
	}
	place->known = known;
}

/**
 * Note that a handshake takes too long
 */
static void note_failed(private_qcd_turns_t *this, qcd_rank_t rank, uint64_t now)
{
	qcd_pace *pace = get_pace(this, rank);

	if (rank != QCD_RANK_AGAIN)
	{
		qcd_pace_failed(pace, now);
	}
	if (!qcd_rank_is_home(rank))
	{	/* A stranger who has seen an SPI can let handshakes fail. So the window
		 * never gets smaller than it was at first. */
		qcd_pace_late(pace);
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
		if (is_unused(place))
		{
			this->places->remove_at(this->places, enumerator);
			place_destroy(place);
		}
	}
	enumerator->destroy(enumerator);
	enumerator = this->handshakes->create_enumerator(this->handshakes);
	while (enumerator->enumerate(enumerator, NULL, &handshake))
	{
		if (handshake->place && now - handshake->since >= HANDSHAKE_MS)
		{	/* it is kept until its IKE_SA is established or destroyed */
			end_turn(this, handshake);
			note_failed(this, handshake->rank, now);
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

/*
 * Described in header
 */
qcd_turns_t *qcd_turns_create()
{
	private_qcd_turns_t *this;
	qcd_rank_t rank;

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
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.places = hashtable_create(qcd_host_hash, qcd_host_equals, 8),
		.handshakes = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									   8),
	);
	qcd_half_open_init(&this->limits);
	for (rank = 0; rank < QCD_RANKS; rank++)
	{
		qcd_pace_init(&this->paces[rank], this->limits.free, this->limits.most);
	}
	return &this->public;
}

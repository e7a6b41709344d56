/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_places.h"

#include <collections/hashtable.h>

/**
 * Maximum number of replies that name the same SPI of ours, and of those not to
 * the last known address of their peer
 */
#define SAME_MAX 4
#define SAME_STRANGERS_MAX 3

/**
 * Maximum number of replies of each rank, and the share of one source, unless
 * its peers are known to be there
 */
static const u_int rank_max[QCD_RANKS] = { 16384, 4096, 1024, 1024 };
#define SOURCE_SHARE 8

typedef struct private_qcd_places_t private_qcd_places_t;

/**
 * Private data
 */
struct private_qcd_places_t {

	/**
	 * Public interface
	 */
	qcd_places_t public;

	/**
	 * Number of replies of each rank, and of announcements
	 */
	u_int ranks[QCD_RANKS];
	u_int unasked;

	/**
	 * Other numbers of replies, by key_of()
	 */
	hashtable_t *counts;
};

/**
 * Replies that are counted together
 */
typedef enum {
	/** those that name an SPI of ours, to the last known address of the peer */
	COUNT_HOME,
	/** the same, to other addresses */
	COUNT_STRANGERS,
	/** those of a rank to a source */
	COUNT_SOURCE,
} count_t;

/**
 * Get the key of a number of replies. Nobody else knows the key of the hash, so
 * nobody can choose SPIs or addresses that collide.
 */
static uintptr_t key_of(qcd_reply_t *reply, count_t kind)
{
	chunk_t octets = chunk_from_thing(reply->ours);

	if (kind == COUNT_SOURCE)
	{	/* a host that has one address of an IPv6 /64 has them all */
		octets = reply->src->get_address(reply->src);
		octets.len = min(octets.len, 8);
		kind += reply->rank;
	}
	return chunk_hash_inc(octets, kind);
}

/**
 * Change a number of replies, or look it up
 */
static u_int count_one(private_qcd_places_t *this, qcd_reply_t *reply,
					   count_t kind, int by)
{
	return qcd_count_change(this->counts, key_of(reply, kind), by);
}

/**
 * Check if there is a place for a reply
 */
static bool has_place(private_qcd_places_t *this, qcd_reply_t *reply)
{
	u_int most = rank_max[reply->rank], strangers;

	if (this->ranks[reply->rank] >= most || reply->unasked)
	{
		return this->ranks[reply->rank] < most;
	}
	strangers = count_one(this, reply, COUNT_STRANGERS, 0);
	return strangers + count_one(this, reply, COUNT_HOME, 0) < SAME_MAX &&
		   (qcd_rank_is_home(reply->rank) ||
			(strangers < SAME_STRANGERS_MAX &&
			 count_one(this, reply, COUNT_SOURCE, 0) < most / SOURCE_SHARE));
}

/**
 * Count a reply, by 1 or -1
 */
static void count(private_qcd_places_t *this, qcd_reply_t *reply, int by)
{
	this->ranks[reply->rank] += by;
	if (reply->unasked)
	{
		this->unasked += by;
	}
	else if (qcd_rank_is_home(reply->rank))
	{
		count_one(this, reply, COUNT_HOME, by);
	}
	else
	{
		count_one(this, reply, COUNT_STRANGERS, by);
		count_one(this, reply, COUNT_SOURCE, by);
	}
}

METHOD(qcd_places_t, take, bool,
	private_qcd_places_t *this, qcd_reply_t *reply)
{
	if (!has_place(this, reply))
	{
		return FALSE;
	}
	count(this, reply, 1);
	return TRUE;
}

METHOD(qcd_places_t, release, void,
	private_qcd_places_t *this, qcd_reply_t *reply)
{
	count(this, reply, -1);
}

METHOD(qcd_places_t, is_surplus, bool,
	private_qcd_places_t *this, qcd_reply_t *reply)
{
	return !qcd_rank_is_home(reply->rank) &&
		   (this->ranks[reply->rank] > rank_max[reply->rank] / 2 ||
			count_one(this, reply, COUNT_STRANGERS, 0) >= SAME_STRANGERS_MAX);
}

METHOD(qcd_places_t, get_unasked, u_int,
	private_qcd_places_t *this)
{
	return this->unasked;
}

METHOD(qcd_places_t, destroy, void,
	private_qcd_places_t *this)
{
	this->counts->destroy(this->counts);
	free(this);
}

/*
 * Described in header
 */
qcd_places_t *qcd_places_create()
{
	private_qcd_places_t *this;

	INIT(this,
		.public = {
			.take = _take,
			.release = _release,
			.is_surplus = _is_surplus,
			.get_unasked = _get_unasked,
			.destroy = _destroy,
		},
		.counts = hashtable_create(qcd_number_hash, hashtable_equals_ptr, 32),
	);
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_waiting.h"
#include "qcd_places.h"

#include <collections/hashtable.h>
#include <collections/linked_list.h>
#include <threading/mutex.h>

/**
 * How long the retransmissions of a peer last with charon's default settings:
 * after that, nobody waits for a reply
 */
#define WAITING_TIME_MS 165000

typedef struct private_qcd_waiting_t private_qcd_waiting_t;

/**
 * Private data
 */
struct private_qcd_waiting_t {

	/**
	 * Public interface
	 */
	qcd_waiting_t public;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * The replies, by themselves
	 */
	hashtable_t *replies;

	/**
	 * Their places
	 */
	qcd_places_t *places;

	/**
	 * The same replies by rank and address
	 */
	struct {
		/** their addresses, as crowd_t by address */
		hashtable_t *crowds;
		/** the same in the order in which they have turns */
		linked_list_t *order;
	} ranks[QCD_RANKS];
};

/**
 * Replies to one address
 */
typedef struct {
	host_t *address;
	/** as qcd_reply_t, in order of arrival */
	linked_list_t *replies;
} crowd_t;

/**
 * Two replies are the same if they tell the same peer of the same SA. Others
 * who ask about the SA must not keep the peer from being told. Nor must an
 * announcement keep a peer from getting a reply.
 */
static u_int reply_hash(const void *key)
{
	const qcd_reply_t *reply = key;

	return chunk_hash_inc(reply->src->get_address(reply->src),
						  qcd_spis_hash(&reply->spis));
}

static bool reply_equals(const void *key, const void *other)
{
	const qcd_reply_t *a = key, *b = other;

	return a->unasked == b->unasked && qcd_spis_equals(&a->spis, &b->spis) &&
		   a->src->equals(a->src, b->src) && a->dst->equals(a->dst, b->dst);
}

/**
 * Add a reply to those to the same address
 */
static void join_crowd(private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	hashtable_t *crowds = this->ranks[reply->rank].crowds;
	linked_list_t *order = this->ranks[reply->rank].order;
	crowd_t *crowd;

	crowd = crowds->get(crowds, reply->src);
	if (!crowd)
	{
		INIT(crowd,
			.address = reply->src->clone(reply->src),
			.replies = linked_list_create(),
		);
		crowds->put(crowds, crowd->address, crowd);
		order->insert_last(order, crowd);
	}
	crowd->replies->insert_last(crowd->replies, reply);
}

/**
 * Destroy a crowd_t, but no replies
 */
static void crowd_destroy(crowd_t *crowd)
{
	crowd->replies->destroy(crowd->replies);
	crowd->address->destroy(crowd->address);
	free(crowd);
}

/**
 * Add a new reply
 */
static bool add_new(private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	if (!this->places->take(this->places, reply))
	{
		return FALSE;
	}
	this->replies->put(this->replies, reply, reply);
	join_crowd(this, reply);
	return TRUE;
}

/**
 * Update a reply from a repeated one. ESP may arrive all the time, but a peer
 * that waits for the response to its request needs that one.
 */
static void renew(qcd_reply_t *reply, qcd_reply_t *again)
{
	reply->asked = again->asked;
	if (reply->is_lost || !again->is_lost)
	{
		reply->request = again->request;
		reply->is_lost = again->is_lost;
		reply->lost = again->lost;
		reply->packet = again->packet;
	}
}

METHOD(qcd_waiting_t, add, bool,
	private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	qcd_reply_t *same;
	bool added;

	reply->asked = qcd_now();
	this->mutex->lock(this->mutex);
	same = this->replies->get(this->replies, reply);
	if (same)
	{
		renew(same, reply);
	}
	added = !same && add_new(this, reply);
	this->mutex->unlock(this->mutex);
	if (!added)
	{
		qcd_reply_destroy(reply);
	}
	return added || same;
}

METHOD(qcd_waiting_t, touch, bool,
	private_qcd_waiting_t *this, const qcd_header *request, host_t *src,
	host_t *dst)
{
	qcd_reply_t *same, key = {
		.spis = request->spis,
		.src = src,
		.dst = dst,
	};

	this->mutex->lock(this->mutex);
	same = this->replies->get(this->replies, &key);
	if (same && same->is_lost)
	{	/* it was not an IKE request yet */
		same = NULL;
	}
	if (same)
	{
		same->asked = qcd_now();
		if (request->flags == same->request.flags &&
			request->exchange_type == same->request.exchange_type &&
			request->length >= same->request.length)
		{
			same->request = *request;
		}
	}
	this->mutex->unlock(this->mutex);
	return same != NULL;
}

/**
 * Remove a reply that is being looked at, which is in no crowd
 */
static void take_out(private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	this->replies->remove(this->replies, reply);
	this->places->release(this->places, reply);
}

METHOD(qcd_waiting_t, remove_, void,
	private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	this->mutex->lock(this->mutex);
	take_out(this, reply);
	this->mutex->unlock(this->mutex);
}

/**
 * Get the next item of a list that others extend
 */
static void *next(private_qcd_waiting_t *this, linked_list_t *list)
{
	void *item = NULL;

	this->mutex->lock(this->mutex);
	list->remove_first(list, &item);
	this->mutex->unlock(this->mutex);
	return item;
}

/**
 * Put items back before the others in a list
 */
static void put_back(private_qcd_waiting_t *this, linked_list_t *list,
					 linked_list_t *items)
{
	void *item;

	this->mutex->lock(this->mutex);
	while (items->remove_last(items, &item) == SUCCESS)
	{
		list->insert_first(list, item);
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Look at a reply, or remove it if it is late. Others may touch it meanwhile.
 */
static qcd_look_t look_at(private_qcd_waiting_t *this, qcd_reply_t *reply,
						  qcd_waiting_look_t look, void *user)
{
	bool late;

	this->mutex->lock(this->mutex);
	late = qcd_now() >= reply->asked + WAITING_TIME_MS;
	if (late)
	{
		take_out(this, reply);
	}
	this->mutex->unlock(this->mutex);
	if (!late)
	{
		return look(user, reply);
	}
	qcd_reply_destroy(reply);
	return QCD_LOOK_REMOVED;
}

/**
 * Look at the replies to an address
 *
 * @return				what was done with the last one
 */
static qcd_look_t visit_crowd(private_qcd_waiting_t *this, crowd_t *crowd,
							  qcd_waiting_look_t look, void *user)
{
	linked_list_t *kept = linked_list_create();
	qcd_look_t done = QCD_LOOK_NEXT;
	qcd_reply_t *reply;

	while ((done == QCD_LOOK_NEXT || done == QCD_LOOK_REMOVED) &&
		   (reply = next(this, crowd->replies)))
	{
		done = look_at(this, reply, look, user);
		if (done != QCD_LOOK_REMOVED)
		{
			kept->insert_last(kept, reply);
		}
	}
	put_back(this, crowd->replies, kept);
	kept->destroy(kept);
	return done;
}

/**
 * Look at the replies of a rank
 */
static void visit_rank(private_qcd_waiting_t *this, qcd_rank_t rank,
					   qcd_waiting_look_t look, void *user)
{
	hashtable_t *crowds = this->ranks[rank].crowds;
	linked_list_t *order = this->ranks[rank].order;
	linked_list_t *seen = linked_list_create();
	qcd_look_t done = QCD_LOOK_NEXT;
	crowd_t *crowd;
	u_int before, count;

	while (done != QCD_LOOK_OTHER_RANK && (crowd = next(this, order)))
	{
		this->mutex->lock(this->mutex);
		before = crowd->replies->get_count(crowd->replies);
		this->mutex->unlock(this->mutex);
		done = visit_crowd(this, crowd, look, user);
		this->mutex->lock(this->mutex);
		count = crowd->replies->get_count(crowd->replies);
		if (count >= before && done == QCD_LOOK_OTHER_RANK)
		{	/* it has not had its turn yet */
			order->insert_first(order, crowd);
		}
		else if (count)
		{
			seen->insert_last(seen, crowd);
		}
		else
		{
			crowds->remove(crowds, crowd->address);
			crowd_destroy(crowd);
		}
		this->mutex->unlock(this->mutex);
	}
	this->mutex->lock(this->mutex);
	while (seen->remove_first(seen, (void**)&crowd) == SUCCESS)
	{
		order->insert_last(order, crowd);
	}
	this->mutex->unlock(this->mutex);
	seen->destroy(seen);
}

METHOD(qcd_waiting_t, visit, void,
	private_qcd_waiting_t *this, qcd_waiting_look_t look, void *user)
{
	qcd_rank_t rank;

	for (rank = 0; rank < QCD_RANKS; rank++)
	{
		visit_rank(this, rank, look, user);
	}
}

METHOD(qcd_waiting_t, is_surplus, bool,
	private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	bool surplus;

	this->mutex->lock(this->mutex);
	surplus = this->places->is_surplus(this->places, reply);
	this->mutex->unlock(this->mutex);
	return surplus;
}

METHOD(qcd_waiting_t, is_recent, bool,
	private_qcd_waiting_t *this, qcd_reply_t *reply, uint64_t age)
{
	bool recent;

	this->mutex->lock(this->mutex);
	recent = !reply->is_lost && qcd_now() - reply->asked < age;
	this->mutex->unlock(this->mutex);
	return recent;
}

METHOD(qcd_waiting_t, get_unasked, u_int,
	private_qcd_waiting_t *this)
{
	u_int unasked;

	this->mutex->lock(this->mutex);
	unasked = this->places->get_unasked(this->places);
	this->mutex->unlock(this->mutex);
	return unasked;
}

METHOD(qcd_waiting_t, get_count, u_int,
	private_qcd_waiting_t *this)
{
	u_int count;

	this->mutex->lock(this->mutex);
	count = this->replies->get_count(this->replies);
	this->mutex->unlock(this->mutex);
	return count;
}

METHOD(qcd_waiting_t, destroy, void,
	private_qcd_waiting_t *this)
{
	qcd_rank_t rank;

	for (rank = 0; rank < QCD_RANKS; rank++)
	{
		this->ranks[rank].crowds->destroy(this->ranks[rank].crowds);
		this->ranks[rank].order->destroy_function(this->ranks[rank].order,
												  (void*)crowd_destroy);
	}
	this->replies->destroy_function(this->replies, (void*)qcd_reply_destroy);
	this->places->destroy(this->places);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_waiting_t *qcd_waiting_create()
{
	private_qcd_waiting_t *this;
	qcd_rank_t rank;

	INIT(this,
		.public = {
			.add = _add,
			.touch = _touch,
			.visit = _visit,
			.remove = _remove_,
			.is_surplus = _is_surplus,
			.is_recent = _is_recent,
			.get_count = _get_count,
			.get_unasked = _get_unasked,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.replies = hashtable_create(reply_hash, reply_equals, 32),
		.places = qcd_places_create(),
	);
	for (rank = 0; rank < QCD_RANKS; rank++)
	{
		this->ranks[rank].crowds = hashtable_create(qcd_host_hash,
													qcd_host_equals, 8);
		this->ranks[rank].order = linked_list_create();
	}
	return &this->public;
}

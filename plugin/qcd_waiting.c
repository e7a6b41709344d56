/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_waiting.h"

#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * How long the retransmissions of a peer last with charon's default settings:
 * after that, nobody waits for a reply
 */
#define WAITING_TIME_MS 165000

/**
 * Maximum number of replies about one SA, and of those not to its peer's last
 * known address
 */
#define SAME_MAX 4
#define SAME_STRANGERS_MAX 3

/**
 * Maximum number of replies of each rank
 */
static const u_int rank_max[QCD_RANKS] = { 4096, 1024, 256 };

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
	 * The replies, by themselves, in order of arrival
	 */
	hashtable_t *replies;

	/**
	 * Number of replies about each SA, as same_t by its SPIs
	 */
	hashtable_t *sas;

	/**
	 * Number of replies of each rank
	 */
	u_int ranks[QCD_RANKS];
};

/**
 * Number of replies about one SA
 */
typedef struct {
	qcd_spis spis;
	u_int home, strangers;
} same_t;

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
 * Get the numbers of an SA, creating them if necessary
 */
static same_t *get_same(private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	same_t *same;

	same = this->sas->get(this->sas, &reply->spis);
	if (!same)
	{
		INIT(same,
			.spis = reply->spis,
		);
		this->sas->put(this->sas, &same->spis, same);
	}
	return same;
}

/**
 * Free the numbers of an SA that has no replies
 */
static void release_same(private_qcd_waiting_t *this, same_t *same)
{
	if (!same->home && !same->strangers)
	{
		this->sas->remove(this->sas, &same->spis);
		free(same);
	}
}

/**
 * Check if there is a place for a reply. An announcement uses none of the
 * places of its SA: there is only one, and the peer may ask meanwhile.
 */
static bool has_place(private_qcd_waiting_t *this, qcd_reply_t *reply,
					  same_t *same)
{
	return this->ranks[reply->rank] < rank_max[reply->rank] &&
		   (reply->unasked ||
			(same->home + same->strangers < SAME_MAX &&
			 (reply->rank == QCD_RANK_HOME ||
			  same->strangers < SAME_STRANGERS_MAX)));
}

/**
 * Count a reply, by 1 or -1
 */
static void count(private_qcd_waiting_t *this, qcd_reply_t *reply, same_t *same,
				  int by)
{
	this->ranks[reply->rank] += by;
	if (reply->unasked)
	{
		return;
	}
	if (reply->rank == QCD_RANK_HOME)
	{
		same->home += by;
	}
	else
	{
		same->strangers += by;
	}
}

/**
 * Add a new reply
 */
static bool add_new(private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	same_t *same = get_same(this, reply);
	bool added;

	added = has_place(this, reply, same);
	if (added)
	{
		count(this, reply, same, 1);
		this->replies->put(this->replies, reply, reply);
	}
	release_same(this, same);
	return added;
}

/**
 * Update a reply from a repeated request
 */
static void renew(qcd_reply_t *reply, qcd_reply_t *again)
{
	reply->asked = again->asked;
	reply->request = again->request;
	reply->is_lost = again->is_lost;
	reply->lost = again->lost;
	reply->packet = again->packet;
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
	private_qcd_waiting_t *this, const qcd_spis *spis, host_t *src, host_t *dst)
{
	qcd_reply_t *same, key = {
		.spis = *spis,
		.src = src,
		.dst = dst,
	};

	this->mutex->lock(this->mutex);
	same = this->replies->get(this->replies, &key);
	if (same)
	{
		same->asked = qcd_now();
	}
	this->mutex->unlock(this->mutex);
	return same != NULL;
}

/**
 * Remove a reply from all tables and counts
 */
static void take_out(private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	same_t *same = get_same(this, reply);

	this->replies->remove(this->replies, reply);
	count(this, reply, same, -1);
	release_same(this, same);
}

METHOD(qcd_waiting_t, get_all, linked_list_t*,
	private_qcd_waiting_t *this)
{
	linked_list_t *all = linked_list_create();
	linked_list_t *others = linked_list_create();
	linked_list_t *late = linked_list_create();
	enumerator_t *enumerator;
	qcd_reply_t *reply;
	uint64_t now = qcd_now();

	this->mutex->lock(this->mutex);
	enumerator = this->replies->create_enumerator(this->replies);
	while (enumerator->enumerate(enumerator, NULL, &reply))
	{
		linked_list_t *list = now >= reply->asked + WAITING_TIME_MS ? late :
							  reply->rank == QCD_RANK_HOME ? all : others;

		list->insert_last(list, reply);
	}
	enumerator->destroy(enumerator);
	enumerator = late->create_enumerator(late);
	while (enumerator->enumerate(enumerator, &reply))
	{
		take_out(this, reply);
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);

	late->destroy_function(late, (void*)qcd_reply_destroy);
	while (others->remove_first(others, (void**)&reply) == SUCCESS)
	{
		all->insert_last(all, reply);
	}
	others->destroy(others);
	return all;
}

METHOD(qcd_waiting_t, remove_, void,
	private_qcd_waiting_t *this, qcd_reply_t *reply)
{
	this->mutex->lock(this->mutex);
	take_out(this, reply);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_waiting_t, is_crowded, bool,
	private_qcd_waiting_t *this, qcd_rank_t rank)
{
	bool crowded;

	this->mutex->lock(this->mutex);
	crowded = this->ranks[rank] > rank_max[rank] / 2;
	this->mutex->unlock(this->mutex);
	return crowded;
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
	this->replies->destroy_function(this->replies, (void*)qcd_reply_destroy);
	this->sas->destroy_function(this->sas, (void*)free);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_reply_t *qcd_reply_create(const qcd_spis *spis, host_t *src, host_t *dst)
{
	qcd_reply_t *reply;

	INIT(reply,
		.spis = *spis,
		.src = src->clone(src),
		.dst = dst->clone(dst),
		.rank = QCD_RANK_UNKNOWN,
	);
	return reply;
}

/*
 * Described in header
 */
void qcd_reply_destroy(qcd_reply_t *reply)
{
	reply->src->destroy(reply->src);
	reply->dst->destroy(reply->dst);
	free(reply);
}

/*
 * Described in header
 */
qcd_waiting_t *qcd_waiting_create()
{
	private_qcd_waiting_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.touch = _touch,
			.get_all = _get_all,
			.remove = _remove_,
			.is_crowded = _is_crowded,
			.get_count = _get_count,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.replies = hashtable_create(reply_hash, reply_equals, 32),
		.sas = hashtable_create((hashtable_hash_t)qcd_spis_hash,
								(hashtable_equals_t)qcd_spis_equals, 32),
	);
	return &this->public;
}

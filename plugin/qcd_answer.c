/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_answer.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

/**
 * A daemon that has just started opens its sockets before it knows its
 * connections. A token shown then would make the peer reconnect to a daemon
 * that refuses it, so replies wait until there is a connection for the peer,
 * for no longer than a start takes.
 */
#define START_TIME_MS 10000
#define RETRY_MS 20
#define WAITING_MAX 256

/**
 * Of these about one SA: who has seen its SPIs can take its places, but not those
 * of the others
 */
#define WAITING_SAME_MAX 4

/**
 * What is to be started is begun soon after its connection was loaded; who asks
 * about such a connection waits so long to see it
 */
#define SETTLE_TIME_MS 100

typedef struct private_qcd_answer_t private_qcd_answer_t;

/**
 * Private data
 */
struct private_qcd_answer_t {

	/**
	 * Public interface
	 */
	qcd_answer_t public;

	/**
	 * State of the maker
	 */
	qcd_state_t *state;

	/**
	 * Events
	 */
	qcd_events_t *events;

	/**
	 * IKE_SAs that we initiate
	 */
	qcd_pending_t *pending;

	/**
	 * When we were started
	 */
	uint64_t started;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * Replies that wait for the daemon to be ready, as reply_t by itself
	 */
	hashtable_t *waiting;

	/**
	 * Number of connections when they were last counted, and when it changed
	 */
	u_int connections;
	uint64_t changed;
};

/**
 * A reply that is due
 */
typedef struct {
	private_qcd_answer_t *this;
	qcd_spis spis;
	/** who is told, and at which of our addresses it asked */
	host_t *src;
	host_t *dst;
	/** to a request... */
	qcd_header request;
	/** ...or to ESP of that many octets, or to nothing at all */
	bool is_lost;
	qcd_lost lost;
	size_t esp_len;
	/** whether it is among those that wait */
	bool waiting;
	/** when its connection was first seen */
	uint64_t loaded;
} reply_t;

/**
 * Replies are the same that tell the same peer of the same SA; whoever else asks
 * about it must not keep the peer from being told
 */
static u_int reply_hash(const void *key)
{
	const reply_t *reply = key;

	return chunk_hash_inc(reply->src->get_address(reply->src),
						  qcd_spis_hash(&reply->spis));
}

static bool reply_equals(const void *key, const void *other)
{
	const reply_t *a = key, *b = other;

	return qcd_spis_equals(&a->spis, &b->spis) &&
		   a->src->equals(a->src, b->src) && a->dst->equals(a->dst, b->dst);
}

/**
 * Count the replies about an SA that wait
 */
static u_int count_same(private_qcd_answer_t *this, reply_t *reply)
{
	enumerator_t *enumerator;
	reply_t *other;
	u_int count = 0;

	enumerator = this->waiting->create_enumerator(this->waiting);
	while (enumerator->enumerate(enumerator, NULL, &other))
	{
		count += qcd_spis_equals(&reply->spis, &other->spis);
	}
	enumerator->destroy(enumerator);
	return count;
}

/**
 * The second wall: has the daemon such an SA, whatever role the request gave
 * us? It never should have, once there is evidence that the SA is dead
 * (RFC 6290 section 9.2).
 */
static bool is_alive(qcd_spis *spis)
{
	enum qcd_role roles[] = { QCD_INITIATOR, QCD_RESPONDER };
	ike_sa_t *ike_sa;
	int i;

	for (i = 0; i < countof(roles); i++)
	{
		qcd_sa_t sa = {
			.spis = *spis,
			.role = roles[i],
		};

		ike_sa = qcd_sa_checkout(&sa);
		if (ike_sa)
		{
			charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
			return TRUE;
		}
	}
	return FALSE;
}

/**
 * Build and send a reply, to where the request came from and from where it went
 * (RFC 7296 sections 1.5 and 2.21.4)
 */
static void send_reply(private_qcd_answer_t *this, reply_t *reply)
{
	packet_t *packet;
	chunk_t data;
	bool built;

	built = reply->is_lost ?
			this->state->build_tell(this->state, &reply->lost, reply->esp_len,
									reply->src, &data) :
			this->state->build_reply(this->state, &reply->request, reply->src,
									 &data);
	if (!built)
	{
		DBG2(DBG_IKE, "QCD: what came from %#H is too short for a token",
			 reply->src);
		return;
	}
	packet = packet_create_from_data(reply->dst->clone(reply->dst),
									 reply->src->clone(reply->src), data);
	charon->sender->send(charon->sender, packet);
	this->events->raise(this->events, QCD_EVENT_TOLD, &reply->spis,
						reply->src, NULL);
}

/**
 * May one of the peer's addresses in a configuration be this host? Names are
 * not looked up: whoever asks must not make us wait for a DNS server.
 */
static bool names_host(char *addresses, host_t *host)
{
	enumerator_t *enumerator;
	char *word;
	host_t *single;
	bool found = FALSE;

	enumerator = enumerator_create_token(addresses, ",", " ");
	while (!found && enumerator->enumerate(enumerator, &word))
	{
		/* a subnet, a range, %any or a name may be */
		single = strpbrk(word, "/-%") ? NULL : host_create_from_string(word, 0);
		found = !single || single->is_anyaddr(single) ||
				single->ip_equals(single, host);
		DESTROY_IF(single);
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Is there anything in a connection that is started when it is loaded?
 */
static bool is_started(peer_cfg_t *peer_cfg)
{
	enumerator_t *enumerator;
	child_cfg_t *child_cfg;
	bool started = FALSE;

	enumerator = peer_cfg->create_child_cfg_enumerator(peer_cfg);
	while (enumerator->enumerate(enumerator, &child_cfg))
	{
		started |= (child_cfg->get_start_action(child_cfg) & ACTION_START) != 0;
	}
	enumerator->destroy(enumerator);
	return started;
}

/**
 * Does the daemon have a connection for this peer already, and one that it
 * starts itself?
 */
static bool has_connection(host_t *peer, bool *started)
{
	enumerator_t *enumerator;
	peer_cfg_t *peer_cfg;
	ike_cfg_t *ike_cfg;
	bool found = FALSE;

	*started = FALSE;
	enumerator = charon->backends->create_peer_cfg_enumerator(charon->backends,
												NULL, NULL, NULL, NULL, IKEV2);
	while (enumerator->enumerate(enumerator, &peer_cfg))
	{
		ike_cfg = peer_cfg->get_ike_cfg(peer_cfg);
		if (names_host(ike_cfg->get_other_addr(ike_cfg), peer))
		{
			found = TRUE;
			*started |= is_started(peer_cfg);
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Are we connecting to this peer ourselves? Then it learns by INITIAL_CONTACT
 * that we lost its SA, and two tunnels would be one too many. SAs that others
 * begin don't count, so nobody can keep us from answering.
 */
static bool is_connecting(host_t *peer)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;

	return manager->get_half_open_count(manager, peer, FALSE) >
		   manager->get_half_open_count(manager, peer, TRUE);
}

/**
 * Would the peer be welcome if it reconnected now? To an old daemon it is.
 */
static bool is_ready(private_qcd_answer_t *this, reply_t *reply)
{
	uint64_t now = qcd_now();
	bool started;

	if (now - this->started > START_TIME_MS)
	{
		return TRUE;
	}
	if (!has_connection(reply->src, &started))
	{
		return FALSE;
	}
	if (!reply->loaded)
	{
		reply->loaded = now;
	}
	return (!started || now - reply->loaded >= SETTLE_TIME_MS) &&
		   !is_connecting(reply->src);
}

/**
 * Have a reply wait, unless too many do, or the same one: a peer that repeats
 * itself is told once
 */
static bool may_wait(private_qcd_answer_t *this, reply_t *reply)
{
	this->mutex->lock(this->mutex);
	if (!reply->waiting &&
		this->waiting->get_count(this->waiting) < WAITING_MAX &&
		!this->waiting->get(this->waiting, reply) &&
		count_same(this, reply) < WAITING_SAME_MAX)
	{
		reply->waiting = TRUE;
		this->waiting->put(this->waiting, reply, reply);
	}
	this->mutex->unlock(this->mutex);
	return reply->waiting;
}

/**
 * Job that answers a request
 */
static job_requeue_t answer(reply_t *reply)
{
	private_qcd_answer_t *this = reply->this;

	if (!is_ready(this, reply))
	{
		if (may_wait(this, reply))
		{
			return JOB_RESCHEDULE_MS(RETRY_MS);
		}
		return JOB_REQUEUE_NONE;
	}
	if (is_alive(&reply->spis))
	{
		this->events->raise(this->events, QCD_EVENT_ALIVE, &reply->spis,
							reply->src, NULL);
		return JOB_REQUEUE_NONE;
	}
	send_reply(this, reply);
	return JOB_REQUEUE_NONE;
}

/**
 * Destroy a reply
 */
static void reply_destroy(reply_t *reply)
{
	private_qcd_answer_t *this = reply->this;

	if (reply->waiting)
	{
		this->mutex->lock(this->mutex);
		this->waiting->remove(this->waiting, reply);
		this->mutex->unlock(this->mutex);
	}
	reply->src->destroy(reply->src);
	reply->dst->destroy(reply->dst);
	free(reply);
}

/**
 * Create a reply to a host
 */
static reply_t *create_reply(private_qcd_answer_t *this, const qcd_spis *spis,
							 host_t *src, host_t *dst)
{
	reply_t *reply;

	INIT(reply,
		.this = this,
		.spis = *spis,
		.src = src->clone(src),
		.dst = dst->clone(dst),
	);
	return reply;
}

/**
 * Queue a reply: we may be on the bus or in the receiver, where nobody may wait
 * for an SA
 */
static void queue_reply(reply_t *reply)
{
	lib->processor->queue_job(lib->processor,
			(job_t*)callback_job_create_with_prio((void*)answer, reply,
					(void*)reply_destroy, NULL, JOB_PRIO_MEDIUM));
}

METHOD(qcd_answer_t, tell, void,
	private_qcd_answer_t *this, const qcd_lost *lost, size_t esp_len,
	host_t *peer, host_t *me)
{
	reply_t *reply;

	reply = create_reply(this, &lost->spis, peer, me);
	reply->is_lost = TRUE;
	reply->lost = *lost;
	reply->esp_len = esp_len;
	queue_reply(reply);
}

METHOD(qcd_answer_t, handle, void,
	private_qcd_answer_t *this, chunk_t message, host_t *src, host_t *dst,
	bool unknown)
{
	qcd_header request;
	reply_t *reply;

	switch (this->state->judge(this->state, message, src, dst, &request))
	{
		case QCD_ANSWER:
			reply = create_reply(this, &request.spis, src, dst);
			reply->request = request;
			queue_reply(reply);
			break;
		case QCD_SILENT_LIMIT:
			this->events->raise(this->events, QCD_EVENT_LIMITED, NULL, src,
								NULL);
			break;
		case QCD_SILENT_NO_EVIDENCE:
			if (unknown)
			{
				this->events->raise(this->events, QCD_EVENT_NO_EVIDENCE, NULL,
									NULL, NULL);
			}
			break;
		case QCD_SILENT_NO_REQUEST:
		case QCD_SILENT_TOLD:
			break;
	}
}

METHOD(qcd_answer_t, is_settled, bool,
	private_qcd_answer_t *this)
{
	enumerator_t *enumerator;
	peer_cfg_t *peer_cfg;
	uint64_t now = qcd_now();
	u_int count = 0;
	bool settled;

	if (now - this->started > START_TIME_MS)
	{
		return TRUE;
	}
	enumerator = charon->backends->create_peer_cfg_enumerator(charon->backends,
												NULL, NULL, NULL, NULL, IKEV2);
	while (enumerator->enumerate(enumerator, &peer_cfg))
	{
		count++;
	}
	enumerator->destroy(enumerator);

	this->mutex->lock(this->mutex);
	if (this->connections != count)
	{
		this->connections = count;
		this->changed = now;
	}
	settled = count && now - this->changed >= SETTLE_TIME_MS;
	this->mutex->unlock(this->mutex);
	return settled;
}

METHOD(qcd_answer_t, get_waiting, u_int,
	private_qcd_answer_t *this)
{
	u_int waiting;

	this->mutex->lock(this->mutex);
	waiting = this->waiting->get_count(this->waiting);
	this->mutex->unlock(this->mutex);
	return waiting;
}

METHOD(qcd_answer_t, destroy, void,
	private_qcd_answer_t *this)
{
	this->waiting->destroy(this->waiting);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_answer_t *qcd_answer_create(qcd_state_t *state, qcd_events_t *events,
								qcd_pending_t *pending)
{
	private_qcd_answer_t *this;

	INIT(this,
		.public = {
			.handle = _handle,
			.tell = _tell,
			.is_settled = _is_settled,
			.get_waiting = _get_waiting,
			.destroy = _destroy,
		},
		.state = state,
		.events = events,
		.pending = pending,
		.started = qcd_now(),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.waiting = hashtable_create(reply_hash, reply_equals, 32),
	);

	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_answer.h"

#include <daemon.h>
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
	 * When we were started
	 */
	uint64_t started;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * Replies that wait for the daemon to be ready
	 */
	u_int waiting;
};

/**
 * A request that deserves an answer
 */
typedef struct {
	private_qcd_answer_t *this;
	qcd_header request;
	host_t *src;
	host_t *dst;
	/** whether it is counted as waiting */
	bool waiting;
	/** when its connection was first seen */
	uint64_t loaded;
} reply_t;

/**
 * The second wall: has the daemon such an SA, whatever role the request gave
 * us? It never should have, once there is evidence that the SA is dead
 * (RFC 6290 section 9.2).
 */
static bool is_alive(qcd_header *request)
{
	enum qcd_role roles[] = { QCD_INITIATOR, QCD_RESPONDER };
	ike_sa_t *ike_sa;
	int i;

	for (i = 0; i < countof(roles); i++)
	{
		qcd_sa_t sa = {
			.spis = request->spis,
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

	if (!this->state->build_reply(this->state, &reply->request, reply->src,
								  &data))
	{
		DBG2(DBG_IKE, "QCD: request from %#H is too short for a token",
			 reply->src);
		return;
	}
	packet = packet_create_from_data(reply->dst->clone(reply->dst),
									 reply->src->clone(reply->src), data);
	charon->sender->send(charon->sender, packet);
	this->events->raise(this->events, QCD_EVENT_TOLD, &reply->request.spis,
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
 * Have a reply wait, unless too many do
 */
static bool may_wait(private_qcd_answer_t *this, reply_t *reply)
{
	this->mutex->lock(this->mutex);
	if (!reply->waiting && this->waiting < WAITING_MAX)
	{
		reply->waiting = TRUE;
		this->waiting++;
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
	if (is_alive(&reply->request))
	{
		this->events->raise(this->events, QCD_EVENT_ALIVE,
							&reply->request.spis, reply->src, NULL);
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
		this->waiting--;
		this->mutex->unlock(this->mutex);
	}
	reply->src->destroy(reply->src);
	reply->dst->destroy(reply->dst);
	free(reply);
}

/**
 * Queue an answer: this runs on the bus, where nobody may wait for an SA
 */
static void queue_answer(private_qcd_answer_t *this, qcd_header *request,
						 message_t *message)
{
	host_t *src, *dst;
	reply_t *reply;

	src = message->get_source(message);
	dst = message->get_destination(message);
	INIT(reply,
		.this = this,
		.request = *request,
		.src = src->clone(src),
		.dst = dst->clone(dst),
	);
	lib->processor->queue_job(lib->processor,
			(job_t*)callback_job_create_with_prio((void*)answer, reply,
					(void*)reply_destroy, NULL, JOB_PRIO_MEDIUM));
}

METHOD(qcd_answer_t, handle, void,
	private_qcd_answer_t *this, message_t *message)
{
	qcd_header request;

	switch (this->state->judge(this->state, message, &request))
	{
		case QCD_ANSWER:
			queue_answer(this, &request, message);
			break;
		case QCD_SILENT_LIMIT:
			this->events->raise(this->events, QCD_EVENT_LIMITED, NULL,
								message->get_source(message), NULL);
			break;
		case QCD_SILENT_NO_EVIDENCE:
			this->events->raise(this->events, QCD_EVENT_NO_EVIDENCE, NULL, NULL,
								NULL);
			break;
		case QCD_SILENT_NO_REQUEST:
			break;
	}
}

METHOD(qcd_answer_t, get_waiting, u_int,
	private_qcd_answer_t *this)
{
	u_int waiting;

	this->mutex->lock(this->mutex);
	waiting = this->waiting;
	this->mutex->unlock(this->mutex);
	return waiting;
}

METHOD(qcd_answer_t, destroy, void,
	private_qcd_answer_t *this)
{
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_answer_t *qcd_answer_create(qcd_state_t *state, qcd_events_t *events)
{
	private_qcd_answer_t *this;

	INIT(this,
		.public = {
			.handle = _handle,
			.get_waiting = _get_waiting,
			.destroy = _destroy,
		},
		.state = state,
		.events = events,
		.started = qcd_now(),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	return &this->public;
}

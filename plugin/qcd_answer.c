/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_answer.h"
#include "qcd_hurry.h"
#include "qcd_listeners.h"
#include "qcd_ready.h"
#include "qcd_ticker.h"
#include "qcd_turns.h"
#include "qcd_waiting.h"

#include <daemon.h>

/**
 * Milliseconds between two checks of the waiting replies
 */
#define TICK_MS 20

/**
 * Bounds for the interval between two checks of the loaded connections while no
 * reply waits, and its share of the time since the start. These checks end once
 * loading has settled: a later request then need not wait for that.
 */
#define IDLE_MIN_MS 50
#define IDLE_MAX_MS 1000
#define IDLE_SHARE 10

/**
 * Maximum age of a request that may have crossed the return of its peer. Its
 * reply may have been held meanwhile.
 */
#define CROSSED_MS (QCD_HELD_MAX_MS + 2 * TICK_MS)

/**
 * Milliseconds for which a peer that was told needs no announcement: less than
 * between two announcements to it
 */
#define TOLD_MS 1000

/**
 * Delay after a handshake: listeners see its end before charon stops counting
 * it
 */
#define COUNTED_MS 2

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
	 * As passed to qcd_answer_create()
	 */
	qcd_promises_t *promises;
	qcd_events_t *events;
	qcd_lost_index_t *index;

	/**
	 * Waiting replies
	 */
	qcd_waiting_t *waiting;

	/**
	 * Limits handshakes for each address
	 */
	qcd_turns_t *turns;

	/**
	 * Number of announcements
	 */
	refcount_t announced;

	/**
	 * When this instance was created
	 */
	uint64_t started;

	/**
	 * Judges by the loaded connections
	 */
	qcd_ready_t *ready;

	/**
	 * Our own requests to peers
	 */
	qcd_hurry_t *hurry;

	/**
	 * Runs the checks
	 */
	qcd_ticker_t *ticker;

	/**
	 * Whether a reply waits for a turn, atomic. Listeners read it without a
	 * mutex: if they are wrong, the reply is found at the next check.
	 */
	bool crowded;
};

/**
 * What to do with a reply
 */
typedef enum {
	/** keep it waiting */
	FATE_WAIT,
	/** send it now */
	FATE_SEND,
	/** destroy it, nobody needs it any more */
	FATE_DROP,
	/** keep it waiting for a turn */
	FATE_CROWDED,
} fate_t;

/**
 * A reply that is being sent
 */
typedef struct {
	private_qcd_answer_t *this;
	qcd_reply_t *reply;
} sending_t;

/**
 * Build and send a reply. It goes to the source of the request, from the
 * destination of the request (RFC 7296 sections 1.5 and 2.21.4).
 */
static void send_reply(private_qcd_answer_t *this, qcd_reply_t *reply)
{
	qcd_promises_t *promises = this->promises;
	packet_t *packet;
	chunk_t data;
	bool built;

	built = reply->is_lost ?
			promises->build_tell(promises, &reply->lost,
								 reply->unasked ? NULL : &reply->packet, &data) :
			promises->build_reply(promises, &reply->request, reply->src, &data);
	if (!built)
	{
		DBG2(DBG_IKE, "QCD: packet from %#H is too short for a reply, ignored",
			 reply->src);
		return;
	}
	packet = packet_create_from_data(reply->dst->clone(reply->dst),
									 reply->src->clone(reply->src), data);
	charon->sender->send(charon->sender, packet);
	if (reply->unasked)
	{
		ref_get(&this->announced);
	}
	this->events->raise(this->events, QCD_EVENT_TOLD, &reply->spis,
						reply->src, NULL, NULL);
}

/**
 * Job that sends a reply. It may wait for an IKE_SA, so it runs separately from
 * the other replies that are due.
 */
static job_requeue_t execute(sending_t *sending)
{
	private_qcd_answer_t *this = sending->this;
	qcd_reply_t *reply = sending->reply;

	if (qcd_sa_is_alive(&reply->spis))
	{
		this->events->raise(this->events, QCD_EVENT_ALIVE, &reply->spis,
							reply->src, NULL, NULL);
	}
	else
	{
		send_reply(this, reply);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Destroy a sending_t
 */
static void sending_destroy(sending_t *sending)
{
	qcd_reply_destroy(sending->reply);
	free(sending);
}

/**
 * Queue the job that sends a reply, which adopts the reply
 */
static void queue_sending(private_qcd_answer_t *this, qcd_reply_t *reply)
{
	sending_t *sending;

	INIT(sending,
		.this = this,
		.reply = reply,
	);
	qcd_job_queue(execute, sending, sending_destroy, JOB_PRIO_MEDIUM, 0);
}

/**
 * Check if a reply that can't be sent now should be dropped. Requests from
 * elsewhere cost a stranger nothing once it has seen one of our SPIs, and it can
 * keep a forged address from having turns. If such replies are too many, the
 * oldest are dropped first, so a peer that would be accepted always finds a
 * place.
 */
static bool is_surplus(private_qcd_answer_t *this, qcd_reply_t *reply)
{
	return this->ready->is_settled(this->ready) &&
		   this->waiting->is_surplus(this->waiting, reply);
}

/**
 * Decide what to do with a waiting reply
 */
static fate_t decide(private_qcd_answer_t *this, qcd_reply_t *reply)
{
	qcd_lost_peer_t peer;
	char *name;
	bool known;

	if (this->turns->is_full(this->turns, reply->rank))
	{	/* the usual case if there are many, found without asking anybody */
		return FATE_CROWDED;
	}
	if (!this->turns->available(this->turns, reply->src, reply->rank))
	{
		return is_surplus(this, reply) ? FATE_DROP : FATE_CROWDED;
	}
	known = this->index->find(this->index, &reply->spis, &peer);
	if (known && reply->unasked && peer.told &&
		reply->created < peer.told + TOLD_MS)
	{	/* It takes no second turn: the first one may last longer. */
		return FATE_DROP;
	}
	if (!known && reply->rank != QCD_RANK_UNKNOWN)
	{	/* The peer has returned. It needs this reply if it still has the old
		 * SA as well, with unique = never for example. Its request may have
		 * arrived before the end of the handshake that it followed. */
		return this->waiting->is_recent(this->waiting, reply, CROSSED_MS) ?
			   FATE_SEND : FATE_DROP;
	}
	if (!this->ready->judge(this->ready, reply->src, known ? &peer.id : NULL,
							&name))
	{
		return reply->unasked || is_surplus(this, reply) ? FATE_DROP
														 : FATE_WAIT;
	}
	if (this->hurry->holds(this->hurry, reply->src, name, &reply->held))
	{
		return FATE_WAIT;
	}
	return this->turns->take(this->turns, reply->src, reply->rank) ? FATE_SEND :
																 FATE_CROWDED;
}

/**
 * Look at a waiting reply. Of thousands, most wait for a turn: those to the same
 * address, or all of the same rank, need not be looked at.
 */
static qcd_look_t look_at(private_qcd_answer_t *this, qcd_reply_t *reply)
{
	switch (decide(this, reply))
	{
		case FATE_SEND:
			if (reply->unasked || qcd_rank_is_home(reply->rank))
			{	/* What a stranger makes us send elsewhere tells the peer
				 * nothing. */
				this->index->note_told(this->index, &reply->spis);
			}
			this->waiting->remove(this->waiting, reply);
			queue_sending(this, reply);
			return QCD_LOOK_REMOVED;
		case FATE_DROP:
			this->waiting->remove(this->waiting, reply);
			qcd_reply_destroy(reply);
			return QCD_LOOK_REMOVED;
		case FATE_CROWDED:
			__atomic_store_n(&this->crowded, TRUE, __ATOMIC_RELAXED);
			return this->turns->is_full(this->turns, reply->rank) ?
				   QCD_LOOK_OTHER_RANK : QCD_LOOK_OTHER_ADDRESS;
		default:
			return QCD_LOOK_NEXT;
	}
}

/**
 * Get the milliseconds until the next check, 0 if none is needed
 */
static u_int get_interval(private_qcd_answer_t *this)
{
	uint64_t age = qcd_now() - this->started;

	if (this->waiting->get_count(this->waiting))
	{
		return TICK_MS;
	}
	if (!this->ready->is_settled(this->ready))
	{
		return max(IDLE_MIN_MS, min(age / IDLE_SHARE, IDLE_MAX_MS));
	}
	return 0;
}

/**
 * Check the loaded connections and all waiting replies
 */
static u_int look(private_qcd_answer_t *this)
{
	this->ready->look(this->ready);
	this->turns->expire(this->turns);
	__atomic_store_n(&this->crowded, FALSE, __ATOMIC_RELAXED);
	this->waiting->visit(this->waiting, (qcd_waiting_look_t)look_at, this);
	return get_interval(this);
}

/**
 * Add a reply, which is adopted, to the waiting ones
 */
static void add_reply(private_qcd_answer_t *this, qcd_reply_t *reply)
{
	qcd_lost_peer_t peer;

	if (this->index->find(this->index, &reply->spis, &peer))
	{
		reply->rank = !qcd_lost_peer_is_home(&peer, reply->src) ?
					  QCD_RANK_ELSEWHERE : peer.told ? QCD_RANK_AGAIN : QCD_RANK_HOME;
	}
	if (this->waiting->add(this->waiting, reply))
	{
		this->ticker->work(this->ticker, 0);
	}
}

METHOD(qcd_answer_t, tell, void,
	private_qcd_answer_t *this, const qcd_lost *lost, const qcd_traffic *packet,
	host_t *peer, host_t *me)
{
	qcd_reply_t *reply;

	reply = qcd_reply_create(&lost->sa, peer, me);
	reply->is_lost = TRUE;
	reply->lost = *lost;
	if (packet)
	{
		reply->packet = *packet;
	}
	reply->unasked = !packet;
	add_reply(this, reply);
}

METHOD(qcd_answer_t, handle, void,
	private_qcd_answer_t *this, chunk_t message, host_t *src, host_t *dst,
	bool unknown)
{
	qcd_lost_peer_t peer;
	qcd_header request;
	qcd_ike_sa sa;
	qcd_reply_t *reply;
	bool home, first;

	if (qcd_header_decode(&request, message.ptr, message.len) != QCD_OK)
	{
		return;
	}
	/* Thousands of peers repeat their requests while they wait. That must not
	 * use up the rate of replies for those that do not wait yet. */
	if (this->waiting->touch(this->waiting, &request, src, dst))
	{
		return;
	}
	home = this->index->find(this->index, &request.spis, &peer) &&
		   qcd_lost_peer_is_at(&peer, src);
	first = this->index->is_first(this->index, &request.spis, src);
	switch (this->promises->judge(this->promises, message, src, dst, home, first,
								  &request))
	{
		case QCD_ANSWER:
			sa = (qcd_ike_sa){ request.spis, qcd_header_local_role(&request) };
			reply = qcd_reply_create(&sa, src, dst);
			reply->request = request;
			add_reply(this, reply);
			break;
		case QCD_SILENT_LIMIT:
			this->events->raise(this->events, QCD_EVENT_LIMITED, NULL, src,
								NULL, NULL);
			break;
		case QCD_SILENT_NO_EVIDENCE:
			if (unknown)
			{
				this->events->raise(this->events, QCD_EVENT_NO_EVIDENCE, NULL,
									NULL, NULL, NULL);
			}
			break;
		case QCD_SILENT_NO_REQUEST:
		case QCD_SILENT_TOLD:
			break;
	}
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_answer_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);

	switch (state)
	{
		case IKE_CONNECTING:
			if (!id->is_initiator(id))
			{
				this->turns->came(this->turns, ike_sa);
			}
			break;
		case IKE_ESTABLISHED:
		case IKE_DESTROYING:
			this->turns->ended(this->turns, ike_sa, state == IKE_ESTABLISHED);
			if (__atomic_load_n(&this->crowded, __ATOMIC_RELAXED))
			{
				this->ticker->work(this->ticker, COUNTED_MS);
			}
			break;
		default:
			break;
	}
	return TRUE;
}

METHOD(qcd_answer_t, is_settled, bool,
	private_qcd_answer_t *this)
{
	return this->ready->is_settled(this->ready);
}

METHOD(qcd_answer_t, get_waiting, u_int,
	private_qcd_answer_t *this)
{
	return this->waiting->get_count(this->waiting);
}

METHOD(qcd_answer_t, get_unsent, u_int,
	private_qcd_answer_t *this)
{
	return this->waiting->get_unasked(this->waiting);
}

METHOD(qcd_answer_t, get_announced, u_int,
	private_qcd_answer_t *this)
{
	return ref_cur(&this->announced);
}

METHOD(qcd_answer_t, destroy, void,
	private_qcd_answer_t *this)
{
	qcd_listeners_remove(&this->public.listener);
	this->ticker->destroy(this->ticker);
	this->hurry->destroy(this->hurry);
	this->waiting->destroy(this->waiting);
	this->turns->destroy(this->turns);
	this->ready->destroy(this->ready);
	free(this);
}

/*
 * Described in header
 */
qcd_answer_t *qcd_answer_create(qcd_promises_t *promises, qcd_events_t *events,
								qcd_pending_t *pending,
								qcd_lost_index_t *index)
{
	private_qcd_answer_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_state_change = _ike_state_change,
			},
			.handle = _handle,
			.tell = _tell,
			.is_settled = _is_settled,
			.get_waiting = _get_waiting,
			.get_unsent = _get_unsent,
			.get_announced = _get_announced,
			.destroy = _destroy,
		},
		.promises = promises,
		.events = events,
		.index = index,
		.started = qcd_now(),
		.waiting = qcd_waiting_create(),
		.turns = qcd_turns_create(),
		.ready = qcd_ready_create(),
		.hurry = qcd_hurry_create(pending),
	);
	this->ticker = qcd_ticker_create((qcd_ticker_work_t)look, this);
	qcd_listeners_add(&this->public.listener);
	this->ticker->work(this->ticker, IDLE_MIN_MS);
	return &this->public;
}

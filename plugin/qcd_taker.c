/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_taker.h"
#include "qcd_compat.h"
#include "qcd_observer.h"
#include "qcd_recoveries.h"
#include "qcd_returns.h"
#include "qcd_tokens.h"

#include <daemon.h>

typedef struct private_qcd_taker_t private_qcd_taker_t;

/**
 * Private data of a token taker
 */
struct private_qcd_taker_t {

	/**
	 * Public interface
	 */
	qcd_taker_t public;

	/**
	 * As passed to qcd_taker_create()
	 */
	qcd_config_t *config;
	qcd_events_t *events;

	/**
	 * Tokens that we hold
	 */
	qcd_tokens_t *tokens;

	/**
	 * Established IKE_SAs
	 */
	qcd_peers_t *peers;

	/**
	 * Recoveries, and the listener that reports to them
	 */
	qcd_recoveries_t *recoveries;
	qcd_observer_t *observer;

	/**
	 * Handles peers that initiate an IKE_SA
	 */
	qcd_returns_t *returns;
};

/**
 * Job that drops an IKE_SA: the SA, and the source of its token
 */
typedef struct {
	private_qcd_taker_t *this;
	qcd_sa_t sa;
	host_t *src;
} drop_t;

/**
 * Destroy a drop_t
 */
static void drop_destroy(drop_t *drop)
{
	drop->src->destroy(drop->src);
	free(drop);
}

/**
 * Tell whether an IKE_SA should be up
 */
static bool should_be_up(ike_sa_t *ike_sa)
{
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_ESTABLISHED:
		case IKE_REKEYING:
			return TRUE;
		case IKE_DELETING:
			/* if it is closed only to be opened again */
			return qcd_sa_is_reopened(ike_sa) &&
				   !lib->settings->get_bool(lib->settings,
								"%s.make_before_break", QCD_MAKE_BEFORE_BREAK,
								lib->ns);
		default:
			return FALSE;
	}
}

/**
 * Begin to re-establish what was on an IKE_SA, as configured
 */
static void replace(private_qcd_taker_t *this, ike_sa_t *ike_sa)
{
#ifdef ME
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
#endif
	qcd_wanted_t *wanted;

	if (!should_be_up(ike_sa))
	{
		return;
	}
#ifdef ME
	if (peer_cfg->is_mediation(peer_cfg) &&
		!qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE))
	{	/* it has no CHILD_SAs, and charon knows how to keep it up */
		ike_sa->reestablish(ike_sa);
		return;
	}
#endif
	wanted = qcd_wanted_create(this->config, ike_sa);
	if (wanted)
	{
		this->recoveries->begin(this->recoveries, ike_sa, wanted, TRUE);
	}
	else if (!qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE))
	{
		this->events->expect(this->events, ike_sa);
	}
}

/**
 * Drop an IKE_SA that its peer has lost, and begin to re-establish what was on
 * it. Nothing is sent on the IKE_SA (RFC 6290 sections 3 and 4.5).
 */
static void drop_sa(private_qcd_taker_t *this, ike_sa_t *ike_sa, qcd_spis *spis,
					host_t *src)
{
	ike_sa_state_t state = ike_sa->get_state(ike_sa);

	this->events->raise(this->events, QCD_EVENT_VERIFIED, spis, src,
						ike_sa->get_name(ike_sa), NULL);
	replace(this, ike_sa);
	/* as charon does if it gives up an SA after retransmissions */
	if (state != IKE_CONNECTING && state != IKE_REKEYED)
	{
		charon->bus->ike_updown(charon->bus, ike_sa, FALSE);
	}
	charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager, ike_sa);
}

/**
 * Job that drops an IKE_SA
 */
static job_requeue_t drop_job(drop_t *drop)
{
	ike_sa_t *ike_sa;

	ike_sa = qcd_sa_checkout(&drop->sa);
	if (ike_sa)
	{
		drop_sa(drop->this, ike_sa, &drop->sa.ike.spis, drop->src);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Drop an IKE_SA in a job, because the receiver's thread must not wait for the
 * SA
 *
 * @param sa			IKE_SA whose token was verified
 * @param src			source of the token
 */
static void queue_drop(private_qcd_taker_t *this, qcd_sa_t *sa, host_t *src)
{
	drop_t *drop;

	INIT(drop,
		.this = this,
		.sa = *sa,
		.src = src->clone(src),
	);
	qcd_job_queue(drop_job, drop, drop_destroy, JOB_PRIO_HIGH, 0);
}

/**
 * Handle a message with tokens. It gets no response, whatever it contains.
 * Without a matching token, no SA changes its state (RFC 6290 sections 4.5 and
 * 8.2, RFC 7296 sections 1.5 and 2.21.4).
 */
static void handle(private_qcd_taker_t *this, packet_t *packet,
				   qcd_message *message)
{
	host_t *src = packet->get_source(packet);
	qcd_event_t outcome;
	qcd_sa_t sa;

	outcome = this->tokens->verify(this->tokens, message, src, &sa);
	if (outcome == QCD_EVENT_VERIFIED)
	{
		queue_drop(this, &sa, src);
		return;
	}
	if (outcome == QCD_EVENT_UNKNOWN)
	{
		this->recoveries->hint(this->recoveries, &message->header.spis);
	}
	if (outcome != QCD_EVENT_MAX)
	{	/* RFC 6290 section 3: SHOULD log */
		this->events->raise(this->events, outcome, &message->header.spis, src,
							NULL, NULL);
	}
}

/**
 * Consume a packet that shows tokens and contains nothing else. It would reach
 * neither an IKE_SA nor a listener. With the mediation extension, charon would
 * take it for a connectivity check.
 */
CALLBACK(consume, bool,
	private_qcd_taker_t *this, packet_t *packet, chunk_t data)
{
	qcd_message message;
	bool consumed = FALSE;

	if (qcd_message_is_candidate(data.ptr, data.len))
	{
		if (qcd_message_decode(&message, data.ptr, data.len) == QCD_OK &&
			message.num_tokens)
		{
			handle(this, packet, &message);
			consumed = TRUE;
		}
		qcd_wipe(&message, sizeof(message));
	}
	return consumed;
}

METHOD(qcd_taker_t, holds_token, bool,
	private_qcd_taker_t *this, qcd_sa_t *sa)
{
	return this->tokens->holds(this->tokens, sa);
}

METHOD(qcd_taker_t, describe, void,
	private_qcd_taker_t *this, qcd_json_t *json)
{
	this->recoveries->describe(this->recoveries, json);
}

METHOD(qcd_taker_t, destroy, void,
	private_qcd_taker_t *this)
{
	this->returns->destroy(this->returns);
	this->observer->destroy(this->observer);
	this->recoveries->destroy(this->recoveries);
	this->peers->destroy(this->peers);
	this->tokens->destroy(this->tokens);
	free(this);
}

/*
 * Described in header
 */
qcd_taker_t *qcd_taker_create(qcd_config_t *config, qcd_events_t *events,
							  qcd_receiver_t *receiver,
							  qcd_pending_t *pending)
{
	private_qcd_taker_t *this;
	qcd_tokens_t *tokens;

	tokens = qcd_tokens_create(config);
	if (!tokens)
	{
		return NULL;
	}

	INIT(this,
		.public = {
			.holds_token = _holds_token,
			.describe = _describe,
			.destroy = _destroy,
		},
		.config = config,
		.events = events,
		.tokens = tokens,
		.peers = qcd_peers_create(),
	);
	/* the bus calls them in this order: a step must find what peers knows */
	this->recoveries = qcd_recoveries_create(events, pending, this->peers);
	this->observer = qcd_observer_create(this->recoveries);
	this->returns = qcd_returns_create(config, pending, this->peers, tokens,
									   this->recoveries);
	receiver->add(receiver, consume, this);

	return &this->public;
}

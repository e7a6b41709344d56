/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_taker.h"
#include "qcd_recoveries.h"
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
	 * Settings
	 */
	qcd_config_t *config;

	/**
	 * Events
	 */
	qcd_events_t *events;

	/**
	 * Tokens that we hold
	 */
	qcd_tokens_t *tokens;

	/**
	 * What is brought up again
	 */
	qcd_recoveries_t *recoveries;
};

/**
 * Handle a message with tokens. Whatever it brings, it gets no response, and
 * without a token that matches no SA changes its state (RFC 6290 sections 4.5
 * and 8.2, RFC 7296 sections 1.5 and 2.21.4).
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
		this->recoveries->recover(this->recoveries, &sa, src,
								  this->tokens->get_delay(this->tokens));
		return;
	}
	if (outcome == QCD_EVENT_UNKNOWN)
	{
		this->recoveries->hint(this->recoveries, &message->header.spis);
	}
	if (outcome != QCD_EVENT_MAX)
	{	/* RFC 6290 section 3: SHOULD log */
		this->events->raise(this->events, outcome, &message->header.spis, src,
							NULL);
	}
}

/**
 * Take a packet that shows tokens, and only that. It would reach neither an
 * IKE_SA nor a listener, with the mediation extension charon takes it for a
 * connectivity check.
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
	this->recoveries->destroy(this->recoveries);
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
		.recoveries = qcd_recoveries_create(config, events, pending, tokens),
	);
	receiver->add(receiver, consume, this);

	return &this->public;
}

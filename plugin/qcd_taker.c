/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_taker.h"
#include "qcd_recovery.h"
#include "qcd_tokens.h"

#include <daemon.h>

/**
 * Octets that tell IKE from ESP where neither port is 500, RFC 7296 2.23
 */
#define NON_ESP_MARKER_LEN 4

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
	 * charon's own receive method, which ours has replaced
	 */
	status_t (*receive)(socket_manager_t *sockets, packet_t **packet);
};

/**
 * The taker that receives: charon's receive method has no place for more than
 * the socket manager itself
 */
static private_qcd_taker_t *receiving;

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
		qcd_recovery_queue(this->config, this->events, &sa, src,
						   this->tokens->get_delay(this->tokens));
	}
	else if (outcome != QCD_EVENT_MAX)
	{	/* RFC 6290 section 3: SHOULD log */
		this->events->raise(this->events, outcome, &message->header.spis, src,
							NULL);
	}
}

/**
 * Get the IKE message in a packet as it came from the socket
 */
static chunk_t get_message(packet_t *packet)
{
	chunk_t data = packet->get_data(packet);
	host_t *src, *dst;

	src = packet->get_source(packet);
	dst = packet->get_destination(packet);
	if (src->get_port(src) != IKEV2_UDP_PORT &&
		dst->get_port(dst) != IKEV2_UDP_PORT)
	{
		static const char marker[NON_ESP_MARKER_LEN];

		if (data.len < sizeof(marker) ||
			!memeq(data.ptr, marker, sizeof(marker)))
		{
			return chunk_empty;
		}
		data = chunk_skip(data, sizeof(marker));
	}
	return data;
}

/**
 * Take a packet that shows tokens, and only that
 */
static bool consume(private_qcd_taker_t *this, packet_t *packet)
{
	chunk_t data = get_message(packet);
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

/**
 * Replaces receive() of the socket manager: an unprotected message reaches
 * neither an IKE_SA nor a listener, with the mediation extension it is taken
 * for a connectivity check.
 */
static status_t receive_and_look(socket_manager_t *sockets, packet_t **packet)
{
	private_qcd_taker_t *this = receiving;
	status_t status;

	while (TRUE)
	{
		status = this->receive(sockets, packet);
		if (status != SUCCESS || !consume(this, *packet))
		{
			return status;
		}
		(*packet)->destroy(*packet);
	}
}

METHOD(qcd_taker_t, holds_token, bool,
	private_qcd_taker_t *this, qcd_sa_t *sa)
{
	return this->tokens->holds(this->tokens, sa);
}

METHOD(qcd_taker_t, destroy, void,
	private_qcd_taker_t *this)
{
	charon->socket->receive = this->receive;
	receiving = NULL;
	this->tokens->destroy(this->tokens);
	free(this);
}

/*
 * Described in header
 */
qcd_taker_t *qcd_taker_create(qcd_config_t *config, qcd_events_t *events)
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
			.destroy = _destroy,
		},
		.config = config,
		.events = events,
		.tokens = tokens,
		.receive = charon->socket->receive,
	);
	receiving = this;
	charon->socket->receive = receive_and_look;

	return &this->public;
}

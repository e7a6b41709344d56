/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_returns.h"
#include "qcd_listeners.h"

#include <daemon.h>

/**
 * Maximum number of IKE_SAs that a peer is asked about when it initiates one, and
 * of those that are checked for that: many clients may have the same identity
 */
#define ASKED_MAX 5
#define CHECKED_MAX 64

typedef struct private_qcd_returns_t private_qcd_returns_t;

/**
 * Private data
 */
struct private_qcd_returns_t {

	/**
	 * Public interface
	 */
	qcd_returns_t public;

	/**
	 * As passed to qcd_returns_create()
	 */
	qcd_config_t *config;
	qcd_pending_t *pending;
	qcd_peers_t *peers;
	qcd_tokens_t *tokens;
	qcd_recoveries_t *recoveries;
};

/**
 * Job for an IKE_SA that a peer has initiated
 */
typedef struct {
	private_qcd_returns_t *this;
	qcd_sa_t sa;
} return_t;

/**
 * Ask the peer about an IKE_SA. Not if the SA ends anyway, or belongs to
 * another client with the same identity: a client that is asleep can't respond
 * and would lose its SA.
 *
 * @return				TRUE if the peer was asked
 */
static bool ask(private_qcd_returns_t *this, ike_sa_t *ike_sa, host_t *peer)
{
	status_t status = SUCCESS;
	bool asked;

	asked = ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
			!ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING) &&
			peer->equals(peer, ike_sa->get_other_host(ike_sa));
	if (asked)
	{
		status = this->pending->ask(this->pending, ike_sa);
	}
	qcd_sa_checkin(ike_sa, status);
	return asked;
}

/**
 * If there are several IKE_SAs of a connection, ask the peer about them. It may
 * have lost others in a crash. And it may not have the new one: if our last
 * response was late, it has given that one up for another one. It would never
 * tell us, because nothing is sent on these any more.
 *
 * @param sas			list of qcd_sa_t, emptied
 * @param peer			current address of the peer
 */
static void ask_about(private_qcd_returns_t *this, linked_list_t *sas,
					  host_t *peer)
{
	bool several = sas->get_count(sas) > 1;
	ike_sa_t *ike_sa;
	qcd_sa_t *sa;
	int asked = 0, checked = 0;

	while (sas->remove_last(sas, (void**)&sa) == SUCCESS)
	{
		ike_sa = NULL;
		if (several && asked < ASKED_MAX && checked < CHECKED_MAX &&
			this->tokens->holds(this->tokens, sa))
		{
			checked++;
			ike_sa = qcd_sa_checkout_same(sa);
		}
		if (ike_sa)
		{
			asked += ask(this, ike_sa, peer);
		}
		free(sa);
	}
}

/**
 * Job for an IKE_SA that a peer has initiated
 */
static job_requeue_t return_job(return_t *returned)
{
	private_qcd_returns_t *this = returned->this;
	linked_list_t *sas;
	ike_sa_t *ike_sa;
	host_t *peer;

	ike_sa = qcd_sa_checkout(&returned->sa);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	peer = ike_sa->get_other_host(ike_sa);
	sas = this->peers->find(this->peers, ike_sa->get_name(ike_sa),
							ike_sa->get_other_eap_id(ike_sa), NULL, NULL);
	peer = peer->clone(peer);
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	ask_about(this, sas, peer);
	peer->destroy(peer);
	sas->destroy(sas);
	return JOB_REQUEUE_NONE;
}

/**
 * Tell whether there may be something to do for an IKE_SA that a peer has
 * initiated. Usually there is not, and no thread has to be woken up.
 */
static bool is_concerned(private_qcd_returns_t *this, ike_sa_t *ike_sa)
{
	return this->peers->has_several(this->peers,
									ike_sa->get_unique_id(ike_sa)) ||
		   this->pending->has_any(this->pending);
}

/**
 * If we are establishing an IKE_SA with the same peer, begin a recovery: ours is
 * one too many, but may request more than the peer's. Later, ours might be up
 * and seem to be from before.
 */
static void join_tries(private_qcd_returns_t *this, ike_sa_t *ike_sa)
{
	linked_list_t *pending;
	qcd_wanted_t *wanted = NULL;

	pending = this->pending->find(this->pending, ike_sa->get_name(ike_sa),
								  ike_sa->get_other_host(ike_sa));
	if (pending->get_count(pending))
	{
		wanted = qcd_wanted_create_started(this->config, ike_sa);
	}
	if (wanted)
	{
		this->recoveries->begin(this->recoveries, ike_sa, wanted, FALSE);
	}
	pending->destroy_function(pending, (void*)qcd_pending_sa_destroy);
}

METHOD(listener_t, ike_updown, bool,
	private_qcd_returns_t *this, ike_sa_t *ike_sa, bool up)
{
	return_t *returned;
	qcd_sa_t sa;

	if (up && qcd_sa_identify(ike_sa, &sa) && sa.ike.role == QCD_RESPONDER &&
		this->tokens->holds(this->tokens, &sa) && is_concerned(this, ike_sa))
	{
		join_tries(this, ike_sa);
		INIT(returned,
			.this = this,
			.sa = sa,
		);
		qcd_job_queue(return_job, returned, free, JOB_PRIO_HIGH, 0);
	}
	return TRUE;
}

METHOD(qcd_returns_t, destroy, void,
	private_qcd_returns_t *this)
{
	qcd_listeners_remove(&this->public.listener);
	free(this);
}

/*
 * Described in header
 */
qcd_returns_t *qcd_returns_create(qcd_config_t *config, qcd_pending_t *pending,
								  qcd_peers_t *peers, qcd_tokens_t *tokens,
								  qcd_recoveries_t *recoveries)
{
	private_qcd_returns_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_updown = _ike_updown,
			},
			.destroy = _destroy,
		},
		.config = config,
		.pending = pending,
		.peers = peers,
		.tokens = tokens,
		.recoveries = recoveries,
	);
	qcd_listeners_add(&this->public.listener);
	return &this->public;
}

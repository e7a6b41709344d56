/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_maker.h"
#include "qcd_answer.h"
#include "qcd_compat.h"
#include "qcd_esp.h"
#include "qcd_state.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <processing/jobs/callback_job.h>
#include <sa/ikev2/tasks/ike_dpd.h>
#include <threading/mutex.h>

/**
 * Pace at which new tokens are sent after a rotation
 */
#define RENEWAL_INTERVAL_MS 10

/**
 * Seconds between looks at the age of the newest secret
 */
#define ROTATION_CHECK 60

typedef struct private_qcd_maker_t private_qcd_maker_t;

/**
 * Private data of a token maker
 */
struct private_qcd_maker_t {

	/**
	 * Public interface
	 */
	qcd_maker_t public;

	/**
	 * Settings
	 */
	qcd_config_t *config;

	/**
	 * Events
	 */
	qcd_events_t *events;

	/**
	 * Secrets, SPIs, tokens and limits
	 */
	qcd_state_t *state;

	/**
	 * Lost IKE_SAs
	 */
	qcd_lost_index_t *index;

	/**
	 * Answers to requests for lost SAs
	 */
	qcd_answer_t *answer;

	/**
	 * Answers to ESP of lost SAs, and announcements, NULL if there are none
	 */
	qcd_esp_t *esp;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * SAs that are being rekeyed by their peers, or were, until they are gone:
	 * rekeying_t by unique ID
	 */
	hashtable_t *rekeyings;
};

/**
 * What replaces an IKE_SA
 */
typedef struct {
	uint32_t unique_id;
	/** made by the peer, its token goes out with our response */
	qcd_sa_t new;
	bool answered;
	/** made by ourselves at the same time, its token waits until this SA is
	 * gone: before, the peer may not know the new one */
	qcd_sa_t ours;
	bool renew;
} rekeying_t;

CALLBACK(get_spi, uint64_t,
	private_qcd_maker_t *this)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	ike_sa_id_t *id;
	uint64_t old = 0;

	/* charon replaces the SPI only of an SA that this thread has checked out
	 * and that is connecting, see new_initiator_spi() of its manager. A new SA
	 * that is made meanwhile may look like that one, it does no harm. */
	if (ike_sa && ike_sa->get_state(ike_sa) == IKE_CONNECTING)
	{
		id = ike_sa->get_id(ike_sa);
		old = id->is_initiator(id) ? id->get_initiator_spi(id) : 0;
	}
	return this->state->mint_spi(this->state, old);
}

/**
 * Get the SA by which the peer replaces an IKE_SA, once, when we answer
 */
static bool get_successor(private_qcd_maker_t *this, qcd_sa_t *old,
						  qcd_sa_t *new)
{
	rekeying_t *rekeying;
	bool found;

	this->mutex->lock(this->mutex);
	rekeying = this->rekeyings->get(this->rekeyings,
									(void*)(uintptr_t)old->unique_id);
	found = rekeying && !rekeying->answered;
	if (found)
	{
		rekeying->answered = TRUE;
		*new = rekeying->new;
	}
	this->mutex->unlock(this->mutex);
	return found;
}

/**
 * Add the token that is due, if any, to a message. RFC 6290 section 4.2:
 * whether the peer has sent one does not matter.
 */
static void add_token(private_qcd_maker_t *this, ike_sa_t *ike_sa, qcd_sa_t *sa,
					  message_t *message, message_t *request)
{
	host_t *taker = ike_sa->get_other_host(ike_sa);
	qcd_token token;

	if (!this->config->makes_for(this->config, ike_sa))
	{
		return;
	}
	if (!this->state->owns(this->state, sa))
	{	/* without evidence its token could not be shown */
		DBG1(DBG_IKE, "QCD: %H gets no token: our SPI of its IKE_SA is not one "
			 "that we minted. It gets one once the IKE_SA is rekeyed", taker);
	}
	else if (this->state->give(this->state, sa, taker, request, &token))
	{
		message->add_notify(message, FALSE, QUICK_CRASH_DETECTION,
							chunk_create(token.octets, token.len));
		DBG2(DBG_IKE, "QCD: giving token to %H", taker);
		qcd_wipe(&token, sizeof(token));
	}
}

/**
 * Add a token to a message that we send, where one belongs
 */
static void outgoing(private_qcd_maker_t *this, ike_sa_t *ike_sa, qcd_sa_t *sa,
					 message_t *message)
{
	bool request = message->get_request(message);
	qcd_sa_t new;

	switch ((int)message->get_exchange_type(message))
	{
		case IKE_AUTH:
			/* RFC 6290 section 3: the first request, the final response; a
			 * token that was given is not due any more, and a responder is
			 * established with its final response */
			if (request || ike_sa->get_state(ike_sa) == IKE_ESTABLISHED)
			{
				add_token(this, ike_sa, sa, message, NULL);
			}
			break;
		case CREATE_CHILD_SA:
		case QCD_IKE_FOLLOWUP_KE:
			/* RFC 6290 section 4.3: the responder's token for the new SA */
			if (!request && get_successor(this, sa, &new))
			{
				add_token(this, ike_sa, &new, message, NULL);
			}
			break;
		case INFORMATIONAL:
			/* RFC 6290 sections 4.3 and 4.4, if one is due */
			if (this->state->is_due(this->state, sa,
									ike_sa->get_other_host(ike_sa)))
			{
				add_token(this, ike_sa, sa, message, request ? message : NULL);
			}
			break;
		default:
			break;
	}
}

/**
 * Job that sends an INFORMATIONAL on an IKE_SA if a token is due there, to
 * which our listener then adds it
 */
static job_requeue_t renew(private_qcd_maker_t *this, qcd_sa_t *sa)
{
	ike_sa_t *ike_sa;
	host_t *taker;
	bool busy;

	ike_sa = qcd_sa_checkout(sa);
	if (!ike_sa)
	{	/* whatever was noted of it, it is gone */
		this->state->bury(this->state, sa->unique_id);
		return JOB_REQUEUE_NONE;
	}
	taker = ike_sa->get_other_host(ike_sa);
	busy = ike_sa->get_state(ike_sa) == IKE_REKEYING;
	if (ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
		this->state->is_due(this->state, sa, taker))
	{
		DBG2(DBG_IKE, "QCD: sending a new token to %H", taker);
		ike_sa->queue_task(ike_sa, (task_t*)ike_dpd_create(TRUE));
		if (ike_sa->initiate(ike_sa, NULL, NULL) == DESTROY_ME)
		{
			charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
														ike_sa);
			return JOB_REQUEUE_NONE;
		}
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	if (busy)
	{	/* if that fails, the SA goes on with the token that it has */
		return JOB_RESCHEDULE(1);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * An IKE_SA to send a new token on
 */
typedef struct {
	private_qcd_maker_t *this;
	qcd_sa_t sa;
} renewal_t;

/**
 * Execute a renewal
 */
static job_requeue_t execute(renewal_t *renewal)
{
	return renew(renewal->this, &renewal->sa);
}

/**
 * Create the job of a renewal
 */
static job_t *create_renewal(private_qcd_maker_t *this, qcd_sa_t *sa)
{
	renewal_t *renewal;

	INIT(renewal,
		.this = this,
		.sa = *sa,
	);
	return (job_t*)callback_job_create((void*)execute, renewal, free, NULL);
}

/**
 * Queue a renewal
 */
static void queue_renewal(private_qcd_maker_t *this, qcd_sa_t *sa)
{
	lib->processor->queue_job(lib->processor, create_renewal(this, sa));
}

METHOD(listener_t, message_hook, bool,
	private_qcd_maker_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	qcd_sa_t sa;

	if (!plain || !qcd_sa_identify(ike_sa, &sa))
	{
		return TRUE;
	}
	if (!incoming)
	{
		outgoing(this, ike_sa, &sa, message);
	}
	else if (!message->get_request(message) &&
			 this->state->answered(this->state, &sa, message) &&
			 this->state->is_due(this->state, &sa,
								 ike_sa->get_other_host(ike_sa)))
	{	/* what was sent has become too old on its way */
		queue_renewal(this, &sa);
	}
	return TRUE;
}

METHOD(listener_t, ike_keys, bool,
	private_qcd_maker_t *this, ike_sa_t *ike_sa, QCD_IKE_KEYS_ARGS,
	ike_sa_t *rekey, shared_key_t *shared, auth_method_t method)
{
	rekeying_t *rekeying;
	qcd_sa_t old, new;

	if (!rekey || !qcd_sa_identify(rekey, &old) ||
		!qcd_sa_identify(ike_sa, &new) || new.role != QCD_RESPONDER)
	{
		return TRUE;
	}
	INIT(rekeying,
		.unique_id = old.unique_id,
		.new = new,
	);
	this->mutex->lock(this->mutex);
	rekeying = this->rekeyings->put(this->rekeyings,
									(void*)(uintptr_t)old.unique_id, rekeying);
	this->mutex->unlock(this->mutex);
	free(rekeying);
	return TRUE;
}

/**
 * Have our token for a new SA wait until the old one is gone, if the peer
 * rekeyed the old one at the same time
 */
static bool wait_for_old(private_qcd_maker_t *this, qcd_sa_t *old,
						 qcd_sa_t *new)
{
	rekeying_t *rekeying;

	this->mutex->lock(this->mutex);
	rekeying = this->rekeyings->get(this->rekeyings,
									(void*)(uintptr_t)old->unique_id);
	if (rekeying)
	{
		rekeying->ours = *new;
		rekeying->renew = TRUE;
	}
	this->mutex->unlock(this->mutex);
	return rekeying != NULL;
}

METHOD(listener_t, ike_rekey, bool,
	private_qcd_maker_t *this, ike_sa_t *old, ike_sa_t *new)
{
	qcd_sa_t old_sa, sa;

	/* RFC 6290 section 4.3: the initiator of a rekeying sends its token right
	 * after; the responder's is in its response, so nothing is due then */
	if (qcd_sa_identify(old, &old_sa) && qcd_sa_identify(new, &sa) &&
		sa.role == QCD_INITIATOR && this->config->makes_for(this->config, new))
	{
		this->state->owe(this->state, &sa);
		if (!wait_for_old(this, &old_sa, &sa))
		{
			queue_renewal(this, &sa);
		}
	}
	return TRUE;
}

METHOD(listener_t, ike_update, bool,
	private_qcd_maker_t *this, ike_sa_t *ike_sa, host_t *local, host_t *remote)
{
	qcd_sa_t sa;

	/* RFC 6290 section 5.2: the token follows the address; the job finds
	 * nothing to do where the exchange that moves it carries it already */
	if (this->config->bind_address && qcd_sa_identify(ike_sa, &sa))
	{
		queue_renewal(this, &sa);
	}
	return TRUE;
}

/**
 * Forget how an IKE_SA was rekeyed, and send the token that waited for its end
 */
static void end_rekeying(private_qcd_maker_t *this, uint32_t unique_id)
{
	rekeying_t *rekeying;

	this->mutex->lock(this->mutex);
	rekeying = this->rekeyings->remove(this->rekeyings,
									   (void*)(uintptr_t)unique_id);
	this->mutex->unlock(this->mutex);
	if (rekeying && rekeying->renew)
	{
		queue_renewal(this, &rekeying->ours);
	}
	free(rekeying);
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_maker_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	uint32_t unique_id = ike_sa->get_unique_id(ike_sa);

	switch (state)
	{
		case IKE_DESTROYING:
			/* by now the manager does not know the SA any more */
			end_rekeying(this, unique_id);
			this->state->bury(this->state, unique_id);
			break;
		case IKE_CREATED:
			/* reset for another try, with another SPI of the peer's at least:
			 * what the first one was is dead */
			this->state->bury(this->state, unique_id);
			break;
		default:
			break;
	}
	return TRUE;
}

METHOD(listener_t, alert_hook, bool,
	private_qcd_maker_t *this, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	message_t *message;

	if (alert == ALERT_INVALID_IKE_SPI)
	{
		message = va_arg(args, message_t*);
		this->answer->handle(this->answer, message->get_packet_data(message),
							 message->get_source(message),
							 message->get_destination(message), TRUE);
	}
	return TRUE;
}

#ifdef ME
/**
 * Octets of an IKE header that tell what a message is, RFC 7296 3.1
 */
#define FIRST_PAYLOAD 16
#define EXCHANGE_TYPE 18

/**
 * Answer a fragment of a request for a lost SA, of which charon would tell
 * nobody: built with the mediation extension it takes an INFORMATIONAL for a
 * connectivity check, unless it begins with an Encrypted payload. It gets the
 * packet in any case.
 *
 * No look-up is needed: without evidence that its SA is dead it is nothing to
 * us.
 */
CALLBACK(answer_fragment, bool,
	private_qcd_maker_t *this, packet_t *packet, chunk_t data)
{
	host_t *dst = packet->get_destination(packet);

	if (data.len > EXCHANGE_TYPE &&
		data.ptr[EXCHANGE_TYPE] == INFORMATIONAL &&
		data.ptr[FIRST_PAYLOAD] == PLV2_FRAGMENT &&
		(charon->kernel->all_interfaces_usable(charon->kernel) ||
		 charon->kernel->get_interface(charon->kernel, dst, NULL)))
	{
		this->answer->handle(this->answer, data, packet->get_source(packet),
							 dst, FALSE);
	}
	return FALSE;
}
#endif /* ME */

/**
 * Send new tokens to the peers that hold one of the oldest generation
 */
static void renew_outdated(private_qcd_maker_t *this)
{
	linked_list_t *outdated;
	qcd_sa_t *sa;
	u_int delay = 0;

	outdated = this->state->get_outdated(this->state);
	while (outdated->remove_first(outdated, (void**)&sa) == SUCCESS)
	{
		lib->scheduler->schedule_job_ms(lib->scheduler,
										create_renewal(this, sa), delay);
		delay += RENEWAL_INTERVAL_MS;
		free(sa);
	}
	outdated->destroy(outdated);
}

METHOD(qcd_maker_t, rotate, bool,
	private_qcd_maker_t *this, char *error, size_t len)
{
	if (!this->state->rotate(this->state, error, len))
	{
		return FALSE;
	}
	this->events->raise(this->events, QCD_EVENT_ROTATED, NULL, NULL, NULL);
	renew_outdated(this);
	return TRUE;
}

/**
 * Job that makes a new secret once the newest is old enough
 */
static job_requeue_t check_age(private_qcd_maker_t *this)
{
	char error[512];

	if (this->state->get_age(this->state) >= this->config->rotate &&
		!rotate(this, error, sizeof(error)))
	{
		DBG1(DBG_CFG, "QCD: no new secret made: %s", error);
	}
	return JOB_RESCHEDULE(min(this->config->rotate, ROTATION_CHECK));
}

METHOD(qcd_maker_t, describe, void,
	private_qcd_maker_t *this, qcd_json_t *json)
{
	uint64_t made_at[QCD_GENERATIONS_MAX];

	json->add_num(json, "node", this->config->node);
	json->add_num(json, "run", this->state->get_run(this->state));
	json->add_num(json, "generations",
				  this->state->get_generations(this->state, made_at));
	json->add_num(json, "newest_age", this->state->get_age(this->state));
	json->add_num(json, "waiting", this->answer->get_waiting(this->answer));
	if (this->esp)
	{
		this->esp->describe(this->esp, json);
	}
}

METHOD(qcd_maker_t, describe_secrets, void,
	private_qcd_maker_t *this, qcd_json_t *json)
{
	uint64_t made_at[QCD_GENERATIONS_MAX];
	u_int i, count;

	count = this->state->get_generations(this->state, made_at);
	for (i = 0; i < count; i++)
	{
		json->begin(json, "generation");
		json->add_num(json, "generation", i);
		json->add_num(json, "made_at", made_at[i]);
	}
}

METHOD(qcd_maker_t, is_given, bool,
	private_qcd_maker_t *this, qcd_sa_t *sa, u_int *generation)
{
	return this->state->is_given(this->state, sa, generation);
}

METHOD(qcd_maker_t, destroy, void,
	private_qcd_maker_t *this)
{
	enumerator_t *enumerator;
	rekeying_t *rekeying;

	charon->bus->remove_listener(charon->bus, &this->public.listener);
	charon->ike_sa_manager->set_spi_cb(charon->ike_sa_manager, NULL, NULL);
	enumerator = this->rekeyings->create_enumerator(this->rekeyings);
	while (enumerator->enumerate(enumerator, NULL, &rekeying))
	{
		free(rekeying);
	}
	enumerator->destroy(enumerator);
	this->rekeyings->destroy(this->rekeyings);
	DESTROY_IF(this->esp);
	this->answer->destroy(this->answer);
	this->index->destroy(this->index);
	this->state->destroy(this->state);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_maker_t *qcd_maker_create(qcd_config_t *config, qcd_events_t *events,
							  qcd_receiver_t *receiver,
							  qcd_pending_t *pending)
{
	private_qcd_maker_t *this;
	qcd_state_t *state;

	state = qcd_state_create(config);
	if (!state)
	{
		return NULL;
	}

	INIT(this,
		.public = {
			.listener = {
				.alert = _alert_hook,
				.message = _message_hook,
				.ike_keys = _ike_keys,
				.ike_rekey = _ike_rekey,
				.ike_update = _ike_update,
				.ike_state_change = _ike_state_change,
			},
			.rotate = _rotate,
			.describe = _describe,
			.describe_secrets = _describe_secrets,
			.is_given = _is_given,
			.destroy = _destroy,
		},
		.config = config,
		.events = events,
		.state = state,
		.index = qcd_lost_index_create(),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.rekeyings = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									  8),
	);
	this->answer = qcd_answer_create(state, events, pending, this->index);
	this->esp = qcd_esp_create(config, events, state, this->answer,
							   this->index);
	charon->ike_sa_manager->set_spi_cb(charon->ike_sa_manager, get_spi, this);
	charon->bus->add_listener(charon->bus, &this->public.listener);
#ifdef ME
	receiver->add(receiver, answer_fragment, this);
#endif
	if (config->rotate)
	{
		lib->scheduler->schedule_job(lib->scheduler,
				(job_t*)callback_job_create((void*)check_age, this, NULL, NULL),
				0);
	}

	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_maker.h"
#include "qcd_answer.h"
#include "qcd_compat.h"
#include "qcd_esp.h"
#include "qcd_listeners.h"
#include "qcd_renewals.h"
#include "qcd_spi_source.h"

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

/**
 * Interval at which new tokens are sent after a rotation
 */
#define RENEWAL_INTERVAL_MS 10

/**
 * Seconds between checks of the age of the newest secret
 */
#define ROTATION_CHECK 60

/**
 * Number of secrets from which on a rotation concerns the peers of lost IKE_SAs:
 * a reply to the shortest request has no room for one more token
 */
#define ENOUGH_GENERATIONS (QCD_GENERATIONS_MAX - 1)

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
	 * As passed to qcd_maker_create()
	 */
	qcd_config_t *config;
	qcd_events_t *events;

	/**
	 * Secrets and runs
	 */
	qcd_secrets_t *secrets;

	/**
	 * Tokens that peers hold
	 */
	qcd_promises_t *promises;

	/**
	 * Mints SPIs
	 */
	qcd_spi_source_t *spis;

	/**
	 * Sends new tokens
	 */
	qcd_renewals_t *renewals;

	/**
	 * Mutex for a rotation, held while waiting for the disk
	 */
	mutex_t *rotation_mutex;

	/**
	 * Whether the last rotation by age failed, used by one job only
	 */
	bool overdue;

	/**
	 * Lost IKE_SAs
	 */
	qcd_lost_index_t *index;

	/**
	 * Replies to requests for lost SAs
	 */
	qcd_answer_t *answer;

	/**
	 * Replies to ESP of lost SAs and announcements, NULL if unavailable
	 */
	qcd_esp_t *esp;
};

/**
 * Add the token that is due, if any, to a message. It does not matter whether
 * the peer has sent one (RFC 6290 section 4.2).
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
	if (this->promises->offer(this->promises, sa, taker, request, &token))
	{
		message->add_notify(message, FALSE, QUICK_CRASH_DETECTION,
							chunk_create(token.octets, token.len));
		DBG2(DBG_IKE, "QCD: giving token to %H", taker);
		qcd_wipe(&token, sizeof(token));
	}
	else if (!this->promises->owns(this->promises, &sa->ike))
	{	/* without evidence, its token could not be shown */
		DBG1(DBG_IKE, "QCD: %H gets no token: our SPI of its IKE_SA is not one "
			 "that we minted. It gets a token once the IKE_SA is rekeyed",
			 taker);
	}
}

/**
 * Add a token to a message that we send, if one belongs there
 */
static void outgoing(private_qcd_maker_t *this, ike_sa_t *ike_sa, qcd_sa_t *sa,
					 message_t *message)
{
	bool request = message->get_request(message);
	qcd_sa_t new;

	switch ((int)message->get_exchange_type(message))
	{
		case IKE_AUTH:
			/* RFC 6290 section 3: the first request and the final response. A
			 * token that was given is no longer due, and a responder is
			 * established when it sends the final response. */
			if (request || ike_sa->get_state(ike_sa) == IKE_ESTABLISHED)
			{
				add_token(this, ike_sa, sa, message, NULL);
			}
			break;
		case CREATE_CHILD_SA:
		case QCD_IKE_FOLLOWUP_KE:
			/* RFC 6290 section 4.3: the responder's token for the new SA */
			if (!request && this->renewals->get_successor(this->renewals, sa, &new))
			{
				add_token(this, ike_sa, &new, message, NULL);
			}
			break;
		case INFORMATIONAL:
			/* RFC 6290 sections 4.3 and 4.4, if one is due */
			if (this->promises->is_due(this->promises, sa,
									   ike_sa->get_other_host(ike_sa)))
			{
				add_token(this, ike_sa, sa, message, request ? message : NULL);
			}
			break;
		default:
			break;
	}
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
			 this->promises->answered(this->promises, &sa, message) &&
			 this->promises->is_due(this->promises, &sa,
									ike_sa->get_other_host(ike_sa)))
	{	/* the token that was sent became too old on its way */
		this->renewals->queue(this->renewals, &sa, 0);
	}
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_maker_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	/* By now the manager does not know the SA any more. Or the SA is reset for
	 * another try, and at least the SPI of the peer changes: the former SA is
	 * lost. */
	if (state == IKE_DESTROYING || state == IKE_CREATED)
	{
		this->promises->bury(this->promises, ike_sa->get_unique_id(ike_sa));
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
 * Offsets of octets in an IKE header that tell what a message is, RFC 7296
 * section 3.1
 */
#define FIRST_PAYLOAD 16
#define EXCHANGE_TYPE 18

/**
 * Reply to a fragment of a request for a lost SA, for which charon raises no
 * alert. With the mediation extension, charon takes an INFORMATIONAL for a
 * connectivity check, unless it begins with an Encrypted payload. charon gets
 * the packet in any case.
 *
 * No lookup is needed: without evidence that its SA is lost, the message is
 * ignored.
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
 * Send new tokens to peers whose token is of the oldest generation
 */
static void renew_last(private_qcd_maker_t *this)
{
	linked_list_t *last;
	qcd_sa_t *sa;
	u_int delay = 0;

	last = this->promises->get_last(this->promises);
	while (last->remove_first(last, (void**)&sa) == SUCCESS)
	{
		this->renewals->queue(this->renewals, sa, delay);
		delay += RENEWAL_INTERVAL_MS;
		free(sa);
	}
	last->destroy(last);
}

/**
 * Count the peers whose token we could not make any more after a rotation
 */
static u_int count_last(private_qcd_maker_t *this)
{
	linked_list_t *last;
	u_int count;

	last = this->promises->get_last(this->promises);
	count = last->get_count(last);
	last->destroy_function(last, free);
	return count;
}

/**
 * Check if a rotation might make the tokens invalid that peers of lost IKE_SAs
 * hold. They can't get new ones. IKE_SAs stay lost for a day at most.
 */
static bool concerns_lost(private_qcd_maker_t *this)
{
	uint64_t made_at[QCD_GENERATIONS_MAX];
	qcd_child_spi spi;
	qcd_lost_place_t place = {};

	return this->secrets->get_generations(this->secrets,
										  made_at) >= ENOUGH_GENERATIONS &&
		   this->index->next(this->index, &place, &spi);
}

/**
 * Make a new generation, with the mutex held
 */
static bool make_generation(private_qcd_maker_t *this, char *error, size_t len)
{
	qcd_secret newest;
	u_int last;

	last = count_last(this);
	if (last)
	{
		snprintf(error, len, "%u peers hold a token of the oldest secret and "
				 "are being sent a new one; try again later", last);
		return FALSE;
	}
	if (concerns_lost(this))
	{
		snprintf(error, len, "peers of lost SAs have not returned and may hold "
				 "tokens of the oldest secret; try again later, in a day at the "
				 "latest");
		return FALSE;
	}
	if (!this->secrets->rotate(this->secrets, &newest, error, len))
	{
		return FALSE;
	}
	/* a token that is given meanwhile is of the previous generation */
	this->promises->rotate(this->promises, &newest);
	qcd_wipe(&newest, sizeof(newest));
	return TRUE;
}

METHOD(qcd_maker_t, rotate, bool,
	private_qcd_maker_t *this, char *error, size_t len)
{
	bool made;

	this->rotation_mutex->lock(this->rotation_mutex);
	made = make_generation(this, error, len);
	this->rotation_mutex->unlock(this->rotation_mutex);
	if (made)
	{
		this->events->raise(this->events, QCD_EVENT_ROTATED, NULL, NULL, NULL,
							NULL);
		renew_last(this);
	}
	return made;
}

/**
 * Job that makes a new secret once the newest one is old enough
 */
static job_requeue_t check_age(private_qcd_maker_t *this)
{
	char error[512];
	bool failed;

	failed = this->secrets->get_age(this->secrets) >= this->config->rotate &&
			 !rotate(this, error, sizeof(error));
	if (failed && !this->overdue)
	{
		DBG1(DBG_CFG, "QCD: no new secret made: %s", error);
	}
	this->overdue = failed;
	return JOB_RESCHEDULE(min(this->config->rotate, ROTATION_CHECK));
}

METHOD(qcd_maker_t, describe, void,
	private_qcd_maker_t *this, qcd_json_t *json)
{
	uint64_t made_at[QCD_GENERATIONS_MAX];
	u_int count;

	json->add_num(json, "node", this->config->node);
	json->add_num(json, "run", this->promises->get_run(this->promises));
	count = this->secrets->get_generations(this->secrets, made_at);
	json->add_num(json, "generations", count);
	json->add_num(json, "newest_age", this->secrets->get_age(this->secrets));
	json->add_num(json, "newest_made_at", count ? made_at[0] : 0);
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

	count = this->secrets->get_generations(this->secrets, made_at);
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
	return this->promises->is_given(this->promises, sa, generation);
}

METHOD(qcd_maker_t, destroy, void,
	private_qcd_maker_t *this)
{
	if (this->answer)
	{
		qcd_listeners_remove(&this->public.listener);
		qcd_listeners_remove(&this->renewals->listener);
	}
	DESTROY_IF(this->spis);
	DESTROY_IF(this->esp);
	DESTROY_IF(this->answer);
	DESTROY_IF(this->index);
	DESTROY_IF(this->renewals);
	DESTROY_IF(this->promises);
	DESTROY_IF(this->secrets);
	this->rotation_mutex->destroy(this->rotation_mutex);
	free(this);
}

/**
 * Begin a run: read the secrets
 */
static bool begin_run(private_qcd_maker_t *this, char *error, size_t len)
{
	qcd_maker_state state = {};

	this->secrets = qcd_secrets_create(this->config, &state, error, len);
	if (this->secrets)
	{
		snprintf(error, len, "the secrets in %s don't fit the settings",
				 this->config->state_dir);
		this->promises = qcd_promises_create(this->config, &state);
	}
	qcd_wipe(&state, sizeof(state));
	return this->promises != NULL;
}

/**
 * Start working
 */
static void start(private_qcd_maker_t *this, qcd_receiver_t *receiver,
				  qcd_pending_t *pending)
{
	this->index = qcd_lost_index_create();
	this->renewals = qcd_renewals_create(this->config, this->promises);
	this->answer = qcd_answer_create(this->promises, this->events, pending,
									 this->index);
	this->esp = qcd_esp_create(this->config, this->events, this->promises,
							   this->answer, this->index);
	this->spis = qcd_spi_source_create(this->promises, this->secrets);
	qcd_listeners_add(&this->renewals->listener);
	qcd_listeners_add(&this->public.listener);
#ifdef ME
	receiver->add(receiver, answer_fragment, this);
#endif
	if (this->config->rotate)
	{
		lib->scheduler->schedule_job(lib->scheduler,
				(job_t*)callback_job_create((void*)check_age, this, NULL, NULL),
				0);
	}
}

/*
 * Described in header
 */
qcd_maker_t *qcd_maker_create(qcd_config_t *config, qcd_events_t *events,
							  qcd_receiver_t *receiver,
							  qcd_pending_t *pending, char *error, size_t len)
{
	private_qcd_maker_t *this;

	INIT(this,
		.public = {
			.listener = {
				.alert = _alert_hook,
				.message = _message_hook,
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
		.rotation_mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	if (!begin_run(this, error, len))
	{
		destroy(this);
		return NULL;
	}
	*error = '\0';
	start(this, receiver, pending);
	return &this->public;
}

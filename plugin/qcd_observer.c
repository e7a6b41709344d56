/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_observer.h"
#include "qcd_listeners.h"
#include "qcd_notify.h"

#include <daemon.h>
#include <threading/thread_value.h>

/**
 * Milliseconds for which a message or an alert may be the reason why an IKE_SA
 * ends in the thread that processes it
 */
#define CAUSE_MS 2000

typedef struct private_qcd_observer_t private_qcd_observer_t;

/**
 * Listener for changes of routes and addresses. Its methods get a pointer to
 * the listener itself, so that member comes first.
 */
typedef struct {
	kernel_listener_t listener;
	qcd_recoveries_t *recoveries;
} roaming_t;

/**
 * Private data
 */
struct private_qcd_observer_t {

	/**
	 * Public interface
	 */
	qcd_observer_t public;

	/**
	 * Listens for changes of routes and addresses
	 */
	roaming_t roaming;

	/**
	 * Recoveries
	 */
	qcd_recoveries_t *recoveries;

	/**
	 * The last cause_t of each thread
	 */
	thread_value_t *causes;
};

/**
 * A message or an alert of an IKE_SA. If the SA ends now, in the same thread,
 * this is why it fails. This does not apply to a message after which we have
 * sent one: it was fully processed.
 */
typedef struct {
	uint32_t unique_id;
	uint64_t at;
	bool alert;
} cause_t;

/**
 * Note a message or an alert of an IKE_SA
 */
static void note_cause(private_qcd_observer_t *this, ike_sa_t *ike_sa,
					   bool alert)
{
	cause_t *cause = this->causes->get(this->causes);

	if (!cause)
	{
		INIT(cause);
		this->causes->set(this->causes, cause);
	}
	cause->unique_id = ike_sa->get_unique_id(ike_sa);
	cause->at = qcd_now();
	cause->alert = alert;
}

/**
 * Note that we send a message of an IKE_SA
 */
static void note_sent(private_qcd_observer_t *this, ike_sa_t *ike_sa)
{
	cause_t *cause = this->causes->get(this->causes);

	if (cause && !cause->alert &&
		cause->unique_id == ike_sa->get_unique_id(ike_sa))
	{
		cause->at = 0;
	}
}

/**
 * Tell whether an IKE_SA has a reason to end
 */
static bool has_cause(private_qcd_observer_t *this, ike_sa_t *ike_sa)
{
	cause_t *cause = this->causes->get(this->causes);

	return cause && cause->unique_id == ike_sa->get_unique_id(ike_sa) &&
		   cause->at && qcd_now() - cause->at < CAUSE_MS;
}

/**
 * Tell whether an IKE_SA fails if it enters a state now. If we delete one that was
 * up, somebody wants that. The thread that does it for him may have processed a
 * message of the same IKE_SA shortly before.
 */
static bool is_failing(private_qcd_observer_t *this, ike_sa_t *ike_sa,
					   ike_sa_state_t state)
{
	if (state == IKE_DELETING && ike_sa->get_state(ike_sa) != IKE_CONNECTING &&
		qcd_sa_has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_IKE_DELETE))
	{
		return FALSE;
	}
	return has_cause(this, ike_sa);
}

METHOD(listener_t, ike_updown, bool,
	private_qcd_observer_t *this, ike_sa_t *ike_sa, bool up)
{
	this->recoveries->wake(this->recoveries, ike_sa);
	return TRUE;
}

METHOD(listener_t, child_updown, bool,
	private_qcd_observer_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	bool up)
{
	this->recoveries->wake(this->recoveries, ike_sa);
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_observer_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	if (state != IKE_CONNECTING)
	{
		this->recoveries->note_state(this->recoveries, ike_sa, state,
									 is_failing(this, ike_sa, state));
	}
	return TRUE;
}

/**
 * Note the error in a response that we have received
 */
static void note_response(private_qcd_observer_t *this, ike_sa_t *ike_sa,
						  message_t *message)
{
	notify_type_t error = qcd_notify_get_error(message);
	char *name = error ? enum_to_name(notify_type_names, error) : NULL;

	if (name)
	{
		this->recoveries->note_failure(this->recoveries, ike_sa,
									   QCD_FAILURE_REFUSED, name);
	}
}

METHOD(listener_t, message_hook, bool,
	private_qcd_observer_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	bool request = message->get_request(message);

	if (!ike_sa || ike_sa->get_version(ike_sa) != IKEV2)
	{
		return TRUE;
	}
	if (!plain)
	{
		if (!incoming && request &&
			message->get_exchange_type(message) == IKE_SA_INIT)
		{
			this->recoveries->note_init(this->recoveries, ike_sa);
		}
		return TRUE;
	}
	if (incoming)
	{
		note_cause(this, ike_sa, FALSE);
		if (!request)
		{
			note_response(this, ike_sa, message);
		}
		return TRUE;
	}
	note_sent(this, ike_sa);
	if (request && message->get_exchange_type(message) == IKE_AUTH &&
			 this->recoveries->is_one_of_several(this->recoveries, ike_sa))
	{	/* The notify would be untrue: the peer would destroy the other
		 * connections that are being re-established. */
		qcd_notify_remove(message, INITIAL_CONTACT);
	}
	return TRUE;
}

METHOD(listener_t, alert_hook, bool,
	private_qcd_observer_t *this, ike_sa_t *ike_sa, alert_t alert,
	va_list args)
{
	enum qcd_failure failure = QCD_FAILURE_REFUSED;
	char *reason = NULL;

	if (!ike_sa)
	{
		return TRUE;
	}
	note_cause(this, ike_sa, TRUE);
	switch (alert)
	{
		case ALERT_LOCAL_AUTH_FAILED:
			reason = "we can't authenticate ourselves";
			break;
		case ALERT_PEER_AUTH_FAILED:
			reason = "we could not authenticate the peer";
			break;
		case ALERT_RETRANSMIT_SEND_TIMEOUT:
			failure = QCD_FAILURE_SILENT;
			reason = "no answer";
			break;
		default:
			break;
	}
	if (reason)
	{
		this->recoveries->note_failure(this->recoveries, ike_sa, failure, reason);
	}
	return TRUE;
}

METHOD(kernel_listener_t, roam, bool,
	roaming_t *roaming, bool address)
{
	roaming->recoveries->wake(roaming->recoveries, NULL);
	return TRUE;
}

METHOD(qcd_observer_t, destroy, void,
	private_qcd_observer_t *this)
{
	charon->kernel->remove_listener(charon->kernel, &this->roaming.listener);
	qcd_listeners_remove(&this->public.listener);
	this->causes->destroy(this->causes);
	free(this);
}

/*
 * Described in header
 */
qcd_observer_t *qcd_observer_create(qcd_recoveries_t *recoveries)
{
	private_qcd_observer_t *this;

	INIT(this,
		.public = {
			.listener = {
				.alert = _alert_hook,
				.message = _message_hook,
				.ike_state_change = _ike_state_change,
				.ike_updown = _ike_updown,
				.child_updown = _child_updown,
			},
			.destroy = _destroy,
		},
		.roaming = {
			.listener = {
				.roam = _roam,
			},
			.recoveries = recoveries,
		},
		.recoveries = recoveries,
		.causes = thread_value_create(free),
	);
	qcd_listeners_add(&this->public.listener);
	charon->kernel->add_listener(charon->kernel, &this->roaming.listener);
	return &this->public;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_renewals.h"
#include "qcd_compat.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <sa/ikev2/tasks/ike_dpd.h>
#include <threading/mutex.h>

typedef struct private_qcd_renewals_t private_qcd_renewals_t;

/**
 * Private data
 */
struct private_qcd_renewals_t {

	/**
	 * Public interface
	 */
	qcd_renewals_t public;

	/**
	 * As passed to qcd_renewals_create()
	 */
	qcd_config_t *config;
	qcd_promises_t *promises;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * SAs that their peers are rekeying or have rekeyed, until they are
	 * destroyed; rekeying_t by unique ID
	 */
	hashtable_t *rekeyings;
};

/**
 * The SAs that replace an IKE_SA
 */
typedef struct {
	uint32_t unique_id;
	/** created by the peer, its token is sent with our response */
	qcd_sa_t new;
	bool answered;
	/** created by us at the same time, its token waits until the old SA is
	 * gone: before that, the peer may not know the new one */
	qcd_sa_t ours;
	bool renew;
} rekeying_t;

/**
 * An IKE_SA on which to send a new token
 */
typedef struct {
	private_qcd_renewals_t *this;
	qcd_sa_t sa;
} renewal_t;

/**
 * Job that sends an INFORMATIONAL on an IKE_SA if a token is due there. The
 * listener of the maker adds the token.
 */
static job_requeue_t renew(renewal_t *renewal)
{
	qcd_promises_t *promises = renewal->this->promises;
	qcd_sa_t *sa = &renewal->sa;
	status_t status = SUCCESS;
	ike_sa_t *ike_sa;
	host_t *taker;
	bool busy;

	ike_sa = qcd_sa_checkout(sa);
	if (!ike_sa)
	{	/* it is gone, whatever was noted about it */
		promises->bury(promises, sa->unique_id);
		return JOB_REQUEUE_NONE;
	}
	taker = ike_sa->get_other_host(ike_sa);
	busy = ike_sa->get_state(ike_sa) == IKE_REKEYING;
	if (ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
		promises->is_due(promises, sa, taker))
	{
		DBG2(DBG_IKE, "QCD: sending a new token to %H", taker);
		ike_sa->queue_task(ike_sa, (task_t*)ike_dpd_create(TRUE));
		status = ike_sa->initiate(ike_sa, NULL, NULL);
	}
	qcd_sa_checkin(ike_sa, status);
	if (busy)
	{	/* if the rekeying fails, the SA keeps its token */
		return JOB_RESCHEDULE(1);
	}
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_renewals_t, queue, void,
	private_qcd_renewals_t *this, qcd_sa_t *sa, u_int delay)
{
	renewal_t *renewal;

	INIT(renewal,
		.this = this,
		.sa = *sa,
	);
	qcd_job_queue(renew, renewal, free, JOB_PRIO_MEDIUM, delay);
}

METHOD(qcd_renewals_t, get_successor, bool,
	private_qcd_renewals_t *this, qcd_sa_t *old, qcd_sa_t *new)
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

METHOD(listener_t, ike_keys, bool,
	private_qcd_renewals_t *this, ike_sa_t *ike_sa, QCD_IKE_KEYS_ARGS,
	ike_sa_t *rekey, shared_key_t *shared, auth_method_t method)
{
	rekeying_t *rekeying;
	qcd_sa_t old, new;

	if (!rekey || !qcd_sa_identify(rekey, &old) ||
		!qcd_sa_identify(ike_sa, &new) || new.ike.role != QCD_RESPONDER)
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
 * Let our token for a new SA wait until the old one is gone, if the peer
 * rekeyed the old one at the same time
 */
static bool wait_for_old(private_qcd_renewals_t *this, qcd_sa_t *old,
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
	private_qcd_renewals_t *this, ike_sa_t *old, ike_sa_t *new)
{
	qcd_sa_t old_sa, sa;

	/* RFC 6290 section 4.3: the initiator of a rekeying sends its token right
	 * after it. The token of the responder is in its response, so nothing is
	 * due then. */
	if (qcd_sa_identify(old, &old_sa) && qcd_sa_identify(new, &sa) &&
		sa.ike.role == QCD_INITIATOR &&
		this->config->makes_for(this->config, new))
	{
		this->promises->owe(this->promises, &sa);
		if (!wait_for_old(this, &old_sa, &sa))
		{
			queue(this, &sa, 0);
		}
	}
	return TRUE;
}

METHOD(listener_t, ike_update, bool,
	private_qcd_renewals_t *this, ike_sa_t *ike_sa, host_t *local,
	host_t *remote)
{
	qcd_sa_t sa;

	/* RFC 6290 section 5.2: the token follows the address. The job does nothing
	 * if the exchange that changes the address already carries the token. */
	if (this->config->bind_address && qcd_sa_identify(ike_sa, &sa))
	{
		queue(this, &sa, 0);
	}
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_renewals_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	rekeying_t *rekeying;

	if (state != IKE_DESTROYING)
	{
		return TRUE;
	}
	/* forget how it was rekeyed, and send the token that waited for its end */
	this->mutex->lock(this->mutex);
	rekeying = this->rekeyings->remove(this->rekeyings,
						(void*)(uintptr_t)ike_sa->get_unique_id(ike_sa));
	this->mutex->unlock(this->mutex);
	if (rekeying && rekeying->renew)
	{
		queue(this, &rekeying->ours, 0);
	}
	free(rekeying);
	return TRUE;
}

METHOD(qcd_renewals_t, destroy, void,
	private_qcd_renewals_t *this)
{
	this->rekeyings->destroy_function(this->rekeyings, (void*)free);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_renewals_t *qcd_renewals_create(qcd_config_t *config,
									qcd_promises_t *promises)
{
	private_qcd_renewals_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_keys = _ike_keys,
				.ike_rekey = _ike_rekey,
				.ike_update = _ike_update,
				.ike_state_change = _ike_state_change,
			},
			.queue = _queue,
			.get_successor = _get_successor,
			.destroy = _destroy,
		},
		.config = config,
		.promises = promises,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.rekeyings = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									  8),
	);
	return &this->public;
}

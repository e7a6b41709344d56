/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_recovery.h"
#include "qcd_compat.h"

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <sa/ikev2/tasks/child_create.h>

/**
 * An IKE_SA to recover
 */
typedef struct {
	qcd_config_t *config;
	qcd_events_t *events;
	qcd_sa_t sa;
	host_t *src;
} recovery_t;

/**
 * Get what has to be done for a CHILD_SA
 */
static action_t get_action(qcd_config_t *config, ike_sa_t *ike_sa,
						   child_sa_t *child_sa)
{
	child_cfg_t *cfg = child_sa->get_config(child_sa);
	action_t action;

	if (ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING))
	{	/* it was to be established anew anyway */
		return ACTION_START;
	}
	switch (config->recover)
	{
		case QCD_RECOVER_RECONNECT:
			return ACTION_START;
		case QCD_RECOVER_TRAP:
			return ACTION_TRAP;
		case QCD_RECOVER_NONE:
			return ACTION_NONE;
		case QCD_RECOVER_AUTO:
			break;
	}
	action = child_sa->get_dpd_action(child_sa);
	if (action == ACTION_NONE)
	{
		action = child_sa->get_close_action(child_sa);
	}
	if (action == ACTION_NONE)
	{
		action = cfg->get_start_action(cfg);
	}
	if (action == ACTION_NONE &&
		ike_sa->has_condition(ike_sa, COND_ORIGINAL_INITIATOR))
	{
		action = ACTION_START;
	}
	return action;
}

/**
 * Is the CHILD_SA one that should be up?
 */
static bool is_child_up(child_sa_t *child_sa)
{
	switch (child_sa->get_state(child_sa))
	{
		case CHILD_REKEYED:
		case CHILD_DELETED:
			return FALSE;
		default:
			return TRUE;
	}
}

/**
 * Are there tasks of that type?
 */
static bool has_task(ike_sa_t *ike_sa, task_queue_t queue, task_type_t type)
{
	enumerator_t *enumerator;
	task_t *task;
	bool found = FALSE;

	enumerator = ike_sa->create_task_enumerator(ike_sa, queue);
	while (enumerator->enumerate(enumerator, &task))
	{
		found |= task->get_type(task) == type;
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Install trap policies where that has to be done for a CHILD_SA
 *
 * @return				TRUE if a CHILD_SA has to be established
 */
static bool trap_children(qcd_config_t *config, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	action_t action;
	bool restart = FALSE;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		action = is_child_up(child_sa) ? get_action(config, ike_sa, child_sa)
									   : ACTION_NONE;
		if (action & ACTION_TRAP)
		{
			charon->traps->install(charon->traps, ike_sa->get_peer_cfg(ike_sa),
								   child_sa->get_config(child_sa));
		}
		restart |= (action & ACTION_START) != 0;
	}
	enumerator->destroy(enumerator);
	return restart;
}

/**
 * Check if we can be the initiator: where the peer got a virtual IP from us or
 * authenticated with EAP, only the peer can
 */
static bool is_symmetric(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *vip;
	bool gave_vip;

	if (ike_sa->has_condition(ike_sa, COND_ORIGINAL_INITIATOR))
	{
		return TRUE;
	}
	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE);
	gave_vip = enumerator->enumerate(enumerator, &vip);
	enumerator->destroy(enumerator);
	return !gave_vip && !ike_sa->has_condition(ike_sa, COND_EAP_AUTHENTICATED);
}

/**
 * Get the address to reach the peer at: the one that the configuration names,
 * or, for a peer that may be anywhere, the one it had
 */
static host_t *get_other_host(ike_cfg_t *ike_cfg, host_t *old)
{
	host_t *host;

	host = ike_cfg->resolve_other(ike_cfg, old->get_family(old));
	if (!host || host->is_anyaddr(host))
	{
		DESTROY_IF(host);
		host = old->clone(old);
	}
	host->set_port(host, ike_cfg->get_other_port(ike_cfg));
	return host;
}

/**
 * Get the address to reach the peer from: the one that the configuration names,
 * the one we had, or what goes to where the peer is now
 */
static host_t *get_my_host(ike_cfg_t *ike_cfg, host_t *old, bool moved,
						   host_t *other)
{
	host_t *host;

	host = ike_cfg->resolve_me(ike_cfg, other->get_family(other));
	if (host && host->is_anyaddr(host))
	{
		host->destroy(host);
		host = NULL;
	}
	if (!host && moved)
	{
		host = charon->kernel->get_source_addr(charon->kernel, other, NULL);
	}
	if (!host)
	{
		host = old->clone(old);
	}
	host->set_port(host, ike_cfg->get_my_port(ike_cfg));
	return host;
}

/**
 * Set the hosts of the new IKE_SA
 */
static void set_hosts(ike_sa_t *old, ike_sa_t *new)
{
	ike_cfg_t *ike_cfg = old->get_ike_cfg(old);
	host_t *me, *other, *old_other;

	old_other = old->get_other_host(old);
	other = get_other_host(ike_cfg, old_other);
	me = get_my_host(ike_cfg, old->get_my_host(old),
					 !other->ip_equals(other, old_other), other);
	new->set_other_host(new, other);
	new->set_my_host(new, me);
}

/**
 * Ask for the virtual IPs that we had
 */
static void set_virtual_ips(ike_sa_t *old, ike_sa_t *new)
{
	enumerator_t *enumerator;
	host_t *vip;

	enumerator = old->create_virtual_ip_enumerator(old, TRUE);
	while (enumerator->enumerate(enumerator, &vip))
	{
		new->add_virtual_ip(new, TRUE, vip);
	}
	enumerator->destroy(enumerator);
}

/**
 * Queue what establishes the CHILD_SAs on a new IKE_SA
 */
static void queue_children(qcd_config_t *config, ike_sa_t *old, ike_sa_t *new)
{
	enumerator_t *enumerator;
	child_create_t *task;
	child_sa_t *child_sa;
	child_cfg_t *cfg;

	enumerator = old->create_child_sa_enumerator(old);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		if (is_child_up(child_sa) &&
			get_action(config, old, child_sa) & ACTION_START)
		{
			cfg = child_sa->get_config(child_sa);
			task = child_create_create(new, cfg->get_ref(cfg), FALSE, NULL,
									   NULL);
			qcd_use_reqid(task, child_sa);
			task->use_label(task, child_sa->get_label(child_sa));
			new->queue_task(new, &task->task);
		}
	}
	enumerator->destroy(enumerator);
	new->adopt_child_tasks(new, old);
}

/**
 * Establish a new IKE_SA like ike_sa_t.reestablish(), but put it under the
 * manager's care before it sends anything.
 *
 * reestablish() initiates the new SA first and checks it in then. On a fast
 * network the response to IKE_SA_INIT is here before that, the manager knows no
 * such SA and drops it, and all wait four seconds for a retransmission. Here,
 * the thread that got the response waits until the SA is checked in.
 */
static void establish(qcd_config_t *config, ike_sa_t *old)
{
	ike_sa_t *new;

	new = charon->ike_sa_manager->create_new(charon->ike_sa_manager, IKEV2,
											 TRUE);
	if (!new)
	{
		return;
	}
	new->set_peer_cfg(new, old->get_peer_cfg(old));
	set_hosts(old, new);
	charon->bus->ike_reestablish_pre(charon->bus, old, new);
	charon->ike_sa_manager->checkout_new(charon->ike_sa_manager, new);
	charon->bus->set_sa(charon->bus, new);
	set_virtual_ips(old, new);
	queue_children(config, old, new);

	if (new->initiate(new, NULL, NULL) == DESTROY_ME)
	{
		charon->bus->ike_reestablish_post(charon->bus, old, new, FALSE);
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													new);
	}
	else
	{
		charon->bus->ike_reestablish_post(charon->bus, old, new, TRUE);
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, new);
	}
	charon->bus->set_sa(charon->bus, old);
}

/**
 * Is another IKE_SA on its way that replaces one which is authenticated anew, as
 * make_before_break has it? Only its task tells, and one that never came up
 * leaves the condition behind.
 *
 * An SA that a thread has checked out is not looked at: that thread may wait for
 * the one that we hold.
 */
static bool is_replaced(ike_sa_t *old)
{
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;
	host_t *peer = old->get_other_host(old);
	bool found = FALSE;

	if (!old->has_condition(old, COND_REAUTHENTICATING))
	{
		return FALSE;
	}
	enumerator = charon->ike_sa_manager->create_enumerator(
											charon->ike_sa_manager, FALSE);
	while (!found && enumerator->enumerate(enumerator, &ike_sa))
	{
		found = ike_sa->get_state(ike_sa) == IKE_CONNECTING &&
				streq(ike_sa->get_name(ike_sa), old->get_name(old)) &&
				peer->ip_equals(peer, ike_sa->get_other_host(ike_sa)) &&
				has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_REAUTH_COMPLETE);
	}
	enumerator->destroy(enumerator);
	charon->bus->set_sa(charon->bus, old);
	return found;
}

/**
 * Do for an IKE_SA what has to be done
 */
static void reestablish(qcd_config_t *config, ike_sa_t *ike_sa)
{
#ifdef ME
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
#endif
	bool restart;

	if (has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE) ||
		is_replaced(ike_sa))
	{
		return;
	}
#ifdef ME
	if (peer_cfg->is_mediation(peer_cfg))
	{	/* has no children, charon knows how to keep it up */
		ike_sa->reestablish(ike_sa);
		return;
	}
#endif
	restart = trap_children(config, ike_sa);
	restart |= config->recover != QCD_RECOVER_NONE &&
			   (has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_CHILD_CREATE) ||
				has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_CHILD_CREATE));
	if (!restart)
	{
		return;
	}
	if (!is_symmetric(ike_sa))
	{
		DBG1(DBG_IKE, "QCD: only the peer can establish IKE_SA %s[%u] again",
			 ike_sa->get_name(ike_sa), ike_sa->get_unique_id(ike_sa));
		return;
	}
	establish(config, ike_sa);
}

/**
 * Is the IKE_SA one that should be up?
 */
static bool should_be_up(ike_sa_t *ike_sa)
{
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_ESTABLISHED:
		case IKE_REKEYING:
			return TRUE;
		case IKE_DELETING:
			/* where it is closed only to be opened again */
			return ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING) &&
				   !lib->settings->get_bool(lib->settings,
								"%s.make_before_break", QCD_MAKE_BEFORE_BREAK,
								lib->ns);
		default:
			return FALSE;
	}
}

/**
 * Recover a checked out IKE_SA: RFC 6290 sections 3 and 4.5, it is deleted with
 * its CHILD_SAs and nothing is sent on it
 */
static void recover(recovery_t *this, ike_sa_t *ike_sa)
{
	ike_sa_state_t state = ike_sa->get_state(ike_sa);

	this->events->raise(this->events, QCD_EVENT_VERIFIED, &this->sa.spis,
						this->src, ike_sa->get_name(ike_sa));

	if (should_be_up(ike_sa))
	{
		this->events->expect(this->events, ike_sa->get_name(ike_sa));
		reestablish(this->config, ike_sa);
	}
	/* as charon does where an SA is given up after retransmissions */
	if (state != IKE_CONNECTING && state != IKE_REKEYED)
	{
		charon->bus->ike_updown(charon->bus, ike_sa, FALSE);
	}
	charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager, ike_sa);
}

/**
 * Job that recovers an IKE_SA
 */
static job_requeue_t execute(recovery_t *this)
{
	ike_sa_t *ike_sa;
	char *name;

	ike_sa = qcd_sa_checkout(&this->sa);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	name = ike_sa->get_name(ike_sa);
	if (this->config->role_enabled(this->config, name, "taker"))
	{
		recover(this, ike_sa);
	}
	else
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Destroy a recovery
 */
static void recovery_destroy(recovery_t *this)
{
	this->src->destroy(this->src);
	free(this);
}

/*
 * Described in header
 */
void qcd_recovery_queue(qcd_config_t *config, qcd_events_t *events,
						qcd_sa_t *sa, host_t *src, u_int delay)
{
	recovery_t *this;
	job_t *job;

	INIT(this,
		.config = config,
		.events = events,
		.sa = *sa,
		.src = src->clone(src),
	);
	job = (job_t*)callback_job_create_with_prio((void*)execute, this,
							(void*)recovery_destroy, NULL, JOB_PRIO_HIGH);
	if (delay)
	{
		lib->scheduler->schedule_job_ms(lib->scheduler, job, delay);
	}
	else
	{
		lib->processor->queue_job(lib->processor, job);
	}
}

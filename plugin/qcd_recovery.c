/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_recovery.h"
#include "qcd_compat.h"

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <sa/ikev2/tasks/child_create.h>
#include <sa/ikev2/tasks/ike_dpd.h>

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
 * Do for an IKE_SA what has to be done
 */
static void reestablish(qcd_config_t *config, ike_sa_t *ike_sa)
{
#ifdef ME
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
#endif
	bool restart;

	if (has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE))
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
static void recover(recovery_t *this, ike_sa_t *ike_sa, bool replaced)
{
	ike_sa_state_t state = ike_sa->get_state(ike_sa);

	this->events->raise(this->events, QCD_EVENT_VERIFIED, &this->sa.spis,
						this->src, ike_sa->get_name(ike_sa));

	if (should_be_up(ike_sa))
	{
		this->events->expect(this->events, ike_sa->get_name(ike_sa));
		if (!replaced)
		{
			reestablish(this->config, ike_sa);
		}
	}
	/* as charon does where an SA is given up after retransmissions */
	if (state != IKE_CONNECTING && state != IKE_REKEYED)
	{
		charon->bus->ike_updown(charon->bus, ike_sa, FALSE);
	}
	charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager, ike_sa);
}

/**
 * What is known of an IKE_SA that is not checked out
 */
typedef struct {
	uint32_t unique_id;
	char *name;
	host_t *peer;
	/** names of its CHILD_SAs that are up */
	linked_list_t *children;
} known_t;

/**
 * Is there a CHILD_SA of that name that is up?
 */
static bool has_child(ike_sa_t *ike_sa, char *name)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	bool found = FALSE;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (!found && enumerator->enumerate(enumerator, &child_sa))
	{
		found = is_child_up(child_sa) &&
				streq(child_sa->get_name(child_sa), name);
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Does an IKE_SA replace an older one, or is it about to? While it comes up,
 * only its task tells; the task is gone a moment before the older one is. One
 * beside it with other CHILD_SAs does not count.
 */
static bool is_replacement(known_t *old, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	char *child;
	bool found;

	if (ike_sa->get_unique_id(ike_sa) <= old->unique_id ||
		!streq(ike_sa->get_name(ike_sa), old->name) ||
		!old->peer->ip_equals(old->peer, ike_sa->get_other_host(ike_sa)))
	{
		return FALSE;
	}
	if (has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_REAUTH_COMPLETE))
	{
		return TRUE;
	}
	found = ike_sa->get_state(ike_sa) == IKE_ESTABLISHED;
	enumerator = old->children->create_enumerator(old->children);
	while (found && enumerator->enumerate(enumerator, &child))
	{
		found = has_child(ike_sa, child);
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Find the IKE_SA that replaces another one
 *
 * @return				its unique ID, 0 if there is none
 */
static uint32_t find_replacement(known_t *old)
{
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;
	uint32_t unique_id = 0;

	enumerator = charon->ike_sa_manager->create_enumerator(
											charon->ike_sa_manager, TRUE);
	while (!unique_id && enumerator->enumerate(enumerator, &ike_sa))
	{
		if (is_replacement(old, ike_sa))
		{
			unique_id = ike_sa->get_unique_id(ike_sa);
		}
	}
	enumerator->destroy(enumerator);
	return unique_id;
}

/**
 * Have an IKE_SA that replaces another one go on, with a peer that has crashed
 * meanwhile: it may have been asked while the peer was down, and would repeat
 * itself in seconds only.
 *
 * @return				FALSE if it can't take the place of the other one
 */
static bool hurry(uint32_t unique_id)
{
	ike_sa_t *ike_sa;
	ike_sa_id_t *id;
	status_t status = FAILED;

	ike_sa = charon->ike_sa_manager->checkout_by_id(charon->ike_sa_manager,
													unique_id);
	if (!ike_sa)
	{
		return FALSE;
	}
	id = ike_sa->get_id(ike_sa);
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_CONNECTING:
			/* once it was answered, this may be by the daemon that died: then
			 * nobody would ever tell us */
			status = id->get_responder_spi(id) ? DESTROY_ME
											   : ike_sa->retransmit(ike_sa, 0);
			break;
		case IKE_ESTABLISHED:
		case IKE_REKEYING:
			/* if the peer has lost it as well, it will show that token too */
			ike_sa->queue_task(ike_sa, (task_t*)ike_dpd_create(TRUE));
			status = ike_sa->initiate(ike_sa, NULL, NULL);
			break;
		default:
			break;
	}
	if (status == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return FALSE;
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return status == SUCCESS;
}

/**
 * Is an IKE_SA that is authenticated anew replaced by another one, as
 * make_before_break has it, so that ours would be one too many? The condition
 * alone doesn't say: an attempt that failed leaves it behind.
 *
 * Looks at all others, which may wait for this one: it is checked in meanwhile.
 *
 * @return				the IKE_SA checked out again, NULL if it is gone
 */
static ike_sa_t *look_for_replacement(recovery_t *this, ike_sa_t *ike_sa,
									  bool *replaced)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	host_t *peer = ike_sa->get_other_host(ike_sa);
	known_t old = {
		.unique_id = ike_sa->get_unique_id(ike_sa),
		.name = strdup(ike_sa->get_name(ike_sa)),
		.peer = peer->clone(peer),
		.children = linked_list_create(),
	};
	uint32_t unique_id;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		if (is_child_up(child_sa))
		{
			old.children->insert_last(old.children,
									  strdup(child_sa->get_name(child_sa)));
		}
	}
	enumerator->destroy(enumerator);
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);

	unique_id = find_replacement(&old);
	*replaced = unique_id && hurry(unique_id);

	old.children->destroy_function(old.children, free);
	old.peer->destroy(old.peer);
	free(old.name);
	return qcd_sa_checkout(&this->sa);
}

/**
 * Job that recovers an IKE_SA
 */
static job_requeue_t execute(recovery_t *this)
{
	ike_sa_t *ike_sa;
	bool replaced = FALSE;
	char *name;

	ike_sa = qcd_sa_checkout(&this->sa);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	name = ike_sa->get_name(ike_sa);
	if (!this->config->role_enabled(this->config, name, "taker"))
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
		return JOB_REQUEUE_NONE;
	}
	if (ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING))
	{
		ike_sa = look_for_replacement(this, ike_sa, &replaced);
	}
	if (ike_sa)
	{
		recover(this, ike_sa, replaced);
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

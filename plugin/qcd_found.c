/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_found.h"

/**
 * Tell whether an IKE_SA lacks the virtual IPs that the configuration requests
 */
static bool lacks_virtual_ip(peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *vip;
	bool wanted;

	enumerator = peer_cfg->create_virtual_ip_enumerator(peer_cfg);
	wanted = enumerator->enumerate(enumerator, &vip);
	enumerator->destroy(enumerator);
	return wanted && !qcd_sa_has_virtual_ip(ike_sa, TRUE);
}

/**
 * Tell whether CHILD_SAs are being created, or the peer has not yet responded
 * to a request whether it is alive
 */
static bool is_busy(ike_sa_t *ike_sa)
{
	task_type_t types[] = { TASK_CHILD_CREATE, TASK_IKE_DPD };
	task_queue_t queues[] = { TASK_QUEUE_ACTIVE, TASK_QUEUE_QUEUED };
	bool busy = FALSE;
	int i, j;

	for (i = 0; i < countof(types); i++)
	{
		for (j = 0; j < countof(queues); j++)
		{
			busy |= qcd_sa_has_task(ike_sa, queues[j], types[i]);
		}
	}
	return busy;
}

/**
 * Tell whether an IKE_SA is being closed only to be opened again. Without
 * make_before_break, charon begins the new one once the peer has responded.
 */
static bool is_reopened(ike_sa_t *ike_sa)
{
	return ike_sa->get_state(ike_sa) == IKE_DELETING &&
		   ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING);
}

/**
 * Examine an IKE_SA that may replace the lost one
 *
 * @return				FALSE if it can't
 */
static bool look_at(qcd_connector_t *connector, qcd_wanted_t *wanted,
					peer_cfg_t *peer_cfg, ike_sa_t *ike_sa, qcd_found_t *found)
{
	qcd_child_list_t *children = wanted->get_children(wanted);
	ike_sa_state_t state = ike_sa->get_state(ike_sa);
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);

	if ((state != IKE_ESTABLISHED && state != IKE_REKEYING &&
		 !is_reopened(ike_sa)) ||
		(!connector->is_try(connector, ike_sa->get_unique_id(ike_sa)) &&
		 !wanted->is_with(wanted, peer_cfg, ike_sa)))
	{
		return FALSE;
	}
	found->initiator = id->is_initiator(id);
	if (is_reopened(ike_sa))
	{
		found->children = 0;
		found->busy = TRUE;
		found->no_vip = FALSE;
		return TRUE;
	}
	found->children = children->look_at(children, ike_sa);
	found->busy = is_busy(ike_sa);
	found->no_vip = found->initiator && lacks_virtual_ip(peer_cfg, ike_sa);
	return TRUE;
}

/*
 * Described in header
 */
array_t *qcd_found_create(qcd_peers_t *peers, qcd_connector_t *connector,
						  qcd_wanted_t *wanted, peer_cfg_t *peer_cfg,
						  uint32_t lost, qcd_pending_t *ask)
{
	array_t *all = array_create(sizeof(qcd_found_t), 0);
	qcd_child_list_t *children = wanted->get_children(wanted);
	linked_list_t *sas;
	ike_sa_t *ike_sa;
	qcd_found_t found;
	qcd_sa_t *sa;
	status_t status;

	children->look(children);
	sas = peers->find(peers, wanted->get_name(wanted),
					  wanted->get_peer_id(wanted),
					  (qcd_peers_pick_t)connector->is_try, connector);
	while (sas->remove_first(sas, (void**)&sa) == SUCCESS)
	{
		ike_sa = sa->unique_id > lost ? qcd_sa_checkout_same(sa) : NULL;
		if (ike_sa)
		{
			status = SUCCESS;
			found.sa = *sa;
			if (look_at(connector, wanted, peer_cfg, ike_sa, &found))
			{
				array_insert(all, ARRAY_TAIL, &found);
				status = ask && !is_reopened(ike_sa) ? ask->ask(ask, ike_sa)
													 : SUCCESS;
			}
			qcd_sa_checkin(ike_sa, status);
		}
		free(sa);
	}
	sas->destroy(sas);
	return all;
}

/*
 * Described in header
 */
bool qcd_found_best(array_t *all, u_int wanted, qcd_found_t *best,
					u_int *complete)
{
	qcd_found_t found;
	int i;

	*complete = 0;
	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (!i || found.children >= best->children)
		{
			*best = found;
		}
		*complete += found.children == wanted;
	}
	return array_count(all) > 0;
}

/**
 * Tell whether an array contains a unique ID
 */
static bool has_id(array_t *ids, uint32_t unique_id)
{
	uint32_t id;
	int i;

	for (i = 0; i < array_count(ids); i++)
	{
		array_get(ids, i, &id);
		if (id == unique_id)
		{
			return TRUE;
		}
	}
	return FALSE;
}

/*
 * Described in header
 */
linked_list_t *qcd_found_surplus(array_t *all, u_int wanted, array_t *before)
{
	linked_list_t *surplus = linked_list_create();
	qcd_found_t found, keep;
	qcd_sa_t *sa;
	bool any = FALSE;
	int i;

	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (found.children < wanted || found.busy ||
			has_id(before, found.sa.unique_id))
		{
			continue;
		}
		if (any)
		{
			sa = malloc_thing(qcd_sa_t);
			*sa = found.sa;
			if (memcmp(&found.sa.ike.spis, &keep.sa.ike.spis, sizeof(qcd_spis)) < 0)
			{
				*sa = keep.sa;
				keep = found;
			}
			surplus->insert_last(surplus, sa);
		}
		else
		{
			keep = found;
			any = TRUE;
		}
	}
	return surplus;
}

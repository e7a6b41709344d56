/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_child.h"

/*
 * Described in header
 */
bool qcd_child_should_be_up(child_sa_t *child_sa)
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

/*
 * Described in header
 */
bool qcd_child_is_used(child_sa_t *child_sa)
{
	uint64_t packets = 0;

	child_sa->get_usestats(child_sa, TRUE, NULL, NULL, &packets);
	return packets > 0;
}

/**
 * Tell whether a CHILD_SA carries traffic
 */
static bool carries_traffic(child_sa_t *child_sa)
{
	switch (child_sa->get_state(child_sa))
	{
		case CHILD_INSTALLED:
		case CHILD_UPDATING:
		case CHILD_REKEYING:
		case CHILD_RETRYING:
			return TRUE;
		default:
			return FALSE;
	}
}

/**
 * Find the CHILD_SA of this name that carries traffic
 */
static child_sa_t *find_up(ike_sa_t *ike_sa, char *name)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa, *found = NULL;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (!found && enumerator->enumerate(enumerator, &child_sa))
	{
		if (carries_traffic(child_sa) &&
			streq(child_sa->get_name(child_sa), name))
		{
			found = child_sa;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

/*
 * Described in header
 */
bool qcd_child_is_up(ike_sa_t *ike_sa, char *name)
{
	return find_up(ike_sa, name) != NULL;
}

/*
 * Described in header
 */
linked_list_t *qcd_child_clone_selectors(child_sa_t *child_sa)
{
	linked_list_t *list = linked_list_create();
	enumerator_t *enumerator;
	traffic_selector_t *ts;

	enumerator = child_sa->create_ts_enumerator(child_sa, FALSE);
	while (enumerator->enumerate(enumerator, &ts))
	{
		list->insert_last(list, ts->clone(ts));
	}
	enumerator->destroy(enumerator);
	return list;
}

/*
 * Described in header
 */
linked_list_t *qcd_child_get_selectors(ike_sa_t *ike_sa, char *name)
{
	child_sa_t *child_sa = find_up(ike_sa, name);

	return child_sa ? qcd_child_clone_selectors(child_sa) : NULL;
}

/*
 * Described in header
 */
bool qcd_child_same_selectors(linked_list_t *a, linked_list_t *b)
{
	return a->equals_offset(a, b, offsetof(traffic_selector_t, equals));
}

/*
 * Described in header
 */
child_cfg_t *qcd_child_find(peer_cfg_t *peer_cfg, char *name)
{
	enumerator_t *enumerator;
	child_cfg_t *cfg, *found = NULL;

	enumerator = peer_cfg->create_child_cfg_enumerator(peer_cfg);
	while (!found && enumerator->enumerate(enumerator, &cfg))
	{
		if (streq(cfg->get_name(cfg), name))
		{
			found = cfg;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

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

/*
 * Described in header
 */
bool qcd_child_is_up(ike_sa_t *ike_sa, char *name)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	bool found = FALSE;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (!found && enumerator->enumerate(enumerator, &child_sa))
	{
		found = carries_traffic(child_sa) &&
				streq(child_sa->get_name(child_sa), name);
	}
	enumerator->destroy(enumerator);
	return found;
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

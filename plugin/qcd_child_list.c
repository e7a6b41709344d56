/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_child_list.h"
#include "qcd_compat.h"

#include <collections/array.h>

typedef struct private_qcd_child_list_t private_qcd_child_list_t;

/**
 * Private data
 */
struct private_qcd_child_list_t {

	/**
	 * Public interface
	 */
	qcd_child_list_t public;

	/**
	 * CHILD_SAs as entry_t
	 */
	array_t *entries;
};

/**
 * A CHILD_SA
 */
typedef struct {
	/** configuration that it had, or is to get */
	child_cfg_t *cfg;
	/** what a new CHILD_SA inherits from the lost one */
	qcd_child_t kept;
	/** remote selectors as traffic_selector_t, NULL if not known */
	linked_list_t *remote;
	/** whether it was up at the last look */
	bool up;
} entry_t;

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

/**
 * Get the remote traffic selectors of a CHILD_SA
 *
 * @return				list of traffic_selector_t
 */
static linked_list_t *clone_selectors(child_sa_t *child_sa)
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

/**
 * Get the remote traffic selectors of the CHILD_SA of this name that carries
 * traffic
 *
 * @return				list of traffic_selector_t, NULL if there is no such
 *						CHILD_SA
 */
static linked_list_t *get_selectors(ike_sa_t *ike_sa, char *name)
{
	child_sa_t *child_sa = find_up(ike_sa, name);

	return child_sa ? clone_selectors(child_sa) : NULL;
}

/**
 * Destroy an entry_t
 */
static void entry_destroy(entry_t *entry)
{
	entry->cfg->destroy(entry->cfg);
	DESTROY_OFFSET_IF(entry->remote, offsetof(traffic_selector_t, destroy));
	qcd_child_release(&entry->kept);
	free(entry);
}

/**
 * Get the current configuration of a CHILD_SA
 */
static child_cfg_t *get_current(entry_t *entry, peer_cfg_t *peer_cfg)
{
	return qcd_child_find(peer_cfg, entry->cfg->get_name(entry->cfg));
}

/**
 * Tell whether the list has a CHILD_SA of this name
 */
static bool has(private_qcd_child_list_t *this, char *name)
{
	entry_t *entry;
	bool found = FALSE;
	int i;

	for (i = 0; !found && array_get(this->entries, i, &entry); i++)
	{
		found = streq(entry->cfg->get_name(entry->cfg), name);
	}
	return found;
}

/**
 * Set the remote selectors of a CHILD_SA, which are adopted. A CHILD_SA that
 * was still being created has none.
 */
static void set_remote(entry_t *entry, linked_list_t *remote)
{
	DESTROY_OFFSET_IF(entry->remote, offsetof(traffic_selector_t, destroy));
	entry->remote = NULL;
	if (remote->get_count(remote))
	{
		entry->remote = remote;
	}
	else
	{
		remote->destroy(remote);
	}
}

METHOD(qcd_child_list_t, add, void,
	private_qcd_child_list_t *this, child_cfg_t *cfg, child_sa_t *child_sa)
{
	entry_t *entry;

	if (has(this, cfg->get_name(cfg)))
	{
		return;
	}
	INIT(entry,
		.cfg = cfg->get_ref(cfg),
	);
	if (child_sa)
	{
		qcd_child_keep(&entry->kept, child_sa);
		set_remote(entry, clone_selectors(child_sa));
	}
	array_insert(this->entries, ARRAY_TAIL, entry);
}

METHOD(qcd_child_list_t, get_count, u_int,
	private_qcd_child_list_t *this)
{
	return array_count(this->entries);
}

METHOD(qcd_child_list_t, is_outdated, bool,
	private_qcd_child_list_t *this, peer_cfg_t *peer_cfg)
{
	entry_t *entry;
	bool outdated = FALSE;
	int i;

	for (i = 0; !outdated && array_get(this->entries, i, &entry); i++)
	{
		outdated = !get_current(entry, peer_cfg);
	}
	return outdated;
}

METHOD(qcd_child_list_t, look, void,
	private_qcd_child_list_t *this)
{
	entry_t *entry;
	int i;

	for (i = 0; array_get(this->entries, i, &entry); i++)
	{
		entry->up = FALSE;
	}
}

METHOD(qcd_child_list_t, look_at, u_int,
	private_qcd_child_list_t *this, ike_sa_t *ike_sa)
{
	entry_t *entry;
	u_int count = 0;
	int i;

	for (i = 0; array_get(this->entries, i, &entry); i++)
	{
		if (find_up(ike_sa, entry->cfg->get_name(entry->cfg)))
		{
			entry->up = TRUE;
			count++;
		}
	}
	return count;
}

/**
 * Compare a CHILD_SA of an IKE_SA with the lost one
 */
static qcd_likeness_t compare_entry(entry_t *entry, peer_cfg_t *peer_cfg,
									ike_sa_t *ike_sa)
{
	child_cfg_t *cfg = get_current(entry, peer_cfg);
	linked_list_t *remote;
	qcd_likeness_t likeness = QCD_UNKNOWN;

	remote = get_selectors(ike_sa, entry->cfg->get_name(entry->cfg));
	if (remote && entry->remote)
	{
		if (remote->equals_offset(remote, entry->remote,
								  offsetof(traffic_selector_t, equals)))
		{
			likeness = QCD_SAME;
		}
		else if (cfg && cfg->equals(cfg, entry->cfg))
		{
			likeness = QCD_OTHER;
		}
	}
	DESTROY_OFFSET_IF(remote, offsetof(traffic_selector_t, destroy));
	return likeness;
}

METHOD(qcd_child_list_t, compare, qcd_likeness_t,
	private_qcd_child_list_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	qcd_likeness_t likeness, all = QCD_UNKNOWN;
	entry_t *entry;
	int i;

	for (i = 0; all != QCD_SAME && array_get(this->entries, i, &entry); i++)
	{
		likeness = compare_entry(entry, peer_cfg, ike_sa);
		if (likeness != QCD_UNKNOWN)
		{
			all = likeness;
		}
	}
	return all;
}

METHOD(qcd_child_list_t, learn, void,
	private_qcd_child_list_t *this, ike_sa_t *ike_sa)
{
	linked_list_t *remote;
	entry_t *entry;
	int i;

	for (i = 0; array_get(this->entries, i, &entry); i++)
	{
		remote = get_selectors(ike_sa, entry->cfg->get_name(entry->cfg));
		if (remote)
		{
			set_remote(entry, remote);
		}
	}
}

METHOD(qcd_child_list_t, count_missing, u_int,
	private_qcd_child_list_t *this, peer_cfg_t *peer_cfg, u_int *all)
{
	entry_t *entry;
	u_int missing = 0;
	int i;

	*all = 0;
	for (i = 0; array_get(this->entries, i, &entry); i++)
	{
		if (entry->up || get_current(entry, peer_cfg))
		{
			(*all)++;
			missing += !entry->up;
		}
	}
	return missing;
}

METHOD(qcd_child_list_t, queue_missing, u_int,
	private_qcd_child_list_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	child_cfg_t *cfg;
	entry_t *entry;
	u_int queued = 0;
	int i;

	for (i = 0; array_get(this->entries, i, &entry); i++)
	{
		cfg = get_current(entry, peer_cfg);
		if (cfg && !entry->up)
		{	/* the reqid belongs to what this configuration negotiated */
			qcd_child_queue(ike_sa, cfg->get_ref(cfg),
							cfg->equals(cfg, entry->cfg) ? &entry->kept : NULL);
			queued++;
		}
	}
	return queued;
}

METHOD(qcd_child_list_t, merge, void,
	private_qcd_child_list_t *this, qcd_child_list_t *public)
{
	private_qcd_child_list_t *other = (private_qcd_child_list_t*)public;
	entry_t *entry;

	while (array_remove(other->entries, ARRAY_HEAD, &entry))
	{
		if (has(this, entry->cfg->get_name(entry->cfg)))
		{
			entry_destroy(entry);
		}
		else
		{
			array_insert(this->entries, ARRAY_TAIL, entry);
		}
	}
}

METHOD(qcd_child_list_t, keep_only, void,
	private_qcd_child_list_t *this, qcd_child_list_t *one, qcd_child_list_t *two)
{
	entry_t *entry;
	char *name;
	int i;

	for (i = array_count(this->entries) - 1; i >= 0; i--)
	{
		array_get(this->entries, i, &entry);
		name = entry->cfg->get_name(entry->cfg);
		if (!has((private_qcd_child_list_t*)one, name) &&
			!has((private_qcd_child_list_t*)two, name))
		{
			array_remove(this->entries, i, NULL);
			entry_destroy(entry);
		}
	}
}

METHOD(qcd_child_list_t, destroy, void,
	private_qcd_child_list_t *this)
{
	array_destroy_function(this->entries, (void*)entry_destroy, NULL);
	free(this);
}

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

/*
 * Described in header
 */
qcd_child_list_t *qcd_child_list_create()
{
	private_qcd_child_list_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.get_count = _get_count,
			.is_outdated = _is_outdated,
			.look = _look,
			.look_at = _look_at,
			.compare = _compare,
			.learn = _learn,
			.count_missing = _count_missing,
			.queue_missing = _queue_missing,
			.merge = _merge,
			.keep_only = _keep_only,
			.destroy = _destroy,
		},
		.entries = array_create(0, 0),
	);
	return &this->public;
}

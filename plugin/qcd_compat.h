/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_compat qcd_compat
 * @{ @ingroup qcd
 *
 * Differences between the supported versions of strongSwan.
 */

#ifndef QCD_COMPAT_H_
#define QCD_COMPAT_H_

#include <daemon.h>
#include <sa/ikev2/tasks/child_create.h>

/**
 * Arguments of listener_t.ike_keys() before the rekeyed IKE_SA, declared and
 * passed on.
 */
#ifdef QCD_HAVE_MULTI_KE
#define QCD_IKE_KEYS_ARGS array_t *kes, chunk_t ke_other, \
	chunk_t nonce_i, chunk_t nonce_r
#define QCD_IKE_KEYS_PASSED kes, ke_other, nonce_i, nonce_r
#else
#define QCD_IKE_KEYS_ARGS key_exchange_t *ke, chunk_t ke_other, \
	chunk_t nonce_i, chunk_t nonce_r
#define QCD_IKE_KEYS_PASSED ke, ke_other, nonce_i, nonce_r
#endif

/**
 * Exchange type that may end a rekeying, RFC 9370.
 */
#define QCD_IKE_FOLLOWUP_KE 44

/**
 * Default of the setting make_before_break.
 */
#ifdef QCD_HAVE_MULTI_KE
#define QCD_MAKE_BEFORE_BREAK TRUE
#else
#define QCD_MAKE_BEFORE_BREAK FALSE
#endif

/**
 * What a new CHILD_SA inherits from a lost one.
 */
typedef struct {
	/** reserved until released; 0 if configured, the task then knows it */
	uint32_t reqid;
	sec_label_t *label;
#ifndef QCD_HAVE_REQID_REF
	/** with what the reqid is reserved */
	mark_t mark_in, mark_out;
	uint32_t if_id_in, if_id_out;
	sec_label_t *reqid_label;
#endif
} qcd_child_t;

#ifndef QCD_HAVE_REQID_REF
/**
 * Collect the traffic selectors of a CHILD_SA.
 *
 * @return				list of traffic_selector_t, which belong to the CHILD_SA
 */
static inline linked_list_t *qcd_child_list_selectors(child_sa_t *child_sa,
													  bool local)
{
	linked_list_t *list = linked_list_create();
	enumerator_t *enumerator;
	traffic_selector_t *ts;

	enumerator = child_sa->create_ts_enumerator(child_sa, local);
	while (enumerator->enumerate(enumerator, &ts))
	{
		list->insert_last(list, ts);
	}
	enumerator->destroy(enumerator);
	return list;
}

/**
 * Reserve the reqid of a CHILD_SA, by confirming it as charon does for a second
 * CHILD_SA that uses it.
 */
static inline void qcd_child_reserve(qcd_child_t *kept, child_sa_t *child_sa)
{
	child_cfg_t *cfg = child_sa->get_config(child_sa);
	linked_list_t *local, *remote;
	sec_label_t *label = NULL;

	if (cfg->get_label_mode(cfg) == SEC_LABEL_MODE_SELINUX)
	{	/* as charon does */
		label = cfg->get_label(cfg);
	}
	kept->reqid_label = label ? label->clone(label) : NULL;
	kept->mark_in = child_sa->get_mark(child_sa, TRUE);
	kept->mark_out = child_sa->get_mark(child_sa, FALSE);
	kept->if_id_in = child_sa->get_if_id(child_sa, TRUE);
	kept->if_id_out = child_sa->get_if_id(child_sa, FALSE);
	local = qcd_child_list_selectors(child_sa, TRUE);
	remote = qcd_child_list_selectors(child_sa, FALSE);
	kept->reqid = child_sa->get_reqid(child_sa);
	if (!local->get_count(local) || !remote->get_count(remote) ||
		charon->kernel->alloc_reqid(charon->kernel, local, remote,
									kept->mark_in, kept->mark_out,
									kept->if_id_in, kept->if_id_out,
									kept->reqid_label, &kept->reqid) != SUCCESS)
	{	/* it was still being created */
		kept->reqid = 0;
	}
	local->destroy(local);
	remote->destroy(remote);
}
#endif

/**
 * Keep what a new CHILD_SA inherits.
 *
 * When the old SAs are destroyed, their reqids become free. Without a
 * reservation, the first new CHILD_SA could get the number that the second one
 * insists on, and both would share it. charon's own reestablish() has that
 * fault before 6.0.
 */
static inline void qcd_child_keep(qcd_child_t *kept, child_sa_t *child_sa)
{
	sec_label_t *label = child_sa->get_label(child_sa);
#ifndef QCD_HAVE_REQID_REF
	child_cfg_t *cfg = child_sa->get_config(child_sa);
#endif

	kept->label = label ? label->clone(label) : NULL;
#ifdef QCD_HAVE_REQID_REF
	kept->reqid = child_sa->get_reqid_ref(child_sa);
#else
	if (!cfg->get_reqid(cfg))
	{
		qcd_child_reserve(kept, child_sa);
	}
#endif
}

/**
 * Release what was kept.
 */
static inline void qcd_child_release(qcd_child_t *kept)
{
	if (kept->reqid)
	{
#ifdef QCD_HAVE_REQID_REF
		charon->kernel->release_reqid(charon->kernel, kept->reqid);
#else
		charon->kernel->release_reqid(charon->kernel, kept->reqid,
									  kept->mark_in, kept->mark_out,
									  kept->if_id_in, kept->if_id_out,
									  kept->reqid_label);
#endif
	}
#ifndef QCD_HAVE_REQID_REF
	DESTROY_IF(kept->reqid_label);
#endif
	DESTROY_IF(kept->label);
}

/**
 * Queue the task that creates a CHILD_SA on an IKE_SA.
 *
 * @param cfg			reference, owned by the task
 * @param kept			what the CHILD_SA inherits, NULL if nothing
 */
static inline void qcd_child_queue(ike_sa_t *ike_sa, child_cfg_t *cfg,
								   qcd_child_t *kept)
{
	child_create_t *task;

#ifdef QCD_HAVE_ACQUIRE_SEQ
	task = child_create_create(ike_sa, cfg, FALSE, NULL, NULL, 0);
#else
	task = child_create_create(ike_sa, cfg, FALSE, NULL, NULL);
#endif
	if (kept && kept->reqid)
	{
		task->use_reqid(task, kept->reqid);
	}
	if (kept && kept->label)
	{
		task->use_label(task, kept->label);
	}
	ike_sa->queue_task(ike_sa, &task->task);
}

#endif /** QCD_COMPAT_H_ @}*/

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_compat qcd_compat
 * @{ @ingroup qcd
 *
 * What differs between the versions of strongSwan that we build for.
 */

#ifndef QCD_COMPAT_H_
#define QCD_COMPAT_H_

#include <daemon.h>
#include <sa/ikev2/tasks/child_create.h>

/**
 * Arguments of listener_t.ike_keys() before the rekeyed IKE_SA
 */
#ifdef QCD_HAVE_MULTI_KE
#define QCD_IKE_KEYS_ARGS array_t *kes, chunk_t ke_other, \
	chunk_t nonce_i, chunk_t nonce_r
#else
#define QCD_IKE_KEYS_ARGS key_exchange_t *ke, chunk_t ke_other, \
	chunk_t nonce_i, chunk_t nonce_r
#endif

/**
 * Exchange that may end a rekeying, RFC 9370
 */
#define QCD_IKE_FOLLOWUP_KE 44

/**
 * Default of the setting make_before_break
 */
#ifdef QCD_HAVE_MULTI_KE
#define QCD_MAKE_BEFORE_BREAK TRUE
#else
#define QCD_MAKE_BEFORE_BREAK FALSE
#endif

/**
 * What a new CHILD_SA takes over from a lost one
 */
typedef struct {
	/** reserved until it is released, where charon can do that */
	uint32_t reqid;
	sec_label_t *label;
} qcd_child_t;

/**
 * Keep what a new CHILD_SA takes over.
 *
 * Before 6.0 charon can't keep a reqid reserved: the old SAs go, their reqids
 * are free, the first new CHILD_SA may get the number that the second one
 * insists on, and both share it. charon's own reestablish() has that fault.
 * Without a number of its own, a CHILD_SA gets the one that belongs to its
 * traffic selectors, that of a trap policy included.
 */
static inline void qcd_child_keep(qcd_child_t *kept, child_sa_t *child_sa)
{
	sec_label_t *label = child_sa->get_label(child_sa);

	kept->label = label ? label->clone(label) : NULL;
#ifdef QCD_HAVE_REQID_REF
	/* none for a reqid that is configured, which the task knows anyway */
	kept->reqid = child_sa->get_reqid_ref(child_sa);
#endif
}

/**
 * Release what was kept.
 */
static inline void qcd_child_release(qcd_child_t *kept)
{
	DESTROY_IF(kept->label);
#ifdef QCD_HAVE_REQID_REF
	if (kept->reqid)
	{
		charon->kernel->release_reqid(charon->kernel, kept->reqid);
	}
#endif
}

/**
 * Queue the task that creates a CHILD_SA on an IKE_SA.
 *
 * @param cfg			reference, owned by the task
 * @param kept			what it takes over, NULL if nothing
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
#ifdef QCD_HAVE_REQID_REF
	if (kept && kept->reqid)
	{
		task->use_reqid(task, kept->reqid);
	}
#endif
	if (kept && kept->label)
	{
		task->use_label(task, kept->label);
	}
	ike_sa->queue_task(ike_sa, &task->task);
}

#endif /** QCD_COMPAT_H_ @}*/

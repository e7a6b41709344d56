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
 * Let a new CHILD_SA have the reqid of an old one, where charon can keep it
 * reserved until then.
 *
 * Before 6.0 it can't: the old SAs go, their reqids are free, the first new
 * CHILD_SA may get the number that the second one insists on, and both share
 * it. charon's own reestablish() has that fault. Without a number of its own,
 * a CHILD_SA gets the one that belongs to its traffic selectors, that of a trap
 * policy included.
 */
static inline void qcd_use_reqid(child_create_t *task, child_sa_t *child_sa)
{
#ifdef QCD_HAVE_REQID_REF
	uint32_t reqid = child_sa->get_reqid_ref(child_sa);

	/* none for a reqid that is configured, which the task knows anyway */
	if (reqid)
	{
		task->use_reqid(task, reqid);
		charon->kernel->release_reqid(charon->kernel, reqid);
	}
#endif
}

#endif /** QCD_COMPAT_H_ @}*/

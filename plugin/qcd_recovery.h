/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_recovery qcd_recovery
 * @{ @ingroup qcd
 */

#ifndef QCD_RECOVERY_H_
#define QCD_RECOVERY_H_

#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_sa.h"

/**
 * Drop an IKE_SA that its peer has lost, and establish it again as configured.
 *
 * Done in a job: the SA is waited for there. Nothing is sent on it.
 *
 * @param config		settings, outlive the job
 * @param events		events, outlive the job
 * @param sa			IKE_SA whose token was verified
 * @param src			where the token came from, cloned
 * @param delay			milliseconds to wait before
 */
void qcd_recovery_queue(qcd_config_t *config, qcd_events_t *events,
						qcd_sa_t *sa, host_t *src, u_int delay);

#endif /** QCD_RECOVERY_H_ @}*/

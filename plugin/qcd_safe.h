/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_safe qcd_safe
 * @{ @ingroup qcd
 */

#ifndef QCD_SAFE_H_
#define QCD_SAFE_H_

#include <utils/utils.h>

/**
 * Check if the configuration of charon lets a token maker tell which IKE_SAs
 * are its own (RFC 6290 sections 8.1 and 9.2).
 *
 * @return				FALSE if it does not (logged)
 */
bool qcd_maker_is_safe(void);

#endif /** QCD_SAFE_H_ @}*/

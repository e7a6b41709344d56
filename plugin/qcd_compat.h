/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_compat qcd_compat
 * @{ @ingroup qcd
 *
 * What differs between the versions of strongSwan that we build for.
 */

#ifndef QCD_COMPAT_H_
#define QCD_COMPAT_H_

#include <bus/listeners/listener.h>

/**
 * Arguments of listener_t.ike_keys() before the rekeyed IKE_SA
 */
#define QCD_IKE_KEYS_ARGS key_exchange_t *ke, chunk_t ke_other, \
	chunk_t nonce_i, chunk_t nonce_r

#endif /** QCD_COMPAT_H_ @}*/

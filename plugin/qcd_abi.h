/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_abi qcd_abi
 * @{ @ingroup qcd
 */

#ifndef QCD_ABI_H_
#define QCD_ABI_H_

#include <library.h>

/**
 * Check that this plugin was built for the charon that loads it.
 *
 * charon's method tables differ from version to version. Within one version
 * they differ with the mediation extension (ME). A plugin that calls the wrong
 * slot crashes charon. A plugin that does not fit therefore refuses to load and
 * logs the reason.
 *
 * @return				TRUE if version and mediation extension are the same
 */
bool qcd_abi_fits(void);

#endif /** QCD_ABI_H_ @}*/

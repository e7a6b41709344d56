/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd qcd
 * @ingroup cplugins
 *
 * @defgroup qcd_plugin qcd_plugin
 * @{ @ingroup qcd
 */

#ifndef QCD_PLUGIN_H_
#define QCD_PLUGIN_H_

#include <plugins/plugin.h>

typedef struct qcd_plugin_t qcd_plugin_t;

/**
 * Quick crash detection for IKEv2, RFC 6290.
 */
struct qcd_plugin_t {

	/**
	 * Implements plugin interface.
	 */
	plugin_t plugin;
};

/**
 * Version of strongSwan that the plugin was built for. charon's plugin loader
 * checks it since 6.0.3.
 */
extern const char *qcd_plugin_version __attribute__((visibility("default")));

/**
 * Create the plugin. Called by charon's plugin loader.
 *
 * @return				plugin, NULL if it does not fit the running charon
 */
plugin_t *qcd_plugin_create(void) __attribute__((visibility("default")));

#endif /** QCD_PLUGIN_H_ @}*/

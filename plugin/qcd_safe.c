/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_safe.h"

#include <daemon.h>

/**
 * Check that no setting changes our SPIs. charon.spi_mask and spi_label
 * overwrite some of their bits, which breaks the seal. The maker is off where
 * it is not safe (RFC 6290 section 8.1).
 */
static bool spis_are_ours()
{
	char *keys[] = { "spi_mask", "spi_label" };
	int i;

	for (i = 0; i < countof(keys); i++)
	{
		if (lib->settings->get_str(lib->settings, "%s.%s", NULL, lib->ns,
								   keys[i]))
		{
			DBG1(DBG_CFG, "QCD: %s.%s is set, which breaks the seal on our "
				 "SPIs: the token maker is off. Remove it to use QCD", lib->ns,
				 keys[i]);
			return FALSE;
		}
	}
	return TRUE;
}

/**
 * Check that no other node shares our SAs. With the ha plugin, two nodes share
 * SAs that have the SPIs of one node. An SA that one node takes for lost may be
 * alive on the other one (RFC 6290 section 9.2). Debian always loads the
 * plugin, but it only works once it is configured.
 */
static bool sas_are_ours()
{
	enumerator_t *enumerator;
	plugin_t *plugin;
	bool ours = TRUE;

	enumerator = lib->plugins->create_plugin_enumerator(lib->plugins);
	while (enumerator->enumerate(enumerator, &plugin, NULL))
	{
		if (streq(plugin->get_name(plugin), "ha") &&
			lib->settings->get_str(lib->settings, "%s.plugins.ha.local", NULL,
								   lib->ns) &&
			lib->settings->get_str(lib->settings, "%s.plugins.ha.remote", NULL,
								   lib->ns))
		{
			DBG1(DBG_CFG, "QCD: the ha plugin is configured, which shares SAs "
				 "between nodes: the token maker is off. Set "
				 "%s.plugins.ha.load = no to use QCD", lib->ns);
			ours = FALSE;
		}
	}
	enumerator->destroy(enumerator);
	return ours;
}

/*
 * Described in header
 */
bool qcd_maker_is_safe(void)
{
	return spis_are_ours() && sas_are_ours();
}

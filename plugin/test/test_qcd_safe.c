/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_safe.h"

#include "box.h"

/**
 * Name of the one plugin that charon has loaded, NULL for none
 */
static char *loaded;

METHOD(plugin_t, get_name, char*,
	plugin_t *this)
{
	return loaded;
}

static plugin_t plugin;

METHOD(plugin_loader_t, create_plugin_enumerator, enumerator_t*,
	plugin_loader_t *this)
{
	return loaded ? enumerator_create_single(&plugin, NULL)
				  : enumerator_create_empty();
}

static void test_is_safe(void **state)
{
	static const struct {
		char *row, *mask, *label, *plugin, *local, *remote, *line;
	} table[] = {
		{ "nothing", NULL, NULL, NULL, NULL, NULL, NULL },
		{ "mask", "0xff", NULL, NULL, NULL, NULL,
		  "QCD: charon.spi_mask is set, which breaks the seal on our SPIs: the "
		  "token maker is off" },
		{ "mask of zero", "0", NULL, NULL, NULL, NULL, "spi_mask is set" },
		{ "label", NULL, "0xff", NULL, NULL, NULL, "spi_label is set" },
		{ "both", "0xff", "0xff", NULL, NULL, NULL, "spi_mask is set" },
		{ "ha, configured", NULL, NULL, "ha", "192.0.2.1", "192.0.2.2",
		  "QCD: the ha plugin is configured, which shares SAs between nodes: the "
		  "token maker is off. Set charon.plugins.ha.load = no" },
		{ "ha, not configured", NULL, NULL, "ha", NULL, NULL, NULL },
		{ "ha, one address", NULL, NULL, "ha", "192.0.2.1", NULL, NULL },
		{ "ha, the other address", NULL, NULL, "ha", NULL, "192.0.2.2", NULL },
		{ "ha, configured and not loaded", NULL, NULL, NULL, "192.0.2.1",
		  "192.0.2.2", NULL },
		{ "another plugin", NULL, NULL, "has", "192.0.2.1", "192.0.2.2", NULL },
	};
	int i;

	plugin.get_name = _get_name;
	lib->plugins->create_plugin_enumerator = _create_plugin_enumerator;
	for (i = 0; i < countof(table); i++)
	{
		box_forget_log();
		box_set("spi_mask", table[i].mask);
		box_set("spi_label", table[i].label);
		box_set("plugins.ha.local", table[i].local);
		box_set("plugins.ha.remote", table[i].remote);
		loaded = table[i].plugin;
		CHECK_INT(table[i].row, qcd_maker_is_safe(), table[i].line == NULL);
		CHECK_LOGGED(table[i].row, "", table[i].line != NULL);
		CHECK_LOGGED(table[i].row, table[i].line ?: "", table[i].line != NULL);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

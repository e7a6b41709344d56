/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <test_runner.h>

#include <daemon.h>
#include <tests/utils/exchange_test_helper.h>

/* declare test suite constructors */
#define TEST_SUITE(x) test_suite_t* x();
#include "qcd_tests.h"
#undef TEST_SUITE

static test_configuration_t tests[] = {
#define TEST_SUITE(x) \
	{ .suite = x, },
#include "qcd_tests.h"
	{ .suite = NULL, }
};

static bool test_runner_init(bool init)
{
	char *plugins;

	if (init)
	{
		libcharon_init();
		plugins = getenv("TESTS_PLUGINS") ?: PLUGINS;
		plugin_loader_add_plugindirs(PLUGINDIR, plugins);
		exchange_test_helper_init(plugins);
	}
	else
	{
		exchange_test_helper_deinit();
		libcharon_deinit();
	}
	return TRUE;
}

int main(int argc, char *argv[])
{
	return test_runner_run("qcd", tests, test_runner_init);
}

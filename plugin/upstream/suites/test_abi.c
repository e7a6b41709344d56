/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "test_suite.h"

#include "../qcd_abi.h"

/**
 * A program of this tree contains the version that the plugin looks for, and its
 * libcharon has the mediation extension if the plugin was built with it.
 */
START_TEST(test_fits)
{
	DBG3(DBG_LIB, "built as strongSwan %s", VERSION);
	ck_assert(qcd_abi_fits());
}
END_TEST

Suite *abi_suite_create()
{
	Suite *s;
	TCase *tc;

	s = suite_create("abi");

	tc = tcase_create("fits");
	tcase_add_test(tc, test_fits);
	suite_add_tcase(s, tc);

	return s;
}

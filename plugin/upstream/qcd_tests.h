/* SPDX-License-Identifier: GPL-2.0-or-later */

TEST_SUITE(children_suite_create)
TEST_SUITE(receiver_suite_create)
TEST_SUITE(tokens_suite_create)

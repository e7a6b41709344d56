/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "test_suite.h"

#include "../qcd_compat.h"

#include <daemon.h>
#include <tests/utils/exchange_test_helper.h>

/**
 * Get the only CHILD_SA of an IKE_SA
 */
static child_sa_t *get_child(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa = NULL;

	ck_assert_int_eq(ike_sa->get_child_count(ike_sa), 1);
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	ck_assert(enumerator->enumerate(enumerator, &child_sa));
	enumerator->destroy(enumerator);
	return child_sa;
}

/**
 * Allocate a reqid for a subnet
 */
static uint32_t alloc_reqid(char *subnet)
{
	linked_list_t *local, *remote;
	mark_t none = {};
	uint32_t reqid = 0;

	local = linked_list_create_with_items(
				traffic_selector_create_from_cidr(subnet, 0, 0, 65535), NULL);
	remote = linked_list_create();
	ck_assert_int_eq(charon->kernel->alloc_reqid(charon->kernel, local, remote,
								none, none, 0, 0, NULL, &reqid), SUCCESS);
	local->destroy_offset(local, offsetof(traffic_selector_t, destroy));
	remote->destroy(remote);
	return reqid;
}

/**
 * The reqid of a lost CHILD_SA stays reserved until it is released
 */
START_TEST(test_keep)
{
	ike_sa_t *a, *b;
	qcd_child_t kept;
	uint32_t reqid;

	exchange_test_helper->establish_sa(exchange_test_helper, &a, &b, NULL);
	reqid = get_child(a)->get_reqid(get_child(a));
	qcd_child_keep(&kept, get_child(a));
	ck_assert_int_eq(kept.reqid, reqid);
	call_ikesa(a, destroy);
	call_ikesa(b, destroy);

	ck_assert(alloc_reqid("10.1.0.0/16") != reqid);
	qcd_child_release(&kept);
	ck_assert_int_eq(alloc_reqid("10.2.0.0/16"), reqid);
}
END_TEST

/**
 * A CHILD_SA that inherits something is created together with a new IKE_SA
 */
START_TEST(test_queue)
{
	ike_sa_t *a, *b, *new_a, *new_b;
	ike_sa_id_t *id_a, *id_b;
	child_cfg_t *child_cfg;
	qcd_child_t kept;

	exchange_test_helper->establish_sa(exchange_test_helper, &a, &b, NULL);
	qcd_child_keep(&kept, get_child(a));
	call_ikesa(a, destroy);
	call_ikesa(b, destroy);

	child_cfg = exchange_test_helper->create_sa(exchange_test_helper, &new_a,
												&new_b, NULL);
	charon->bus->set_sa(charon->bus, new_a);
	qcd_child_queue(new_a, child_cfg, &kept);
	charon->bus->set_sa(charon->bus, NULL);
	call_ikesa(new_a, initiate, NULL, NULL);

	/* IKE_SA_INIT and its response */
	id_a = new_a->get_id(new_a);
	id_b = new_b->get_id(new_b);
	id_b->set_initiator_spi(id_b, id_a->get_initiator_spi(id_a));
	exchange_test_helper->process_message(exchange_test_helper, new_b, NULL);
	id_a->set_responder_spi(id_a, id_b->get_responder_spi(id_b));
	exchange_test_helper->process_message(exchange_test_helper, new_a, NULL);
	/* IKE_AUTH and its response */
	exchange_test_helper->process_message(exchange_test_helper, new_b, NULL);
	exchange_test_helper->process_message(exchange_test_helper, new_a, NULL);

	ck_assert_int_eq(new_a->get_state(new_a), IKE_ESTABLISHED);
	ck_assert(streq(get_child(new_a)->get_name(get_child(new_a)), "init"));
	qcd_child_release(&kept);
	call_ikesa(new_a, destroy);
	call_ikesa(new_b, destroy);
}
END_TEST

Suite *children_suite_create()
{
	Suite *s;
	TCase *tc;

	s = suite_create("children");

	tc = tcase_create("keep");
	tcase_add_test(tc, test_keep);
	suite_add_tcase(s, tc);

	tc = tcase_create("queue");
	tcase_add_test(tc, test_queue);
	suite_add_tcase(s, tc);

	return s;
}

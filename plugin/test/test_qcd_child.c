/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_child.h"

#include "box.h"
#include "played.h"

static void test_states(void **state)
{
	static const struct {
		char *row;
		child_sa_state_t state;
		bool should_be_up, is_up;
	} table[] = {
		{ "created", CHILD_CREATED, TRUE, FALSE },
		{ "routed", CHILD_ROUTED, TRUE, FALSE },
		{ "installing", CHILD_INSTALLING, TRUE, FALSE },
		{ "installed", CHILD_INSTALLED, TRUE, TRUE },
		{ "updating", CHILD_UPDATING, TRUE, TRUE },
		{ "rekeying", CHILD_REKEYING, TRUE, TRUE },
		{ "rekeyed", CHILD_REKEYED, FALSE, FALSE },
		{ "retrying", CHILD_RETRYING, TRUE, TRUE },
		{ "deleting", CHILD_DELETING, TRUE, FALSE },
		{ "deleted", CHILD_DELETED, FALSE, FALSE },
		{ "destroying", CHILD_DESTROYING, TRUE, FALSE },
	};
	played_child_t *child = played_child_create(1, 1);
	linked_list_t *selectors;
	played_ike_t *ike;
	qcd_ike_sa sa;
	int i;

	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(1, &sa);
	ike->children->insert_last(ike->children, child);
	for (i = 0; i < countof(table); i++)
	{
		child->state = table[i].state;
		CHECK_INT(table[i].row, qcd_child_should_be_up(&child->public),
				  table[i].should_be_up);
		CHECK_INT(table[i].row, qcd_child_is_up(&ike->public, "net"),
				  table[i].is_up);
		CHECK(table[i].row, !qcd_child_is_up(&ike->public, "net2"));
		selectors = qcd_child_get_selectors(&ike->public, "net");
		CHECK_INT(table[i].row, selectors != NULL, table[i].is_up);
		DESTROY_IF(selectors);
	}
	played_ike_destroy(ike);
	played_child_destroy(child);
}

static void test_is_used(void **state)
{
	played_child_t *child = played_child_create(1, 1);

	CHECK("no packet", !qcd_child_is_used(&child->public));
	child->packets_in = 1;
	CHECK("one packet", qcd_child_is_used(&child->public));
	/* more than 32 bits */
	child->packets_in = 1ull << 32;
	CHECK("many packets", qcd_child_is_used(&child->public));
	played_child_destroy(child);
}

/**
 * The remote selectors, of the one that is up
 */
static void test_selectors(void **state)
{
	static const struct {
		char *row, *subnets[3];
		bool same;
	} table[] = {
		{ "the same", { "10.1.0.0/24", "10.2.0.0/16" }, TRUE },
		{ "other order", { "10.2.0.0/16", "10.1.0.0/24" }, FALSE },
		{ "other length", { "10.1.0.0/25", "10.2.0.0/16" }, FALSE },
		{ "one less", { "10.1.0.0/24" }, FALSE },
		{ "one more", { "10.1.0.0/24", "10.2.0.0/16", "10.3.0.0/16" }, FALSE },
		{ "none", {}, FALSE },
	};
	played_child_t *first, *gone, *child;
	linked_list_t *known, *selectors;
	played_ike_t *ike;
	qcd_ike_sa sa;
	int i, j;

	first = played_child_create(1, 1);
	played_child_add_ts(first, FALSE, "10.1.0.0/24");
	played_child_add_ts(first, FALSE, "10.2.0.0/16");
	played_child_add_ts(first, TRUE, "10.9.0.0/16");
	known = qcd_child_clone_selectors(&first->public);
	CHECK_INT("first", known->get_count(known), 2);
	for (i = 0; i < countof(table); i++)
	{
		gone = played_child_create(2, 11);
		gone->state = CHILD_REKEYED;
		played_child_add_ts(gone, FALSE, "10.7.0.0/16");
		child = played_child_create(3, 21);
		child->state = CHILD_INSTALLED;
		for (j = 0; j < 3 && table[i].subnets[j]; j++)
		{
			played_child_add_ts(child, FALSE, table[i].subnets[j]);
		}
		played_spis(&sa, QCD_INITIATOR, 1);
		ike = played_ike_create(1, &sa);
		ike->children->insert_last(ike->children, gone);
		ike->children->insert_last(ike->children, child);
		selectors = qcd_child_get_selectors(&ike->public, "net");
		CHECK_INT(table[i].row, selectors->get_count(selectors), j);
		CHECK_INT(table[i].row, qcd_child_same_selectors(known, selectors),
				  table[i].same);
		selectors->destroy_offset(selectors,
								  offsetof(traffic_selector_t, destroy));
		played_ike_destroy(ike);
		played_child_destroy(gone);
		played_child_destroy(child);
	}
	known->destroy_offset(known, offsetof(traffic_selector_t, destroy));
	played_child_destroy(first);
}

static void test_find(void **state)
{
	child_cfg_create_t data = {};
	child_cfg_t *net = child_cfg_create("net", &data);
	child_cfg_t *other = child_cfg_create("other", &data);
	peer_cfg_t *peer_cfg = played_config_create("%any", "%any");

	CHECK("empty", !qcd_child_find(peer_cfg, "net"));
	peer_cfg->add_child_cfg(peer_cfg, net);
	peer_cfg->add_child_cfg(peer_cfg, other);
	CHECK("first", qcd_child_find(peer_cfg, "net") == net);
	CHECK("second", qcd_child_find(peer_cfg, "other") == other);
	CHECK("prefix", !qcd_child_find(peer_cfg, "ne"));
	CHECK("longer", !qcd_child_find(peer_cfg, "nets"));
	peer_cfg->destroy(peer_cfg);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_states),
		BOX_TEST(test_is_used),
		BOX_TEST(test_selectors),
		BOX_TEST(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

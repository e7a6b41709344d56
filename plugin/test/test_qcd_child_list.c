/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_child_list.h"

#include "box.h"
#include "played.h"

/**
 * What a test begins with: a list, an IKE_SA, and a connection that has "a" and "b"
 */
typedef struct {
	qcd_child_list_t *list;
	peer_cfg_t *peer_cfg;
	played_ike_t *ike;
	/** CHILD_SAs of the IKE_SA, NULL at the end */
	played_child_t *children[4];
} begun_t;

static begun_t begun;

/**
 * Create the configuration of a CHILD_SA
 */
static child_cfg_t *config(char *name, bool changed)
{
	child_cfg_create_t data = {
		.mode = changed ? MODE_TRANSPORT : MODE_TUNNEL,
	};

	return child_cfg_create(name, &data);
}

static int begin(void **state)
{
	qcd_ike_sa sa;

	if (box_open(state))
	{
		return -1;
	}
	memset(&begun, 0, sizeof(begun));
	begun.list = qcd_child_list_create();
	begun.peer_cfg = played_config_create("%any", "%any");
	begun.peer_cfg->add_child_cfg(begun.peer_cfg, config("a", FALSE));
	begun.peer_cfg->add_child_cfg(begun.peer_cfg, config("b", FALSE));
	played_spis(&sa, QCD_INITIATOR, 1);
	begun.ike = played_ike_create(1, &sa);
	return 0;
}

static int end(void **state)
{
	int i;

	begun.list->destroy(begun.list);
	begun.peer_cfg->destroy(begun.peer_cfg);
	played_ike_destroy(begun.ike);
	for (i = 0; i < countof(begun.children) && begun.children[i]; i++)
	{
		played_child_destroy(begun.children[i]);
	}
	return box_close(state);
}

/**
 * Want a CHILD_SA, with the remote subnet that it had; NULL if there was none
 */
static void want(qcd_child_list_t *list, char *name, bool changed, char *subnet)
{
	child_cfg_t *cfg = config(name, changed);
	played_child_t *lost = NULL;

	if (subnet)
	{
		lost = played_child_create(1, 1);
		lost->cfg = cfg;
		played_child_add_ts(lost, FALSE, subnet);
	}
	list->add(list, cfg, lost ? &lost->public : NULL);
	if (lost)
	{
		played_child_destroy(lost);
	}
	cfg->destroy(cfg);
}

/**
 * Put a CHILD_SA that is up on the IKE_SA
 */
static played_child_t *put(char *name, char *subnet)
{
	played_child_t *child = played_child_create(1, 1);
	int i;

	child->name = name;
	child->state = CHILD_INSTALLED;
	if (subnet)
	{
		played_child_add_ts(child, FALSE, subnet);
	}
	begun.ike->children->insert_last(begun.ike->children, child);
	for (i = 0; begun.children[i]; i++)
	{
		/* go on */
	}
	begun.children[i] = child;
	return child;
}

/**
 * Write down how many are missing of how many
 */
static char *missing()
{
	static char text[16];
	u_int missing, all = 99;

	missing = begun.list->count_missing(begun.list, begun.peer_cfg, &all);
	snprintf(text, sizeof(text), "%u of %u", missing, all);
	return text;
}

static void test_add(void **state)
{
	CHECK_INT("empty", begun.list->get_count(begun.list), 0);
	want(begun.list, "a", FALSE, NULL);
	CHECK_INT("one", begun.list->get_count(begun.list), 1);
	want(begun.list, "a", TRUE, "10.0.0.0/8");
	CHECK_INT("the same name", begun.list->get_count(begun.list), 1);
	want(begun.list, "b", FALSE, "10.0.0.0/8");
	CHECK_INT("another one", begun.list->get_count(begun.list), 2);
}

static void test_is_outdated(void **state)
{
	CHECK("empty", !begun.list->is_outdated(begun.list, begun.peer_cfg));
	want(begun.list, "a", FALSE, NULL);
	want(begun.list, "b", TRUE, NULL);
	CHECK("configured", !begun.list->is_outdated(begun.list, begun.peer_cfg));
	want(begun.list, "c", FALSE, NULL);
	CHECK("one is not", begun.list->is_outdated(begun.list, begun.peer_cfg));
}

static void test_missing(void **state)
{
	played_child_t *child;

	CHECK_STR("empty", missing(), "0 of 0");
	want(begun.list, "a", FALSE, NULL);
	want(begun.list, "b", FALSE, NULL);
	want(begun.list, "c", FALSE, NULL);
	CHECK_STR("c is not configured", missing(), "2 of 2");
	child = put("a", "10.0.0.0/8");
	begun.list->look(begun.list);
	CHECK_INT("a is up", begun.list->look_at(begun.list, &begun.ike->public), 1);
	CHECK_STR("a is up", missing(), "1 of 2");
	put("c", "10.0.0.0/8");
	put("d", "10.0.0.0/8");
	begun.list->look(begun.list);
	CHECK_INT("c is up", begun.list->look_at(begun.list, &begun.ike->public), 2);
	CHECK_STR("c is up, and counts", missing(), "1 of 3");
	child->state = CHILD_REKEYED;
	/* one more IKE_SA is looked at, and takes nothing away */
	CHECK_INT("a is gone", begun.list->look_at(begun.list, &begun.ike->public),
			  1);
	CHECK_STR("a was up", missing(), "1 of 3");
	begun.list->look(begun.list);
	CHECK_STR("a new look", missing(), "2 of 2");
}

static void test_queue_missing(void **state)
{
	linked_list_t *tasks = begun.ike->tasks;
	task_t *task;

	want(begun.list, "a", FALSE, NULL);
	want(begun.list, "b", TRUE, NULL);
	want(begun.list, "c", FALSE, NULL);
	put("a", "10.0.0.0/8");
	begun.list->look(begun.list);
	begun.list->look_at(begun.list, &begun.ike->public);
	CHECK_INT("b", begun.list->queue_missing(begun.list, begun.peer_cfg,
											 &begun.ike->public), 1);
	CHECK_INT("b", tasks->get_count(tasks), 1);
	CHECK_INT("b", tasks->get_first(tasks, (void**)&task), SUCCESS);
	CHECK_INT("b", task->get_type(task), TASK_CHILD_CREATE);
	begun.list->look(begun.list);
	CHECK_INT("a and b", begun.list->queue_missing(begun.list, begun.peer_cfg,
												   &begun.ike->public), 2);
	CHECK_INT("a and b", tasks->get_count(tasks), 3);
}

/**
 * Whether an IKE_SA seems to be with the same peer
 */
static void test_compare(void **state)
{
	static const struct {
		char *row;
		/* wanted, with the subnet that it had; changed since then */
		struct {
			char *name, *subnet;
			bool changed;
		} wanted[3];
		/* up, with its subnet */
		struct {
			char *name, *subnet;
		} up[3];
		qcd_likeness_t likeness;
	} table[] = {
		{ "nothing", {}, {}, QCD_UNKNOWN },
		{ "nothing is up", { { "a", "10.1.0.0/16" } }, {}, QCD_UNKNOWN },
		{ "the same", { { "a", "10.1.0.0/16" } }, { { "a", "10.1.0.0/16" } },
		  QCD_SAME },
		{ "other selectors", { { "a", "10.1.0.0/16" } },
		  { { "a", "10.2.0.0/16" } }, QCD_OTHER },
		{ "other configuration", { { "a", "10.1.0.0/16", TRUE } },
		  { { "a", "10.2.0.0/16" } }, QCD_UNKNOWN },
		{ "not configured", { { "c", "10.1.0.0/16" } },
		  { { "c", "10.2.0.0/16" } }, QCD_UNKNOWN },
		{ "not configured, the same", { { "c", "10.1.0.0/16" } },
		  { { "c", "10.1.0.0/16" } }, QCD_SAME },
		{ "had none", { { "a", NULL } }, { { "a", "10.1.0.0/16" } },
		  QCD_UNKNOWN },
		{ "another one is up", { { "a", "10.1.0.0/16" } },
		  { { "b", "10.1.0.0/16" } }, QCD_UNKNOWN },
		{ "the second is the same", { { "a", "10.1.0.0/16" },
		  { "b", "10.3.0.0/16" } }, { { "a", "10.2.0.0/16" },
		  { "b", "10.3.0.0/16" } }, QCD_SAME },
		{ "the first is the same", { { "a", "10.1.0.0/16" },
		  { "b", "10.3.0.0/16" } }, { { "a", "10.1.0.0/16" },
		  { "b", "10.2.0.0/16" } }, QCD_SAME },
		{ "the first differs, the second is down", { { "a", "10.1.0.0/16" },
		  { "b", "10.3.0.0/16" } }, { { "a", "10.2.0.0/16" } }, QCD_OTHER },
	};
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		end(state);
		begin(state);
		for (j = 0; j < 3 && table[i].wanted[j].name; j++)
		{
			want(begun.list, table[i].wanted[j].name,
				 table[i].wanted[j].changed, table[i].wanted[j].subnet);
		}
		for (j = 0; j < 3 && table[i].up[j].name; j++)
		{
			put(table[i].up[j].name, table[i].up[j].subnet);
		}
		CHECK_INT(table[i].row, begun.list->compare(begun.list, begun.peer_cfg,
								&begun.ike->public), table[i].likeness);
		if (table[i].likeness == QCD_OTHER)
		{	/* from now on that is what they are to have */
			begun.list->learn(begun.list, &begun.ike->public);
			CHECK_INT(table[i].row, begun.list->compare(begun.list,
							begun.peer_cfg, &begun.ike->public), QCD_SAME);
		}
	}
}

static void test_merge(void **state)
{
	qcd_child_list_t *other = qcd_child_list_create();

	want(begun.list, "a", FALSE, "10.1.0.0/16");
	want(other, "a", FALSE, "10.2.0.0/16");
	want(other, "b", FALSE, NULL);
	begun.list->merge(begun.list, other);
	CHECK_INT("merged", begun.list->get_count(begun.list), 2);
	CHECK_INT("emptied", other->get_count(other), 0);
	put("a", "10.1.0.0/16");
	CHECK_INT("its own stays", begun.list->compare(begun.list, begun.peer_cfg,
											&begun.ike->public), QCD_SAME);
	begun.list->merge(begun.list, other);
	CHECK_INT("nothing", begun.list->get_count(begun.list), 2);
	other->destroy(other);
}

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
	played_child_t *child;
	int i;

	want(begun.list, "a", FALSE, "10.1.0.0/16");
	want(begun.list, "b", FALSE, "10.1.0.0/16");
	child = put("a", "10.1.0.0/16");
	for (i = 0; i < countof(table); i++)
	{
		child->state = table[i].state;
		CHECK_INT(table[i].row, qcd_child_should_be_up(&child->public),
				  table[i].should_be_up);
		CHECK_INT(table[i].row, begun.list->look_at(begun.list,
								&begun.ike->public), table[i].is_up);
		CHECK_INT(table[i].row, begun.list->compare(begun.list, begun.peer_cfg,
								&begun.ike->public),
				  table[i].is_up ? QCD_SAME : QCD_UNKNOWN);
	}
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
	played_child_t *lost, *child;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		end(state);
		begin(state);
		lost = played_child_create(1, 1);
		lost->cfg = config("a", FALSE);
		played_child_add_ts(lost, FALSE, "10.1.0.0/24");
		played_child_add_ts(lost, FALSE, "10.2.0.0/16");
		played_child_add_ts(lost, TRUE, "10.9.0.0/16");
		begun.list->add(begun.list, lost->cfg, &lost->public);
		lost->cfg->destroy(lost->cfg);
		played_child_destroy(lost);
		put("a", "10.7.0.0/16")->state = CHILD_REKEYED;
		child = put("a", table[i].subnets[0]);
		for (j = 1; j < 3 && table[i].subnets[j]; j++)
		{
			played_child_add_ts(child, FALSE, table[i].subnets[j]);
		}
		CHECK_INT(table[i].row, begun.list->compare(begun.list, begun.peer_cfg,
								&begun.ike->public),
				  table[i].same ? QCD_SAME : QCD_OTHER);
	}
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

#ifndef QCD_HAVE_REQID_REF
/**
 * Get the reqid of selectors from charon
 */
static uint32_t alloc_reqid(char *local, char *remote)
{
	linked_list_t *mine = linked_list_create();
	linked_list_t *other = linked_list_create();
	uint32_t reqid = 0;
	mark_t mark = {};

	mine->insert_last(mine, traffic_selector_create_from_cidr(local, 0, 0,
															  65535));
	other->insert_last(other, traffic_selector_create_from_cidr(remote, 0, 0,
																65535));
	assert_int_equal(charon->kernel->alloc_reqid(charon->kernel, mine, other,
						mark, mark, 0, 0, NULL, &reqid), SUCCESS);
	mine->destroy_offset(mine, offsetof(traffic_selector_t, destroy));
	other->destroy_offset(other, offsetof(traffic_selector_t, destroy));
	return reqid;
}

static void release_reqid(uint32_t reqid)
{
	mark_t mark = {};

	charon->kernel->release_reqid(charon->kernel, reqid, mark, mark, 0, 0,
								  NULL);
}

/**
 * The reqid of a lost CHILD_SA is nobody else's as long as the list lives
 */
static void test_reqid(void **state)
{
	played_child_t *lost = played_child_create(1, 1);
	uint32_t other, again;

	lost->cfg = config("a", FALSE);
	lost->reqid = alloc_reqid("10.1.0.0/16", "10.2.0.0/16");
	played_child_add_ts(lost, TRUE, "10.1.0.0/16");
	played_child_add_ts(lost, FALSE, "10.2.0.0/16");
	begun.list->add(begun.list, lost->cfg, &lost->public);
	/* charon destroys the CHILD_SA, and gives out numbers again that are free */
	release_reqid(lost->reqid);
	other = alloc_reqid("10.1.0.0/16", "10.3.0.0/16");
	CHECK("reserved", other != lost->reqid);
	begun.list->destroy(begun.list);
	begun.list = qcd_child_list_create();
	again = alloc_reqid("10.1.0.0/16", "10.4.0.0/16");
	CHECK_INT("released", again, lost->reqid);
	release_reqid(other);
	release_reqid(again);
	lost->cfg->destroy(lost->cfg);
	played_child_destroy(lost);
}
#endif

/**
 * What was closed is dropped
 */
static void test_keep_only(void **state)
{
	qcd_child_list_t *one = qcd_child_list_create();
	qcd_child_list_t *two = qcd_child_list_create();

	want(begun.list, "a", FALSE, NULL);
	want(begun.list, "b", FALSE, NULL);
	want(begun.list, "c", FALSE, NULL);
	want(one, "c", FALSE, NULL);
	want(one, "d", FALSE, NULL);
	want(two, "a", TRUE, NULL);
	begun.list->keep_only(begun.list, one, two);
	CHECK_INT("kept", begun.list->get_count(begun.list), 2);
	begun.list->merge(begun.list, one);
	CHECK_INT("with another", begun.list->get_count(begun.list), 3);
	begun.list->keep_only(begun.list, one, two);
	CHECK_INT("on the second list", begun.list->get_count(begun.list), 1);
	two->destroy(two);
	two = qcd_child_list_create();
	begun.list->keep_only(begun.list, one, two);
	CHECK_INT("on neither", begun.list->get_count(begun.list), 0);
	one->destroy(one);
	two->destroy(two);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_add),
		TEST(test_is_outdated),
		TEST(test_missing),
		TEST(test_queue_missing),
		TEST(test_compare),
		TEST(test_merge),
		TEST(test_keep_only),
		TEST(test_states),
		TEST(test_is_used),
		TEST(test_selectors),
		TEST(test_find),
#ifndef QCD_HAVE_REQID_REF
		TEST(test_reqid),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

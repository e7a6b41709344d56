/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_rivals.h"

#include "box.h"
#include "played.h"

/**
 * Make what was found of an IKE_SA: a number for its unique ID, another one for its
 * SPIs
 */
static void add(array_t *all, uint32_t unique_id, uint8_t spis, u_int children,
				bool busy)
{
	qcd_rival_t found = {
		.sa.unique_id = unique_id,
		.children = children,
		.busy = busy,
	};

	played_spis(&found.sa.ike, QCD_INITIATOR, spis);
	array_insert(all, ARRAY_TAIL, &found);
}

static void test_best(void **state)
{
	static const struct {
		char *row;
		/* CHILD_SAs of each IKE_SA, whose unique IDs count up from 1; -1 ends */
		int children[4];
		u_int wanted;
		uint32_t best;
		u_int complete;
	} table[] = {
		{ "none", { -1 }, 2, 0, 0 },
		{ "one with none", { 0, -1 }, 2, 1, 0 },
		{ "one with all", { 2, -1 }, 2, 1, 1 },
		{ "the older has more", { 2, 1, -1 }, 2, 1, 1 },
		{ "the younger has more", { 1, 2, -1 }, 2, 2, 1 },
		{ "the youngest of the same", { 1, 1, 1, -1 }, 2, 3, 0 },
		{ "two with all", { 2, 1, 2, -1 }, 2, 3, 2 },
		{ "nothing is wanted", { 0, 0, -1 }, 0, 2, 2 },
	};
	qcd_rival_t best;
	array_t *all;
	u_int complete;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		all = array_create(sizeof(qcd_rival_t), 0);
		for (j = 0; table[i].children[j] >= 0; j++)
		{
			add(all, j + 1, 1, table[i].children[j], FALSE);
		}
		complete = 99;
		CHECK_INT(table[i].row, qcd_rivals_best(all, table[i].wanted, &best,
											   &complete), j > 0);
		CHECK_INT(table[i].row, complete, table[i].complete);
		CHECK_INT(table[i].row, j ? best.sa.unique_id : 0, table[i].best);
		array_destroy(all);
	}
}

/**
 * Of several that have all, both peers keep the one with the least SPIs
 */
static void test_surplus(void **state)
{
	static const struct {
		char *row;
		struct {
			uint8_t spis;
			u_int children;
			bool busy, before;
		} sas[4];
		/* unique IDs, which count up from 1 */
		char *surplus;
	} table[] = {
		{ "none", {}, "" },
		{ "one", { { 0x10, 2 } }, "" },
		{ "the first stays", { { 0x10, 2 }, { 0x20, 2 } }, "2" },
		{ "the second stays", { { 0x20, 2 }, { 0x10, 2 } }, "1" },
		{ "the one in the middle stays", { { 0x20, 2 }, { 0x10, 2 },
		  { 0x30, 2 } }, "1 3" },
		{ "the last stays", { { 0x30, 2 }, { 0x20, 2 }, { 0x10, 2 } }, "1 2" },
		{ "octets have no sign", { { 0x7f, 2 }, { 0x80, 2 } }, "2" },
		{ "not all CHILD_SAs", { { 0x10, 1 }, { 0x20, 2 } }, "" },
		{ "not answered", { { 0x10, 2, TRUE }, { 0x20, 2 } }, "" },
		{ "there before", { { 0x10, 2, FALSE, TRUE }, { 0x20, 2 } }, "" },
		{ "there before, and two", { { 0x10, 2, FALSE, TRUE }, { 0x30, 2 },
		  { 0x20, 2 } }, "2" },
		{ "more than all", { { 0x10, 3 }, { 0x20, 2 } }, "2" },
	};
	linked_list_t *surplus;
	array_t *all, *before;
	uint32_t unique_id;
	char text[32];
	qcd_sa_t *sa;
	size_t len;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		all = array_create(sizeof(qcd_rival_t), 0);
		before = array_create(sizeof(uint32_t), 0);
		for (j = 0; j < 4 && table[i].sas[j].spis; j++)
		{
			unique_id = j + 1;
			add(all, unique_id, table[i].sas[j].spis, table[i].sas[j].children,
				table[i].sas[j].busy);
			if (table[i].sas[j].before)
			{
				array_insert(before, ARRAY_TAIL, &unique_id);
			}
		}
		surplus = qcd_rivals_surplus(all, 2, before);
		len = 0;
		text[0] = '\0';
		while (surplus->remove_first(surplus, (void**)&sa) == SUCCESS)
		{
			len += snprintf(text + len, sizeof(text) - len, "%s%u",
							len ? " " : "", sa->unique_id);
			free(sa);
		}
		CHECK_STR(table[i].row, text, table[i].surplus);
		surplus->destroy(surplus);
		array_destroy(all);
		array_destroy(before);
	}
}

/**
 * Whether an IKE_SA is a try of ours
 */
static bool tried;

static bool is_try(qcd_connector_t *connector, uint32_t unique_id)
{
	return tried;
}

/**
 * Which IKE_SAs may take the place of a lost one, which was number 5
 */
static void test_create(void **state)
{
	static const struct {
		char *row;
		uint32_t unique_id;
		ike_sa_state_t state;
		u_int conditions;
		bool with, tried, out_of_date;
		char *asked;
		bool found;
		u_int children;
		bool busy;
	} table[] = {
		{ "with the peer", 6, IKE_ESTABLISHED, 0, TRUE, FALSE, FALSE, "ask 6",
		  TRUE, 1, FALSE },
		{ "our try", 6, IKE_ESTABLISHED, 0, FALSE, TRUE, FALSE, "ask 6", TRUE,
		  1, FALSE },
		{ "with somebody else", 6, IKE_ESTABLISHED, 0, FALSE, FALSE, FALSE, "",
		  FALSE },
		{ "the lost one", 5, IKE_ESTABLISHED, 0, TRUE, FALSE, FALSE, "",
		  FALSE },
		{ "an older one", 4, IKE_ESTABLISHED, 0, TRUE, FALSE, FALSE, "",
		  FALSE },
		{ "being rekeyed", 6, IKE_REKEYING, 0, TRUE, FALSE, FALSE, "ask 6",
		  TRUE, 1, FALSE },
		{ "being opened", 6, IKE_CONNECTING, 0, TRUE, TRUE, FALSE, "", FALSE },
		{ "being closed", 6, IKE_DELETING, 0, TRUE, FALSE, FALSE, "", FALSE },
		{ "being reopened", 6, IKE_DELETING, COND_REAUTHENTICATING, TRUE,
		  FALSE, FALSE, "", TRUE, 0, TRUE },
		{ "replaced meanwhile", 6, IKE_ESTABLISHED, 0, TRUE, FALSE, TRUE, "",
		  FALSE },
	};
	qcd_connector_t connector = { .is_try = is_try };
	child_cfg_create_t data = {};
	linked_list_t *sas;
	played_pending_t pending;
	played_wanted_t wanted;
	played_child_t *child;
	played_ike_t *ike;
	peer_cfg_t *peer_cfg;
	child_cfg_t *cfg;
	qcd_peers_t *peers;
	qcd_rivals_t *rivals;
	qcd_rival_t found;
	qcd_ike_sa sa;
	array_t *all;
	int i;

	peer_cfg = played_config_create("%any", "%any");
	cfg = child_cfg_create("net", &data);
	for (i = 0; i < countof(table); i++)
	{
		sas = linked_list_create();
		played_manager(sas, NULL);
		played_pending_init(&pending);
		played_wanted_init(&wanted);
		wanted.with = table[i].with;
		wanted.public.children->add(wanted.public.children, cfg, NULL);
		tried = table[i].tried;
		peers = qcd_peers_create();
		played_spis(&sa, QCD_INITIATOR, 1);
		ike = played_ike_create(table[i].unique_id, &sa);
		child = played_child_create(1, 1);
		child->state = CHILD_INSTALLED;
		ike->children->insert_last(ike->children, child);
		sas->insert_last(sas, ike);
		peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
		ike->unique_id += table[i].out_of_date;
		ike->state = table[i].state;
		ike->conditions = table[i].conditions;

		rivals = qcd_rivals_create(&pending.public, peers, &connector,
								   &wanted.public);
		all = rivals->find(rivals, peer_cfg, 5, TRUE);
		rivals->destroy(rivals);
		CHECK_INT(table[i].row, array_count(all), table[i].found);
		CHECK_STR(table[i].row, pending.done, table[i].asked);
		CHECK(table[i].row, !ike->out && !ike->destroyed);
		if (table[i].found && array_get(all, ARRAY_HEAD, &found))
		{
			CHECK_INT(table[i].row, found.sa.unique_id, table[i].unique_id);
			CHECK_INT(table[i].row, found.children, table[i].children);
			CHECK_INT(table[i].row, found.busy, table[i].busy);
			CHECK(table[i].row, found.initiator);
		}
		array_destroy(all);
		peers->destroy(peers);
		played_wanted_clear(&wanted);
		sas->destroy(sas);
		played_ike_destroy(ike);
		played_child_destroy(child);
	}
	cfg->destroy(cfg);
	peer_cfg->destroy(peer_cfg);
}

/**
 * What is said of an IKE_SA that takes the place of a lost one
 */
static void test_details(void **state)
{
	static const struct {
		char *row;
		enum qcd_role role;
		/* whether we are to have a virtual IP, and have one */
		bool configured, has;
		/* task of the IKE_SA */
		task_type_t task;
		bool no_vip, busy;
	} table[] = {
		{ "no virtual IP", QCD_INITIATOR, FALSE, FALSE, TASK_IKE_MOBIKE, FALSE,
		  FALSE },
		{ "lacks its virtual IP", QCD_INITIATOR, TRUE, FALSE, TASK_IKE_MOBIKE,
		  TRUE, FALSE },
		{ "has its virtual IP", QCD_INITIATOR, TRUE, TRUE, TASK_IKE_MOBIKE,
		  FALSE, FALSE },
		{ "a responder gets none", QCD_RESPONDER, TRUE, FALSE, TASK_IKE_MOBIKE,
		  FALSE, FALSE },
		{ "creates a CHILD_SA", QCD_INITIATOR, FALSE, FALSE, TASK_CHILD_CREATE,
		  FALSE, TRUE },
		{ "asks the peer", QCD_RESPONDER, FALSE, FALSE, TASK_IKE_DPD, FALSE,
		  TRUE },
		{ "rekeys a CHILD_SA", QCD_INITIATOR, FALSE, FALSE, TASK_CHILD_REKEY,
		  FALSE, FALSE },
	};
	qcd_connector_t connector = { .is_try = is_try };
	played_task_t task;
	linked_list_t *sas;
	played_wanted_t wanted;
	played_ike_t *ike;
	peer_cfg_t *peer_cfg;
	qcd_peers_t *peers;
	qcd_rivals_t *rivals;
	qcd_rival_t found;
	qcd_ike_sa sa;
	array_t *all;
	int i;

	tried = FALSE;
	for (i = 0; i < countof(table); i++)
	{
		sas = linked_list_create();
		played_manager(sas, NULL);
		played_wanted_init(&wanted);
		peer_cfg = played_config_create("%any", "%any");
		peers = qcd_peers_create();
		played_spis(&sa, table[i].role, 1);
		ike = played_ike_create(1, &sa);
		if (table[i].configured)
		{
			peer_cfg->add_virtual_ip(peer_cfg,
									 host_create_from_string("0.0.0.0", 0));
		}
		if (table[i].has)
		{
			ike->vips[TRUE]->insert_last(ike->vips[TRUE],
									 host_create_from_string("10.0.0.1", 0));
		}
		played_task_init(&task, table[i].task);
		ike->tasks->insert_last(ike->tasks, &task.public);
		sas->insert_last(sas, ike);
		peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
		rivals = qcd_rivals_create(NULL, peers, &connector, &wanted.public);
		all = rivals->find(rivals, peer_cfg, 0, FALSE);
		rivals->destroy(rivals);
		CHECK(table[i].row, array_get(all, ARRAY_HEAD, &found));
		CHECK_INT(table[i].row, found.initiator,
				  table[i].role == QCD_INITIATOR);
		CHECK_INT(table[i].row, found.no_vip, table[i].no_vip);
		CHECK_INT(table[i].row, found.busy, table[i].busy);
		array_destroy(all);
		peers->destroy(peers);
		peer_cfg->destroy(peer_cfg);
		played_wanted_clear(&wanted);
		sas->destroy(sas);
		played_ike_destroy(ike);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_best),
		BOX_TEST(test_surplus),
		BOX_TEST(test_create),
		BOX_TEST(test_details),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_rivals.h"

#include "box.h"
#include "played.h"

/**
 * Add what was found of an IKE_SA, with a number for its SPIs
 */
static void add(array_t *all, qcd_rival_t found, uint8_t spis)
{
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
		/* unique IDs of doubtful ones, and of one from before */
		uint32_t doubtful[2], before;
	} table[] = {
		{ "none", { -1 }, 2, 0, 0 },
		{ "one with none", { 0, -1 }, 2, 1, 0 },
		{ "one with all", { 2, -1 }, 2, 1, 1 },
		{ "the older has more", { 2, 1, -1 }, 2, 1, 1 },
		{ "the younger has more", { 1, 2, -1 }, 2, 2, 1 },
		{ "the youngest of the same", { 1, 1, 1, -1 }, 2, 3, 0 },
		{ "two with all", { 2, 1, 2, -1 }, 2, 3, 2 },
		{ "nothing is wanted", { 0, 0, -1 }, 0, 2, 2 },
		{ "a doubtful one", { 2, -1 }, 2, 0, 0, { 1 } },
		{ "only doubtful ones", { 2, 2, -1 }, 2, 0, 0, { 1, 2 } },
		{ "a doubtful one has more", { 2, 1, -1 }, 2, 2, 0, { 1 } },
		{ "a younger one is doubtful", { 2, 2, -1 }, 2, 1, 1, { 2 } },
		{ "one from before is not counted", { 2, 2, -1 }, 2, 2, 1, {}, 2 },
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
			add(all, (qcd_rival_t){
				.sa.unique_id = j + 1,
				.children = table[i].children[j],
				.doubtful = table[i].doubtful[0] == j + 1 ||
							table[i].doubtful[1] == j + 1,
				.kept = table[i].before == j + 1,
			}, 1);
		}
		complete = 99;
		best.sa.unique_id = 0;
		CHECK_INT(table[i].row, qcd_rivals_best(all, table[i].wanted, &best,
											   &complete), table[i].best > 0);
		CHECK_INT(table[i].row, complete, table[i].complete);
		CHECK_INT(table[i].row, best.sa.unique_id, table[i].best);
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
	array_t *all;
	char text[32];
	qcd_sa_t *sa;
	size_t len;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		all = array_create(sizeof(qcd_rival_t), 0);
		for (j = 0; j < 4 && table[i].sas[j].spis; j++)
		{
			add(all, (qcd_rival_t){
				.sa.unique_id = j + 1,
				.children = table[i].sas[j].children,
				.busy = table[i].sas[j].busy,
				.kept = table[i].sas[j].before,
			}, table[i].sas[j].spis);
		}
		surplus = qcd_rivals_surplus(all, 2);
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
 * IKE_SAs whose requests were to be repeated
 */
static char repeated[64];

static void repeat_request(qcd_connector_t *connector, uint32_t unique_id)
{
	size_t len = strlen(repeated);

	snprintf(repeated + len, sizeof(repeated) - len, "%s%u", len ? " " : "",
			 unique_id);
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
		/* whether it comes up after the crash was proved */
		bool later;
		bool with, tried, out_of_date;
		char *asked;
		bool found;
		u_int children;
		bool busy, doubtful;
	} table[] = {
		{ "with the peer", 6, IKE_ESTABLISHED, 0, TRUE, TRUE, FALSE, FALSE,
		  "ask 6", TRUE, 1, FALSE },
		{ "our try", 6, IKE_ESTABLISHED, 0, TRUE, FALSE, TRUE, FALSE, "ask 6",
		  TRUE, 1, FALSE },
		{ "with somebody else", 6, IKE_ESTABLISHED, 0, TRUE, FALSE, FALSE,
		  FALSE, "", FALSE },
		{ "the lost one", 5, IKE_ESTABLISHED, 0, FALSE, TRUE, FALSE, FALSE, "",
		  FALSE },
		{ "up already", 4, IKE_ESTABLISHED, 0, FALSE, TRUE, FALSE, FALSE,
		  "ask 4", TRUE, 0, FALSE, TRUE },
		{ "up already, but younger", 6, IKE_ESTABLISHED, 0, FALSE, TRUE, FALSE,
		  FALSE, "ask 6", TRUE, 0, FALSE, TRUE },
		{ "up later, but older", 4, IKE_ESTABLISHED, 0, TRUE, TRUE, FALSE,
		  FALSE, "ask 4", TRUE, 1, FALSE },
		{ "up already, of somebody else", 4, IKE_ESTABLISHED, 0, FALSE, FALSE,
		  FALSE, FALSE, "", FALSE },
		{ "up already, being reopened", 4, IKE_DELETING, COND_REAUTHENTICATING,
		  FALSE, TRUE, FALSE, FALSE, "", TRUE, 0, TRUE, TRUE },
		{ "being rekeyed", 6, IKE_REKEYING, 0, TRUE, TRUE, FALSE, FALSE,
		  "ask 6", TRUE, 1, FALSE },
		{ "being opened", 6, IKE_CONNECTING, 0, TRUE, TRUE, TRUE, FALSE, "",
		  FALSE },
		{ "being closed", 6, IKE_DELETING, 0, TRUE, TRUE, FALSE, FALSE, "",
		  FALSE },
		{ "being reopened", 6, IKE_DELETING, COND_REAUTHENTICATING, TRUE, TRUE,
		  FALSE, FALSE, "", TRUE, 0, TRUE },
		{ "replaced meanwhile", 6, IKE_ESTABLISHED, 0, TRUE, TRUE, FALSE, TRUE,
		  "", FALSE },
	};
	qcd_connector_t connector = {
		.is_try = is_try,
		.repeat_request = repeat_request,
	};
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
		if (!table[i].later)
		{
			peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
		}
		rivals = qcd_rivals_create(&pending.public, peers, &connector,
								   &wanted.public, 5, TRUE);
		if (table[i].later)
		{
			peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
		}
		ike->unique_id += table[i].out_of_date;
		ike->state = table[i].state;
		ike->conditions = table[i].conditions;
		all = rivals->find(rivals, peer_cfg, TRUE);
		rivals->destroy(rivals);
		CHECK_INT(table[i].row, array_count(all), table[i].found);
		CHECK_STR(table[i].row, pending.done, table[i].asked);
		CHECK(table[i].row, !ike->out && !ike->destroyed);
		if (table[i].found && array_get(all, ARRAY_HEAD, &found))
		{
			CHECK_INT(table[i].row, found.sa.unique_id, table[i].unique_id);
			CHECK_INT(table[i].row, found.children, table[i].children);
			CHECK_INT(table[i].row, found.busy, table[i].busy);
			CHECK_INT(table[i].row, found.doubtful, table[i].doubtful);
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
		bool no_vip, busy, delayed;
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
		{ "creates a CHILD_SA later", QCD_INITIATOR, FALSE, FALSE,
		  TASK_CHILD_CREATE, FALSE, FALSE, TRUE },
		{ "asks the peer", QCD_RESPONDER, FALSE, FALSE, TASK_IKE_DPD, FALSE,
		  TRUE },
		{ "rekeys a CHILD_SA", QCD_INITIATOR, FALSE, FALSE, TASK_CHILD_REKEY,
		  FALSE, FALSE },
	};
	qcd_connector_t connector = {
		.is_try = is_try,
		.repeat_request = repeat_request,
	};
	played_task_t task;
	linked_list_t *sas, *tasks;
	played_pending_t pending;
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
		played_pending_init(&pending);
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
		tasks = table[i].delayed ? ike->delayed : ike->tasks;
		tasks->insert_last(tasks, &task.public);
		sas->insert_last(sas, ike);
		peers->listener.ike_updown(&peers->listener, &ike->public, TRUE);
		rivals = qcd_rivals_create(&pending.public, peers, &connector,
								   &wanted.public, 1, FALSE);
		all = rivals->find(rivals, peer_cfg, FALSE);
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

/**
 * A lab of IKE_SAs with the peer, whose unique IDs are 4, 6 and 8
 */
typedef struct {
	linked_list_t *sas;
	played_pending_t pending;
	played_wanted_t wanted;
	peer_cfg_t *peer_cfg;
	child_cfg_t *cfg;
	qcd_connector_t connector;
	qcd_peers_t *peers;
	played_ike_t *ikes[3];
	played_child_t *child;
} stage_t;

static void stage_init(stage_t *this)
{
	child_cfg_create_t data = {};
	qcd_ike_sa sa;
	int i;

	this->sas = linked_list_create();
	played_manager(this->sas, NULL);
	played_pending_init(&this->pending);
	played_wanted_init(&this->wanted);
	this->wanted.with = TRUE;
	this->peer_cfg = played_config_create("%any", "%any");
	this->cfg = child_cfg_create("net", &data);
	this->wanted.public.children->add(this->wanted.public.children, this->cfg,
									  NULL);
	this->connector = (qcd_connector_t){
		.is_try = is_try,
		.repeat_request = repeat_request,
	};
	tried = FALSE;
	this->peers = qcd_peers_create();
	this->child = played_child_create(1, 1);
	this->child->state = CHILD_INSTALLED;
	for (i = 0; i < countof(this->ikes); i++)
	{
		played_spis(&sa, QCD_INITIATOR, i + 1);
		this->ikes[i] = played_ike_create(4 + 2 * i, &sa);
		this->ikes[i]->children->insert_last(this->ikes[i]->children,
											 this->child);
		this->sas->insert_last(this->sas, this->ikes[i]);
	}
}

/**
 * One of the IKE_SAs comes up
 */
static void stage_up(stage_t *this, u_int number)
{
	listener_t *listener = &this->peers->listener;

	listener->ike_updown(listener, &this->ikes[number]->public, TRUE);
}

static void stage_clear(stage_t *this)
{
	int i;

	for (i = 0; i < countof(this->ikes); i++)
	{
		played_ike_destroy(this->ikes[i]);
	}
	this->peers->destroy(this->peers);
	played_child_destroy(this->child);
	this->cfg->destroy(this->cfg);
	this->peer_cfg->destroy(this->peer_cfg);
	played_wanted_clear(&this->wanted);
	this->sas->destroy(this->sas);
}

/**
 * IKE_SAs that are found, with "?" if doubtful, "!" if it is kept, and the
 * number of CHILD_SAs
 */
static char *find(stage_t *this, qcd_rivals_t *rivals)
{
	static char text[64];
	qcd_rival_t found;
	size_t len = 0;
	array_t *all;
	int i;

	text[0] = '\0';
	this->pending.done[0] = '\0';
	repeated[0] = '\0';
	all = rivals->find(rivals, this->peer_cfg, FALSE);
	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		len += snprintf(text + len, sizeof(text) - len, "%s%u%s%s(%u)",
						len ? " " : "", found.sa.unique_id,
						found.doubtful ? "?" : "", found.kept ? "!" : "",
						found.children);
	}
	array_destroy(all);
	return text;
}

/**
 * The peer is asked once about each IKE_SA that was up when the crash was proved,
 * and until it responds the IKE_SA can't replace the lost one
 */
static void test_doubtful(void **state)
{
	played_task_t dpd;
	qcd_rivals_t *rivals;
	stage_t stage;

	stage_init(&stage);
	stage_up(&stage, 0);
	stage_up(&stage, 1);
	rivals = qcd_rivals_create(&stage.pending.public, stage.peers,
							   &stage.connector, &stage.wanted.public, 5, TRUE);
	CHECK_STR("not asked yet", find(&stage, rivals), "4?(0) 6?!(0)");
	CHECK_STR("not asked yet", stage.pending.done, "ask 4, ask 6");
	CHECK_STR("not asked yet", repeated, "4 6");
	played_task_init(&dpd, TASK_IKE_DPD);
	stage.ikes[0]->tasks->insert_last(stage.ikes[0]->tasks, &dpd.public);
	CHECK_STR("one responded", find(&stage, rivals), "4?(0) 6!(1)");
	CHECK_STR("one responded", stage.pending.done, "");
	CHECK_STR("one responded", repeated, "4");
	rivals->note_try(rivals);
	CHECK_STR("a try, but that is confirmed", find(&stage, rivals),
			  "4?(0) 6!(1)");
	stage_up(&stage, 2);
	CHECK_STR("a new one", find(&stage, rivals), "4?(0) 6!(1) 8(1)");
	CHECK_STR("a new one", stage.pending.done, "");
	rivals->note_lost(rivals, 4);
	CHECK_STR("one is lost as well", find(&stage, rivals), "6?!(0) 8?(0)");
	CHECK_STR("one is lost as well", stage.pending.done, "ask 6, ask 8");
	rivals->note_try(rivals);
	CHECK_STR("confirmed after that", find(&stage, rivals), "6(1) 8(1)");
	rivals->note_lost(rivals, 8);
	CHECK_STR("another crash", find(&stage, rivals), "6?(0)");
	rivals->destroy(rivals);
	stage_clear(&stage);
}

/**
 * An IKE_SA that somebody else is closing is no rival, and is reported; so one that
 * we delete ourselves must not be
 */
static void test_closing(void **state)
{
	static const struct {
		char *row;
		task_type_t task;
		bool reauth, ours;
		char *found;
		bool closing;
	} table[] = {
		{ "another task", TASK_CHILD_REKEY, FALSE, FALSE, "4(1)", FALSE },
		{ "a DELETE that waits", TASK_IKE_DELETE, FALSE, FALSE, "", TRUE },
		{ "only to be opened again", TASK_IKE_DELETE, TRUE, FALSE, "4(1)",
		  FALSE },
		{ "our own DELETE", TASK_IKE_DELETE, FALSE, TRUE, "", FALSE },
	};
	qcd_rivals_t *rivals;
	played_task_t task;
	qcd_sa_t sa = {};
	stage_t stage;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		stage_init(&stage);
		rivals = qcd_rivals_create(&stage.pending.public, stage.peers,
								   &stage.connector, &stage.wanted.public, 5,
								   TRUE);
		stage_up(&stage, 0);
		CHECK(table[i].row, !rivals->is_closing(rivals));
		if (table[i].ours)
		{
			sa.unique_id = 4;
			played_spis(&sa.ike, QCD_INITIATOR, 99); /* it is busy elsewhere */
			rivals->remove(rivals, &sa);
		}
		played_task_init(&task, table[i].task);
		stage.ikes[0]->tasks->insert_last(stage.ikes[0]->tasks, &task.public);
		stage.ikes[0]->conditions = table[i].reauth ? COND_REAUTHENTICATING : 0;
		CHECK_STR(table[i].row, find(&stage, rivals), table[i].found);
		CHECK_INT(table[i].row, rivals->is_closing(rivals), table[i].closing);
		rivals->destroy(rivals);
		stage_clear(&stage);
	}
}

/**
 * What is up when a recovery begins is kept; what comes up later is not,
 * whenever the first step runs
 */
static void test_before(void **state)
{
	static const struct {
		char *row;
		/* which of the IKE_SAs are up */
		bool up[3];
		uint32_t unique_id;
		bool lost;
		char *found;
	} table[] = {
		{ "the peer returns", { TRUE }, 4, FALSE, "4(1) 6(1) 8(1)" },
		{ "ours began before, and is up later", { FALSE, TRUE }, 6, FALSE,
		  "6(1) 4(1) 8(1)" },
		{ "others are up", { TRUE, TRUE, TRUE }, 6, FALSE,
		  "4!(1) 6(1) 8!(1)" },
		{ "lost, and others are up", { TRUE, TRUE, TRUE }, 6, TRUE,
		  "4?(0) 8?!(0)" },
		{ "lost, and others come up", { TRUE, TRUE }, 6, TRUE, "4?(0) 8(1)" },
	};
	qcd_rivals_t *rivals;
	stage_t stage;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		stage_init(&stage);
		for (j = 0; j < countof(stage.ikes); j++)
		{
			if (table[i].up[j])
			{
				stage_up(&stage, j);
			}
		}
		rivals = qcd_rivals_create(&stage.pending.public, stage.peers,
								   &stage.connector, &stage.wanted.public,
								   table[i].unique_id, table[i].lost);
		for (j = 0; j < countof(stage.ikes); j++)
		{
			if (!table[i].up[j])
			{
				stage_up(&stage, j);
			}
		}
		CHECK_STR(table[i].row, find(&stage, rivals), table[i].found);
		rivals->destroy(rivals);
		stage_clear(&stage);
	}
}

/**
 * What begins after everything was up is kept for fifteen seconds
 */
static void test_closed(void **state)
{
	qcd_rivals_t *rivals;
	stage_t stage;

	stage_init(&stage);
	rivals = qcd_rivals_create(&stage.pending.public, stage.peers,
							   &stage.connector, &stage.wanted.public, 3, TRUE);
	stage_up(&stage, 0);
	CHECK_STR("up", find(&stage, rivals), "4(1)");
	stage.pending.youngest = 7;
	rivals->reset(rivals);
	rivals->set_closed(rivals, TRUE);
	stage_up(&stage, 1);
	CHECK_STR("began before", find(&stage, rivals), "4(1) 6(1)");
	stage.pending.youngest = 9;
	rivals->reset(rivals);
	stage_up(&stage, 2);
	CHECK_INT("none yet", rivals->get_over(rivals), 0);
	CHECK_STR("began later", find(&stage, rivals), "4(1) 6(1) 8!(1)");
	CHECK_INT("kept", rivals->get_over(rivals), box_now + 15000);
	rivals->set_closed(rivals, FALSE);
	rivals->reset(rivals);
	CHECK_STR("open again", find(&stage, rivals), "4(1) 6(1) 8!(1)");
	box_now += 14999;
	CHECK_STR("still", find(&stage, rivals), "4(1) 6(1) 8!(1)");
	box_now++;
	CHECK_STR("over", find(&stage, rivals), "4(1) 6(1) 8(1)");
	CHECK_INT("over", rivals->get_over(rivals), box_now);
	rivals->destroy(rivals);
	stage_clear(&stage);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_best),
		BOX_TEST(test_surplus),
		BOX_TEST(test_create),
		BOX_TEST(test_details),
		BOX_TEST(test_doubtful),
		BOX_TEST(test_closing),
		BOX_TEST(test_before),
		BOX_TEST(test_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

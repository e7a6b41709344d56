/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_children.h"

#include "box.h"
#include "played.h"

#include <sys/wait.h>

#define RUN 7

#define PUTS_MAX QCD_CHANGES_MAX
#define ALL_MAX (2 * QCD_CHANGES_MAX)

/**
 * A keeper that notes what is asked of it
 */
typedef struct {
	qcd_lost_t public;
	/** "put 1", "remove 1", "return 1", with the inbound SPI */
	char done[256];
	/** the row that was put last */
	qcd_samap_row row;
	/** changes that were written, and how many of them removed a row */
	u_int count, removed;
	/** SPI of the last one, and whether one was not above the one before */
	uint32_t last;
	bool unordered;
	/** CHILD_SAs that are installed while a row is put, one at a time */
	u_int more;
	/** changes that come at once while a row is put, and whether they remove */
	u_int flood;
	bool flood_removes;
} keeper_t;

/**
 * What a test begins with
 */
typedef struct {
	qcd_config_t config;
	qcd_promises_t *promises;
	keeper_t keeper;
	qcd_changes_t *changes;
	qcd_children_t *children;
	played_ike_t *ike;
	qcd_ike_sa sa;
	/** what the config says of an IKE_SA */
	bool makes;
} begun_t;

static begun_t begun;

static void note(keeper_t *this, char *what, const qcd_child_spi *spi)
{
	size_t len = strlen(this->done);

	snprintf(this->done + len, sizeof(this->done) - len, "%s%s %u",
			 len ? ", " : "", what, untoh32((void*)spi->octets));
}

static void add(uint32_t number, bool removed);

/**
 * Count a change
 */
static void count(keeper_t *this, const qcd_child_spi *spi)
{
	uint32_t number = untoh32((void*)spi->octets);
	qcd_change_t kept;

	CHECK("kept until it is written",
		  begun.changes->get(begun.changes, &kept) &&
		  memeq(&kept.row.child_spi, spi, sizeof(*spi)));
	this->count++;
	this->unordered |= number <= this->last;
	this->last = number;
}

METHOD(qcd_lost_t, put, void,
	keeper_t *this, const qcd_samap_row *row)
{
	note(this, "put", &row->child_spi);
	count(this, &row->child_spi);
	this->row = *row;
	if (this->more)
	{
		this->more--;
		add(1000000 - this->more, FALSE);
	}
	for (; this->flood; this->flood--)
	{
		add(1000000 - this->flood, this->flood_removes);
	}
}

METHOD(qcd_lost_t, remove_, void,
	keeper_t *this, const qcd_child_spi *spi)
{
	note(this, "remove", spi);
	count(this, spi);
	this->removed++;
}

METHOD(qcd_lost_t, note_return, void,
	keeper_t *this, const qcd_samap_row *row)
{
	note(this, "return", &row->child_spi);
}

METHOD(qcd_config_t, makes_for, bool,
	qcd_config_t *this, ike_sa_t *ike_sa)
{
	return begun.makes;
}

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	memset(&begun, 0, sizeof(begun));
	begun.makes = TRUE;
	begun.config.makes_for = _makes_for;
	begun.config.node = 3;
	begun.keeper.public = (qcd_lost_t){
		.put = _put,
		.remove = _remove_,
		.note_return = _note_return,
	};
	begun.promises = played_promises_create(&begun.config, RUN);
	/* no file can be there, so changes are written at once */
	begun.changes = qcd_changes_create("/proc/qcd-changes", "/");
	begun.children = qcd_children_create(&begun.config, begun.promises,
										 &begun.keeper.public, begun.changes);
	played_mint(&begun.sa, begun.promises, QCD_INITIATOR);
	begun.ike = played_ike_create(1, &begun.sa);
	return 0;
}

static int end(void **state)
{
	begun.children->destroy(begun.children);
	begun.changes->destroy(begun.changes);
	begun.promises->destroy(begun.promises);
	charon->bus->set_sa(charon->bus, NULL);
	played_ike_destroy(begun.ike);
	return box_close(state);
}

/**
 * Let a CHILD_SA change its state, on an IKE_SA or, with NULL, on none
 */
static void change(played_ike_t *ike, played_child_t *child,
				   child_sa_state_t state)
{
	charon->bus->set_sa(charon->bus, ike ? &ike->public : NULL);
	charon->bus->child_state_change(charon->bus, &child->public, state);
	child->state = state;
}

/**
 * Install a CHILD_SA with an SPI, or destroy it
 */
static void add(uint32_t number, bool removed)
{
	played_child_t *child = played_child_create(1, number);

	change(begun.ike, child, removed ? CHILD_DESTROYING : CHILD_INSTALLED);
	played_child_destroy(child);
}

/**
 * Run the jobs, compare what the keeper was asked for since the last time
 */
static void check_done(const char *row, const char *want, int line)
{
	box_run_jobs();
	check_str(row, "what is done", begun.keeper.done, want, __FILE__, line);
	begun.keeper.done[0] = '\0';
}

#define CHECK_DONE(row, want) check_done((row), (want), __LINE__)

/**
 * Which states matter
 */
static void test_states(void **state)
{
	static const struct {
		char *row;
		child_sa_state_t from, to;
		char *done;
	} table[] = {
		{ "installed", CHILD_INSTALLING, CHILD_INSTALLED, "return 1, put 1" },
		{ "rekeyed in vain", CHILD_REKEYING, CHILD_INSTALLED, "" },
		{ "updated", CHILD_UPDATING, CHILD_INSTALLED, "" },
		{ "created", CHILD_CREATED, CHILD_INSTALLED, "" },
		{ "being installed", CHILD_CREATED, CHILD_INSTALLING, "" },
		{ "rekeying", CHILD_INSTALLED, CHILD_REKEYING, "" },
		{ "rekeyed", CHILD_REKEYING, CHILD_REKEYED, "" },
		{ "deleting", CHILD_INSTALLED, CHILD_DELETING, "" },
		{ "deleted", CHILD_REKEYED, CHILD_DELETED, "" },
		{ "destroyed", CHILD_INSTALLED, CHILD_DESTROYING, "remove 1" },
		{ "destroyed after rekeying", CHILD_REKEYED, CHILD_DESTROYING,
		  "remove 1" },
		{ "never installed", CHILD_CREATED, CHILD_DESTROYING, "remove 1" },
	};
	played_child_t *child;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		child = played_child_create(1, 1);
		child->state = table[i].from;
		change(begun.ike, child, table[i].to);
		CHECK_DONE(table[i].row, table[i].done);
		played_child_destroy(child);
	}
}

/**
 * CHILD_SAs of which nobody could be told
 */
static void test_nobody_to_tell(void **state)
{
	static const struct {
		char *row;
		ike_version_t version;
		bool minted, half, makes, no_ike, no_spi;
		char *done;
	} table[] = {
		{ "all as it should be", IKEV2, TRUE, FALSE, TRUE, FALSE, FALSE,
		  "return 1, put 1" },
		{ "IKEv1", IKEV1, TRUE, FALSE, TRUE, FALSE, FALSE, "" },
		{ "no promise: SPI of somebody else", IKEV2, FALSE, FALSE, TRUE, FALSE,
		  FALSE, "" },
		{ "one SPI", IKEV2, TRUE, TRUE, TRUE, FALSE, FALSE, "" },
		{ "maker is off for it", IKEV2, TRUE, FALSE, FALSE, FALSE, FALSE, "" },
		{ "no IKE_SA", IKEV2, TRUE, FALSE, TRUE, TRUE, FALSE, "" },
		{ "no SPI", IKEV2, TRUE, FALSE, TRUE, FALSE, TRUE, "" },
	};
	played_child_t *child;
	qcd_ike_sa sa;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		child = played_child_create(1, table[i].no_spi ? 0 : 1);
		played_spis(&sa, QCD_INITIATOR, 1);
		sa = table[i].minted ? begun.sa : sa;
		if (table[i].half)
		{
			memset(&sa.spis.responder, 0, sizeof(sa.spis.responder));
		}
		played_ike_rename(begun.ike, &sa);
		begun.ike->version = table[i].version;
		begun.makes = table[i].makes;
		change(table[i].no_ike ? NULL : begun.ike, child, CHILD_INSTALLED);
		CHECK_DONE(table[i].row, table[i].done);
		/* it is removed in any case: who knows when it was put */
		change(table[i].no_ike ? NULL : begun.ike, child, CHILD_DESTROYING);
		CHECK_DONE(table[i].row, table[i].no_spi ? "" : "remove 1");
		played_child_destroy(child);
	}
}

static void test_row(void **state)
{
	static const struct {
		char *row;
		protocol_id_t protocol;
		bool encap;
		/* seconds from now, 0 for no end */
		int lifetime;
		uint64_t expires;
	} table[] = {
		{ "ESP", PROTO_ESP, FALSE, 100, BOX_TIME + 100 },
		{ "AH", PROTO_AH, FALSE, 100, BOX_TIME + 100 },
		{ "in UDP", PROTO_ESP, TRUE, 100, BOX_TIME + 100 },
		{ "no end", PROTO_ESP, FALSE, 0, 0 },
		{ "ends now", PROTO_ESP, FALSE, -1, BOX_TIME },
		{ "ends in a second", PROTO_ESP, FALSE, 1, BOX_TIME + 1 },
		{ "has ended", PROTO_ESP, FALSE, -500, BOX_TIME },
	};
	qcd_samap_row *row = &begun.keeper.row;
	played_child_t *child;
	qcd_peer_id_t id;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		child = played_child_create(1, 0xc1c2c3c4);
		child->protocol = table[i].protocol;
		child->encap = table[i].encap;
		child->lifetime = table[i].lifetime ? BOX_NOW / 1000 + table[i].lifetime
											: 0;
		change(begun.ike, child, CHILD_INSTALLED);
		CHECK_DONE(table[i].row, "return 3250766788, put 3250766788");
		CHECK_INT(table[i].row, row->child_spi.protocol,
				  table[i].protocol == PROTO_AH ? QCD_AH : QCD_ESP);
		CHECK_INT(table[i].row, row->child_spi.octets[0], 0xc1);
		CHECK_INT(table[i].row, row->child_spi.octets[3], 0xc4);
		CHECK_INT(table[i].row, row->encap, table[i].encap);
		CHECK_INT(table[i].row, row->expires, table[i].expires);
		CHECK_INT(table[i].row, row->node, 3);
		CHECK_INT(table[i].row, row->run, RUN);
		CHECK_INT(table[i].row, row->sa.role, QCD_INITIATOR);
		CHECK(table[i].row, qcd_spis_equals(&row->sa.spis, &begun.sa.spis));
		CHECK_INT(table[i].row, row->local.len, 4);
		CHECK_INT(table[i].row, row->local.octets[3], 1);
		CHECK_INT(table[i].row, row->local_port, 4500);
		CHECK_INT(table[i].row, row->peer.octets[0], 198);
		CHECK_INT(table[i].row, row->peer.octets[3], 2);
		CHECK_INT(table[i].row, row->peer_port, 4500);
		qcd_peer_digest("gw", begun.ike->my_id, begun.ike->other_id, &id);
		CHECK_OCTETS(table[i].row, row->peer_id, &id, sizeof(id));
		played_child_destroy(child);
	}
}

/**
 * A CHILD_SA is rekeyed: the new one is put before the old one goes
 */
static void test_rekeyed(void **state)
{
	played_child_t *old = played_child_create(1, 1);
	played_child_t *new = played_child_create(2, 11);

	change(begun.ike, old, CHILD_INSTALLED);
	change(begun.ike, old, CHILD_REKEYING);
	change(begun.ike, new, CHILD_INSTALLED);
	change(begun.ike, old, CHILD_REKEYED);
	change(begun.ike, old, CHILD_DELETING);
	change(begun.ike, old, CHILD_DELETED);
	change(begun.ike, old, CHILD_DESTROYING);
	CHECK_DONE("rekeyed", "return 1, return 11, put 1, put 11, remove 1");
	played_child_destroy(old);
	played_child_destroy(new);
}

/**
 * What changes the rows of all CHILD_SAs of an IKE_SA
 */
static void test_rewritten(void **state)
{
	static const struct {
		char *row;
		enum { REKEY, MIGRATING, MIGRATED, UPDATE } event;
		bool minted;
		char *done;
	} table[] = {
		{ "IKE_SA was rekeyed", REKEY, TRUE, "put 1, put 11" },
		{ "rekeyed to one without a promise", REKEY, FALSE, "" },
		{ "CHILD_SAs begin to move", MIGRATING, TRUE, "" },
		{ "CHILD_SAs have moved", MIGRATED, TRUE, "put 1, put 11" },
		{ "moved to one without a promise", MIGRATED, FALSE, "" },
		{ "addresses change", UPDATE, TRUE, "put 1, put 11" },
	};
	played_child_t *one = played_child_create(1, 1);
	played_child_t *other = played_child_create(2, 11);
	played_child_t *none = played_child_create(3, 0);
	qcd_samap_row *row = &begun.keeper.row;
	played_ike_t *new;
	qcd_ike_sa sa;
	host_t *local, *remote;
	int i;

	local = host_create_from_string("2001:db8::1", 501);
	remote = host_create_from_string("2001:db8::2", 502);
	for (i = 0; i < countof(table); i++)
	{
		played_spis(&sa, QCD_RESPONDER, 1);
		if (table[i].minted)
		{
			played_mint(&sa, begun.promises, QCD_RESPONDER);
		}
		new = played_ike_create(2, &sa);
		new->children->insert_last(new->children, one);
		new->children->insert_last(new->children, none);
		new->children->insert_last(new->children, other);
		charon->bus->set_sa(charon->bus, &new->public);
		switch (table[i].event)
		{
			case REKEY:
				charon->bus->ike_rekey(charon->bus, &begun.ike->public,
									   &new->public);
				break;
			case MIGRATING:
				charon->bus->children_migrate(charon->bus, begun.ike->id, 1);
				break;
			case MIGRATED:
				charon->bus->children_migrate(charon->bus, NULL, 0);
				break;
			case UPDATE:
				charon->bus->ike_update(charon->bus, &new->public, local,
										remote);
				break;
		}
		CHECK_DONE(table[i].row, table[i].done);
		if (*table[i].done)
		{
			bool moved = table[i].event == UPDATE;

			CHECK(table[i].row, qcd_spis_equals(&row->sa.spis, &sa.spis));
			CHECK_INT(table[i].row, row->sa.role, QCD_RESPONDER);
			CHECK_INT(table[i].row, row->local.len, moved ? 16 : 4);
			CHECK_INT(table[i].row, row->peer.len, moved ? 16 : 4);
			CHECK_INT(table[i].row, row->peer.octets[moved ? 15 : 3], 2);
			CHECK_INT(table[i].row, row->local_port, moved ? 501 : 4500);
			CHECK_INT(table[i].row, row->peer_port, moved ? 502 : 4500);
		}
		charon->bus->set_sa(charon->bus, NULL);
		played_ike_destroy(new);
	}
	local->destroy(local);
	remote->destroy(remote);
	played_child_destroy(one);
	played_child_destroy(other);
	played_child_destroy(none);
}

/**
 * What no job has written yet is written at the end
 */
static void test_destroyed(void **state)
{
	played_child_t *child = played_child_create(1, 1);

	change(begun.ike, child, CHILD_INSTALLED);
	add(2, TRUE);
	CHECK_STR("installed", begun.keeper.done, "return 1");
	begun.children->destroy(begun.children);
	CHECK_STR("destroyed", begun.keeper.done, "return 1, put 1, remove 2");
	/* nobody listens any more */
	change(begun.ike, child, CHILD_DESTROYING);
	CHECK_STR("after that", begun.keeper.done, "return 1, put 1, remove 2");
	/* its job is never run: charon has ended all of them by then */
	begun.children = qcd_children_create(&begun.config, begun.promises,
										 &begun.keeper.public, begun.changes);
	played_child_destroy(child);
}

static void test_one_job(void **state)
{
	keeper_t *keeper = &begun.keeper;

	CHECK_INT("nothing", box_count_jobs(), 0);
	add(1, FALSE);
	add(2, TRUE);
	add(3, FALSE);
	CHECK_INT("added", box_count_jobs(), 1);
	CHECK_INT("added", keeper->count, 0);
	box_run_jobs();
	CHECK_INT("written", keeper->count, 3);
	CHECK_INT("written", keeper->removed, 1);
	CHECK("written", !keeper->unordered);
	add(4, FALSE);
	CHECK_INT("again", box_count_jobs(), 1);
	box_run_jobs();
	CHECK_INT("again", keeper->count, 4);
}

/**
 * A change that outlives the daemon is written a little later, with all that
 * are added until then
 */
static void test_later(void **state)
{
	char path[64];
	qcd_change_t change;

	snprintf(path, sizeof(path), "/dev/shm/qcd-children-%d", (int)getpid());
	begun.children->destroy(begun.children);
	begun.changes->destroy(begun.changes);
	begun.changes = qcd_changes_create(path, "/");
	CHECK("in memory", begun.changes->outlive(begun.changes));
	begun.children = qcd_children_create(&begun.config, begun.promises,
										 &begun.keeper.public, begun.changes);
	add(1, FALSE);
	add(2, TRUE);
	CHECK_INT("no job runs", box_count_jobs(), 0);
	CHECK("what a crash would leave",
		  begun.changes->get(begun.changes, &change) && !change.removed);
	CHECK_INT("not yet", begun.keeper.count, 0);
	CHECK("later", box_run_scheduled());
	CHECK_INT("written", begun.keeper.count, 2);
	CHECK("once", !box_run_scheduled());
	CHECK("nothing is left", !begun.changes->get(begun.changes, &change));
	add(3, FALSE);
	CHECK("again", box_run_scheduled());
	CHECK_INT("again", begun.keeper.count, 3);
}

/**
 * Changes of this daemon wait for those that the daemon before has left and that
 * can't be written yet
 */
static void test_after_left(void **state)
{
	qcd_samap_row row = {
		.sa = begun.sa,
		.local = { .len = 4 },
		.peer = { .len = 4 },
	};
	char path[64];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/dev/shm/qcd-children-%d", (int)getpid());
	begun.children->destroy(begun.children);
	begun.changes->destroy(begun.changes);
	pid = fork();
	if (!pid)
	{
		begun.changes = qcd_changes_create(path, "/");
		_exit(!begun.changes->add(begun.changes, &row, FALSE));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	begun.changes = qcd_changes_create(path, "/");
	begun.children = qcd_children_create(&begun.config, begun.promises,
										 &begun.keeper.public, begun.changes);
	add(1, FALSE);
	CHECK("its job", box_run_scheduled());
	CHECK_INT("not yet", begun.keeper.count, 0);
	add(2, FALSE);
	CHECK("the same job goes on", !box_run_scheduled());
	begun.changes->drop(begun.changes);
	begun.children->destroy(begun.children);
	CHECK_INT("written", begun.keeper.count, 2);
	begun.children = qcd_children_create(&begun.config, begun.promises,
										 &begun.keeper.public, begun.changes);
}

/**
 * What is added while the job writes is written by the same job
 */
static void test_while_writing(void **state)
{
	begun.keeper.more = 3;
	add(1, FALSE);
	box_run_jobs();
	CHECK_INT("written", begun.keeper.count, 4);
	CHECK("written", !begun.keeper.unordered);
}

static void test_full(void **state)
{
	static const struct {
		char *row;
		u_int puts, removes, written, removed;
		/** what the log says */
		char *lost;
	} table[] = {
		{ "all places", PUTS_MAX, 0, PUTS_MAX, 0, NULL },
		{ "one put too many", PUTS_MAX + 1, 0, PUTS_MAX, 0, "All threads of charon" },
		{ "full of puts, a removal", PUTS_MAX, 1, PUTS_MAX + 1, 1, NULL },
		{ "all of both", PUTS_MAX, PUTS_MAX, ALL_MAX, PUTS_MAX, NULL },
		{ "one removal too many", PUTS_MAX, PUTS_MAX + 1, ALL_MAX, PUTS_MAX,
		  NULL },
		{ "removals alone", 0, ALL_MAX, ALL_MAX, ALL_MAX, NULL },
		{ "removals alone, one too many", 0, ALL_MAX + 1, ALL_MAX, ALL_MAX,
		  NULL },
		{ "many too many", PUTS_MAX + 100, 10, PUTS_MAX + 10, 10,
		  "All threads of charon" },
	};
	keeper_t *keeper = &begun.keeper;
	uint32_t number;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		end(state);
		begin(state);
		number = 0;
		for (j = 0; j < table[i].puts; j++)
		{
			add(++number, FALSE);
		}
		for (j = 0; j < table[i].removes; j++)
		{
			add(++number, TRUE);
		}
		CHECK_LOGGED(table[i].row, "QCD: the SA map can't be written in time",
					 table[i].lost != NULL);
		CHECK(table[i].row, !table[i].lost ||
			  strstr(box_last_line(), table[i].lost));
		CHECK_INT(table[i].row, box_count_jobs(), 1);
		box_run_jobs();
		CHECK_INT(table[i].row, keeper->count, table[i].written);
		CHECK_INT(table[i].row, keeper->removed, table[i].removed);
		CHECK(table[i].row, !keeper->unordered);
	}
}

/**
 * What the log says if there is no room while a job writes, which the disk may
 * hold up. A removal matters then, but not when charon ends: it removes its
 * CHILD_SAs when it has no threads for jobs any more.
 */
static void test_full_while_writing(void **state)
{
	static const struct {
		char *row;
		u_int flood;
		bool removes, lost;
	} table[] = {
		{ "all places", PUTS_MAX - 1, FALSE, FALSE },
		{ "one put too many", PUTS_MAX, FALSE, TRUE },
		{ "all places for removals", ALL_MAX - 1, TRUE, FALSE },
		{ "one removal too many", ALL_MAX, TRUE, TRUE },
	};
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		end(state);
		begin(state);
		begun.keeper.flood = table[i].flood;
		begun.keeper.flood_removes = table[i].removes;
		add(1, FALSE);
		box_run_jobs();
		CHECK_LOGGED(table[i].row, "Check the disk of state_dir", table[i].lost);
		for (j = 1; j <= ALL_MAX + 1; j++)
		{
			add(1000000 + j, TRUE);
		}
		CHECK_LOGGED(table[i].row, "can't be written in time", table[i].lost);
	}
}

/**
 * The log says it once, and again once all were written
 */
static void test_full_again(void **state)
{
	uint32_t number = 0;
	int i, round;

	for (round = 1; round <= 2; round++)
	{
		for (i = 0; i < PUTS_MAX + 5; i++)
		{
			add(++number, FALSE);
		}
		CHECK_LOGGED("round", "can't be written in time", round);
		box_run_jobs();
		CHECK_INT("round", begun.keeper.count, round * PUTS_MAX);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_nobody_to_tell),
		TEST(test_row),
		TEST(test_rekeyed),
		TEST(test_rewritten),
		TEST(test_destroyed),
		TEST(test_one_job),
		TEST(test_later),
		TEST(test_after_left),
		TEST(test_while_writing),
		TEST(test_full),
		TEST(test_full_while_writing),
		TEST(test_full_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

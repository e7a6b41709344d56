/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"
#include "played.h"

/**
 * Run of the daemon, and SPIs of CHILD_SAs that an earlier run lost
 */
#define RUN 7
#define FIRST_SPI 0x1000
#define LOST 3

/**
 * Size of a slot of the map
 */
#define SLOT QCD_SAMAP_SLOT_LEN

/**
 * First octet of the identity of the peer that lost one IKE_SA, and of the peer
 * that lost the others
 */
#define HAD_ONE 1
#define HAD_SEVERAL 2

/**
 * A watcher that notes what is asked of it, and refuses so many SPIs
 */
typedef struct {
	qcd_watcher_t public;
	u_int adds, added, removed, refuse;
	/** SPIs that were added last */
	u_int last;
} watched_t;

static struct {
	qcd_config_t config;
	qcd_promises_t *promises;
	qcd_lost_index_t *index;
	qcd_changes_t *changes;
	qcd_lost_t *lost;
	watched_t watcher;
	char folder[64];
	/** file of the changes */
	char path[64];
} begun;

METHOD(qcd_watcher_t, add, bool,
	watched_t *this, const qcd_child_spi *spis, u_int count)
{
	this->adds++;
	if (this->refuse)
	{
		this->refuse--;
		return FALSE;
	}
	this->added += count;
	this->last = count;
	return TRUE;
}

METHOD(qcd_watcher_t, remove_, void,
	watched_t *this, const qcd_child_spi *spis, u_int count)
{
	this->removed += count;
}

/**
 * Make a row of an IKE_SA whose SPI is minted
 */
static void make(qcd_samap_row *row, qcd_promises_t *promises, uint32_t spi)
{
	memset(row, 0, sizeof(*row));
	played_mint(&row->sa, promises, QCD_RESPONDER);
	row->run = promises->get_run(promises);
	htoun32(row->child_spi.octets, spi);
	row->child_spi.protocol = QCD_ESP;
	row->local.len = 4;
	row->peer.len = 4;
	row->peer.octets[0] = 198;
}

/**
 * Write what an earlier run of the daemon left
 */
static void write_map()
{
	qcd_config_t config = {};
	qcd_promises_t *before = played_promises_create(&config, RUN - 1);
	qcd_store_report report;
	qcd_samap *map;
	u_int i;

	assert_int_equal(qcd_samap_open(&map, &report, begun.folder), QCD_STORE_OK);
	for (i = 0; i < LOST; i++)
	{
		qcd_samap_row row;

		make(&row, before, FIRST_SPI + i);
		row.peer_id[0] = i ? HAD_SEVERAL : HAD_ONE;
		assert_int_equal(qcd_samap_put(map, &report, &row), QCD_STORE_OK);
	}
	qcd_samap_close(map);
	before->destroy(before);
}

static int begin(void **state)
{
	char *parent = getenv("TMPDIR") ?: "/tmp";

	if (box_open(state))
	{
		return -1;
	}
	memset(&begun, 0, sizeof(begun));
	snprintf(begun.folder, sizeof(begun.folder), "%s/qcd-lost-XXXXXX", parent);
	assert_non_null(mkdtemp(begun.folder));
	write_map();
	begun.config.state_dir = begun.folder;
	begun.promises = played_promises_create(&begun.config, RUN);
	begun.index = qcd_lost_index_create();
	snprintf(begun.path, sizeof(begun.path), "/dev/shm/qcd-lost-%d",
			 (int)getpid());
	unlink(begun.path);
	begun.changes = qcd_changes_create(begun.path, begun.folder);
	begun.lost = qcd_lost_create(&begun.config, begun.promises, begun.index,
								 begun.changes);
	assert_non_null(begun.lost);
	begun.watcher.public = (qcd_watcher_t){
		.add = _add,
		.remove = _remove_,
	};
	return 0;
}

static int end(void **state)
{
	char path[128];

	begun.lost->destroy(begun.lost);
	begun.changes->destroy(begun.changes);
	begun.index->destroy(begun.index);
	begun.promises->destroy(begun.promises);
	snprintf(path, sizeof(path), "%s/samap", begun.folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(begun.folder), 0);
	return box_close(state);
}

#define LOST_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/**
 * Get the seconds after which the watcher is asked to add SPIs again, -1 if never
 */
static int next_add(void)
{
	uint64_t since = box_now;
	u_int adds = begun.watcher.adds;

	while (begun.watcher.adds == adds)
	{
		if (!box_run_scheduled())
		{
			return -1;
		}
	}
	return (box_now - since) / 1000;
}

/**
 * SPIs that the kernel refuses are tried again, until it takes them
 */
static void test_refused(void **state)
{
	begun.watcher.refuse = 3;
	begun.lost->watch(begun.lost, &begun.watcher.public);
	CHECK_INT("at once", begun.watcher.adds, 1);
	CHECK_INT("again", next_add(), 10);
	CHECK_INT("once more", next_add(), 10);
	CHECK_INT("refused", begun.watcher.added, 0);
	CHECK_INT("taken", next_add(), 10);
	CHECK_INT("taken", begun.watcher.added, LOST);
	CHECK_INT("that was all", next_add(), -1);
}

/**
 * There is nothing to retry if it went well, or nobody watches
 */
static void test_not_refused(void **state)
{
	begun.lost->watch(begun.lost, &begun.watcher.public);
	CHECK_INT("taken", begun.watcher.added, LOST);
	CHECK_INT("taken", next_add(), -1);
	begun.watcher.refuse = 1;
	begun.lost->watch(begun.lost, &begun.watcher.public);
	begun.lost->watch(begun.lost, NULL);
	CHECK_INT("nobody", next_add(), -1);
}

/**
 * What is lost, and what is not or no longer
 */
static void test_lost(void **state)
{
	qcd_samap_row row, found;

	begun.lost->watch(begun.lost, &begun.watcher.public);
	CHECK_INT("all", begun.lost->get_count(begun.lost), LOST);
	make(&row, begun.promises, FIRST_SPI);
	CHECK("lost", begun.lost->find(begun.lost, &row.child_spi, &found));

	/* an SPI that this run did not get as far as to write */
	begun.lost->remove(begun.lost, &row.child_spi);
	CHECK("still lost", begun.lost->find(begun.lost, &row.child_spi, &found));
	CHECK_INT("still watched", begun.watcher.removed, 0);

	/* and one that this run uses again */
	begun.lost->put(begun.lost, &row);
	CHECK("live", !begun.lost->find(begun.lost, &row.child_spi, &found));
	CHECK_INT("one less", begun.lost->get_count(begun.lost), LOST - 1);
	CHECK_INT("one less", begun.watcher.removed, 1);
	begun.lost->remove(begun.lost, &row.child_spi);
	CHECK_INT("gone", begun.watcher.removed, 1);
	CHECK_INT("gone", begun.lost->get_count(begun.lost), LOST - 1);
}

/**
 * Limit the size of files; writing beyond it fails. This is not for the file of
 * the changes, which is mapped.
 */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = min(size, limit.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/**
 * If the new CHILD_SA with an SPI can't be written, the old one stays lost
 */
static void test_not_written(void **state)
{
	qcd_samap_row row, found;

	begun.lost->watch(begun.lost, &begun.watcher.public);
	make(&row, begun.promises, FIRST_SPI);
	limit_files(SLOT);
	begun.lost->put(begun.lost, &row);
	limit_files(RLIM_INFINITY);
	CHECK("lost", begun.lost->find(begun.lost, &row.child_spi, &found));
	CHECK_INT("lost", begun.lost->get_count(begun.lost), LOST);
	CHECK_INT("watched", begun.watcher.removed, 0);
}

/**
 * Note that a peer has returned with an IKE_SA of this run
 */
static void note_return(uint8_t peer)
{
	qcd_samap_row row;

	make(&row, begun.promises, FIRST_SPI + LOST);
	row.peer_id[0] = peer;
	begun.lost->note_return(begun.lost, &row);
}

/**
 * Tell the peer of a lost CHILD_SA
 */
static void tell(uint32_t spi)
{
	qcd_child_spi child = { .protocol = QCD_ESP };
	qcd_samap_row row;

	htoun32(child.octets, spi);
	assert_true(begun.lost->find(begun.lost, &child, &row));
	begun.index->note_told(begun.index, &row.sa.spis);
}

/**
 * Check how many CHILD_SAs are lost and watched
 */
static void check_count(const char *row, u_int count)
{
	CHECK_INT(row, begun.lost->get_count(begun.lost), count);
	CHECK_INT(row, begun.watcher.added - begun.watcher.removed, count);
}

/**
 * A peer that lost one IKE_SA returns: that one is replaced
 */
static void test_returned(void **state)
{
	begun.lost->watch(begun.lost, &begun.watcher.public);
	note_return(HAD_SEVERAL + 1);
	box_run_jobs();
	check_count("somebody else", LOST);
	note_return(HAD_ONE);
	check_count("not in the listener", LOST);
	box_run_jobs();
	check_count("replaced", LOST - 1);
	note_return(HAD_ONE);
	box_run_jobs();
	check_count("once", LOST - 1);
}

/**
 * A peer that lost several IKE_SAs returns: one is replaced once the peer was
 * told of it and does not ask about it for three seconds. The last one is replaced
 * in any case. That is checked three times, at intervals of five seconds.
 */
static void test_returned_with_several(void **state)
{
	static const struct {
		char *row;
		/** seconds from the return until each of the two is told, -1 if never */
		int told[2];
		/** those that are lost after 0, 1, 5, 10 and 15 seconds, and at last */
		u_int lost[6];
	} table[] = {
		{ "not told", { -1, -1 }, { 2, 2, 2, 2, 2, 2 } },
		{ "one is told long before", { -10, -1 }, { 1, 1, 0, 0, 0, 0 } },
		{ "told a moment before", { 0, -1 }, { 2, 2, 1, 0, 0, 0 } },
		{ "both are told", { 0, 0 }, { 2, 2, 0, 0, 0, 0 } },
		{ "told later", { 1, 5 }, { 2, 2, 1, 0, 0, 0 } },
		{ "told at the last check", { 10, 10 }, { 2, 2, 2, 2, 2, 2 } },
	};
	static const int at[] = { 0, 1, 5, 10, 15 };
	uint64_t since;
	u_int i, j, k;

	for (i = 0; i < countof(table); i++)
	{
		end(state);
		begin(state);
		begun.lost->watch(begun.lost, &begun.watcher.public);
		box_now += 20000;
		since = box_now;
		for (j = 0; j < 2; j++)
		{
			if (table[i].told[j] < -1)
			{
				box_now = since + table[i].told[j] * 1000;
				tell(FIRST_SPI + 1 + j);
			}
		}
		box_now = since;
		for (k = 0; k < countof(at); k++)
		{
			box_run_until(since + at[k] * 1000);
			for (j = 0; j < 2; j++)
			{
				if (table[i].told[j] == at[k])
				{
					tell(FIRST_SPI + 1 + j);
				}
			}
			if (!k)
			{
				note_return(HAD_SEVERAL);
				box_run_jobs();
			}
			check_count(table[i].row, LOST - 2 + table[i].lost[k]);
		}
		while (box_run_scheduled())
		{
			CHECK(table[i].row, box_now < since + 1000000);
		}
		check_count(table[i].row, LOST - 2 + table[i].lost[countof(at)]);
	}
}

/**
 * Leave a change, as a daemon that was killed
 */
static void leave(const qcd_samap_row *row, bool removed)
{
	qcd_changes_t *changes;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
	{
		changes = qcd_changes_create(begun.path, begun.folder);
		_exit(!changes->outlive(changes) || !changes->add(changes, row, removed));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/**
 * Begin again, as the daemon after that
 */
static void begin_again(void)
{
	begun.changes = qcd_changes_create(begun.path, begun.folder);
	begun.lost = qcd_lost_create(&begun.config, begun.promises, begun.index,
								 begun.changes);
	assert_non_null(begun.lost);
}

/**
 * End, as the daemon before
 */
static void shut_down(void)
{
	box_forget_jobs();
	begun.lost->destroy(begun.lost);
	begun.changes->destroy(begun.changes);
	begun.index->clear(begun.index);
}

/**
 * What the daemon before wanted to write when it died is written first
 */
static void test_left_changes(void **state)
{
	qcd_promises_t *before = played_promises_create(&begun.config, RUN - 1);
	qcd_samap_row new, again, gone, found;
	qcd_change_t left;

	shut_down();
	make(&new, before, FIRST_SPI + LOST);
	make(&again, before, FIRST_SPI);
	make(&gone, before, FIRST_SPI + 1);
	leave(&new, FALSE);
	leave(&again, FALSE);
	leave(&gone, TRUE);
	leave(&gone, TRUE);
	begin_again();

	CHECK_INT("one more, one less", begun.lost->get_count(begun.lost), LOST);
	CHECK("new", begun.lost->find(begun.lost, &new.child_spi, &found));
	CHECK("used again", begun.lost->find(begun.lost, &again.child_spi, &found) &&
		  memeq(&found.sa, &again.sa, sizeof(again.sa)));
	CHECK("gone", !begun.lost->find(begun.lost, &gone.child_spi, &found));
	CHECK("all were written", !begun.changes->get(begun.changes, &left));
	before->destroy(before);
}

/**
 * If nothing was left but the lost CHILD_SAs can't be counted, that is tried again
 */
static void test_uncounted(void **state)
{
	shut_down();
	box_time += 86400;		/* so that the rows' times have to be written again */
	begun.changes = qcd_changes_create(begun.path, begun.folder);
	limit_files(SLOT);
	begun.lost = qcd_lost_create(&begun.config, begun.promises, begun.index,
								 begun.changes);
	limit_files(RLIM_INFINITY);
	CHECK_INT("not counted", begun.lost->get_count(begun.lost), 0);
	while (!begun.lost->get_count(begun.lost))
	{
		CHECK("tried again", box_run_scheduled());
	}
	CHECK_INT("counted", begun.lost->get_count(begun.lost), LOST);
}

/**
 * What can't be written at the start is written when there is room, by this
 * daemon or by the next one. Meanwhile, what is known to be lost gets replies, if
 * it can be counted.
 */
static void test_left_without_room(void **state)
{
	static const struct {
		char *row;
		u_int slots;
		/** lost CHILD_SAs that are known, and changes that were not written */
		u_int lost, left;
		/** seconds later, so that the rows' times have to be written again */
		u_int later;
	} table[] = {
		{ "room", LOST + 2, LOST + 1, 0 },
		{ "no room for a second row", LOST + 1, LOST, 1 },
		{ "no writing", 1, LOST, 3 },
		{ "no writing, nor counting", 1, 0, 3, 86400 },
	};
	qcd_promises_t *before = played_promises_create(&begun.config, RUN - 1);
	qcd_samap_row one, other, gone, old, found;
	qcd_lost_peer_t peer;
	qcd_change_t left;
	u_int i, restart;

	/* in this order, only gone is of the IKE_SA that its row has in the map */
	make(&one, before, FIRST_SPI + LOST);
	make(&gone, before, FIRST_SPI + 1);
	make(&other, before, FIRST_SPI + LOST + 1);
	for (i = 0; i < 2 * countof(table); i++)
	{
		restart = i % 2;
		end(state);
		begin(state);
		shut_down();
		box_time += table[i / 2].later;
		leave(&gone, TRUE);
		leave(&one, FALSE);
		leave(&other, FALSE);
		begun.changes = qcd_changes_create(begun.path, begun.folder);
		limit_files(table[i / 2].slots * SLOT);
		begun.lost = qcd_lost_create(&begun.config, begun.promises, begun.index,
									 begun.changes);
		limit_files(RLIM_INFINITY);
		assert_non_null(begun.lost);
		begun.lost->watch(begun.lost, &begun.watcher.public);
		check_count(table[i / 2].row, table[i / 2].lost);
		memset(&old, 0, sizeof(old));
		CHECK_INT(table[i / 2].row,
				  begun.lost->find(begun.lost, &gone.child_spi, &old),
				  table[i / 2].left == 3);
		CHECK_INT(table[i / 2].row, begun.changes->get(begun.changes, &left),
				  table[i / 2].left != 0);
		if (restart)
		{
			shut_down();
			begin_again();
		}
		else
		{	/* a change of this daemon, which is not written like those */
			begun.changes->add(begun.changes, &one, TRUE);
		}
		while (begun.lost->get_count(begun.lost) != LOST + 1)
		{
			CHECK(table[i / 2].row, box_run_scheduled());
		}
		CHECK(table[i / 2].row, restart || begun.watcher.last == LOST + 1);
		CHECK(table[i / 2].row, !begun.index->find(begun.index, &old.sa.spis, &peer));
		if (!restart)
		{
			CHECK(table[i / 2].row, begun.changes->get(begun.changes, &left) &&
				  !left.left);
			begun.changes->drop(begun.changes);
		}
		CHECK(table[i / 2].row, !begun.changes->get(begun.changes, &left));
		CHECK(table[i / 2].row, begun.lost->find(begun.lost, &one.child_spi, &found));
		CHECK(table[i / 2].row, begun.lost->find(begun.lost, &other.child_spi, &found));
		CHECK(table[i / 2].row, !begun.lost->find(begun.lost, &gone.child_spi, &found));
	}
	before->destroy(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOST_TEST(test_lost),
		LOST_TEST(test_not_refused),
		LOST_TEST(test_refused),
		LOST_TEST(test_not_written),
		LOST_TEST(test_uncounted),
		LOST_TEST(test_returned),
		LOST_TEST(test_returned_with_several),
		LOST_TEST(test_left_changes),
		LOST_TEST(test_left_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost.h"

#include <sys/stat.h>
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
 * A watcher that notes what is asked of it, and refuses so many SPIs
 */
typedef struct {
	qcd_watcher_t public;
	u_int adds, added, removed, refuse;
} watched_t;

static struct {
	qcd_config_t config;
	qcd_promises_t *promises;
	qcd_lost_index_t *index;
	qcd_changes_t *changes;
	qcd_lost_t *lost;
	watched_t watcher;
	char folder[64];
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
	begun.changes = qcd_changes_create("/proc/qcd-changes");
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
 * What the daemon before wanted to write when it died is written first
 */
static void test_left_changes(void **state)
{
	qcd_promises_t *before = played_promises_create(&begun.config, RUN - 1);
	qcd_samap_row new, again, gone, found;
	qcd_change_t left;

	begun.lost->destroy(begun.lost);
	make(&new, before, FIRST_SPI + LOST);
	make(&again, before, FIRST_SPI);
	make(&gone, before, FIRST_SPI + 1);
	begun.changes->add(begun.changes, &new, FALSE);
	begun.changes->add(begun.changes, &again, FALSE);
	begun.changes->add(begun.changes, &gone, TRUE);
	begun.changes->add(begun.changes, &gone, TRUE);
	begun.lost = qcd_lost_create(&begun.config, begun.promises, begun.index,
								 begun.changes);

	CHECK_INT("one more, one less", begun.lost->get_count(begun.lost), LOST);
	CHECK("new", begun.lost->find(begun.lost, &new.child_spi, &found));
	CHECK("used again", begun.lost->find(begun.lost, &again.child_spi, &found) &&
		  memeq(&found.sa, &again.sa, sizeof(again.sa)));
	CHECK("gone", !begun.lost->find(begun.lost, &gone.child_spi, &found));
	CHECK("all were written", !begun.changes->get(begun.changes, &left));
	before->destroy(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOST_TEST(test_lost),
		LOST_TEST(test_not_refused),
		LOST_TEST(test_refused),
		LOST_TEST(test_left_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup changes_box changes_box
 * @{ @ingroup qcd
 *
 * What the tests of the changes share: the file, and daemons that come and go.
 */

#ifndef CHANGES_BOX_H_
#define CHANGES_BOX_H_

#include "qcd_changes.h"

#include "box.h"

#include <unistd.h>

#define FOLDER "/dev/shm"
#define PLACES (2 * QCD_CHANGES_MAX)

/**
 * Where the tests damage the file: its head, and its first place
 */
#define AT_MAGIC 0
#define AT_LAYOUT 16
#define AT_RANGE 24
#define AT_OWNER 32
#define AT_PLACES 48
#define KIND_AT 128
#define PLACE_LEN 132

static char path[64];

static int begin(void **state)
{
	snprintf(path, sizeof(path), FOLDER "/qcd-changes-%d", (int)getpid());
	unlink(path);
	return box_open(state);
}

static int end(void **state)
{
	unlink(path);
	return box_close(state);
}

static bool add(qcd_changes_t *changes, uint32_t number, bool removed)
{
	qcd_samap_row row = {
		.run = number,
		.sa = { .role = QCD_INITIATOR },
		.local = { .len = 4 },
		.peer = { .len = 16 },
	};

	htoun32(row.child_spi.octets, number);
	return changes->add(changes, &row, removed);
}

/**
 * Get and drop the next change
 *
 * @return				its number, 0 if there is none
 */
static uint32_t take(qcd_changes_t *changes)
{
	qcd_change_t change;

	if (!changes->get(changes, &change))
	{
		return 0;
	}
	changes->drop(changes);
	return untoh32(change.row.child_spi.octets);
}

/**
 * Leave the file, as a daemon that is killed
 */
static void leave(qcd_changes_t *changes)
{
	char kept[80];

	/* a process that dies leaves its file, but neither its lock nor its map */
	snprintf(kept, sizeof(kept), "%s.kept", path);
	assert_int_equal(link(path, kept), 0);
	changes->destroy(changes);
	unlink(path);
	assert_int_equal(rename(kept, path), 0);
}

/**
 * Begin as the daemon after one that was killed
 */
static qcd_changes_t *begin_again(qcd_changes_t *changes)
{
	leave(changes);
	return qcd_changes_create(path, FOLDER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif /** CHANGES_BOX_H_ @}*/

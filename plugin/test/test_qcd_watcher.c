/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_watcher.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <qcd/watch.h>

#include "box.h"

/**
 * What the calls of libqcd-watch return, which are played: the real ones need the
 * kernel
 */
static enum qcd_watch_err result;
static int fd;

/**
 * Packets that the kernel has, those that were read, and those that were passed
 * on: each has its number as its length
 */
static struct {
	u_int ready, read, passed;
} packets;

/**
 * What charon's watcher calls if the descriptor is readable
 */
static struct {
	watcher_cb_t cb;
	void *data;
} watched;

static enum qcd_watch_err report_result(qcd_watch_report *report)
{
	snprintf(report->text, sizeof(report->text), "%s", result ? "refused" : "");
	return result;
}

enum qcd_watch_err qcd_watch_open(qcd_watch **out, qcd_watch_report *report,
								  const qcd_watch_settings *settings)
{
	*out = result ? NULL : (qcd_watch*)&fd;
	return report_result(report);
}

void qcd_watch_close(qcd_watch *watch)
{
}

int qcd_watch_fd(const qcd_watch *watch)
{
	return fd;
}

enum qcd_watch_err qcd_watch_add(qcd_watch *watch, qcd_watch_report *report,
								 const qcd_child_spi *spis, size_t num)
{
	return report_result(report);
}

enum qcd_watch_err qcd_watch_remove(qcd_watch *watch, qcd_watch_report *report,
									const qcd_child_spi *spis, size_t num)
{
	return report_result(report);
}

bool qcd_watch_read(qcd_watch *watch, qcd_traffic *out)
{
	if (packets.read == packets.ready)
	{
		return FALSE;
	}
	*out = (qcd_traffic){ .len = ++packets.read };
	return TRUE;
}

METHOD(watcher_t, watch, void,
	watcher_t *this, int fd, watcher_event_t events, watcher_cb_t cb, void *data)
{
	watched.cb = cb;
	watched.data = data;
}

static void pass(void *user, const qcd_traffic *packet)
{
	packets.passed++;
	CHECK_INT("in their order", packet->len, packets.passed);
}

METHOD(capabilities_t, keep, bool,
	capabilities_t *this, u_int capability)
{
	return TRUE;
}

static qcd_watcher_t *create()
{
	lib->caps->keep = _keep;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return qcd_watcher_create(100, pass, NULL);
}

/**
 * What the log says of changes that fail, and of those that follow
 */
static void test_log(void **state)
{
	static const struct {
		char *row;
		bool add;
		enum qcd_watch_err result;
		u_int refused, again;
	} table[] = {
		{ "added", TRUE, QCD_WATCH_OK, 0, 0 },
		{ "removed", FALSE, QCD_WATCH_OK, 0, 0 },
		{ "refused", TRUE, QCD_WATCH_ERR_RIGHT, 1, 0 },
		{ "refused again", TRUE, QCD_WATCH_ERR_RIGHT, 1, 0 },
		/* a peer returns, whose SPIs were not watched anyway */
		{ "nothing to remove", FALSE, QCD_WATCH_OK, 1, 0 },
		{ "still refused", TRUE, QCD_WATCH_ERR_SYSTEM, 1, 0 },
		{ "added again", TRUE, QCD_WATCH_OK, 1, 1 },
		{ "not removed", FALSE, QCD_WATCH_ERR_SYSTEM, 2, 1 },
		{ "not removed again", FALSE, QCD_WATCH_ERR_SYSTEM, 2, 1 },
		{ "more", TRUE, QCD_WATCH_OK, 2, 1 },
		{ "removed at last", FALSE, QCD_WATCH_OK, 2, 1 },
		{ "not removed, much later", FALSE, QCD_WATCH_ERR_SYSTEM, 3, 1 },
	};
	const qcd_child_spi spi = { .octets = { 1 }, .protocol = QCD_ESP };
	qcd_watcher_t *watcher;
	int i;

	result = QCD_WATCH_OK;
	watcher = create();
	assert_non_null(watcher);
	for (i = 0; i < countof(table); i++)
	{
		result = table[i].result;
		if (table[i].add)
		{
			CHECK_INT(table[i].row, watcher->add(watcher, &spi, 1), !result);
		}
		else
		{
			watcher->remove(watcher, &spi, 1);
		}
		CHECK_LOGGED(table[i].row, "QCD: refused", table[i].refused);
		CHECK_LOGGED(table[i].row, "is seen again", table[i].again);
	}
	watcher->destroy(watcher);
	close(fd);
}

static void test_not_opened(void **state)
{
	result = QCD_WATCH_ERR_KERNEL;
	assert_null(create());
	CHECK_LOGGED("open", "QCD: refused", 1);
	close(fd);
}

/**
 * A job passes packets on, as that may wait for the disk. charon's thread reads
 * only so many at a time, and so many wait.
 */
static void test_packets(void **state)
{
	static const struct {
		char *row;
		u_int ready, at_once, passed;
	} table[] = {
		{ "none", 0, 0, 0 },
		{ "one", 1, 1, 1 },
		{ "some", 10, 10, 10 },
		{ "as many as are read at a time", 64, 64, 64 },
		{ "one more", 65, 64, 65 },
		{ "as many as wait", 1024, 64, 1024 },
		{ "one too many", 1025, 64, 1024 },
		{ "many too many", 5000, 64, 1024 },
	};
	qcd_watcher_t *watcher;
	int i;

	lib->watcher->add = _watch;
	result = QCD_WATCH_OK;
	watcher = create();
	assert_non_null(watcher);
	for (i = 0; i < countof(table); i++)
	{
		memset(&packets, 0, sizeof(packets));
		packets.ready = table[i].ready;
		watched.cb(watched.data, fd, WATCHER_READ);
		CHECK_INT(table[i].row, packets.read, table[i].at_once);
		while (packets.read < packets.ready)
		{
			CHECK(table[i].row, watched.cb(watched.data, fd, WATCHER_READ));
		}
		CHECK_INT(table[i].row, packets.passed, 0);
		CHECK_INT(table[i].row, box_count_jobs(), table[i].ready != 0);
		box_run_jobs();
		CHECK_INT(table[i].row, packets.passed, table[i].passed);
	}
	watcher->destroy(watcher);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_log),
		BOX_TEST(test_packets),
		BOX_TEST(test_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

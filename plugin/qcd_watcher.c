/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_watcher.h"
#include "qcd_queue.h"

#include <qcd/watch.h>

#include <daemon.h>
#include <threading/mutex.h>

/**
 * Maximum number of packets that are read at a time, so that the thread can do
 * other work
 */
#define PACKETS_AT_ONCE 64

/**
 * Maximum number of packets that wait to be passed on; further ones are dropped,
 * as by the limit of the kernel
 */
#define WAITING_MAX 1024

typedef struct private_qcd_watcher_t private_qcd_watcher_t;

/**
 * Private data
 */
struct private_qcd_watcher_t {

	/**
	 * Public interface
	 */
	qcd_watcher_t public;

	/**
	 * Receives the packets, and its argument
	 */
	qcd_watcher_packet_t packet;
	void *user;

	/**
	 * Mutex for changes of the watch, but not for its packets
	 */
	mutex_t *mutex;

	/**
	 * Watch of libqcd-watch
	 */
	qcd_watch *watch;

	/**
	 * Whether the last SPIs could not be added, or removed
	 */
	bool not_added, not_removed;

	/**
	 * Packets to pass on, as qcd_traffic
	 */
	qcd_queue_t *waiting;
};

/**
 * Note how a change went, and log an error unless the change before it failed too
 */
static bool check(bool *failed, enum qcd_watch_err err,
				  qcd_watch_report *report)
{
	bool before = *failed;

	*failed = err != QCD_WATCH_OK;
	if (*failed && !before)
	{
		DBG1(DBG_CFG, "QCD: %s", report->text);
	}
	return !*failed;
}

METHOD(qcd_watcher_t, add, bool,
	private_qcd_watcher_t *this, const qcd_child_spi *spis, u_int count)
{
	qcd_watch_report report;
	bool success, before;

	this->mutex->lock(this->mutex);
	before = this->not_added;
	success = check(&this->not_added,
					qcd_watch_add(this->watch, &report, spis, count), &report);
	if (success && before)
	{
		DBG1(DBG_CFG, "QCD: ESP of lost SAs is seen again");
	}
	this->mutex->unlock(this->mutex);
	return success;
}

METHOD(qcd_watcher_t, remove_, void,
	private_qcd_watcher_t *this, const qcd_child_spi *spis, u_int count)
{
	qcd_watch_report report;

	this->mutex->lock(this->mutex);
	check(&this->not_removed,
		  qcd_watch_remove(this->watch, &report, spis, count), &report);
	this->mutex->unlock(this->mutex);
}

/**
 * Read packets. While a callback runs, charon's watcher may not look at the
 * descriptors of others, such as those of vici and of the kernel's events. So
 * this must not wait for the disk, as who gets the packets may.
 */
CALLBACK(readable, bool,
	private_qcd_watcher_t *this, int fd, watcher_event_t event)
{
	qcd_traffic packet;
	int i;

	for (i = 0; i < PACKETS_AT_ONCE && qcd_watch_read(this->watch, &packet); i++)
	{
		this->waiting->add(this->waiting, &packet);
	}
	return TRUE;
}

METHOD(qcd_watcher_t, destroy, void,
	private_qcd_watcher_t *this)
{
	if (this->watch)
	{
		lib->watcher->remove(lib->watcher, qcd_watch_fd(this->watch));
	}
	qcd_watch_close(this->watch);
	this->waiting->destroy(this->waiting);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_watcher_t *qcd_watcher_create(u_int rate, qcd_watcher_packet_t packet,
								  void *user)
{
	private_qcd_watcher_t *this;
	qcd_watch_report report;
	qcd_watch_settings settings = {
		.rate = rate,
		.nat_port = charon->socket->get_port(charon->socket, TRUE),
	};

	/* also if charon changes its user later */
	if (!lib->caps->keep(lib->caps, CAP_NET_ADMIN))
	{
		DBG1(DBG_CFG, "QCD: not allowed to use nftables: ESP of lost SAs is not "
			 "seen. It needs the capability CAP_NET_ADMIN");
		return NULL;
	}

	INIT(this,
		.public = {
			.add = _add,
			.remove = _remove_,
			.destroy = _destroy,
		},
		.packet = packet,
		.user = user,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.waiting = qcd_queue_create(sizeof(qcd_traffic), WAITING_MAX,
									(qcd_queue_handle_t)packet, user),
	);

	if (!check(&this->not_added,
			   qcd_watch_open(&this->watch, &report, &settings), &report))
	{
		destroy(this);
		return NULL;
	}
	lib->watcher->add(lib->watcher, qcd_watch_fd(this->watch), WATCHER_READ,
					  readable, this);
	return &this->public;
}

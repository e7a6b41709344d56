/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_socket.h"
#include "qcd_sa.h"
#include "qcd_unix.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <daemon.h>
#include <threading/mutex.h>
#include <threading/thread.h>

/**
 * Maximum number of clients; maximum length of a command in octets;
 * milliseconds to send it; maximum number of octets that a client of events may
 * leave unread
 */
#define CLIENTS_MAX 16
#define COMMAND_MAX 32
#define COMMAND_TIMEOUT_MS 5000
#define UNREAD_MAX 65536

/**
 * Milliseconds before the next try if a client could not be accepted, or if
 * waiting for clients failed
 */
#define PAUSE_MS 200

typedef struct private_qcd_socket_t private_qcd_socket_t;

/**
 * State of a client
 */
typedef enum {
	FREE,
	/** sending its command */
	ASKING,
	/** waiting for the response to a command that waits for the disk; there is
	 * one such client at most */
	WAITING,
	/** receiving its response */
	ANSWERED,
	/** receiving events */
	LISTENING,
} phase_t;

/**
 * A client
 */
typedef struct {
	phase_t phase;
	int fd;
	/** command received so far, and the time by which it must be complete */
	char command[COMMAND_MAX + 1];
	size_t len;
	uint64_t deadline;
	/** octets to write */
	chunk_t out;
} client_t;

/**
 * Private data
 */
struct private_qcd_socket_t {

	/**
	 * Public interface
	 */
	qcd_socket_t public;

	/**
	 * Path of the socket
	 */
	char *path;

	/**
	 * What commands are about
	 */
	qcd_control_t control;

	/**
	 * Listening socket, and the eventfd that wakes our thread
	 */
	int fd, wake;

	/**
	 * Our thread, the only one that accesses the clients
	 */
	thread_t *thread;
	client_t clients[CLIENTS_MAX];

	/**
	 * Until when no client is accepted
	 */
	uint64_t paused;

	/**
	 * Mutex for what follows, held only for as long as it takes to append a
	 * line
	 */
	mutex_t *mutex;

	/**
	 * Events that were not passed to clients yet
	 */
	chunk_t pending;

	/**
	 * Response to the client that waits, which may have gone
	 */
	chunk_t response;

	/**
	 * Whether to stop
	 */
	bool stop;
};

/**
 * Wake our thread
 */
static void wake(private_qcd_socket_t *this)
{
	uint64_t one = 1;

	/* fails only if the counter is full, and then the thread is awake */
	ignore_result(write(this->wake, &one, sizeof(one)));
}

/**
 * Receive an event, in whatever thread it is raised
 */
static void take_event(private_qcd_socket_t *this, chunk_t line)
{
	this->mutex->lock(this->mutex);
	if (this->pending.len + line.len <= UNREAD_MAX)
	{
		this->pending = chunk_cat("mc", this->pending, line);
	}
	this->mutex->unlock(this->mutex);
	wake(this);
}

/**
 * Receive the response to a command that a job executed
 */
static void take_response(private_qcd_socket_t *this, chunk_t response)
{
	this->mutex->lock(this->mutex);
	chunk_free(&this->response);
	this->response = response;
	this->mutex->unlock(this->mutex);
	wake(this);
}

/**
 * Close a client
 */
static void close_client(client_t *client)
{
	close(client->fd);
	chunk_free(&client->out);
	memset(client, 0, sizeof(*client));
}

/**
 * Write as much of a client's output as the client accepts
 */
static void write_client(client_t *client)
{
	chunk_t rest;
	ssize_t len;

	while (client->out.len)
	{
		len = send(client->fd, client->out.ptr, client->out.len,
				   MSG_DONTWAIT | MSG_NOSIGNAL);
		if (len < 0 && errno == EINTR)
		{
			continue;
		}
		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			return;
		}
		if (len <= 0)
		{
			close_client(client);
			return;
		}
		rest = chunk_clone(chunk_skip(client->out, len));
		chunk_free(&client->out);
		client->out = rest;
	}
	if (client->phase == ANSWERED)
	{
		close_client(client);
	}
}

/**
 * Execute the command of a client
 */
static void execute(private_qcd_socket_t *this, client_t *client)
{
	if (streq(client->command, "events"))
	{
		this->control.events->set_receiver(this->control.events,
										   (void*)take_event, this);
		client->phase = LISTENING;
		client->out = chunk_clone(chunk_from_str("{\"ok\":true}\n"));
	}
	else
	{
		client->phase = qcd_control_execute(&this->control, client->command,
									&client->out) ? ANSWERED : WAITING;
	}
	write_client(client);
}

/**
 * Respond to the client that waits, if it is still there
 */
static void respond(private_qcd_socket_t *this, chunk_t response)
{
	int i;

	for (i = 0; i < CLIENTS_MAX; i++)
	{
		client_t *client = &this->clients[i];

		if (client->phase == WAITING)
		{
			client->phase = ANSWERED;
			client->deadline = qcd_now() + COMMAND_TIMEOUT_MS;
			client->out = response;
			write_client(client);
			return;
		}
	}
	chunk_free(&response);
}

/**
 * Read the command of a client, or notice that it has disconnected
 */
static void read_client(private_qcd_socket_t *this, client_t *client)
{
	char *end, ignored[256];
	ssize_t len;

	if (client->phase != ASKING)
	{
		len = recv(client->fd, ignored, sizeof(ignored), MSG_DONTWAIT);
		if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
		{
			close_client(client);
		}
		return;
	}
	len = recv(client->fd, client->command + client->len,
			   COMMAND_MAX - client->len, MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
	{
		return;
	}
	if (len <= 0)
	{
		close_client(client);
		return;
	}
	client->len += len;
	end = memchr(client->command, '\n', client->len);
	if (end)
	{
		*end = '\0';
		execute(this, client);
	}
	else if (client->len == COMMAND_MAX)
	{
		close_client(client);
	}
}

/**
 * Accept a client, unless there are too many
 */
static void accept_client(private_qcd_socket_t *this)
{
	int fd, i;

	fd = accept4(this->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
	{	/* without a free descriptor the client stays in the queue of the
		 * socket, which is ready as long as that takes */
		this->paused = qcd_now() + PAUSE_MS;
		return;
	}
	for (i = 0; i < CLIENTS_MAX && qcd_unix_is_allowed(fd); i++)
	{
		if (this->clients[i].phase == FREE)
		{
			this->clients[i].phase = ASKING;
			this->clients[i].fd = fd;
			this->clients[i].deadline = qcd_now() + COMMAND_TIMEOUT_MS;
			return;
		}
	}
	close(fd);
}

/**
 * Pass pending events to the clients that listen, and a response to the client
 * that waits for it. Without a client that listens, no further event wakes us.
 */
static void distribute(private_qcd_socket_t *this)
{
	chunk_t pending, response;
	bool listening = FALSE;
	uint64_t count;
	int i;

	ignore_result(read(this->wake, &count, sizeof(count)));
	this->mutex->lock(this->mutex);
	pending = this->pending;
	this->pending = chunk_empty;
	response = this->response;
	this->response = chunk_empty;
	this->mutex->unlock(this->mutex);

	if (response.len)
	{
		this->control.busy = FALSE;
		respond(this, response);
	}
	for (i = 0; pending.len && i < CLIENTS_MAX; i++)
	{
		client_t *client = &this->clients[i];

		if (client->phase != LISTENING)
		{
			continue;
		}
		if (client->out.len > UNREAD_MAX)
		{
			close_client(client);
			continue;
		}
		listening = TRUE;
		client->out = chunk_cat("mc", client->out, pending);
		write_client(client);
	}
	if (pending.len && !listening)
	{
		this->control.events->set_receiver(this->control.events, NULL, NULL);
	}
	chunk_free(&pending);
}

/**
 * Disconnect clients that don't send their command or don't read their response,
 * and tell a client that waits for too long.
 *
 * @return				milliseconds until that is to be done again, or a client
 *						may be accepted again
 */
static int expire(private_qcd_socket_t *this)
{
	uint64_t now = qcd_now();
	int i, timeout = this->paused > now ? this->paused - now : -1;

	for (i = 0; i < CLIENTS_MAX; i++)
	{
		client_t *client = &this->clients[i];

		if (client->phase == WAITING && client->deadline <= now)
		{
			respond(this, qcd_control_refuse("the disk of state_dir does not "
						"answer. Check it; the command is completed once it "
						"answers"));
		}
		if (client->phase == FREE || client->phase == LISTENING)
		{
			continue;
		}
		if (client->deadline <= now)
		{
			close_client(client);
		}
		else if (timeout < 0 || client->deadline - now < timeout)
		{
			timeout = client->deadline - now;
		}
	}
	return timeout;
}

/**
 * Serve the clients whose sockets are ready
 */
static void serve(private_qcd_socket_t *this, struct pollfd *fds)
{
	int i;

	for (i = 0; i < CLIENTS_MAX; i++)
	{
		client_t *client = &this->clients[i];

		if (client->phase == WAITING && fds[i].revents)
		{
			close_client(client);
		}
		if (client->phase != FREE &&
			fds[i].revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
		{
			write_client(client);
		}
		if ((client->phase == ASKING || client->phase == LISTENING) &&
			fds[i].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
		{
			read_client(this, client);
		}
	}
}

/**
 * Wait for a descriptor that is ready. If that fails, log it unless it failed
 * before too, and pause.
 */
static bool wait_ready(struct pollfd *fds, u_int count, int timeout, bool failed)
{
	if (poll(fds, count, timeout) >= 0 || errno == EINTR)
	{
		return TRUE;
	}
	if (!failed)
	{
		DBG1(DBG_CFG, "QCD: waiting for clients failed: %s", strerror(errno));
	}
	usleep(PAUSE_MS * 1000);
	return FALSE;
}

/**
 * Main function of our thread
 */
static void *run(private_qcd_socket_t *this)
{
	struct pollfd fds[CLIENTS_MAX + 2];
	int i, timeout;
	bool stop = FALSE, failed = FALSE;

	while (!stop)
	{
		timeout = expire(this);
		for (i = 0; i < CLIENTS_MAX; i++)
		{
			client_t *client = &this->clients[i];

			fds[i].fd = client->phase == FREE ? -1 : client->fd;
			/* a client may close its sending side after its command */
			fds[i].events = client->phase == WAITING ? 0 :
							client->phase == ANSWERED ? POLLOUT :
							client->out.len ? POLLIN | POLLOUT : POLLIN;
			fds[i].revents = 0;
		}
		fds[CLIENTS_MAX] = (struct pollfd){ .fd = this->wake, .events = POLLIN };
		fds[CLIENTS_MAX + 1] = (struct pollfd){
			.fd = this->paused > qcd_now() ? -1 : this->fd,
			.events = POLLIN,
		};
		failed = !wait_ready(fds, countof(fds), timeout, failed);
		serve(this, fds);
		if (fds[CLIENTS_MAX].revents)
		{
			distribute(this);
		}
		if (fds[CLIENTS_MAX + 1].revents)
		{
			accept_client(this);
		}
		this->mutex->lock(this->mutex);
		stop = this->stop;
		this->mutex->unlock(this->mutex);
	}
	return NULL;
}

METHOD(qcd_socket_t, destroy, void,
	private_qcd_socket_t *this)
{
	qcd_events_t *events = this->control.events;
	int i;

	if (this->thread)
	{
		this->mutex->lock(this->mutex);
		this->stop = TRUE;
		this->mutex->unlock(this->mutex);
		wake(this);
		this->thread->join(this->thread);
		unlink(this->path);
	}
	events->set_receiver(events, NULL, NULL);
	for (i = 0; i < CLIENTS_MAX; i++)
	{
		if (this->clients[i].phase != FREE)
		{
			close_client(&this->clients[i]);
		}
	}
	if (this->fd >= 0)
	{
		close(this->fd);
	}
	if (this->wake >= 0)
	{
		close(this->wake);
	}
	chunk_free(&this->pending);
	chunk_free(&this->response);
	this->mutex->destroy(this->mutex);
	free(this->path);
	free(this);
}

/*
 * Described in header
 */
qcd_socket_t *qcd_socket_create(char *path, const qcd_control_t *control)
{
	private_qcd_socket_t *this;

	INIT(this,
		.public = {
			.destroy = _destroy,
		},
		.path = strdup(path),
		.control = {
			.events = control->events,
			.starter = control->starter,
			.taker = control->taker,
			.respond = (void*)take_response,
			.user = this,
		},
		.fd = -1,
		.wake = -1,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	this->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	this->fd = this->wake < 0 ? -1 : qcd_unix_listen(path, CLIENTS_MAX);
	if (this->fd < 0)
	{
		DBG1(DBG_CFG, "QCD: no socket %s for the qcd command: %s. Remove it if "
			 "nobody uses it, or set %s.plugins.qcd.socket", path,
			 strerror(errno), lib->ns);
		destroy(this);
		return NULL;
	}
	this->thread = qcd_thread_create((void*)run, this);
	if (!this->thread)
	{
		DBG1(DBG_CFG, "QCD: no thread for the socket %s", path);
		unlink(path);
		destroy(this);
		return NULL;
	}
	return &this->public;
}

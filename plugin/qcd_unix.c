/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <library.h>

/**
 * Remove a socket that a crash has left, unless somebody serves it
 */
static bool remove_stale(struct sockaddr_un *addr)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(addr->sun_path, &st) != 0)
	{
		return errno == ENOENT;
	}
	if (!S_ISSOCK(st.st_mode))
	{
		errno = EEXIST;
		return FALSE;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	stale = fd >= 0 &&
			connect(fd, (struct sockaddr*)addr, sizeof(*addr)) != 0 &&
			errno == ECONNREFUSED;
	if (fd >= 0)
	{
		close(fd);
	}
	if (!stale)
	{
		errno = EADDRINUSE;
		return FALSE;
	}
	return unlink(addr->sun_path) == 0;
}

/**
 * Bind a socket to its address and listen
 */
static bool bind_socket(int fd, struct sockaddr_un *addr, int backlog)
{
	mode_t old;
	bool bound;

	old = umask(S_IXUSR | S_IRWXG | S_IRWXO);
	bound = bind(fd, (struct sockaddr*)addr, sizeof(*addr)) == 0;
	umask(old);
	/* it belongs to the user that charon runs as later, like vici's socket */
	return bound &&
		   lchown(addr->sun_path, lib->caps->get_uid(lib->caps),
				  lib->caps->get_gid(lib->caps)) == 0 &&
		   listen(fd, backlog) == 0;
}

/*
 * Described in header
 */
int qcd_unix_listen(char *path, int backlog)
{
	struct sockaddr_un addr = {
		.sun_family = AF_UNIX,
	};
	int fd, why;

	if (strlen(path) >= sizeof(addr.sun_path))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
	{
		return -1;
	}
	if (!remove_stale(&addr) || !bind_socket(fd, &addr, backlog))
	{
		why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

/*
 * Described in header
 */
bool qcd_unix_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
		   (peer.uid == 0 || peer.uid == geteuid());
}

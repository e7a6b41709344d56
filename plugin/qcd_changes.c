/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PLACES (2 * QCD_CHANGES_MAX)

/**
 * Tells our files, of this layout, from others
 */
#define MAGIC "qcd changes 1"

typedef struct place_t place_t;
typedef union range_t range_t;
typedef struct shared_t shared_t;
typedef struct private_qcd_changes_t private_qcd_changes_t;

/**
 * A place for a change, with the checksum of the change
 */
struct place_t {
	qcd_change_t change;
	uint32_t sum;
};

/**
 * The oldest change is in the place `first`; the others follow it, after the
 * last place in the first one. Both numbers change as one, so whatever
 * instruction a process dies at, the file is whole.
 */
union range_t {
	struct {
		uint32_t first;
		uint32_t count;
	};
	uint64_t both;
};

/**
 * The file
 */
struct shared_t {
	char magic[16];
	uint32_t place_len;
	uint32_t num_places;
	range_t range;
	place_t places[PLACES];
};

/**
 * Private data
 */
struct private_qcd_changes_t {

	/**
	 * Public interface
	 */
	qcd_changes_t public;

	/**
	 * Path of the file, and the open file, -1 if the changes are in this
	 * process's own memory
	 */
	char *path;
	int fd;

	/**
	 * Content of the file
	 */
	shared_t *shared;
};

/**
 * Get the checksum of a change
 */
static uint32_t sum_of(const qcd_change_t *change)
{
	return chunk_hash_static(chunk_create((u_char*)change, sizeof(*change)));
}

/**
 * Set both numbers, after the places were written
 */
static void set_range(private_qcd_changes_t *this, uint32_t first,
					  uint32_t count)
{
	range_t range = {
		.first = first,
		.count = count,
	};

	__atomic_store_n(&this->shared->range.both, range.both, __ATOMIC_RELEASE);
}

METHOD(qcd_changes_t, add, bool,
	private_qcd_changes_t *this, const qcd_samap_row *row, bool removed)
{
	shared_t *shared = this->shared;
	place_t *place;
	bool added;

	added = shared->range.count < (removed ? PLACES : QCD_CHANGES_MAX);
	if (added)
	{
		place = &shared->places[(shared->range.first + shared->range.count) % PLACES];
		memset(place, 0, sizeof(*place));
		memcpy(&place->change.row, row, sizeof(*row));
		place->change.removed = removed;
		place->sum = sum_of(&place->change);
		set_range(this, shared->range.first, shared->range.count + 1);
	}
	return added;
}

METHOD(qcd_changes_t, get, bool,
	private_qcd_changes_t *this, qcd_change_t *change)
{
	shared_t *shared = this->shared;
	bool found;

	found = shared->range.count;
	if (found)
	{
		*change = shared->places[shared->range.first].change;
	}
	return found;
}

METHOD(qcd_changes_t, drop, void,
	private_qcd_changes_t *this)
{
	shared_t *shared = this->shared;
	uint32_t left;

	left = shared->range.count - 1;
	/* begin anew as often as possible: fewer pages are used */
	set_range(this, left ? (shared->range.first + 1) % PLACES : 0, left);
}

METHOD(qcd_changes_t, outlive, bool,
	private_qcd_changes_t *this)
{
	return this->fd >= 0;
}

/**
 * Check that an open file is ours alone. Says why not.
 */
static bool is_ours(int fd, const char **why)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
	{
		*why = strerror(errno);
	}
	else if (!S_ISREG(st.st_mode) || st.st_mode & (S_IRWXG | S_IRWXO) ||
			 st.st_nlink != 1 || (st.st_uid && st.st_uid != geteuid() &&
								  st.st_uid != lib->caps->get_uid(lib->caps)))
	{
		*why = "it is not a regular file of root or of charon's user, with "
			   "mode 0600: remove it";
	}
	else if (fs.f_type != TMPFS_MAGIC)
	{
		*why = "it is not in memory (tmpfs)";
	}
	else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		*why = "another daemon uses it: give each its own socket";
	}
	else
	{
		return TRUE;
	}
	return FALSE;
}

/**
 * Open the file and map it into memory. All its pages are reserved, so that no
 * access fails later.
 */
static shared_t *map_file(char *path, int *fd, const char **why)
{
	void *shared = MAP_FAILED;

	*fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			   S_IRUSR | S_IWUSR);
	if (*fd < 0)
	{
		*why = strerror(errno);
		return MAP_FAILED;
	}
	if (is_ours(*fd, why))
	{
		errno = posix_fallocate(*fd, 0, sizeof(shared_t));
		if (!errno && fchown(*fd, lib->caps->get_uid(lib->caps),
							 lib->caps->get_gid(lib->caps)) == 0)
		{
			shared = mmap(NULL, sizeof(shared_t), PROT_READ | PROT_WRITE,
						  MAP_SHARED, *fd, 0);
		}
		*why = strerror(errno);
	}
	if (shared == MAP_FAILED)
	{
		close(*fd);
		*fd = -1;
	}
	return shared;
}

/**
 * Keep the changes that an earlier daemon has left, except for damaged ones
 */
static void take_over(private_qcd_changes_t *this)
{
	shared_t *shared = this->shared;
	uint32_t i, first = shared->range.first, count = shared->range.count;
	place_t *place;
	u_int damaged = 0;

	if (!memeq(shared->magic, MAGIC, sizeof(MAGIC)) ||
		shared->place_len != sizeof(place_t) || shared->num_places != PLACES ||
		first >= PLACES || count > PLACES)
	{
		memset(shared, 0, sizeof(*shared));
		memcpy(shared->magic, MAGIC, sizeof(MAGIC));
		shared->place_len = sizeof(place_t);
		shared->num_places = PLACES;
		return;
	}
	for (i = 0; i < count; i++)
	{
		place = &shared->places[(first + i) % PLACES];
		if (place->sum != sum_of(&place->change))
		{
			damaged++;
		}
		else
		{
			memmove(&shared->places[(first + i - damaged) % PLACES], place,
					sizeof(*place));
		}
	}
	set_range(this, first, count - damaged);
}

METHOD(qcd_changes_t, destroy, void,
	private_qcd_changes_t *this)
{
	if (this->fd >= 0)
	{
		if (!this->shared->range.count)
		{	/* this may lack a right, which does no harm */
			unlink(this->path);
		}
		close(this->fd);
	}
	munmap(this->shared, sizeof(*this->shared));
	free(this->path);
	free(this);
}

/*
 * Described in header
 */
qcd_changes_t *qcd_changes_create(char *path)
{
	private_qcd_changes_t *this;
	shared_t *shared;
	const char *why;
	int fd;

	shared = map_file(path, &fd, &why);
	if (shared == MAP_FAILED)
	{
		DBG1(DBG_CFG, "QCD: %s can't be used, so each change of the SA map is "
			 "written to the disk at once: %s", path, why);
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	if (shared == MAP_FAILED)
	{
		DBG1(DBG_CFG, "QCD: no memory for changes of the SA map, ESP of lost "
			 "CHILD_SAs gets no reply");
		return NULL;
	}

	INIT(this,
		.public = {
			.add = _add,
			.get = _get,
			.drop = _drop,
			.outlive = _outlive,
			.destroy = _destroy,
		},
		.path = strdup(path),
		.fd = fd,
		.shared = shared,
	);
	take_over(this);
	return &this->public;
}

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

#include <threading/mutex.h>

#define PLACES (2 * QCD_CHANGES_MAX)

/**
 * Tells our files, of this layout, from others
 */
#define MAGIC "qcd changes 2"

typedef struct place_t place_t;
typedef union range_t range_t;
typedef struct shared_t shared_t;
typedef struct private_qcd_changes_t private_qcd_changes_t;

/**
 * What a place holds
 */
typedef enum {
	PUT = 1,
	REMOVE = 2,
} kind_t;

/**
 * A place for a change. The row is encoded as in the SA map, with a checksum: the
 * file is read as strictly as the map.
 */
struct place_t {
	uint8_t row[QCD_SAMAP_SLOT_LEN];
	uint32_t kind;
};

/**
 * Tells the state folder of the daemon that writes the file. Daemons that share
 * a socket's path by mistake must not take each other's changes.
 */
typedef struct {
	uint64_t dev;
	uint64_t ino;
} owner_t;

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
	owner_t owner;
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
	 * Our state folder
	 */
	owner_t owner;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * Content of the file
	 */
	shared_t *shared;

	/**
	 * Number of changes that the daemon before has left; they are the oldest
	 */
	uint32_t left;
};

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

/**
 * Write a change into its place
 */
static void write_place(place_t *place, const qcd_samap_row *row, bool removed)
{
	qcd_samap_row removal = {
		.child_spi = row->child_spi,
		.sa = { .role = QCD_INITIATOR },
		.local = { .len = 4 },
		.peer = { .len = 4 },
	};

	qcd_samap_encode(place->row, removed ? &removal : row);
	place->kind = removed ? REMOVE : PUT;
}

/**
 * Read a change from its place
 */
static bool read_place(const place_t *place, qcd_change_t *change)
{
	change->removed = place->kind == REMOVE;
	return (place->kind == PUT || place->kind == REMOVE) &&
		   qcd_samap_decode(&change->row, place->row);
}

METHOD(qcd_changes_t, add, bool,
	private_qcd_changes_t *this, const qcd_samap_row *row, bool removed)
{
	range_t range;
	bool added;

	this->mutex->lock(this->mutex);
	range = this->shared->range;
	added = range.count < (removed ? PLACES : QCD_CHANGES_MAX);
	if (added)
	{
		write_place(&this->shared->places[(range.first + range.count) % PLACES],
					row, removed);
		set_range(this, range.first, range.count + 1);
	}
	this->mutex->unlock(this->mutex);
	return added;
}

/**
 * Drop the oldest change, with the mutex held
 */
static void drop_first(private_qcd_changes_t *this)
{
	range_t range = this->shared->range;

	range.count--;
	this->left -= min(this->left, 1);
	/* begin anew as often as possible: fewer pages are used */
	set_range(this, range.count ? (range.first + 1) % PLACES : 0, range.count);
}

METHOD(qcd_changes_t, get, bool,
	private_qcd_changes_t *this, qcd_change_t *change)
{
	shared_t *shared = this->shared;
	bool found = FALSE;

	this->mutex->lock(this->mutex);
	while (!found && shared->range.count)
	{
		found = read_place(&shared->places[shared->range.first], change);
		change->left = this->left > 0;
		if (!found)
		{	/* it was damaged */
			drop_first(this);
		}
	}
	this->mutex->unlock(this->mutex);
	return found;
}

METHOD(qcd_changes_t, drop, void,
	private_qcd_changes_t *this)
{
	this->mutex->lock(this->mutex);
	drop_first(this);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_changes_t, outlive, bool,
	private_qcd_changes_t *this)
{
	bool outlives;

	this->mutex->lock(this->mutex);
	outlives = this->fd >= 0;
	this->mutex->unlock(this->mutex);
	return outlives;
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
		*why = errno == EWOULDBLOCK
			? "another daemon uses it: give each its own socket"
			: errno == EACCES
			? "it can't be locked. Check the rules of AppArmor or SELinux"
			: strerror(errno);
	}
	else
	{
		return TRUE;
	}
	return FALSE;
}

/**
 * Tell whether a file has the layout of ours
 */
static bool is_sound(const shared_t *shared)
{
	return memeq(shared->magic, MAGIC, sizeof(MAGIC)) &&
		   shared->place_len == sizeof(place_t) && shared->num_places == PLACES &&
		   shared->range.first < PLACES && shared->range.count <= PLACES;
}

/**
 * Map an open file of ours into memory. All its pages are reserved, so that no
 * access fails later.
 */
static shared_t *map_ours(private_qcd_changes_t *this, int fd, const char **why)
{
	shared_t *shared = MAP_FAILED;

	errno = posix_fallocate(fd, 0, sizeof(shared_t));
	if (!errno && fchown(fd, lib->caps->get_uid(lib->caps),
						 lib->caps->get_gid(lib->caps)) == 0)
	{
		shared = mmap(NULL, sizeof(shared_t), PROT_READ | PROT_WRITE,
					  MAP_SHARED, fd, 0);
	}
	*why = strerror(errno);
	if (shared != MAP_FAILED && is_sound(shared) && shared->range.count &&
		!memeq(&shared->owner, &this->owner, sizeof(this->owner)))
	{
		*why = "it has changes of a gateway with another state_dir: give each "
			   "its own socket, or remove the file if that gateway is gone";
		munmap(shared, sizeof(*shared));
		shared = MAP_FAILED;
	}
	return shared;
}

/**
 * Open the file. Tells whether it is a new one.
 */
static int open_file(char *path, bool *made)
{
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = open(path, flags | O_EXCL, S_IRUSR | S_IWUSR);

	*made = fd >= 0;
	return fd < 0 && errno == EEXIST ? open(path, flags, S_IRUSR | S_IWUSR)
									 : fd;
}

/**
 * Remove a new file that can't be used, unless another daemon already uses it
 */
static void remove_new(char *path, int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
	{
		unlink(path);
	}
}

/**
 * Open the file and map it into memory
 */
static shared_t *map_file(private_qcd_changes_t *this, const char **why)
{
	shared_t *shared = MAP_FAILED;
	bool made;

	this->fd = open_file(this->path, &made);
	if (this->fd < 0)
	{
		*why = strerror(errno);
		return MAP_FAILED;
	}
	if (is_ours(this->fd, why))
	{
		shared = map_ours(this, this->fd, why);
	}
	if (shared == MAP_FAILED)
	{
		if (made)
		{
			remove_new(this->path, this->fd);
		}
		close(this->fd);
		this->fd = -1;
	}
	return shared;
}

/**
 * Begin with an empty file
 */
static void clear(private_qcd_changes_t *this)
{
	shared_t *shared = this->shared;

	memset(shared, 0, offsetof(shared_t, places));
	memcpy(shared->magic, MAGIC, sizeof(MAGIC));
	shared->place_len = sizeof(place_t);
	shared->num_places = PLACES;
	shared->owner = this->owner;
	this->left = 0;
}

/**
 * Keep the changes that an earlier daemon has left. Damaged ones are never got.
 */
static void take_over(private_qcd_changes_t *this)
{
	shared_t *shared = this->shared;
	range_t range = shared->range;
	qcd_change_t change;
	u_int i, damaged = 0;

	if (!is_sound(shared) || !range.count)
	{
		clear(this);
		return;
	}
	this->left = range.count;
	for (i = 0; i < range.count; i++)
	{
		damaged += !read_place(&shared->places[(range.first + i) % PLACES],
							   &change);
	}
	if (damaged)
	{
		DBG1(DBG_CFG, "QCD: %u damaged changes of the SA map in %s are dropped: "
			 "their CHILD_SAs may get no reply to ESP", damaged, this->path);
	}
}

/**
 * Check if our file has its name, as far as one can tell
 */
static bool is_in_place(private_qcd_changes_t *this)
{
	struct stat ours, named;

	if (fstat(this->fd, &ours) != 0)
	{
		return TRUE;
	}
	if (lstat(this->path, &named) != 0)
	{
		return errno != ENOENT;
	}
	return ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/**
 * Make the file again, with the mutex held
 */
static void make_again(private_qcd_changes_t *this, char *text, size_t len)
{
	shared_t *shared;
	const char *why;

	close(this->fd);
	shared = map_file(this, &why);
	if (shared == MAP_FAILED)
	{	/* the old file is in our memory still */
		snprintf(text, len, "%s was removed or replaced while it was in use, and "
				 "can't be made again, so each change of the SA map is written "
				 "to the disk at once: %s", this->path, why);
		return;
	}
	munmap(this->shared, sizeof(*this->shared));
	this->shared = shared;
	clear(this);
	snprintf(text, len, "%s was removed or replaced while it was in use: it is "
			 "made again", this->path);
}

METHOD(qcd_changes_t, keep, bool,
	private_qcd_changes_t *this, char *text, size_t len)
{
	bool made;

	this->mutex->lock(this->mutex);
	made = this->fd >= 0 && !this->shared->range.count && !is_in_place(this);
	if (made)
	{
		make_again(this, text, len);
	}
	this->mutex->unlock(this->mutex);
	return made;
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
	this->mutex->destroy(this->mutex);
	free(this->path);
	free(this);
}

/**
 * Map the file, or else memory of this process. The reason is logged.
 */
static shared_t *map_any(private_qcd_changes_t *this, char *folder)
{
	shared_t *shared = MAP_FAILED;
	const char *why;
	struct stat st;

	if (stat(folder, &st) == 0)
	{
		this->owner.dev = st.st_dev;
		this->owner.ino = st.st_ino;
		shared = map_file(this, &why);
	}
	else
	{
		why = strerror(errno);
	}
	if (shared == MAP_FAILED)
	{
		DBG1(DBG_CFG, "QCD: %s can't be used, so each change of the SA map is "
			 "written to the disk at once: %s", this->path, why);
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	return shared;
}

/*
 * Described in header
 */
qcd_changes_t *qcd_changes_create(char *path, char *folder)
{
	private_qcd_changes_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.get = _get,
			.drop = _drop,
			.outlive = _outlive,
			.keep = _keep,
			.destroy = _destroy,
		},
		.path = strdup(path),
		.fd = -1,
	);
	this->shared = map_any(this, folder);
	if (this->shared == MAP_FAILED)
	{
		DBG1(DBG_CFG, "QCD: no memory for changes of the SA map, ESP of lost "
			 "CHILD_SAs gets no reply");
		free(this->path);
		free(this);
		return NULL;
	}
	this->mutex = mutex_create(MUTEX_TYPE_DEFAULT);
	take_over(this);
	return &this->public;
}

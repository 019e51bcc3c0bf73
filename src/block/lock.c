/*
 * QEMU's image locks. Each permission has a bit; a user of the image holds a
 * shared lock on byte 100 + bit for each permission it uses, and on byte
 * 200 + bit for each one it does not let others have. Having taken its own,
 * it looks whether anybody holds the opposite. First take, then look: two
 * that start at once both see each other, and at worst both give up.
 *
 * The locks are open file description locks: they end with the descriptor,
 * survive fork(), and are not dropped when another descriptor of the same
 * file is closed. They have a descriptor of their own: the kernel drops a file
 * that a ring has registered only some time after the process has ended, and
 * whoever starts it again would be refused by its own past.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/lock.h"
#include "loop/log.h"

#define PERM_USED 100
#define PERM_UNSHARED 200

enum perm {
	PERM_CONSISTENT_READ = 0,
	PERM_WRITE = 1,
	PERM_WRITE_UNCHANGED = 2,
	PERM_RESIZE = 3,
	PERMS
};

static const char *const perm_names[PERMS] = {
	[PERM_CONSISTENT_READ] = "read",
	[PERM_WRITE] = "write",
	[PERM_WRITE_UNCHANGED] = "write unchanged",
	[PERM_RESIZE] = "resize",
};

static struct flock byte_lock(short type, off_t byte)
{
	return (struct flock){ .l_type = type,
			       .l_whence = SEEK_SET,
			       .l_start = byte,
			       .l_len = 1 };
}

static int take(int fd, off_t byte)
{
	struct flock fl = byte_lock(F_RDLCK, byte);

	return fcntl(fd, F_OFD_SETLK, &fl) ? -errno : 0;
}

/* 1 if somebody else holds the byte. */
static int held(int fd, off_t byte)
{
	struct flock fl = byte_lock(F_WRLCK, byte);

	if (fcntl(fd, F_OFD_GETLK, &fl))
		return -errno;
	return fl.l_type != F_UNLCK;
}

static int conflict(const char *path, int perm, bool used_by_them)
{
	if (used_by_them)
		log_warnx("%s: lock: another program has the image open for "
			  "%s; end it, or use --no-lock if it cannot harm",
			  path, perm_names[perm]);
	else
		log_warnx("%s: lock: another program has the image open and "
			  "does not share '%s'; end it, or use --no-lock if "
			  "it cannot harm",
			  path, perm_names[perm]);
	return -EBUSY;
}

static int take_and_look(int fd, const char *path, bool writer)
{
	unsigned int used = 1u << PERM_CONSISTENT_READ;
	unsigned int unshared = 1u << PERM_WRITE | 1u << PERM_RESIZE;
	int perm, ret = 0;

	if (writer)
		used |= unshared;
	for (perm = 0; perm < PERMS && !ret; perm++) {
		if (used >> perm & 1)
			ret = take(fd, PERM_USED + perm);
		if (!ret && unshared >> perm & 1)
			ret = take(fd, PERM_UNSHARED + perm);
	}
	for (perm = 0; perm < PERMS && !ret; perm++) {
		if (used >> perm & 1)
			ret = held(fd, PERM_UNSHARED + perm);
		if (ret > 0)
			ret = conflict(path, perm, false);
		if (!ret && unshared >> perm & 1)
			ret = held(fd, PERM_USED + perm);
		if (ret > 0)
			ret = conflict(path, perm, true);
	}
	return ret;
}

/* One more description of the file that is open as @like; or -errno. */
static int open_again(int like, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat one, two;

	if (fd < 0)
		return -errno;
	if (!fstat(like, &one) && !fstat(fd, &two) &&
	    one.st_dev == two.st_dev && one.st_ino == two.st_ino)
		return fd;
	close(fd);
	return -ESTALE; /* replaced while we opened it */
}

int lock_image(int like, const char *path, bool writer, int *lock_fd)
{
	int fd = open_again(like, path);
	int ret = fd < 0 ? fd : take_and_look(fd, path, writer);

	*lock_fd = fd;
	if (!ret)
		return 0;
	*lock_fd = -1;
	if (fd >= 0)
		close(fd);
	/* A file system without locks: nobody else can take one. */
	if (ret == -EINVAL || ret == -ENOLCK || ret == -EOPNOTSUPP)
		return 0;
	if (ret == -EAGAIN || ret == -EACCES) {
		log_warnx("%s: lock: another program holds it exclusively; "
			  "end it, or use --no-lock",
			  path);
		return -EBUSY;
	}
	if (ret != -EBUSY) {
		errno = -ret;
		log_warn("%s: lock", path);
	}
	return ret;
}

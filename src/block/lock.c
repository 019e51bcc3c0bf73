/*
 * QEMU's image locks. Each permission has a bit; a user of the image holds a
 * shared lock on byte 100 + bit for each permission it uses, and on byte
 * 200 + bit for each one it does not let others have. Having taken its own,
 * it looks whether anybody holds the opposite. First take, then look: two
 * that start at once both see each other, and at worst both give up.
 *
 * The locks are open file description locks: they survive fork(), are not
 * dropped when another descriptor of the same file is closed, and end with
 * the last user of the description. One of these is the ring that has the
 * file registered, and the kernel takes rings down some time after their
 * process has ended, when the last write is over. That is as long as the lock
 * should hold; so a clean end releases it by hand, and a start has patience.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "block/holder.h"
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

static const char *const uses[PERMS] = {
	[PERM_CONSISTENT_READ] = "reading",
	[PERM_WRITE] = "writing",
	[PERM_WRITE_UNCHANGED] = "writing what is there",
	[PERM_RESIZE] = "resizing",
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

void lock_release(int fd)
{
	struct flock fl = byte_lock(F_UNLCK, PERM_USED);

	fl.l_len = PERM_UNSHARED + PERMS - PERM_USED;
	fcntl(fd, F_OFD_SETLK, &fl);
}

#define ADVICE                                                           \
	"; stop that program, or give --no-lock if both may safely use " \
	"the image"

static int conflict(int fd, const char *path, enum perm perm,
		    bool used_by_them)
{
	char who[HOLDER_TEXT];

	holder_find(fd, PERM_USED, PERM_UNSHARED + PERMS - PERM_USED, who);
	if (used_by_them)
		log_warnx("%s: lock: another program (%s) has the image open "
			  "for %s" ADVICE,
			  path, who, uses[perm]);
	else
		log_warnx("%s: lock: another program (%s) has the image open "
			  "and lets no other one %s" ADVICE,
			  path, who, perm_names[perm]);
	return -EBUSY;
}

/* 0; -EBUSY, and which permission is in dispute; or another -errno. */
static int take_and_look(int fd, bool writer, enum perm *perm, bool *by_them)
{
	unsigned int used = 1u << PERM_CONSISTENT_READ;
	unsigned int unshared = 1u << PERM_WRITE | 1u << PERM_RESIZE;
	enum perm p;
	int ret = 0;

	if (writer)
		used |= unshared;
	for (p = 0; p < PERMS && !ret; p++) {
		if (used >> p & 1)
			ret = take(fd, PERM_USED + p);
		if (!ret && unshared >> p & 1)
			ret = take(fd, PERM_UNSHARED + p);
	}
	for (p = 0; p < PERMS && !ret; p++) {
		*perm = p;
		*by_them = false;
		if (used >> p & 1)
			ret = held(fd, PERM_UNSHARED + p);
		if (ret || !(unshared >> p & 1))
			continue;
		*by_them = true;
		ret = held(fd, PERM_USED + p);
	}
	return ret > 0 ? -EBUSY : ret;
}

void lock_pause(void)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };

	nanosleep(&pause, NULL);
}

/* What file systems answer that have none (FUSE: ENOSYS, some: ENOTTY). */
static bool has_no_locks(int error)
{
	return error == -EINVAL || error == -ENOLCK || error == -EOPNOTSUPP ||
	       error == -ENOSYS || error == -ENOTTY;
}

int lock_image(int fd, const char *path, bool writer)
{
	enum perm perm = PERMS;
	bool by_them = false;
	int ret, tries;

	for (tries = 0; tries < LOCK_TRIES; tries++) {
		ret = take_and_look(fd, writer, &perm, &by_them);
		if (!ret)
			return 0;
		lock_release(fd);
		if (ret != -EBUSY && ret != -EAGAIN)
			break;
		lock_pause();
	}
	/* A file system without locks: nobody else can take one. */
	if (has_no_locks(ret))
		return 0;
	if (ret == -EBUSY)
		return conflict(fd, path, perm, by_them);
	if (ret == -EAGAIN || ret == -EACCES) {
		char who[HOLDER_TEXT];

		holder_find(fd, PERM_USED, PERM_UNSHARED + PERMS - PERM_USED,
			    who);
		log_warnx("%s: lock: another program (%s) holds it "
			  "exclusively" ADVICE,
			  path, who);
		return -EBUSY;
	}
	errno = -ret;
	log_warn("%s: lock", path);
	return ret;
}

/*
 * What this program does to the file it exports, as any user of it would: sets
 * its size, has it written back. A child process does it, because this one has
 * to answer meanwhile.
 *
 * Somebody may umount at that moment and should not be told that the file is
 * busy, so the child works in a mount namespace of its own, a private copy: a
 * copy keeps the file system, not the mount. In such a namespace mounts have
 * other IDs, so the right one is found by its device. A device's number can be
 * another one's once ours is gone; but what is open stays what it is. So if
 * the connection lives after the file has been opened, the file is ours.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/apart.h"
#include "fuse/mountinfo.h"
#include "loop/system.h"

#define COPIES_MOST 64u

bool apart_is_device(int dir, const char *name, unsigned int minor)
{
	struct statx stx;

	return !statx(dir, name,
		      AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		      STATX_TYPE, &stx) &&
	       !stx.stx_dev_major && stx.stx_dev_minor == minor;
}

static int open_file(unsigned int minor)
{
	unsigned int nth;
	char *path;
	int fd;

	for (nth = 0; nth < COPIES_MOST; nth++) {
		path = mountinfo_path(minor, 0, nth);
		if (!path)
			break;
		fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		free(path);
		if (fd >= 0 && apart_is_device(fd, "", minor))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

static bool is_connected(int fuse)
{
	struct pollfd p = { .fd = fuse };

	return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLERR | POLLNVAL));
}

int apart_open(const struct mount *m)
{
	int fd, ret = 3;

	/* Who may not mount may in a user namespace, which the child is in. */
	if (!unshare(CLONE_NEWNS) || !unshare(CLONE_NEWUSER | CLONE_NEWNS))
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	fd = m->connection ? open_file(m->connection) : -ENOENT;
	if (fd >= 0 && !is_connected(m->fd)) {
		close(fd);
		fd = -ENOTCONN;
	}
	if (fd < 0 || (fd != 3 && dup2(fd, 3) < 0))
		ret = fd < 0 ? fd : -errno;
	/* The connection must not live on through this copy of it. */
	close_range(ret < 0 ? 3 : 4, ~0U, 0);
	return ret;
}

const char *apart_via(int fd, char via[32])
{
	snprintf(via, 32, "/proc/self/fd/%d", fd);
	return via;
}

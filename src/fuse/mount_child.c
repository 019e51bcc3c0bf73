/*
 * The children of a mount: what waits for answers that only this process
 * gives is done by another one. They are forked, do a few system calls and end.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/apart.h"
#include "fuse/mount.h"
#include "fuse/passed.h"
#include "fuse/unmount.h"
#include "loop/system.h"

/*
 * What the kernel keeps is written before the mount is out of reach. By a
 * child of this one, in a namespace of its own: this one goes on to unmount.
 * False if some of it is lost.
 */
static bool write_back(const struct mount *m)
{
	char via[32];
	int place, fd, status;
	pid_t pid = fork();

	if (pid < 0)
		return false;
	if (pid)
		return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		       !WEXITSTATUS(status);
	place = apart_open(m);
	if (place < 0) /* it is gone; so is what was kept, one way or another */
		_exit(0);
	fd = open(apart_via(place, via), O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* by its mode it may be for writing only */
		fd = open(via, O_WRONLY | O_CLOEXEC);
	_exit(fd < 0 || syncfs(fd));
}

/* Keeps the standard descriptors and the mountpoint's directory. */
static void close_the_rest(struct mount *m)
{
	if (m->place.dir != 3 && dup2(m->place.dir, 3) == 3)
		m->place.dir = 3;
	close_range(4, ~0U, 0);
}

pid_t mount_undo_start(struct mount *m, bool lazy)
{
	int lost = 0;

	m->undo = fork();
	if (m->undo > 0)
		return m->undo;
	if (m->undo < 0) {
		m->undo = 0;
		return -errno;
	}
	if (m->keeps_writes && !write_back(m))
		lost = MOUNT_LOST;
	/* The connection must not live on through this copy of it. */
	if (m->passed)
		_exit(passed_unmount(m, lazy) | lost);
	close_the_rest(m);
	_exit(unmount(m, lazy) | lost);
}

/* Pages that are mapped, or not written yet, stay. */
static int drop_cache(const char *via)
{
	int fd = open(via, O_RDONLY | O_CLOEXEC);

	if (fd < 0) /* by its mode it may be for writing only */
		fd = open(via, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? errno : posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int tell(const struct mount *m, uint64_t size, bool times, bool drop)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, m->mtime };
	int place = apart_open(m);
	char via[32];

	if (place < 0)
		return -place;
	if (truncate(apart_via(place, via), (off_t)size))
		return errno;
	if (times && utimensat(AT_FDCWD, via, ts, 0))
		return errno;
	return drop ? drop_cache(via) : 0;
}

pid_t mount_tell_start(struct mount *m, uint64_t size, bool times, bool drop)
{
	m->teller = fork();
	if (m->teller > 0)
		return m->teller;
	if (m->teller < 0) {
		m->teller = 0;
		return -errno;
	}
	_exit(tell(m, size, times, drop));
}

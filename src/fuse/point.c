/*
 * What a server that was killed leaves is a mount that says ENOTCONN. Whether it
 * is such a one, only a request tells. That may wait for a server that hangs,
 * so a child process makes it, which is left alone when time is up. For root,
 * the child becomes the user whose mount it is: no one else may look at it.
 *
 * The kernel aborts a connection when the last user of /dev/fuse has let go, and
 * io_uring lets go a little after its process has ended. Until then the request
 * waits; then it fails with ECONNABORTED.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/mount.h"
#include "fuse/mountinfo.h"
#include "fuse/point.h"
#include "fuse/unmount.h"
#include "loop/system.h"

#define ASK_MOST 10000 /* milliseconds */

unsigned int point_connection(const struct place *p)
{
	struct mountinfo info;

	return mountinfo_find(p->path, &info) && info.is_rawfuse ? info.minor
								 : 0;
}

static void become_owner(const struct place *p)
{
	struct mountinfo_fuse f;

	if (geteuid() || !mountinfo_fuse(point_connection(p), &f))
		return;
	free(f.path);
	if (setgroups(0, NULL) || setresgid(f.gid, f.gid, f.gid) ||
	    setresuid(f.uid, f.uid, f.uid))
		return; /* the answer will be EACCES */
}

/* Keeps nothing open of the caller's: it may hang. */
static _Noreturn void ask(const struct place *p, int to)
{
	struct statx stx;
	int err = 0;

	become_owner(p);
	if (dup2(p->dir, 0) != 0 || dup2(to, 1) != 1)
		_exit(1);
	close_range(2, ~0U, 0);
	if (statx(0, p->name, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC,
		  STATX_SIZE, &stx))
		err = errno;
	_exit(write(1, &err, sizeof(err)) != sizeof(err));
}

static enum point_state state_of(int err)
{
	switch (err) {
	case 0:
		return POINT_ALIVE;
	case ENOTCONN:
	case ECONNABORTED:
		return POINT_DEAD;
	default:
		return POINT_SILENT;
	}
}

enum point_state point_ask(const struct place *p)
{
	int fds[2], err = ETIMEDOUT;
	struct pollfd answer;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return POINT_SILENT;
	pid = fork();
	if (!pid)
		ask(p, fds[1]);
	close(fds[1]);
	answer = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	if (pid > 0 && poll(&answer, 1, ASK_MOST) == 1 &&
	    read(fds[0], &err, sizeof(err)) != sizeof(err))
		err = EIO;
	close(fds[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		/* One that hangs cannot be waited for: it ends when it can. */
		waitpid(pid, NULL, err == ETIMEDOUT ? WNOHANG : 0);
	}
	return state_of(err);
}

int point_unmount(const struct place *p, uint64_t id, bool lazy)
{
	struct mount m = { .fd = -1, .place = *p, .path = p->path };
	struct mountinfo info;
	int err;

	if (!mountinfo_find(p->path, &info) || !info.is_rawfuse)
		return EINVAL;
	m.connection = info.minor;
	m.old_id = info.id;
	m.id = id;
	err = unmount(&m, lazy);
	if (err == EPERM) {
		m.by_helper = true;
		err = unmount(&m, lazy);
	}
	return err;
}

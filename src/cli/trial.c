/*
 * --probe: a mount for trial. Whether a mount is permitted depends on
 * capabilities, namespaces, modes, fusermount3 and its configuration, filters;
 * only the attempt takes all of them into account. It goes to a file in a
 * directory that no other user can enter, and is gone before anybody is told of
 * it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/trial.h"
#include "fuse/mount.h"
#include "loop/log.h"

static void say_nothing(const char *line)
{
	(void)line;
}

/* A new directory, below the first that lets us; false if none does. */
static bool make_dir(char dir[64])
{
	static const char *const tops[] = { "/tmp", "/dev/shm", "/run",
					    "/var/tmp" };
	const char *top = getenv("XDG_RUNTIME_DIR");
	size_t i;

	if (top && strlen(top) < 32) {
		snprintf(dir, 64, "%s/rawfuse-probe.XXXXXX", top);
		if (mkdtemp(dir))
			return true;
	}
	for (i = 0; i < sizeof(tops) / sizeof(*tops); i++) {
		snprintf(dir, 64, "%s/rawfuse-probe.XXXXXX", tops[i]);
		if (mkdtemp(dir))
			return true;
	}
	return false;
}

static void read_init(struct trial *t, int fd)
{
	uint8_t buf[FUSE_MIN_PAYLOAD + 4096];

	if (read(fd, buf, sizeof(buf)) <
	    (ssize_t)(sizeof(struct fuse_in_header) + sizeof(t->init)))
		return;
	memcpy(&t->init, buf + sizeof(struct fuse_in_header), sizeof(t->init));
	t->has_init = true;
}

static void try_it(struct trial *t)
{
	struct mount_options mo = { .source = "rawfuse-probe" };
	char dir[64], point[80], *cut;
	struct mount m;

	if (!make_dir(dir)) {
		snprintf(t->why, sizeof(t->why),
			 "no directory to try it in: %s", strerror(errno));
		return;
	}
	snprintf(point, sizeof(point), "%s/disk", dir);
	mo.path = point;
	t->mounted = !mount_start(&m, &mo);
	if (t->mounted) {
		t->by_helper = m.by_helper;
		read_init(t, m.fd);
		close(m.fd);
		mount_finish(&m);
	} else {
		/* Without the name, which is of no use to anybody. */
		const char *why = strstr(log_last(), "mount: ");

		snprintf(t->why, sizeof(t->why), "%s",
			 why ? why + 7 : log_last());
		/* That is what runs now. */
		cut = strstr(t->why, MOUNT_SEE_PROBE);
		if (cut)
			*cut = 0;
	}
	rmdir(dir);
}

static _Noreturn void be_child(int fd)
{
	struct trial t = { .mounted = false };
	sigset_t all;

	/* Nothing is to be left behind. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	log_set_tap(say_nothing);
	if (!unshare(CLONE_NEWNS))
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	try_it(&t);
	_exit(write(fd, &t, sizeof(t)) != sizeof(t));
}

void trial_run(struct trial *t)
{
	int fds[2];
	pid_t pid;

	memset(t, 0, sizeof(*t));
	strcpy(t->why, "no process to try it");
	if (pipe2(fds, O_CLOEXEC))
		return;
	pid = fork();
	if (!pid)
		be_child(fds[1]);
	close(fds[1]);
	/* A pipe takes it whole. */
	if (pid > 0 && read(fds[0], t, sizeof(*t)) != sizeof(*t))
		memset(t, 0, sizeof(*t));
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

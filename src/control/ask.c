/*
 * Asks the rawfuse behind a mount, without ever being held up by it.
 *
 * Whoever opens a file of a server that hangs waits, and cannot even be killed
 * once the server has taken the request. So a child asks, and is left behind if
 * it has to be; it keeps nothing of the caller's open, who may wait for the end
 * of our output. One that asks again and again, as monitors do, must not fill
 * the system with such children: they carry the connection's number in their
 * name, and while there is one of this user's nobody starts another.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/ask.h"
#include "loop/system.h"

#define PAUSE 100 /* ms */
#define END_MOST 1000 /* ms, about, that a child may take to end */
#define NAME ASK_NAME

struct reply {
	int error;
	union answer answer;
};

long ask_waiting(unsigned int minor)
{
	char path[64], text[32];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/waiting",
		 minor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

static void name_of(char name[NAME], unsigned int minor)
{
	snprintf(name, NAME, "rawfuse?%u", minor);
}

char ask_state(long pid, char name[NAME])
{
	char path[64], text[256], *from, *end;
	size_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	file = pid > 0 ? fopen(path, "re") : NULL;
	if (file) {
		n = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	text[n] = 0;
	from = strchr(text, '(');
	end = strrchr(text, ')');
	if (!from || !end || end[1] != ' ')
		return 0;
	if (name)
		snprintf(name, NAME, "%.*s", (int)(end - from - 1), from + 1);
	return end[2];
}

/* Is a child of an earlier question left that still waits? */
static bool one_waits(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;
	struct stat st;
	char is[NAME], state;

	while (proc && !found && (e = readdir(proc))) {
		long pid = strtol(e->d_name, NULL, 10);

		state = ask_state(pid, is);
		found = state && state != 'Z' && state != 'X' &&
			!strcmp(is, name) &&
			!fstatat(dirfd(proc), e->d_name, &st, 0) &&
			st.st_uid == geteuid();
	}
	if (proc)
		closedir(proc);
	return found;
}

/*
 * By O_DIRECT, because the kernel makes an open that will use the page cache
 * wait for direct writes that are under way, which may hang.
 */
static int question(union answer *a, const struct place *p)
{
	int fd = place_file(p, O_RDONLY | O_DIRECT);

	if (fd == -EINVAL) /* passed through, and the image has none */
		fd = place_file(p, O_RDONLY);
	if (fd < 0)
		return fd;
	return ioctl(fd, ANSWER_IOCTL, a) ? -errno : 0;
}

/* Keeps the pipe, which becomes 0, and the mountpoint's directory. */
static _Noreturn void be_child(int out, struct place *p, const char *name)
{
	struct reply r = { .error = 0 };

	prctl(PR_SET_NAME, name);
	if (dup2(out, 0) != 0 || dup2(p->dir, 1) != 1)
		_exit(1);
	p->dir = 1;
	close_range(2, ~0U, 0);
	r.error = question(&r.answer, p);
	_exit(write(0, &r, sizeof(r)) != sizeof(r));
}

/* True once all of @r has come. */
static bool receive(int fd, struct reply *r, int64_t end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t n;

	while (used < sizeof(*r)) {
		int64_t left = (end - (int64_t)session_clock()) / 1000000;
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		n = read(fd, (char *)r + used, sizeof(*r) - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		used += (size_t)n;
	}
	return true;
}

/*
 * Until the child has ended it has the file open, and an umount that follows
 * would fail as busy. Closing the file is a request, too: it may take for ever.
 */
static void wait_end(pid_t pid)
{
	unsigned int i;

	for (i = 0; i < END_MOST && !waitpid(pid, NULL, WNOHANG); i++)
		poll(NULL, 0, 1);
}

int ask(union answer *a, const struct place *p, unsigned int minor)
{
	int64_t end = (int64_t)session_clock() + ASK_SECONDS * 1000000000ll;
	struct place place = *p;
	struct reply r;
	char name[NAME];
	int fds[2], ret;
	pid_t pid;

	name_of(name, minor);
	while (one_waits(name)) {
		if ((int64_t)session_clock() >= end)
			return -ETIME;
		poll(NULL, 0, PAUSE);
	}
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		be_child(fds[1], &place, name);
	ret = pid < 0 ? -errno : 0;
	close(fds[1]);
	if (!ret && !receive(fds[0], &r, end))
		ret = -ETIME;
	close(fds[0]);
	if (pid > 0) {
		if (!ret)
			wait_end(pid);
		/* It may not be able to end: nobody waits for that. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, WNOHANG);
	}
	if (ret || r.error)
		return ret ? ret : r.error;
	*a = r.answer;
	return answer_check(a) ? 0 : -EPROTO;
}

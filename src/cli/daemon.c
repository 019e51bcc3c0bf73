/*
 * Into the background, but not before the file can be used.
 *
 * Until then the two processes act as one. The process in front passes on a
 * signal that would end it, waits for the start to end, and ends by that signal;
 * if it is killed, the kernel signals the other one.
 *
 * They part in three steps, since either may be held up at any time: the child
 * is READY, the front process says GO unless a signal came before, the child
 * is not signalled any more and is GONE. A front process that has been killed
 * never says GO.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/daemon.h"
#include "control/notify.h"
#include "loop/log.h"

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define ENDING (sizeof(ending) / sizeof(*ending))

#define READY 'r'
#define GO 'g'
#define GONE 'e'

static volatile sig_atomic_t caught;

/* What the caller left open, beside the standard files. */
static int *inherited;
static size_t inherited_n;

void daemon_note_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int *more, fd;

	while (dir && (entry = readdir(dir))) {
		fd = atoi(entry->d_name);
		if (fd <= STDERR_FILENO || fd == dirfd(dir))
			continue;
		more = realloc(inherited, (inherited_n + 1) * sizeof(*more));
		if (!more)
			break;
		inherited = more;
		inherited[inherited_n++] = fd;
	}
	if (dir)
		closedir(dir);
}

bool daemon_own_file(int fd)
{
	size_t i;

	for (i = 0; i < inherited_n; i++) {
		if (inherited[i] != fd)
			continue;
		inherited[i] = inherited[--inherited_n];
		return true;
	}
	return false;
}

bool daemon_is_ignored(int signum)
{
	struct sigaction now;

	return !sigaction(signum, NULL, &now) && now.sa_handler == SIG_IGN;
}

static void catch_it(int signum)
{
	caught = signum;
}

static void block(sigset_t *old)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ENDING; i++)
		sigaddset(&set, ending[i]);
	sigprocmask(SIG_BLOCK, &set, old);
}

static void pass_on(pid_t child, int *told)
{
	if (caught && caught != *told) {
		*told = caught;
		kill(child, SIGTERM);
	}
}

/*
 * Waits until the child has gone its own way, or has ended: true in the first
 * case. A signal before that is passed on, as SIGTERM; then it has to end.
 */
static bool wait_for(pid_t child, int fd, const sigset_t *unblocked,
		     struct notify *n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int told = 0, got;
	sigset_t blocked;
	char byte;

	for (;;) {
		got = ppoll(&p, 1, NULL, unblocked);
		/* Where it has an answer, ppoll() leaves a signal pending. */
		sigprocmask(SIG_SETMASK, unblocked, &blocked);
		sigprocmask(SIG_SETMASK, &blocked, NULL);
		pass_on(child, &told);
		if (got < 0 && errno != EINTR)
			return false;
		if (got <= 0)
			continue;
		if (read(fd, &byte, 1) != 1)
			return false;
		if (byte == GONE)
			return true;
		/* It may be that only we are listened to, until that is said. */
		if (!told)
			notify_main_pid(n, child);
		byte = GO;
		if (!told && send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
			return false;
	}
}

static _Noreturn void be_front(pid_t child, int fd, const sigset_t *old,
			       struct notify *n)
{
	struct sigaction act = { .sa_handler = catch_it };
	int status;
	size_t i;

	for (i = 0; i < ENDING; i++)
		if (!daemon_is_ignored(ending[i]))
			sigaction(ending[i], &act, NULL);
	if (wait_for(child, fd, old, n) && !caught)
		_exit(EXIT_SUCCESS);
	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			_exit(EXIT_FAILURE);
	if (caught) {
		signal(caught, SIG_DFL);
		raise(caught);
		sigprocmask(SIG_SETMASK, old, NULL);
	}
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
						       : EXIT_FAILURE);
}

int daemon_fork(struct notify *n)
{
	pid_t front = getpid(), pid;
	sigset_t old;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		log_warn("background: socketpair");
		return -1;
	}
	block(&old);
	pid = fork();
	if (pid < 0) {
		log_warn("background: fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid) {
		close(fds[1]);
		be_front(pid, fds[0], &old, n);
	}
	close(fds[0]);
	setsid();
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (getppid() != front) /* it had ended before that */
		_exit(EXIT_FAILURE);
	return fds[1];
}

static bool tell(int fd, char byte)
{
	if (send(fd, &byte, 1, MSG_NOSIGNAL) == 1)
		return true;
	log_warn("background: telling the parent");
	return false;
}

bool daemon_ready(int fd)
{
	return tell(fd, READY);
}

static void leave_files(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t i;
	int to, most = log_keeps_stderr() ? STDERR_FILENO : STDERR_FILENO + 1;

	log_to_background();
	for (to = 0; null >= 0 && to < most; to++)
		dup2(null, to);
	if (null >= 0)
		close(null);
	for (i = 0; i < inherited_n; i++)
		close(inherited[i]);
	free(inherited);
	inherited = NULL;
	inherited_n = 0;
}

bool daemon_go(int fd)
{
	char byte;
	bool gone;

	if (recv(fd, &byte, 1, MSG_DONTWAIT) != 1)
		return false;
	if (chdir("/"))
		log_warn("background: chdir /");
	leave_files();
	prctl(PR_SET_PDEATHSIG, 0);
	gone = tell(fd, GONE);
	close(fd);
	return gone;
}

/*
 * fusermount3, for those who may not mount themselves. It is told in
 * _FUSE_COMMFD which socket it inherits, and sends the opened /dev/fuse
 * through it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/fdpass.h"
#include "fuse/helper.h"
#include "loop/log.h"

#define HELPER "fusermount3"

/* The source stands in an option list: its commas are escaped. */
static char *build_options(const struct mount_options *opt, bool others)
{
	char *security = mount_security(opt), *text = NULL, *to;
	const char *from;

	if (security)
		to = text = malloc(2 * strlen(opt->source) + strlen(security) +
				   128);
	if (!text) {
		free(security);
		return NULL;
	}
	to += sprintf(to,
		      "subtype=rawfuse,default_permissions%s%s%s%s,fsname=",
		      opt->flags & MS_NOEXEC ? ",noexec" : "",
		      opt->flags & MS_NOATIME ? ",noatime" : "",
		      others ? ",allow_other" : "", security);
	free(security);
	for (from = opt->source; *from; from++) {
		if (*from == ',' || *from == '\\')
			*to++ = '\\';
		*to++ = *from;
	}
	*to = 0;
	return text;
}

/* As any program may expect it: nothing held back or ignored. */
static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_helper(int sock, int err, const char *options, const char *path)
{
	char number[16];

	reset_signals();
	snprintf(number, sizeof(number), "%d", sock);
	setenv("_FUSE_COMMFD", number, 1);
	fcntl(sock, F_SETFD, 0);
	dup2(err, STDERR_FILENO);
	execlp(HELPER, HELPER, "-o", options, "--", path, (char *)NULL);
	_exit(127);
}

/* The first line of what it says, without its name. */
static void hear(int fd, char says[HELPER_SAYS])
{
	static const char name[] = HELPER ": ";
	size_t used = 0;
	ssize_t n;

	while (used < HELPER_SAYS - 1) {
		n = read(fd, says + used, HELPER_SAYS - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	says[used] = 0;
	says[strcspn(says, "\n")] = 0;
	if (!strncmp(says, name, sizeof(name) - 1))
		memmove(says, says + sizeof(name) - 1,
			strlen(says + sizeof(name) - 1) + 1);
}

/* Runs it between a socket and a pipe; returns what fdpass_receive() does. */
static int talk(const char *options, const char *path, const int sock[2],
		const int err[2], char says[HELPER_SAYS])
{
	pid_t pid = fork();
	int fd = -ENOMEM;
	char byte[2];

	if (!pid)
		run_helper(sock[0], err[1], options, path);
	close(sock[0]);
	close(err[1]);
	if (pid > 0) {
		fd = fdpass_receive(sock[1], byte, sizeof(byte));
		hear(err[0], says);
		waitpid(pid, NULL, 0);
	}
	close(sock[1]);
	close(err[0]);
	return fd;
}

int helper_mount(const struct mount_options *opt, const char *path, bool others,
		 char says[HELPER_SAYS])
{
	char *options = build_options(opt, others);
	int sock[2], err[2], fd = -ENOMEM;

	*says = 0;
	if (!options)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock)) {
		fd = -errno;
	} else if (pipe2(err, O_CLOEXEC)) {
		fd = -errno;
		close(sock[0]);
		close(sock[1]);
	} else {
		fd = talk(options, path, sock, err, says);
	}
	free(options);
	if (fd >= 0)
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	return fd;
}

int helper_umount(const char *path, bool lazy)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		reset_signals();
		execlp(HELPER, HELPER, lazy ? "-uqz" : "-uq", "--", path,
		       (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return ECHILD;
	/* It does not say why; busy is the one reason that can be cured. */
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : EBUSY;
}

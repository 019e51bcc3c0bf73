/* Into the background, but not before the file can be used. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/daemon.h"
#include "loop/log.h"

static void wait_and_exit(pid_t child, int fd)
{
	int status;
	char byte;
	ssize_t n;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_SUCCESS);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) :
					    EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

int daemon_fork(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		log_warn("background: pipe");
		return -1;
	}
	pid = fork();
	if (pid < 0) {
		log_warn("background: fork");
		return -1;
	}
	if (pid) {
		close(fds[1]);
		wait_and_exit(pid, fds[0]);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

void daemon_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int i;

	if (chdir("/"))
		log_warn("background: chdir /");
	log_to_syslog(true);
	for (i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	if (null >= 0)
		close(null);
	if (write(fd, "", 1) != 1)
		log_warn("background: telling the parent");
	close(fd);
}

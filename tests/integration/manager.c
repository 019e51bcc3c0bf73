/*
 * manager SOCKET [FILE]: a service manager's end of sd_notify(3). SOCKET is
 * made, or with '@' for a name that no file has. Each message becomes a line:
 * the sender's process, then what it said, with a blank for each newline. When
 * that is READY=1 and there is a FILE, one byte of it is read at once, and the
 * line ends in "readable", or in why it is not.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	if (len >= sizeof(at.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(at.sun_path, name, len);
	if (*name == '@')
		at.sun_path[0] = '\0';
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)))
		return -1;
	return fd;
}

static pid_t sender(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct ucred cred = { 0 };

	if (c && c->cmsg_type == SCM_CREDENTIALS)
		memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	return cred.pid;
}

static const char *look(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	char byte;
	ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);
	int err = errno;

	if (fd >= 0)
		close(fd);
	return n == 1 ? "readable" : n ? strerror(err) : "empty";
}

int main(int argc, char **argv)
{
	int fd = argc < 2 ? -1 : listen_at(argv[1]);

	if (fd < 0) {
		perror(argc < 2 ? "manager SOCKET [FILE]" : argv[1]);
		return EXIT_FAILURE;
	}
	setlinebuf(stdout);
	puts("listening");
	for (;;) {
		char text[4096], control[256], *c;
		struct iovec iov = { text, sizeof(text) - 1 };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(fd, &msg, 0);
		bool ready;

		if (n < 0) {
			perror("recvmsg");
			return EXIT_FAILURE;
		}
		text[n] = '\0';
		ready = !strncmp(text, "READY=1", 7) && argc > 2;
		for (c = text; *c; c++)
			if (*c == '\n')
				*c = ' ';
		printf("%ld %s%s%s\n", (long)sender(&msg), text,
		       ready ? " " : "", ready ? look(argv[2]) : "");
	}
}

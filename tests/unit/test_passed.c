/* Descriptors that are passed on: /dev/fd/N, and through a socket. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuse/fdpass.h"
#include "fuse/passed.h"
#include "suites.h"

static const struct {
	const char *path;
	int fd;
} numbers[] = {
	{ "/dev/fd/0", 0 },	   { "/dev/fd/3", 3 },
	{ "/dev/fd/1023", 1023 },  { "/dev/fd/999999", 999999 },
	{ "/dev/fd/", -1 },	   { "/dev/fd/x", -1 },
	{ "/dev/fd/3x", -1 },	   { "/dev/fd/3/", -1 },
	{ "/dev/fd/-3", -1 },	   { "/dev/fd/+3", -1 },
	{ "/dev/fd/ 3", -1 },	   { "dev/fd/3", -1 },
	{ "/dev//fd/3", -1 },	   { "", -1 },
	{ "/dev/fd/1000000", -1 }, { "/dev/fd/99999999999999999999", -1 },
};

START_TEST(number)
{
	ck_assert_int_eq(passed_number(numbers[_i].path), numbers[_i].fd);
}
END_TEST

static int sockets[2];

static void setup(void)
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
}

static void teardown(void)
{
	close(sockets[0]);
	close(sockets[1]);
}

/* The lowest number that is free: what was leaked makes it larger. */
static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

START_TEST(one)
{
	char text[8];
	int fds[2], got;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(fdpass_send(sockets[0], fds[1], "hello\n"), 0);
	got = fdpass_receive(sockets[1], text, sizeof(text));
	ck_assert_int_ge(got, 0);
	ck_assert_str_eq(text, "hello\n");
	ck_assert_int_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(got, "x", 1), 1);
	ck_assert_int_eq(read(fds[0], text, sizeof(text)), 1);
	close(got);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Text without a descriptor; the end; one that is longer than there is room. */
START_TEST(none)
{
	char text[4];

	ck_assert_int_eq(write(sockets[0], "ab", 2), 2);
	ck_assert_int_eq(fdpass_receive(sockets[1], text, sizeof(text)),
			 -EPROTO);
	ck_assert_str_eq(text, "ab");
	ck_assert_int_eq(write(sockets[0], "abcdef", 6), 6);
	ck_assert_int_eq(fdpass_receive(sockets[1], text, sizeof(text)),
			 -EPROTO);
	ck_assert_str_eq(text, "abc");
	shutdown(sockets[0], SHUT_WR);
	ck_assert_int_eq(fdpass_receive(sockets[1], text, sizeof(text)),
			 -EPROTO);
	ck_assert_str_eq(text, "def");
	ck_assert_int_eq(fdpass_receive(sockets[1], text, sizeof(text)),
			 -EPERM);
	ck_assert_str_eq(text, "");
}
END_TEST

/* More than one comes: the others are closed, also those there is no room for. */
START_TEST(many)
{
	static const int counts[] = { 2, 8, 20 };
	int fds[20], before, got, i, n = counts[_i];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control;
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen =
				      CMSG_SPACE((size_t)n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	char text[8];

	for (i = 0; i < n; i++)
		fds[i] = STDIN_FILENO;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	ck_assert_int_eq(sendmsg(sockets[0], &msg, 0), 1);
	before = next_fd();
	got = fdpass_receive(sockets[1], text, sizeof(text));
	ck_assert_int_eq(got, before);
	close(got);
	ck_assert_int_eq(next_fd(), before);
}
END_TEST

Suite *suite_passed(void)
{
	TCase *tc;
	Suite *s = suite_of("passed", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, number, 0, COUNT(numbers));
	tcase_add_test(tc, one);
	tcase_add_test(tc, none);
	tcase_add_loop_test(tc, many, 0, 3);
	return s;
}

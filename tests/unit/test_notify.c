/* What a service manager is told, over a socket of our own. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "capture.h"
#include "control/notify.h"
#include "suites.h"

static struct notify n;
static int manager = -1;
static char path[64], name[80];

/* Listens at a path, or with @abstract at a name that no file has. */
static void listen_at(bool abstract)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len;

	snprintf(path, sizeof(path), "/tmp/rawfuse-unit-notify.%ld",
		 (long)getpid());
	unlink(path);
	strcpy(at.sun_path + abstract, path);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			  strlen(path) + 1);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(manager, 0);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&at, len), 0);
	snprintf(name, sizeof(name), "%s%s", abstract ? "@" : "", path);
}

static void setup(void)
{
	capture_start();
	listen_at(false);
	notify_open(&n, name, NULL, NULL);
}

static void teardown(void)
{
	notify_close(&n);
	close(manager);
	unlink(path);
}

/* The next message; "" if there is none. */
static const char *heard(void)
{
	static char text[1024];
	ssize_t len = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[len < 0 ? 0 : len] = '\0';
	return text;
}

/* Fills the manager's queue; returns how many it took. */
static unsigned int stuff(void)
{
	unsigned int taken = 0;

	while (send(n.fd, "X", 1, MSG_DONTWAIT) == 1)
		taken++;
	ck_assert_int_eq(errno, EAGAIN);
	return taken;
}

START_TEST(what_is_said)
{
	const char *text;
	unsigned long long usec;

	notify_main_pid(&n, 4711);
	ck_assert_str_eq(heard(), "MAINPID=4711");
	notify_reloading(&n); /* not before it is ready */
	notify_reloaded(&n);
	ck_assert_str_eq(heard(), "");
	notify_ready(&n);
	ck_assert_str_eq(heard(), "READY=1");
	notify_alive(&n);
	ck_assert_str_eq(heard(), "WATCHDOG=1");
	notify_extend(&n, 30);
	ck_assert_str_eq(heard(), "EXTEND_TIMEOUT_USEC=30000000");
	notify_reloading(&n);
	text = heard();
	ck_assert_int_eq(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu",
				&usec),
			 1);
	ck_assert_uint_gt(usec, 0);
	notify_reloaded(&n);
	ck_assert_str_eq(heard(), "READY=1");
	notify_stopping(&n);
	ck_assert_str_eq(heard(), "STOPPING=1");
	notify_stopping(&n);
	notify_reloading(&n);
	notify_reloaded(&n);
	notify_ready(&n);
	ck_assert_str_eq(heard(), "");
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* A name must not end the line, nor begin another one. */
START_TEST(status_is_one_line)
{
	static char text[4000];

	notify_status(&n, "serves %s", "a\nREADY=1\n");
	ck_assert_str_eq(heard(), "STATUS=serves a\\x0aREADY=1\\x0a");
	memset(text, 'x', sizeof(text) - 1);
	notify_status(&n, "%s", text);
	ck_assert_uint_lt(strlen(n.status), NOTIFY_STATUS);
	ck_assert_uint_eq(strlen(heard()),
			  strlen("STATUS=") + strlen(n.status));
}
END_TEST

START_TEST(abstract_name)
{
	teardown();
	listen_at(true);
	notify_open(&n, name, NULL, NULL);
	notify_ready(&n);
	ck_assert_str_eq(heard(), "READY=1");
}
END_TEST

static unsigned int lefts;

static void left(void *arg)
{
	ck_assert_ptr_eq(arg, &lefts);
	lefts++;
}

/* State is kept, in order; signs of life are not; of lines the last one is. */
START_TEST(full_socket)
{
	unsigned int i, taken = stuff();

	lefts = 0;
	n.left = left;
	n.left_arg = &lefts;
	notify_ready(&n);
	notify_status(&n, "one");
	notify_status(&n, "two");
	notify_alive(&n);
	notify_reloading(&n); /* not while something waits */
	notify_reloaded(&n);
	notify_stopping(&n);
	ck_assert_uint_gt(lefts, 0);
	ck_assert(notify_flush(&n));
	for (i = 0; i < taken; i++)
		ck_assert_str_eq(heard(), "X");
	ck_assert_str_eq(heard(), "");
	ck_assert(!notify_flush(&n));
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert_str_eq(heard(), "STOPPING=1");
	ck_assert_str_eq(heard(), "STATUS=two");
	ck_assert_str_eq(heard(), "");
}
END_TEST

/* However much is said, it stays within its bounds. */
START_TEST(queue_is_bounded)
{
	unsigned int i, taken = stuff(), kept = 0;

	for (i = 0; i < 1000; i++)
		notify_main_pid(&n, 100000);
	ck_assert_uint_le(n.queued, NOTIFY_QUEUE);
	for (i = 0; i < taken; i++)
		heard();
	do {
		while (*heard())
			kept++;
	} while (notify_flush(&n));
	while (*heard())
		kept++;
	ck_assert_uint_eq(kept, NOTIFY_QUEUE / sizeof("MAINPID=100000"));
}
END_TEST

static const char *const bad[] = { "/tmp/rawfuse-unit/none", "relative", "@",
				   "/", "", "vsock:2:1234", NULL };

/* One line, and all goes on. */
START_TEST(bad_sockets)
{
	char text[300];

	notify_close(&n);
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	notify_open(&n, bad[_i] ? bad[_i] : text, "1000000", NULL);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count("NOTIFY_SOCKET: "), 1);
	ck_assert(n.set);
	ck_assert_uint_eq(n.watchdog, 0);
	notify_ready(&n);
	notify_status(&n, "x");
	notify_alive(&n);
	ck_assert(!notify_flush(&n));
	ck_assert_uint_eq(capture_lines(), 1);
}
END_TEST

/* Who listened goes away. */
START_TEST(lost_socket)
{
	notify_ready(&n);
	close(manager);
	notify_alive(&n);
	notify_alive(&n);
	notify_status(&n, "x");
	notify_stopping(&n);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count("NOTIFY_SOCKET"), 1);
	ck_assert_int_eq(n.fd, -1);
}
END_TEST

START_TEST(no_socket)
{
	notify_close(&n);
	notify_open(&n, NULL, "1000000", NULL);
	ck_assert(!n.set);
	ck_assert_uint_eq(n.watchdog, 0);
	notify_ready(&n);
	notify_stopping(&n);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

static const struct {
	const char *usec, *pid; /* pid "me": ours */
	uint64_t watchdog;
	unsigned int lines;
} watchdogs[] = {
	{ NULL, NULL, 0, 0 },
	{ "30000000", NULL, 30000000, 0 },
	{ "30000000", "me", 30000000, 0 },
	{ "30000000", "1", 0, 0 },
	{ "30000000", "x", 0, 0 },
	{ "30000000", "", 0, 0 },
	{ NULL, "me", 0, 0 },
	{ "", NULL, 0, 1 },
	{ "0", NULL, 0, 1 },
	{ "-1", NULL, 0, 1 },
	{ "1s", NULL, 0, 1 },
	{ " 1", NULL, 0, 1 },
	{ "99999999999999999999999999", NULL, 0, 1 },
};

START_TEST(watchdog_of_the_environment)
{
	const char *pid = watchdogs[_i].pid;
	char me[24];

	snprintf(me, sizeof(me), "%ld", (long)getpid());
	if (pid && !strcmp(pid, "me"))
		pid = me;
	notify_close(&n);
	setenv("NOTIFY_SOCKET", name, 1);
	if (watchdogs[_i].usec)
		setenv("WATCHDOG_USEC", watchdogs[_i].usec, 1);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	notify_open_environment(&n);
	ck_assert_uint_eq(n.watchdog, watchdogs[_i].watchdog);
	ck_assert_uint_eq(capture_lines(), watchdogs[_i].lines);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	ck_assert_ptr_null(getenv("WATCHDOG_PID"));
}
END_TEST

Suite *suite_notify(void)
{
	TCase *tc;
	Suite *s = suite_of("notify", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_said);
	tcase_add_test(tc, status_is_one_line);
	tcase_add_test(tc, abstract_name);
	tcase_add_test(tc, full_socket);
	tcase_add_test(tc, queue_is_bounded);
	tcase_add_loop_test(tc, bad_sockets, 0, COUNT(bad));
	tcase_add_test(tc, lost_socket);
	tcase_add_test(tc, no_socket);
	tcase_add_loop_test(tc, watchdog_of_the_environment, 0,
			    COUNT(watchdogs));
	return s;
}

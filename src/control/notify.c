/*
 * sd_notify(3), by hand: each message is a datagram of lines, NAME=VALUE, to the
 * socket that NOTIFY_SOCKET names.
 *
 * The socket is connected once, before anything is mounted: later there is no
 * way to it to be found, which might lead through a file system that waits for
 * us. Nothing here waits. What the manager must not miss (READY, RELOADING,
 * STOPPING) is kept if its socket is full, in the order in which it was said,
 * and tried again by whoever calls notify_flush(). A sign of life, and a line
 * for people, are only said while nothing is kept: there will be others. A
 * socket that fails in another way is given up, with one line in the log.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/notify.h"
#include "loop/log.h"
#include "loop/text.h"

void notify_none(struct notify *n)
{
	*n = (struct notify){ .fd = -1 };
}

/* A number above 0 and nothing else; 0: it is none. */
static uint64_t number(const char *text)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || *end ? 0 : value;
}

static void read_watchdog(struct notify *n, const char *usec, const char *pid)
{
	if (!usec || (pid && number(pid) != (uint64_t)getpid()))
		return; /* it is not us who is watched */
	n->watchdog = number(usec);
	if (!n->watchdog)
		log_warnx("WATCHDOG_USEC: '%s' is not a number of "
			  "microseconds: no watchdog is told",
			  usec);
}

static bool connect_to(struct notify *n, const char *name)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	if ((*name != '/' && *name != '@') || !name[1]) {
		errno = EAFNOSUPPORT;
		return false;
	}
	if (len >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(to.sun_path, name, len);
	if (*name == '@')
		to.sun_path[0] = '\0'; /* abstract: it ends with its length */
	else
		len++;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return n->fd >= 0 &&
	       !connect(n->fd, (struct sockaddr *)&to,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				    len));
}

static void give_up(struct notify *n, const char *name)
{
	log_warn("NOTIFY_SOCKET%s%s: nobody is told when the file can be used, "
		 "or how it goes on",
		 name ? ": " : "", name ? name : "");
	notify_close(n);
}

void notify_open(struct notify *n, const char *socket, const char *usec,
		 const char *pid)
{
	notify_none(n);
	if (!socket)
		return;
	n->set = true;
	if (!connect_to(n, socket))
		give_up(n, socket);
	else
		read_watchdog(n, usec, pid);
}

void notify_open_environment(struct notify *n)
{
	notify_open(n, getenv("NOTIFY_SOCKET"), getenv("WATCHDOG_USEC"),
		    getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
	n->queued = 0;
	n->watchdog = 0;
	n->status_due = false;
}

/* False: it is to be tried again. */
static bool put(struct notify *n, const char *text)
{
	ssize_t sent;

	do {
		sent = send(n->fd, text, strlen(text),
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	give_up(n, NULL);
	return true;
}

static bool put_queue(struct notify *n)
{
	size_t len;

	while (n->queued && put(n, n->queue)) {
		if (n->fd < 0)
			return true;
		len = strlen(n->queue) + 1;
		n->queued -= len;
		memmove(n->queue, n->queue + len, n->queued);
	}
	return !n->queued;
}

static bool is_left(struct notify *n)
{
	if (n->left)
		n->left(n->left_arg);
	return true;
}

bool notify_flush(struct notify *n)
{
	char text[NOTIFY_STATUS + 8];

	if (n->fd < 0)
		return false;
	if (!put_queue(n))
		return is_left(n);
	if (n->fd < 0 || !n->status_due)
		return false;
	snprintf(text, sizeof(text), "STATUS=%s", n->status);
	if (!put(n, text))
		return is_left(n);
	n->status_due = false;
	return false;
}

/* Must not be lost. */
static void say(struct notify *n, const char *text)
{
	size_t len = strlen(text) + 1;

	if (n->fd < 0)
		return;
	if (n->queued + len <= sizeof(n->queue)) {
		memcpy(n->queue + n->queued, text, len);
		n->queued += len;
	}
	notify_flush(n);
}

/* May be lost: it will be said again. */
static void mention(struct notify *n, const char *text)
{
	if (!notify_flush(n) && n->fd >= 0)
		put(n, text);
}

void notify_main_pid(struct notify *n, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "MAINPID=%ld", (long)pid);
	say(n, text);
}

void notify_ready(struct notify *n)
{
	if (n->stopping)
		return;
	n->ready = true;
	say(n, "READY=1");
}

/*
 * A manager that does not read gets no such message, lest there be room for
 * RELOADING and none for the READY that must follow.
 */
void notify_reloading(struct notify *n)
{
	struct timespec ts;
	char text[64];

	if (!n->ready || n->queued)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(text, sizeof(text),
		 "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
	n->reloading = true;
	say(n, text);
}

void notify_reloaded(struct notify *n)
{
	if (n->ready && n->reloading)
		say(n, "READY=1");
	n->reloading = false;
}

void notify_stopping(struct notify *n)
{
	if (!n->stopping)
		say(n, "STOPPING=1");
	n->ready = false;
	n->stopping = true;
}

void notify_alive(struct notify *n)
{
	mention(n, "WATCHDOG=1");
}

void notify_extend(struct notify *n, unsigned int seconds)
{
	char text[48];

	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%u000000", seconds);
	mention(n, text);
}

void notify_served(struct notify *n, const char *text)
{
	snprintf(n->served, sizeof(n->served), "%s", text);
	notify_again(n);
}

void notify_again(struct notify *n)
{
	if (n->ready)
		notify_status(n, "%s", n->served);
}

void notify_status(struct notify *n, const char *fmt, ...)
{
	char text[NOTIFY_STATUS];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_escape(n->status, sizeof(n->status), text);
	n->status_due = n->fd >= 0;
	notify_flush(n);
}

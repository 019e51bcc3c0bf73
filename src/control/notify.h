/* sd_notify(3), by hand: tells a service manager how we are. */
#ifndef RAWFUSE_CONTROL_NOTIFY_H
#define RAWFUSE_CONTROL_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NOTIFY_QUEUE 512u /* bytes of messages that must not be lost */
#define NOTIFY_STATUS 512u /* bytes of a line for people, at most */

struct notify {
	int fd; /* the socket, connected; -1: nobody is told */
	bool set; /* NOTIFY_SOCKET was there, good or bad */
	bool ready, stopping; /* was said */
	bool reloading; /* and READY is due */
	uint64_t watchdog; /* microseconds between signs of life; 0: none */
	/* Messages that the socket had no room for, each with its NUL. */
	char queue[NOTIFY_QUEUE];
	size_t queued;
	char status[NOTIFY_STATUS]; /* the line that was given last */
	char served[NOTIFY_STATUS]; /* notify_served()'s */
	bool status_due; /* and has not been sent */
	/* Called when something is left to be sent later; may be NULL. */
	void (*left)(void *arg);
	void *left_arg;
};

/*
 * What the environment says: @socket, @usec and @pid are the values of
 * NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, or NULL. A bad one costs a
 * line in the log and is as none.
 */
void notify_open(struct notify *n, const char *socket, const char *usec,
		 const char *pid);

/* The same of the environment itself, which no child shall see. */
void notify_open_environment(struct notify *n);
void notify_close(struct notify *n);

/* @n as one that tells nobody. */
void notify_none(struct notify *n);

/* The process that shall be looked at from now on is @pid. */
void notify_main_pid(struct notify *n, pid_t pid);

/* The file can be used. */
void notify_ready(struct notify *n);

/* Then: what may have changed outside is looked at; that is done. */
void notify_reloading(struct notify *n);
void notify_reloaded(struct notify *n);

/* The end begins; nothing of the above is said any more. */
void notify_stopping(struct notify *n);

/* A sign of life, for the watchdog. */
void notify_alive(struct notify *n);

/* Long work goes on: a start or a stop may take @seconds more, from now. */
void notify_extend(struct notify *n, unsigned int seconds);

/* A line for people; control characters are escaped. The last one counts. */
void notify_status(struct notify *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* While the file can be used, notify_served() is what all comes back to. */
void notify_served(struct notify *n, const char *text);
void notify_again(struct notify *n);

/* Tries again what could not be sent. True: something is left. */
bool notify_flush(struct notify *n);

#endif

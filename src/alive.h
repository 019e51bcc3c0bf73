/* Signs of life for a service manager, while the export is served. */
#ifndef RAWFUSE_ALIVE_H
#define RAWFUSE_ALIVE_H

#include "control/notify.h"
#include "fuse/session.h"

struct alive {
	struct loop *loop;
	const struct session *session;
	struct notify *notify;
	const char *path; /* of the mount, for messages */
	ev_timer beat; /* twice in each period of the watchdog */
	ev_timer retry; /* active while the manager's socket is full */
	bool late; /* a request is too old; said */
};

/* Prepares; from now on messages that did not go out are tried again. */
void alive_init(struct alive *a, struct session *s, struct notify *n,
		const char *path);

/* The file can be used: signs of life begin, if a watchdog wants them. */
void alive_start(struct alive *a);
void alive_stop(struct alive *a);

/*
 * Whether a request has been unanswered for so long that no sign of life is
 * due. What has been asked to empty a disk, and goes on with it, is not late.
 */
bool alive_is_late(const struct alive *a);

#endif

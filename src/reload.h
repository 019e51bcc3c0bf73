/* SIGHUP: what may have changed outside is looked at again. */
#ifndef RAWFUSE_RELOAD_H
#define RAWFUSE_RELOAD_H

#include "control/notify.h"
#include "fuse/session.h"

struct reload {
	struct session *session;
	struct notify *notify;
	const char *path; /* of the mount, for messages */
	uint64_t size; /* of the disk, when it was last told */
	bool busy, again;
};

void reload_init(struct reload *r, struct session *s, struct notify *n,
		 const char *path);

/* Begins; a service manager is told, and told when all is done. */
void reload_start(struct reload *r);

/* The look is over, or the kernel knows the size. */
void reload_go_on(struct reload *r);

#endif

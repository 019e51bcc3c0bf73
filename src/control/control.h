/* What an export tells of itself while it is served. */
#ifndef RAWFUSE_CONTROL_CONTROL_H
#define RAWFUSE_CONTROL_CONTROL_H

#include "control/answer.h"

struct control {
	struct served served;
	char *image; /* of served, if it is ours to free */
};

/*
 * Notes which image it is, as it was given: before the mount, which may hide
 * it. control_free() comes after the session is over.
 */
void control_init(struct control *c, const char *image);
void control_free(struct control *c);

/* From now on @s answers --status. */
void control_start(struct control *c, struct session *s);

#endif

/* The state that an export reports while it is served. */
#ifndef RAWFUSE_CONTROL_CONTROL_H
#define RAWFUSE_CONTROL_CONTROL_H

#include "control/answer.h"
#include "control/stats_file.h"

struct control {
	struct served served;
	char *image; /* of served, if it is ours to free */
	struct stats_file stats;
};

/*
 * Notes which image it is, as it was given, and the file for --stats (or NULL):
 * before the mount, which may hide them. 0 or -errno (logged). control_free()
 * comes after the session is over.
 */
int control_init(struct control *c, const char *image, const char *stats);
void control_free(struct control *c);

/* From now on @s answers --status, and the file is written. 0 or -errno. */
int control_start(struct control *c, struct session *s, const char *mountpoint);

/* The loop has ended, and the image is still open. */
void control_stop(struct control *c);

/* The image is closed, and all is @flushed, or not. The ring is still there. */
void control_end(struct control *c, bool flushed);

#endif

/* The mountpoint that was made here: an empty file, which goes in the end. */
#ifndef RAWFUSE_FUSE_MADE_H
#define RAWFUSE_FUSE_MADE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "fuse/place.h"

struct made {
	bool is_ours; /* the file is known by: */
	dev_t dev;
	ino_t ino;
};

/*
 * Creates an empty file at the place, and marks it. Returns a descriptor
 * (O_PATH) or -errno.
 */
int made_create(struct made *f, const struct place *p);

/*
 * Has an earlier run made the file that is open as @fd (O_PATH is enough), and
 * which @st describes? Then it is ours again.
 */
void made_recognise(struct made *f, int fd, const struct stat *st);

/*
 * Removes it from the place, if it was made here; never a file that somebody
 * else has mounted, filled, or put there.
 */
void made_remove(const struct made *f, const struct place *p);

#endif

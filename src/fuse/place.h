/* The mountpoint's place: a directory that is held, and a name in it. */
#ifndef RAWFUSE_FUSE_PLACE_H
#define RAWFUSE_FUSE_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

struct place {
	int dir; /* O_PATH; -1: there is none */
	char *path; /* absolute, free of links when it was opened */
	const char *name; /* the last part of it */
	bool linked; /* the last part as given was a link */
	bool strange; /* a link on the way is neither ours nor root's */
	bool mounted; /* a rawfuse mount is there; it was not touched */
};

#define PLACE_VIA 300 /* bytes for place_via() */

/*
 * Goes to @path, part by part, up to its last one, which need not exist.
 * Returns 0 or -errno; then @why is what to say, or NULL for the errno.
 */
int place_open(struct place *p, const char *path, const char **why);
void place_close(struct place *p);

/* Opens the file there, never through a link; a descriptor or -errno. */
int place_file(const struct place *p, int flags);

/*
 * May what others made in the directory @dir be relied on? In one that all may
 * write to (sticky) only the caller's and its owner's, as the kernel has it for
 * links. @st is that of what is there.
 */
bool place_trusted(int dir, const struct stat *st);

/* Another name for the same, which leads through the held directory. */
const char *place_via(const struct place *p, char via[PLACE_VIA]);

#endif

/* What is mounted where, without touching the mount. */
#ifndef RAWFUSE_FUSE_MOUNTINFO_H
#define RAWFUSE_FUSE_MOUNTINFO_H

#include <stdbool.h>

struct mountinfo {
	unsigned int minor; /* of the device: FUSE's connection number */
	bool is_rawfuse;
};

/*
 * Looks for the mount on top at @path (absolute); fills @info, which may be
 * NULL. False if nothing is mounted there.
 */
bool mountinfo_find(const char *path, struct mountinfo *info);

/* One line, cut into strings that are in it. */
struct mountinfo_line {
	const char *root; /* of the mount, in its file system */
	const char *point, *type, *super; /* super: the file system's options */
};

/* Cuts @line up. False if it is not what such lines are. */
bool mountinfo_split(char *line, struct mountinfo_line *m);

#endif

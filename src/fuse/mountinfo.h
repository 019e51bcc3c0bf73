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

#endif

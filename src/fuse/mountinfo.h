/* What is mounted where, without touching the mount. */
#ifndef RAWFUSE_FUSE_MOUNTINFO_H
#define RAWFUSE_FUSE_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

struct mountinfo {
	unsigned int minor; /* of the device: FUSE's connection number */
	bool is_rawfuse;
	unsigned int id; /* of the mount; the next one may get it again */
};

/*
 * Looks for the mount on top at @path (absolute); fills @info, which may be
 * NULL. False if nothing is mounted there.
 */
bool mountinfo_find(const char *path, struct mountinfo *info);

/*
 * The path of a rawfuse mount of the device 0:@minor: the @nth one, from 0 on,
 * of those whose mount ID is @id, or of all if that is 0. NULL if there is
 * none; to be freed.
 */
char *mountinfo_path(unsigned int minor, unsigned int id, unsigned int nth);

/* A mount of FUSE, as its options tell. */
struct mountinfo_fuse {
	char *path; /* of one of its mounts here; to be freed */
	uid_t uid; /* who may use it */
	gid_t gid;
	bool others; /* so may others */
};

/* Looks for a rawfuse mount of the device 0:@minor. False if there is none. */
bool mountinfo_fuse(unsigned int minor, struct mountinfo_fuse *f);

/* One line, cut into strings that are in it. */
struct mountinfo_line {
	const char *root; /* of the mount, in its file system */
	const char *point, *type, *super; /* super: the file system's options */
};

/* Cuts @line up. False if it is not what such lines are. */
bool mountinfo_split(char *line, struct mountinfo_line *m);

#endif

/* What this program does to the file it exports, as any user of it would. */
#ifndef RAWFUSE_FUSE_APART_H
#define RAWFUSE_FUSE_APART_H

#include <stdbool.h>

#include "fuse/mount.h"

/*
 * In a child process: goes to a mount namespace of its own, if that is
 * permitted, and opens the file there as a place and no more (O_PATH). All
 * other descriptors but the standard ones are closed. Returns the descriptor,
 * or -errno if the file is not mounted any more.
 */
int apart_open(const struct mount *m);

/* Another name for the file that is open as @fd, for calls that take one. */
const char *apart_via(int fd, char via[32]);

/* Is what is mounted at @name in @dir of the device 0:@minor? */
bool apart_is_device(int dir, const char *name, unsigned int minor);

#endif

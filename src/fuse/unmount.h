/* Finding and unmounting our mount, wherever it is by now. */
#ifndef RAWFUSE_FUSE_UNMOUNT_H
#define RAWFUSE_FUSE_UNMOUNT_H

#include "fuse/mount.h"

/*
 * The ID of what is mounted at @name in the directory @dir, or 0 if the kernel
 * has none that is never used again. Asks nobody who could be slow.
 */
uint64_t unmount_id(int dir, const char *name);

/*
 * Unmounts, and with it every other mount of the same file in this namespace.
 * Returns 0 or an errno, EINVAL if ours is not there any more. May wait.
 */
int unmount(const struct mount *m, bool lazy);

#endif

/* fusermount3, for those who may not mount themselves. */
#ifndef RAWFUSE_FUSE_HELPER_H
#define RAWFUSE_FUSE_HELPER_H

#include "fuse/mount.h"

#define HELPER_SAYS 256

/*
 * Mounts at @path; returns the opened /dev/fuse or -errno. Then @says is what
 * the helper says is wrong, one line without its name; empty if there is none.
 */
int helper_mount(const struct mount_options *opt, const char *path,
		 bool others, char says[HELPER_SAYS]);

/* Unmounts; returns 0 or an errno. Waits. */
int helper_umount(const char *path, bool lazy);

#endif

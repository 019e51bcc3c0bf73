/* fusermount3, for those who may not mount themselves. */
#ifndef RAWFUSE_FUSE_HELPER_H
#define RAWFUSE_FUSE_HELPER_H

#include "fuse/mount.h"

/*
 * Mounts at @path; returns the opened /dev/fuse or -errno. The helper says on
 * stderr what is wrong, unless @quiet.
 */
int helper_mount(const struct mount_options *opt, const char *path,
		 bool others, bool quiet);

/* Unmounts; returns 0 or an errno. Waits. */
int helper_umount(const char *path, bool lazy);

#endif

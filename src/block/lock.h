/* Image locks that QEMU's tools understand. */
#ifndef RAWFUSE_BLOCK_LOCK_H
#define RAWFUSE_BLOCK_LOCK_H

#include <stdbool.h>

/*
 * Locks the image @path, which is open as @like, against other users that do
 * not agree: a writer allows readers that allow writers, a reader allows only
 * readers. @lock_fd holds the locks until it is closed; it is -1 where the
 * file system has none. Returns 0 or -errno (logged).
 */
int lock_image(int like, const char *path, bool writer, int *lock_fd);

#endif

/* Image locks that QEMU's tools understand. */
#ifndef RAWFUSE_BLOCK_LOCK_H
#define RAWFUSE_BLOCK_LOCK_H

#include <stdbool.h>

/* One that is about to end is waited for, in all for a second. */
#define LOCK_TRIES 50
void lock_pause(void);

/*
 * Locks the image behind @fd against other users that do not agree: a writer
 * allows readers that allow writers, a reader allows only readers. Waits a
 * moment for one that is about to end. @path is for the message. Returns 0 or
 * -errno (logged). The locks go with the open file description.
 */
int lock_image(int fd, const char *path, bool writer);

/* Drops the locks taken through @fd. */
void lock_release(int fd);

#endif

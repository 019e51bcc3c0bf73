/* Who holds a lock on an image? */
#ifndef RAWFUSE_BLOCK_HOLDER_H
#define RAWFUSE_BLOCK_HOLDER_H

#include <sys/types.h>

#define HOLDER_TEXT 96 /* bytes */

/*
 * Finds a process that holds a lock in these bytes of the file @fd: @text is
 * then "process 12, qemu-io"; or how to find it, where the system does not say.
 */
void holder_find(int fd, off_t from, off_t length, char text[HOLDER_TEXT]);

#endif

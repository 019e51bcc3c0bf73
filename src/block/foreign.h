/* Formats that rawfuse does not read, and must not take for raw disks. */
#ifndef RAWFUSE_BLOCK_FOREIGN_H
#define RAWFUSE_BLOCK_FOREIGN_H

#include <stdbool.h>

/*
 * Does what @fd (a regular file or a block device) holds look like one of
 * them? Then one line, with @path, says which and what to do.
 */
bool foreign_refuses(int fd, const char *path);

#endif

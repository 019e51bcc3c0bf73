/* FUSE_INIT: what kernel and session agree on. */
#ifndef RAWFUSE_FUSE_INIT_H
#define RAWFUSE_FUSE_INIT_H

#include "fuse/request.h"

void init_handle(struct fuse_request *req);

/*
 * Why the kernel does not offer FUSE over io_uring: one clause for a message, or
 * NULL if it does. @command is what root can do about it, for a shell, or NULL.
 */
const char *init_why_no_uring(const char **command);

/* Can it be read in /sys whether the kernel has FUSE over io_uring? */
bool init_can_tell_uring(void);

#endif

/* FUSE_INIT: what kernel and session agree on. */
#ifndef RAWFUSE_FUSE_INIT_H
#define RAWFUSE_FUSE_INIT_H

#include "fuse/request.h"

void init_handle(struct fuse_request *req);

/*
 * Why the kernel does not offer FUSE over io_uring, and how to get it: one
 * clause for a message. For a kernel that does, NULL.
 */
const char *init_why_no_uring(void);

#endif

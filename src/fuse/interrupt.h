/* Callers that go away: what takes long for them ends. */
#ifndef RAWFUSE_FUSE_INTERRUPT_H
#define RAWFUSE_FUSE_INTERRUPT_H

#include "fuse/request.h"

/* @req may take long from now on. It may have been interrupted already. */
void interrupt_watch(struct fuse_request *req);

/* @req is about to be answered. */
void interrupt_forget(struct fuse_request *req);

/* An INTERRUPT of the request @unique, whether that is still here or not. */
void interrupt_by_number(struct session *s, uint64_t unique);

#endif

/* A disk of fixed size is emptied: all of it reads as zeros, its size stays. */
#ifndef RAWFUSE_FUSE_EMPTY_H
#define RAWFUSE_FUSE_EMPTY_H

#include "fuse/request.h"

/*
 * Empties the disk, in steps; then @done gets req->io with result 0 or -errno.
 * Uses the request's payload. What failed half-way may be zeros in part.
 */
void empty_start(struct fuse_request *req,
		 void (*done)(struct block_req *io));

/* May the disk be cut to @size: is all behind it known to be zeros? */
bool empty_behind(const struct session *s, uint64_t size);

/* Data is written up to @end. */
void empty_note_write(struct session *s, uint64_t end);

#endif

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

enum empty_cut {
	EMPTY_REFUSE, /* there is data behind it, or may be */
	EMPTY_NOTHING, /* all behind it is zeros */
	EMPTY_KEPT, /* in the image; what the kernel keeps is the caller's */
};

/* The disk is to be cut to @size; @by_handle: one that is open for writing. */
enum empty_cut empty_cut(const struct session *s, uint64_t size,
			 bool by_handle);

/* Data is written up to @end. */
void empty_note_write(struct session *s, uint64_t end);

#endif

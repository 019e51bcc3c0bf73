/*
 * The kernel's part in requests whose bytes are not where the program may look
 * (zero-copy), played behind the hook of an emulated ring: slots of a table of
 * registered buffers, which READ_FIXED and WRITE_FIXED reach. Copies may be
 * short, come in vain (EAGAIN), or fail as memdisk's I/Os do.
 */
#ifndef RAWFUSE_TESTS_UNSEEN_H
#define RAWFUSE_TESTS_UNSEEN_H

#include "block/block.h"

#define UNSEEN_SLOTS 64

/* What it has done, and what it was asked to do wrongly. */
extern struct unseen_stats {
	uint64_t copies, refused, wrong;
} unseen_stats;

/*
 * Puts it behind @u, which is emulated, and gives the areas for bouncing of
 * requests of up to @most bytes; the caller sets opt->bounce to them.
 */
struct bounce *unseen_attach(struct uring *u, size_t most, uint64_t seed);
void unseen_detach(struct bounce *bo);

/*
 * Lends slot @i memory for a request of @type. With @address its bytes have
 * one, as in a registered pool; else they begin at 0. Fills in req->buf,
 * req->fixed and req->unseen.
 */
void unseen_lend(unsigned int i, struct block_req *req, void *memory,
		 bool address);
void unseen_take_back(unsigned int i);

/*
 * For drivers in memory: where the @len bytes from the beginning of @req, which
 * is fixed, are. NULL, and it is noted, if they are not there.
 */
uint8_t *unseen_bytes(const struct block_req *req, uint64_t len);

#endif

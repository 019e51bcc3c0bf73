/*
 * Memory for requests whose bytes are out of sight: with zero-copy the data
 * is in a registered buffer of the kernel's that has no address. Who must see
 * it (or put zeros there) works in an area of a memfd instead, and the ring
 * copies between the two.
 */
#ifndef RAWFUSE_BLOCK_BOUNCE_H
#define RAWFUSE_BLOCK_BOUNCE_H

#include <stddef.h>
#include <stdint.h>

#define BOUNCE_AREAS 8 /* of the size that bounce_open() is given */

struct block_req;
struct bounce;
struct uring;

/* Costs next to nothing until bounce_open(). NULL if out of memory. */
struct bounce *bounce_new(struct uring *u);
void bounce_free(struct bounce *bo);

/* Makes areas of @size bytes; once. Returns 0 or -errno (nothing is logged). */
int bounce_open(struct bounce *bo, size_t size);

/* Behind block_bounce(): gives @req an area, when one is free. */
void bounce_start(struct bounce *bo, struct block_req *req);

/*
 * For block_complete(): @req is over with @result. True if its bytes must be
 * copied first: block_complete() is then called again.
 */
int bounce_finish(struct block_req *req, int64_t result);

/* Gives memory back if no area is in use. */
void bounce_trim(struct bounce *bo);

/* How many requests had an area so far. */
uint64_t bounce_count(const struct bounce *bo);

#endif

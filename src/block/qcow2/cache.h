/* Slices of L2 tables and of refcount blocks; see cache.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_CACHE_H
#define RAWFUSE_BLOCK_QCOW2_CACHE_H

#include "block/qcow2/job.h"

struct qcow2_cache;

/* A piece of an L2 table or a refcount block, q->slice_size bytes. */
struct qcow2_slice {
	uint8_t *data; /* as on disk */
};

/*
 * @pressure is called when too many slices are dirty: it begins a writeback
 * unless one is under way, and, if it is not a @must, unless the last one
 * failed. NULL: nothing is ever dirty. Sets q->slice_size. NULL: no memory.
 */
struct qcow2_cache *
qcow2_cache_new(struct qcow2 *q, const char *what, uint64_t bytes,
		void (*pressure)(struct qcow2 *q, bool must));
void qcow2_cache_free(struct qcow2_cache *c); /* may be NULL */

/* 0: *@slice may be looked at until the step ends; or QCOW2_WAIT, -errno. */
int qcow2_slice_get(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_job *job, struct qcow2_slice **slice);
/* What is there without waiting; or NULL. */
const struct qcow2_slice *qcow2_slice_peek(const struct qcow2_cache *c,
					   uint64_t offset);
/* The same as get for one that is to be changed; then call qcow2_slice_dirty(). */
int qcow2_slice_get_writable(struct qcow2_cache *c, uint64_t offset,
			     struct qcow2_job *job, struct qcow2_slice **slice);
void qcow2_slice_dirty(struct qcow2_slice *s);
/* What is cached of these bytes is forgotten; it must not be dirty. */
void qcow2_cache_drop(struct qcow2_cache *c, uint64_t offset, uint64_t length);

/*
 * A writeback: what is dirty is frozen (who wants to change it waits), then
 * written, each slice ending in one call of @over; at the end all is settled,
 * with the error of the writeback, which leaves it dirty.
 */
void qcow2_cache_freeze(struct qcow2_cache *c);
/* Returns how many there are. None ends before. */
unsigned int qcow2_cache_frozen(const struct qcow2_cache *c);
void qcow2_cache_write(struct qcow2_cache *c,
		       void (*over)(struct qcow2 *q, int error));
void qcow2_cache_settle(struct qcow2_cache *c, int error);

unsigned int qcow2_cache_dirty(const struct qcow2_cache *c); /* slices */
/* Slices are being read. */
bool qcow2_cache_busy(const struct qcow2_cache *c);
void qcow2_cache_count(const struct qcow2_cache *c, struct block_counters *n);

#endif

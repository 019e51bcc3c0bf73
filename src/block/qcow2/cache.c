/*
 * Slices of tables, least recently used out first. Two caches: of the L2
 * tables and of the refcount blocks. A slice is 4 KiB (or the cluster, if that
 * is smaller) wherever the table has 2 MiB, so a cache of a few hundred KiB
 * serves any image.
 *
 * What may not be evicted: a slice that is being loaded, is dirty, belongs to
 * the writeback under way (which may fail), or was loaded for jobs that have
 * not looked at it yet (fresh), else many jobs and few slices could load and
 * evict for ever. These jobs are posted when it is there, and behind them an op
 * of the slice, which ends that. When nothing may be evicted the job waits.
 *
 * A share of the slices is never dirty, so a job that only looks waits for what
 * ends by itself, and cannot fail because a writeback does. Who wants to change
 * one slice too many waits for a writeback, and gets its error.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define SLICE 4096u
#define MIN_SLICES 8u
#define MAX_SLICES 4096u
#define CLEAN_SHARE 8u /* one in so many, and one more, is never dirty */

static unsigned int bucket_of(const struct qcow2_cache *c, uint64_t offset)
{
	uint64_t n = offset / c->slice_size * 0x9e3779b97f4a7c15ULL;

	return (unsigned int)(n >> 40) & (c->buckets - 1);
}

static void lru_add(struct qcow2_cache *c, struct qcow2_slice *s)
{
	s->newer = NULL;
	s->older = c->newest;
	if (c->newest)
		c->newest->newer = s;
	else
		c->oldest = s;
	c->newest = s;
}

static void lru_remove(struct qcow2_cache *c, struct qcow2_slice *s)
{
	if (s->newer)
		s->newer->older = s->older;
	else
		c->newest = s->older;
	if (s->older)
		s->older->newer = s->newer;
	else
		c->oldest = s->newer;
}

int qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *c, const char *what,
		     uint64_t bytes)
{
	unsigned int i;

	c->q = q;
	c->what = what;
	c->slice_size =
		q->geo.cluster_size < SLICE ? q->geo.cluster_size : SLICE;
	bytes = qcow2_min(bytes / c->slice_size, MAX_SLICES);
	c->count = bytes < MIN_SLICES ? MIN_SLICES : (unsigned int)bytes;
	for (c->buckets = 1; c->buckets < c->count;)
		c->buckets *= 2;
	c->slices = calloc(c->count, sizeof(*c->slices));
	c->hash = calloc(c->buckets, sizeof(*c->hash));
	c->memory = aligned_alloc(
		4096, qcow2_round_up((uint64_t)c->count * c->slice_size, 4096));
	if (!c->slices || !c->hash || !c->memory)
		return -ENOMEM;
	for (i = 0; i < c->count; i++) {
		c->slices[i].cache = c;
		c->slices[i].data = c->memory + (size_t)i * c->slice_size;
		lru_add(c, &c->slices[i]);
	}
	return 0;
}

void qcow2_cache_free(struct qcow2_cache *c)
{
	free(c->slices);
	free(c->hash);
	free(c->memory);
}

static struct qcow2_slice *find(const struct qcow2_cache *c, uint64_t offset)
{
	struct qcow2_slice *s = c->hash[bucket_of(c, offset)];

	while (s && s->offset != offset)
		s = s->hash_next;
	return s;
}

static void forget(struct qcow2_cache *c, struct qcow2_slice *s)
{
	struct qcow2_slice **at = &c->hash[bucket_of(c, s->offset)];

	if (!s->offset)
		return;
	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	s->offset = 0;
}

static void looked_at(struct op *op, int res, unsigned int flags)
{
	struct qcow2_slice *s = container_of(op, struct qcow2_slice, op);

	(void)res;
	(void)flags;
	s->fresh = false;
	s->cache->unsettled--;
	qcow2_wake(&s->cache->no_room, 0);
}

static void loaded(struct block_req *io)
{
	struct qcow2_slice *s = container_of(io, struct qcow2_slice, io);
	struct qcow2_cache *c = s->cache;
	int error = qcow2_pad(c->q, s->data, c->slice_size, s->offset,
			      io->result, s->file_end);

	s->loading = false;
	if (error && io->result >= 0)
		log_limited("%s: qcow2: the %s at 0x%" PRIx64 " reaches past "
			    "the end of the file: %s",
			    c->q->b->opt.path, c->what, s->offset,
			    qcow2_why_outside(c->q, s->offset));
	if (error)
		forget(c, s);
	s->fresh = true;
	qcow2_wake(&s->waiters, error);
	s->op.done = looked_at;
	uring_post(c->q->b->uring, &s->op, 0);
}

/* Its memory is not free for another one before a writeback has ended well. */
static bool is_bound(const struct qcow2_slice *s)
{
	return s->dirty || s->in_writeback;
}

static struct qcow2_slice *victim(struct qcow2_cache *c)
{
	struct qcow2_slice *s;

	for (s = c->oldest; s; s = s->newer)
		if (!s->loading && !is_bound(s) && !s->fresh)
			return s;
	return NULL;
}

static bool too_dirty(const struct qcow2_cache *c)
{
	return c->bound + c->count / CLEAN_SHARE + 1 >= c->count;
}

static int load(struct qcow2_cache *c, uint64_t offset, struct qcow2_job *job)
{
	struct qcow2_slice *s = victim(c);
	unsigned int i = bucket_of(c, offset);

	/* Much dirt leaves little to read with; if it cannot go, it stays. */
	if (too_dirty(c) && !c->q->wb.busy && !c->q->wb.error)
		qcow2_writeback(c->q, NULL);
	if (!s)
		return qcow2_wait(&c->no_room, job);
	forget(c, s);
	s->offset = offset;
	s->hash_next = c->hash[i];
	c->hash[i] = s;
	lru_remove(c, s);
	lru_add(c, s);
	s->loading = true;
	c->misses++;
	c->unsettled++;
	s->io = (struct block_req){ .type = BLOCK_READ,
				    .offset = offset,
				    .length = c->slice_size,
				    .buf = s->data,
				    .done = loaded };
	s->file_end = c->q->file->size;
	qcow2_wait(&s->waiters, job);
	block_submit(c->q->file, &s->io);
	return QCOW2_WAIT;
}

int qcow2_slice_get(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_job *job, struct qcow2_slice **slice)
{
	struct qcow2_slice *s = find(c, offset);

	if (!s)
		return load(c, offset, job);
	if (s->loading)
		return qcow2_wait(&s->waiters, job);
	if (c->newest != s) {
		lru_remove(c, s);
		lru_add(c, s);
	}
	c->hits += !s->fresh; /* or it may be the one that missed it */
	*slice = s;
	return 0;
}

const struct qcow2_slice *qcow2_slice_peek(const struct qcow2_cache *c,
					   uint64_t offset)
{
	const struct qcow2_slice *s = find(c, offset);

	return s && !s->loading ? s : NULL;
}

int qcow2_slice_get_writable(struct qcow2_cache *c, uint64_t offset,
			     struct qcow2_job *job, struct qcow2_slice **slice)
{
	int ret = qcow2_slice_get(c, offset, job, slice);

	if (ret)
		return ret;
	/* A device that ends within the table has no room for the rest. */
	if (!c->q->file->opt.growable &&
	    offset + c->slice_size > c->q->file->size)
		return -ENOSPC;
	if ((*slice)->frozen)
		return qcow2_wait(&(*slice)->waiters, job);
	if (is_bound(*slice) || !too_dirty(c))
		return 0;
	if (c->q->corrupt) /* for ever */
		return -EIO;
	/* First of all wait: a writeback may end, and wake, at once. */
	qcow2_wait(&c->too_dirty, job);
	if (!c->q->wb.busy)
		qcow2_writeback(c->q, NULL);
	return QCOW2_WAIT;
}

void qcow2_slice_dirty(struct qcow2_slice *s)
{
	s->cache->bound += !is_bound(s);
	s->cache->dirty += !s->dirty;
	s->dirty = true;
}

void qcow2_slice_settle(struct qcow2_slice *s, int error)
{
	if (error)
		qcow2_slice_dirty(s);
	s->in_writeback = false;
	s->cache->bound -= !s->dirty;
}

void qcow2_slice_clean(struct qcow2_slice *s)
{
	s->cache->dirty -= s->dirty;
	s->dirty = false;
}

void qcow2_cache_drop(struct qcow2_cache *c, uint64_t offset, uint64_t length)
{
	unsigned int i;

	for (i = 0; i < c->count; i++) {
		struct qcow2_slice *s = &c->slices[i];

		if (s->offset >= offset && s->offset < offset + length &&
		    s->offset && !s->loading && !is_bound(s))
			forget(c, s);
	}
}

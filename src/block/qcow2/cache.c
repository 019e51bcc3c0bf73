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

#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "loop/log.h"

#define SLICE 4096u
#define MIN_SLICES 8u
#define MAX_SLICES 4096u
#define CLEAN_SHARE 8u /* one in so many, and one more, is never dirty */

struct slice {
	struct qcow2_slice s; /* what others see */
	struct qcow2_cache *cache;
	uint64_t offset; /* in the file; 0: nothing */
	uint64_t file_end; /* when it was loaded */
	struct slice *hash_next;
	struct slice *newer, *older;
	bool loading;
	bool fresh; /* loaded for jobs that have not looked at it yet */
	struct op op; /* behind them */
	bool dirty;
	bool frozen; /* a writeback has yet to write it: do not change it */
	bool in_writeback; /* until that ends; it might fail */
	struct qcow2_queue waiters; /* for loading or frozen to end */
	struct block_req io;
};

struct qcow2_cache {
	struct qcow2 *q;
	const char *what; /* "L2 table" */
	void (*pressure)(struct qcow2 *q, bool must);
	unsigned int count, buckets;
	unsigned int dirty; /* how many are */
	unsigned int bound; /* dirty, or in a writeback */
	unsigned int unsettled; /* loading or fresh */
	void (*over)(struct qcow2 *q, int error); /* a slice is written */
	uint64_t hits, misses;
	struct slice *slices;
	struct slice **hash;
	struct slice *newest, *oldest;
	uint8_t *memory;
	struct qcow2_queue no_room; /* to look at another slice */
	struct qcow2_queue too_dirty; /* to change another one */
};

static struct slice *slice_of(struct qcow2_slice *s)
{
	return container_of(s, struct slice, s);
}

static unsigned int bucket_of(const struct qcow2_cache *c, uint64_t offset)
{
	uint64_t n = offset / c->q->slice_size * 0x9e3779b97f4a7c15ULL;

	return (unsigned int)(n >> 40) & (c->buckets - 1);
}

static void lru_add(struct qcow2_cache *c, struct slice *s)
{
	s->newer = NULL;
	s->older = c->newest;
	if (c->newest)
		c->newest->newer = s;
	else
		c->oldest = s;
	c->newest = s;
}

static void lru_remove(struct qcow2_cache *c, struct slice *s)
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

struct qcow2_cache *
qcow2_cache_new(struct qcow2 *q, const char *what, uint64_t bytes,
		void (*pressure)(struct qcow2 *q, bool must))
{
	struct qcow2_cache *c = calloc(1, sizeof(*c));
	unsigned int i;

	if (!c)
		return NULL;
	c->q = q;
	c->what = what;
	c->pressure = pressure;
	q->slice_size = (uint32_t)qcow2_min(q->geo.cluster_size, SLICE);
	bytes = qcow2_min(bytes / q->slice_size, MAX_SLICES);
	c->count = bytes < MIN_SLICES ? MIN_SLICES : (unsigned int)bytes;
	for (c->buckets = 1; c->buckets < c->count;)
		c->buckets *= 2;
	c->slices = calloc(c->count, sizeof(*c->slices));
	c->hash = calloc(c->buckets, sizeof(*c->hash));
	c->memory = aligned_alloc(
		4096, qcow2_round_up((uint64_t)c->count * q->slice_size, 4096));
	if (!c->slices || !c->hash || !c->memory) {
		qcow2_cache_free(c);
		return NULL;
	}
	for (i = 0; i < c->count; i++) {
		c->slices[i].cache = c;
		c->slices[i].s.data = c->memory + (size_t)i * q->slice_size;
		lru_add(c, &c->slices[i]);
	}
	return c;
}

void qcow2_cache_free(struct qcow2_cache *c)
{
	if (!c)
		return;
	free(c->slices);
	free(c->hash);
	free(c->memory);
	free(c);
}

static struct slice *find(const struct qcow2_cache *c, uint64_t offset)
{
	struct slice *s = c->hash[bucket_of(c, offset)];

	while (s && s->offset != offset)
		s = s->hash_next;
	return s;
}

static void forget(struct qcow2_cache *c, struct slice *s)
{
	struct slice **at = &c->hash[bucket_of(c, s->offset)];

	if (!s->offset)
		return;
	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	s->offset = 0;
}

static void looked_at(struct op *op, int res, unsigned int flags)
{
	struct slice *s = container_of(op, struct slice, op);

	(void)res;
	(void)flags;
	s->fresh = false;
	s->cache->unsettled--;
	qcow2_wake(&s->cache->no_room, 0);
}

static void loaded(struct block_req *io)
{
	struct slice *s = container_of(io, struct slice, io);
	struct qcow2_cache *c = s->cache;
	int error = qcow2_pad(c->q, s->s.data, c->q->slice_size, s->offset,
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
static bool is_bound(const struct slice *s)
{
	return s->dirty || s->in_writeback;
}

static struct slice *victim(struct qcow2_cache *c)
{
	struct slice *s;

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
	struct slice *s = victim(c);
	unsigned int i = bucket_of(c, offset);

	/* Much dirt leaves little to read with; if it cannot go, it stays. */
	if (too_dirty(c) && c->pressure)
		c->pressure(c->q, false);
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
				    .length = c->q->slice_size,
				    .buf = s->s.data,
				    .done = loaded };
	s->file_end = c->q->file->size;
	qcow2_wait(&s->waiters, job);
	block_submit(c->q->file, &s->io);
	return QCOW2_WAIT;
}

int qcow2_slice_get(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_job *job, struct qcow2_slice **slice)
{
	struct slice *s = find(c, offset);

	if (!s)
		return load(c, offset, job);
	if (s->loading)
		return qcow2_wait(&s->waiters, job);
	if (c->newest != s) {
		lru_remove(c, s);
		lru_add(c, s);
	}
	c->hits += !s->fresh; /* or it may be the one that missed it */
	*slice = &s->s;
	return 0;
}

const struct qcow2_slice *qcow2_slice_peek(const struct qcow2_cache *c,
					   uint64_t offset)
{
	const struct slice *s = find(c, offset);

	return s && !s->loading ? &s->s : NULL;
}

int qcow2_slice_get_writable(struct qcow2_cache *c, uint64_t offset,
			     struct qcow2_job *job, struct qcow2_slice **slice)
{
	int ret = qcow2_slice_get(c, offset, job, slice);
	struct slice *s;

	if (ret)
		return ret;
	s = slice_of(*slice);
	/* A device that ends within the table has no room for the rest. */
	if (!c->q->file->opt.growable &&
	    offset + c->q->slice_size > c->q->file->size)
		return -ENOSPC;
	if (s->frozen)
		return qcow2_wait(&s->waiters, job);
	if (is_bound(s) || !too_dirty(c))
		return 0;
	if (c->q->corrupt) /* for ever */
		return -EIO;
	/* First of all wait: a writeback may end, and wake, at once. */
	qcow2_wait(&c->too_dirty, job);
	c->pressure(c->q, true);
	return QCOW2_WAIT;
}

static void make_dirty(struct slice *s)
{
	s->cache->bound += !is_bound(s);
	s->cache->dirty += !s->dirty;
	s->dirty = true;
}

void qcow2_slice_dirty(struct qcow2_slice *s)
{
	make_dirty(slice_of(s));
}

void qcow2_cache_drop(struct qcow2_cache *c, uint64_t offset, uint64_t length)
{
	unsigned int i;

	for (i = 0; i < c->count; i++) {
		struct slice *s = &c->slices[i];

		if (s->offset >= offset && s->offset < offset + length &&
		    s->offset && !s->loading && !is_bound(s))
			forget(c, s);
	}
}

void qcow2_cache_freeze(struct qcow2_cache *c)
{
	unsigned int i;

	for (i = 0; i < c->count; i++)
		if (c->slices[i].dirty)
			c->slices[i].frozen = c->slices[i].in_writeback = true;
}

unsigned int qcow2_cache_frozen(const struct qcow2_cache *c)
{
	unsigned int i, n = 0;

	for (i = 0; i < c->count; i++)
		n += c->slices[i].frozen;
	return n;
}

static void written(struct block_req *io)
{
	struct slice *s = container_of(io, struct slice, io);

	s->frozen = false;
	qcow2_wake(&s->waiters, 0);
	s->cache->over(s->cache->q, qcow2_io_error(io));
}

void qcow2_cache_write(struct qcow2_cache *c,
		       void (*over)(struct qcow2 *q, int error))
{
	unsigned int i;

	c->over = over;
	for (i = 0; i < c->count; i++) {
		struct slice *s = &c->slices[i];

		if (!s->frozen)
			continue;
		c->dirty--;
		s->dirty = false;
		s->io = (struct block_req){ .type = BLOCK_WRITE,
					    .offset = s->offset,
					    .length = c->q->slice_size,
					    .buf = s->s.data,
					    .done = written };
		block_submit(c->q->file, &s->io);
	}
}

static void settle(struct slice *s, int error)
{
	if (error)
		make_dirty(s);
	s->in_writeback = false;
	s->cache->bound -= !s->dirty;
	if (!s->frozen)
		return;
	s->frozen = false;
	qcow2_wake(&s->waiters, 0);
}

void qcow2_cache_settle(struct qcow2_cache *c, int error)
{
	unsigned int i;

	for (i = 0; i < c->count; i++)
		if (c->slices[i].in_writeback)
			settle(&c->slices[i], error);
	qcow2_wake(&c->no_room, 0);
	qcow2_wake(&c->too_dirty, error);
}

unsigned int qcow2_cache_dirty(const struct qcow2_cache *c)
{
	return c->dirty;
}

bool qcow2_cache_busy(const struct qcow2_cache *c)
{
	return c->unsettled;
}

void qcow2_cache_count(const struct qcow2_cache *c, struct block_counters *n)
{
	n->hits += c->hits;
	n->misses += c->misses;
	n->dirty += (uint64_t)c->dirty * c->q->slice_size;
}

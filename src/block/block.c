/*
 * The choke point of the block layer: every request of every node passes here
 * on its way in (range, permission) and on its way out (one completion, a
 * length that makes sense).
 *
 * Order. Requests run beside one another, with two exceptions:
 * - A TRUNCATE runs alone: it waits until nothing is in flight, and what
 *   comes after it waits for it.
 * - With O_DIRECT a modification that is not aligned goes through the host's
 *   page cache (raw.c), in folios of who knows what size. Were another part of
 *   the folio written directly at the same time, the folio could carry its old
 *   bytes back to the disk. So where b->granule is set, a modification that is
 *   not aligned runs beside no other one. As long as all is aligned this costs
 *   one comparison a request.
 * Who has to wait stands in one list, first come, first served.
 *
 * A flush of what is flushed already completes at once: write_seq counts the
 * modifications that are over, flushed_seq is its value when the last
 * successful flush began (synced_seq: the last one that covered times, too).
 * It begins at one: who wrote before us may have left something to flush.
 *
 * While a node closes its callers may still be served, and one of them may ask
 * for flush after flush. None of these goes to the driver, which would never
 * come to its end, or get one that has ended already: they wait for the flush
 * that block_close() does, and end as that does.
 *
 * What is lost is so for good: the kernel tells of a lost page once and then
 * takes it for clean, so a later flush would succeed without it (b->lost). It
 * is tried all the same, for the sake of what can still be saved.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "block/block.h"
#include "block/bounce.h"
#include "block/fault.h"
#include "loop/log.h"

static const char *const type_names[BLOCK_TYPES] = {
	[BLOCK_READ] = "read",	       [BLOCK_WRITE] = "write",
	[BLOCK_FLUSH] = "flush",       [BLOCK_DISCARD] = "discard",
	[BLOCK_ZERO] = "zero",	       [BLOCK_ALLOCATE] = "allocate",
	[BLOCK_SEEK_DATA] = "seek-data", [BLOCK_SEEK_HOLE] = "seek-hole",
	[BLOCK_TRUNCATE] = "truncate", [BLOCK_STAT] = "stat",
};

const char *block_type_name(enum block_type type)
{
	return type < BLOCK_TYPES ? type_names[type] : "?";
}

static bool is_modification(const struct block_req *req)
{
	switch (req->type) {
	case BLOCK_WRITE:
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
	case BLOCK_TRUNCATE:
		return true;
	default:
		return false;
	}
}

static bool is_to_end(const struct block_req *req)
{
	return req->cancelled && is_modification(req) &&
	       req->type != BLOCK_WRITE;
}

static bool is_seek(const struct block_req *req)
{
	return req->type == BLOCK_SEEK_DATA || req->type == BLOCK_SEEK_HOLE;
}

static void list_append(struct block_list *list, struct block_req *req)
{
	req->next = NULL;
	req->prev = list->last;
	if (list->last)
		list->last->next = req;
	else
		list->first = req;
	list->last = req;
}

static void list_remove(struct block_list *list, struct block_req *req)
{
	if (req->prev)
		req->prev->next = req->next;
	else
		list->first = req->next;
	if (req->next)
		req->next->prev = req->prev;
	else
		list->last = req->prev;
}

static bool is_aligned(const struct block *b, const struct block_req *req)
{
	uint32_t granule = b->granule;

	if (req->type != BLOCK_WRITE)
		granule = b->hole_granule;
	else if ((uintptr_t)req->buf & (b->buf_align - 1))
		return false;
	return !((req->offset | req->length) & (granule - 1));
}

static bool conflict(const struct block *b, const struct block_req *one,
		     const struct block_req *two)
{
	if (one->type == BLOCK_TRUNCATE || two->type == BLOCK_TRUNCATE)
		return true;
	if (!b->granule || !is_modification(one) || !is_modification(two))
		return false;
	return !is_aligned(b, one) || !is_aligned(b, two);
}

/* May @req run beside what is in flight and what waited before it? */
static bool may_start(const struct block *b, const struct block_req *req)
{
	const struct block_req *other;

	if (b->exclusive)
		return false;
	if (req->type == BLOCK_TRUNCATE && b->in_flight)
		return false;
	for (other = b->waiting.first; other && other != req;
	     other = other->next)
		if (conflict(b, req, other))
			return false;
	if (!b->granule || !is_modification(req))
		return true;
	return !b->alone && (!b->modifying || is_aligned(b, req));
}

static void start(struct block *b, struct block_req *req)
{
	b->in_flight++;
	if (req->type == BLOCK_TRUNCATE)
		b->exclusive = true;
	if (b->granule && is_modification(req)) {
		b->modifying++;
		b->alone = !is_aligned(b, req);
	}
	req->write_seq = b->write_seq;
	req->written = b->written;
	b->driver->submit(b, req);
}

static void posted(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);

	(void)res;
	(void)flags;
	req->done(req);
}

static void finish_early(struct block *b, struct block_req *req, int64_t result)
{
	req->result = result;
	req->op.done = posted;
	uring_post(b->uring, &req->op, 0);
}

/* Cuts a request down to the size of the image. */
static int clamp(const struct block *b, struct block_req *req, int past_end)
{
	if (req->offset >= b->size)
		return past_end;
	if (req->length > b->size - req->offset)
		req->length = b->size - req->offset;
	return 1;
}

/* The modifications that a flush like @req need not cover any more. */
static uint64_t flushed(const struct block *b, const struct block_req *req)
{
	return req->flags & BLOCK_FULL_SYNC ? b->synced_seq : b->flushed_seq;
}

/* 1: run it; else it is over with this result. May shorten the request. */
static int check(const struct block *b, struct block_req *req)
{
	bool keep_size = req->flags & BLOCK_KEEP_SIZE;

	if (b->closing && req->type != BLOCK_FLUSH)
		return -ESHUTDOWN;
	if (is_seek(req) && req->offset > INT64_MAX)
		return -ENXIO; /* a file offset below zero */
	if (req->type >= BLOCK_TYPES || req->offset > INT64_MAX ||
	    req->length > INT64_MAX - req->offset)
		return -EINVAL;
	if (is_modification(req) && b->opt.read_only)
		return -EROFS;
	if (is_to_end(req))
		return -EINTR;
	switch (req->type) {
	case BLOCK_READ:
		return req->length ? clamp(b, req, 0) : 0;
	case BLOCK_WRITE:
		if (!req->length)
			return 0;
		if (b->opt.growable)
			return 1;
		/* The node above has no use for a part of a table. */
		if (b->opt.below && req->offset + req->length > b->size)
			return -ENOSPC;
		return clamp(b, req, -ENOSPC);
	case BLOCK_DISCARD:
		return clamp(b, req, 0);
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
		if (b->opt.growable && (!keep_size || (b->driver->past_end &&
						       req->type ==
							       BLOCK_ALLOCATE)))
			return 1;
		/* Past the end it may be written some day, but not reserved. */
		if (keep_size && b->opt.growable &&
		    req->type == BLOCK_ALLOCATE &&
		    req->offset + req->length > b->size)
			return -EOPNOTSUPP;
		if (keep_size)
			return clamp(b, req,
				     req->type == BLOCK_ZERO ? 0 : -ENOSPC);
		return req->offset + req->length > b->size ? -ENOSPC : 1;
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
		return req->offset < b->size ? 1 : -ENXIO;
	case BLOCK_FLUSH:
		return flushed(b, req) == b->write_seq ? 0 : 1;
	default:
		return 1;
	}
}

static void start_waiting(struct block *b)
{
	struct block_req *req, *next;
	int go;

	for (req = b->waiting.first; req && !b->exclusive; req = next) {
		next = req->next;
		/* What it waited for may have changed the size. */
		go = check(b, req);
		if (go == 1 && !may_start(b, req))
			continue;
		list_remove(&b->waiting, req);
		if (go == 1)
			start(b, req);
		else
			finish_early(b, req, go);
	}
}

/* Who asks for a flush while it closes gets what the last one ends in. */
static void flush_closing(struct block *b, struct block_req *req)
{
	if (b->flushed_last)
		finish_early(b, req, b->last_result);
	else
		list_append(&b->waiting_last, req);
}

void block_flushed_last(struct block *b, int result)
{
	struct block_req *req, *next;

	b->last_result = result;
	b->flushed_last = true;
	for (req = b->waiting_last.first; req; req = next) {
		next = req->next;
		finish_early(b, req, result);
	}
	b->waiting_last = (struct block_list){ NULL, NULL };
}

void block_submit(struct block *b, struct block_req *req)
{
	int go;

	req->block = b;
	req->moved = 0;
	req->scratch = NULL;
	req->area = NULL;
	if (b->closing && req->type == BLOCK_FLUSH && req != b->last_flush) {
		flush_closing(b, req);
		return;
	}
	go = check(b, req);
	log_trace(TRACE_BLOCK, "%s: %s %llu+%llu%s", b->driver->name,
		  block_type_name(req->type), (unsigned long long)req->offset,
		  (unsigned long long)req->length, go == 1 ? "" : " early");
	if (go != 1) {
		finish_early(b, req, go);
		return;
	}
	b->stats.requests[req->type]++;
	if (may_start(b, req)) {
		start(b, req);
	} else {
		b->stats.waited++;
		list_append(&b->waiting, req);
	}
}

static void note_growth(struct block *b, const struct block_req *req)
{
	uint64_t end = req->offset + req->length;

	if (req->type == BLOCK_WRITE)
		end = req->offset + (uint64_t)req->result;
	else if (req->flags & BLOCK_KEEP_SIZE || req->type == BLOCK_DISCARD)
		return;
	if (end > b->size)
		b->size = end;
}

static void note_flush(struct block *b, const struct block_req *req)
{
	if (req->write_seq > b->flushed_seq)
		b->flushed_seq = req->write_seq;
	if (req->written > b->flushed)
		b->flushed = req->written;
	if (req->flags & BLOCK_FULL_SYNC && req->write_seq > b->synced_seq)
		b->synced_seq = req->write_seq;
}

/* Another flush may have succeeded beside it: that counts no more. */
static void note_failed_flush(struct block *b)
{
	b->flush_failed = true;
	b->flushed_seq = b->synced_seq = 0;
}

void block_lose(struct block *b, int error)
{
	fault_lost(b, error);
	b->lost = true;
	note_failed_flush(b);
}

void block_complete(struct block_req *req, int64_t result)
{
	struct block *b = req->block;

	assert(b->in_flight > 0);
	assert(req->type > BLOCK_WRITE || result <= (int64_t)req->length);
	if (req->area && bounce_finish(req, result))
		return;
	if (req->type == BLOCK_FLUSH && b->lost && result >= 0)
		result = -EIO;
	req->result = result;
	b->in_flight--;
	if (is_modification(req)) {
		b->write_seq++;
		if (req->type == BLOCK_TRUNCATE) {
			b->exclusive = false;
			if (result >= 0)
				b->size = req->length;
		} else if (result >= 0) {
			note_growth(b, req);
			if (req->type == BLOCK_WRITE)
				b->written += (uint64_t)result;
		}
		if (b->granule) {
			b->modifying--;
			b->alone = false;
		}
		if (b->modified)
			b->modified(b->modified_arg);
	} else if (req->type == BLOCK_FLUSH) {
		if (result < 0)
			note_failed_flush(b);
		else
			note_flush(b, req);
	}
	if (b->waiting.first)
		start_waiting(b);
	req->done(req);
}

void block_bounce(struct block_req *req, uint64_t from,
		  void (*ready)(struct block_req *req, int error))
{
	assert(req->unseen && !req->area);
	req->bounce_from = from;
	req->bounced = ready;
	bounce_start(req->block->opt.bounce, req);
}

int block_allow_unseen(struct block *b, size_t size)
{
	return b->opt.bounce ? bounce_open(b->opt.bounce, size) : -EOPNOTSUPP;
}

bool block_writeback(struct block *b)
{
	return b->driver->writeback && !b->closing && b->driver->writeback(b);
}

void block_on_modified(struct block *b, void (*modified)(void *arg), void *arg)
{
	b->modified = b->driver->writeback ? modified : NULL;
	b->modified_arg = arg;
}

void block_stop(struct block *b)
{
	if (b->stopping)
		return;
	b->stopping = true;
	if (b->driver->stop)
		b->driver->stop(b);
}

void block_cancel(struct block_req *req)
{
	struct block *b = req->block;
	struct block_req *other;

	req->cancelled = true;
	if (!b || !is_to_end(req))
		return;
	/* What waits need not wait until it may begin. */
	for (other = b->waiting.first; other && other != req;)
		other = other->next;
	if (!other)
		return;
	list_remove(&b->waiting, req);
	finish_early(b, req, -EINTR);
	start_waiting(b);
}

bool block_is_cancelled(const struct block_req *req)
{
	while (req && !req->cancelled)
		req = req->part_of;
	return req;
}

void block_trim(struct block *b)
{
	bounce_trim(b->opt.bounce);
}

bool block_room(struct block *b, uint64_t *bytes)
{
	return b->driver->room && b->driver->room(b, bytes);
}

int block_backing_fd(struct block *b)
{
	return b->driver->backing_fd ? b->driver->backing_fd(b) : -1;
}

void block_tell_files(const struct block *b)
{
	if (b->driver->tell_files)
		b->driver->tell_files(b);
}

void block_behind(struct block *b)
{
	struct stat st;

	if (b->exclusive || fstat(block_backing_fd(b), &st))
		return;
	b->size = (uint64_t)st.st_size;
	b->write_seq++;
}

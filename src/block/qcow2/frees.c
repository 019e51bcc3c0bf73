/*
 * A cluster that an L2 entry pointed to may be used again only when the disk's
 * L2 entry no longer points to it: a writeback that began after the change has
 * ended well. Until then it stands in a list; two lists take turns:
 *
 *   waiting   grows; it needs a writeback that begins after its last entry
 *   taken     grows no more: a writeback has begun since. When that has ended
 *             well, reclaim.c gives the clusters back
 *
 * Both are bounded. Who is about to let clusters go asks for room first and
 * waits while there is none. A crash in between leaks clusters.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/writeback.h"
#include "loop/log.h"

/* Kept for allocations that failed; these do not ask. */
#define RESERVE (QCOW2_TASKS + 16)

struct qcow2_pending {
	struct qcow2_frees waiting, taken;
	uint64_t waiting_begun, taken_begun; /* writebacks, at the last entry */
	bool is_taken;
	struct qcow2_queue room; /* who waits for it */
};

int qcow2_frees_init(struct qcow2 *q)
{
	struct qcow2_pending *p = calloc(1, sizeof(*p));

	q->pending = p;
	if (!p)
		return -ENOMEM;
	p->waiting.list = calloc(QCOW2_FREES, sizeof(*p->waiting.list));
	p->taken.list = calloc(QCOW2_FREES, sizeof(*p->taken.list));
	return p->waiting.list && p->taken.list ? 0 : -ENOMEM;
}

void qcow2_frees_free(struct qcow2 *q)
{
	if (!q->pending)
		return;
	free(q->pending->waiting.list);
	free(q->pending->taken.list);
	free(q->pending);
}

uint64_t qcow2_frees_bytes(void)
{
	return 2 * QCOW2_FREES * sizeof(struct qcow2_extent);
}

/* What waits is taken if a writeback has begun since. */
static void roll(struct qcow2 *q)
{
	struct qcow2_pending *p = q->pending;
	struct qcow2_frees took = p->waiting;

	if (p->is_taken || !took.count ||
	    qcow2_writebacks_begun(q) == p->waiting_begun)
		return;
	p->waiting = p->taken;
	p->taken = took;
	p->taken_begun = p->waiting_begun;
	p->is_taken = true;
	qcow2_wake(&p->room, 0);
}

static bool has_room(const struct qcow2_pending *p)
{
	return p->waiting.count + QCOW2_STEP + RESERVE <= QCOW2_FREES;
}

int qcow2_free_room(struct qcow2 *q, struct qcow2_job *job)
{
	if (has_room(q->pending))
		return 0;
	roll(q);
	if (has_room(q->pending))
		return 0;
	if (q->corrupt) /* no writeback would make room */
		return -EIO;
	qcow2_writeback(q, NULL);
	roll(q);
	if (has_room(q->pending))
		return 0;
	return qcow2_wait(&q->pending->room, job);
}

static void add(struct qcow2 *q, uint64_t host, uint64_t length, bool data)
{
	struct qcow2_frees *f = &q->pending->waiting;
	uint64_t first = host >> q->geo.cluster_bits;
	uint64_t last = (host + length - 1) >> q->geo.cluster_bits;
	struct qcow2_extent *e;

	roll(q);
	q->pending->waiting_begun = qcow2_writebacks_begun(q);
	e = f->count ? &f->list[f->count - 1] : NULL;
	if (e && e->data == data && e->first + e->count == first)
		e->count += last - first + 1;
	else if (f->count < QCOW2_FREES)
		f->list[f->count++] =
			(struct qcow2_extent){ first, last - first + 1, data };
	else if (!data)
		log_limited(
			"%s: qcow2: clusters are leaked ('qemu-img check -r "
			"leaks' finds them)",
			q->b->opt.path);
}

void qcow2_free_later(struct qcow2 *q, uint64_t host, uint64_t length)
{
	add(q, host, length, false);
}

void qcow2_free_entry(struct qcow2 *q, const struct qcow2_l2e *e)
{
	uint64_t offset = e->desc & QCOW2_OFFSET, length = q->geo.cluster_size;

	if (q->geo.data_file) {
		if (!q->geo.data_raw && e->desc & (QCOW2_OFFSET | QCOW2_COPIED))
			add(q, offset, length, true);
		return;
	}
	if (e->desc & QCOW2_COMPRESSED)
		qcow2_compressed_range(&q->geo, e->desc, &offset, &length);
	if (offset)
		qcow2_free_later(q, offset, length);
}

bool qcow2_frees_pending(struct qcow2 *q)
{
	return q->pending->waiting.count || q->pending->is_taken;
}

static bool is_stable(const struct qcow2 *q)
{
	return qcow2_writebacks_done(q) > q->pending->taken_begun;
}

bool qcow2_frees_want_writeback(struct qcow2 *q)
{
	const struct qcow2_pending *p = q->pending;

	roll(q);
	if (p->is_taken)
		return !is_stable(q) && !qcow2_writeback_busy(q);
	return p->waiting.count;
}

struct qcow2_frees *qcow2_frees_take(struct qcow2 *q)
{
	struct qcow2_pending *p = q->pending;

	roll(q);
	return p->is_taken && is_stable(q) ? &p->taken : NULL;
}

void qcow2_frees_reclaimed(struct qcow2 *q)
{
	q->pending->taken.count = 0;
	q->pending->is_taken = false;
	qcow2_wake(&q->pending->room, 0);
}

void qcow2_frees_failed(struct qcow2 *q, int error)
{
	qcow2_wake(&q->pending->room, error);
}

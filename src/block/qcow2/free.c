/*
 * Clusters are given back, late: a cluster that an L2 entry pointed to may be
 * used again only when
 * 1. the disk's L2 entry no longer points to it: a writeback that began after
 *    the change has ended well;
 * 2. no request made from the old mapping is under way (in_flight.h).
 * Then its storage is given back (a hole is punched), and its refcount is
 * lowered in the cache; a later writeback stores that.
 *
 *   q->frees      not yet in a writeback       -> a writeback begins
 *   freer TAKEN   the writeback is under way   -> it ends well
 *   freer HELD    old requests are under way   -> the last one ends
 *   freer LOWERS  refcounts are lowered        -> IDLE
 *
 * A cluster of a data file has its guest cluster's place for ever, and no
 * refcount: only its storage is given back. Somebody may have written to it
 * meanwhile, or be about to. So the guest's clusters are locked, the L2 entries
 * looked at again, and what is in use is let alone. A raw data file is not our
 * business: discards write zeros there.
 *
 * Both lists are bounded. Who is about to let clusters go asks for room first
 * and waits while there is none. A crash in between leaks clusters.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

/* Kept for allocations that failed; these do not ask. */
#define RESERVE (QCOW2_TASKS + 16)

static void lower(struct qcow2_job *job);
static void punched(struct qcow2_job *job);

int qcow2_free_room(struct qcow2 *q, struct qcow2_job *job)
{
	if (q->frees.count + QCOW2_STEP + RESERVE <= QCOW2_FREES)
		return 0;
	if (q->corrupt) /* no writeback would make room */
		return -EIO;
	qcow2_writeback(q, NULL);
	if (q->frees.count + QCOW2_STEP + RESERVE <= QCOW2_FREES)
		return 0;
	return qcow2_wait(&q->freer.idle, job);
}

static void add(struct qcow2 *q, uint64_t host, uint64_t length, bool data)
{
	struct qcow2_frees *f = &q->frees;
	uint64_t first = host >> q->geo.cluster_bits;
	uint64_t last = (host + length - 1) >> q->geo.cluster_bits;
	struct qcow2_extent *e = f->count ? &f->list[f->count - 1] : NULL;

	if (e && e->data == data && e->first + e->count == first)
		e->count += last - first + 1;
	else if (f->count < QCOW2_FREES)
		f->list[f->count++] =
			(struct qcow2_extent){ first, last - first + 1, data };
	else if (!data)
		log_limited("%s: qcow2: clusters are leaked ('qemu-img check -r "
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
		qcow2_packed_range(&q->geo, e->desc, &offset, &length);
	if (offset)
		qcow2_free_later(q, offset, length);
}

void qcow2_free_take(struct qcow2 *q)
{
	struct qcow2_frees took = q->frees;

	if (q->freer.state != QCOW2_FREER_IDLE || !took.count)
		return;
	q->frees = q->freer.frees;
	q->freer.frees = took;
	q->freer.state = QCOW2_FREER_TAKEN;
	qcow2_wake(&q->freer.idle, 0);
}

/* Nothing on disk points there any more; a request that is older may. */
static void held(struct qcow2_job *job)
{
	struct qcow2_freer *fr = &job->q->freer;

	if (qcow2_in_flight_wait(job->q, fr->age, job))
		return;
	fr->state = QCOW2_FREER_LOWERS;
	job->step = lower;
	qcow2_step_later(job);
}

void qcow2_free_written(struct qcow2 *q, int error)
{
	/* Should it fail, what was taken waits for the next writeback. */
	if (error)
		qcow2_wake(&q->freer.idle, error);
	if (error || q->freer.state != QCOW2_FREER_TAKEN)
		return;
	q->freer.state = QCOW2_FREER_HELD;
	q->freer.age = qcow2_in_flight_age(q);
	qcow2_job_init(q, &q->freer.job, held);
	held(&q->freer.job);
}

/* Lowers the last @want clusters before @end, as far as they are alike. */
static int lower_some(struct qcow2 *q, uint64_t end, uint64_t want,
		      uint64_t *done)
{
	struct qcow2_freer *fr = &q->freer;
	struct qcow2_slice *s;
	unsigned int i, n;
	uint64_t count;
	int ret;

	ret = qcow2_refcount_slice(q, &fr->job, end - 1, &s, &i);
	if (ret == QCOW2_WAIT)
		return ret;
	count = ret ? 0 : qcow2_refcount_get(&q->geo, s->data, i);
	if (!count && (!ret || ret == -ENOENT))
		return qcow2_set_corrupt(q,
					 "refcount 0 of a cluster that was "
					 "in use",
					 (end - 1) << q->geo.cluster_bits);
	if (ret)
		return ret;
	for (n = 1; n < want && n <= i; n++)
		if (qcow2_refcount_get(&q->geo, s->data, i - n) != count)
			break;
	/* The entry of a damaged image may have pointed to a table. */
	if (count == 1) {
		ret = qcow2_fence_check(q, (end - n) << q->geo.cluster_bits,
					(uint64_t)n << q->geo.cluster_bits);
		if (ret)
			return ret;
	}
	if (count == 1 && fr->punched != end) {
		fr->punched = end;
		fr->job.step = punched;
		qcow2_child(&fr->job, q->file, BLOCK_DISCARD, NULL,
			    (uint64_t)n << q->geo.cluster_bits,
			    (end - n) << q->geo.cluster_bits);
		return QCOW2_WAIT;
	}
	*done = n;
	while (n--)
		qcow2_refcount_put(&q->geo, s->data, i - n, count - 1);
	qcow2_slice_dirty(s);
	if (count == 1 && end - *done < q->free_cursor)
		q->free_cursor = end - *done;
	return 0;
}

static void punched(struct qcow2_job *job)
{
	/* A file system that cannot keeps the storage for our next cluster. */
	job->error = 0;
	job->step = lower;
	lower(job);
}

static void unlock(struct qcow2_freer *fr)
{
	if (fr->locked)
		qcow2_range_unlock(fr->job.q, &fr->lock);
	fr->locked = false;
}

static void data_punched(struct qcow2_job *job)
{
	struct qcow2_freer *fr = &job->q->freer;

	unlock(fr);
	fr->frees.list[fr->frees.count - 1].count -= fr->count;
	job->error = 0;
	job->step = lower;
	lower(job);
}

/* Locks what is before @end, in one slice; how much, or 0: it is in use. */
static uint64_t lock_before(struct qcow2 *q, uint64_t end, uint64_t want)
{
	struct qcow2_freer *fr = &q->freer;
	uint64_t n = qcow2_slice_index(q, (end - 1) << q->geo.cluster_bits) + 1;

	n = qcow2_min(n, want);
	if (qcow2_range_locked(q, end - n, n))
		n = 1;
	if (qcow2_range_locked(q, end - n, n))
		return 0;
	fr->locked = true;
	qcow2_range_lock(q, &fr->lock, end - n, n);
	return n;
}

/* How many before @end are alike? *@used: they have a place again. */
static uint64_t alike(const struct qcow2 *q, const struct qcow2_slice *s,
		      uint64_t end, uint64_t max, bool *used)
{
	unsigned int i = qcow2_slice_index(q, (end - 1) << q->geo.cluster_bits);
	uint64_t n;

	for (n = 0; n < max; n++, i--) {
		struct qcow2_l2e e = qcow2_l2_get(q, s, i);
		bool has = e.desc || (uint32_t)e.bitmap;

		if (n && has != *used)
			break;
		*used = has;
	}
	return n;
}

/* Gives back the storage of some clusters of the data file before @end. */
static int punch_data(struct qcow2 *q, uint64_t end, uint64_t want,
		      uint64_t *done)
{
	struct qcow2_freer *fr = &q->freer;
	uint64_t guest = (end - 1) << q->geo.cluster_bits, table;
	bool copied, used = false;
	struct qcow2_slice *s;
	int ret;

	*done = 1;
	if (!fr->locked && !lock_before(q, end, want))
		return 0;
	fr->count = fr->lock.count;
	ret = qcow2_l1_get(q, guest, true, &table, &copied);
	if (!ret && table) {
		ret = qcow2_slice_get(q->l2,
				      qcow2_slice_offset(q, table, guest),
				      &fr->job, &s);
		if (!ret)
			fr->count = alike(q, s, end, fr->count, &used);
	}
	if (ret == QCOW2_WAIT)
		return ret;
	if (ret || used) {
		*done = fr->count;
		unlock(fr);
		return ret;
	}
	fr->job.step = data_punched;
	qcow2_child(&fr->job, q->data, BLOCK_DISCARD, NULL,
		    fr->count << q->geo.cluster_bits,
		    (end - fr->count) << q->geo.cluster_bits);
	return QCOW2_WAIT;
}

static void lower(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_frees *f = &q->freer.frees;
	int ret = job->error;
	uint64_t done = 0;

	job->error = 0;
	while (!ret && f->count) {
		struct qcow2_extent *e = &f->list[f->count - 1];

		if (!e->count) {
			f->count--;
			continue;
		}
		ret = (e->data ? punch_data : lower_some)(
			q, e->first + e->count, e->count, &done);
		if (ret)
			break;
		q->freer.punched = 0;
		e->count -= done;
	}
	if (ret == QCOW2_WAIT)
		return;
	unlock(&q->freer);
	if (ret)
		log_limited("%s: qcow2: lowering refcounts: %s: clusters are "
			  "leaked ('qemu-img check -r leaks' finds them)",
			  q->b->opt.path, strerror(-ret));
	f->count = 0;
	q->freer.state = QCOW2_FREER_IDLE;
	qcow2_wake(&q->freer.idle, 0);
}

/*
 * Discard, write zeroes, allocate.
 *
 * Whole clusters (subclusters) are a change of L2 entries: a discard makes
 * them unallocated, or zero where a backing file would shine through; write
 * zeroes sets the zero flag and keeps a cluster of our own. What the flag
 * cannot say (ends that are not aligned, version 2 over a backing file, a data
 * file that is to be readable as it is) is written as zeros, unless it reads
 * as zeros already.
 */
#include "config.h"

#include <errno.h>

#include "block/qcow2/cache.h"
#include "block/qcow2/discard.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/l2_alloc.h"
#include "block/qcow2/map.h"
#include "block/qcow2/range_lock.h"
#include "block/qcow2/write.h"
#include "loop/progress.h"
#define LONG (1ULL << 30) /* bytes of a request that takes long */

#define ZERO(j) container_of(j, struct qcow2_zero, job)

static void zero_step(struct qcow2_job *job);

static void written(struct qcow2_write *w, int error)
{
	struct qcow2_zero *z = container_of(w, struct qcow2_zero, write);

	z->job.error = error;
	z->pos = w->pos;
	zero_step(&z->job);
}

static int write_zeros(struct qcow2_zero *z, uint64_t length)
{
	struct qcow2_write *w = &z->write;

	z->changed = true;
	w->pos = z->pos;
	w->end = z->pos + length;
	w->src = NULL;
	w->req = NULL;
	w->ends_with = z->ends_with;
	w->copy = false;
	w->done = written;
	qcow2_write(w);
	return QCOW2_WAIT;
}

/* Zeros at pos, by hand, for a part of what the map says is alike. */
static int zero_by_hand(struct qcow2_zero *z, uint64_t length)
{
	struct qcow2_map map;
	int ret;

	ret = qcow2_lookup(z->job.q, &z->job, z->pos, length, true, &map);
	if (ret)
		return ret;
	if (map.kind == QCOW2_ZEROS ||
	    (map.kind == QCOW2_UNALLOCATED &&
	     !qcow2_backing_left(z->job.q, z->pos))) {
		z->pos += map.length;
		return 0;
	}
	return write_zeros(z, map.length);
}

static uint64_t sub_mask(unsigned int lo, unsigned int hi)
{
	return (2ULL << hi) - (1ULL << lo);
}

/* The entry after type on subclusters @lo to @hi of a cluster at @guest. */
static struct qcow2_l2e changed(const struct qcow2_zero *z, struct qcow2_l2e e,
				uint64_t guest, unsigned int lo,
				unsigned int hi)
{
	const struct qcow2 *q = z->job.q;
	bool whole = lo == 0 && hi + 1 == q->geo.subs;
	bool below = qcow2_backing_left(q, guest) && !z->cut;
	uint64_t mask = sub_mask(lo, hi);
	bool own = e.desc & QCOW2_COPIED && !(e.desc & QCOW2_COMPRESSED);
	bool flags = q->geo.version >= 3;

	if (whole && (z->type == BLOCK_DISCARD || !own || !flags)) {
		bool zero = e.bitmap == mask << 32;

		/* What reads as zeros and holds nothing may stay. */
		if (!e.desc && (zero || (!e.bitmap && !below)))
			return e;
		return (struct qcow2_l2e){ 0, below ? mask << 32 : 0 };
	}
	e.bitmap = (e.bitmap & ~mask) | mask << 32;
	if (z->type == BLOCK_DISCARD && !(uint32_t)e.bitmap)
		e.desc = 0;
	return e;
}

/*
 * Does any of these entries change? Asked where the table would have to be
 * copied first: a small image can name many such tables, in holes.
 */
static int is_needed(struct qcow2_zero *z, uint64_t guest, uint64_t count,
		     unsigned int lo, unsigned int hi, bool *needed)
{
	struct qcow2 *q = z->job.q;
	unsigned int i = qcow2_slice_index(q, guest);
	struct qcow2_l2e e, new;
	struct qcow2_slice *s;
	uint64_t table, n;
	bool alone;
	int ret = qcow2_l1_get(q, guest, true, &table, &alone);

	*needed = true;
	if (ret || !table || alone)
		return ret;
	ret = qcow2_slice_get(q->l2, qcow2_slice_offset(q, table, guest),
			      &z->job, &s);
	*needed = false;
	for (n = 0; !ret && !*needed && n < count; n++) {
		e = qcow2_l2_get(q, s, i + (unsigned int)n);
		ret = qcow2_l2_check(q, &e, guest, true);
		new = changed(z, e, guest, lo, hi);
		*needed = new.desc != e.desc || new.bitmap != e.bitmap;
		guest += q->geo.cluster_size;
	}
	return ret;
}

static int change_entries(struct qcow2_zero *z, uint64_t guest, uint64_t count,
			  unsigned int lo, unsigned int hi)
{
	struct qcow2 *q = z->job.q;
	unsigned int i = qcow2_slice_index(q, guest);
	struct qcow2_slice *s;
	uint64_t table, n;
	int ret;

	ret = qcow2_l2_table_for(q, &z->job, guest, &table);
	if (!ret)
		ret = qcow2_free_room(q, &z->job);
	if (!ret)
		ret = qcow2_slice_get_writable(
			q->l2, qcow2_slice_offset(q, table, guest), &z->job,
			&s);
	for (n = 0; !ret && n < count; n++, guest += q->geo.cluster_size) {
		struct qcow2_l2e e = qcow2_l2_get(q, s, i + (unsigned int)n);
		struct qcow2_l2e new;

		ret = qcow2_l2_check(q, &e, guest, true);
		if (ret)
			break;
		new = changed(z, e, guest, lo, hi);
		if (new.desc == e.desc && new.bitmap == e.bitmap)
			continue;
		z->changed = true;
		if (guest + q->geo.cluster_size > q->clean_to)
			q->tail_dirty = true;
		qcow2_l2_put(q, s, i + (unsigned int)n, new);
		if (new.desc != e.desc)
			qcow2_free_entry(q, &e);
	}
	return ret;
}

static int change(struct qcow2_zero *z, uint64_t count, unsigned int lo,
		  unsigned int hi)
{
	struct qcow2 *q = z->job.q;
	uint64_t guest = z->pos - qcow2_in_cluster(q, z->pos);
	unsigned int i = qcow2_slice_index(q, guest);
	bool needed;
	int ret;

	count = qcow2_min(count, qcow2_slice_entries(q) - i);
	count = qcow2_min(count, QCOW2_STEP);
	ret = qcow2_range_wait(q, guest >> q->geo.cluster_bits, count, &z->job);
	if (!ret)
		ret = is_needed(z, guest, count, lo, hi, &needed);
	if (!ret && needed)
		ret = change_entries(z, guest, count, lo, hi);
	if (ret)
		return ret;
	guest += count << q->geo.cluster_bits;
	if (hi + 1 < q->geo.subs)
		guest -= q->geo.cluster_size -
			 ((uint64_t)(hi + 1) << q->geo.subcluster_bits);
	z->pos = guest;
	return 0;
}

/* Subclusters of one cluster; a compressed one is written. */
static int change_subs(struct qcow2_zero *z, uint64_t end)
{
	struct qcow2 *q = z->job.q;
	uint64_t in = qcow2_in_cluster(q, z->pos);
	uint64_t to = qcow2_min(end, z->pos - in + q->geo.cluster_size);
	struct qcow2_map map;
	int ret;

	to &= ~((1ULL << q->geo.subcluster_bits) - 1);
	ret = qcow2_lookup(q, &z->job, z->pos, to - z->pos, true, &map);
	if (ret)
		return ret;
	if (map.kind == QCOW2_COMPRESSED_DATA)
		return write_zeros(z, qcow2_min(map.length, z->end - z->pos));
	if (map.kind == QCOW2_UNALLOCATED && !qcow2_backing_left(q, z->pos)) {
		z->pos += map.length;
		return 0;
	}
	return change(z, 1, (unsigned int)(in >> q->geo.subcluster_bits),
		      (unsigned int)((in + to - z->pos - 1) >>
				     q->geo.subcluster_bits));
}

static int zero_some(struct qcow2_zero *z)
{
	struct qcow2 *q = z->job.q;
	uint64_t unit = 1ULL << q->geo.subcluster_bits, table, in, left;
	uint64_t end = z->end;
	bool below = qcow2_backing_left(q, z->pos), copied;
	int ret;

	if (q->corrupt)
		return -EIO;
	ret = qcow2_l1_get(q, z->pos, true, &table, &copied);
	if (ret)
		return ret;
	if (!table && (!below || z->cut)) {
		z->pos += qcow2_min(end - z->pos, qcow2_table_left(q, z->pos));
		return 0;
	}
	/*
	 * Behind the end of the disk nobody misses anything, so whole clusters
	 * may go. What is zeroed by hand stops at the end: without a lock it
	 * could hit what is being appended.
	 */
	left = end - z->pos;
	if (end >= q->end)
		end = qcow2_round_up(end, q->geo.cluster_size);
	in = z->pos & (unit - 1);
	if (in || end - z->pos < unit)
		return zero_by_hand(z, qcow2_min(left, unit - in));
	if (q->geo.data_raw || (q->geo.version < 3 && below && !z->cut))
		return zero_by_hand(
			z, qcow2_min(left, qcow2_table_left(q, z->pos)));
	if (qcow2_in_cluster(q, z->pos) || end - z->pos < q->geo.cluster_size)
		return change_subs(z, end);
	return change(z, (end - z->pos) >> q->geo.cluster_bits, 0,
		      q->geo.subs - 1);
}

/* Of what takes long enough for somebody to wonder. */
static void tell_progress(const struct qcow2_zero *z)
{
	const struct block_req *req = z->ends_with;

	if (req && req->length >= LONG && z->pos >= req->offset)
		progress(z, req->block->opt.path, "discarding",
			 z->pos - req->offset, req->length);
}

static void zero_step(struct qcow2_job *job)
{
	struct qcow2_zero *z = ZERO(job);
	int ret = job->error;

	job->step = zero_step;
	while (!ret && z->pos < z->end) {
		tell_progress(z);
		ret = qcow2_turn(job, &z->steps, z->ends_with);
		if (!ret)
			ret = zero_some(z);
	}
	if (ret == QCOW2_WAIT)
		return;
	progress_end(z);
	z->done(z, ret);
}

void qcow2_zero_init(struct qcow2 *q, struct qcow2_zero *z)
{
	qcow2_job_init(q, &z->job, NULL);
	qcow2_write_init(q, &z->write);
	z->steps = 0;
}

void qcow2_zero(struct qcow2_zero *z)
{
	z->job.error = 0;
	z->changed = false;
	zero_step(&z->job);
}

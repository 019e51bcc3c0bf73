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

#include "block/qcow2/qcow2.h"
#include "loop/progress.h"

#define LONG (1ULL << 30) /* bytes of a request that takes long */

static void zero_step(struct qcow2_job *job);

static void written(struct qcow2_task *t)
{
	t->z.pos = t->w.pos;
	zero_step(&t->job);
}

static int write_zeros(struct qcow2_task *t, uint64_t length)
{
	t->z.changed = true;
	t->w.pos = t->z.pos;
	t->w.end = t->z.pos + length;
	t->w.src = NULL;
	t->w.guest = false;
	t->w.copy = false;
	t->w.done = written;
	qcow2_write(t);
	return QCOW2_WAIT;
}

/* Zeros at z.pos, by hand, for a part of what the map says is alike. */
static int zero_by_hand(struct qcow2_task *t, uint64_t length)
{
	struct qcow2_map map;
	int ret;

	ret = qcow2_lookup(t->job.q, &t->job, t->z.pos, length, true, &map);
	if (ret)
		return ret;
	if (map.kind == QCOW2_ZEROS ||
	    (map.kind == QCOW2_UNALLOCATED &&
	     !qcow2_backing_left(t->job.q, t->z.pos))) {
		t->z.pos += map.length;
		return 0;
	}
	return write_zeros(t, map.length);
}

static uint64_t sub_mask(unsigned int lo, unsigned int hi)
{
	return (2ULL << hi) - (1ULL << lo);
}

/* The entry after z.type on subclusters @lo to @hi of a cluster at @guest. */
static struct qcow2_l2e changed(const struct qcow2_task *t,
				struct qcow2_l2e e, uint64_t guest,
				unsigned int lo, unsigned int hi)
{
	const struct qcow2 *q = t->job.q;
	bool whole = lo == 0 && hi + 1 == q->geo.subs;
	bool below = qcow2_backing_left(q, guest) && !t->z.cut;
	uint64_t mask = sub_mask(lo, hi);
	bool own = e.desc & QCOW2_COPIED && !(e.desc & QCOW2_COMPRESSED);
	bool flags = q->geo.version >= 3;

	if (whole && (t->z.type == BLOCK_DISCARD || !own || !flags)) {
		bool zero = e.bitmap == mask << 32;

		/* What reads as zeros and holds nothing may stay. */
		if (!e.desc && (zero || (!e.bitmap && !below)))
			return e;
		return (struct qcow2_l2e){ 0, below ? mask << 32 : 0 };
	}
	e.bitmap = (e.bitmap & ~mask) | mask << 32;
	if (t->z.type == BLOCK_DISCARD && !(uint32_t)e.bitmap)
		e.desc = 0;
	return e;
}

/*
 * Does any of these entries change? Asked where the table would have to be
 * copied first: a small image can name many such tables, in holes.
 */
static int is_needed(struct qcow2_task *t, uint64_t guest, uint64_t count,
		     unsigned int lo, unsigned int hi, bool *needed)
{
	struct qcow2 *q = t->job.q;
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
			      &t->job, &s);
	*needed = false;
	for (n = 0; !ret && !*needed && n < count; n++) {
		e = qcow2_l2_get(q, s, i + (unsigned int)n);
		ret = qcow2_l2_check(q, &e, guest, true);
		new = changed(t, e, guest, lo, hi);
		*needed = new.desc != e.desc || new.bitmap != e.bitmap;
		guest += q->geo.cluster_size;
	}
	return ret;
}

static int change_entries(struct qcow2_task *t, uint64_t guest, uint64_t count,
			  unsigned int lo, unsigned int hi)
{
	struct qcow2 *q = t->job.q;
	unsigned int i = qcow2_slice_index(q, guest);
	struct qcow2_slice *s;
	uint64_t table, n;
	int ret;

	ret = qcow2_table_for(q, &t->job, guest, &table);
	if (!ret)
		ret = qcow2_free_room(q, &t->job);
	if (!ret)
		ret = qcow2_slice_get_writable(
			q->l2, qcow2_slice_offset(q, table, guest), &t->job,
			&s);
	for (n = 0; !ret && n < count; n++, guest += q->geo.cluster_size) {
		struct qcow2_l2e e = qcow2_l2_get(q, s, i + (unsigned int)n);
		struct qcow2_l2e new;

		ret = qcow2_l2_check(q, &e, guest, true);
		if (ret)
			break;
		new = changed(t, e, guest, lo, hi);
		if (new.desc == e.desc && new.bitmap == e.bitmap)
			continue;
		t->z.changed = true;
		if (guest + q->geo.cluster_size > q->clean_to)
			q->tail_dirty = true;
		qcow2_l2_put(q, s, i + (unsigned int)n, new);
		if (new.desc != e.desc)
			qcow2_free_entry(q, &e);
	}
	return ret;
}

static int change(struct qcow2_task *t, uint64_t count, unsigned int lo,
		  unsigned int hi)
{
	struct qcow2 *q = t->job.q;
	uint64_t guest = t->z.pos - qcow2_in_cluster(q, t->z.pos);
	unsigned int i = qcow2_slice_index(q, guest);
	bool needed;
	int ret;

	count = qcow2_min(count, qcow2_slice_entries(q) - i);
	count = qcow2_min(count, QCOW2_STEP);
	ret = qcow2_range_wait(q, guest >> q->geo.cluster_bits, count, &t->job);
	if (!ret)
		ret = is_needed(t, guest, count, lo, hi, &needed);
	if (!ret && needed)
		ret = change_entries(t, guest, count, lo, hi);
	if (ret)
		return ret;
	guest += count << q->geo.cluster_bits;
	if (hi + 1 < q->geo.subs)
		guest -= q->geo.cluster_size -
			 ((uint64_t)(hi + 1) << q->geo.sub_bits);
	t->z.pos = guest;
	return 0;
}

/* Subclusters of one cluster; a compressed one is written. */
static int change_subs(struct qcow2_task *t, uint64_t end)
{
	struct qcow2 *q = t->job.q;
	uint64_t in = qcow2_in_cluster(q, t->z.pos);
	uint64_t to = qcow2_min(end, t->z.pos - in + q->geo.cluster_size);
	struct qcow2_map map;
	int ret;

	to &= ~((1ULL << q->geo.sub_bits) - 1);
	ret = qcow2_lookup(q, &t->job, t->z.pos, to - t->z.pos, true, &map);
	if (ret)
		return ret;
	if (map.kind == QCOW2_PACKED)
		return write_zeros(t, qcow2_min(map.length,
						t->z.end - t->z.pos));
	if (map.kind == QCOW2_UNALLOCATED &&
	    !qcow2_backing_left(q, t->z.pos)) {
		t->z.pos += map.length;
		return 0;
	}
	return change(
		t, 1, (unsigned int)(in >> q->geo.sub_bits),
		(unsigned int)((in + to - t->z.pos - 1) >> q->geo.sub_bits));
}

static int zero_some(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;
	uint64_t unit = 1ULL << q->geo.sub_bits, table, in, left;
	uint64_t end = t->z.end;
	bool below = qcow2_backing_left(q, t->z.pos), copied;
	int ret;

	if (q->corrupt)
		return -EIO;
	ret = qcow2_l1_get(q, t->z.pos, true, &table, &copied);
	if (ret)
		return ret;
	if (!table && (!below || t->z.cut)) {
		t->z.pos += qcow2_min(end - t->z.pos,
				      qcow2_table_left(q, t->z.pos));
		return 0;
	}
	/*
	 * Behind the end of the disk nobody misses anything, so whole clusters
	 * may go. What is zeroed by hand stops at the end: without a lock it
	 * could hit what is being appended.
	 */
	left = end - t->z.pos;
	if (end >= q->end)
		end = qcow2_round_up(end, q->geo.cluster_size);
	in = t->z.pos & (unit - 1);
	if (in || end - t->z.pos < unit)
		return zero_by_hand(t, qcow2_min(left, unit - in));
	if (q->geo.data_raw || (q->geo.version < 3 && below && !t->z.cut))
		return zero_by_hand(t, qcow2_min(left, qcow2_table_left(
							       q, t->z.pos)));
	if (qcow2_in_cluster(q, t->z.pos) ||
	    end - t->z.pos < q->geo.cluster_size)
		return change_subs(t, end);
	return change(t, (end - t->z.pos) >> q->geo.cluster_bits, 0,
		      q->geo.subs - 1);
}

/* Of what takes long enough for somebody to wonder. */
static void tell_progress(const struct qcow2_task *t)
{
	const struct block_req *req = t->req;

	if (req && req->length >= LONG && t->z.pos >= req->offset)
		progress(t, req->block->opt.path, "discarding",
			 t->z.pos - req->offset, req->length);
}

static void zero_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	int ret = job->error;

	job->step = zero_step;
	while (!ret && t->z.pos < t->z.end) {
		tell_progress(t);
		ret = qcow2_turn(job, &t->steps, qcow2_ends_with(t));
		if (!ret)
			ret = zero_some(t);
	}
	if (ret == QCOW2_WAIT)
		return;
	progress_end(t);
	job->error = ret;
	t->z.done(t);
}

void qcow2_zero(struct qcow2_task *t)
{
	t->job.error = 0;
	t->z.changed = false;
	zero_step(&t->job);
}

static void request_over(struct qcow2_task *t)
{
	struct block_req *req = t->req;
	int error = t->job.error;

	if (!error && req->type != BLOCK_DISCARD &&
	    !(req->flags & BLOCK_KEEP_SIZE))
		qcow2_store_end(t->job.q, req->offset + req->length);
	qcow2_finish(t, error);
}

static void request_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct block_req *req = t->req;
	int ret = job->error;

	if (!ret && req->type != BLOCK_DISCARD &&
	    !(req->flags & BLOCK_KEEP_SIZE))
		ret = qcow2_grow(t, req->offset + req->length);
	if (ret == QCOW2_WAIT)
		return;
	if (ret) {
		qcow2_finish(t, ret);
	} else if (req->type == BLOCK_ALLOCATE) {
		t->w.src = NULL;
		t->w.guest = false;
		t->w.copy = true;
		t->w.done = request_over;
		t->w.pos = req->offset;
		t->w.end = req->offset + req->length;
		qcow2_write(t);
	} else {
		t->z.type = req->type;
		t->z.cut = false;
		t->z.done = request_over;
		t->z.pos = req->offset;
		t->z.end = req->offset + req->length;
		qcow2_zero(t);
	}
}

void qcow2_discard_request(struct qcow2_task *t)
{
	t->job.error = 0;
	t->job.step = request_step;
	request_step(&t->job);
}

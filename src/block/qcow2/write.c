/*
 * Writes. A range is cut into chunks of two kinds:
 *
 * - Clusters of our own (COPIED) are written in place, as far as they are
 *   contiguous in the file, in one request.
 * - Otherwise clusters change their place or their state: unallocated, zeros,
 *   compressed, shared with a snapshot (new clusters are taken: w.keep false);
 *   or allocated but read as zeros, in whole or in subclusters (w.keep true).
 *   The guest's clusters are locked; the data and what surrounds it is written
 *   (cow.c); then, in one step, the L2 entries are changed in the cache.
 *
 * The bytes of an unseen request (zero-copy) go straight into clusters of our
 * own; at the first chunk of the other kind, the rest bounces.
 */
#include "config.h"

#include <errno.h>

#include "block/qcow2/alloc.h"
#include "block/qcow2/buffer.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/cow.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/l2_alloc.h"
#include "block/qcow2/map.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/range_lock.h"
#include "block/qcow2/write.h"

#define WRITE(j) container_of(j, struct qcow2_write, job)

static void write_step(struct qcow2_job *job);
static void alloc_step(struct qcow2_job *job);
static void link_step(struct qcow2_job *job);

static void end_write(struct qcow2_write *w, int error)
{
	w->done(w, error);
}

static void advance(struct qcow2_write *w, uint64_t length)
{
	w->pos += length;
	if (w->src)
		w->src += length;
}

static bool is_unseen(const struct qcow2_write *w)
{
	return w->req && w->req->unseen;
}

static void bounced(struct block_req *req, int error)
{
	struct qcow2_write *w = req->scratch;

	w->job.error = error;
	if (!error)
		w->src = (uint8_t *)req->buf + (w->pos - req->offset);
	write_step(&w->job);
}

static int need_bytes(struct qcow2_write *w)
{
	w->req->scratch = w;
	block_bounce(w->req, w->pos - w->req->offset, bounced);
	return QCOW2_WAIT;
}

static void in_place_done(struct qcow2_job *job)
{
	struct qcow2_write *w = WRITE(job);

	qcow2_in_flight_remove(job->q, &w->in_flight);
	if (!job->error)
		advance(w, job->child.length);
	write_step(job);
}

/* An entry of a damaged image may point anywhere. */
static int check_target(struct qcow2 *q, uint64_t host, uint64_t length)
{
	if (q->geo.data_file)
		return 0;
	if (host + length > qcow2_round_up(q->file->size, q->geo.cluster_size))
		return qcow2_set_corrupt(q, "write past the end of the file",
					 host);
	return qcow2_overlap_check(q, host, length);
}

static int in_place(struct qcow2_write *w, const struct qcow2_map *map)
{
	struct qcow2 *q = w->job.q;
	uint64_t length = map->length;
	int ret = check_target(q, map->host, length);
	uintptr_t src;

	if (ret)
		return ret;
	w->job.step = in_place_done;
	qcow2_in_flight_add(q, &w->in_flight);
	if (w->req) {
		src = (uintptr_t)w->req->buf + (w->pos - w->req->offset);
		qcow2_child_of(&w->job, q->data, BLOCK_WRITE, w->req,
			       (void *)src, length, map->host);
		return QCOW2_WAIT;
	}
	/* No sector in two parts: a crash between them would show both. */
	if (length > QCOW2_BUFFER)
		length = QCOW2_BUFFER - map->host % QCOW2_BLOCK;
	qcow2_child(&w->job, q->data, BLOCK_WRITE, q->zeros, length, map->host);
	return QCOW2_WAIT;
}

static bool is_own(const struct qcow2 *q, const struct qcow2_l2e *e)
{
	return q->geo.data_file ||
	       (!(e->desc & QCOW2_COMPRESSED) && e->desc & QCOW2_COPIED);
}

static bool has_data(const struct qcow2_l2e *e)
{
	return e->desc & QCOW2_COMPRESSED || (uint32_t)e->bitmap;
}

/* How many clusters from the first can be treated alike? */
static uint64_t chunk_clusters(struct qcow2 *q, const struct qcow2_slice *s,
			       unsigned int i, uint64_t want, bool keep)
{
	struct qcow2_l2e e = qcow2_l2_get(q, s, i), next;
	uint64_t n;

	want = qcow2_min(want, qcow2_slice_entries(q) - i);
	want = qcow2_min(want, QCOW2_STEP);
	for (n = 1; n < want; n++) {
		next = qcow2_l2_get(q, s, i + (unsigned int)n);
		if (is_own(q, &next) != keep)
			break;
		if (keep && qcow2_kind_of(&next, 0) == QCOW2_DATA)
			break;
		if (keep && !q->geo.data_file &&
		    (next.desc & QCOW2_OFFSET) !=
			    (e.desc & QCOW2_OFFSET) +
				    (n << q->geo.cluster_bits))
			break;
	}
	return n;
}

static uint64_t chunk_end(const struct qcow2_write *w)
{
	return qcow2_min(w->end, (w->lock.first + w->lock.count)
					 << w->job.q->geo.cluster_bits);
}

static unsigned int sub_of(const struct qcow2 *q, uint64_t guest)
{
	return (unsigned int)(qcow2_in_cluster(q, guest) >>
			      q->geo.subcluster_bits);
}

/* Where must copying begin, and end, so that all it touches is complete? */
static uint64_t fill_from(const struct qcow2_write *w,
			  const struct qcow2_l2e *e)
{
	const struct qcow2 *q = w->job.q;
	uint64_t pos = w->pos;

	if (w->keep && qcow2_kind_of(e, sub_of(q, pos)) == QCOW2_DATA)
		return pos;
	if (!w->keep && has_data(e))
		return pos - qcow2_in_cluster(q, pos);
	return pos & ~((1ULL << q->geo.subcluster_bits) - 1);
}

static uint64_t fill_to(const struct qcow2_write *w, const struct qcow2_l2e *e)
{
	const struct qcow2 *q = w->job.q;
	uint64_t end = w->cow.data_end;

	if (w->keep && qcow2_kind_of(e, sub_of(q, end - 1)) == QCOW2_DATA)
		return end;
	if (!w->keep && has_data(e))
		return qcow2_round_up(end, q->geo.cluster_size);
	return qcow2_round_up(end, 1ULL << q->geo.subcluster_bits);
}

/*
 * A raw data file, or one that is a device, ends with the disk, maybe within a
 * cluster; what is behind both ends reads as zeros and needs no filling.
 */
static uint64_t cut_fill(const struct qcow2_write *w, uint64_t to)
{
	const struct qcow2 *q = w->job.q;
	uint64_t end = w->lock.first << q->geo.cluster_bits;

	if (qcow2_data_follows(q))
		to = qcow2_min(to, qcow2_round_up(q->end, QCOW2_SECTOR));
	if (q->data->opt.growable)
		return to;
	if (q->data->size > w->host)
		end += q->data->size - w->host;
	if (end < q->end)
		end = q->end;
	if (end < w->cow.data_end)
		end = w->cow.data_end;
	return qcow2_min(to, end);
}

static int chunk(struct qcow2_write *w)
{
	struct qcow2 *q = w->job.q;
	uint64_t table, first = w->pos >> q->geo.cluster_bits, count;
	struct qcow2_slice *s;
	struct qcow2_l2e e;
	unsigned int i;
	int ret;

	if (is_unseen(w))
		return need_bytes(w);
	ret = qcow2_l2_table_for(q, &w->job, w->pos, &table);
	if (!ret)
		ret = qcow2_slice_get(q->l2,
				      qcow2_slice_offset(q, table, w->pos),
				      &w->job, &s);
	if (ret)
		return ret;
	i = qcow2_slice_index(q, w->pos);
	e = qcow2_l2_get(q, s, i);
	ret = qcow2_l2_check(q, &e, w->pos, true);
	if (ret)
		return ret;
	count = ((w->end - 1) >> q->geo.cluster_bits) - first + 1;
	w->keep = is_own(q, &e);
	if (w->copy && w->keep)
		count = 1;
	count = chunk_clusters(q, s, i, count, w->keep);
	ret = qcow2_range_wait(q, first, count, &w->job);
	if (ret)
		return ret;
	if (w->keep && !q->geo.data_file) {
		ret = check_target(q, e.desc & QCOW2_OFFSET,
				   count << q->geo.cluster_bits);
		if (ret)
			return ret;
	}
	qcow2_range_lock(q, &w->lock, first, count);
	w->host = q->geo.data_file ? first << q->geo.cluster_bits
				   : e.desc & QCOW2_OFFSET;
	w->job.step = alloc_step;
	alloc_step(&w->job);
	return QCOW2_WAIT;
}

/*
 * ALLOCATE fills what has no data yet. Subclusters that have may be written in
 * place meanwhile, without a lock: copying them would bring old bytes back.
 */
static void stop_at_data(struct qcow2_write *w, const struct qcow2_l2e *e)
{
	const struct qcow2 *q = w->job.q;
	uint64_t start = w->pos - qcow2_in_cluster(q, w->pos);
	unsigned int i;

	for (i = sub_of(q, w->pos) + 1; i < q->geo.subs; i++) {
		if (qcow2_kind_of(e, i) != QCOW2_DATA)
			continue;
		w->cow.data_end = qcow2_min(
			w->cow.data_end,
			start + ((uint64_t)i << q->geo.subcluster_bits));
		return;
	}
}

static void filled(struct qcow2_cow *c, int error)
{
	struct qcow2_write *w = container_of(c, struct qcow2_write, cow);

	w->error = error;
	w->job.error = 0;
	w->job.step = link_step;
	link_step(&w->job);
}

/* The clusters are locked; their slice is in the cache, or will be. */
static void prepare_fill(struct qcow2_job *job)
{
	struct qcow2_write *w = WRITE(job);
	struct qcow2 *q = job->q;
	uint64_t table, last;
	struct qcow2_slice *s;
	struct qcow2_l2e e;
	int ret = job->error;

	if (!ret)
		ret = qcow2_l2_table_for(q, job, w->pos, &table);
	if (!ret)
		ret = qcow2_slice_get(
			q->l2, qcow2_slice_offset(q, table, w->pos), job, &s);
	if (ret == QCOW2_WAIT)
		return;
	if (ret) {
		filled(&w->cow, ret);
		return;
	}
	w->cow.data_end = chunk_end(w);
	e = qcow2_l2_get(q, s, qcow2_slice_index(q, w->pos));
	if (w->copy && w->keep)
		stop_at_data(w, &e);
	w->cow.from = fill_from(w, &e);
	last = w->cow.data_end - 1;
	e = qcow2_l2_get(q, s, qcow2_slice_index(q, last));
	w->cow.to = cut_fill(w, fill_to(w, &e));
	qcow2_cow_init(q, &w->cow);
	w->cow.done = filled;
	w->cow.pos = w->pos;
	w->cow.src = w->src;
	w->cow.copy = w->copy;
	w->cow.first = w->lock.first << q->geo.cluster_bits;
	w->cow.host = w->host;
	qcow2_cow(&w->cow);
}

static void alloc_step(struct qcow2_job *job)
{
	struct qcow2_write *w = WRITE(job);
	struct qcow2 *q = job->q;
	uint64_t got = w->lock.count;
	int ret = job->error;

	if (!ret && !w->keep)
		ret = qcow2_alloc(q, job, w->lock.count, &w->host, &got);
	if (ret == QCOW2_WAIT)
		return;
	if (ret) {
		qcow2_range_unlock(q, &w->lock);
		end_write(w, ret);
		return;
	}
	if (got < w->lock.count)
		qcow2_range_shrink(&w->lock, got);
	job->step = prepare_fill;
	prepare_fill(job);
}

/* Sets the entry of cluster @n of the chunk; lets go what it had. */
static void link_one(struct qcow2_write *w, struct qcow2_slice *s, uint64_t n)
{
	struct qcow2 *q = w->job.q;
	uint64_t start = (w->lock.first + n) << q->geo.cluster_bits;
	uint64_t from = w->cow.from > start ? w->cow.from : start;
	uint64_t to = qcow2_min(w->cow.to, start + q->geo.cluster_size);
	unsigned int i = qcow2_slice_index(q, start);
	unsigned int lo = sub_of(q, from), hi = sub_of(q, to - 1);
	struct qcow2_l2e e = qcow2_l2_get(q, s, i), old = e;
	uint64_t mask = (2ULL << hi) - (1ULL << lo);

	if (old.desc & QCOW2_COMPRESSED)
		e.bitmap = 0;
	e.bitmap = (e.bitmap & ~(mask | mask << 32)) | mask;
	e.desc = (w->host + (n << q->geo.cluster_bits)) | QCOW2_COPIED;
	qcow2_l2_put(q, s, i, e);
	if (!w->keep)
		qcow2_free_entry(q, &old);
}

static int link_all(struct qcow2_write *w)
{
	struct qcow2 *q = w->job.q;
	struct qcow2_slice *s;
	uint64_t table, n;
	int ret;

	ret = qcow2_l2_table_for(q, &w->job, w->pos, &table);
	if (!ret && !w->keep)
		ret = qcow2_free_room(q, &w->job);
	if (!ret)
		ret = qcow2_slice_get_writable(
			q->l2, qcow2_slice_offset(q, table, w->pos), &w->job,
			&s);
	if (ret)
		return ret;
	for (n = 0; n < w->lock.count; n++)
		link_one(w, s, n);
	return 0;
}

static void link_step(struct qcow2_job *job)
{
	struct qcow2_write *w = WRITE(job);
	struct qcow2 *q = job->q;
	int ret = w->error ? w->error : job->error;

	if (!ret)
		ret = link_all(w);
	if (ret == QCOW2_WAIT)
		return;
	if (ret && !w->keep)
		qcow2_free_later(q, w->host,
				 w->lock.count << q->geo.cluster_bits);
	qcow2_range_unlock(q, &w->lock);
	if (!ret)
		advance(w, w->cow.data_end - w->pos);
	job->error = ret;
	write_step(job);
}

static void write_step(struct qcow2_job *job)
{
	struct qcow2_write *w = WRITE(job);
	struct qcow2 *q = job->q;
	struct qcow2_map map;
	int ret = job->error;

	job->step = write_step;
	if (!ret && w->pos == w->end) {
		end_write(w, 0);
		return;
	}
	if (!ret && q->corrupt)
		ret = -EIO;
	if (!ret && !w->req)
		ret = qcow2_turn(job, &w->steps, w->ends_with);
	if (!ret)
		ret = qcow2_lookup(q, job, w->pos, w->end - w->pos, true, &map);
	if (!ret && w->copy && map.kind == QCOW2_DATA) {
		advance(w, map.length);
		uring_post(q->b->uring, &job->op, 0);
		return;
	}
	if (!ret)
		ret = map.kind == QCOW2_DATA && map.copied ? in_place(w, &map)
							   : chunk(w);
	if (ret != QCOW2_WAIT)
		end_write(w, ret);
}

void qcow2_write_init(struct qcow2 *q, struct qcow2_write *w)
{
	qcow2_job_init(q, &w->job, NULL);
	w->in_flight.age = 0;
	w->steps = 0;
	w->lock.waiters = (struct qcow2_queue){ NULL, NULL };
}

void qcow2_write(struct qcow2_write *w)
{
	w->job.error = 0;
	write_step(&w->job);
}

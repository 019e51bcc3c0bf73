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

#include "block/qcow2/qcow2.h"

static void write_step(struct qcow2_job *job);
static void alloc_step(struct qcow2_job *job);
static void link_step(struct qcow2_job *job);

static void end_write(struct qcow2_task *t, int error)
{
	t->job.error = error;
	t->w.done(t);
}

static void advance(struct qcow2_task *t, uint64_t length)
{
	t->w.pos += length;
	if (t->w.src)
		t->w.src += length;
}

static bool is_unseen(const struct qcow2_task *t)
{
	return t->w.guest && t->req->unseen;
}

static void bounced(struct block_req *req, int error)
{
	struct qcow2_task *t = req->scratch;

	t->job.error = error;
	if (!error)
		t->w.src = (uint8_t *)req->buf + (t->w.pos - req->offset);
	write_step(&t->job);
}

static int need_bytes(struct qcow2_task *t)
{
	block_bounce(t->req, t->w.pos - t->req->offset, bounced);
	return QCOW2_WAIT;
}

static void in_place_done(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);

	qcow2_in_flight_remove(job->q, &t->in_flight);
	if (!job->error)
		advance(t, job->child.length);
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
	return qcow2_fence_check(q, host, length);
}

static int in_place(struct qcow2_task *t, const struct qcow2_map *map)
{
	struct qcow2 *q = t->job.q;
	uint64_t length = map->length;
	int ret = check_target(q, map->host, length);
	uintptr_t src;

	if (ret)
		return ret;
	t->job.step = in_place_done;
	qcow2_in_flight_add(q, &t->in_flight);
	if (t->w.guest) {
		src = (uintptr_t)t->req->buf + (t->w.pos - t->req->offset);
		qcow2_child_of(&t->job, q->data, BLOCK_WRITE, t->req,
			       (void *)src, length, map->host);
		return QCOW2_WAIT;
	}
	/* No sector in two parts: a crash between them would show both. */
	if (length > QCOW2_BUFFER)
		length = QCOW2_BUFFER - map->host % QCOW2_BLOCK;
	qcow2_child(&t->job, q->data, BLOCK_WRITE, q->zeros, length, map->host);
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

static uint64_t chunk_end(const struct qcow2_task *t)
{
	return qcow2_min(t->w.end, (t->w.lock.first + t->w.lock.count)
					   << t->job.q->geo.cluster_bits);
}

static unsigned int sub_of(const struct qcow2 *q, uint64_t guest)
{
	return (unsigned int)(qcow2_in_cluster(q, guest) >> q->geo.sub_bits);
}

/* Where must copying begin, and end, so that all it touches is complete? */
static uint64_t fill_from(const struct qcow2_task *t, const struct qcow2_l2e *e)
{
	const struct qcow2 *q = t->job.q;
	uint64_t pos = t->w.pos;

	if (t->w.keep && qcow2_kind_of(e, sub_of(q, pos)) == QCOW2_DATA)
		return pos;
	if (!t->w.keep && has_data(e))
		return pos - qcow2_in_cluster(q, pos);
	return pos & ~((1ULL << q->geo.sub_bits) - 1);
}

static uint64_t fill_to(const struct qcow2_task *t, const struct qcow2_l2e *e)
{
	const struct qcow2 *q = t->job.q;
	uint64_t end = t->w.data_end;

	if (t->w.keep && qcow2_kind_of(e, sub_of(q, end - 1)) == QCOW2_DATA)
		return end;
	if (!t->w.keep && has_data(e))
		return qcow2_round_up(end, q->geo.cluster_size);
	return qcow2_round_up(end, 1ULL << q->geo.sub_bits);
}

/*
 * A raw data file, or one that is a device, ends with the disk, maybe within a
 * cluster; what is behind both ends reads as zeros and needs no filling.
 */
static uint64_t cut_fill(const struct qcow2_task *t, uint64_t to)
{
	const struct qcow2 *q = t->job.q;
	uint64_t end = t->w.lock.first << q->geo.cluster_bits;

	if (qcow2_data_follows(q))
		to = qcow2_min(to, qcow2_round_up(q->end, QCOW2_SECTOR));
	if (q->data->opt.growable)
		return to;
	if (q->data->size > t->w.host)
		end += q->data->size - t->w.host;
	if (end < q->end)
		end = q->end;
	if (end < t->w.data_end)
		end = t->w.data_end;
	return qcow2_min(to, end);
}

static int chunk(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;
	uint64_t table, first = t->w.pos >> q->geo.cluster_bits, count;
	struct qcow2_slice *s;
	struct qcow2_l2e e;
	unsigned int i;
	int ret;

	if (is_unseen(t))
		return need_bytes(t);
	ret = qcow2_table_for(q, &t->job, t->w.pos, &table);
	if (!ret)
		ret = qcow2_slice_get(q->l2,
				      qcow2_slice_offset(q, table, t->w.pos),
				      &t->job, &s);
	if (ret)
		return ret;
	i = qcow2_slice_index(q, t->w.pos);
	e = qcow2_l2_get(q, s, i);
	ret = qcow2_l2_check(q, &e, t->w.pos, true);
	if (ret)
		return ret;
	count = ((t->w.end - 1) >> q->geo.cluster_bits) - first + 1;
	t->w.keep = is_own(q, &e);
	if (t->w.copy && t->w.keep)
		count = 1;
	count = chunk_clusters(q, s, i, count, t->w.keep);
	ret = qcow2_range_wait(q, first, count, &t->job);
	if (ret)
		return ret;
	if (t->w.keep && !q->geo.data_file) {
		ret = check_target(q, e.desc & QCOW2_OFFSET,
				   count << q->geo.cluster_bits);
		if (ret)
			return ret;
	}
	qcow2_range_lock(q, &t->w.lock, first, count);
	t->w.host = q->geo.data_file ? first << q->geo.cluster_bits
				     : e.desc & QCOW2_OFFSET;
	t->job.step = alloc_step;
	alloc_step(&t->job);
	return QCOW2_WAIT;
}

/*
 * ALLOCATE fills what has no data yet. Subclusters that have may be written in
 * place meanwhile, without a lock: copying them would bring old bytes back.
 */
static void stop_at_data(struct qcow2_task *t, const struct qcow2_l2e *e)
{
	const struct qcow2 *q = t->job.q;
	uint64_t start = t->w.pos - qcow2_in_cluster(q, t->w.pos);
	unsigned int i;

	for (i = sub_of(q, t->w.pos) + 1; i < q->geo.subs; i++) {
		if (qcow2_kind_of(e, i) != QCOW2_DATA)
			continue;
		t->w.data_end =
			qcow2_min(t->w.data_end,
				  start + ((uint64_t)i << q->geo.sub_bits));
		return;
	}
}

/* The clusters are locked; their slice is in the cache, or will be. */
static void prepare_fill(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	uint64_t table, last;
	struct qcow2_slice *s;
	struct qcow2_l2e e;
	int ret = job->error;

	if (!ret)
		ret = qcow2_table_for(q, job, t->w.pos, &table);
	if (!ret)
		ret = qcow2_slice_get(
			q->l2, qcow2_slice_offset(q, table, t->w.pos), job, &s);
	if (ret == QCOW2_WAIT)
		return;
	if (ret) {
		qcow2_write_link(t, ret);
		return;
	}
	t->w.data_end = chunk_end(t);
	e = qcow2_l2_get(q, s, qcow2_slice_index(q, t->w.pos));
	if (t->w.copy && t->w.keep)
		stop_at_data(t, &e);
	t->w.from = fill_from(t, &e);
	last = t->w.data_end - 1;
	e = qcow2_l2_get(q, s, qcow2_slice_index(q, last));
	t->w.to = cut_fill(t, fill_to(t, &e));
	qcow2_fill(t);
}

static void alloc_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	uint64_t got = t->w.lock.count;
	int ret = job->error;

	if (!ret && !t->w.keep)
		ret = qcow2_alloc(q, job, t->w.lock.count, &t->w.host, &got);
	if (ret == QCOW2_WAIT)
		return;
	if (ret) {
		qcow2_range_unlock(q, &t->w.lock);
		end_write(t, ret);
		return;
	}
	if (got < t->w.lock.count)
		qcow2_range_shrink(&t->w.lock, got);
	job->step = prepare_fill;
	prepare_fill(job);
}

void qcow2_write_link(struct qcow2_task *t, int error)
{
	t->w.error = error;
	t->job.error = 0;
	t->job.step = link_step;
	link_step(&t->job);
}

/* Sets the entry of cluster @n of the chunk; lets go what it had. */
static void link_one(struct qcow2_task *t, struct qcow2_slice *s, uint64_t n)
{
	struct qcow2 *q = t->job.q;
	uint64_t start = (t->w.lock.first + n) << q->geo.cluster_bits;
	uint64_t from = t->w.from > start ? t->w.from : start;
	uint64_t to = qcow2_min(t->w.to, start + q->geo.cluster_size);
	unsigned int i = qcow2_slice_index(q, start);
	unsigned int lo = sub_of(q, from), hi = sub_of(q, to - 1);
	struct qcow2_l2e e = qcow2_l2_get(q, s, i), old = e;
	uint64_t mask = (2ULL << hi) - (1ULL << lo);

	if (old.desc & QCOW2_COMPRESSED)
		e.bitmap = 0;
	e.bitmap = (e.bitmap & ~(mask | mask << 32)) | mask;
	e.desc = (t->w.host + (n << q->geo.cluster_bits)) | QCOW2_COPIED;
	qcow2_l2_put(q, s, i, e);
	if (!t->w.keep)
		qcow2_free_entry(q, &old);
}

static int link_all(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;
	struct qcow2_slice *s;
	uint64_t table, n;
	int ret;

	ret = qcow2_table_for(q, &t->job, t->w.pos, &table);
	if (!ret && !t->w.keep)
		ret = qcow2_free_room(q, &t->job);
	if (!ret)
		ret = qcow2_slice_get_writable(
			q->l2, qcow2_slice_offset(q, table, t->w.pos), &t->job,
			&s);
	if (ret)
		return ret;
	for (n = 0; n < t->w.lock.count; n++)
		link_one(t, s, n);
	return 0;
}

static void link_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	int ret = t->w.error ? t->w.error : job->error;

	if (!ret)
		ret = link_all(t);
	if (ret == QCOW2_WAIT)
		return;
	if (ret && !t->w.keep)
		qcow2_free_later(q, t->w.host,
				 t->w.lock.count << q->geo.cluster_bits);
	qcow2_range_unlock(q, &t->w.lock);
	if (!ret)
		advance(t, t->w.data_end - t->w.pos);
	job->error = ret;
	write_step(job);
}

static void write_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	struct qcow2_map map;
	int ret = job->error;

	job->step = write_step;
	if (!ret && t->w.pos == t->w.end) {
		end_write(t, 0);
		return;
	}
	if (!ret && q->corrupt)
		ret = -EIO;
	if (!ret && !t->w.guest)
		ret = qcow2_turn(job, &t->steps, qcow2_ends_with(t));
	if (!ret)
		ret = qcow2_lookup(q, job, t->w.pos, t->w.end - t->w.pos, true,
				   &map);
	if (!ret && t->w.copy && map.kind == QCOW2_DATA) {
		advance(t, map.length);
		uring_post(q->b->uring, &job->op, 0);
		return;
	}
	if (!ret)
		ret = map.kind == QCOW2_DATA && map.copied ? in_place(t, &map) :
							     chunk(t);
	if (ret != QCOW2_WAIT)
		end_write(t, ret);
}

void qcow2_write(struct qcow2_task *t)
{
	t->job.error = 0;
	write_step(&t->job);
}

static void request_written(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;

	if (!t->job.error)
		qcow2_store_end(q, t->w.end);
	qcow2_finish(t, t->job.error ? t->job.error : (int64_t)t->req->length);
}

static void request_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	int ret = job->error;

	if (!ret)
		ret = qcow2_grow(t, t->w.end);
	if (ret == QCOW2_WAIT)
		return;
	if (ret)
		qcow2_finish(t, ret);
	else
		qcow2_write(t);
}

void qcow2_write_request(struct qcow2_task *t)
{
	t->w.pos = t->req->offset;
	t->w.end = t->req->offset + t->req->length;
	t->w.src = t->req->unseen ? NULL : t->req->buf;
	t->w.guest = true;
	t->w.copy = false;
	t->w.done = request_written;
	t->job.error = 0;
	t->job.step = request_step;
	request_step(&t->job);
}

/*
 * Reads: a range is cut into runs of the same kind, and a run that is
 * contiguous in the file is one request straight into the caller's buffer.
 * Guest reads and the reads of copy on write come here.
 *
 * Of an unseen request (zero-copy), runs of data go straight to where it
 * wants them; at the first run that must be filled in here, the rest bounces.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/qcow2/qcow2.h"

static void read_step(struct qcow2_job *job);

static void end_read(struct qcow2_task *t, int error)
{
	t->job.error = error;
	t->r.done(t);
}

static void forward(struct qcow2_task *t, uint64_t length)
{
	t->r.pos += length;
	/* An unseen buffer begins at 0, which is no address. */
	t->r.buf = (uint8_t *)((uintptr_t)t->r.buf + (uintptr_t)length);
}

static bool is_unseen(const struct qcow2_task *t)
{
	return t->r.guest && t->req->unseen;
}

static void bounced(struct block_req *req, int error)
{
	struct qcow2_task *t = req->scratch;

	t->job.error = error;
	if (!error)
		t->r.buf = (uint8_t *)req->buf + (t->r.pos - req->offset);
	read_step(&t->job);
}

static int need_bytes(struct qcow2_task *t)
{
	block_bounce(t->req, t->r.pos - t->req->offset, bounced);
	return QCOW2_WAIT;
}

static void child_done(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	uint64_t got;

	if (t->in_flight.age)
		qcow2_in_flight_remove(job->q, &t->in_flight);
	if (job->error) {
		end_read(t, job->error);
		return;
	}
	got = (uint64_t)job->child.result;
	t->r.missing = t->r.length - got;
	forward(t, got);
	read_step(job);
}

static int read_child(struct qcow2_task *t, struct block *b, uint64_t length,
		      uint64_t offset)
{
	t->r.length = length;
	t->job.step = child_done;
	if (b != t->job.q->backing)
		qcow2_in_flight_add(t->job.q, &t->in_flight);
	if (t->r.guest)
		qcow2_child_of(&t->job, b, BLOCK_READ, t->req, t->r.buf, length,
			       offset);
	else
		qcow2_child(&t->job, b, BLOCK_READ, t->r.buf, length, offset);
	return QCOW2_WAIT;
}

static int read_zeros(struct qcow2_task *t, uint64_t length)
{
	if (is_unseen(t))
		return need_bytes(t);
	memset(t->r.buf, 0, length);
	forward(t, length);
	return 0;
}

static int read_packed(struct qcow2_task *t, const struct qcow2_map *map)
{
	struct qcow2 *q = t->job.q;
	int ret;

	if (is_unseen(t))
		return need_bytes(t);
	ret = qcow2_unpack(t, map->host);
	if (ret)
		return ret;
	memcpy(t->r.buf, q->unpack_out + qcow2_in_cluster(q, t->r.pos),
	       map->length);
	forward(t, map->length);
	return 0;
}

static int read_run(struct qcow2_task *t, const struct qcow2_map *map)
{
	struct qcow2 *q = t->job.q;
	uint64_t below;

	switch (map->kind) {
	case QCOW2_DATA:
		return read_child(t, q->data, map->length, map->host);
	case QCOW2_PACKED:
		return read_packed(t, map);
	case QCOW2_UNALLOCATED:
		below = qcow2_backing_left(q, t->r.pos);
		if (below)
			return read_child(t, q->backing,
					  qcow2_min(below, map->length),
					  t->r.pos);
		/* fall through */
	default:
		return read_zeros(t, map->length);
	}
}

/* What the file or the backing file does not have reads as zeros. */
static int read_missing(struct qcow2_task *t)
{
	int ret = read_zeros(t, t->r.missing);

	if (!ret)
		t->r.missing = 0;
	return ret;
}

static void read_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2_map map;
	int ret = job->error;

	job->step = read_step;
	if (!ret && t->r.missing)
		ret = read_missing(t);
	while (!ret && t->r.pos < t->r.end) {
		ret = qcow2_lookup(job->q, job, t->r.pos, t->r.end - t->r.pos,
				   false, &map);
		if (!ret)
			ret = read_run(t, &map);
	}
	if (ret != QCOW2_WAIT)
		end_read(t, ret);
}

void qcow2_read(struct qcow2_task *t)
{
	t->job.error = 0;
	t->r.missing = 0;
	read_step(&t->job);
}

void qcow2_read_again(struct qcow2_task *t)
{
	read_step(&t->job);
}

static void request_read(struct qcow2_task *t)
{
	qcow2_finish(t, t->job.error ? t->job.error : (int64_t)t->req->length);
}

void qcow2_read_request(struct qcow2_task *t)
{
	t->r.pos = t->req->offset;
	t->r.end = t->req->offset + t->req->length;
	t->r.buf = t->req->buf;
	t->r.guest = true;
	t->r.done = request_read;
	qcow2_read(t);
}

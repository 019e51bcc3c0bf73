/*
 * Reads: a range is cut into runs of the same kind, and a run that is
 * contiguous in the file is one request straight into the caller's buffer.
 * Guest reads and the reads of copy on write come here.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/qcow2/qcow2.h"

static void read_step(struct qcow2_job *job);

uint64_t qcow2_backing_left(const struct qcow2 *q, uint64_t guest)
{
	if (!q->backing || guest >= q->backing->size)
		return 0;
	return q->backing->size - guest;
}

static void end_read(struct qcow2_task *t, int error)
{
	t->job.error = error;
	t->r.done(t);
}

static void child_done(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	uint64_t got;

	if (t->held_seq)
		qcow2_release(t);
	t->held_seq = 0;
	if (job->error) {
		end_read(t, job->error);
		return;
	}
	/* What the file or the backing file does not have reads as zeros. */
	got = (uint64_t)job->child.result;
	memset(t->r.buf + got, 0, t->r.length - got);
	t->r.pos += t->r.length;
	t->r.buf += t->r.length;
	read_step(job);
}

static int read_child(struct qcow2_task *t, struct block *b, uint64_t length,
		      uint64_t offset)
{
	t->r.length = length;
	t->job.step = child_done;
	if (b != t->job.q->backing)
		qcow2_hold(t);
	qcow2_child(&t->job, b, BLOCK_READ, t->r.buf, length, offset);
	return QCOW2_WAIT;
}

static void skip(struct qcow2_task *t, uint64_t length)
{
	t->r.pos += length;
	t->r.buf += length;
}

static int read_run(struct qcow2_task *t, const struct qcow2_map *map)
{
	struct qcow2 *q = t->job.q;
	uint64_t below;
	int ret;

	switch (map->kind) {
	case QCOW2_DATA:
		return read_child(t, q->data, map->length, map->host);
	case QCOW2_PACKED:
		ret = qcow2_unpack(t, map->host);
		if (ret)
			return ret;
		memcpy(t->r.buf,
		       q->unpack_out + qcow2_in_cluster(q, t->r.pos),
		       map->length);
		break;
	case QCOW2_UNALLOCATED:
		below = qcow2_backing_left(q, t->r.pos);
		if (below)
			return read_child(t, q->backing,
					  qcow2_min(below, map->length),
					  t->r.pos);
		/* fall through */
	default:
		memset(t->r.buf, 0, map->length);
	}
	skip(t, map->length);
	return 0;
}

static void read_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2_map map;
	int ret = job->error;

	job->step = read_step;
	while (!ret && t->r.pos < t->r.end) {
		ret = qcow2_lookup(job->q, job, t->r.pos, t->r.end - t->r.pos,
				   &map);
		if (!ret)
			ret = read_run(t, &map);
	}
	if (ret != QCOW2_WAIT)
		end_read(t, ret);
}

void qcow2_read(struct qcow2_task *t)
{
	t->job.error = 0;
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
	t->r.done = request_read;
	qcow2_read(t);
}

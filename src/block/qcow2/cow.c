/*
 * What surrounds a write in a new cluster: from the start of the first cluster
 * (or subcluster) to the data, and from the data to the end of the last one,
 * the guest's bytes stay what they were. They are read through the old mapping
 * into a buffer and written to the new place.
 *
 *   t->w.from     t->w.pos           t->w.data_end     t->w.to
 *      |  head       |      data           |     tail     |
 *
 * If all of it fits into a buffer it is put together there and written at
 * once; else head and tail go piece by piece, and the data in one request.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/qcow2/qcow2.h"

static void next_piece(struct qcow2_task *t);

static void end_fill(struct qcow2_task *t, int error)
{
	qcow2_give_buffer(t->job.q, t->w.buffer);
	t->w.buffer = NULL;
	qcow2_write_link(t, error);
}

static void written(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);

	if (job->error) {
		end_fill(t, job->error);
		return;
	}
	t->w.cow += job->child.length;
	next_piece(t);
}

static void write_out(struct qcow2_task *t, const void *buf, uint64_t length)
{
	struct qcow2 *q = t->job.q;

	t->job.step = written;
	qcow2_child(&t->job, q->data, BLOCK_WRITE, (void *)(uintptr_t)buf,
		    length,
		    t->w.host + t->w.cow - (t->w.first << q->cluster_bits));
}

static void read_old(struct qcow2_task *t, uint64_t from, uint64_t to,
		     uint8_t *buf, void (*done)(struct qcow2_task *t))
{
	t->r.pos = from;
	t->r.end = to;
	t->r.buf = buf;
	t->r.guest = false;
	t->r.done = done;
	qcow2_read(t);
}

static void piece_read(struct qcow2_task *t)
{
	if (t->job.error)
		end_fill(t, t->job.error);
	else
		write_out(t, t->w.buffer, t->w.piece);
}

static void copy_piece(struct qcow2_task *t, uint64_t to)
{
	t->w.piece = (uint32_t)qcow2_min(QCOW2_BUFFER, to - t->w.cow);
	read_old(t, t->w.cow, t->w.cow + t->w.piece, t->w.buffer, piece_read);
}

static void next_piece(struct qcow2_task *t)
{
	uint64_t left = t->w.data_end - t->w.cow;

	if (t->w.cow == t->w.to)
		end_fill(t, 0);
	else if (t->w.copy)
		copy_piece(t, t->w.to);
	else if (t->w.cow < t->w.pos)
		copy_piece(t, t->w.pos);
	else if (t->w.cow >= t->w.data_end)
		copy_piece(t, t->w.to);
	else if (t->w.src)
		write_out(t, t->w.src, left);
	else
		write_out(t, t->job.q->zeros, qcow2_min(left, QCOW2_BUFFER));
}

static void whole_tail_read(struct qcow2_task *t)
{
	uint64_t length = t->w.data_end - t->w.pos;
	uint8_t *at = t->w.buffer + (t->w.pos - t->w.from);

	if (t->job.error) {
		end_fill(t, t->job.error);
		return;
	}
	if (t->w.src)
		memcpy(at, t->w.src, length);
	else
		memset(at, 0, length);
	write_out(t, t->w.buffer, t->w.to - t->w.from);
}

static void whole_head_read(struct qcow2_task *t)
{
	if (t->job.error)
		end_fill(t, t->job.error);
	else
		read_old(t, t->w.data_end, t->w.to,
			 t->w.buffer + (t->w.data_end - t->w.from),
			 whole_tail_read);
}

static void start_fill(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);

	if (!job->error && !t->w.buffer)
		t->w.buffer = qcow2_take_buffer(job->q, job);
	if (job->error)
		end_fill(t, job->error);
	else if (!t->w.buffer)
		return;
	else if (t->w.to - t->w.from <= QCOW2_BUFFER && !t->w.copy)
		read_old(t, t->w.from, t->w.pos, t->w.buffer, whole_head_read);
	else
		next_piece(t);
}

void qcow2_fill(struct qcow2_task *t)
{
	t->w.cow = t->w.from;
	t->job.error = 0;
	t->job.step = start_fill;
	if (!t->w.copy && t->w.from == t->w.pos && t->w.to == t->w.data_end)
		next_piece(t);
	else
		start_fill(&t->job);
}

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
 * once; else in pieces, and the middle of the data from where it lies.
 *
 * No two pieces share a block. A cluster of our own may read as zeros only
 * since a moment ago, and on the disk still be the data that it was: what is
 * written here is in the place of that data at once. After a crash each sector
 * may be what it was, or what it is to be, but none may be the guest's new
 * bytes beside the old ones.
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
		    t->w.host + t->w.cow -
			    (t->w.lock.first << q->geo.cluster_bits));
}

static void read_old(struct qcow2_task *t, uint64_t from, uint64_t to,
		     void (*done)(struct qcow2_task *t))
{
	t->r.pos = from;
	t->r.end = to;
	t->r.buf = t->w.buffer + (from - t->w.cow);
	t->r.guest = false;
	t->r.done = done;
	qcow2_read(t);
}

static void tail_read(struct qcow2_task *t)
{
	if (t->job.error)
		end_fill(t, t->job.error);
	else
		write_out(t, t->w.buffer, t->w.piece);
}

/* The data of the piece, if any, and the old bytes behind it. */
static void head_read(struct qcow2_task *t)
{
	uint64_t end = t->w.cow + t->w.piece;
	uint64_t from = t->w.pos > t->w.cow ? t->w.pos : t->w.cow;
	uint64_t to = qcow2_min(t->w.data_end, end);

	if (t->job.error) {
		end_fill(t, t->job.error);
		return;
	}
	if (t->w.copy)
		to = end;
	else if (from >= to)
		to = qcow2_min(from, end);
	else if (t->w.src)
		memcpy(t->w.buffer + (from - t->w.cow),
		       t->w.src + (from - t->w.pos), to - from);
	else
		memset(t->w.buffer + (from - t->w.cow), 0, to - from);
	read_old(t, to, end, tail_read);
}

/* How much of [w.cow, @end) goes at once: no block in two parts. */
static uint32_t portion(const struct qcow2_task *t, uint64_t end)
{
	if (end - t->w.cow > QCOW2_BUFFER)
		end = (t->w.cow + QCOW2_BUFFER) & ~(uint64_t)(QCOW2_BLOCK - 1);
	return (uint32_t)(end - t->w.cow);
}

/* In the buffer: old bytes, data, old bytes, as far as the piece has them. */
static void put_together(struct qcow2_task *t, uint64_t end)
{
	uint64_t head;

	t->w.piece = portion(t, end);
	end = t->w.cow + t->w.piece;
	head = t->w.copy ? end : qcow2_min(t->w.pos, end);
	if (head < t->w.cow)
		head = t->w.cow;
	read_old(t, t->w.cow, head, head_read);
}

/* The part of the data that shares no block with what surrounds it. */
static void find_middle(const struct qcow2_task *t, uint64_t *from,
			uint64_t *to)
{
	bool head = t->w.from < t->w.pos, tail = t->w.data_end < t->w.to;

	*from = head ? qcow2_round_up(t->w.pos, QCOW2_BLOCK) : t->w.pos;
	*to = tail ? t->w.data_end & ~(uint64_t)(QCOW2_BLOCK - 1)
		   : t->w.data_end;
	if (t->w.copy || *from >= *to ||
	    ((head || tail) && t->w.to - t->w.from <= QCOW2_BUFFER))
		*from = *to = t->w.to;
}

static void next_piece(struct qcow2_task *t)
{
	uint64_t from, to;

	find_middle(t, &from, &to);
	if (t->w.cow == t->w.to)
		end_fill(t, 0);
	else if (t->w.cow < from)
		put_together(t, from);
	else if (t->w.cow >= to)
		put_together(t, t->w.to);
	else if (t->w.src)
		write_out(t, t->w.src + (t->w.cow - t->w.pos), to - t->w.cow);
	else
		write_out(t, t->job.q->zeros, portion(t, to));
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

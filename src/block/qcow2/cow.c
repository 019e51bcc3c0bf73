/*
 * What surrounds a write in a new cluster: from the start of the first cluster
 * (or subcluster) to the data, and from the data to the end of the last one,
 * the guest's bytes stay what they were. They are read through the old mapping
 * into a buffer and written to the new place.
 *
 *    from           pos                data_end        to
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

#include "block/qcow2/buffer.h"
#include "block/qcow2/cow.h"
#include "block/qcow2/format.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/read.h"

#define COW(j) container_of(j, struct qcow2_cow, job)

static void next_piece(struct qcow2_cow *c);

static void end_fill(struct qcow2_cow *c, int error)
{
	qcow2_give_buffer(c->job.q, c->buffer);
	c->buffer = NULL;
	c->done(c, error);
}

static void written(struct qcow2_job *job)
{
	struct qcow2_cow *c = COW(job);

	if (job->error) {
		end_fill(c, job->error);
		return;
	}
	c->at += job->child.length;
	next_piece(c);
}

static void write_out(struct qcow2_cow *c, const void *buf, uint64_t length)
{
	struct qcow2 *q = c->job.q;

	c->job.step = written;
	qcow2_child(&c->job, q->data, BLOCK_WRITE, (void *)(uintptr_t)buf,
		    length, c->host + c->at - (c->first));
}

static void read_old(struct qcow2_cow *c, uint64_t from, uint64_t to,
		     void (*done)(struct qcow2_read *r, int error))
{
	c->read.pos = from;
	c->read.end = to;
	c->read.buf = c->buffer + (from - c->at);
	c->read.done = done;
	qcow2_read(&c->read);
}

static void tail_read(struct qcow2_read *r, int error)
{
	struct qcow2_cow *c = container_of(r, struct qcow2_cow, read);

	if (error)
		end_fill(c, error);
	else
		write_out(c, c->buffer, c->piece);
}

/* The data of the piece, if any, and the old bytes behind it. */
static void head_read(struct qcow2_read *r, int error)
{
	struct qcow2_cow *c = container_of(r, struct qcow2_cow, read);
	uint64_t end = c->at + c->piece;
	uint64_t from = c->pos > c->at ? c->pos : c->at;
	uint64_t to = qcow2_min(c->data_end, end);

	if (error) {
		end_fill(c, error);
		return;
	}
	if (c->copy)
		to = end;
	else if (from >= to)
		to = qcow2_min(from, end);
	else if (c->src)
		memcpy(c->buffer + (from - c->at), c->src + (from - c->pos),
		       to - from);
	else
		memset(c->buffer + (from - c->at), 0, to - from);
	read_old(c, to, end, tail_read);
}

/* How much of [w.cow, @end) goes at once: no block in two parts. */
static uint32_t portion(const struct qcow2_cow *c, uint64_t end)
{
	if (end - c->at > QCOW2_BUFFER)
		end = (c->at + QCOW2_BUFFER) & ~(uint64_t)(QCOW2_BLOCK - 1);
	return (uint32_t)(end - c->at);
}

/* In the buffer: old bytes, data, old bytes, as far as the piece has them. */
static void put_together(struct qcow2_cow *c, uint64_t end)
{
	uint64_t head;

	c->piece = portion(c, end);
	end = c->at + c->piece;
	head = c->copy ? end : qcow2_min(c->pos, end);
	if (head < c->at)
		head = c->at;
	read_old(c, c->at, head, head_read);
}

/* The part of the data that shares no block with what surrounds it. */
static void find_middle(const struct qcow2_cow *c, uint64_t *from, uint64_t *to)
{
	bool head = c->from < c->pos, tail = c->data_end < c->to;

	*from = head ? qcow2_round_up(c->pos, QCOW2_BLOCK) : c->pos;
	*to = tail ? c->data_end & ~(uint64_t)(QCOW2_BLOCK - 1) : c->data_end;
	if (c->copy || *from >= *to ||
	    ((head || tail) && c->to - c->from <= QCOW2_BUFFER))
		*from = *to = c->to;
}

static void next_piece(struct qcow2_cow *c)
{
	uint64_t from, to;

	find_middle(c, &from, &to);
	if (c->at == c->to)
		end_fill(c, 0);
	else if (c->at < from)
		put_together(c, from);
	else if (c->at >= to)
		put_together(c, c->to);
	else if (c->src)
		write_out(c, c->src + (c->at - c->pos), to - c->at);
	else
		write_out(c, c->job.q->zeros, portion(c, to));
}

static void start_fill(struct qcow2_job *job)
{
	struct qcow2_cow *c = COW(job);

	if (!job->error && !c->buffer)
		c->buffer = qcow2_take_buffer(job->q, job);
	if (job->error)
		end_fill(c, job->error);
	else if (!c->buffer)
		return;
	else
		next_piece(c);
}

void qcow2_cow_init(struct qcow2 *q, struct qcow2_cow *c)
{
	qcow2_job_init(q, &c->job, NULL);
	qcow2_read_init(q, &c->read);
	c->read.req = NULL;
	c->buffer = NULL;
}

void qcow2_cow(struct qcow2_cow *c)
{
	c->at = c->from;
	c->job.error = 0;
	c->job.step = start_fill;
	if (!c->copy && c->from == c->pos && c->to == c->data_end)
		next_piece(c);
	else
		start_fill(&c->job);
}

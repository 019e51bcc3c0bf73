/*
 * Whatever waits. A job goes on in steps, each of which runs to its end
 * without waiting: it looks up everything it needs; if something is not there
 * it waits for it and starts over when woken. So nothing that was looked up
 * is ever kept across a wait, and nothing needs to be pinned.
 *
 * Waking is by uring_post(), so a queue of a thousand jobs does not nest a
 * thousand calls.
 *
 * Holds. A request to the file that was made from a mapping must end before
 * the clusters of this mapping are used for something else, even if the
 * mapping itself has gone meanwhile (a discard beside a read). q->held_first
 * lists the tasks with such a request, oldest first; free.c waits for those
 * that are older than what it is about to free.
 *
 * Turns. What may take long (an allocation of gigabytes, a discard of the disk,
 * a seek through all tables) asks qcow2_turn() before each step: it lets others
 * in between, and ends early when nobody waits for its answer any more, or its
 * caller has got a signal. A
 * repair, at open, is long as well: a signal ends the process then.
 *
 * Locks. A lock keeps other changes of these guest clusters waiting; reads go
 * on with the old mapping, which stays whole until the new one is complete.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define TURN 64u /* steps of long work, then others: a millisecond at most */

int qcow2_wait(struct qcow2_queue *queue, struct qcow2_job *job)
{
	job->next = NULL;
	if (queue->last)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
	return QCOW2_WAIT;
}

void qcow2_wake(struct qcow2_queue *queue, int error)
{
	struct qcow2_job *job = queue->first, *next;

	queue->first = queue->last = NULL;
	for (; job; job = next) {
		next = job->next;
		if (error)
			job->error = error;
		uring_post(job->q->b->uring, &job->op, 0);
	}
}

void qcow2_wake_starter(struct qcow2_queue *queue, int error)
{
	if (error && queue->first)
		queue->first->error = error;
	qcow2_wake(queue, 0);
}

static void woken(struct op *op, int res, unsigned int flags)
{
	struct qcow2_job *job = container_of(op, struct qcow2_job, op);

	(void)res;
	(void)flags;
	job->step(job);
}

void qcow2_job_init(struct qcow2 *q, struct qcow2_job *job,
		    void (*step)(struct qcow2_job *job))
{
	job->q = q;
	job->step = step;
	job->error = 0;
	job->op.done = woken;
}

int qcow2_io_error(const struct block_req *req)
{
	if (req->result < 0)
		return (int)req->result;
	/* A node below writes all or tells why not: but let no part pass. */
	if (req->type == BLOCK_WRITE && (uint64_t)req->result < req->length)
		return -EIO;
	return 0;
}

static void child_done(struct block_req *req)
{
	struct qcow2_job *job = container_of(req, struct qcow2_job, child);

	job->error = qcow2_io_error(req);
	job->step(job);
}

void qcow2_child(struct qcow2_job *job, struct block *b, enum block_type type,
		 void *buf, uint64_t length, uint64_t offset)
{
	qcow2_child_of(job, b, type, NULL, buf, length, offset);
}

void qcow2_child_of(struct qcow2_job *job, struct block *b,
		    enum block_type type, const struct block_req *req,
		    void *buf, uint64_t length, uint64_t offset)
{
	job->child.type = type;
	job->child.flags = 0;
	job->child.buf = buf;
	job->child.fixed = req ? req->fixed : 0;
	job->child.unseen = req && req->unseen;
	job->child.part_of = req;
	job->child.length = length;
	job->child.offset = offset;
	job->child.done = child_done;
	block_submit(b, &job->child);
}

/* A free buffer begins with the address of the next one. */
static uint8_t **next_buffer(uint8_t *buffer)
{
	return (void *)buffer;
}

uint8_t *qcow2_take_buffer(struct qcow2 *q, struct qcow2_job *job)
{
	uint8_t *buffer = q->free_buffer;

	if (buffer)
		q->free_buffer = *next_buffer(buffer);
	else
		qcow2_wait(&q->buffer_waiters, job);
	return buffer;
}

void qcow2_give_buffer(struct qcow2 *q, uint8_t *buffer)
{
	if (!buffer)
		return;
	*next_buffer(buffer) = q->free_buffer;
	q->free_buffer = buffer;
	qcow2_wake(&q->buffer_waiters, 0);
}

void qcow2_hold(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;

	t->held_seq = q->seq;
	t->held_next = NULL;
	t->held_prev = q->held_last;
	if (q->held_last)
		q->held_last->held_next = t;
	else
		q->held_first = t;
	q->held_last = t;
}

void qcow2_release(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;

	if (t->held_prev)
		t->held_prev->held_next = t->held_next;
	else
		q->held_first = t->held_next;
	if (t->held_next)
		t->held_next->held_prev = t->held_prev;
	else
		q->held_last = t->held_prev;
	if (q->freer.state == QCOW2_FREER_HELD)
		qcow2_free_check(q);
}

/* Gives waiting requests a task, as long as there are any. */
static void fifo_run(struct op *op, int res, unsigned int flags)
{
	struct qcow2 *q = container_of(op, struct qcow2, fifo_op);
	struct block_req *req;
	struct qcow2_task *t;

	(void)res;
	(void)flags;
	q->fifo_posted = false;
	while (q->fifo_first && q->free_task) {
		req = q->fifo_first;
		q->fifo_first = req->scratch;
		if (!q->fifo_first)
			q->fifo_last = NULL;
		t = q->free_task;
		q->free_task = t->next_free;
		t->req = req;
		qcow2_start(t);
	}
}

static void fifo_post(struct qcow2 *q)
{
	if (q->fifo_posted || !q->fifo_first || !q->free_task)
		return;
	q->fifo_posted = true;
	q->fifo_op.done = fifo_run;
	uring_post(q->b->uring, &q->fifo_op, 0);
}

void qcow2_fifo_add(struct qcow2 *q, struct block_req *req)
{
	struct qcow2_task *t = q->free_task;

	if (t && !q->fifo_first) {
		q->free_task = t->next_free;
		t->req = req;
		qcow2_start(t);
		return;
	}
	req->scratch = NULL;
	if (q->fifo_last)
		q->fifo_last->scratch = req;
	else
		q->fifo_first = req;
	q->fifo_last = req;
	fifo_post(q);
}

int qcow2_turn(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;

	/* A WRITE has an end that is near, and so has what grows the disk. */
	if (t->req && t->req->type != BLOCK_WRITE) {
		if (q->b->stopping)
			return -ESHUTDOWN;
		if (block_is_cancelled(t->req))
			return -EINTR;
	}
	if (++t->steps % TURN)
		return 0;
	uring_post(q->b->uring, &t->job.op, 0);
	return QCOW2_WAIT;
}

static void finish_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	struct block_req *req = t->req;

	assert(!t->unlock.first);
	t->next_free = q->free_task;
	q->free_task = t;
	fifo_post(q);
	block_complete(req, t->result);
}

/* All that finds what was written is stable, or is not to be. */
static void stored(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);

	if (job->error)
		t->result = job->error;
	job->step = finish_step;
	finish_step(job);
}

/* A truncation stores the size by itself. */
static bool is_to_be_stored(const struct qcow2_task *t)
{
	const struct qcow2 *q = t->job.q;

	switch (t->req->type) {
	case BLOCK_WRITE:
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
		return q->b->opt.write_through && t->result >= 0 &&
		       (qcow2_is_dirty(q) || q->wb.busy);
	default:
		return false;
	}
}

void qcow2_finish(struct qcow2_task *t, int64_t result)
{
	t->result = result;
	if (is_to_be_stored(t)) {
		t->job.error = 0;
		t->job.step = stored;
		qcow2_writeback(t->job.q, &t->job);
		return;
	}
	t->job.step = finish_step;
	if (t->submitting)
		uring_post(t->job.q->b->uring, &t->job.op, 0);
	else
		finish_step(&t->job);
}

static struct qcow2_task *who_locks(const struct qcow2 *q, uint64_t first,
				    uint64_t count)
{
	struct qcow2_task *t = q->locked_first;

	while (t && (t->w.first >= first + count ||
		     first >= t->w.first + t->w.count))
		t = t->locked_next;
	return t;
}

bool qcow2_is_locked(const struct qcow2 *q, uint64_t first, uint64_t count)
{
	return who_locks(q, first, count);
}

int qcow2_lock_check(struct qcow2_task *t, uint64_t first, uint64_t count)
{
	struct qcow2_task *other = who_locks(t->job.q, first, count);

	return other ? qcow2_wait(&other->unlock, &t->job) : 0;
}

void qcow2_lock(struct qcow2_task *t, uint64_t first, uint64_t count)
{
	struct qcow2 *q = t->job.q;

	t->w.first = first;
	t->w.count = count;
	t->locked_prev = NULL;
	t->locked_next = q->locked_first;
	if (q->locked_first)
		q->locked_first->locked_prev = t;
	q->locked_first = t;
}

void qcow2_unlock(struct qcow2_task *t)
{
	if (t->locked_prev)
		t->locked_prev->locked_next = t->locked_next;
	else
		t->job.q->locked_first = t->locked_next;
	if (t->locked_next)
		t->locked_next->locked_prev = t->locked_prev;
	qcow2_wake(&t->unlock, 0);
}

int qcow2_pools_init(struct qcow2 *q)
{
	unsigned int i, buffers = q->b->opt.read_only ? 0 : QCOW2_BUFFERS;

	q->header = aligned_alloc(4096, 4096);
	q->header_writer.copy = aligned_alloc(4096, 4096);
	q->tasks = calloc(QCOW2_TASKS, sizeof(*q->tasks));
	if (!q->header || !q->header_writer.copy || !q->tasks)
		return -ENOMEM;
	for (i = 0; i < QCOW2_TASKS; i++) {
		qcow2_job_init(q, &q->tasks[i].job, NULL);
		q->tasks[i].next_free = q->free_task;
		q->free_task = &q->tasks[i];
	}
	if (!buffers)
		return 0;
	q->buffers = aligned_alloc(4096, QCOW2_BUFFER * buffers);
	q->zeros = aligned_alloc(4096, QCOW2_BUFFER);
	q->frees.list = calloc(QCOW2_FREES, sizeof(*q->frees.list));
	q->freer.frees.list = calloc(QCOW2_FREES, sizeof(*q->frees.list));
	if (!q->buffers || !q->zeros || !q->frees.list || !q->freer.frees.list)
		return -ENOMEM;
	memset(q->zeros, 0, QCOW2_BUFFER);
	for (i = 0; i < buffers; i++)
		qcow2_give_buffer(q, q->buffers + i * QCOW2_BUFFER);
	return 0;
}

void qcow2_pools_free(struct qcow2 *q)
{
	free(q->header);
	free(q->header_writer.copy);
	free(q->tasks);
	free(q->buffers);
	free(q->zeros);
	free(q->frees.list);
	free(q->freer.frees.list);
}

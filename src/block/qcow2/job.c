/*
 * Whatever waits. A job goes on in steps, each of which runs to its end
 * without waiting: it looks up everything it needs; if something is not there
 * it waits for it and starts over when woken. So nothing that was looked up
 * is ever kept across a wait, and nothing needs to be pinned.
 *
 * Waking is by uring_post(), so a queue of a thousand jobs does not nest a
 * thousand calls.
 *
 * Turns. What may take long (an allocation of gigabytes, a discard of the disk,
 * a seek through all tables) asks qcow2_turn() before each step: it lets others
 * in between, and ends early when nobody waits for its answer any more, or its
 * caller has got a signal. A repair, at open, is long as well: a signal ends
 * the process then.
 */
#include "config.h"

#include <errno.h>

#include "block/qcow2/image.h"
#include "block/qcow2/job.h"

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
	job->child.cancelled = false;
	job->child.part_of = req;
	job->child.length = length;
	job->child.offset = offset;
	job->child.done = child_done;
	block_submit(b, &job->child);
}

int qcow2_step_later(struct qcow2_job *job)
{
	uring_post(job->q->b->uring, &job->op, 0);
	return QCOW2_WAIT;
}

int qcow2_turn(struct qcow2_job *job, unsigned int *steps,
	       const struct block_req *req)
{
	if (req && job->q->b->stopping)
		return -ESHUTDOWN;
	if (req && block_is_cancelled(req))
		return -EINTR;
	return ++*steps % TURN ? 0 : qcow2_step_later(job);
}

/*
 * Requests of the guest, and the tasks that they get: QCOW2_TASKS run at the
 * same time, the others wait for a task, first come, first served.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "block/qcow2/qcow2.h"

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

const struct block_req *qcow2_ends_with(const struct qcow2_task *t)
{
	return t->req && t->req->type != BLOCK_WRITE ? t->req : NULL;
}

static void finish_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	struct block_req *req = t->req;

	assert(!t->w.lock.waiters.first && !t->in_flight.age);
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
		       (qcow2_is_dirty(q) || qcow2_writeback_busy(q));
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
		qcow2_step_later(&t->job);
	else
		finish_step(&t->job);
}

int qcow2_pools_init(struct qcow2 *q)
{
	unsigned int i;

	q->tasks = calloc(QCOW2_TASKS, sizeof(*q->tasks));
	if (!q->tasks || qcow2_header_init(q))
		return -ENOMEM;
	for (i = 0; i < QCOW2_TASKS; i++) {
		qcow2_job_init(q, &q->tasks[i].job, NULL);
		q->tasks[i].next_free = q->free_task;
		q->free_task = &q->tasks[i];
	}
	qcow2_in_flight_init(q);
	return q->b->opt.read_only ? 0 : qcow2_buffers_init(q);
}

void qcow2_pools_free(struct qcow2 *q)
{
	qcow2_buffers_free(q);
	qcow2_header_free(q);
	free(q->tasks);
}

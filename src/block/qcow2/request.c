/*
 * Requests of the guest, and the tasks that they get: QCOW2_TASKS run at the
 * same time, the others wait for a task, first come, first served.
 *
 * What reaches past the end of the disk makes that grow first; only then is the
 * write, or whatever it is, begun.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "block/qcow2/discard.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/read.h"
#include "block/qcow2/request.h"
#include "block/qcow2/resize.h"
#include "block/qcow2/seek.h"
#include "block/qcow2/stat.h"
#include "block/qcow2/write.h"
#include "block/qcow2/writeback.h"

struct task {
	struct qcow2_job job;
	struct block_req *req;
	struct task *next_free;
	bool submitting; /* within submit(): must not complete */
	int64_t result;
	union {
		struct qcow2_read read;
		struct qcow2_write write;
		struct qcow2_zero zero;
		struct qcow2_seek seek;
		struct qcow2_stat stat;
		struct qcow2_truncate truncate;
	};
};

struct qcow2_tasks {
	struct qcow2 *q;
	struct task *free;
	struct block_req *first, *last; /* wait for a task */
	struct op op;
	bool posted;
	struct task tasks[QCOW2_TASKS];
};

#define TASK(j) container_of(j, struct task, job)

static void start(struct task *t);

/* Gives waiting requests a task, as long as there are any. */
static void run(struct op *op, int res, unsigned int flags)
{
	struct qcow2_tasks *ts = container_of(op, struct qcow2_tasks, op);
	struct block_req *req;
	struct task *t;

	(void)res;
	(void)flags;
	ts->posted = false;
	while (ts->first && ts->free) {
		req = ts->first;
		ts->first = req->scratch;
		if (!ts->first)
			ts->last = NULL;
		t = ts->free;
		ts->free = t->next_free;
		t->req = req;
		start(t);
	}
}

static void post(struct qcow2_tasks *ts)
{
	if (ts->posted || !ts->first || !ts->free)
		return;
	ts->posted = true;
	ts->op.done = run;
	uring_post(ts->q->b->uring, &ts->op, 0);
}

void qcow2_request(struct qcow2 *q, struct block_req *req)
{
	struct qcow2_tasks *ts = q->tasks;
	struct task *t = ts->free;

	if (t && !ts->first) {
		ts->free = t->next_free;
		t->req = req;
		start(t);
		return;
	}
	req->scratch = NULL;
	if (ts->last)
		ts->last->scratch = req;
	else
		ts->first = req;
	ts->last = req;
	post(ts);
}

static void finish_step(struct qcow2_job *job)
{
	struct qcow2_tasks *ts = job->q->tasks;
	struct task *t = TASK(job);
	struct block_req *req = t->req;

	t->next_free = ts->free;
	ts->free = t;
	post(ts);
	block_complete(req, t->result);
}

/* All that finds what was written is stable, or is not to be. */
static void stored(struct qcow2_job *job)
{
	if (job->error)
		TASK(job)->result = job->error;
	job->step = finish_step;
	finish_step(job);
}

/* A truncation stores the size by itself. */
static bool is_to_be_stored(const struct task *t)
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

static void finish(struct task *t, int64_t result)
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

static bool may_grow(const struct block_req *req)
{
	return req->type != BLOCK_DISCARD && !(req->flags & BLOCK_KEEP_SIZE);
}

/* A modification is over. */
static void modified(struct task *t, int error)
{
	const struct block_req *req = t->req;

	if (!error && may_grow(req))
		qcow2_store_end(t->job.q, req->offset + req->length);
	if (!error && req->type == BLOCK_WRITE)
		finish(t, (int64_t)req->length);
	else
		finish(t, error);
}

static void written(struct qcow2_write *w, int error)
{
	assert(!w->lock.waiters.first && !w->in_flight.age);
	modified(container_of(w, struct task, write), error);
}

static void zeroed(struct qcow2_zero *z, int error)
{
	modified(container_of(z, struct task, zero), error);
}

static void start_write(struct task *t)
{
	struct block_req *req = t->req;
	struct qcow2_write *w = &t->write;
	bool allocate = req->type == BLOCK_ALLOCATE;

	qcow2_write_init(t->job.q, w);
	w->pos = req->offset;
	w->end = req->offset + req->length;
	w->src = allocate || req->unseen ? NULL : req->buf;
	w->req = allocate ? NULL : req;
	w->ends_with = allocate ? req : NULL; /* a WRITE is near its end */
	w->copy = allocate;
	w->done = written;
	qcow2_write(w);
}

static void start_zero(struct task *t)
{
	struct block_req *req = t->req;
	struct qcow2_zero *z = &t->zero;

	qcow2_zero_init(t->job.q, z);
	z->type = req->type;
	z->pos = req->offset;
	z->end = req->offset + req->length;
	z->cut = false;
	z->ends_with = req;
	z->done = zeroed;
	qcow2_zero(z);
}

/* The disk grows first. */
static void modify_step(struct qcow2_job *job)
{
	struct task *t = TASK(job);
	struct block_req *req = t->req;
	int ret = job->error;

	if (!ret && may_grow(req))
		ret = qcow2_grow(job->q, job, req->offset + req->length);
	if (ret == QCOW2_WAIT)
		return;
	if (ret)
		finish(t, ret);
	else if (req->type == BLOCK_WRITE || req->type == BLOCK_ALLOCATE)
		start_write(t);
	else
		start_zero(t);
}

static void read_over(struct qcow2_read *r, int error)
{
	struct task *t = container_of(r, struct task, read);

	assert(!r->in_flight.age);
	finish(t, error ? error : (int64_t)t->req->length);
}

static void start_read(struct task *t)
{
	struct block_req *req = t->req;
	struct qcow2_read *r = &t->read;

	qcow2_read_init(t->job.q, r);
	r->pos = req->offset;
	r->end = req->offset + req->length;
	r->buf = req->buf;
	r->req = req;
	r->done = read_over;
	qcow2_read(r);
}

static void sought(struct qcow2_seek *s, int64_t result)
{
	finish(container_of(s, struct task, seek), result);
}

static void start_seek(struct task *t)
{
	t->seek.req = t->req;
	t->seek.done = sought;
	qcow2_seek(t->job.q, &t->seek);
}

static void truncated(struct qcow2_truncate *tr, int error)
{
	finish(container_of(tr, struct task, truncate), error);
}

static void start_truncate(struct task *t)
{
	t->truncate.req = t->req;
	t->truncate.done = truncated;
	qcow2_truncate(t->job.q, &t->truncate);
}

static void stat_over(struct qcow2_stat *s, int error)
{
	finish(container_of(s, struct task, stat), error);
}

static void start_stat(struct task *t)
{
	t->stat.stx = t->req->buf;
	t->stat.done = stat_over;
	qcow2_stat(t->job.q, &t->stat);
}

static void flushed(struct qcow2_job *job)
{
	finish(TASK(job), job->error);
}

static void start_flush(struct task *t)
{
	if (t->job.q->b->opt.read_only) {
		finish(t, 0);
		return;
	}
	t->job.error = 0;
	t->job.step = flushed;
	qcow2_writeback(t->job.q, &t->job);
}

static void start(struct task *t)
{
	t->submitting = true;
	switch (t->req->type) {
	case BLOCK_READ:
		start_read(t);
		break;
	case BLOCK_WRITE:
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
		t->job.error = 0;
		t->job.step = modify_step;
		modify_step(&t->job);
		break;
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
		start_seek(t);
		break;
	case BLOCK_TRUNCATE:
		start_truncate(t);
		break;
	case BLOCK_STAT:
		start_stat(t);
		break;
	default:
		start_flush(t);
	}
	t->submitting = false;
}

int qcow2_requests_init(struct qcow2 *q)
{
	struct qcow2_tasks *ts = calloc(1, sizeof(*ts));
	unsigned int i;

	q->tasks = ts;
	q->task_bytes = sizeof(*ts);
	if (!ts)
		return -ENOMEM;
	ts->q = q;
	for (i = 0; i < QCOW2_TASKS; i++) {
		qcow2_job_init(q, &ts->tasks[i].job, NULL);
		ts->tasks[i].next_free = ts->free;
		ts->free = &ts->tasks[i];
	}
	return 0;
}

void qcow2_requests_free(struct qcow2 *q)
{
	free(q->tasks);
}

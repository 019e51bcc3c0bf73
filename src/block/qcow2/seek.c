/*
 * SEEK_DATA and SEEK_HOLE, from the map: allocated is data, zero is a hole;
 * where nothing is allocated, the backing file is asked, and told how far the
 * question goes: each level would look to its end otherwise, for each segment.
 *
 * A few MB of tables can describe a disk that takes hours to look through: L1
 * entries that all name one L2 table, or tables in a hole of the file. So a
 * seek lets others in between, and it ends, at once if its caller has got a
 * signal: that waits for the answer all the same. What it has not looked at by
 * then is said to be data, which is never wrong. The next seek goes on from
 * there.
 */
#include "config.h"

#include <errno.h>
#include <time.h>

#include "block/qcow2/qcow2.h"

#define LOOKS 64u /* at the map in one step: a millisecond at most */
#define ENOUGH (1ULL << 28) /* entries: 16 TiB in clusters of 64 KiB; 1 s */
#define PATIENCE 30u /* seconds; for a slow disk, or a chain of bad images */

static void seek_step(struct qcow2_job *job);

static uint64_t seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static bool is_enough(const struct qcow2_task *t)
{
	return t->job.q->b->stopping || block_is_cancelled(t->req) ||
	       t->s.entries >= ENOUGH || seconds() - t->s.began > PATIENCE;
}

static void give_up(struct qcow2_task *t)
{
	bool want_data = t->req->type == BLOCK_SEEK_DATA;

	qcow2_finish(t, (int64_t)(want_data ? t->pos : t->end));
}

static void backing_asked(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	int64_t at = job->child.result;

	if (at < 0 && at != -ENXIO) {
		qcow2_finish(t, at);
		return;
	}
	job->error = 0;
	if (at >= 0 && (uint64_t)at < t->pos + t->r.length) {
		qcow2_finish(t, at);
		return;
	}
	t->pos += t->r.length;
	if (t->pos < t->end && is_enough(t))
		give_up(t);
	else
		seek_step(job);
}

static void seek_step(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	bool want_data = t->req->type == BLOCK_SEEK_DATA, data;
	struct qcow2 *q = job->q;
	struct qcow2_map map;
	uint64_t below;
	int ret = job->error;

	job->step = seek_step;
	while (!ret && t->pos < t->end) {
		if (!(++t->s.looks % LOOKS)) {
			if (is_enough(t))
				give_up(t);
			else
				uring_post(q->b->uring, &job->op, 0);
			return;
		}
		ret = qcow2_lookup(q, job, t->pos, t->end - t->pos, false,
				   &map);
		if (ret)
			break;
		t->s.entries += map.entries;
		data = map.kind == QCOW2_DATA || map.kind == QCOW2_PACKED;
		below = qcow2_backing_left(q, t->pos);
		if (map.kind == QCOW2_UNALLOCATED && below) {
			t->r.length = qcow2_min(map.length, below);
			job->step = backing_asked;
			qcow2_child_of(job, q->backing, t->req->type, t->req,
				       NULL, t->r.length, t->pos);
			return;
		}
		if (data == want_data)
			break;
		t->pos += map.length;
	}
	if (ret == QCOW2_WAIT)
		return;
	if (!ret && t->pos >= t->end && want_data)
		ret = -ENXIO;
	qcow2_finish(t, ret ? ret : (int64_t)qcow2_min(t->pos, t->end));
}

void qcow2_seek_request(struct qcow2_task *t)
{
	t->pos = t->req->offset;
	t->end = t->job.q->b->size;
	if (t->req->length)
		t->end = qcow2_min(t->end, t->pos + t->req->length);
	t->s.looks = 0;
	t->s.entries = 0;
	t->s.began = seconds();
	t->job.error = 0;
	t->job.step = seek_step;
	seek_step(&t->job);
}

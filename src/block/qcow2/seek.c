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

#include "block/qcow2/format.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/map.h"
#include "block/qcow2/seek.h"

#define SEEK(j) container_of(j, struct qcow2_seek, job)

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

static bool is_enough(const struct qcow2_seek *s)
{
	return s->job.q->b->stopping || block_is_cancelled(s->req) ||
	       s->entries >= ENOUGH || seconds() - s->began > PATIENCE;
}

static void give_up(struct qcow2_seek *s)
{
	bool want_data = s->req->type == BLOCK_SEEK_DATA;

	s->done(s, (int64_t)(want_data ? s->pos : s->end));
}

static void backing_asked(struct qcow2_job *job)
{
	struct qcow2_seek *s = SEEK(job);
	int64_t at = job->child.result;

	if (at < 0 && at != -ENXIO) {
		s->done(s, at);
		return;
	}
	job->error = 0;
	if (at >= 0 && (uint64_t)at < s->pos + s->length) {
		s->done(s, at);
		return;
	}
	s->pos += s->length;
	if (s->pos < s->end && is_enough(s))
		give_up(s);
	else
		seek_step(job);
}

static void seek_step(struct qcow2_job *job)
{
	struct qcow2_seek *s = SEEK(job);
	bool want_data = s->req->type == BLOCK_SEEK_DATA, data;
	struct qcow2 *q = job->q;
	struct qcow2_map map;
	uint64_t below;
	int ret = job->error;

	job->step = seek_step;
	while (!ret && s->pos < s->end) {
		if (!(++s->looks % LOOKS)) {
			if (is_enough(s))
				give_up(s);
			else
				qcow2_step_later(job);
			return;
		}
		ret = qcow2_lookup(q, job, s->pos, s->end - s->pos, false,
				   &map);
		if (ret)
			break;
		s->entries += map.entries;
		data = map.kind == QCOW2_DATA ||
		       map.kind == QCOW2_COMPRESSED_DATA;
		below = qcow2_backing_left(q, s->pos);
		if (map.kind == QCOW2_UNALLOCATED && below) {
			s->length = qcow2_min(map.length, below);
			job->step = backing_asked;
			qcow2_child_of(job, q->backing, s->req->type, s->req,
				       NULL, s->length, s->pos);
			return;
		}
		if (data == want_data)
			break;
		s->pos += map.length;
	}
	if (ret == QCOW2_WAIT)
		return;
	if (!ret && s->pos >= s->end && want_data)
		ret = -ENXIO;
	s->done(s, ret ? ret : (int64_t)qcow2_min(s->pos, s->end));
}

void qcow2_seek(struct qcow2 *q, struct qcow2_seek *s)
{
	s->pos = s->req->offset;
	s->end = q->b->size;
	if (s->req->length)
		s->end = qcow2_min(s->end, s->pos + s->req->length);
	s->looks = 0;
	s->entries = 0;
	s->began = seconds();
	qcow2_job_init(q, &s->job, seek_step);
	seek_step(&s->job);
}

/*
 * Reads: a range is cut into runs of the same kind, and a run that is
 * contiguous in the file is one request straight into the caller's buffer.
 * Guest reads and the reads of copy on write come here.
 *
 * Of an unseen request (zero-copy), runs of data go straight to where it
 * wants them; at the first run that must be filled in here, the rest bounces.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/qcow2/decompress.h"
#include "block/qcow2/format.h"
#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/map.h"
#include "block/qcow2/read.h"

#define READ(j) container_of(j, struct qcow2_read, job)

static void read_step(struct qcow2_job *job);

static void end_read(struct qcow2_read *r, int error)
{
	r->done(r, error);
}

static void forward(struct qcow2_read *r, uint64_t length)
{
	r->pos += length;
	/* An unseen buffer begins at 0, which is no address. */
	r->buf = (uint8_t *)((uintptr_t)r->buf + (uintptr_t)length);
}

static bool is_unseen(const struct qcow2_read *r)
{
	return r->req && r->req->unseen;
}

static void bounced(struct block_req *req, int error)
{
	struct qcow2_read *r = req->scratch;

	r->job.error = error;
	if (!error)
		r->buf = (uint8_t *)req->buf + (r->pos - req->offset);
	read_step(&r->job);
}

static int need_bytes(struct qcow2_read *r)
{
	r->req->scratch = r;
	block_bounce(r->req, r->pos - r->req->offset, bounced);
	return QCOW2_WAIT;
}

static void child_done(struct qcow2_job *job)
{
	struct qcow2_read *r = READ(job);
	uint64_t got;

	if (r->in_flight.age)
		qcow2_in_flight_remove(job->q, &r->in_flight);
	if (job->error) {
		end_read(r, job->error);
		return;
	}
	got = (uint64_t)job->child.result;
	r->missing = r->length - got;
	forward(r, got);
	read_step(job);
}

static int read_child(struct qcow2_read *r, struct block *b, uint64_t length,
		      uint64_t offset)
{
	r->length = length;
	r->job.step = child_done;
	if (b != r->job.q->backing)
		qcow2_in_flight_add(r->job.q, &r->in_flight);
	if (r->req)
		qcow2_child_of(&r->job, b, BLOCK_READ, r->req, r->buf, length,
			       offset);
	else
		qcow2_child(&r->job, b, BLOCK_READ, r->buf, length, offset);
	return QCOW2_WAIT;
}

static int read_zeros(struct qcow2_read *r, uint64_t length)
{
	if (is_unseen(r))
		return need_bytes(r);
	memset(r->buf, 0, length);
	forward(r, length);
	return 0;
}

/* Copies what is wanted of a compressed cluster, if that is there. */
static bool copy_compressed(struct qcow2_read *r)
{
	const struct qcow2 *q = r->job.q;
	const uint8_t *cluster = qcow2_decompressed(q, r->desc);

	r->desc = 0;
	if (!cluster)
		return false;
	memcpy(r->buf, cluster + qcow2_in_cluster(q, r->pos), r->length);
	forward(r, r->length);
	return true;
}

static int read_compressed(struct qcow2_read *r, const struct qcow2_map *map)
{
	if (is_unseen(r))
		return need_bytes(r);
	r->desc = map->host;
	r->length = map->length;
	if (copy_compressed(r))
		return 0;
	r->desc = map->host;
	return qcow2_decompress(r->job.q, map->host, r->pos, &r->job);
}

static int read_run(struct qcow2_read *r, const struct qcow2_map *map)
{
	struct qcow2 *q = r->job.q;
	uint64_t below;

	switch (map->kind) {
	case QCOW2_DATA:
		return read_child(r, q->data, map->length, map->host);
	case QCOW2_COMPRESSED_DATA:
		return read_compressed(r, map);
	case QCOW2_UNALLOCATED:
		below = qcow2_backing_left(q, r->pos);
		if (below)
			return read_child(r, q->backing,
					  qcow2_min(below, map->length),
					  r->pos);
		/* fall through */
	default:
		return read_zeros(r, map->length);
	}
}

/* What the file or the backing file does not have reads as zeros. */
static int read_missing(struct qcow2_read *r)
{
	int ret = read_zeros(r, r->missing);

	if (!ret)
		r->missing = 0;
	return ret;
}

static void read_step(struct qcow2_job *job)
{
	struct qcow2_read *r = READ(job);
	struct qcow2_map map;
	int ret = job->error;

	job->step = read_step;
	if (!ret && r->missing)
		ret = read_missing(r);
	/* If not, another one has come in between: it is looked up again. */
	if (!ret && r->desc)
		copy_compressed(r);
	while (!ret && r->pos < r->end) {
		ret = qcow2_lookup(job->q, job, r->pos, r->end - r->pos, false,
				   &map);
		if (!ret)
			ret = read_run(r, &map);
	}
	if (ret != QCOW2_WAIT)
		end_read(r, ret);
}

void qcow2_read_init(struct qcow2 *q, struct qcow2_read *r)
{
	qcow2_job_init(q, &r->job, NULL);
	r->in_flight.age = 0;
}

void qcow2_read(struct qcow2_read *r)
{
	r->job.error = 0;
	r->missing = 0;
	r->desc = 0;
	read_step(&r->job);
}

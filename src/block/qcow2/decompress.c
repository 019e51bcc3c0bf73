/*
 * Compressed clusters. One is decompressed at a time, into memory that is
 * allocated when the first of the image is met (most images have none): the
 * compressed bytes, at most two clusters, and the cluster. The cluster stays, so
 * that reading on in it costs a copy.
 *
 * What decompresses is not trusted: it gets exactly the bytes that the descriptor
 * names and must yield exactly one cluster. Its memory has a bound: a zstd
 * stream may ask for a window of WINDOW_LOG bits and no more, four times the
 * largest cluster. Where memory lacks the read fails, and the next one tries again.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

#include "block/qcow2/decompress.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/memory.h"
#include "loop/log.h"

#define WINDOW_LOG 23 /* 8 MiB: what every reader of zstd should take */

struct qcow2_decompressor {
	struct qcow2_job job;
	struct qcow2_in_flight in_flight;
	bool busy;
	uint64_t desc; /* of what is in out, or, if busy, will be; or 0 */
	uint64_t guest; /* that wants it, for a message */
	uint8_t *in, *out;
	void *state;
	struct qcow2_queue waiters; /* the first is the one that began */
};

#ifdef HAVE_ZLIB
/* Raw deflate, any window that a writer may have used. */
static z_stream *get_inflate(struct qcow2 *q)
{
	z_stream *z = q->decompressor->state;

	if (z)
		return inflateReset(z) == Z_OK ? z : NULL;
	z = calloc(1, sizeof(*z));
	if (z && inflateInit2(z, -15) != Z_OK) {
		free(z);
		z = NULL;
	}
	q->decompressor->state = z;
	return z;
}

static int inflate_cluster(struct qcow2 *q, uint64_t length)
{
	z_stream *z = get_inflate(q);
	int ret;

	if (!z)
		return -ENOMEM;
	z->next_in = q->decompressor->in;
	z->avail_in = (uInt)length;
	z->next_out = q->decompressor->out;
	z->avail_out = q->geo.cluster_size;
	ret = inflate(z, Z_FINISH);
	/* Z_BUF_ERROR: the stream's end marker did not fit; data is there. */
	if ((ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z->avail_out)
		return 0;
	return ret == Z_MEM_ERROR ? -ENOMEM : -EIO;
}
#else
static int inflate_cluster(struct qcow2 *q, uint64_t length)
{
	(void)q;
	(void)length;
	return -EOPNOTSUPP;
}
#endif

#ifdef HAVE_ZSTD
static ZSTD_DCtx *get_zstd(struct qcow2 *q)
{
	unsigned int log = WINDOW_LOG;

	while (log > q->geo.cluster_bits && 1ULL << log > qcow2_memory_left(q))
		log--;
	if (!q->decompressor->state)
		q->decompressor->state = ZSTD_createDCtx();
	if (!q->decompressor->state)
		return NULL;
	ZSTD_DCtx_reset(q->decompressor->state, ZSTD_reset_session_only);
	ZSTD_DCtx_setParameter(q->decompressor->state, ZSTD_d_windowLogMax,
			       (int)log);
	return q->decompressor->state;
}

static int zstd_cluster(struct qcow2 *q, uint64_t length)
{
	ZSTD_DCtx *ctx = get_zstd(q);
	ZSTD_inBuffer in = { q->decompressor->in, length, 0 };
	ZSTD_outBuffer out = { q->decompressor->out, q->geo.cluster_size, 0 };
	size_t ret = 1;

	if (!ctx)
		return -ENOMEM;
	/* A cluster may be more than one frame. */
	while (out.pos < out.size) {
		size_t in_before = in.pos, out_before = out.pos;

		ret = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(ret))
			return ZSTD_getErrorCode(ret) ==
					       ZSTD_error_memory_allocation
				       ? -ENOMEM
				       : -EIO;
		if (in.pos == in_before && out.pos == out_before)
			return -EIO;
	}
	return 0;
}
#else
static int zstd_cluster(struct qcow2 *q, uint64_t length)
{
	(void)q;
	(void)length;
	return -EOPNOTSUPP;
}
#endif

int qcow2_decompress_check(const struct qcow2 *q)
{
#ifndef HAVE_ZSTD
	if (q->geo.compression == 1)
		return qcow2_bad_field(q, "compression_type", 1,
				       "this rawfuse was built without zstd");
#endif
	(void)q;
	return 0;
}

void qcow2_decompress_free(struct qcow2 *q)
{
	struct qcow2_decompressor *d = q->decompressor;

	if (!d)
		return;
#ifdef HAVE_ZSTD
	if (q->geo.compression)
		ZSTD_freeDCtx(d->state);
#endif
#ifdef HAVE_ZLIB
	if (!q->geo.compression && d->state) {
		inflateEnd(d->state);
		free(d->state);
	}
#endif
	free(d->in);
	free(d->out);
	free(d);
	q->decompressor = NULL;
}

static void over(struct qcow2_decompressor *d, int error)
{
	struct qcow2 *q = d->job.q;

	d->busy = false;
	if (error == -EOPNOTSUPP)
		log_limited("%s: qcow2: a compressed cluster: this rawfuse was "
			    "built without zlib",
			    q->b->opt.path);
	else if (error == -EIO)
		log_limited("%s: qcow2: the compressed cluster for guest offset"
			    " %" PRIu64
			    " does not unpack (descriptor 0x%" PRIx64 ")",
			    q->b->opt.path, d->guest, d->desc);
	if (error)
		d->desc = 0;
	qcow2_wake_starter(&d->waiters, error);
}

static void in_read(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_decompressor *d = q->decompressor;
	uint64_t length = (uint64_t)job->child.result;
	int ret = job->error;

	qcow2_in_flight_remove(q, &d->in_flight);
	/* The last sector may be cut off by the end of the file. */
	if (!ret && length < job->child.length &&
	    job->child.offset + length < q->file->size)
		ret = -EIO;
	if (!ret && q->geo.compression)
		ret = zstd_cluster(q, length);
	else if (!ret)
		ret = inflate_cluster(q, length);
	over(d, ret);
}

static int make_room(struct qcow2 *q)
{
	struct qcow2_decompressor *d = q->decompressor;
	uint64_t size = q->geo.cluster_size;

	if (!d)
		d = q->decompressor = calloc(1, sizeof(*d));
	if (d && !d->in)
		d->in = aligned_alloc(
			4096, qcow2_round_up(2 * size + QCOW2_SECTOR, 4096));
	if (d && !d->out)
		d->out = aligned_alloc(4096, qcow2_round_up(size, 4096));
	return d && d->in && d->out ? 0 : -ENOMEM;
}

const uint8_t *qcow2_decompressed(const struct qcow2 *q, uint64_t desc)
{
	const struct qcow2_decompressor *d = q->decompressor;

	return d && !d->busy && d->desc == desc ? d->out : NULL;
}

int qcow2_decompress(struct qcow2 *q, uint64_t desc, uint64_t guest,
		     struct qcow2_job *job)
{
	struct qcow2_decompressor *d;
	uint64_t offset, length;

	if (make_room(q))
		return -ENOMEM;
	d = q->decompressor;
	if (d->busy)
		return qcow2_wait(&d->waiters, job);
	qcow2_compressed_range(&q->geo, desc, &offset, &length);
	if (offset < q->geo.cluster_size || offset >= q->file->size)
		return qcow2_damaged(q, false,
				     "a compressed cluster outside of the file",
				     offset);
	qcow2_wait(&d->waiters, job);
	d->busy = true;
	d->desc = desc;
	d->guest = guest;
	qcow2_job_init(q, &d->job, in_read);
	qcow2_in_flight_add(q, &d->in_flight);
	qcow2_child(&d->job, q->file, BLOCK_READ, d->in, length, offset);
	return QCOW2_WAIT;
}

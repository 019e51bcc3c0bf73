/*
 * Compressed clusters. One is unpacked at a time, into memory that is
 * allocated when the first of the image is met (most images have none): the
 * packed bytes, at most two clusters, and the cluster. The cluster stays, so
 * that reading on in it costs a copy.
 *
 * What unpacks is not trusted: it gets exactly the bytes that the descriptor
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

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define WINDOW_LOG 23 /* 8 MiB: what every reader of zstd should take */

#ifdef HAVE_ZLIB
/* Raw deflate, any window that a writer may have used. */
static z_stream *get_inflate(struct qcow2 *q)
{
	z_stream *z = q->unpack_state;

	if (z)
		return inflateReset(z) == Z_OK ? z : NULL;
	z = calloc(1, sizeof(*z));
	if (z && inflateInit2(z, -15) != Z_OK) {
		free(z);
		z = NULL;
	}
	q->unpack_state = z;
	return z;
}

static int inflate_cluster(struct qcow2 *q, uint64_t length)
{
	z_stream *z = get_inflate(q);
	int ret;

	if (!z)
		return -ENOMEM;
	z->next_in = q->unpack_in;
	z->avail_in = (uInt)length;
	z->next_out = q->unpack_out;
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
	if (!q->unpack_state)
		q->unpack_state = ZSTD_createDCtx();
	if (!q->unpack_state)
		return NULL;
	ZSTD_DCtx_reset(q->unpack_state, ZSTD_reset_session_only);
	ZSTD_DCtx_setParameter(q->unpack_state, ZSTD_d_windowLogMax,
			       (int)log);
	return q->unpack_state;
}

static int zstd_cluster(struct qcow2 *q, uint64_t length)
{
	ZSTD_DCtx *ctx = get_zstd(q);
	ZSTD_inBuffer in = { q->unpack_in, length, 0 };
	ZSTD_outBuffer out = { q->unpack_out, q->geo.cluster_size, 0 };
	size_t ret = 1;

	if (!ctx)
		return -ENOMEM;
	/* A cluster may be more than one frame. */
	while (out.pos < out.size) {
		size_t in_before = in.pos, out_before = out.pos;

		ret = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(ret))
			return ZSTD_getErrorCode(ret) ==
					       ZSTD_error_memory_allocation ?
				       -ENOMEM :
				       -EIO;
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

int qcow2_unpack_check(struct qcow2 *q)
{
#ifndef HAVE_ZSTD
	if (q->geo.compression == 1)
		return qcow2_bad_field(q, "compression_type", 1,
				       "this rawfuse was built without zstd");
#endif
	(void)q;
	return 0;
}

void qcow2_unpack_free(struct qcow2 *q)
{
#ifdef HAVE_ZSTD
	if (q->geo.compression)
		ZSTD_freeDCtx(q->unpack_state);
#endif
#ifdef HAVE_ZLIB
	if (!q->geo.compression && q->unpack_state) {
		inflateEnd(q->unpack_state);
		free(q->unpack_state);
	}
#endif
	free(q->unpack_in);
	free(q->unpack_out);
}

static void unpack_over(struct qcow2_task *t, int error)
{
	struct qcow2 *q = t->job.q;

	q->unpacking = false;
	if (!error)
		q->unpacked = t->r.packed;
	else if (error == -EOPNOTSUPP)
		log_limited("%s: qcow2: a compressed cluster: this rawfuse was "
			  "built without zlib",
			  q->b->opt.path);
	else if (error == -EIO)
		log_limited("%s: qcow2: the compressed cluster for guest offset "
			  "%" PRIu64 " does not unpack (descriptor 0x%" PRIx64
			  ")", q->b->opt.path, t->r.pos, t->r.packed);
	qcow2_wake(&q->unpack_waiters, 0);
	/* No error: the read looks the cluster up again and finds it here. */
	t->job.error = error;
	qcow2_read_again(t);
}

static void packed_read(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct qcow2 *q = job->q;
	uint64_t length = (uint64_t)job->child.result;
	int ret = job->error;

	qcow2_in_flight_remove(q, &t->in_flight);
	/* The last sector may be cut off by the end of the file. */
	if (!ret && length < job->child.length &&
	    job->child.offset + length < q->file->size)
		ret = -EIO;
	if (!ret && q->geo.compression)
		ret = zstd_cluster(q, length);
	else if (!ret)
		ret = inflate_cluster(q, length);
	unpack_over(t, ret);
}

int qcow2_unpack(struct qcow2_task *t, uint64_t desc)
{
	struct qcow2 *q = t->job.q;
	uint64_t offset, length;

	if (q->unpacking)
		return qcow2_wait(&q->unpack_waiters, &t->job);
	if (q->unpacked == desc)
		return 0;
	if (!q->unpack_in)
		q->unpack_in = aligned_alloc(
			4096, qcow2_round_up(2ull * q->geo.cluster_size +
						     QCOW2_SECTOR,
					     4096));
	if (!q->unpack_out)
		q->unpack_out = aligned_alloc(
			4096, qcow2_round_up(q->geo.cluster_size, 4096));
	if (!q->unpack_in || !q->unpack_out)
		return -ENOMEM;
	qcow2_packed_range(&q->geo, desc, &offset, &length);
	if (offset < q->geo.cluster_size || offset >= q->file->size)
		return qcow2_damaged(q, false,
				     "a compressed cluster outside of "
				     "the file",
				     offset);
	q->unpacking = true;
	q->unpacked = 0;
	t->r.packed = desc;
	t->job.step = packed_read;
	qcow2_in_flight_add(q, &t->in_flight);
	qcow2_child(&t->job, q->file, BLOCK_READ, q->unpack_in, length, offset);
	return QCOW2_WAIT;
}

/*
 * The driver's glue: open, submit, close.
 *
 * The shape of the whole. A guest's request gets one of QCOW2_TASKS tasks or
 * waits for one, first come, first served. A task goes on in steps (job.c); it
 * waits for slices of tables (cache.c), for a lock on guest clusters
 * (write.c), for a new L2 table or refcount block (l2_alloc.c,
 * refblock_alloc.c), for a copy buffer, for room in the list of freed clusters
 * (frees.c), for a writeback (writeback.c). All of these end without the help of
 * whoever waits for them:
 *
 *   task       may hold a lock and a copy buffer while it waits for the rest
 *   table      waits for refcounts, a buffer, room, L1 not frozen
 *   refcounts  waits for a buffer and its I/O
 *   reclaim    waits for older I/O of data, and for slices, the latter with a
 *              lock where there is a data file
 *   slices     to be changed wait for a writeback if too many are dirty
 *   writeback  waits for nothing but its I/O
 *
 * Who holds a buffer waits for slices, decompression and its own I/O only, so
 * there is always one that comes back.
 *
 * Only opening and closing wait, in the block layer's way.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/drivers.h"
#include "block/qcow2/buffer.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/decompress.h"
#include "block/qcow2/files.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/l2_alloc.h"
#include "block/qcow2/memory.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/plain.h"
#include "block/qcow2/reclaim.h"
#include "block/qcow2/refblock_alloc.h"
#include "block/qcow2/repair.h"
#include "block/qcow2/request.h"
#include "block/qcow2/resize.h"
#include "block/qcow2/snapshot.h"
#include "block/qcow2/writeback.h"
#include "loop/log.h"

static void qcow2_submit(struct block *b, struct block_req *req)
{
	qcow2_request(b->state, req);
}

static bool background_writeback(struct block *b)
{
	struct qcow2 *q = b->state;

	if (b->opt.read_only || q->corrupt || q->file->lost || q->data->lost)
		return false;
	if (qcow2_is_dirty(q) || qcow2_frees_want_writeback(q))
		qcow2_writeback(q, NULL);
	return qcow2_writeback_busy(q) || qcow2_frees_pending(q);
}

/* What is long is long here, or in a backing file that is asked. */
static void qcow2_stop(struct block *b)
{
	struct qcow2 *q = b->state;

	if (q->backing)
		block_stop(q->backing);
}

static void free_all(struct qcow2 *q)
{
	qcow2_decompress_free(q);
	qcow2_cache_free(q->l2);
	qcow2_cache_free(q->refcounts);
	qcow2_requests_free(q);
	qcow2_header_free(q);
	qcow2_buffers_free(q);
	qcow2_resize_free(q);
	qcow2_reclaim_free(q);
	qcow2_frees_free(q);
	qcow2_writeback_free(q);
	free(q->l1);
	free(q->reftable);
	qcow2_overlap_free(q);
	qcow2_refblocks_free(q);
	qcow2_l2_tables_free(q);
	free(q->inactive);
	free(q);
}

static int init_caches(struct qcow2 *q)
{
	uint64_t l2 = q->b->opt.metadata_cache, refcounts;
	bool read_only = q->b->opt.read_only;

	refcounts = l2 ? l2 / 4 : QCOW2_REFCOUNT_CACHE;
	l2 = l2 ? l2 - refcounts : QCOW2_L2_CACHE;
	q->l2 = qcow2_cache_new(q, "L2 table", l2,
				read_only ? NULL : qcow2_writeback_pressure);
	if (!read_only)
		q->refcounts = qcow2_cache_new(q, "refcount block", refcounts,
					       qcow2_writeback_pressure);
	if (q->l2 && (read_only || q->refcounts))
		return 0;
	log_warnx("%s: open: out of memory", q->b->opt.path);
	return -ENOMEM;
}

/* Writes the header and waits until it is stable. */
static int store_header(struct qcow2 *q)
{
	struct block_req flush = { .type = BLOCK_FLUSH };
	int ret;

	ret = block_pwrite(q->file, q->header, QCOW2_SECTOR, 0);
	if (!ret)
		ret = (int)block_run(q->file, &flush);
	if (ret)
		log_warnx("%s: qcow2: writing the header: %s", q->b->opt.path,
			  strerror(-ret));
	return ret;
}

static int init_writer(struct qcow2 *q)
{
	int ret = qcow2_buffers_init(q);

	if (!ret)
		ret = qcow2_writeback_init(q);
	if (!ret)
		ret = qcow2_frees_init(q);
	if (!ret)
		ret = qcow2_reclaim_start(q);
	if (!ret)
		ret = qcow2_refblocks_init(q);
	if (!ret)
		ret = qcow2_l2_tables_init(q);
	if (!ret)
		ret = qcow2_resize_init(q);
	if (ret)
		log_warnx("%s: open: out of memory", q->b->opt.path);
	return ret;
}

static int open_for_writing(struct qcow2 *q)
{
	uint64_t keep = q->geo.data_file ? QCOW2_AUTOCLEAR_DATA_RAW : 0;
	int ret = 0;

	if (q->incompatible & QCOW2_INCOMPAT_DIRTY)
		ret = qcow2_repair(q);
	if (!ret)
		ret = qcow2_read_table(q, "refcount_table_offset",
				       q->reftable_offset, q->reftable_size,
				       &q->reftable);
	if (!ret)
		ret = qcow2_overlap_init(q);
	if (!ret)
		ret = init_writer(q);
	if (ret || !(q->autoclear & ~keep))
		return ret;
	/* Bitmaps, and whatever we do not keep up with. */
	qcow2_put64(q, QCOW2_H_AUTOCLEAR, q->autoclear & keep);
	return store_header(q);
}

static int open_image(struct qcow2 *q)
{
	int ret;

	ret = qcow2_open_file(q);
	if (!ret)
		ret = qcow2_header_read(q);
	if (!ret && q->b->opt.untrusted)
		ret = qcow2_check_plain(q);
	if (!ret)
		ret = qcow2_decompress_check(q);
	if (!ret)
		ret = qcow2_check_snapshots(q);
	if (!ret)
		ret = qcow2_check_memory(q);
	if (!ret)
		ret = qcow2_read_table(q, "l1_table_offset", q->l1_offset,
				       q->l1_size, &q->l1);
	if (!ret)
		ret = qcow2_open_others(q);
	if (!ret)
		ret = init_caches(q);
	if (!ret && !q->b->opt.read_only)
		ret = open_for_writing(q);
	return ret;
}

static int qcow2_open(struct block *b)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	int ret;

	if (!q) {
		log_warnx("%s: open: out of memory", b->opt.path);
		return -ENOMEM;
	}
	if (b->opt.snapshot)
		b->opt.read_only = true;
	q->b = b;
	qcow2_in_flight_init(q);
	ret = qcow2_header_init(q);
	if (!ret)
		ret = qcow2_requests_init(q);
	if (ret)
		log_warnx("%s: open: out of memory", b->opt.path);
	else
		ret = open_image(q);
	if (ret) {
		qcow2_close_files(q);
		free_all(q);
		return ret;
	}
	q->end = q->stored_end = q->clean_to = b->size;
	b->direct = q->data->direct;
	b->buf_align = q->data->buf_align;
	b->state = q;
	return 0;
}

struct closer {
	struct qcow2_job job;
	bool over;
};

static void closer_step(struct qcow2_job *job)
{
	container_of(job, struct closer, job)->over = true;
}

static int wait_for(struct qcow2 *q, struct closer *c)
{
	while (!c->over && !q->b->uring->lost)
		uring_wait(q->b->uring);
	return c->over ? c->job.error : -EIO;
}

static bool is_busy(const struct qcow2 *q)
{
	return qcow2_writeback_busy(q) || qcow2_header_busy(q) ||
	       qcow2_cache_busy(q->l2) ||
	       (q->refcounts && qcow2_cache_busy(q->refcounts)) ||
	       qcow2_reclaim_busy(q);
}

static void wait_idle(struct qcow2 *q)
{
	while (is_busy(q) && !q->b->uring->lost)
		uring_wait(q->b->uring);
}

/* Until nothing is dirty and nothing is to be freed. */
static int settle(struct qcow2 *q)
{
	struct closer c;
	int ret = 0;

	while (!ret && !q->b->uring->lost &&
	       (qcow2_is_dirty(q) || qcow2_frees_pending(q))) {
		c.over = false;
		qcow2_job_init(q, &c.job, closer_step);
		qcow2_writeback(q, &c.job);
		ret = wait_for(q, &c);
		wait_idle(q);
	}
	return ret;
}

static int qcow2_close(struct block *b)
{
	struct qcow2 *q = b->state;
	int ret = 0, err;

	if (!b->opt.read_only)
		ret = settle(q);
	wait_idle(q);
	if (ret)
		log_warnx("%s: qcow2: close: %s", b->opt.path, strerror(-ret));
	err = qcow2_close_files(q);
	free_all(q);
	return ret ? ret : err;
}

static void qcow2_count(const struct block *b, struct block_counters *c)
{
	const struct qcow2 *q = b->state;

	if (q->backing && q->backing->driver->count)
		q->backing->driver->count(q->backing, c);
	c->metadata = true;
	c->corrupt = q->corrupt;
	qcow2_cache_count(q->l2, c);
	if (q->refcounts)
		qcow2_cache_count(q->refcounts, c);
	c->dirty += qcow2_l1_dirty_bytes(q);
}

static bool qcow2_room(struct block *b, uint64_t *bytes)
{
	struct qcow2 *q = b->state;

	return block_room(q->data, bytes);
}

const struct block_driver block_qcow2 = {
	.name = "qcow2",
	.open = qcow2_open,
	.submit = qcow2_submit,
	.writeback = background_writeback,
	.stop = qcow2_stop,
	.room = qcow2_room,
	.count = qcow2_count,
	.tell_files = qcow2_tell_files,
	.close = qcow2_close,
};

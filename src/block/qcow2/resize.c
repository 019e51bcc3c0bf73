/*
 * A disk of another size. One request grows the disk at a time; what comes
 * meanwhile waits. Before anybody may write behind the end:
 *
 * 1. The L1 table must reach there. A larger one is written to new clusters,
 *    made stable with their refcounts, and then the header points to it; the
 *    lock of the L2 tables keeps L1 as it is meanwhile.
 * 2. What is behind the end must read as zeros: the rest of the last cluster
 *    may hold anything, and a backing file may be longer than its overlay.
 *    This is stable before the header tells the new size; also where it was
 *    a discard up to the old end, or a shrink that failed, that made zeros of
 *    it, in entries that no writeback has stored yet (q->tail_dirty).
 *
 * A raw data file is the disk, without the help of our tables, so its size is
 * the disk's: it ends where the disk does before the header tells of a larger
 * one, and after it told of a smaller one. Cut off first, it reads as zeros
 * where it grows.
 *
 * The header counts in sectors of 512 bytes: a size is rounded up there.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/alloc.h"
#include "block/qcow2/discard.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/l2_alloc.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/refblock_alloc.h"
#include "block/qcow2/resize.h"
#include "block/qcow2/writeback.h"
#include "loop/log.h"

#define AHEAD 256u /* clusters that are cleaned beyond what is needed */

#define TRUNCATE(j) container_of(j, struct qcow2_truncate, job)

struct qcow2_grower {
	struct qcow2_job job;
	struct qcow2_zero zero;
	bool busy;
	bool has_tables; /* holds the lock of the L2 tables */
	struct qcow2_queue waiters;
	uint64_t end; /* of the disk, wanted */
	uint64_t *l1; /* the larger table */
	uint32_t l1_size; /* entries */
	uint64_t l1_clusters, l1_host;
	struct qcow2_publish publish;
};

static void grow_step(struct qcow2_job *job);
static void move_l1(struct qcow2_job *job);

static uint64_t l1_need(const struct qcow2 *q, uint64_t end)
{
	unsigned int bits = q->geo.cluster_bits + q->geo.l2_bits;

	return (end >> bits) + !!(end & ((1ULL << bits) - 1));
}

static void end_grow(struct qcow2 *q, int error)
{
	struct qcow2_grower *g = q->grower;

	free(g->l1);
	g->l1 = NULL;
	if (g->l1_host && error)
		qcow2_free_later(q, g->l1_host,
				 g->l1_clusters << q->geo.cluster_bits);
	g->l1_host = 0;
	if (g->has_tables) {
		g->has_tables = false;
		qcow2_l2_tables_unlock(q);
	}
	if (!error)
		q->end = g->end > q->end ? g->end : q->end;
	g->busy = false;
	qcow2_wake_starter(&g->waiters, error);
}

static void l1_published(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_grower *g = q->grower;

	if (job->error) {
		/* The disk may have it even so: the new table stays. */
		g->l1_host = 0;
		end_grow(q, job->error);
		return;
	}
	if (q->l1_size)
		qcow2_free_later(q, q->l1_offset, (uint64_t)q->l1_size * 8);
	free(q->l1);
	q->l1 = g->l1;
	q->l1_size = g->l1_size;
	q->l1_offset = g->l1_host;
	g->l1 = NULL;
	g->l1_host = 0;
	g->has_tables = false;
	qcow2_l2_tables_unlock(q);
	job->step = grow_step;
	grow_step(job);
}

static void l1_point(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;

	if (job->error) {
		end_grow(q, job->error);
		return;
	}
	job->step = l1_published;
	qcow2_publish(q, &q->grower->publish,
		      &(struct qcow2_place){ QCOW2_H_L1_OFFSET, QCOW2_H_L1_SIZE,
					     q->grower->l1_host,
					     q->grower->l1_size },
		      job);
}

static void l1_written(struct qcow2_job *job)
{
	if (job->error) {
		end_grow(job->q, job->error);
		return;
	}
	job->step = l1_point;
	qcow2_child(job, job->q->file, BLOCK_FLUSH, NULL, 0, 0);
}

static void write_l1(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_grower *g = q->grower;
	uint64_t bytes = g->l1_clusters << q->geo.cluster_bits;

	g->l1 = aligned_alloc(4096, qcow2_table_memory(bytes));
	if (!g->l1 || qcow2_overlap_room(q, g->l1_size, q->reftable_size)) {
		end_grow(q, -ENOMEM);
		return;
	}
	memset(g->l1, 0, qcow2_table_memory(bytes));
	memcpy(g->l1, q->l1, (size_t)q->l1_size * 8);
	job->step = l1_written;
	qcow2_child(job, q->file, BLOCK_WRITE, g->l1, bytes, g->l1_host);
}

/* Takes the clusters, then waits until L1 is as on disk and stays so. */
static void move_l1(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_grower *g = q->grower;
	uint64_t got;
	int ret = job->error;

	if (!ret && !g->l1_host && g->l1_clusters == 1) {
		ret = qcow2_alloc(q, job, 1, &g->l1_host, &got);
	} else if (!ret && !g->l1_host) {
		g->l1_host = qcow2_refblocks_take_extra(q);
		if (!g->l1_host)
			ret = qcow2_refblocks_make(q, job, 0, g->l1_clusters);
	}
	if (!ret && !g->has_tables) {
		ret = qcow2_l2_tables_lock(q, job);
		g->has_tables = !ret;
		if (!ret)
			ret = qcow2_writeback(q, job);
	}
	if (ret == QCOW2_WAIT)
		return;
	if (ret)
		end_grow(q, ret);
	else
		write_l1(job);
}

static void stable(struct qcow2_job *job)
{
	if (!job->error)
		job->q->clean_to = job->q->grower->zero.end;
	end_grow(job->q, job->error);
}

static void cleaned(struct qcow2_zero *z, int error)
{
	struct qcow2 *q = z->job.q;
	struct qcow2_grower *g = q->grower;

	g->job.error = error;
	if (error || (!z->changed && !qcow2_tail_is_dirty(q))) {
		stable(&g->job);
		return;
	}
	g->job.step = stable;
	qcow2_writeback(q, &g->job);
}

static void clean(struct qcow2 *q)
{
	struct qcow2_grower *g = q->grower;
	unsigned int bits = q->geo.cluster_bits + q->geo.l2_bits;
	uint64_t to = qcow2_round_up(g->end, q->geo.cluster_size);

	if (to <= q->clean_to) {
		end_grow(q, 0);
		return;
	}
	to = qcow2_min(to + ((uint64_t)AHEAD << q->geo.cluster_bits),
		       (uint64_t)q->l1_size << bits);
	qcow2_zero_init(q, &g->zero);
	g->zero.type = BLOCK_DISCARD;
	g->zero.cut = false;
	g->zero.ends_with = NULL;
	g->zero.pos = q->clean_to;
	g->zero.end = to;
	g->zero.done = cleaned;
	qcow2_zero(&g->zero);
}

static void extended(struct qcow2_job *job)
{
	end_grow(job->q, job->error);
}

static void extend(struct qcow2_job *job)
{
	if (job->error) {
		end_grow(job->q, job->error);
		return;
	}
	job->step = extended;
	qcow2_child(job, job->q->data, BLOCK_TRUNCATE, NULL,
		    qcow2_round_up(job->q->grower->end, QCOW2_SECTOR), 0);
}

/* Nobody writes behind the end of the disk as long as it grows. */
static void extend_data(struct qcow2 *q)
{
	struct qcow2_job *job = &q->grower->job;
	/* The header may tell of all of the last sector. */
	uint64_t end = q->end > q->stored_end ? q->end : q->stored_end;

	if (q->data->size <= end) {
		extend(job);
		return;
	}
	job->step = extend;
	qcow2_child(job, q->data, BLOCK_TRUNCATE, NULL, end, 0);
}

static void grow_step(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_grower *g = q->grower;
	uint64_t need = l1_need(q, g->end), entries;

	if (job->error) {
		end_grow(q, job->error);
		return;
	}
	if (need <= q->l1_size) {
		if (qcow2_data_follows(q))
			extend_data(q);
		else
			clean(q);
		return;
	}
	if (need > QCOW2_MAX_L1 / 8 ||
	    g->end > (uint64_t)INT64_MAX - q->geo.cluster_size) {
		end_grow(q, -EFBIG);
		return;
	}
	/* Whole clusters, and half as much again if it grows by writing. */
	entries = q->geo.cluster_size / 8;
	need += q->b->opt.growable ? need / 2 : 0;
	need = qcow2_min(qcow2_round_up(need, entries), QCOW2_MAX_L1 / 8);
	g->l1_clusters = (need + entries - 1) / entries;
	g->l1_size = (uint32_t)need;
	qcow2_refblocks_take_extra(q);
	job->step = move_l1;
	move_l1(job);
}

int qcow2_grow(struct qcow2 *q, struct qcow2_job *job, uint64_t end)
{
	struct qcow2_grower *g = q->grower;

	if (end <= q->end)
		return 0;
	if (q->corrupt)
		return -EIO;
	if (q->geo.version < 3 && q->snapshots) {
		log_limited("%s: qcow2: a version 2 image with snapshots keeps "
			    "its size; 'qemu-img amend -o compat=1.1' makes it "
			    "version 3",
			    q->b->opt.path);
		return -EOPNOTSUPP;
	}
	qcow2_wait(&g->waiters, job);
	if (g->busy)
		return QCOW2_WAIT;
	g->busy = true;
	g->end = end;
	qcow2_job_init(q, &g->job, grow_step);
	grow_step(&g->job);
	return QCOW2_WAIT;
}

static void truncated(struct qcow2_job *job)
{
	TRUNCATE(job)->done(TRUNCATE(job), job->error);
}

static void data_cut(struct qcow2_job *job)
{
	/* Should it fail: it is cut before the disk grows. */
	TRUNCATE(job)->done(TRUNCATE(job), 0);
}

static void tail_gone(struct qcow2_zero *z, int error)
{
	struct qcow2_truncate *t = container_of(z, struct qcow2_truncate, zero);

	/* Should it fail: the disk has its size, the tail stays allocated. */
	(void)error;
	t->job.error = 0;
	t->job.step = truncated;
	qcow2_writeback(t->job.q, &t->job);
}

static void zero(struct qcow2_truncate *t, enum block_type type, uint64_t pos,
		 uint64_t end, void (*done)(struct qcow2_zero *z, int error))
{
	qcow2_zero_init(t->job.q, &t->zero);
	t->zero.type = type;
	t->zero.pos = pos;
	t->zero.end = end;
	t->zero.cut = type == BLOCK_DISCARD;
	t->zero.ends_with = t->req;
	t->zero.done = done;
	qcow2_zero(&t->zero);
}

/* The new size is stable, or is not to be. */
static void size_stored(struct qcow2_job *job)
{
	struct qcow2_truncate *t = TRUNCATE(job);
	struct qcow2 *q = job->q;
	uint64_t size = t->req->length;

	if (job->error) {
		q->end = t->old_end;
		q->stored_end = t->old_stored_end;
		q->clean_to = t->old_end;
	}
	if (job->error || size >= t->old_end) {
		truncated(job);
		return;
	}
	if (qcow2_data_follows(q)) {
		job->step = data_cut;
		qcow2_child(job, q->data, BLOCK_TRUNCATE, NULL,
			    qcow2_round_up(size, QCOW2_SECTOR), 0);
		return;
	}
	zero(t, BLOCK_DISCARD, qcow2_round_up(size, q->geo.cluster_size),
	     qcow2_round_up(t->old_end, q->geo.cluster_size), tail_gone);
}

static void store_size(struct qcow2_truncate *t)
{
	struct qcow2 *q = t->job.q;
	uint64_t size = t->req->length;

	t->old_end = q->end;
	t->old_stored_end = q->stored_end;
	if (size < q->end)
		q->clean_to = size;
	q->end = size;
	q->stored_end = qcow2_round_up(size, QCOW2_SECTOR);
	t->job.step = size_stored;
	qcow2_writeback(q, &t->job);
}

static void rest_zeroed(struct qcow2_zero *z, int error)
{
	struct qcow2_truncate *t = container_of(z, struct qcow2_truncate, zero);

	if (error)
		t->done(t, error);
	else
		store_size(t);
}

/*
 * Smaller: the size is stable before what is behind it goes, else a crash
 * could leave the old size and a backing file shining through. The rest of
 * the last sector stays part of the disk and becomes zeros before.
 */
static void truncate_step(struct qcow2_job *job)
{
	struct qcow2_truncate *t = TRUNCATE(job);
	struct qcow2 *q = job->q;
	uint64_t size = t->req->length;
	int ret = job->error;

	if (!ret && size < q->end && q->geo.version < 3 && q->snapshots)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = qcow2_grow(q, job, size);
	if (ret == QCOW2_WAIT)
		return;
	if (ret)
		t->done(t, ret);
	else if (size >= q->end || !(size % QCOW2_SECTOR))
		store_size(t);
	else
		zero(t, BLOCK_ZERO, size,
		     qcow2_min(q->end, qcow2_round_up(size, QCOW2_SECTOR)),
		     rest_zeroed);
}

void qcow2_truncate(struct qcow2 *q, struct qcow2_truncate *t)
{
	qcow2_job_init(q, &t->job, truncate_step);
	truncate_step(&t->job);
}

int qcow2_resize_init(struct qcow2 *q)
{
	q->grower = calloc(1, sizeof(*q->grower));
	return q->grower ? 0 : -ENOMEM;
}

void qcow2_resize_free(struct qcow2 *q)
{
	free(q->grower);
}

/*
 * New refcount blocks, and a larger refcount table when they do not fit.
 *
 * An L2 entry may reach the disk only after the refcounts of what it points
 * to; for clusters of a new block this needs the block, and then the table's
 * entry for it, to be stable. So blocks are made ahead of what they count, by
 * an order of their own, beside the writebacks:
 *
 *   1. write the new blocks, which count themselves; if the table must grow,
 *      also the new table, which they count, too
 *   2. fdatasync
 *   3. write the table's entries; or the header, to point at the new table
 *   4. fdatasync; from now on clusters may be taken from there
 *
 * The place is the start of the range that the blocks describe: nobody can
 * have taken it, since it had no refcounts. A crash before 3 leaves nothing
 * but bytes past the end; a failure is repeated at the same place.
 *
 * Blocks of small clusters count little; several are made at once.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/buffer.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/refblock_alloc.h"
#include "block/qcow2/writeback.h"
#include "loop/log.h"

#define AHEAD (4u << 20) /* bytes of the file that a step describes */
#define MAX_BLOCKS 32u

struct qcow2_refblock_alloc {
	struct qcow2_job job;
	bool busy;
	uint64_t block; /* first index in the table */
	uint64_t blocks; /* how many */
	uint64_t used; /* clusters that are counted from the start */
	uint64_t extra; /* clusters among them for somebody else */
	uint64_t extra_host; /* where they are */
	uint64_t pos;
	uint32_t piece;
	uint8_t *buffer;
	uint64_t *table; /* the larger one; NULL: it stays */
	struct qcow2_publish publish;
	uint32_t table_clusters;
	uint64_t table_host;
	struct qcow2_queue waiters;
};

static void write_blocks(struct qcow2_job *job);

static void end(struct qcow2 *q, int error)
{
	struct qcow2_refblock_alloc *m = q->refblock_alloc;

	qcow2_give_buffer(q, m->buffer);
	m->buffer = NULL;
	free(m->table);
	m->table = NULL;
	m->busy = false;
	if (error)
		log_limited("%s: qcow2: making refcount blocks: %s",
			    q->b->opt.path, strerror(-error));
	if (!error && m->extra)
		m->extra_host =
			((m->block << q->geo.block_bits) + m->used - m->extra)
			<< q->geo.cluster_bits;
	qcow2_wake(&m->waiters, error);
}

static uint64_t block_host(const struct qcow2 *q, uint64_t k)
{
	const struct qcow2_refblock_alloc *m = q->refblock_alloc;

	return ((m->block << q->geo.block_bits) + k) << q->geo.cluster_bits;
}

static void publish(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_refblock_alloc *m = q->refblock_alloc;
	uint64_t k,
		size = (uint64_t)m->table_clusters << (q->geo.cluster_bits - 3);

	if (job->error) {
		end(q, job->error);
		return;
	}
	if (m->table) {
		qcow2_free_later(q, q->reftable_offset, q->reftable_size * 8);
		free(q->reftable);
		q->reftable = m->table;
		q->reftable_size = size;
		q->reftable_offset = m->table_host;
		m->table = NULL;
	}
	for (k = 0; k < m->blocks; k++) {
		q->reftable[m->block + k] = htobe64(block_host(q, k));
		qcow2_overlap_add_block(q, m->block + k);
		qcow2_cache_drop(q->refcounts, block_host(q, k),
				 q->geo.cluster_size);
	}
	end(q, 0);
}

static void pointed(struct qcow2_job *job)
{
	if (job->error) {
		publish(job);
		return;
	}
	job->step = publish;
	qcow2_child(job, job->q->file, BLOCK_FLUSH, NULL, 0, 0);
}

/* Everything is stable but what points to it. */
static void point(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_refblock_alloc *m = q->refblock_alloc;
	uint64_t first = m->block & ~63ULL, k, entry;
	uint64_t last = (m->block + m->blocks + 63) & ~63ULL;

	if (job->error) {
		end(q, job->error);
		return;
	}
	if (m->table) {
		job->step = publish;
		qcow2_publish(q, &m->publish,
			      &(struct qcow2_place){ QCOW2_H_REFTABLE_OFFSET,
						     QCOW2_H_REFTABLE_CLUSTERS,
						     m->table_host,
						     m->table_clusters },
			      job);
		return;
	}
	job->step = pointed;
	memcpy(m->buffer, q->reftable + first, (last - first) * 8);
	for (k = 0; k < m->blocks; k++) {
		entry = htobe64(block_host(q, k));
		memcpy(m->buffer + (m->block + k - first) * 8, &entry, 8);
	}
	qcow2_child(job, q->file, BLOCK_WRITE, m->buffer, (last - first) * 8,
		    q->reftable_offset + first * 8);
}

static void sync_all(struct qcow2_job *job)
{
	if (job->error) {
		end(job->q, job->error);
		return;
	}
	job->step = point;
	qcow2_child(job, job->q->file, BLOCK_FLUSH, NULL, 0, 0);
}

static void written(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_refblock_alloc *m = q->refblock_alloc;

	if (job->error) {
		end(q, job->error);
		return;
	}
	m->pos += m->piece;
	write_blocks(job);
}

static void write_blocks(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_refblock_alloc *m = q->refblock_alloc;
	uint64_t size = m->blocks << q->geo.cluster_bits, first, i, n;

	if (!m->buffer)
		m->buffer = qcow2_take_buffer(q, job);
	if (!m->buffer)
		return;
	if (m->pos == size && m->table) {
		job->step = sync_all;
		qcow2_child(job, q->file, BLOCK_WRITE, m->table,
			    (uint64_t)m->table_clusters << q->geo.cluster_bits,
			    m->table_host);
		return;
	}
	if (m->pos == size) {
		sync_all(job);
		return;
	}
	m->piece = (uint32_t)qcow2_min(QCOW2_BUFFER, size - m->pos);
	memset(m->buffer, 0, m->piece);
	first = m->pos * 8 >> q->geo.refcount_order;
	n = (uint64_t)m->piece * 8 >> q->geo.refcount_order;
	for (i = 0; i < n && first + i < m->used; i++)
		qcow2_refcount_put(&q->geo, m->buffer, (unsigned int)i, 1);
	job->step = written;
	qcow2_child(job, q->file, BLOCK_WRITE, m->buffer, m->piece,
		    block_host(q, 0) + m->pos);
}

/* How many blocks are missing in the table from m->block on? */
static uint64_t holes(const struct qcow2 *q, uint64_t block, uint64_t max)
{
	uint64_t n = 0;

	while (n < max && block + n < q->reftable_size &&
	       !q->reftable[block + n])
		n++;
	return n;
}

/* A new table, with room for more; its entries for the new blocks. */
static int plan_table(struct qcow2 *q)
{
	struct qcow2_refblock_alloc *m = q->refblock_alloc;
	uint64_t per_cluster = q->geo.cluster_size / 8, entries, bytes, k;

	for (;; m->blocks++) {
		entries = m->block + m->blocks;
		entries += entries / 2 + 1;
		m->table_clusters =
			(uint32_t)((entries + per_cluster - 1) / per_cluster);
		m->used = m->blocks + m->table_clusters + m->extra;
		if (m->used < m->blocks << q->geo.block_bits)
			break;
	}
	bytes = (uint64_t)m->table_clusters << q->geo.cluster_bits;
	if (bytes > QCOW2_MAX_REFTABLE)
		return -EFBIG;
	if (qcow2_overlap_room(q, q->l1_size, bytes / 8))
		return -ENOMEM;
	m->table = aligned_alloc(4096, qcow2_table_memory(bytes));
	if (!m->table)
		return -ENOMEM;
	memset(m->table, 0, qcow2_table_memory(bytes));
	memcpy(m->table, q->reftable, q->reftable_size * 8);
	for (k = 0; k < m->blocks; k++)
		m->table[m->block + k] = htobe64(block_host(q, k));
	m->table_host = block_host(q, m->blocks);
	return 0;
}

static int plan(struct qcow2 *q, uint64_t block, uint64_t extra)
{
	struct qcow2_refblock_alloc *m = q->refblock_alloc;
	uint64_t covers = 1ULL << (q->geo.block_bits + q->geo.cluster_bits);
	uint64_t want = qcow2_min(covers < AHEAD ? AHEAD / covers : 1,
				  MAX_BLOCKS),
		 there;
	uint64_t max = qcow2_max_clusters(q), left;
	int ret;

	if (extra) {
		block = q->reftable_size;
		while (block && !q->reftable[block - 1])
			block--;
	}
	if (block << q->geo.block_bits >= max)
		return -ENOSPC;
	/* Of a device, no more than there is to count. */
	left = max - (block << q->geo.block_bits);
	want = qcow2_min(want, (left - 1) / (1ULL << q->geo.block_bits) + 1);
	if (extra) {
		while (want + extra >= want << q->geo.block_bits)
			want++;
	}
	m->block = block;
	m->extra = extra;
	there = holes(q, block, want);
	m->blocks = extra || !there ? want : there;
	m->used = m->blocks + extra;
	m->table_clusters = 0;
	ret = there >= m->blocks ? 0 : plan_table(q);
	if (!ret && m->used > left)
		ret = -ENOSPC;
	/* Where a table lacks a block that it should have, there is something. */
	if (!ret)
		ret = qcow2_overlap_check(q, block_host(q, 0),
					  m->used << q->geo.cluster_bits);
	return ret;
}

int qcow2_refblocks_make(struct qcow2 *q, struct qcow2_job *job, uint64_t block,
			 uint64_t extra)
{
	struct qcow2_refblock_alloc *m = q->refblock_alloc;
	int ret;

	if (m->busy)
		return qcow2_wait(&m->waiters, job);
	/* The disk's header may name the very place that we would write to. */
	if (q->header_stale)
		return qcow2_writeback(q, job);
	ret = plan(q, block, extra);
	if (ret) {
		free(m->table);
		m->table = NULL;
		log_limited("%s: qcow2: no place for refcount blocks: %s",
			    q->b->opt.path, strerror(-ret));
		return ret;
	}
	qcow2_wait(&m->waiters, job);
	m->busy = true;
	m->pos = 0;
	m->extra_host = 0;
	qcow2_job_init(q, &m->job, write_blocks);
	write_blocks(&m->job);
	return QCOW2_WAIT;
}

uint64_t qcow2_refblocks_take_extra(struct qcow2 *q)
{
	uint64_t host = q->refblock_alloc->extra_host;

	q->refblock_alloc->extra_host = 0;
	return host;
}

uint64_t qcow2_max_clusters(const struct qcow2 *q)
{
	if (q->file->opt.growable)
		return 1ULL << (56 - q->geo.cluster_bits);
	return q->file->size >> q->geo.cluster_bits;
}

int qcow2_refblocks_init(struct qcow2 *q)
{
	q->refblock_alloc = calloc(1, sizeof(*q->refblock_alloc));
	return q->refblock_alloc ? 0 : -ENOMEM;
}

void qcow2_refblocks_free(struct qcow2 *q)
{
	free(q->refblock_alloc);
}

/*
 * New L2 tables: for a part of the disk that has none, and copies of tables
 * that a snapshot shares. One is made at a time; the others wait.
 *
 * The table is written out in full before the L1 entry points to it, in
 * memory even; so a writeback, whose first fdatasync covers all that was
 * written before it began, makes it stable before the L1 entry is written.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/alloc.h"
#include "block/qcow2/buffer.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/l2_alloc.h"
#include "block/qcow2/map.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/writeback.h"

struct qcow2_l2_alloc {
	struct qcow2_job job;
	bool busy;
	uint32_t index; /* in the L1 table */
	uint64_t old; /* its L2 table so far; 0: none */
	uint64_t host; /* the new one */
	uint64_t pos;
	uint64_t file_end; /* when the old one was read */
	uint8_t *buffer;
	struct qcow2_queue waiters;
};

static void make(struct qcow2_job *job);
static void link_table(struct qcow2_job *job);

static void end(struct qcow2 *q, int error)
{
	struct qcow2_l2_alloc *m = q->l2_alloc;

	qcow2_give_buffer(q, m->buffer);
	m->buffer = NULL;
	if (error && m->host)
		qcow2_free_later(q, m->host, q->geo.cluster_size);
	m->busy = false;
	qcow2_wake_starter(&m->waiters, error);
}

static void copied(struct qcow2_job *job)
{
	struct qcow2_l2_alloc *m = job->q->l2_alloc;

	m->pos += job->child.length;
	make(job);
}

static void read_old(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_l2_alloc *m = q->l2_alloc;
	uint64_t length = qcow2_min(q->geo.cluster_size - m->pos, QCOW2_BUFFER);
	uint64_t i, e;

	if (!job->error)
		job->error = qcow2_pad(q, m->buffer, length, m->old + m->pos,
				       job->child.result, m->file_end);
	if (job->error) {
		end(q, job->error);
		return;
	}
	/* What two tables refer to is written to by copy only. */
	for (i = 0; i < length && !q->geo.data_file; i += q->geo.l2_entry) {
		memcpy(&e, m->buffer + i, 8);
		e &= ~htobe64(QCOW2_COPIED);
		memcpy(m->buffer + i, &e, 8);
	}
	job->step = copied;
	qcow2_child(job, q->file, BLOCK_WRITE, m->buffer, length,
		    m->host + m->pos);
}

static void make(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_l2_alloc *m = q->l2_alloc;
	uint64_t left = q->geo.cluster_size - m->pos, got;
	int ret = job->error;

	if (!ret && !m->host)
		ret = qcow2_alloc(q, job, 1, &m->host, &got);
	if (!ret && m->old && !m->buffer) {
		m->buffer = qcow2_take_buffer(q, job);
		if (!m->buffer)
			return;
	}
	if (ret == QCOW2_WAIT)
		return;
	if (ret) {
		end(q, ret);
		return;
	}
	left = qcow2_min(left, QCOW2_BUFFER);
	if (!left) {
		qcow2_give_buffer(q, m->buffer);
		m->buffer = NULL;
		job->step = link_table;
		link_table(job);
	} else if (m->old) {
		job->step = read_old;
		m->file_end = q->file->size;
		qcow2_child(job, q->file, BLOCK_READ, m->buffer, left,
			    m->old + m->pos);
	} else {
		job->step = copied;
		qcow2_child(job, q->file, BLOCK_WRITE, q->zeros, left,
			    m->host + m->pos);
	}
}

static void link_table(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_l2_alloc *m = q->l2_alloc;
	int ret = job->error;

	if (!ret)
		ret = qcow2_l1_wait(q, job);
	if (!ret)
		ret = qcow2_free_room(q, job);
	if (ret == QCOW2_WAIT)
		return;
	if (!ret) {
		q->l1[m->index] = htobe64(m->host | QCOW2_COPIED);
		qcow2_l1_dirty(q, m->index);
		qcow2_overlap_add_l2(q, m->index);
		qcow2_cache_drop(q->l2, m->host, q->geo.cluster_size);
		if (m->old)
			qcow2_free_later(q, m->old, q->geo.cluster_size);
	}
	end(q, ret);
}

int qcow2_l2_table_for(struct qcow2 *q, struct qcow2_job *job, uint64_t guest,
		       uint64_t *table)
{
	struct qcow2_l2_alloc *m = q->l2_alloc;
	bool alone;
	int ret;

	if (q->corrupt)
		return -EIO;
	ret = qcow2_l1_get(q, guest, true, table, &alone);
	if (ret || (*table && alone))
		return ret;
	if (guest >> (q->geo.cluster_bits + q->geo.l2_bits) >= q->l1_size)
		return -EFBIG;
	qcow2_wait(&m->waiters, job);
	if (m->busy)
		return QCOW2_WAIT;
	m->busy = true;
	m->index = (uint32_t)(guest >> (q->geo.cluster_bits + q->geo.l2_bits));
	m->old = *table;
	m->host = 0;
	m->pos = 0;
	qcow2_job_init(q, &m->job, make);
	make(&m->job);
	return QCOW2_WAIT;
}

int qcow2_l2_tables_lock(struct qcow2 *q, struct qcow2_job *job)
{
	if (q->l2_alloc->busy)
		return qcow2_wait(&q->l2_alloc->waiters, job);
	q->l2_alloc->busy = true;
	return 0;
}

void qcow2_l2_tables_unlock(struct qcow2 *q)
{
	q->l2_alloc->busy = false;
	qcow2_wake(&q->l2_alloc->waiters, 0);
}

int qcow2_l2_tables_init(struct qcow2 *q)
{
	q->l2_alloc = calloc(1, sizeof(*q->l2_alloc));
	return q->l2_alloc ? 0 : -ENOMEM;
}

void qcow2_l2_tables_free(struct qcow2 *q)
{
	free(q->l2_alloc);
}

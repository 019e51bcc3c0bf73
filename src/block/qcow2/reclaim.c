/*
 * Clusters are given back, late: when no writeback has to make them
 * unreachable any more (frees.c), and no request made from the old mapping is
 * under way (in_flight.c). Then their storage is given back (a hole is
 * punched), and their refcount is lowered in the cache; a later writeback
 * stores that. One job does so; it waits for the end of a writeback, then for
 * the old requests, then for slices of refcounts.
 *
 * A cluster of a data file has its guest cluster's place for ever, and no
 * refcount: only its storage is given back. Somebody may have written to it
 * meanwhile, or be about to. So the guest's clusters are locked, the L2 entries
 * looked at again, and what is in use is let alone. A raw data file is not our
 * business: discards write zeros there.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/alloc.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/map.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/range_lock.h"
#include "block/qcow2/reclaim.h"
#include "block/qcow2/writeback.h"
#include "loop/log.h"

struct qcow2_reclaim {
	struct qcow2_job job;
	struct qcow2_frees *frees; /* what is being given back */
	uint64_t age; /* what is older in flight must go */
	uint64_t punched; /* the clusters before this one have no storage */
	struct qcow2_range_lock lock; /* of a range of the data file */
	bool locked;
	uint64_t count; /* clusters of it that are punched */
};

static void decref(struct qcow2_job *job);
static void punched(struct qcow2_job *job);
static void next_list(struct qcow2_job *job);

/* Lowers the last @want clusters before @end, as far as they are alike. */
static int decref_some(struct qcow2 *q, uint64_t end, uint64_t want,
		       uint64_t *done)
{
	struct qcow2_reclaim *r = q->reclaim;
	struct qcow2_slice *s;
	unsigned int i, n;
	uint64_t count;
	int ret;

	ret = qcow2_refcount_slice(q, &r->job, end - 1, &s, &i);
	if (ret == QCOW2_WAIT)
		return ret;
	count = ret ? 0 : qcow2_refcount_get(&q->geo, s->data, i);
	if (!count && (!ret || ret == -ENOENT))
		return qcow2_set_corrupt(q,
					 "refcount 0 of a cluster that was "
					 "in use",
					 (end - 1) << q->geo.cluster_bits);
	if (ret)
		return ret;
	for (n = 1; n < want && n <= i; n++)
		if (qcow2_refcount_get(&q->geo, s->data, i - n) != count)
			break;
	/* The entry of a damaged image may have pointed to a table. */
	if (count == 1) {
		ret = qcow2_overlap_check(q, (end - n) << q->geo.cluster_bits,
					  (uint64_t)n << q->geo.cluster_bits);
		if (ret)
			return ret;
	}
	if (count == 1 && r->punched != end) {
		r->punched = end;
		r->job.step = punched;
		qcow2_child(&r->job, q->file, BLOCK_DISCARD, NULL,
			    (uint64_t)n << q->geo.cluster_bits,
			    (end - n) << q->geo.cluster_bits);
		return QCOW2_WAIT;
	}
	*done = n;
	while (n--)
		qcow2_refcount_put(&q->geo, s->data, i - n, count - 1);
	qcow2_slice_dirty(s);
	if (count == 1)
		qcow2_alloc_free(q, end - *done);
	return 0;
}

static void punched(struct qcow2_job *job)
{
	/* A file system that cannot keeps the storage for our next cluster. */
	job->error = 0;
	job->step = decref;
	decref(job);
}

static void unlock(struct qcow2_reclaim *r)
{
	if (r->locked)
		qcow2_range_unlock(r->job.q, &r->lock);
	r->locked = false;
}

static void data_punched(struct qcow2_job *job)
{
	struct qcow2_reclaim *r = job->q->reclaim;

	unlock(r);
	r->frees->list[r->frees->count - 1].count -= r->count;
	job->error = 0;
	job->step = decref;
	decref(job);
}

/* Locks what is before @end, in one slice; how much, or 0: it is in use. */
static uint64_t lock_before(struct qcow2 *q, uint64_t end, uint64_t want)
{
	struct qcow2_reclaim *r = q->reclaim;
	uint64_t n = qcow2_slice_index(q, (end - 1) << q->geo.cluster_bits) + 1;

	n = qcow2_min(n, want);
	if (qcow2_range_locked(q, end - n, n))
		n = 1;
	if (qcow2_range_locked(q, end - n, n))
		return 0;
	r->locked = true;
	qcow2_range_lock(q, &r->lock, end - n, n);
	return n;
}

/* How many before @end are alike? *@used: they have a place again. */
static uint64_t alike(const struct qcow2 *q, const struct qcow2_slice *s,
		      uint64_t end, uint64_t max, bool *used)
{
	unsigned int i = qcow2_slice_index(q, (end - 1) << q->geo.cluster_bits);
	uint64_t n;

	for (n = 0; n < max; n++, i--) {
		struct qcow2_l2e e = qcow2_l2_get(q, s, i);
		bool has = e.desc || (uint32_t)e.bitmap;

		if (n && has != *used)
			break;
		*used = has;
	}
	return n;
}

/* Gives back the storage of some clusters of the data file before @end. */
static int punch_data(struct qcow2 *q, uint64_t end, uint64_t want,
		      uint64_t *done)
{
	struct qcow2_reclaim *r = q->reclaim;
	uint64_t guest = (end - 1) << q->geo.cluster_bits, table;
	bool copied, used = false;
	struct qcow2_slice *s;
	int ret;

	*done = 1;
	if (!r->locked && !lock_before(q, end, want))
		return 0;
	r->count = r->lock.count;
	ret = qcow2_l1_get(q, guest, true, &table, &copied);
	if (!ret && table) {
		ret = qcow2_slice_get(q->l2,
				      qcow2_slice_offset(q, table, guest),
				      &r->job, &s);
		if (!ret)
			r->count = alike(q, s, end, r->count, &used);
	}
	if (ret == QCOW2_WAIT)
		return ret;
	if (ret || used) {
		*done = r->count;
		unlock(r);
		return ret;
	}
	r->job.step = data_punched;
	qcow2_child(&r->job, q->data, BLOCK_DISCARD, NULL,
		    r->count << q->geo.cluster_bits,
		    (end - r->count) << q->geo.cluster_bits);
	return QCOW2_WAIT;
}

static void decref(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_frees *f = q->reclaim->frees;
	int ret = job->error;
	uint64_t done = 0;

	job->error = 0;
	while (!ret && f->count) {
		struct qcow2_extent *e = &f->list[f->count - 1];

		if (!e->count) {
			f->count--;
			continue;
		}
		ret = (e->data ? punch_data : decref_some)(
			q, e->first + e->count, e->count, &done);
		if (ret)
			break;
		q->reclaim->punched = 0;
		e->count -= done;
	}
	if (ret == QCOW2_WAIT)
		return;
	unlock(q->reclaim);
	if (ret)
		log_limited("%s: qcow2: lowering refcounts: %s: clusters are "
			    "leaked ('qemu-img check -r leaks' finds them)",
			    q->b->opt.path, strerror(-ret));
	qcow2_frees_reclaimed(q);
	job->step = next_list;
	next_list(job);
}

/* Nothing on disk points there any more; a request that is older may. */
static void wait_older(struct qcow2_job *job)
{
	if (qcow2_in_flight_wait(job->q, job->q->reclaim->age, job))
		return;
	job->step = decref;
	qcow2_step_later(job);
}

/* Nothing to do before another writeback has ended, or one has. */
static void next_list(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_reclaim *r = q->reclaim;

	if (job->error)
		qcow2_frees_failed(q, job->error);
	job->error = 0;
	r->frees = qcow2_frees_take(q);
	if (!r->frees) {
		qcow2_writeback_ended(q, job);
		return;
	}
	r->age = qcow2_in_flight_age(q);
	job->step = wait_older;
	wait_older(job);
}

int qcow2_reclaim_start(struct qcow2 *q)
{
	q->reclaim = calloc(1, sizeof(*q->reclaim));
	if (!q->reclaim)
		return -ENOMEM;
	qcow2_job_init(q, &q->reclaim->job, next_list);
	next_list(&q->reclaim->job);
	return 0;
}

void qcow2_reclaim_free(struct qcow2 *q)
{
	free(q->reclaim);
}

bool qcow2_reclaim_busy(const struct qcow2 *q)
{
	return q->reclaim && !qcow2_writeback_has_waiter(q);
}

/*
 * Locks of guest clusters. A lock keeps other changes of these clusters
 * waiting; reads go on with the old mapping, which stays whole until the new
 * one is complete.
 */
#ifndef RAWFUSE_BLOCK_QCOW2_RANGE_LOCK_H
#define RAWFUSE_BLOCK_QCOW2_RANGE_LOCK_H

#include "block/qcow2/job.h"

/* Part of whoever locks. */
struct qcow2_range_lock {
	uint64_t first, count; /* guest clusters */
	struct qcow2_range_lock *prev, *next;
	struct qcow2_queue waiters;
};

bool qcow2_range_locked(const struct qcow2 *q, uint64_t first, uint64_t count);
/* Lets @job wait if one of them is locked: QCOW2_WAIT; or 0. */
int qcow2_range_wait(struct qcow2 *q, uint64_t first, uint64_t count,
		     struct qcow2_job *job);
/* None of them may be locked. */
void qcow2_range_lock(struct qcow2 *q, struct qcow2_range_lock *l,
		      uint64_t first, uint64_t count);
/* No more than the first @count of them. */
void qcow2_range_shrink(struct qcow2_range_lock *l, uint64_t count);
void qcow2_range_unlock(struct qcow2 *q, struct qcow2_range_lock *l);

#endif

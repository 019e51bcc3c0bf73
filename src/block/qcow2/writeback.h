/* The order in which changes reach the disk; see writeback.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_WRITEBACK_H
#define RAWFUSE_BLOCK_QCOW2_WRITEBACK_H

#include "block/qcow2/job.h"

int qcow2_writeback_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_writeback_free(struct qcow2 *q);

/*
 * One that starts from now on; steps @job (may be NULL) when it is over.
 * QCOW2_WAIT.
 */
int qcow2_writeback(struct qcow2 *q, struct qcow2_job *job);
/* For a cache that is too dirty: see qcow2_cache_new(). */
void qcow2_writeback_pressure(struct qcow2 *q, bool must);
bool qcow2_writeback_busy(const struct qcow2 *q);
/* Something is to be written. */
bool qcow2_is_dirty(const struct qcow2 *q);

/* Entry @index of q->l1 has changed. */
void qcow2_l1_dirty(struct qcow2 *q, uint32_t index);
/* Until no writeback is about to write q->l1: 0 or QCOW2_WAIT. */
int qcow2_l1_wait(struct qcow2 *q, struct qcow2_job *job);
uint64_t qcow2_l1_dirty_bytes(const struct qcow2 *q);

/* What is written up to @end is part of the disk. */
void qcow2_store_end(struct qcow2 *q, uint64_t end);
/* What q->tail_dirty says is dirty, or is being written. */
bool qcow2_tail_is_dirty(const struct qcow2 *q);

/*
 * Writebacks are counted. What changes while qcow2_writebacks_begun() is n is
 * stable once qcow2_writebacks_done() is more than n.
 */
uint64_t qcow2_writebacks_begun(const struct qcow2 *q);
/* The last one that ended well. */
uint64_t qcow2_writebacks_done(const struct qcow2 *q);
/* Steps @job when one has ended, with its error. QCOW2_WAIT. */
int qcow2_writeback_ended(struct qcow2 *q, struct qcow2_job *job);
/* Whether somebody waits there. */
bool qcow2_writeback_has_waiter(const struct qcow2 *q);

#endif

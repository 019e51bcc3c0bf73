/* New L2 tables; see l2_alloc.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_L2_ALLOC_H
#define RAWFUSE_BLOCK_QCOW2_L2_ALLOC_H

#include "block/qcow2/job.h"

int qcow2_l2_tables_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_l2_tables_free(struct qcow2 *q);
/* 0 if @guest's L2 table may be changed; QCOW2_WAIT or -errno. */
int qcow2_l2_table_for(struct qcow2 *q, struct qcow2_job *job, uint64_t guest,
		       uint64_t *table);
/* Keeps q->l1 as it is until it is unlocked: 0 or QCOW2_WAIT. */
int qcow2_l2_tables_lock(struct qcow2 *q, struct qcow2_job *job);
void qcow2_l2_tables_unlock(struct qcow2 *q);

#endif

/* No data where metadata is; see overlap.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_OVERLAP_H
#define RAWFUSE_BLOCK_QCOW2_OVERLAP_H

#include "block/qcow2/job.h"

/*
 * Refuses tables that lie on one another, or where no table may be: one line,
 * -errno.
 */
int qcow2_overlap_init(struct qcow2 *q);
void qcow2_overlap_free(struct qcow2 *q);
/* Bytes of memory it takes for so many entries of the two tables. */
uint64_t qcow2_overlap_bytes(uint64_t entries);
/* Entry @l1_index of q->l1 names a new L2 table; of q->reftable, a new block. */
void qcow2_overlap_add_l2(struct qcow2 *q, uint64_t l1_index);
void qcow2_overlap_add_block(struct qcow2 *q, uint64_t index);
/* Before q->l1 or q->reftable becomes so large (entries): 0 or -ENOMEM. */
int qcow2_overlap_room(struct qcow2 *q, uint64_t l1_size,
		       uint64_t reftable_size);
/* -EIO, after marking the image corrupt, if metadata is in these bytes. */
int qcow2_overlap_check(struct qcow2 *q, uint64_t host, uint64_t length);
/* A place that stands twice among these, 0 if none does; sorts them. */
uint64_t qcow2_find_twice(uint64_t *hosts, uint64_t n);

#endif

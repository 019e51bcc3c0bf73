/* New refcount blocks, and a larger refcount table; see refblock_alloc.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_REFBLOCK_ALLOC_H
#define RAWFUSE_BLOCK_QCOW2_REFBLOCK_ALLOC_H

#include "block/qcow2/job.h"

int qcow2_refblocks_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_refblocks_free(struct qcow2 *q);
/* How many clusters the file may have. */
uint64_t qcow2_max_clusters(const struct qcow2 *q);
/*
 * Makes the block for clusters around @block * entries, or, if @extra is not 0,
 * blocks behind all others and @extra contiguous clusters; these are for
 * qcow2_refblocks_take_extra(). QCOW2_WAIT or -errno.
 */
int qcow2_refblocks_make(struct qcow2 *q, struct qcow2_job *job, uint64_t block,
			 uint64_t extra);
/* Where those clusters are, for the first who asks; or 0. */
uint64_t qcow2_refblocks_take_extra(struct qcow2 *q);

#endif

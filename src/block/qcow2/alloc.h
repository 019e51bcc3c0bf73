/* Clusters are taken; see alloc.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_ALLOC_H
#define RAWFUSE_BLOCK_QCOW2_ALLOC_H

#include "block/qcow2/cache.h"
#include "block/qcow2/job.h"

/* Takes up to @want contiguous clusters; QCOW2_WAIT or -errno. */
int qcow2_alloc(struct qcow2 *q, struct qcow2_job *job, uint64_t want,
		uint64_t *host, uint64_t *got);
/* The refcount of @cluster has become 0. */
void qcow2_alloc_free(struct qcow2 *q, uint64_t cluster);
/* The slice with the refcount of a cluster, its index there; to change. */
int qcow2_refcount_slice(struct qcow2 *q, struct qcow2_job *job,
			 uint64_t cluster, struct qcow2_slice **slice,
			 unsigned int *index);

#endif

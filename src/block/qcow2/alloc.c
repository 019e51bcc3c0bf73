/*
 * Clusters are taken. The refcounts in the cache say what is free; taking a
 * cluster raises its refcount there at once, so it is reserved. Nothing refers
 * to it until the write into it is over, and nothing on disk does before the
 * raised refcount is stable (writeback.c).
 *
 * First fit from q->free_cursor, below which nothing is free. One step takes
 * clusters of one slice of refcounts only, so it never needs two slices.
 *
 * A block device has an end, and the cluster that it cuts is not taken.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/qcow2/alloc.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/refblock_alloc.h"

int qcow2_refcount_slice(struct qcow2 *q, struct qcow2_job *job,
			 uint64_t cluster, struct qcow2_slice **slice,
			 unsigned int *index)
{
	uint64_t block = cluster >> q->geo.block_bits, offset;
	uint64_t i = cluster & ((1ULL << q->geo.block_bits) - 1);
	unsigned int bits = 31u -
			    (unsigned int)__builtin_clz(q->slice_size * 8) -
			    q->geo.refcount_order;
	const char *wrong;

	if (block >= q->reftable_size)
		return -ENOENT;
	offset = be64toh(q->reftable[block]);
	if (!offset)
		return -ENOENT;
	wrong = qcow2_reftable_wrong(&q->geo, offset);
	if (wrong)
		return qcow2_set_corrupt(q, wrong, offset);
	*index = (unsigned int)(i & ((1ULL << bits) - 1));
	return qcow2_slice_get_writable(
		q->refcounts, offset + (i >> bits) * q->slice_size, job, slice);
}

int qcow2_alloc(struct qcow2 *q, struct qcow2_job *job, uint64_t want,
		uint64_t *host, uint64_t *got)
{
	unsigned int entries = (q->slice_size * 8) >> q->geo.refcount_order;
	uint64_t max = qcow2_max_clusters(q);
	struct qcow2_slice *s;
	unsigned int i, n;
	int ret;

	if (q->corrupt)
		return -EIO;
	for (;;) {
		if (q->free_cursor >= max)
			return -ENOSPC;
		ret = qcow2_refcount_slice(q, job, q->free_cursor, &s, &i);
		if (ret == -ENOENT)
			return qcow2_refblocks_make(
				q, job, q->free_cursor >> q->geo.block_bits, 0);
		if (ret)
			return ret;
		for (; i < entries && qcow2_refcount_get(&q->geo, s->data, i);
		     i++)
			q->free_cursor++;
		if (i < entries && q->free_cursor < max)
			break;
	}
	want = qcow2_min(want, max - q->free_cursor);
	for (n = 0; n < want && i + n < entries; n++)
		if (qcow2_refcount_get(&q->geo, s->data, i + n))
			break;
	*host = q->free_cursor << q->geo.cluster_bits;
	*got = n;
	ret = qcow2_overlap_check(q, *host, (uint64_t)n << q->geo.cluster_bits);
	if (ret)
		return ret;
	while (n--)
		qcow2_refcount_put(&q->geo, s->data, i + n, 1);
	q->free_cursor += *got;
	qcow2_slice_dirty(s);
	return 0;
}

void qcow2_alloc_free(struct qcow2 *q, uint64_t cluster)
{
	if (cluster < q->free_cursor)
		q->free_cursor = cluster;
}

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

#include "block/qcow2/qcow2.h"

uint64_t qcow2_refcount_get(const struct qcow2 *q, const uint8_t *data,
			    unsigned int i)
{
	unsigned int order = q->refcount_order, bits = 1u << order;
	uint64_t n = 0;
	unsigned int k;

	if (order < 3)
		return data[i >> (3 - order)] >> ((i * bits) & 7) &
		       ((1u << bits) - 1);
	data += (size_t)i << (order - 3);
	for (k = 0; k < bits / 8; k++)
		n = n << 8 | data[k];
	return n;
}

void qcow2_refcount_put(const struct qcow2 *q, uint8_t *data, unsigned int i,
			uint64_t value)
{
	unsigned int order = q->refcount_order, bits = 1u << order;
	unsigned int k, shift = (i * bits) & 7;

	if (order < 3) {
		data += i >> (3 - order);
		*data = (uint8_t)((*data & ~(((1u << bits) - 1) << shift)) |
				  value << shift);
		return;
	}
	data += (size_t)i << (order - 3);
	for (k = bits / 8; k--; value >>= 8)
		data[k] = (uint8_t)value;
}

int qcow2_refcount_slice(struct qcow2 *q, struct qcow2_job *job,
			 uint64_t cluster, struct qcow2_slice **slice,
			 unsigned int *index)
{
	uint64_t block = cluster >> q->block_bits, offset;
	uint64_t i = cluster & ((1ULL << q->block_bits) - 1);
	unsigned int bits = 31u - (unsigned int)__builtin_clz(
				q->refcounts.slice_size * 8) -
			    q->refcount_order;

	if (block >= q->reftable_size)
		return -ENOENT;
	offset = be64toh(q->reftable[block]);
	if (!offset)
		return -ENOENT;
	if (qcow2_in_cluster(q, offset))
		return qcow2_set_corrupt(q, "refcount block that is not aligned"
					    " to a cluster", offset);
	*index = (unsigned int)(i & ((1ULL << bits) - 1));
	return qcow2_slice_get_writable(&q->refcounts,
					offset + (i >> bits) *
						q->refcounts.slice_size,
					job, slice);
}

uint64_t qcow2_max_clusters(const struct qcow2 *q)
{
	if (q->file->opt.growable)
		return 1ULL << (56 - q->cluster_bits);
	return q->file->size >> q->cluster_bits;
}

int qcow2_alloc(struct qcow2 *q, struct qcow2_job *job, uint64_t want,
		uint64_t *host, uint64_t *got)
{
	unsigned int entries = (q->refcounts.slice_size * 8) >>
			       q->refcount_order;
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
			return qcow2_make_blocks(
				q, job, q->free_cursor >> q->block_bits, 0);
		if (ret)
			return ret;
		for (; i < entries && qcow2_refcount_get(q, s->data, i); i++)
			q->free_cursor++;
		if (i < entries && q->free_cursor < max)
			break;
	}
	want = qcow2_min(want, max - q->free_cursor);
	for (n = 0; n < want && i + n < entries; n++)
		if (qcow2_refcount_get(q, s->data, i + n))
			break;
	*host = q->free_cursor << q->cluster_bits;
	*got = n;
	ret = qcow2_fence_check(q, *host, (uint64_t)n << q->cluster_bits);
	if (ret)
		return ret;
	while (n--)
		qcow2_refcount_put(q, s->data, i + n, 1);
	q->free_cursor += *got;
	qcow2_slice_dirty(s);
	return 0;
}

/*
 * The fence around the metadata of an image that is written: no guest data
 * may go where a table is, whatever a damaged L2 entry or refcount says.
 *
 * A filter of a few KiB has a bit for the hash of each cluster that holds an
 * L2 table or a refcount block. A clear bit means no; a set one that the
 * tables are searched. So a write costs a bit test for each of its clusters.
 *
 * The same filter finds, at open, tables that lie on one another.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define MIN_BITS 15u
#define MAX_BITS 21u

static uint64_t bit_of(const struct qcow2 *q, uint64_t host)
{
	uint64_t n = (host >> q->cluster_bits) * 0x9e3779b97f4a7c15ULL;

	return n >> (64 - q->fence_bits);
}

static bool may_hold(const struct qcow2 *q, uint64_t host)
{
	uint64_t bit = bit_of(q, host);

	return q->fence[bit / 64] >> (bit % 64) & 1;
}

void qcow2_fence_add(struct qcow2 *q, uint64_t host)
{
	uint64_t bit = bit_of(q, host);

	q->fence[bit / 64] |= 1ULL << (bit % 64);
}

static bool overlaps(uint64_t a, uint64_t a_length, uint64_t b,
		     uint64_t b_length)
{
	return a < b + b_length && b < a + a_length;
}

/* What has its place in the header. */
static const char *find_fixed(const struct qcow2 *q, uint64_t host,
			      uint64_t length)
{
	if (host < q->cluster_size)
		return "the header's cluster";
	if (overlaps(host, length, q->l1_offset, (uint64_t)q->l1_size * 8))
		return "the L1 table";
	if (overlaps(host, length, q->reftable_offset, q->reftable_size * 8))
		return "the refcount table";
	if (overlaps(host, length, q->snapshots_offset, q->snapshots_length))
		return "the snapshot table";
	return NULL;
}

static const char *find_table(const struct qcow2 *q, uint64_t host)
{
	uint64_t i;

	for (i = 0; i < q->reftable_size; i++)
		if (be64toh(q->reftable[i]) == host)
			return "a refcount block";
	for (i = 0; i < q->l1_size; i++)
		if ((be64toh(q->l1[i]) & QCOW2_OFFSET) == host)
			return "an L2 table";
	return NULL;
}

int qcow2_fence_check(struct qcow2 *q, uint64_t host, uint64_t length)
{
	uint64_t at = host - qcow2_in_cluster(q, host);
	const char *what = find_fixed(q, host, length);

	for (; !what && at < host + length; at += q->cluster_size)
		if (may_hold(q, at))
			what = find_table(q, at);
	if (!what)
		return 0;
	log_warnx("%s: qcow2: a write would have hit %s", q->b->opt.path, what);
	return qcow2_set_corrupt(q, "the cluster", host);
}

static int refuse(const struct qcow2 *q, const char *table, uint64_t i,
		  uint64_t host, const char *what)
{
	log_warnx("%s: qcow2: entry %llu of the %s is 0x%llx, but there is %s; "
		  "repair it with 'qemu-img check -r all', or open it "
		  "--read-only",
		  q->b->opt.path, (unsigned long long)i, table,
		  (unsigned long long)host, what);
	return -EINVAL;
}

/* Adds a table's entries; @earlier is searched for the same place. */
static int add_all(struct qcow2 *q, const char *name, const uint64_t *table,
		   uint64_t size, uint64_t mask)
{
	const char *what;
	uint64_t i, k, host;

	for (i = 0; i < size; i++) {
		host = be64toh(table[i]) & mask;
		if (!host)
			continue;
		what = find_fixed(q, host, q->cluster_size);
		if (!what && host >= q->file->size)
			what = "no file any more; was it truncated?";
		if (!what && qcow2_in_cluster(q, host))
			what = "no start of a cluster";
		if (!what && may_hold(q, host)) {
			for (k = 0; k < i && !what; k++)
				if ((be64toh(table[k]) & mask) == host)
					what = "what another entry points to";
			for (k = 0; k < q->reftable_size && !what; k++)
				if (table != q->reftable &&
				    be64toh(q->reftable[k]) == host)
					what = "a refcount block";
		}
		if (what)
			return refuse(q, name, i, host, what);
		qcow2_fence_add(q, host);
	}
	return 0;
}

int qcow2_fence_init(struct qcow2 *q)
{
	uint64_t want = 8 * (q->reftable_size + q->l1_size);
	int ret;

	if (!q->reftable[0])
		return qcow2_bad_field(q, "entry 0 of the refcount table", 0,
				       "there must be a refcount block for the "
				       "header; repair it with 'qemu-img check "
				       "-r all'");
	for (q->fence_bits = MIN_BITS; q->fence_bits < MAX_BITS;
	     q->fence_bits++)
		if (want <= 1ULL << q->fence_bits)
			break;
	q->fence = calloc(1ULL << (q->fence_bits - 6), sizeof(*q->fence));
	if (!q->fence) {
		log_warnx("%s: open: out of memory", q->b->opt.path);
		return -ENOMEM;
	}
	ret = add_all(q, "refcount table", q->reftable, q->reftable_size,
		      UINT64_MAX);
	if (!ret)
		ret = add_all(q, "L1 table", q->l1, q->l1_size, QCOW2_OFFSET);
	return ret;
}

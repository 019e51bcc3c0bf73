/*
 * The fence around the metadata of an image that is written: no guest data
 * may go where a table is, whatever a damaged L2 entry or refcount says.
 *
 * A filter has a bit for the hash of each cluster that holds an L2 table or a
 * refcount block, and 32 bits for each of these. A clear bit means no; a set
 * one that the tables are searched. So a write costs a bit test for each of its
 * clusters, and a search for one in 32, or fewer where tables are sparse.
 * The L1 tables of snapshots are few, and lie in an ordered list.
 *
 * At open, tables that lie on one another are found by sorting their places.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define MIN_BITS 15u
#define MAX_BITS 26u
#define BITS_A_TABLE 32u

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
	return a_length && b_length && a < b + b_length && b < a + a_length;
}

static bool in_inactive_l1(const struct qcow2 *q, uint64_t host,
			   uint64_t length)
{
	uint32_t from = 0, to = q->inactive_count, middle;

	while (from < to) {
		middle = from + (to - from) / 2;
		if (q->inactive[middle].start < host + length)
			from = middle + 1;
		else
			to = middle;
	}
	return length && from && q->inactive[from - 1].end > host;
}

/* What has its place in the header, or in the snapshot table. */
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
	if (in_inactive_l1(q, host, length))
		return "the L1 table of a snapshot";
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

/* Adds a table's entries. */
static int add_all(struct qcow2 *q, const char *name, const uint64_t *table,
		   uint64_t size, uint64_t mask)
{
	const char *what;
	uint64_t i, host;

	for (i = 0; i < size; i++) {
		host = be64toh(table[i]) & mask;
		if (!host)
			continue;
		what = find_fixed(q, host, q->cluster_size);
		if (!what && host >= q->file->size)
			what = "no file any more; was it truncated?";
		if (!what && qcow2_in_cluster(q, host))
			what = "no start of a cluster";
		if (what)
			return refuse(q, name, i, host, what);
		qcow2_fence_add(q, host);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;

	return one < two ? -1 : one > two;
}

uint64_t qcow2_find_twice(uint64_t *hosts, uint64_t n)
{
	uint64_t i;

	qsort(hosts, n, sizeof(*hosts), compare);
	for (i = 1; i < n; i++)
		if (hosts[i] && hosts[i] == hosts[i - 1])
			return hosts[i];
	return 0;
}

/* Do two entries of the tables name one place? */
static int check_twice(struct qcow2 *q)
{
	uint64_t i, n = q->reftable_size, host;
	uint64_t *hosts = calloc(n + q->l1_size, sizeof(*hosts));

	if (!hosts) {
		log_warnx("%s: open: out of memory", q->b->opt.path);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++)
		hosts[i] = be64toh(q->reftable[i]);
	for (i = 0; i < q->l1_size; i++)
		hosts[n + i] = be64toh(q->l1[i]) & QCOW2_OFFSET;
	host = qcow2_find_twice(hosts, n + q->l1_size);
	free(hosts);
	if (!host)
		return 0;
	for (i = q->l1_size; i-- > 0;)
		if ((be64toh(q->l1[i]) & QCOW2_OFFSET) == host)
			return refuse(q, "L1 table", i, host,
				      "what another entry points to");
	for (i = n; i-- > 0;)
		if (be64toh(q->reftable[i]) == host)
			break;
	return refuse(q, "refcount table", i, host,
		      "what another entry points to");
}

/* The tables that the header names must not lie on one another. */
static int check_fixed(const struct qcow2 *q)
{
	uint64_t l1 = (uint64_t)q->l1_size * 8, reftable = q->reftable_size * 8;

	if (overlaps(q->l1_offset, l1, q->reftable_offset, reftable) ||
	    overlaps(q->l1_offset, l1, q->snapshots_offset,
		     q->snapshots_length) ||
	    in_inactive_l1(q, q->l1_offset, l1))
		return qcow2_bad_field(q, "l1_table_offset", q->l1_offset,
				       "another table is there");
	if (overlaps(q->reftable_offset, reftable, q->snapshots_offset,
		     q->snapshots_length))
		return qcow2_bad_field(q, "refcount_table_offset",
				       q->reftable_offset,
				       "the snapshot table is there");
	if (in_inactive_l1(q, q->reftable_offset, reftable))
		return qcow2_bad_field(q, "refcount_table_offset",
				       q->reftable_offset,
				       "the L1 table of a snapshot is there");
	if (in_inactive_l1(q, q->snapshots_offset, q->snapshots_length))
		return qcow2_bad_field(q, "snapshots_offset",
				       q->snapshots_offset,
				       "the L1 table of a snapshot is there");
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct qcow2_range *one = a, *two = b;

	return one->start < two->start ? -1 : one->start > two->start;
}

/* In order, and apart from one another. */
static void sort_inactive(struct qcow2 *q)
{
	struct qcow2_range *r = q->inactive;
	uint32_t i, n = 0;

	if (!q->inactive_count)
		return;
	qsort(r, q->inactive_count, sizeof(*r), compare_ranges);
	for (i = 1; i < q->inactive_count; i++) {
		if (r[i].start > r[n].end)
			r[++n] = r[i];
		else if (r[i].end > r[n].end)
			r[n].end = r[i].end;
	}
	q->inactive_count = n + 1;
}

unsigned int qcow2_fence_bits(const struct qcow2 *q)
{
	uint64_t want = BITS_A_TABLE * (q->reftable_size + q->l1_size);
	unsigned int bits;

	for (bits = MIN_BITS; bits < MAX_BITS; bits++)
		if (want <= 1ULL << bits)
			break;
	return bits;
}

int qcow2_fence_init(struct qcow2 *q)
{
	int ret;

	sort_inactive(q);
	ret = check_fixed(q);
	if (ret)
		return ret;
	if (!q->reftable[0])
		return qcow2_bad_field(q, "entry 0 of the refcount table", 0,
				       "there must be a refcount block for the "
				       "header; repair it with 'qemu-img check "
				       "-r all'");
	q->fence_bits = qcow2_fence_bits(q);
	q->fence = calloc(1ULL << (q->fence_bits - 6), sizeof(*q->fence));
	if (!q->fence) {
		log_warnx("%s: open: out of memory", q->b->opt.path);
		return -ENOMEM;
	}
	ret = add_all(q, "refcount table", q->reftable, q->reftable_size,
		      UINT64_MAX);
	if (!ret)
		ret = add_all(q, "L1 table", q->l1, q->l1_size, QCOW2_OFFSET);
	return ret ? ret : check_twice(q);
}

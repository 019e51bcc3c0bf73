/*
 * The overlap check of an image that is written: no guest data may go where
 * metadata is, whatever a damaged L2 entry or refcount says.
 *
 * A hash table knows the L2 tables and refcount blocks by their places. A slot
 * says which entry of the L1 table or the refcount table to look at, and that
 * tells the place: so a slot whose entry has gone elsewhere says nothing, and
 * nothing ever has to be taken out. When such slots become many, the table is
 * filled anew. A write costs a look or two for each of its clusters.
 *
 * An image may come from anybody, and choose where its clusters are: so how
 * places become slots is drawn at open.
 *
 * The L1 tables of snapshots are few, and lie in an ordered list.
 *
 * At open, tables that lie on one another are found by sorting their places.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/overlap.h"
#include "loop/log.h"

#define MIN_SLOTS 64u

struct qcow2_overlap {
	uint32_t *slots;
	uint64_t slots_n, used; /* a power of 2; how many are not empty */
	uint64_t l1_most, reftable_most; /* entries that there is room for */
	uint64_t key[2];
};

/* A slot: 0 is empty, else a number of an L1 entry, or of a block, and 1. */
#define BLOCK_BIT (1u << 31)

static uint64_t place_of(const struct qcow2 *q, uint32_t slot)
{
	uint64_t i = (slot & ~BLOCK_BIT) - 1;

	if (slot & BLOCK_BIT)
		return i < q->reftable_size ? be64toh(q->reftable[i]) : 0;
	return i < q->l1_size ? be64toh(q->l1[i]) & QCOW2_OFFSET : 0;
}

static uint64_t first_slot(const struct qcow2 *q, uint64_t host)
{
	uint64_t n = ((host >> q->geo.cluster_bits) ^ q->overlap->key[0]) *
		     0x9e3779b97f4a7c15ULL;

	n = (n ^ n >> 32) * (q->overlap->key[1] | 1);
	return (n ^ n >> 29) & (q->overlap->slots_n - 1);
}

/* What kind of table is at @host; NULL: none. */
static const char *find_table(const struct qcow2 *q, uint64_t host)
{
	uint64_t mask = q->overlap->slots_n - 1, at = first_slot(q, host);

	for (; q->overlap->slots[at]; at = (at + 1) & mask)
		if (place_of(q, q->overlap->slots[at]) == host)
			return q->overlap->slots[at] & BLOCK_BIT
				       ? "a refcount block"
				       : "an L2 table";
	return NULL;
}

static void put(struct qcow2 *q, uint32_t slot)
{
	uint64_t mask = q->overlap->slots_n - 1;
	uint64_t at = first_slot(q, place_of(q, slot));

	while (q->overlap->slots[at] && q->overlap->slots[at] != slot)
		at = (at + 1) & mask;
	q->overlap->used += !q->overlap->slots[at];
	q->overlap->slots[at] = slot;
}

static void fill(struct qcow2 *q)
{
	uint64_t i;

	memset(q->overlap->slots, 0, q->overlap->slots_n * sizeof(uint32_t));
	q->overlap->used = 0;
	for (i = 0; i < q->reftable_size; i++)
		if (q->reftable[i])
			put(q, (uint32_t)(i + 1) | BLOCK_BIT);
	for (i = 0; i < q->l1_size; i++)
		if (q->l1[i])
			put(q, (uint32_t)(i + 1));
}

/* One in four at least stays empty: qcow2_overlap_room() has made enough. */
static void add(struct qcow2 *q, uint32_t slot)
{
	if (q->overlap->used >= q->overlap->slots_n / 4 * 3)
		fill(q);
	put(q, slot);
}

void qcow2_overlap_add_l2(struct qcow2 *q, uint64_t l1_index)
{
	add(q, (uint32_t)(l1_index + 1));
}

void qcow2_overlap_add_block(struct qcow2 *q, uint64_t index)
{
	add(q, (uint32_t)(index + 1) | BLOCK_BIT);
}

static uint64_t slots_for(uint64_t entries)
{
	uint64_t n = MIN_SLOTS;

	while (n < entries * 3 / 2)
		n *= 2;
	return n;
}

uint64_t qcow2_overlap_bytes(uint64_t entries)
{
	return slots_for(entries) * sizeof(uint32_t);
}

int qcow2_overlap_room(struct qcow2 *q, uint64_t l1_size,
		       uint64_t reftable_size)
{
	uint32_t *slots;
	uint64_t n;

	/* Both may be about to grow at the same time. */
	if (l1_size > q->overlap->l1_most)
		q->overlap->l1_most = l1_size;
	if (reftable_size > q->overlap->reftable_most)
		q->overlap->reftable_most = reftable_size;
	n = slots_for(q->overlap->l1_most + q->overlap->reftable_most);
	if (n <= q->overlap->slots_n)
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(q->overlap->slots);
	q->overlap->slots = slots;
	q->overlap->slots_n = n;
	fill(q);
	return 0;
}

static void draw_key(struct qcow2 *q)
{
	struct timespec now;

	if (getrandom(q->overlap->key, sizeof(q->overlap->key),
		      GRND_NONBLOCK) == sizeof(q->overlap->key))
		return;
	/* Early at boot: better than what everybody knows. */
	clock_gettime(CLOCK_REALTIME, &now);
	q->overlap->key[0] = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15ULL;
	q->overlap->key[1] = (uint64_t)now.tv_sec ^ (uintptr_t)q;
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
	if (host < q->geo.cluster_size)
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

int qcow2_overlap_check(struct qcow2 *q, uint64_t host, uint64_t length)
{
	uint64_t at = host - qcow2_in_cluster(q, host);
	const char *what = find_fixed(q, host, length);

	for (; !what && at < host + length; at += q->geo.cluster_size)
		what = find_table(q, at);
	if (!what)
		return 0;
	log_limited("%s: qcow2: a write would have hit %s", q->b->opt.path,
		    what);
	return qcow2_set_corrupt(q, "the cluster", host);
}

static const char outside[] = "no file any more: ";

static int refuse(const struct qcow2 *q, const char *table, uint64_t i,
		  uint64_t host, const char *what)
{
	log_warnx("%s: qcow2: entry %llu of the %s is 0x%llx, but there is %s%s"
		  "; repair it with 'qemu-img check -r all', or open it "
		  "--read-only",
		  q->b->opt.path, (unsigned long long)i, table,
		  (unsigned long long)host, what,
		  what == outside ? qcow2_why_outside(q, host) : "");
	return -EINVAL;
}

/* Does each entry of a table name a place where a table may be? */
static int check_all(struct qcow2 *q, const char *name, const uint64_t *table,
		     uint64_t size, uint64_t mask)
{
	const char *what;
	uint64_t i, host;

	for (i = 0; i < size; i++) {
		host = be64toh(table[i]) & mask;
		if (!host)
			continue;
		what = find_fixed(q, host, q->geo.cluster_size);
		if (!what && host >= q->file->size)
			what = outside;
		if (!what && qcow2_in_cluster(q, host))
			what = "no start of a cluster";
		if (what)
			return refuse(q, name, i, host, what);
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

int qcow2_overlap_init(struct qcow2 *q)
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
	ret = check_all(q, "refcount table", q->reftable, q->reftable_size,
			UINT64_MAX);
	if (!ret)
		ret = check_all(q, "L1 table", q->l1, q->l1_size, QCOW2_OFFSET);
	if (!ret)
		ret = check_twice(q);
	if (ret)
		return ret;
	q->overlap = calloc(1, sizeof(*q->overlap));
	if (q->overlap)
		draw_key(q);
	ret = q->overlap ? qcow2_overlap_room(q, q->l1_size, q->reftable_size)
			 : -ENOMEM;
	if (ret)
		log_warnx("%s: open: out of memory", q->b->opt.path);
	return ret;
}

void qcow2_overlap_free(struct qcow2 *q)
{
	if (q->overlap)
		free(q->overlap->slots);
	free(q->overlap);
	q->overlap = NULL;
}

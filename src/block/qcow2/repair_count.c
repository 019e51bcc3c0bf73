/*
 * Counts the references of an image: of the header, the snapshot table, all L1
 * tables and L2 tables, and what these refer to.
 *
 * Many L1 tables (those of snapshots) may name one L2 table, and a few bytes of
 * an image can name tables without end, in holes of the file. So first only the
 * references to L2 tables are counted; then each of these is read once, however
 * many name it, in the order of the file, and what it refers to counts so many
 * times. A table in a hole is not read. So no more is read than the file has
 * storage, and MAX_TABLES bytes at most: more is left to 'qemu-img check'.
 *
 * A cluster that is an L2 table is nothing else: the mapping that we are to
 * trust says otherwise then, and the image is refused.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/repair.h"
#include "block/qcow2/snapshot.h"
#include "loop/log.h"
#include "loop/progress.h"

#define MAX_L1S (1u << 30) /* bytes of all snapshots' L1 tables; a second */
#define MAX_TABLES (16ULL << 30) /* bytes of L2 tables; a minute of a disk */
#define TELL 10 /* seconds from line to line about progress */

int qcow2_repair_refuse(struct repair *r, const char *what, uint64_t at)
{
	log_warnx("%s: qcow2: it was not closed cleanly (dirty bit), and "
		  "cannot be repaired: %s at 0x%" PRIx64 "; try 'qemu-img check"
		  " -r all'",
		  r->q->b->opt.path, what, at);
	r->refused = true;
	return -EIO;
}

static bool get_bit(const uint64_t *bits, uint64_t n)
{
	return bits[n / 64] >> (n % 64) & 1;
}

static void set_bit(uint64_t *bits, uint64_t n)
{
	bits[n / 64] |= 1ULL << (n % 64);
}

bool qcow2_repair_full(const struct repair *r, uint64_t host)
{
	uint64_t n = host >> r->q->geo.cluster_bits;

	return n < r->clusters && get_bit(r->full, n);
}

/* So many more references to what is in these bytes; no L2 table is. */
static int count(struct repair *r, const char *what, uint64_t offset,
		 uint64_t length, uint32_t times)
{
	uint64_t first = offset >> r->q->geo.cluster_bits, last;

	if (!length)
		return 0;
	if (offset + length < offset)
		return qcow2_repair_refuse(r, what, offset);
	last = (offset + length - 1) >> r->q->geo.cluster_bits;
	if (last >= r->clusters)
		return qcow2_repair_refuse(r, what, offset);
	for (; first <= last; first++) {
		if (get_bit(r->tables, first) ||
		    r->counts[first] > QCOW2_REPAIR_MOST - times)
			return qcow2_repair_refuse(r, what, offset);
		r->counts[first] += times;
		if (r->counts[first] > r->highest)
			r->highest = r->counts[first];
	}
	return 0;
}

/* One more reference to an L2 table. */
static int count_table(struct repair *r, uint64_t offset)
{
	uint64_t n = offset >> r->q->geo.cluster_bits;

	if (n >= r->clusters || r->counts[n] == QCOW2_REPAIR_MOST ||
	    (r->counts[n] && !get_bit(r->tables, n)))
		return qcow2_repair_refuse(r, "an L2 table", offset);
	set_bit(r->tables, n);
	if (++r->counts[n] > r->highest)
		r->highest = r->counts[n];
	return 0;
}

static int count_entry(struct repair *r, const struct qcow2_l2e *e,
		       uint64_t table, uint32_t times)
{
	struct qcow2 *q = r->q;
	uint64_t offset = e->desc & QCOW2_OFFSET, length;

	if (e->desc & QCOW2_COMPRESSED) {
		qcow2_compressed_range(&q->geo, e->desc, &offset, &length);
		/* The last sector may be cut off. */
		if (offset < q->file->size)
			length = qcow2_min(length, q->file->size - offset);
		return count(r, "a compressed cluster", offset, length, times);
	}
	if (e->desc & (QCOW2_L2_RESERVED | QCOW2_ZERO) ||
	    qcow2_in_cluster(q, offset))
		return qcow2_repair_refuse(r, "a bad entry of the L2 table",
					   table);
	if (!offset)
		return 0;
	return count(r, "a data cluster", offset, q->geo.cluster_size, times);
}

static int count_l2(struct repair *r, uint64_t table, uint32_t times)
{
	struct qcow2 *q = r->q;
	unsigned int i;
	int ret;

	r->l2_bytes += q->geo.cluster_size;
	if (r->l2_bytes > MAX_TABLES)
		return qcow2_repair_refuse(r, "its L2 tables have more than "
					      "16 GiB, with the one", table);
	ret = qcow2_pread(q, r->l2, q->geo.cluster_size, table);
	if (ret)
		return qcow2_repair_refuse(
			r, "an L2 table that cannot be read", table);
	for (i = 0; !ret && i < 1u << q->geo.l2_bits; i++) {
		struct qcow2_l2e e = qcow2_l2_decode(
			&q->geo, r->l2 + (size_t)i * q->geo.l2_entry);

		ret = count_entry(r, &e, table, times);
	}
	return ret;
}

/* One L2 table in many entries: our own tables must not be shared so. */
static int check_twice(struct repair *r)
{
	uint64_t *hosts, i, n = 0, twice;

	hosts = calloc((uint64_t)r->q->l1_size + 1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	for (i = 0; i < r->q->l1_size; i++)
		if (r->q->l1[i])
			hosts[n++] = be64toh(r->q->l1[i]) & QCOW2_OFFSET;
	twice = qcow2_find_twice(hosts, n);
	free(hosts);
	if (!twice)
		return 0;
	return qcow2_repair_refuse(r, "two entries for one L2 table in the L1 "
				      "table", r->q->l1_offset);
}

static int count_l1(struct repair *r, const uint64_t *l1, uint64_t size,
		    uint64_t offset)
{
	uint64_t i, table;
	int ret = count(r, "an L1 table", offset, size * 8, 1);

	for (i = 0; !ret && i < size; i++) {
		table = be64toh(l1[i]);
		if (qcow2_l1_wrong(&r->q->geo, table))
			return qcow2_repair_refuse(
				r, "a bad entry of the L1 table", offset);
		if (table & QCOW2_OFFSET)
			ret = count_table(r, table & QCOW2_OFFSET);
	}
	return ret;
}

static int count_snapshot(struct qcow2 *q, void *arg, uint64_t l1_offset,
			  uint32_t l1_size)
{
	struct repair *r = arg;
	int ret;

	if (l1_size > QCOW2_MAX_L1 / 8)
		return qcow2_repair_refuse(r, "a snapshot's L1 table",
					   l1_offset);
	r->l1_bytes += (uint64_t)l1_size * 8;
	if (r->l1_bytes > MAX_L1S)
		return qcow2_repair_refuse(r, "the L1 tables of its snapshots "
					      "have more than 1 GiB, with the "
					      "one", l1_offset);
	ret = qcow2_read_table(q, "snapshot's l1_table_offset", l1_offset,
			       l1_size, &r->l1);
	if (!ret)
		ret = count_l1(r, r->l1, l1_size, l1_offset);
	free(r->l1);
	r->l1 = NULL;
	return ret;
}

/* Is all of the cluster at @host a hole? To be asked from below to above. */
static bool in_hole(struct repair *r, uint64_t host)
{
	struct block_req req = { .type = BLOCK_SEEK_DATA, .offset = host };
	int64_t at;

	if (host >= r->data_from) {
		at = block_run(r->q->file, &req);
		r->data_from = at == -ENXIO ? UINT64_MAX :
			       at < 0	    ? host :
					      (uint64_t)at;
	}
	return r->data_from >= host + r->q->geo.cluster_size;
}

static void tell_progress(struct repair *r, uint64_t n)
{
	struct timespec now;

	progress(r, r->q->b->opt.path, "counting its references", n,
		 r->clusters);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!r->told)
		r->told = now.tv_sec;
	if (now.tv_sec - r->told < TELL)
		return;
	r->told = now.tv_sec;
	log_info("%s: qcow2: it was not closed cleanly; counting its "
		 "references: %u %%",
		 r->q->b->opt.path, (unsigned int)(n * 100 / r->clusters));
}

static int count_tables(struct repair *r)
{
	unsigned int bits = r->q->geo.cluster_bits;
	uint64_t n;
	int ret = 0;

	for (n = 0; !ret && n < r->clusters; n++) {
		if (!(n % 64) && !r->tables[n / 64]) {
			n += 63;
			continue;
		}
		if (!get_bit(r->tables, n) || in_hole(r, n << bits))
			continue;
		set_bit(r->full, n);
		ret = count_l2(r, n << bits, r->counts[n]);
		tell_progress(r, n);
	}
	return ret;
}

/* Nothing that is one of a kind may be anything else as well. */
static int check_single(struct repair *r)
{
	struct qcow2 *q = r->q;

	if (r->counts[0] != 1)
		return qcow2_repair_refuse(
			r, "a reference to the header's cluster", 0);
	if (q->l1_size && r->counts[q->l1_offset >> q->geo.cluster_bits] != 1)
		return qcow2_repair_refuse(r, "a second use of the L1 table",
					   q->l1_offset);
	if (q->geo.refcount_order < 5 &&
	    r->highest >> (1u << q->geo.refcount_order))
		return qcow2_repair_refuse(
			r, "a refcount too high for the image's refcount_bits:",
			r->highest);
	return 0;
}

int qcow2_repair_count(struct repair *r)
{
	struct qcow2 *q = r->q;
	int ret;

	ret = count(r, "the header", 0, q->geo.cluster_size, 1);
	if (!ret)
		ret = count(r, "the snapshot table", q->snapshots_offset,
			    q->snapshots_length, 1);
	if (!ret)
		ret = check_twice(r);
	if (!ret)
		ret = count_l1(r, q->l1, q->l1_size, q->l1_offset);
	if (!ret)
		ret = qcow2_for_snapshots(q, count_snapshot, r);
	/* Those of a data file refer to nothing in our file. */
	if (!ret && !q->geo.data_file)
		ret = count_tables(r);
	return ret ? ret : check_single(r);
}

/*
 * The dirty bit: somebody who kept refcounts lazily (QEMU's lazy_refcounts)
 * did not close the image; the mapping is right, refcounts may be anything.
 * They are counted anew from what the tables refer to:
 *
 * 1. Count the references of the header, the snapshot table, all L1 tables and
 *    L2 tables, and what these refer to. What makes no sense is not for us to
 *    mend: the image is refused.
 * 2. Set COPIED in the active tables to what was counted.
 * 3. Write new refcount blocks and a new refcount table behind all that is in
 *    use, the old ones included, or in between if a block device ends there;
 *    fdatasync.
 * 4. Let the header point to them, fdatasync; clear the dirty bit, fdatasync.
 *
 * The old blocks and table are counted by nobody and so are free. Until the
 * last step a crash leaves the image as dirty as it was.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define MAX_COUNTS (64u << 20) /* clusters; 256 MiB of memory */
#define MAX_L1S (1u << 30) /* bytes of all snapshots' L1 tables; a second */

#define OLD UINT32_MAX /* count 0, of the old refcounts */

struct repair {
	struct qcow2 *q;
	uint32_t *counts;
	uint64_t clusters; /* of the file */
	uint64_t end; /* of these, what is in use */
	uint64_t *l1; /* of a snapshot */
	uint64_t l1_bytes; /* of all snapshots so far */
	uint8_t *l2; /* one cluster */
	uint32_t highest;
};

static int refuse(const struct repair *r, const char *what, uint64_t at)
{
	log_warnx("%s: qcow2: it was not closed cleanly (dirty bit), and "
		  "cannot be repaired: %s at 0x%" PRIx64 "; try 'qemu-img check"
		  " -r all'",
		  r->q->b->opt.path, what, at);
	return -EIO;
}

static int count(struct repair *r, const char *what, uint64_t offset,
		 uint64_t length)
{
	uint64_t first = offset >> r->q->cluster_bits, last;

	if (!length)
		return 0;
	if (offset + length < offset)
		return refuse(r, what, offset);
	last = (offset + length - 1) >> r->q->cluster_bits;
	if (last >= r->clusters)
		return refuse(r, what, offset);
	for (; first <= last; first++) {
		if (r->counts[first] == OLD - 1)
			return refuse(r, what, offset);
		if (++r->counts[first] > r->highest)
			r->highest = r->counts[first];
	}
	return 0;
}

static int count_l2(struct repair *r, uint64_t table)
{
	struct qcow2 *q = r->q;
	struct qcow2_slice s = { .cache = &q->l2, .data = r->l2 };
	unsigned int i;
	int ret;

	ret = block_pread(q->file, r->l2, q->cluster_size, table);
	if (ret)
		return refuse(r, "an L2 table that cannot be read", table);
	for (i = 0; !ret && i < 1u << q->l2_bits; i++) {
		struct qcow2_l2e e = qcow2_l2_get(q, &s, i);
		uint64_t offset = e.desc & QCOW2_OFFSET, length;

		if (q->data_file)
			break;
		if (e.desc & QCOW2_COMPRESSED) {
			qcow2_packed_range(q, e.desc, &offset, &length);
			/* The last sector may be cut off. */
			if (offset < q->file->size)
				length = qcow2_min(length,
						   q->file->size - offset);
			ret = count(r, "a compressed cluster", offset, length);
		} else if (e.desc & (QCOW2_L2_RESERVED | QCOW2_ZERO) ||
			   qcow2_in_cluster(q, offset)) {
			ret = refuse(r, "a bad entry of the L2 table", table);
		} else if (offset) {
			ret = count(r, "a data cluster", offset,
				    q->cluster_size);
		}
	}
	return ret;
}

/* One L2 table in many entries would have us count it as often. */
static int check_twice(struct repair *r, const uint64_t *l1, uint64_t size,
		       uint64_t offset)
{
	uint64_t *hosts = calloc(size + 1, sizeof(*hosts)), i, n = 0, twice;

	if (!hosts)
		return -ENOMEM;
	for (i = 0; i < size; i++)
		if (l1[i])
			hosts[n++] = be64toh(l1[i]) & QCOW2_OFFSET;
	twice = qcow2_find_twice(hosts, n);
	free(hosts);
	return twice ? refuse(r, "two entries for one L2 table in the L1 "
				 "table", offset) :
		       0;
}

static int count_l1(struct repair *r, const uint64_t *l1, uint64_t size,
		    uint64_t offset)
{
	uint64_t i, table;
	int ret = count(r, "an L1 table", offset, size * 8);

	if (!ret)
		ret = check_twice(r, l1, size, offset);
	for (i = 0; !ret && i < size; i++) {
		table = be64toh(l1[i]);
		if (table & QCOW2_L1_RESERVED ||
		    qcow2_in_cluster(r->q, table & QCOW2_OFFSET))
			return refuse(r, "a bad entry of the L1 table", offset);
		table &= QCOW2_OFFSET;
		if (!table)
			continue;
		ret = count(r, "an L2 table", table, r->q->cluster_size);
		if (!ret)
			ret = count_l2(r, table);
	}
	return ret;
}

static int count_snapshot(struct qcow2 *q, void *arg, uint64_t l1_offset,
			  uint32_t l1_size)
{
	struct repair *r = arg;
	int ret;

	if (l1_size > QCOW2_MAX_L1 / 8)
		return refuse(r, "a snapshot's L1 table", l1_offset);
	r->l1_bytes += (uint64_t)l1_size * 8;
	if (r->l1_bytes > MAX_L1S)
		return refuse(r, "the L1 tables of its snapshots have more than"
				 " 1 GiB, with the one", l1_offset);
	ret = qcow2_read_table(q, "snapshot's l1_table_offset", l1_offset,
			       l1_size, &r->l1);
	if (!ret)
		ret = count_l1(r, r->l1, l1_size, l1_offset);
	free(r->l1);
	r->l1 = NULL;
	return ret;
}

static int count_all(struct repair *r)
{
	struct qcow2 *q = r->q;
	int ret;

	ret = count(r, "the header", 0, q->cluster_size);
	if (!ret)
		ret = count(r, "the snapshot table", q->snapshots_offset,
			    q->snapshots_length);
	if (!ret)
		ret = count_l1(r, q->l1, q->l1_size, q->l1_offset);
	if (!ret)
		ret = qcow2_for_snapshots(q, count_snapshot, r);
	/* Nothing that is one of a kind may be anything else as well. */
	if (!ret && r->counts[0] != 1)
		ret = refuse(r, "a reference to the header's cluster", 0);
	if (!ret && q->l1_size && r->counts[q->l1_offset >> q->cluster_bits] !=
					  1)
		ret = refuse(r, "a second use of the L1 table", q->l1_offset);
	if (!ret && q->refcount_order < 5 &&
	    r->highest >> (1u << q->refcount_order))
		ret = refuse(r, "a refcount too high for the image's "
				"refcount_bits:", r->highest);
	return ret;
}

/* What COPIED should be: is the cluster at @offset ours alone? */
static bool set_copied(const struct repair *r, uint64_t *entry)
{
	uint64_t e = be64toh(*entry), offset = e & QCOW2_OFFSET, was = e;

	e &= ~QCOW2_COPIED;
	if (offset && r->counts[offset >> r->q->cluster_bits] == 1)
		e |= QCOW2_COPIED;
	*entry = htobe64(e);
	return e != was;
}

static int mend_l2(struct repair *r, uint64_t table)
{
	struct qcow2 *q = r->q;
	bool changed = false;
	uint64_t at, e;
	int ret;

	ret = block_pread(q->file, r->l2, q->cluster_size, table);
	for (at = 0; !ret && at < q->cluster_size; at += q->l2_entry) {
		memcpy(&e, r->l2 + at, 8);
		if (be64toh(e) & QCOW2_COMPRESSED || !set_copied(r, &e))
			continue;
		memcpy(r->l2 + at, &e, 8);
		changed = true;
	}
	if (!ret && changed)
		ret = block_pwrite(q->file, r->l2, q->cluster_size, table);
	return ret;
}

static int mend_tables(struct repair *r)
{
	struct qcow2 *q = r->q;
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < q->l1_size; i++) {
		set_copied(r, &q->l1[i]);
		/* A table that is shared is copied before it is written. */
		if (be64toh(q->l1[i]) & QCOW2_COPIED && !q->data_file)
			ret = mend_l2(r, be64toh(q->l1[i]) & QCOW2_OFFSET);
	}
	if (!ret && q->l1_size)
		ret = block_pwrite(q->file, q->l1, (uint64_t)q->l1_size * 8,
				   q->l1_offset);
	return ret;
}

/* Not to be written to, though nothing refers to it. */
static void keep(struct repair *r, uint64_t cluster)
{
	if (cluster >= r->clusters)
		return;
	if (!r->counts[cluster])
		r->counts[cluster] = OLD;
	if (cluster >= r->end)
		r->end = cluster + 1;
}

/* Keeps the old refcounts; nothing that is in use is at r->end or behind. */
static int keep_old(struct repair *r)
{
	struct qcow2 *q = r->q;
	uint64_t first = q->reftable_offset >> q->cluster_bits, i;
	uint64_t *table = NULL;
	int ret = qcow2_read_table(q, "refcount_table_offset",
				   q->reftable_offset, q->reftable_size,
				   &table);

	for (r->end = r->clusters; !r->counts[r->end - 1];)
		r->end--;
	for (i = 0; i < q->reftable_size * 8 >> q->cluster_bits; i++)
		keep(r, first + i);
	for (i = 0; !ret && i < q->reftable_size; i++)
		if (table[i])
			keep(r, be64toh(table[i]) >> q->cluster_bits);
	free(table);
	return ret;
}

/* Where @need clusters in a row are free; 0 if they are nowhere. */
static uint64_t find_room(const struct repair *r, uint64_t need)
{
	uint64_t max = qcow2_max_clusters(r->q), n, run = 0;

	if (r->end + need <= max)
		return r->end;
	for (n = 1; n < max; n++) {
		run = r->counts[n] ? 0 : run + 1;
		if (run == need)
			return n + 1 - need;
	}
	return 0;
}

/* Block @k of the new ones; all @need of them and of the table lie at @from.. */
static int write_block(struct repair *r, uint64_t k, uint64_t from,
		       uint64_t need)
{
	struct qcow2 *q = r->q;
	uint64_t entries = 1ULL << q->block_bits, i, n, value;

	memset(r->l2, 0, q->cluster_size);
	for (i = 0; i < entries; i++) {
		n = k * entries + i;
		value = n >= from && n < from + need;
		if (n < r->end && r->counts[n] && r->counts[n] != OLD)
			value = r->counts[n];
		qcow2_refcount_put(q, r->l2, (unsigned int)i, value);
	}
	return block_pwrite(q->file, r->l2, q->cluster_size,
			    (from + k) << q->cluster_bits);
}

static int flush(struct qcow2 *q)
{
	struct block_req req = { .type = BLOCK_FLUSH };

	return (int)block_run(q->file, &req);
}

static int store_header(struct qcow2 *q)
{
	int ret = block_pwrite(q->file, q->header, QCOW2_SECTOR, 0);

	return ret ? ret : flush(q);
}

static int write_refcounts(struct repair *r)
{
	struct qcow2 *q = r->q;
	uint64_t per_table = q->cluster_size / 8, k, at;
	uint64_t blocks, tables, from;
	uint64_t *table;
	int ret = keep_old(r);

	if (ret)
		return ret;
	for (blocks = ((r->end - 1) >> q->block_bits) + 1;; blocks++) {
		tables = (blocks + per_table - 1) / per_table;
		from = find_room(r, blocks + tables);
		if (!from)
			return -ENOSPC;
		if (from + blocks + tables <= blocks << q->block_bits)
			break;
	}
	if (tables << q->cluster_bits > QCOW2_MAX_REFTABLE)
		return -EFBIG;
	table = calloc(tables, q->cluster_size);
	if (!table)
		return -ENOMEM;
	for (k = 0; !ret && k < blocks; k++) {
		table[k] = htobe64((from + k) << q->cluster_bits);
		ret = write_block(r, k, from, blocks + tables);
	}
	at = (from + blocks) << q->cluster_bits;
	if (!ret)
		ret = block_pwrite(q->file, table, tables << q->cluster_bits,
				   at);
	free(table);
	if (!ret)
		ret = flush(q);
	if (ret)
		return ret;
	q->reftable_offset = at;
	q->reftable_size = tables * per_table;
	qcow2_put64(q, QCOW2_H_REFTABLE_OFFSET, at);
	qcow2_put32(q, QCOW2_H_REFTABLE_CLUSTERS, (uint32_t)tables);
	ret = store_header(q);
	if (ret)
		return ret;
	q->incompatible &= ~QCOW2_INCOMPAT_DIRTY;
	qcow2_put64(q, QCOW2_H_INCOMPAT, q->incompatible);
	return store_header(q);
}

static int repair(struct repair *r)
{
	struct qcow2 *q = r->q;
	int ret;

	r->clusters = qcow2_round_up(q->file->size, q->cluster_size) >>
		      q->cluster_bits;
	/* Bitmaps are not counted; whoever knows them shall mend them. */
	if (q->autoclear & 1)
		return refuse(r, "it has bitmaps, header", 0);
	if (r->clusters > MAX_COUNTS)
		return refuse(r, "it is too large, with clusters", r->clusters);
	if (r->clusters * sizeof(*r->counts) + q->cluster_size >
	    qcow2_memory_left(q))
		return refuse(r, "there is too little memory (--memory), with "
				 "clusters", r->clusters);
	r->counts = calloc(r->clusters, sizeof(*r->counts));
	r->l2 = aligned_alloc(4096, qcow2_round_up(q->cluster_size, 4096));
	if (!r->counts || !r->l2)
		return refuse(r, "out of memory, with clusters", r->clusters);
	ret = count_all(r);
	if (ret)
		return ret;
	ret = mend_tables(r);
	if (!ret)
		ret = write_refcounts(r);
	if (ret)
		log_warnx("%s: qcow2: rebuilding the refcounts of an image that"
			  " was not closed cleanly: %s",
			  q->b->opt.path, strerror(-ret));
	else
		log_info("%s: qcow2: it was not closed cleanly; its refcounts "
			 "are rebuilt",
			 q->b->opt.path);
	return ret;
}

int qcow2_repair(struct qcow2 *q)
{
	struct repair r = { .q = q };
	int ret = repair(&r);

	free(r.counts);
	free(r.l2);
	return ret;
}

/*
 * The dirty bit: somebody who kept refcounts lazily (QEMU's lazy_refcounts)
 * did not close the image; the mapping is right, refcounts may be anything.
 * They are counted anew from what the tables refer to:
 *
 * 1. Count the references (repair_count.c). What makes no sense is not for us
 *    to mend: the image is refused.
 * 2. Set COPIED in the active tables to what was counted.
 * 3. Write new refcount blocks and a new refcount table behind all that is in
 *    use, the old ones included, or in between if a block device ends there;
 *    fdatasync.
 * 4. Let the header point to them, fdatasync; clear the dirty bit, fdatasync.
 *
 * The old blocks and table are counted by nobody and so are free. Until the
 * last step a crash leaves the image as dirty as it was.
 *
 * All of it happens at open: a signal ends the process, the image is as dirty
 * as it was. Who owns the image may change it meanwhile: what is read a second
 * time is checked a second time.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/memory.h"
#include "block/qcow2/refblock_alloc.h"
#include "block/qcow2/repair.h"
#include "loop/log.h"
#include "loop/progress.h"

#define MAX_COUNTS (64u << 20) /* clusters; 256 MiB of memory */

#define OLD UINT32_MAX /* count 0, of the old refcounts */

/* What COPIED should be: is the cluster at @offset ours alone? */
static int set_copied(struct repair *r, uint64_t *entry, bool *changed)
{
	uint64_t e = be64toh(*entry), offset = e & QCOW2_OFFSET, was = e;

	if (offset >> r->q->geo.cluster_bits >= r->clusters)
		return qcow2_repair_refuse(r, "an entry that changed meanwhile,"
					      " to", offset);
	e &= ~QCOW2_COPIED;
	if (offset && r->counts[offset >> r->q->geo.cluster_bits] == 1)
		e |= QCOW2_COPIED;
	*entry = htobe64(e);
	*changed |= e != was;
	return 0;
}

static int mend_l2(struct repair *r, uint64_t table)
{
	struct qcow2 *q = r->q;
	bool changed = false;
	uint64_t at, e;
	int ret;

	ret = qcow2_pread(q, r->l2, q->geo.cluster_size, table);
	for (at = 0; !ret && at < q->geo.cluster_size; at += q->geo.l2_entry) {
		memcpy(&e, r->l2 + at, 8);
		if (be64toh(e) & QCOW2_COMPRESSED)
			continue;
		ret = set_copied(r, &e, &changed);
		memcpy(r->l2 + at, &e, 8);
	}
	if (!ret && changed)
		ret = block_pwrite(q->file, r->l2, q->geo.cluster_size, table);
	return ret;
}

static int mend_tables(struct repair *r)
{
	struct qcow2 *q = r->q;
	bool changed = false;
	uint64_t table;
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < q->l1_size; i++) {
		ret = set_copied(r, &q->l1[i], &changed);
		table = be64toh(q->l1[i]);
		/* A table that is shared is copied before it is written. */
		if (!ret && table & QCOW2_COPIED && !q->geo.data_file &&
		    qcow2_repair_full(r, table & QCOW2_OFFSET))
			ret = mend_l2(r, table & QCOW2_OFFSET);
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
	uint64_t first = q->reftable_offset >> q->geo.cluster_bits, i;
	uint64_t *table = NULL;
	int ret = qcow2_read_table(q, "refcount_table_offset",
				   q->reftable_offset, q->reftable_size,
				   &table);

	for (r->end = r->clusters; !r->counts[r->end - 1];)
		r->end--;
	for (i = 0; i < q->reftable_size * 8 >> q->geo.cluster_bits; i++)
		keep(r, first + i);
	for (i = 0; !ret && i < q->reftable_size; i++)
		if (table[i])
			keep(r, be64toh(table[i]) >> q->geo.cluster_bits);
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
	uint64_t entries = 1ULL << q->geo.block_bits, i, n, value;

	memset(r->l2, 0, q->geo.cluster_size);
	for (i = 0; i < entries; i++) {
		n = k * entries + i;
		value = n >= from && n < from + need;
		if (n < r->end && r->counts[n] && r->counts[n] != OLD)
			value = r->counts[n];
		qcow2_refcount_put(&q->geo, r->l2, (unsigned int)i, value);
	}
	return block_pwrite(q->file, r->l2, q->geo.cluster_size,
			    (from + k) << q->geo.cluster_bits);
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
	uint64_t per_table = q->geo.cluster_size / 8, k, at;
	uint64_t blocks, tables, from;
	uint64_t *table;
	int ret = keep_old(r);

	if (ret)
		return ret;
	for (blocks = ((r->end - 1) >> q->geo.block_bits) + 1;; blocks++) {
		tables = (blocks + per_table - 1) / per_table;
		from = find_room(r, blocks + tables);
		if (!from)
			return -ENOSPC;
		if (from + blocks + tables <= blocks << q->geo.block_bits)
			break;
	}
	if (tables << q->geo.cluster_bits > QCOW2_MAX_REFTABLE)
		return -EFBIG;
	table = calloc(tables, q->geo.cluster_size);
	if (!table)
		return -ENOMEM;
	for (k = 0; !ret && k < blocks; k++) {
		table[k] = htobe64((from + k) << q->geo.cluster_bits);
		ret = write_block(r, k, from, blocks + tables);
	}
	at = (from + blocks) << q->geo.cluster_bits;
	if (!ret)
		ret = block_pwrite(q->file, table,
				   tables << q->geo.cluster_bits, at);
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

	r->clusters = qcow2_round_up(q->file->size, q->geo.cluster_size) >>
		      q->geo.cluster_bits;
	/* Bitmaps are not counted; whoever knows them shall mend them. */
	if (q->autoclear & 1)
		return qcow2_repair_refuse(r, "it has bitmaps, header", 0);
	if (r->clusters > MAX_COUNTS)
		return qcow2_repair_refuse(r, "it is too large, with clusters",
					   r->clusters);
	if (r->clusters * sizeof(*r->counts) + r->clusters / 4 +
		    q->geo.cluster_size >
	    qcow2_memory_left(q))
		return qcow2_repair_refuse(r, "there is too little memory "
					      "(--memory), with clusters",
					   r->clusters);
	r->counts = calloc(r->clusters, sizeof(*r->counts));
	r->tables = calloc(r->clusters / 64 + 1, sizeof(*r->tables));
	r->full = calloc(r->clusters / 64 + 1, sizeof(*r->full));
	r->l2 = aligned_alloc(4096, qcow2_round_up(q->geo.cluster_size, 4096));
	if (!r->counts || !r->tables || !r->full || !r->l2)
		return qcow2_repair_refuse(r, "out of memory, with clusters",
					   r->clusters);
	ret = qcow2_repair_count(r);
	if (ret)
		return ret;
	ret = mend_tables(r);
	if (!ret)
		ret = write_refcounts(r);
	if (ret && !r->refused)
		log_warnx("%s: qcow2: rebuilding the refcounts of an image that"
			  " was not closed cleanly: %s",
			  q->b->opt.path, strerror(-ret));
	if (!ret)
		log_info("%s: qcow2: it was not closed cleanly; its refcounts "
			 "are rebuilt",
			 q->b->opt.path);
	return ret;
}

int qcow2_repair(struct qcow2 *q)
{
	struct repair r = { .q = q };
	int ret = repair(&r);

	progress_end(&r);
	free(r.counts);
	free(r.tables);
	free(r.full);
	free(r.l2);
	return ret;
}

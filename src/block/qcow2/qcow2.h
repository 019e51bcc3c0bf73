/*
 * The qcow2 driver's insides. docs: the design note of each file.
 *
 *   qcow2.c      open, submit, close: the driver's glue
 *   header.c     the header, written; header_read.c: checked
 *   chain.c      the files: the image's own, its data file, its backing file
 *   snapshot.c   finds an internal snapshot to export
 *   format.c     the format: geometry, entries of tables
 *   job.c        whatever waits: queues, child requests
 *   buffer.c     buffers of copy on write
 *   in_flight.c  mappings that requests under way were made from
 *   range_lock.c locks of guest clusters
 *   request.c    requests of the guest, and their tasks
 *   cache.c      slices of L2 tables and refcount blocks
 *   map.c        guest offset -> where it is
 *   read.c       guest reads, and the reads of copy on write
 *   decompress.c compressed clusters
 *   write.c      guest writes
 *   cow.c        what surrounds a write in a new cluster
 *   discard.c    discard, write zeroes, allocate
 *   seek.c       SEEK_DATA, SEEK_HOLE
 *   stat.c       times and storage, of all files
 *   table.c      new L2 tables
 *   alloc.c      clusters are taken
 *   frees.c      clusters that a writeback makes unreachable
 *   reclaim.c    clusters are given back
 *   fence.c      no data where metadata is
 *   refcount.c   new refcount blocks, a larger refcount table
 *   writeback.c  the order in which all of it reaches the disk
 *   grow.c       a disk of another size
 *   repair.c     refcounts rebuilt from the tables
 *   repair_count.c  what refers to what, for that
 */
#ifndef RAWFUSE_BLOCK_QCOW2_QCOW2_H
#define RAWFUSE_BLOCK_QCOW2_QCOW2_H

#include "block/block.h"
#include "block/qcow2/alloc.h"
#include "block/qcow2/buffer.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/cow.h"
#include "block/qcow2/decompress.h"
#include "block/qcow2/discard.h"
#include "block/qcow2/fence.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/grow.h"
#include "block/qcow2/header.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/map.h"
#include "block/qcow2/memory.h"
#include "block/qcow2/range_lock.h"
#include "block/qcow2/read.h"
#include "block/qcow2/reclaim.h"
#include "block/qcow2/refcount.h"
#include "block/qcow2/request.h"
#include "block/qcow2/seek.h"
#include "block/qcow2/stat.h"
#include "block/qcow2/table.h"
#include "block/qcow2/write.h"
#include "block/qcow2/writeback.h"

#define QCOW2_TASKS 128 /* requests that run at the same time */

struct qcow2_range {
	uint64_t start, end; /* bytes, whole clusters */
};

struct qcow2 {
	struct block *b;
	struct block *file, *data, *backing; /* data may be file */
	char *backing_path, *data_path, *backing_format;
	uint64_t device, inode; /* of the image's own file */

	/* The header: */
	uint8_t *header; /* its first sector, as it is to be on disk */
	struct qcow2_header_writer *header_writer;
	struct qcow2_geometry geo;
	uint64_t incompatible, autoclear;
	uint32_t snapshots;
	uint64_t snapshots_offset, snapshots_length;
	bool corrupt; /* writes are refused */
	bool told_copied; /* of a flag that a compressed cluster has */

	uint64_t *l1; /* big endian */
	uint32_t l1_size; /* entries */
	uint64_t l1_offset;
	uint64_t *reftable; /* big endian */
	uint64_t reftable_size; /* entries */
	uint64_t reftable_offset;

	struct qcow2_fence *fence;
	struct qcow2_range *inactive; /* L1 tables of snapshots, in order */
	uint32_t inactive_count;

	struct qcow2_cache *l2, *refcounts;
	uint32_t slice_size; /* bytes */

	struct qcow2_tasks *tasks;
	uint64_t task_bytes; /* what they take of memory */
	struct qcow2_buffers *buffers;
	uint8_t *zeros; /* QCOW2_BUFFER of them */

	struct qcow2_decompressor *decompressor;
	struct qcow2_in_flight_list in_flight;
	struct qcow2_range_lock *locked; /* all of them */

	uint64_t free_cursor; /* no cluster below it is free */
	uint64_t end; /* bytes of the disk, growth under way included */
	uint64_t stored_end; /* to be in the header */
	/*
	 * The header on disk may name a table that is not ours: no flush is
	 * complete before it is written again, and stable.
	 */
	bool header_stale;
	uint64_t clean_to; /* bytes from end to here are stable zeros */
	/*
	 * What L2 entries hide behind clean_to, by reading as zeros, the disk's
	 * may still show.
	 */
	bool tail_dirty;

	struct qcow2_table_maker *table_maker;
	struct qcow2_refcount_maker *refcount_maker;
	struct qcow2_writeback *wb;
	struct qcow2_pending *pending;
	struct qcow2_reclaim *reclaim;
	struct qcow2_grower *grower;
};

static inline uint64_t qcow2_in_cluster(const struct qcow2 *q, uint64_t at)
{
	return at & (q->geo.cluster_size - 1);
}

/* Bytes of the backing file at and after @guest that are there. */
static inline uint64_t qcow2_backing_left(const struct qcow2 *q, uint64_t guest)
{
	if (!q->backing || guest >= q->backing->size)
		return 0;
	return q->backing->size - guest;
}

/* A raw data file that ends where the disk does? */
static inline bool qcow2_data_follows(const struct qcow2 *q)
{
	return q->geo.data_raw && q->data->opt.growable;
}

/* chain.c. Opening may wait; one line, -errno. */
int qcow2_open_file(struct qcow2 *q);
int qcow2_open_others(struct qcow2 *q);
int qcow2_close_files(struct qcow2 *q);
void qcow2_tell_files(const struct block *b);

/* plain.c: what --untrusted refuses; -errno is logged. */
int qcow2_check_plain(struct qcow2 *q);

/* snapshot.c: checks all; takes L1 table and size of opt.snapshot. */
int qcow2_check_snapshots(struct qcow2 *q);
int qcow2_for_snapshots(struct qcow2 *q,
			int (*fn)(struct qcow2 *q, void *arg,
				  uint64_t l1_offset, uint32_t l1_size),
			void *arg);

/* repair.c: at open, may wait. */
int qcow2_repair(struct qcow2 *q);

extern const struct block_driver block_qcow2;

#endif

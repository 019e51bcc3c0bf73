/*
 * The qcow2 driver, and what its files share of an open image. What only one
 * of them needs is in a struct of its own there.
 *
 * The driver has floors. A file includes headers of lower floors, and of its
 * own, so calls go down. What has to go up waits in a queue below and is
 * stepped (reclaim: writeback, in_flight), or is called by a pointer that it
 * left: done() of a request, and the pressure of a cache, which is the
 * writeback's. tests/qcow2/floors.sh checks this table, the ground first:
 *
 *   format                 the format: geometry, entries of tables
 *   job in_flight image    jobs, queues, child requests; mappings in use
 *   buffer range_lock      buffers of copy on write; locks of guest clusters
 *   header header_read     the header, written; checked at open
 *   cache                  slices of L2 tables and refcount blocks
 *   map                    guest offset -> where it is
 *   overlap                no data where metadata is
 *   writeback              the order in which all of it reaches the disk
 *   frees                  clusters that a writeback makes unreachable
 *   memory                 what an image takes of memory
 *   refblock_alloc         new refcount blocks, a larger refcount table
 *   alloc                  clusters are taken
 *   l2_alloc reclaim       new L2 tables; clusters are given back
 *   decompress             compressed clusters
 *   read                   reads, of the guest and of copy on write
 *   cow                    what surrounds a write in a new cluster
 *   write                  writes
 *   discard                discard, write zeroes
 *   seek stat              SEEK_DATA, SEEK_HOLE; times and storage of all files
 *   resize                 a disk of another size
 *   files plain snapshot repair repair_count
 *                          open: files, what is refused, snapshots, refcounts
 *                          rebuilt from the tables
 *   request                requests of the guest: each gets a task, and begins
 *   qcow2                  open, submit, close: the driver's glue
 */
#ifndef RAWFUSE_BLOCK_QCOW2_IMAGE_H
#define RAWFUSE_BLOCK_QCOW2_IMAGE_H

#include "block/qcow2/format.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"

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

	struct qcow2_overlap *overlap;
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

	struct qcow2_l2_alloc *l2_alloc;
	struct qcow2_refblock_alloc *refblock_alloc;
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

#endif

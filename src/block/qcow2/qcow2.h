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
 *   compress.c   compressed clusters
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
#include "block/qcow2/fence.h"
#include "block/qcow2/format.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"
#include "block/qcow2/map.h"
#include "block/qcow2/range_lock.h"
#include "block/qcow2/reclaim.h"
#include "block/qcow2/refcount.h"
#include "block/qcow2/table.h"
#include "block/qcow2/writeback.h"

#define QCOW2_TASKS 128 /* requests that run at the same time */
#define QCOW2_L2_CACHE (256u << 10) /* bytes, if nothing is said */
#define QCOW2_REFCOUNT_CACHE (64u << 10)

struct qcow2_range {
	uint64_t start, end; /* bytes, whole clusters */
};

/* One request of the guest. */
struct qcow2_task {
	struct qcow2_job job;
	struct block_req *req;
	struct qcow2_task *next_free;
	bool submitting; /* within submit(): must not complete */
	unsigned int steps; /* of long work, for qcow2_turn() */
	int64_t result;
	uint64_t pos, end; /* of the request: what is left */

	struct qcow2_in_flight in_flight;

	/* read.c */
	struct {
		uint64_t pos, end;
		uint8_t *buf; /* of pos */
		bool guest; /* it lies in the request's */
		void (*done)(struct qcow2_task *t);
		uint64_t length; /* of the child request */
		uint64_t missing; /* bytes at pos that nobody has */
		uint64_t packed; /* compressed descriptor */
	} r;

	/* write.c and cow.c */
	struct {
		uint64_t pos, end;
		const uint8_t *src; /* of pos; NULL: zeros */
		bool guest; /* it lies in the request's buffer */
		void (*done)(struct qcow2_task *t);
		struct qcow2_range_lock lock;
		uint64_t host; /* of the first cluster */
		uint64_t from, to; /* guest bytes that become data */
		uint64_t data_end; /* the request's part of it */
		uint64_t cow; /* next guest byte to write */
		uint32_t piece;
		bool keep; /* the cluster is there already */
		bool copy; /* no data: the old contents get a place */
		uint8_t *buffer;
		int error;
	} w;
	/* discard.c */
	struct {
		enum block_type type; /* DISCARD or ZERO */
		uint64_t pos, end;
		void (*done)(struct qcow2_task *t);
		bool cut; /* behind the end of the disk: may read as it likes */
		bool changed;
	} z;

	/* seek.c */
	struct {
		unsigned int looks; /* at the map */
		uint64_t entries; /* that it saw there */
		uint64_t began; /* monotonic seconds */
	} s;
};

/* Makes the disk larger. */
struct qcow2_grower {
	struct qcow2_task task;
	bool busy;
	bool has_tables; /* holds the table maker's lock */
	struct qcow2_queue waiters;
	uint64_t end; /* of the disk, wanted */
	uint64_t *l1; /* the larger table */
	uint32_t l1_size; /* entries */
	uint64_t l1_clusters, l1_host;
	struct qcow2_publish publish;
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

	struct qcow2_task *tasks, *free_task;
	struct block_req *fifo_first, *fifo_last; /* wait for a task */
	struct op fifo_op;
	bool fifo_posted;
	struct qcow2_buffers *buffers;
	uint8_t *zeros; /* QCOW2_BUFFER of them */

	/* compress.c: one cluster is unpacked at a time, and kept. */
	uint8_t *unpack_in, *unpack_out;
	uint64_t unpacked; /* descriptor of what is in unpack_out; or 0 */
	bool unpacking;
	struct qcow2_queue unpack_waiters;
	void *unpack_state;

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
	struct qcow2_grower grower;
};

#define QCOW2_TASK(j) container_of(j, struct qcow2_task, job)

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

/* memory.c: is there enough? Before a table is read; one line, -errno. */
int qcow2_check_memory(const struct qcow2 *q);
/* Bytes of L1 tables, and of all that is kept, with the images above it. */
uint64_t qcow2_l1_bytes(const struct qcow2 *q);
uint64_t qcow2_memory(const struct qcow2 *q);
/* Bytes that may be used for a while, as by a repair; UINT64_MAX: no bound. */
uint64_t qcow2_memory_left(const struct qcow2 *q);

/* snapshot.c: checks all; takes L1 table and size of opt.snapshot. */
int qcow2_check_snapshots(struct qcow2 *q);
int qcow2_for_snapshots(struct qcow2 *q,
			int (*fn)(struct qcow2 *q, void *arg,
				  uint64_t l1_offset, uint32_t l1_size),
			void *arg);

/* request.c */
int qcow2_pools_init(struct qcow2 *q);
void qcow2_pools_free(struct qcow2 *q);
/* The task's request is over. */
void qcow2_finish(struct qcow2_task *t, int64_t result);
/* With what its work may end early. A WRITE is near its end: NULL. */
const struct block_req *qcow2_ends_with(const struct qcow2_task *t);
void qcow2_fifo_add(struct qcow2 *q, struct block_req *req);

/* qcow2.c: starts a request in its task. */
void qcow2_start(struct qcow2_task *t);

/* read.c: fills t->r.buf from t->r.pos to t->r.end, then t->r.done(). */
void qcow2_read(struct qcow2_task *t);
void qcow2_read_again(struct qcow2_task *t); /* job.error, or goes on */
void qcow2_read_request(struct qcow2_task *t);
/* write.c: writes t->w.src from t->w.pos to t->w.end, then t->w.done(). */
void qcow2_write(struct qcow2_task *t);
void qcow2_write_request(struct qcow2_task *t);
/* cow.c: fills t->w.from to t->w.to at t->w.host, then qcow2_write_link(). */
void qcow2_fill(struct qcow2_task *t);
void qcow2_write_link(struct qcow2_task *t, int error);

/* discard.c, seek.c, stat.c, grow.c */
void qcow2_discard_request(struct qcow2_task *t);
void qcow2_zero(struct qcow2_task *t); /* t->z; then t->z.done() */
void qcow2_seek_request(struct qcow2_task *t);
void qcow2_stat_request(struct qcow2_task *t);
void qcow2_truncate_request(struct qcow2_task *t);
/* The disk shall reach to @end: 0, QCOW2_WAIT or -errno. */
int qcow2_grow(struct qcow2_task *t, uint64_t end);

/* repair.c: at open, may wait. */
int qcow2_repair(struct qcow2 *q);

/* compress.c: 0 (then the cluster is q->unpack_out), QCOW2_WAIT, -errno. */
int qcow2_unpack(struct qcow2_task *t, uint64_t desc);
void qcow2_unpack_free(struct qcow2 *q);
int qcow2_unpack_check(struct qcow2 *q);

extern const struct block_driver block_qcow2;

#endif

/*
 * The order in which changes reach the disk. One writeback runs at a time:
 *
 *   begin    what is dirty now is the set; it is frozen: who wants to change
 *            a slice of it waits until that is written
 *   phase 1  refcounts are written
 *   fdatasync: refcounts, all data written before, new L2 tables (l2_alloc.c)
 *   phase 2  L2 slices, L1 entries, the size in the header are written
 *   fdatasync
 *   end      clusters that the set let go may be freed (frees.c)
 *
 * Why that is enough. An L2 entry of the set points to a cluster that was
 * taken before the entry was changed, so its refcount is in the set or older;
 * its data was written before, so the first fdatasync covers it. Later
 * allocations are in no frozen slice. Entries written in phase 2 do not depend
 * on one another: an L1 entry points to a table that the first fdatasync made
 * stable, empty or a copy. So whatever part of phase 2 a crash keeps, in
 * sectors of 512 bytes, entries are valid; refcounts are never too low, since
 * they are lowered only after the second fdatasync.
 *
 * With nothing for phase 2, one fdatasync does. An error leaves the set dirty,
 * and is what the flush returns.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/writeback.h"

struct qcow2_writeback {
	struct qcow2_job job; /* L1, fdatasync of the file */
	struct qcow2_job header_job, data_job;
	bool busy;
	bool again; /* somebody asked for one more */
	bool l1_frozen;
	bool stale; /* it writes a header that was stale */
	bool tail; /* it writes entries that were q->tail_dirty */
	uint64_t end; /* of the disk, for the header */
	uint64_t disk_end; /* the same, as the disk has it */
	uint64_t begun, done; /* how many; the last one that ended well */
	unsigned int in_flight;
	void (*next_phase)(struct qcow2 *q);
	int error;
	uint32_t l1_dirty_first, l1_dirty_last; /* first > last: none */
	uint32_t l1_first, l1_last; /* dirty entries, in phase 2 */
	struct qcow2_queue now, next; /* who waits for which one */
	struct qcow2_queue ended; /* who waits for any to end */
	struct qcow2_queue l1_waiters;
};

static void begin(struct qcow2 *q);

static bool l1_is_dirty(const struct qcow2 *q)
{
	return q->wb->l1_dirty_first <= q->wb->l1_dirty_last;
}

bool qcow2_is_dirty(const struct qcow2 *q)
{
	return qcow2_cache_dirty(q->l2) || qcow2_cache_dirty(q->refcounts) ||
	       l1_is_dirty(q) || q->stored_end != q->wb->disk_end ||
	       q->header_stale;
}

void qcow2_l1_dirty(struct qcow2 *q, uint32_t index)
{
	if (!l1_is_dirty(q))
		q->wb->l1_dirty_first = q->wb->l1_dirty_last = index;
	else if (index < q->wb->l1_dirty_first)
		q->wb->l1_dirty_first = index;
	else if (index > q->wb->l1_dirty_last)
		q->wb->l1_dirty_last = index;
}

static void end(struct qcow2 *q)
{
	struct qcow2_writeback *wb = q->wb;
	int error = wb->error;

	qcow2_cache_settle(q->refcounts, error);
	qcow2_cache_settle(q->l2, error);
	if (wb->l1_frozen && error) {
		qcow2_l1_dirty(q, wb->l1_first);
		qcow2_l1_dirty(q, wb->l1_last);
	}
	wb->l1_frozen = false;
	qcow2_wake(&wb->l1_waiters, 0);
	/* After an error nobody knows which size the header has. */
	if (!error)
		q->wb->disk_end = wb->end;
	else if (q->wb->disk_end != wb->end)
		q->wb->disk_end = UINT64_MAX;
	if (error && wb->stale)
		q->header_stale = true;
	wb->stale = false;
	if (error && wb->tail)
		q->tail_dirty = true;
	wb->tail = false;
	if (!error)
		wb->done = wb->begun;
	qcow2_wake(&wb->ended, error);
	qcow2_wake(&wb->now, error);
	wb->busy = false;
	if (wb->again || wb->next.first)
		begin(q);
}

static void part_over(struct qcow2 *q, int error)
{
	struct qcow2_writeback *wb = q->wb;

	if (error)
		wb->error = error;
	if (--wb->in_flight)
		return;
	if (wb->error)
		end(q);
	else
		wb->next_phase(q);
}

static void job_over(struct qcow2_job *job)
{
	part_over(job->q, job->error);
}

static void write_frozen(struct qcow2 *q, struct qcow2_cache *c)
{
	q->wb->in_flight += qcow2_cache_frozen(c);
	qcow2_cache_write(c, part_over);
}

static void sync_then(struct qcow2 *q, void (*next)(struct qcow2 *q))
{
	struct qcow2_writeback *wb = q->wb;

	wb->next_phase = next;
	wb->in_flight++;
	qcow2_job_init(q, &wb->job, job_over);
	qcow2_child(&wb->job, q->file, BLOCK_FLUSH, NULL, 0, 0);
	if (q->data == q->file)
		return;
	wb->in_flight++;
	qcow2_job_init(q, &wb->data_job, job_over);
	qcow2_child(&wb->data_job, q->data, BLOCK_FLUSH, NULL, 0, 0);
}

static void write_header(struct qcow2 *q)
{
	struct qcow2_writeback *wb = q->wb;

	wb->in_flight++;
	wb->stale = q->header_stale;
	q->header_stale = false;
	qcow2_put64(q, QCOW2_H_SIZE, wb->end);
	qcow2_job_init(q, &wb->header_job, job_over);
	qcow2_header_write(q, &wb->header_job);
}

static void second_sync(struct qcow2 *q);

/* Something went wrong with a table meanwhile: what is synced may be moot. */
static void synced(struct qcow2 *q)
{
	if (!q->header_stale) {
		end(q);
		return;
	}
	q->wb->next_phase = second_sync;
	write_header(q);
}

static void second_sync(struct qcow2 *q)
{
	sync_then(q, synced);
}

/* In whole sectors; the table's cluster ends no earlier. */
static void write_l1(struct qcow2 *q)
{
	struct qcow2_writeback *wb = q->wb;
	uint64_t first = wb->l1_first & ~63ULL;
	uint64_t length = ((wb->l1_last | 63ULL) + 1 - first) * 8;

	wb->in_flight++;
	qcow2_job_init(q, &wb->job, job_over);
	qcow2_child(&wb->job, q->file, BLOCK_WRITE, q->l1 + first, length,
		    q->l1_offset + first * 8);
}

static void phase_two(struct qcow2 *q)
{
	struct qcow2_writeback *wb = q->wb;

	wb->next_phase = second_sync;
	write_frozen(q, q->l2);
	if (wb->l1_frozen)
		write_l1(q);
	if (wb->end != q->wb->disk_end || q->header_stale)
		write_header(q);
	if (!wb->in_flight)
		end(q);
}

static void first_sync(struct qcow2 *q)
{
	sync_then(q, phase_two);
}

static void begin(struct qcow2 *q)
{
	struct qcow2_writeback *wb = q->wb;

	wb->busy = true;
	wb->again = false;
	wb->begun++;
	wb->error = q->corrupt ? -EIO : 0;
	wb->now = wb->next;
	wb->next = (struct qcow2_queue){ NULL, NULL };
	wb->end = q->stored_end;
	qcow2_cache_freeze(q->refcounts);
	qcow2_cache_freeze(q->l2);
	wb->tail = q->tail_dirty;
	q->tail_dirty = false;
	if (l1_is_dirty(q)) {
		wb->l1_frozen = true;
		wb->l1_first = q->wb->l1_dirty_first;
		wb->l1_last = q->wb->l1_dirty_last;
		q->wb->l1_dirty_first = 1;
		q->wb->l1_dirty_last = 0;
	}
	wb->in_flight = 0;
	wb->next_phase = first_sync;
	if (wb->error) {
		end(q);
		return;
	}
	write_frozen(q, q->refcounts);
	if (!wb->in_flight)
		first_sync(q);
}

int qcow2_writeback(struct qcow2 *q, struct qcow2_job *job)
{
	struct qcow2_writeback *wb = q->wb;

	if (job)
		qcow2_wait(&wb->next, job);
	if (wb->busy)
		wb->again = true;
	else
		begin(q);
	return QCOW2_WAIT;
}

void qcow2_writeback_pressure(struct qcow2 *q, bool must)
{
	if (!q->wb->busy && (must || !q->wb->error))
		qcow2_writeback(q, NULL);
}

bool qcow2_writeback_busy(const struct qcow2 *q)
{
	return q->wb && q->wb->busy;
}

int qcow2_l1_wait(struct qcow2 *q, struct qcow2_job *job)
{
	return q->wb->l1_frozen ? qcow2_wait(&q->wb->l1_waiters, job) : 0;
}

uint64_t qcow2_l1_dirty_bytes(const struct qcow2 *q)
{
	const struct qcow2_writeback *wb = q->wb;

	if (!wb || !l1_is_dirty(q))
		return 0;
	return 8 * (uint64_t)(wb->l1_dirty_last - wb->l1_dirty_first + 1);
}

void qcow2_store_end(struct qcow2 *q, uint64_t end)
{
	if (end > q->stored_end)
		q->stored_end = qcow2_round_up(end, QCOW2_SECTOR);
}

bool qcow2_tail_is_dirty(const struct qcow2 *q)
{
	return q->tail_dirty || q->wb->tail;
}

uint64_t qcow2_writebacks_begun(const struct qcow2 *q)
{
	return q->wb->begun;
}

uint64_t qcow2_writebacks_done(const struct qcow2 *q)
{
	return q->wb->done;
}

int qcow2_writeback_ended(struct qcow2 *q, struct qcow2_job *job)
{
	return qcow2_wait(&q->wb->ended, job);
}

bool qcow2_writeback_has_waiter(const struct qcow2 *q)
{
	return q->wb->ended.first;
}

int qcow2_writeback_init(struct qcow2 *q)
{
	q->wb = calloc(1, sizeof(*q->wb));
	if (!q->wb)
		return -ENOMEM;
	q->wb->disk_end = q->b->size;
	q->wb->l1_dirty_first = 1;
	return 0;
}

void qcow2_writeback_free(struct qcow2 *q)
{
	free(q->wb);
}

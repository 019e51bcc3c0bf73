/*
 * The ring and its drain. How it begins and ends is in uring_setup.c.
 *
 * The ring is set up with SINGLE_ISSUER and DEFER_TASKRUN: completions are
 * produced only when this thread enters the kernel for them, in one batch,
 * and TASKRUN_FLAG tells in shared memory that a batch waits. So a drain
 * looks at memory first and enters only if there is something to submit or to
 * be produced.
 *
 * The eventfd is masked while draining: completions that come meanwhile cost
 * no wake-up. After unmasking, one more look is due, because a completion may
 * have come in between; the fence orders the two against the kernel.
 *
 * Room: the CQ is sized for everything that may be outstanding, as far as the
 * kernel allows; past that the kernel keeps completions until there is room.
 * The SQ is smaller; when it is full, what is in it is handed to the kernel
 * early. That runs no completion.
 *
 * So are reads and writes, a few at a time: were a batch of them held back
 * until all is looked at, the disk would rest meanwhile, and requests would
 * go to and fro in one convoy, with either side idle in turn.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "loop/log.h"
#include "loop/progress.h"
#include "loop/uring.h"

#define URING_CMD_FIXED (1 << 0) /* IORING_URING_CMD_FIXED, Linux 6.0 */

/* Reads and writes that are not held back for a larger batch. */
#define START_BATCH 8

/* Batches in one drain before other events get their turn. */
#define DRAIN_ROUNDS 64
/* Looks at the ring for one at the clock. */
#define SPIN_LOOKS 16
#define TICK 250000000 /* ns; of uring_wait(), while progress is shown */

static struct uring_sqe128 nowhere;

/* The result of io_uring_enter; some errors leave what is queued queued. */
static void note_result(struct uring *u, int ret)
{
	if (ret >= 0 || ret == -EAGAIN || ret == -EINTR || ret == -EBUSY ||
	    u->lost)
		return;
	u->lost = true;
	log_warnx("io_uring: enter: %s: the export ends", strerror(-ret));
}

static struct io_uring_sqe *get_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe;

	if (u->emulated) {
		if (u->emu.queued == u->emu.size)
			uring_emulate(u);
		sqe = &u->emu.sqes[u->emu.queued++].sqe;
		memset(sqe, 0, sizeof(struct uring_sqe128));
		return sqe;
	}
	sqe = io_uring_get_sqe(&u->ring);
	while (!sqe && !u->lost) {
		u->stats.enters++;
		note_result(u, io_uring_submit(&u->ring));
		sqe = io_uring_get_sqe(&u->ring);
	}
	/* A ring that is lost completes nothing any more. */
	return sqe ? sqe : &nowhere.sqe;
}

static struct io_uring_sqe *prep(struct uring *u, struct op *op, int opcode,
				 int fd, const void *addr, uint32_t len,
				 uint64_t offset)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	io_uring_prep_rw(opcode, sqe, fd, addr, len, offset);
	io_uring_sqe_set_data(sqe, op);
	op->worker = false;
	return sqe;
}

static struct io_uring_sqe *prep_slot(struct uring *u, struct op *op,
				      int opcode, int slot, const void *addr,
				      uint32_t len, uint64_t offset)
{
	struct io_uring_sqe *sqe = prep(u, op, opcode, slot, addr, len, offset);

	sqe->flags |= IOSQE_FIXED_FILE;
	return sqe;
}

static void start_some(struct uring *u)
{
	if (++u->starts < START_BATCH || u->emulated || u->lost)
		return;
	u->starts = 0;
	u->stats.enters++;
	note_result(u, io_uring_submit(&u->ring));
}

static void transfer(struct uring *u, struct op *op, int opcode, int slot,
		     const void *buf, uint32_t len, uint64_t offset,
		     unsigned int fixed)
{
	struct io_uring_sqe *sqe;

	sqe = prep_slot(u, op, opcode, slot, buf, len, offset);
	sqe->buf_index = fixed ? (uint16_t)(fixed - 1) : 0;
	start_some(u);
}

void uring_read(struct uring *u, struct op *op, int slot, void *buf,
		uint32_t len, uint64_t offset, unsigned int fixed)
{
	transfer(u, op, fixed ? IORING_OP_READ_FIXED : IORING_OP_READ, slot,
		 buf, len, offset, fixed);
}

void uring_write(struct uring *u, struct op *op, int slot, const void *buf,
		 uint32_t len, uint64_t offset, unsigned int fixed)
{
	transfer(u, op, fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE, slot,
		 buf, len, offset, fixed);
}

void uring_by_worker(struct uring *u, struct op *op)
{
	if (u->emulated)
		return;
	op->worker = true;
	u->poll.workers++;
}

void uring_fsync(struct uring *u, struct op *op, int slot, bool datasync)
{
	struct io_uring_sqe *sqe;

	sqe = prep_slot(u, op, IORING_OP_FSYNC, slot, NULL, 0, 0);
	sqe->fsync_flags = datasync ? IORING_FSYNC_DATASYNC : 0;
	uring_by_worker(u, op);
}

void uring_fallocate(struct uring *u, struct op *op, int slot, int mode,
		     uint64_t offset, uint64_t len)
{
	struct io_uring_sqe *sqe;

	sqe = prep_slot(u, op, IORING_OP_FALLOCATE, slot, NULL, mode, offset);
	sqe->addr = len;
	uring_by_worker(u, op);
}

void uring_ftruncate(struct uring *u, struct op *op, int slot, uint64_t len)
{
	prep_slot(u, op, URING_OP_FTRUNCATE, slot, NULL, 0, len);
	uring_by_worker(u, op);
}

void uring_append(struct uring *u, struct op *op, int fd, const void *buf,
		  uint32_t len)
{
	struct io_uring_sqe *sqe;

	sqe = prep(u, op, IORING_OP_WRITE, fd, buf, len, UINT64_MAX);
	/* To try it at once, without waiting, does wait for a file on FUSE. */
	sqe->flags |= IOSQE_ASYNC;
	uring_by_worker(u, op);
}

void uring_nop(struct uring *u, struct op *op)
{
	prep(u, op, IORING_OP_NOP, -1, NULL, 0, 0);
}

void uring_statx(struct uring *u, struct op *op, int fd, struct statx *buf)
{
	struct io_uring_sqe *sqe;

	sqe = prep(u, op, IORING_OP_STATX, fd, "", STATX_BASIC_STATS, 0);
	sqe->off = (uintptr_t)buf;
	sqe->statx_flags = AT_EMPTY_PATH;
	uring_by_worker(u, op);
}

static struct io_uring_sqe *prep_worker(struct uring *u, struct op *op,
					int opcode, int fd, const void *addr,
					uint32_t len, uint64_t offset)
{
	struct io_uring_sqe *sqe = prep(u, op, opcode, fd, addr, len, offset);

	sqe->flags |= IOSQE_ASYNC;
	uring_by_worker(u, op);
	return sqe;
}

void uring_open(struct uring *u, struct op *op, const char *path, int flags,
		unsigned int mode)
{
	prep_worker(u, op, IORING_OP_OPENAT, AT_FDCWD, path, mode, 0)
		->open_flags = (uint32_t)flags;
}

void uring_write_fd(struct uring *u, struct op *op, int fd, const void *buf,
		    uint32_t len)
{
	prep_worker(u, op, IORING_OP_WRITE, fd, buf, len, 0);
}

void uring_close(struct uring *u, struct op *op, int fd)
{
	prep_worker(u, op, IORING_OP_CLOSE, fd, NULL, 0, 0);
}

void uring_rename(struct uring *u, struct op *op, const char *from,
		  const char *to)
{
	prep_worker(u, op, IORING_OP_RENAMEAT, AT_FDCWD, from,
		    (uint32_t)AT_FDCWD, (uintptr_t)to);
}

void *uring_cmd(struct uring *u, struct op *op, int slot, uint32_t cmd_op,
		const struct iovec *iov, uint32_t iovs, unsigned int fixed)
{
	struct io_uring_sqe *sqe;

	sqe = prep_slot(u, op, IORING_OP_URING_CMD, slot, iov, iovs, 0);
	sqe->cmd_op = cmd_op;
	if (fixed) { /* the place of uring_cmd_flags, which liburing 2.3 lacks */
		sqe->rw_flags = URING_CMD_FIXED;
		sqe->buf_index = (uint16_t)(fixed - 1);
	}
	memset(sqe->cmd, 0, 80);
	return sqe->cmd;
}

void uring_post(struct uring *u, struct op *op, int res)
{
	op->res = res;
	op->next = NULL;
	*u->ready_tail = op;
	u->ready_tail = &op->next;
}

static bool taskrun_waits(const struct uring *u)
{
	return IO_URING_READ_ONCE(*u->ring.sq.kflags) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

bool uring_has_work(const struct uring *u)
{
	if (u->ready)
		return true;
	if (u->emulated)
		return u->emu.queued;
	return io_uring_sq_ready(&u->ring) || io_uring_cq_ready(&u->ring) ||
	       taskrun_waits(u);
}

static const struct io_uring_cqe *first_cqe(const struct io_uring *ring)
{
	return &ring->cq.cqes[*ring->cq.khead & *ring->cq.kring_mask];
}

static void finish(struct uring *u, const struct io_uring_cqe *cqe)
{
	struct op *op = io_uring_cqe_get_data(cqe);

	if (op->worker) {
		op->worker = false;
		u->poll.workers--;
	}
	op->done(op, cqe->res, cqe->flags);
}

/*
 * Runs what has completed; returns how many. What a posted op posts in turn
 * is for the next round: who goes on by posting lets others in between.
 */
static unsigned int reap(struct uring *u)
{
	struct op *op, *last = NULL;
	unsigned int n = 0;

	uring_forget_now(u);
	while (!u->emulated && io_uring_cq_ready(&u->ring)) {
		struct io_uring_cqe cqe = *first_cqe(&u->ring);

		io_uring_cq_advance(&u->ring, 1);
		n++;
		finish(u, &cqe);
	}
	if (u->ready)
		last = container_of(u->ready_tail, struct op, next);
	while ((op = u->ready)) {
		u->ready = op->next;
		if (!u->ready)
			u->ready_tail = &u->ready;
		n++;
		op->done(op, op->res, 0);
		if (op == last)
			break;
	}
	u->stats.completions += n;
	return n;
}

static void submit(struct uring *u)
{
	u->stats.batches++;
	if (u->emulated)
		uring_emulate(u);
	else if (io_uring_sq_ready(&u->ring) || taskrun_waits(u)) {
		u->starts = 0;
		u->stats.enters++;
		note_result(u, io_uring_submit_and_get_events(&u->ring));
	}
}

static void mask_eventfd(struct uring *u, bool masked)
{
	if (!u->emulated)
		io_uring_cq_eventfd_toggle(&u->ring, !masked);
}

uint64_t uring_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* Looks a little longer; true if something has come. */
static bool spin(struct uring *u)
{
	unsigned int i;

	if (!poll_may(&u->poll) || u->emulated ||
	    !poll_begin(&u->poll, uring_clock()))
		return false;
	do {
		for (i = 0; i < SPIN_LOOKS; i++) {
			if (uring_has_work(u)) {
				poll_paid(&u->poll, uring_clock());
				return true;
			}
			relax();
		}
	} while (poll_on(&u->poll, uring_clock()));
	return false;
}

static bool drain(struct uring *u)
{
	unsigned int round;

	if (!u->lost)
		u->stats.turns++;
	mask_eventfd(u, true);
	for (round = 0; round < DRAIN_ROUNDS && !u->lost; round++) {
		submit(u);
		if (reap(u) || uring_has_work(u) || spin(u))
			continue;
		mask_eventfd(u, false);
		atomic_thread_fence(memory_order_seq_cst);
		if (!uring_has_work(u))
			return false;
		mask_eventfd(u, true);
	}
	mask_eventfd(u, false);
	return !u->lost;
}

bool uring_drain(struct uring *u)
{
	bool more = drain(u);

	uring_forget_now(u);
	return more;
}

/* Now and then time to tell how long it takes. */
static int wait_a_while(struct uring *u)
{
	struct __kernel_timespec most = { .tv_nsec = TICK };
	struct io_uring_cqe *cqe;
	int ret;

	if (!progress_is_on() || !(u->ring.features & IORING_FEAT_EXT_ARG))
		return io_uring_submit_and_wait(&u->ring, 1);
	ret = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &most, NULL);
	progress_tick();
	return ret == -ETIME ? 0 : ret;
}

void uring_wait(struct uring *u)
{
	if (!u->emulated && !u->ready) {
		u->stats.enters++;
		note_result(u, wait_a_while(u));
	}
	uring_drain(u);
}

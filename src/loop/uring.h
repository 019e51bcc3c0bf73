/* The ring: SQEs go out by uring_*(), completions come back as struct op. */
#ifndef RAWFUSE_LOOP_URING_H
#define RAWFUSE_LOOP_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop/op.h"
#include "loop/poll.h"
#include "loop/system.h"

#define URING_FILES 256 /* slots for registered files, at most */
#define URING_OP_FTRUNCATE 55 /* IORING_OP_FTRUNCATE, Linux 6.9 */

/* What the ring has done so far; for SIGUSR1. */
struct uring_stats {
	uint64_t turns; /* drains */
	uint64_t enters; /* io_uring_enter calls */
	uint64_t batches; /* submissions of all that was queued */
	uint64_t completions; /* CQEs and posted ops */
};

struct uring_sqe128 {
	struct io_uring_sqe sqe;
	uint8_t cmd[64];
};

/*
 * Where there is no io_uring to be had, the SQEs are carried out one by one
 * with the system calls they stand for (emulate.c). cmd_hook takes the
 * IORING_OP_URING_CMDs, and what uses a registered buffer; unit tests put their
 * kernel there.
 */
struct uring_emulation {
	struct uring_sqe128 *sqes;
	unsigned int queued;
	unsigned int size;
	int files[URING_FILES];
	void (*cmd_hook)(void *arg, const struct io_uring_sqe *sqe,
			 struct op *op);
	void *cmd_arg;
	int buffer_error; /* what uring_set_buffer() returns */
};

struct uring {
	struct io_uring ring;
	int event_fd; /* readable when there is something to drain; or -1 */
	bool emulated;
	bool sqe128; /* able to carry FUSE commands */
	bool lost; /* the ring cannot go on: everything must end */
	struct op *ready; /* posted ops, oldest first */
	struct op **ready_tail;
	unsigned int starts; /* reads and writes queued since the last submit */
	unsigned int files; /* slots */
	uint64_t files_used[URING_FILES / 64];
	struct uring_emulation emu;
	struct poll poll;
	struct uring_stats stats;
	uint64_t now; /* uring_now()'s; 0: to be read */
};

/*
 * Creates the ring with room for @sqes entries a batch and @cqes completions
 * outstanding. Returns 0, or -errno of io_uring_setup (nothing is logged).
 */
int uring_init(struct uring *u, unsigned int sqes, unsigned int cqes);

/* Creates a ring that is emulated with system calls; they block. */
int uring_init_emulated(struct uring *u, unsigned int sqes);

/* Frees the ring; held commands are cancelled, no op is called any more. */
void uring_exit(struct uring *u);

/* Registers @fd; returns its slot or -errno. The caller keeps @fd open. */
int uring_add_file(struct uring *u, int fd);
void uring_remove_file(struct uring *u, int slot);

/*
 * Makes a table of @n registered buffers, all empty, once; returns 0 or
 * -errno. uring_set_buffer() fills one: memory that is pinned from then on.
 */
int uring_make_buffers(struct uring *u, unsigned int n);
int uring_set_buffer(struct uring *u, unsigned int index, void *addr,
		     size_t len);

/*
 * Queues one SQE each; @slot is from uring_add_file(). Sizes in bytes. @fixed
 * is 0, or 1 + the index of the registered buffer that @buf lies in.
 */
void uring_read(struct uring *u, struct op *op, int slot, void *buf,
		uint32_t len, uint64_t offset, unsigned int fixed);
void uring_write(struct uring *u, struct op *op, int slot, const void *buf,
		 uint32_t len, uint64_t offset, unsigned int fixed);
void uring_fsync(struct uring *u, struct op *op, int slot, bool datasync);
void uring_fallocate(struct uring *u, struct op *op, int slot, int mode,
		     uint64_t offset, uint64_t len);
void uring_ftruncate(struct uring *u, struct op *op, int slot, uint64_t len);
/* Behind what @fd, a descriptor, has; at its offset if it does not append. */
void uring_append(struct uring *u, struct op *op, int fd, const void *buf,
		  uint32_t len);
/* Does nothing; completes behind what failed at once before it. */
void uring_nop(struct uring *u, struct op *op);
/*
 * What was just queued for @op cannot be done without blocking, so a worker
 * thread of io_uring will do it. fsync, fallocate, ftruncate and statx are
 * known to be such; a write through the page cache is one on most file systems.
 */
void uring_by_worker(struct uring *u, struct op *op);
/* @fd is a descriptor, not a slot: the kernel offers no other way. */
void uring_statx(struct uring *u, struct op *op, int fd, struct statx *buf);
/*
 * Files by name, and their descriptors: by a worker thread, whatever they are
 * on. The names must live on until @op is done. No slot, no offset.
 */
void uring_open(struct uring *u, struct op *op, const char *path, int flags,
		unsigned int mode);
void uring_write_fd(struct uring *u, struct op *op, int fd, const void *buf,
		    uint32_t len);
void uring_close(struct uring *u, struct op *op, int fd);
void uring_rename(struct uring *u, struct op *op, const char *from,
		  const char *to);
/* A command for the file itself; returns its 80 zeroed bytes to fill in. */
void *uring_cmd(struct uring *u, struct op *op, int slot, uint32_t cmd_op,
		const struct iovec *iov, uint32_t iovs, unsigned int fixed);

/* Completes @op with @res in this or the next drain, never at once. */
void uring_post(struct uring *u, struct op *op, int res);

/* Monotonic ns, by a look at the clock. */
uint64_t uring_clock(void);

/*
 * Submits what is queued and runs completions until none comes and nothing
 * is queued. Returns true if it stopped early to be fair to other events.
 */
bool uring_drain(struct uring *u);

/*
 * Monotonic ns, read once for all that is done with one batch of completions,
 * or in one turn of the loop.
 */
static inline uint64_t uring_now(struct uring *u)
{
	if (!u->now)
		u->now = uring_clock();
	return u->now;
}

/* The time goes on: who asks next reads the clock. */
static inline void uring_forget_now(struct uring *u)
{
	u->now = 0;
}

/* True if a drain would find something to do without waiting. */
bool uring_has_work(const struct uring *u);

/*
 * Waits for at least one completion, or for a moment if progress is shown, and
 * drains; only outside the loop.
 */
void uring_wait(struct uring *u);

/* emulate.c: carries out the queued SQEs, posting their results. */
void uring_emulate(struct uring *u);

#endif

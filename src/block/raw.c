/*
 * The raw driver: a regular file or a block device, as it is.
 *
 * Two descriptors of the same file. The host descriptor goes through the
 * host's page cache, the direct one (O_DIRECT) past it. With direct I/O in
 * use, what is not aligned goes by the host descriptor: the page cache is the
 * bounce buffer, and the kernel keeps both views of the file in step as long
 * as they are not modified at the same time, which block.c sees to
 * (b->granule). So an image may have any size, and a write any end.
 *
 * Reads through the page cache try preadv2(RWF_NOWAIT) first: what is cached
 * is answered in this turn of the loop, without a pass through the ring.
 *
 * The bytes of an unseen request (zero-copy) go straight between the file and
 * the caller's pages. How those are aligned nobody knows before the kernel
 * refuses to do direct I/O on them: then the request bounces.
 *
 * A request longer than a step is carried on from req->moved; every step ends
 * in a completion.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "block/drivers.h"
#include "block/fault.h"
#include "block/raw.h"
#include "loop/log.h"

#define MAX_STEP (1u << 30) /* bytes in one read or write */

static const uint8_t zeros[4096];

static void raw_step(struct raw *raw, struct block_req *req);

/* A file that ends before its size has been cut under us. */
static int64_t too_short(struct raw *raw, const struct block_req *req)
{
	raw->too_short.most = 1;
	log_limited_at(&raw->too_short,
		       "%s: read at %llu: the file ends before its size of "
		       "%llu; was it truncated?",
		       raw->block->opt.path,
		       (unsigned long long)(req->offset + req->moved),
		       (unsigned long long)raw->block->size);
	return -EIO;
}

/* The storage has said no. */
static int64_t failed(struct block_req *req, int error)
{
	fault_tell(req->block, req, error);
	return error;
}

static void bounced(struct block_req *req, int error)
{
	if (error)
		block_complete(req, error);
	else
		raw_step(req->block->state, req);
}

static void rw_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);
	struct raw *raw = req->block->state;

	(void)flags;
	if (res == -EAGAIN || res == -EINTR) {
		raw_step(raw, req);
		return;
	}
	if (res == -EINVAL && req->unseen && raw->direct_fd >= 0) {
		block_bounce(req, req->moved, bounced);
		return;
	}
	if (res <= 0) {
		int64_t error = res || req->type == BLOCK_WRITE ?
					failed(req, res ? res : -ENOSPC) :
					too_short(raw, req);

		if (req->moved && req->type == BLOCK_WRITE &&
		    !raw->block->opt.below)
			error = (int64_t)req->moved;
		block_complete(req, error);
		return;
	}
	req->moved += (uint64_t)res;
	if (req->moved < req->length)
		raw_step(raw, req);
	else
		block_complete(req, (int64_t)req->moved);
}

static bool fits_direct(const struct raw *raw, uint64_t offset, uint64_t len,
			const void *buf)
{
	return raw->direct_fd >= 0 &&
	       !((offset | len) & (raw->dio_align - 1)) &&
	       !((uintptr_t)buf & (raw->block->buf_align - 1));
}

/* Takes from the page cache what is there; true if that completes the step. */
static bool read_cached(struct raw *raw, struct block_req *req, void *buf,
			uint32_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };
	ssize_t n;

	n = preadv2(raw->host_fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
	if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL))
		raw->nowait = false;
	if (n <= 0)
		return false;
	uring_post(raw->block->uring, &req->op, (int)n);
	return true;
}

static void rw_step(struct raw *raw, struct block_req *req)
{
	struct uring *u = raw->block->uring;
	uint64_t offset = req->offset + req->moved;
	uint64_t left = req->length - req->moved;
	uint32_t len = left < MAX_STEP ? (uint32_t)left : MAX_STEP;
	void *buf = (void *)((uintptr_t)req->buf + (uintptr_t)req->moved);
	bool direct = fits_direct(raw, offset, len, buf);
	int slot = direct ? raw->direct_slot : raw->host_slot;

	req->op.done = rw_done;
	if (req->type == BLOCK_WRITE) {
		uring_write(u, &req->op, slot, buf, len, offset, req->fixed);
		if (!direct)
			uring_by_worker(u, &req->op);
	} else if (direct || req->unseen || !raw->nowait ||
		 !read_cached(raw, req, buf, len, offset)) {
		uring_read(u, &req->op, slot, buf, len, offset, req->fixed);
	}
}

static void flush_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);

	(void)flags;
	if (res == -EAGAIN || res == -EINTR) {
		raw_step(req->block->state, req);
		return;
	}
	if (res < 0)
		block_lose(req->block, res);
	block_complete(req, res < 0 ? res : 0);
}

static void plain_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);

	(void)flags;
	if (res == -EAGAIN || res == -EINTR)
		raw_step(req->block->state, req);
	else
		block_complete(req, res < 0 ? failed(req, res) : 0);
}

/* It may have been made larger from outside; smaller is an error of a READ. */
static void look_for_growth(struct raw *raw, const struct statx *stx)
{
	struct block *b = raw->block;
	uint64_t bytes = stx->stx_size;

	/* The node above knows what it has in there. */
	if (b->opt.below)
		return;
	if (raw->device && ioctl(raw->host_fd, BLKGETSIZE64, &bytes))
		return;
	if (bytes > b->size && bytes <= INT64_MAX)
		b->size = bytes;
}

/* A device has its storage. */
static void stat_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);
	struct raw *raw = req->block->state;
	struct statx *stx = req->buf;

	if (res >= 0)
		look_for_growth(raw, stx);
	if (res >= 0 && raw->device)
		stx->stx_blocks = req->block->size / 512;
	plain_done(op, res, flags);
}

static void truncate_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);
	struct raw *raw = req->block->state;

	/* A ring that does not know the opcode (before Linux 6.9). */
	if (res == -EINVAL && ftruncate(raw->host_fd, (off_t)req->length))
		res = -errno;
	else if (res == -EINVAL)
		res = 0;
	plain_done(op, res, flags);
}

/*
 * DISCARD and ZERO. A device takes whole sectors only: the ends of what is
 * not aligned are written.
 */
static uint32_t zero_end_len(const struct raw *raw, const struct block_req *req)
{
	uint64_t at = req->offset + req->moved;
	uint64_t left = req->length - req->moved;
	uint64_t to_sector = -at & (raw->sector - 1);

	if (!to_sector && left >= raw->sector)
		return 0;
	if (!to_sector || to_sector > left)
		to_sector = left;
	return to_sector < sizeof(zeros) ? (uint32_t)to_sector : sizeof(zeros);
}

/*
 * And the whole sectors behind that. A device may have to write its zeros: as
 * one request that takes the time it takes, so in steps.
 */
static uint64_t zero_len(const struct raw *raw, const struct block_req *req)
{
	uint64_t left = req->length - req->moved;

	left &= ~(uint64_t)(raw->sector - 1);
	return raw->device && left > MAX_STEP ? MAX_STEP : left;
}

static void zero_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);
	struct raw *raw = req->block->state;

	(void)flags;
	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		block_complete(req, failed(req, res));
		return;
	}
	if (res >= 0) {
		if (zero_end_len(raw, req))
			req->moved += (uint64_t)res;
		else
			req->moved += zero_len(raw, req);
	}
	if (req->moved == req->length)
		block_complete(req, 0);
	else if (req->block->stopping)
		block_complete(req, -ESHUTDOWN);
	else if (block_is_cancelled(req))
		block_complete(req, -EINTR);
	else
		raw_step(raw, req);
}

static void zero_step(struct raw *raw, struct block_req *req)
{
	struct uring *u = raw->block->uring;
	uint64_t at = req->offset + req->moved;
	uint32_t len = zero_end_len(raw, req);
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (req->type == BLOCK_ZERO) {
		mode = FALLOC_FL_ZERO_RANGE;
		if (req->flags & BLOCK_KEEP_SIZE)
			mode |= FALLOC_FL_KEEP_SIZE;
	}
	req->op.done = zero_done;
	if (len)
		uring_write(u, &req->op, raw->host_slot, zeros, len, at, 0);
	else
		uring_fallocate(u, &req->op, raw->host_slot, mode, at,
				zero_len(raw, req));
}

static void seek_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);

	(void)res;
	(void)flags;
	block_complete(req, req->result);
}

/* The ring has no lseek; on a local file this only looks at the extent map. */
static void seek_step(struct raw *raw, struct block_req *req)
{
	bool data = req->type == BLOCK_SEEK_DATA;
	off_t at = lseek(raw->host_fd, (off_t)req->offset,
			 data ? SEEK_DATA : SEEK_HOLE);

	if (at >= 0)
		req->result = at;
	else if (errno == EINVAL) /* it cannot tell: all is data */
		req->result = (int64_t)(data ? req->offset : raw->block->size);
	else
		req->result = -errno;
	if (data && req->result >= (int64_t)raw->block->size)
		req->result = -ENXIO;
	else if (req->result > (int64_t)raw->block->size)
		req->result = (int64_t)raw->block->size;
	req->op.done = seek_done;
	uring_post(raw->block->uring, &req->op, 0);
}

static void raw_step(struct raw *raw, struct block_req *req)
{
	struct uring *u = raw->block->uring;

	switch (req->type) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		rw_step(raw, req);
		return;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
		zero_step(raw, req);
		return;
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
		seek_step(raw, req);
		return;
	default:
		break;
	}
	req->op.done = plain_done;
	if (req->type == BLOCK_FLUSH) {
		req->op.done = flush_done;
		uring_fsync(u, &req->op, raw->host_slot,
			    !(req->flags & BLOCK_FULL_SYNC));
	} else if (req->type == BLOCK_STAT) {
		req->op.done = stat_done;
		uring_statx(u, &req->op, raw->host_fd, req->buf);
	} else if (req->type == BLOCK_TRUNCATE) {
		req->op.done = truncate_done;
		uring_ftruncate(u, &req->op, raw->host_slot, req->length);
	} else if (raw->device) { /* ALLOCATE: a device has its storage */
		uring_post(u, &req->op, 0);
	} else {
		uring_fallocate(u, &req->op, raw->host_slot,
				req->flags & BLOCK_KEEP_SIZE ?
					FALLOC_FL_KEEP_SIZE :
					0,
				req->offset, req->length);
	}
}

static void raw_submit(struct block *b, struct block_req *req)
{
	raw_step(b->state, req);
}

static int raw_close(struct block *b)
{
	struct raw *raw = b->state;
	int ret = 0;

	/* Without its ring the block layer could not flush. */
	if (b->uring->lost && !b->opt.read_only && fdatasync(raw->host_fd))
		ret = -errno;
	raw_free(raw);
	return ret;
}

/* The ring has no statfs; on a local file system this looks at counters. */
static bool raw_room(struct block *b, uint64_t *bytes)
{
	struct raw *raw = b->state;
	struct statvfs fs;

	if (raw->device || fstatvfs(raw->host_fd, &fs))
		return false;
	/* As many as one number can say. */
	if (__builtin_mul_overflow((uint64_t)fs.f_bavail,
				   (uint64_t)fs.f_frsize, bytes))
		*bytes = INT64_MAX;
	return true;
}

static int raw_backing_fd(struct block *b)
{
	struct raw *raw = b->state;

	return raw->device ? -1 : raw->host_fd;
}

const struct block_driver block_raw = {
	.name = "raw",
	.past_end = true,
	.open = raw_open,
	.submit = raw_submit,
	.room = raw_room,
	.backing_fd = raw_backing_fd,
	.close = raw_close,
};

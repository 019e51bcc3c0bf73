/*
 * O_TRUNC, and truncation to nothing, of a disk of fixed size.
 *
 * Programs that copy (cp, dd conv=sparse, tar -S) see a regular file, open it
 * with O_TRUNC and then leave out what is zeros: so after that all must read as
 * zeros. The size is the disk's and stays.
 *
 * The quickest way that the image offers is taken: a discard, which reads as
 * zeros afterwards; else write zeroes; else zeros are written, from the
 * request's own payload. All go in steps, so that other requests get in
 * between, and the end of the connection, or a signal to the caller, ends it. A
 * discard's step grows with the disk: a disk of many TB is for the most part
 * holes, or on a device whose discard is quick.
 *
 * Such programs also cut the file at the end of what they have written, if
 * that is a hole (tar and cp do), where nothing is lost: all behind it is zeros
 * since the disk was emptied, which s->data_end tells. That succeeds, and the
 * size stays. A cut that would take data away is refused: on a disk of fixed
 * size it is an accident ("dd seek=" without conv=notrunc, rsync --inplace of
 * something smaller), and whatever it could do instead would lose data or tell
 * a lie.
 *
 * Data that the kernel still keeps, in its writeback cache or in a mapping, has
 * not been seen here. There is none of a file that has been closed: close(2)
 * and munmap(2) write it. So where somebody may have such data, a cut is
 * refused, unless it comes by the only handle that is open for writing: then
 * the data is that of the caller, who wants it cut off, and the kernel is made
 * to drop it.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "fuse/empty.h"
#include "fuse/ops.h"
#include "fuse/session.h"
#include "loop/progress.h"

#define DISCARD_STEP (1ULL << 30) /* bytes, the least */
#define DISCARD_STEPS_BITS 12 /* about so many steps at most, as a power */
#define ZERO_STEP (64ULL << 20)
#define WRITE_STEP (1ULL << 20)

static void step(struct fuse_request *req);

static uint64_t step_size(const struct fuse_request *req)
{
	uint64_t size = req->session->block->size >> DISCARD_STEPS_BITS;

	switch (req->io.type) {
	case BLOCK_DISCARD:
		size &= ~(DISCARD_STEP - 1);
		return size > DISCARD_STEP ? size : DISCARD_STEP;
	case BLOCK_ZERO:
		return ZERO_STEP;
	default:
		return req->payload_max < WRITE_STEP ? req->payload_max :
						       WRITE_STEP;
	}
}

static void finish(struct fuse_request *req, int64_t result)
{
	progress_end(req);
	if (result < 0)
		req->session->data_end = UINT64_MAX;
	req->io.result = result;
	req->after_empty(&req->io);
}

/* The next best way; false if there is none. */
static bool other_way(struct fuse_request *req)
{
	switch (req->io.type) {
	case BLOCK_DISCARD:
		req->io.type = BLOCK_ZERO;
		return true;
	case BLOCK_ZERO:
		req->io.type = BLOCK_WRITE;
		memset(req->payload, 0, (size_t)step_size(req));
		return true;
	default:
		return false;
	}
}

static void step_done(struct block_req *io)
{
	struct fuse_request *req = io->user;

	if (io->result == -EOPNOTSUPP && other_way(req)) {
		step(req);
		return;
	}
	if (io->type == BLOCK_WRITE && !io->result)
		io->result = -EIO;
	if (io->result < 0) {
		finish(req, io->result);
		return;
	}
	io->offset += io->type == BLOCK_WRITE ? (uint64_t)io->result :
						io->length;
	step(req);
}

static void step(struct fuse_request *req)
{
	struct session *s = req->session;
	uint64_t left = s->block->size - req->io.offset;
	uint64_t size = step_size(req);

	if (req->io.offset >= s->block->size) {
		finish(req, 0);
	} else if (s->ended) {
		finish(req, -ENOTCONN);
	} else if (req->interrupted) {
		finish(req, -EINTR);
	} else {
		s->moved = session_clock();
		progress(req, s->block->opt.path, "emptying the disk",
			 req->io.offset, s->block->size);
		req->io.length = left < size ? left : size;
		req->io.buf = req->payload;
		ops_submit(req, req->io.type, BLOCK_KEEP_SIZE, step_done);
	}
}

void empty_start(struct fuse_request *req, void (*done)(struct block_req *io))
{
	/* What is written from now on is data again. */
	req->session->data_end = 0;
	req->after_empty = done;
	req->io.offset = 0;
	req->io.type = BLOCK_DISCARD;
	req->io.user = req;
	step(req);
}

enum empty_cut empty_cut(const struct session *s, uint64_t size, bool by_handle)
{
	unsigned int keepers = s->writeback ? s->writers : s->mappers;

	if (s->data_end > size)
		return EMPTY_REFUSE;
	if (!keepers)
		return EMPTY_NOTHING;
	return by_handle && s->writers == 1 ? EMPTY_KEPT : EMPTY_REFUSE;
}

void empty_note_write(struct session *s, uint64_t end)
{
	if (end > s->data_end)
		s->data_end = end;
}

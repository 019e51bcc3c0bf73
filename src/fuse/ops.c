/*
 * The operations on the one file. Each handler trusts that its fixed first
 * argument is there (ops_handle() has checked), and nothing else. The block
 * layer checks ranges and permission; what it answers goes to the caller.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/attr.h"
#include "fuse/backing.h"
#include "fuse/empty.h"
#include "fuse/init.h"
#include "fuse/interrupt.h"
#include "fuse/ops.h"
#include "fuse/session.h"
#include "loop/log.h"

#define STATFS_BLOCK 4096u

struct operation {
	const char *name;
	uint16_t in_size; /* bytes of the fixed first argument */
	void (*handle)(struct fuse_request *req);
};

/* Some answers tell what is not offered, or not there, and no more. */
static bool is_error(const struct fuse_request *req, int error)
{
	switch (error) {
	case 0:
	case -ENOSYS:
	case -EOPNOTSUPP:
		return false;
	case -ENOTTY: /* an ioctl that is not ours */
		return req->opcode != FUSE_IOCTL;
	case -ENXIO: /* no data from here on */
		return req->opcode != FUSE_LSEEK;
	case -ENOENT: /* the root is a file */
		return req->opcode != FUSE_LOOKUP;
	default:
		return true;
	}
}

void ops_answer(struct fuse_request *req, int error, size_t len)
{
	struct session *s = req->session;

	interrupt_forget(req);
	if (is_error(req, error))
		stats_count_error(&s->stats, error);
	stats_count_latency(&s->stats, req->opcode,
			    uring_now(s->uring) - req->since);
	log_trace(TRACE_FUSE, "fuse: %llu %s: %d, %zu bytes",
		  (unsigned long long)req->unique, ops_name(req->opcode),
		  error, len);
	req->transport->answer(req, error, len);
}

int ops_error(int64_t result)
{
	return result >= 0 ? 0 : result > -512 ? (int)result : -EIO;
}

static void submit(struct fuse_request *req, enum block_type type,
		   void (*done)(struct block_req *))
{
	req->io.type = type;
	req->io.done = done;
	req->io.user = req;
	block_submit(req->session->block, &req->io);
}

void ops_submit(struct fuse_request *req, enum block_type type,
		unsigned int flags, void (*done)(struct block_req *))
{
	/* What the last READ or WRITE has left. */
	req->io.fixed = 0;
	req->io.unseen = false;
	req->io.flags = flags;
	if (type != BLOCK_FLUSH && type != BLOCK_STAT)
		interrupt_watch(req);
	req->io.cancelled = req->interrupted;
	submit(req, type, done);
}

static void plain_done(struct block_req *io)
{
	ops_answer(io->user, ops_error(io->result), 0);
}

static void bad_size(struct fuse_request *req, uint32_t size)
{
	log_limited("fuse: %s: a size of %u with a payload of %zu of %zu",
		  ops_name(req->opcode), size, req->payload_len,
		  req->payload_max);
	ops_answer(req, -EIO, 0);
}

/* READ and WRITE: where the data is. */
static void submit_data(struct fuse_request *req, uint64_t offset,
			uint32_t size, enum block_type type,
			void (*done)(struct block_req *))
{
	req->io.offset = offset;
	req->io.length = size;
	req->io.buf = req->unseen ? NULL : req->payload;
	req->io.fixed = req->fixed;
	req->io.unseen = req->unseen;
	req->io.flags = 0;
	req->io.cancelled = false;
	submit(req, type, done);
}

static void read_done(struct block_req *io)
{
	struct fuse_request *req = io->user;

	if (io->result > 0)
		req->session->stats.bytes_read += (uint64_t)io->result;
	ops_answer(req, ops_error(io->result),
	       io->result > 0 ? (size_t)io->result : 0);
}

static void handle_read(struct fuse_request *req)
{
	const struct fuse_read_in *in = req->in;

	if (in->size > req->payload_max) {
		bad_size(req, in->size);
		return;
	}
	submit_data(req, in->offset, in->size, BLOCK_READ, read_done);
}

/*
 * What the kernel writes from its page cache (a mapping, or the writeback
 * cache) nobody waits for any more but fsync and close, and these are told
 * once. So it counts as lost.
 *
 * But for what lies past the end: with its writeback cache the kernel lets a
 * write extend the file on its side. Where the file cannot grow, the kernel's
 * idea of its size must be put right then.
 */
static void cached_write_failed(struct fuse_request *req,
				const struct fuse_write_in *in, int64_t error)
{
	struct session *s = req->session;
	bool past_end = error == -ENOSPC && !s->block->opt.growable &&
			in->offset + in->size > s->block->size;

	if (!(in->write_flags & FUSE_WRITE_CACHE))
		return;
	if (!past_end)
		block_lose(s->block, (int)error);
	else if (s->writeback && s->on_past_end)
		s->on_past_end(s);
}

/*
 * A WRITE that is to be stable when it is answered: by O_DSYNC, O_SYNC,
 * RWF_DSYNC, or a mount with -o sync, which the kernel all tells by the flags
 * of the file. With FOPEN_DIRECT_IO nobody else sees to it. Where the kernel
 * does (through its page cache an FSYNC follows) that one finds nothing left
 * to do.
 */
static void synced(struct block_req *io)
{
	ops_answer(io->user, ops_error(io->result),
		   sizeof(struct fuse_write_out));
}

static void write_done(struct block_req *io)
{
	struct fuse_request *req = io->user;
	const struct fuse_write_in *in = req->in;
	struct fuse_write_out out = { 0 };

	if (io->result < 0) {
		cached_write_failed(req, in, io->result);
		ops_answer(req, ops_error(io->result), 0);
		return;
	}
	req->session->stats.bytes_written += (uint64_t)io->result;
	if (io->result < in->size && in->write_flags & FUSE_WRITE_CACHE) {
		/* The kernel takes a short one for a whole one. */
		cached_write_failed(req, in, -ENOSPC);
		ops_answer(req, -ENOSPC, 0);
		return;
	}
	out.size = (uint32_t)io->result;
	memcpy(req->payload, &out, sizeof(out));
	if (in->flags & O_DSYNC && !(in->write_flags & FUSE_WRITE_CACHE))
		ops_submit(req, BLOCK_FLUSH,
			   (in->flags & O_SYNC) == O_SYNC ? BLOCK_FULL_SYNC : 0,
			   synced);
	else
		ops_answer(req, 0, sizeof(out));
}

static void handle_write(struct fuse_request *req)
{
	const struct fuse_write_in *in = req->in;

	if (in->size != req->payload_len) {
		bad_size(req, in->size);
		return;
	}
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		attr_kill_suid(req->session);
	attr_modified(req->session);
	empty_note_write(req->session, in->offset + in->size);
	submit_data(req, in->offset, in->size, BLOCK_WRITE, write_done);
}

/*
 * At close(2). Who has emptied the disk finds the size right again when its
 * close is over, and nobody busy with that.
 */
static void handle_flush(struct fuse_request *req)
{
	struct session *s = req->session;

	/* Its own child cannot wait for its own end. */
	if (s->telling && req->pid && req->pid != (uint32_t)s->teller) {
		req->next_held = s->held;
		s->held = req;
		return;
	}
	ops_submit(req, BLOCK_FLUSH, 0, plain_done);
}

void ops_size_told(struct session *s)
{
	struct fuse_request *req;

	s->telling = false;
	while ((req = s->held)) {
		s->held = req->next_held;
		ops_submit(req, BLOCK_FLUSH, 0, plain_done);
	}
}

static void handle_fsync(struct fuse_request *req)
{
	const struct fuse_fsync_in *in = req->in;
	bool data = in->fsync_flags & FUSE_FSYNC_DATASYNC;

	ops_submit(req, BLOCK_FLUSH, data ? 0 : BLOCK_FULL_SYNC, plain_done);
}

static void zeroed(struct block_req *io)
{
	struct fuse_request *req = io->user;

	if (io->result < 0)
		attr_zeroing_failed(req->session, io->result);
	plain_done(io);
}

static void handle_fallocate(struct fuse_request *req)
{
	const struct fuse_fallocate_in *in = req->in;
	uint32_t mode = in->mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE;
	enum block_type type;

	if (mode == 0) {
		type = BLOCK_ALLOCATE;
	} else if (mode == FALLOC_FL_PUNCH_HOLE) {
		type = BLOCK_DISCARD;
	} else if (mode == FALLOC_FL_ZERO_RANGE) {
		type = BLOCK_ZERO;
	} else {
		ops_answer(req, -EOPNOTSUPP, 0);
		return;
	}
	attr_modified(req->session);
	req->io.offset = in->offset;
	req->io.length = in->length;
	ops_submit(req, type,
		   in->mode & FALLOC_FL_KEEP_SIZE ? BLOCK_KEEP_SIZE : 0,
		   mode ? zeroed : plain_done);
}

static void seek_done(struct block_req *io)
{
	struct fuse_request *req = io->user;
	struct fuse_lseek_out out = { .offset = (uint64_t)io->result };

	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, ops_error(io->result), sizeof(out));
}

static void handle_lseek(struct fuse_request *req)
{
	const struct fuse_lseek_in *in = req->in;

	if (req->session->writeback) {
		/* What the kernel keeps may be data in what is a hole here. */
		ops_answer(req, -ENOSYS, 0);
		return;
	}
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE) {
		ops_answer(req, -EINVAL, 0);
		return;
	}
	req->io.offset = in->offset;
	req->io.length = 0;
	ops_submit(req,
		   in->whence == SEEK_DATA ? BLOCK_SEEK_DATA : BLOCK_SEEK_HOLE,
		   0, seek_done);
}

/*
 * A file opened with O_DIRECT bypasses the kernel's page cache altogether, so
 * that its writes may run beside one another; others keep the cache from one
 * open to the next: nobody else changes the image. Before Linux 6.6, known by
 * the flag it brought, FOPEN_DIRECT_IO neither wrote mapped pages nor dropped
 * those that it made stale: there O_DIRECT goes the way of other file systems,
 * which does both, and its writes go one by one. What was opened for reading
 * has nothing to flush when it is closed.
 */
static void answer_open(struct fuse_request *req, uint32_t flags)
{
	struct fuse_open_out out = { 0 };

	if (flags & O_DIRECT && req->session->direct_io)
		out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	else
		out.open_flags = FOPEN_KEEP_CACHE;
	if ((flags & O_ACCMODE) == O_RDONLY)
		out.open_flags |= FOPEN_NOFLUSH;
	if (req->session->zero_copy)
		out.open_flags |= FOPEN_IO_URING_ZERO_COPY;
	backing_open(req->session, &out);
	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, 0, sizeof(out));
}

static void handle_open(struct fuse_request *req)
{
	const struct fuse_open_in *in = req->in;

	if ((in->flags & O_ACCMODE) != O_RDONLY &&
	    req->session->block->opt.read_only) {
		ops_answer(req, -EROFS, 0);
		return;
	}
	if (in->flags & O_DIRECT && req->session->backing_id &&
	    !req->session->backing_direct) {
		ops_answer(req, -EINVAL, 0);
		return;
	}
	req->session->opens++;
	req->session->writers += (in->flags & O_ACCMODE) != O_RDONLY;
	req->session->mappers += (in->flags & O_ACCMODE) == O_RDWR;
	answer_open(req, in->flags);
}

static void handle_release(struct fuse_request *req)
{
	const struct fuse_release_in *in = req->in;
	struct session *s = req->session;

	if ((in->flags & O_ACCMODE) != O_RDONLY && s->writers)
		s->writers--;
	if ((in->flags & O_ACCMODE) == O_RDWR && s->mappers)
		s->mappers--;
	if (s->opens)
		s->opens--;
	ops_answer(req, 0, 0);
	if (!s->opens && s->on_unused)
		s->on_unused(s);
}

/*
 * Room is what can be written. All of a disk of fixed size can: it is never
 * full, whatever it holds, and nobody should be alarmed. One that can grow has
 * what it is and what its file system has left.
 */
static void handle_statfs(struct fuse_request *req)
{
	struct block *b = req->session->block;
	uint64_t blocks = b->size / STATFS_BLOCK + !!(b->size % STATFS_BLOCK);
	struct fuse_statfs_out out = {
		.blocks = blocks,
		.bfree = blocks,
		.files = 1,
		.bsize = STATFS_BLOCK,
		.frsize = STATFS_BLOCK,
		.namelen = 255,
	};
	uint64_t left;

	if (b->opt.growable && block_room(b, &left)) {
		out.bfree = left / STATFS_BLOCK;
		out.blocks = blocks + out.bfree;
	}
	out.bavail = out.bfree;

	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, 0, sizeof(out));
}

/*
 * What is no ioctl of ours is ENOTTY, as for every file: tools ask whether this
 * is a block device, or has flags of ext4's. (The kernel makes ENOTTY of ENOSYS
 * only for some of them.)
 */
static void handle_ioctl(struct fuse_request *req)
{
	const struct fuse_ioctl_in *in = req->in;
	struct fuse_ioctl_out out = { .result = 0 };
	uint8_t *data = (uint8_t *)req->payload + sizeof(out);
	struct session *s = req->session;
	size_t room = req->payload_max - sizeof(out);
	int len = -ENOTTY;

	if (s->on_ioctl)
		len = s->on_ioctl(req, in->cmd, data,
				  in->out_size < room ? in->out_size : room);
	if (len < 0) {
		ops_answer(req, len, 0);
		return;
	}
	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, 0, sizeof(out) + (size_t)len);
}

static void handle_lookup(struct fuse_request *req)
{
	ops_answer(req, -ENOENT, 0); /* the root is a file */
}

static void handle_ok(struct fuse_request *req)
{
	ops_answer(req, 0, 0);
}

/* FORGET: there is one node, for ever. INTERRUPT: that request is answered. */
static void handle_drop(struct fuse_request *req)
{
	const struct fuse_interrupt_in *in = req->in;

	if (req->opcode == FUSE_INTERRUPT && req->in_len >= sizeof(*in))
		interrupt_by_number(req->session, in->unique);
	req->transport->drop(req);
}

/* What is not here is answered with ENOSYS: the kernel stops asking. */
static const struct operation operations[FUSE_OPCODES] = {
	[FUSE_LOOKUP] = { "LOOKUP", 0, handle_lookup },
	[FUSE_FORGET] = { "FORGET", sizeof(struct fuse_forget_in),
			  handle_drop },
	[FUSE_GETATTR] = { "GETATTR", sizeof(struct fuse_getattr_in),
			   attr_handle_get },
	[FUSE_SETATTR] = { "SETATTR", sizeof(struct fuse_setattr_in),
			   attr_handle_set },
	[FUSE_OPEN] = { "OPEN", sizeof(struct fuse_open_in), handle_open },
	[FUSE_READ] = { "READ", sizeof(struct fuse_read_in), handle_read },
	[FUSE_WRITE] = { "WRITE", sizeof(struct fuse_write_in), handle_write },
	[FUSE_STATFS] = { "STATFS", 0, handle_statfs },
	[FUSE_RELEASE] = { "RELEASE", sizeof(struct fuse_release_in),
			   handle_release },
	[FUSE_FSYNC] = { "FSYNC", sizeof(struct fuse_fsync_in), handle_fsync },
	[FUSE_FLUSH] = { "FLUSH", sizeof(struct fuse_flush_in), handle_flush },
	[FUSE_INIT] = { "INIT", FUSE_INIT_IN_OLD, init_handle },
	[FUSE_INTERRUPT] = { "INTERRUPT", sizeof(struct fuse_interrupt_in),
			     handle_drop },
	[FUSE_DESTROY] = { "DESTROY", 0, handle_ok },
	[FUSE_IOCTL] = { "IOCTL", sizeof(struct fuse_ioctl_in), handle_ioctl },
	[FUSE_BATCH_FORGET] = { "BATCH_FORGET",
				sizeof(struct fuse_batch_forget_in),
				handle_drop },
	[FUSE_FALLOCATE] = { "FALLOCATE", sizeof(struct fuse_fallocate_in),
			     handle_fallocate },
	[FUSE_LSEEK] = { "LSEEK", sizeof(struct fuse_lseek_in), handle_lseek },
	[FUSE_GETXATTR] = { "GETXATTR", 0, NULL },
	[FUSE_ACCESS] = { "ACCESS", 0, NULL },
};

static const struct operation *find(uint32_t opcode)
{
	return opcode < FUSE_OPCODES ? &operations[opcode] : &operations[0];
}

const char *ops_name(uint32_t opcode)
{
	const char *name = find(opcode)->name;

	return name ? name : "unknown opcode";
}

size_t ops_in_size(uint32_t opcode)
{
	return find(opcode)->in_size;
}

void ops_handle(struct fuse_request *req)
{
	const struct operation *op = find(req->opcode);
	struct session *s = req->session;

	s->stats.requests[req->opcode < FUSE_OPCODES ? req->opcode : 0]++;
	log_trace(TRACE_FUSE, "fuse: %llu %s: %zu + %zu bytes",
		  (unsigned long long)req->unique, ops_name(req->opcode),
		  req->in_len, req->payload_len);
	if (op->handle == handle_drop) {
		handle_drop(req);
	} else if (s->closed) {
		ops_answer(req, -ENOTCONN, 0);
	} else if (!op->handle) {
		ops_answer(req, -ENOSYS, 0);
	} else if (req->in_len < op->in_size) {
		log_limited("fuse: %s: %zu bytes of %u", op->name, req->in_len,
			  op->in_size);
		ops_answer(req, -EINVAL, 0);
	} else if (!s->minor && req->opcode != FUSE_INIT) {
		log_limited("fuse: %s before INIT", op->name);
		ops_answer(req, -EIO, 0);
	} else {
		if (s->backing_id && !s->block->opt.read_only)
			block_behind(s->block);
		op->handle(req);
	}
}

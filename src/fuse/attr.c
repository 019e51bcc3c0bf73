/*
 * The file's attributes. Size, times and blocks come from the image, by a
 * STAT of the block layer each time; mode, owner and times that were set by
 * hand live in the session.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/attr.h"
#include "fuse/empty.h"
#include "fuse/ops.h"
#include "fuse/session.h"

#define VALID_SECONDS 1
/* Where in the payload the image's statx goes, behind the answer. */
#define STATX_AT 1024

_Static_assert(STATX_AT + sizeof(struct statx) < FUSE_MIN_PAYLOAD - 128,
	       "the answer and the statx fit into the least payload");

void attr_modified(struct session *s)
{
	s->attr.has_mtime = false;
}

void attr_kill_suid(struct session *s)
{
	s->attr.mode &= ~(uint32_t)S_ISUID;
	if (s->attr.mode & S_IXGRP)
		s->attr.mode &= ~(uint32_t)S_ISGID;
}

/*
 * Who copies a file with holes takes one that has no blocks for a single hole.
 * So there are none only if nothing can be there: what is stored in a mapping,
 * or kept in the writeback cache, has not come yet. On the other hand the
 * files below may have more than the disk, in tables and snapshots.
 */
static uint64_t blocks(const struct session *s, const struct statx *stx)
{
	uint64_t most = s->block->size / 512 + !!(s->block->size % 512);

	if (!stx->stx_blocks && s->writers && most)
		return 1;
	return stx->stx_blocks < most ? stx->stx_blocks : most;
}

static void fill(const struct session *s, const struct statx *stx,
		 struct fuse_attr *attr)
{
	const struct session_attr *set = &s->attr;

	*attr = (struct fuse_attr){
		.ino = FUSE_ROOT_NODE,
		.size = s->block->size,
		.blocks = blocks(s, stx),
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = set->mode,
		.nlink = 1,
		.uid = set->uid,
		.gid = set->gid,
		.blksize = 4096,
	};
	if (set->has_atime) {
		attr->atime = (uint64_t)set->atime.tv_sec;
		attr->atimensec = (uint32_t)set->atime.tv_nsec;
	}
	if (set->has_mtime) {
		attr->mtime = (uint64_t)set->mtime.tv_sec;
		attr->mtimensec = (uint32_t)set->mtime.tv_nsec;
	}
}

/* Writes by passthrough do not come here, but show in the image's time. */
static void look_for_writes(struct session_attr *set, const struct statx *stx)
{
	struct timespec now = { (time_t)stx->stx_mtime.tv_sec,
				stx->stx_mtime.tv_nsec };

	if (!set->has_mtime)
		return;
	if (!set->has_image_mtime)
		set->image_mtime = now;
	else if (now.tv_sec != set->image_mtime.tv_sec ||
		 now.tv_nsec != set->image_mtime.tv_nsec)
		set->has_mtime = false;
	set->has_image_mtime = true;
}

/*
 * The image may have grown from outside. With its writeback cache the kernel
 * takes the size of a file from no GETATTR.
 */
static void note_size(struct session *s)
{
	bool grown = s->seen_size && s->block->size > s->seen_size;

	s->seen_size = s->block->size;
	if (grown && s->writeback && !s->block->opt.growable && s->on_size)
		s->on_size(s);
}

/* The attributes that a STAT has found; false if it failed. */
static bool found(struct block_req *io, struct fuse_attr_out *out)
{
	struct fuse_request *req = io->user;

	if (io->result < 0) {
		ops_answer(req, ops_error(io->result), 0);
		return false;
	}
	if (req->session->backing_id)
		look_for_writes(&req->session->attr, io->buf);
	fill(req->session, io->buf, &out->attr);
	note_size(req->session);
	return true;
}

static void stat_done(struct block_req *io)
{
	struct fuse_request *req = io->user;
	struct fuse_attr_out out = { .attr_valid = VALID_SECONDS };

	if (!found(io, &out))
		return;
	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, 0, sizeof(out));
}

static void looked(struct block_req *io)
{
	struct session *s = io->user;
	bool grown = io->result >= 0 && s->block->size > s->look.size;

	s->look.busy = false;
	if (s->ended)
		return;
	if (grown) {
		s->seen_size = s->block->size;
		/* What it keeps itself may reach further than the image. */
		if (s->on_size && !(s->writeback && s->block->opt.growable))
			s->on_size(s);
	}
	if (s->on_looked)
		s->on_looked(s);
}

bool attr_look(struct session *s)
{
	struct session_look *look = &s->look;

	if (look->busy || s->ended)
		return false;
	look->busy = true;
	look->size = s->block->size;
	look->io = (struct block_req){ .type = BLOCK_STAT,
				       .buf = &look->stx,
				       .done = looked,
				       .user = s };
	block_submit(s->block, &look->io);
	return true;
}

static void start_stat(struct fuse_request *req,
		       void (*done)(struct block_req *io))
{
	req->io.offset = req->io.length = 0;
	/* Both transports have payloads aligned to 8 bytes at least. */
	req->io.buf = (uint8_t *)req->payload + STATX_AT;
	ops_submit(req, BLOCK_STAT, 0, done);
}

void attr_handle_get(struct fuse_request *req)
{
	start_stat(req, stat_done);
}

/* May the caller have this? Who may ask at all, the kernel has checked. */
static int check(const struct session *s, const struct fuse_setattr_in *in)
{
	const struct session_attr *set = &s->attr;

	if (in->valid & FATTR_MODE) {
		if (s->block->opt.read_only && in->mode & 0222)
			return -EROFS;
		if (!s->cfg.allow_other && in->mode & 0077)
			return -EPERM;
	}
	if (in->valid & FATTR_UID && in->uid != set->uid && !s->cfg.allow_other)
		return -EPERM;
	if (in->valid & FATTR_GID && in->gid != set->gid && !s->cfg.allow_other)
		return -EPERM;
	if (in->valid & FATTR_SIZE && s->block->opt.read_only)
		return -EROFS;
	return 0;
}

static void set_time(struct timespec *ts, bool *has, bool now, uint64_t sec,
		     uint32_t nsec)
{
	if (now)
		clock_gettime(CLOCK_REALTIME, ts);
	else
		*ts = (struct timespec){ (time_t)sec, nsec };
	*has = true;
}

static void apply(struct session *s, const struct fuse_setattr_in *in)
{
	struct session_attr *set = &s->attr;

	if (in->valid & FATTR_SIZE)
		attr_modified(s);
	if (in->valid & FATTR_MODE)
		set->mode = S_IFREG | (in->mode & 07777);
	if (in->valid & FATTR_UID)
		set->uid = in->uid;
	if (in->valid & FATTR_GID)
		set->gid = in->gid;
	if (in->valid & (FATTR_KILL_SUIDGID | FATTR_UID | FATTR_GID))
		attr_kill_suid(s);
	if (in->valid & FATTR_ATIME)
		set_time(&set->atime, &set->has_atime,
			 in->valid & FATTR_ATIME_NOW, in->atime, in->atimensec);
	if (in->valid & FATTR_MTIME)
		set->has_image_mtime = false;
	if (in->valid & FATTR_MTIME)
		set_time(&set->mtime, &set->has_mtime,
			 in->valid & FATTR_MTIME_NOW, in->mtime, in->mtimensec);
}

static void resized(struct block_req *io)
{
	struct fuse_request *req = io->user;

	if (io->result < 0) {
		ops_answer(req, ops_error(io->result), 0);
		return;
	}
	apply(req->session, req->in);
	req->session->seen_size = req->session->block->size;
	attr_handle_get(req);
}

/*
 * A disk of fixed size has been emptied (empty.c), or all behind the size that
 * the caller wants is zeros. What the kernel has of it in its page cache must
 * go, with what was stored in mappings before, and it drops that only for the
 * smaller size: so that is the answer, good for no time at all. The next look
 * at the attributes finds the true size; until then an access to a mapping
 * would fail (SIGBUS), and with the writeback cache there is no next look: so
 * somebody takes one at once (on_size).
 */
static void dropping_stat_done(struct block_req *io)
{
	struct fuse_request *req = io->user;
	const struct fuse_setattr_in *in = req->in;
	struct session *s = req->session;
	struct fuse_attr_out out = { 0 };

	if (!found(io, &out))
		return;
	out.attr.size = in->size;
	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, 0, sizeof(out));
	if (s->on_size)
		s->on_size(s);
}

/* Such an error is found before anything is done. */
static bool is_refusal(int64_t result)
{
	return result == -EOPNOTSUPP || result == -EINVAL ||
	       result == -EROFS || result == -EPERM || result == -EFBIG;
}

void attr_zeroing_failed(struct session *s, int64_t result)
{
	if (is_refusal(result) || s->ended)
		return;
	s->stale = true;
	if (s->on_size)
		s->on_size(s);
}

static void emptied(struct block_req *io)
{
	struct fuse_request *req = io->user;

	if (io->result < 0) {
		attr_zeroing_failed(req->session, io->result);
		ops_answer(req, ops_error(io->result), 0);
		return;
	}
	apply(req->session, req->in);
	start_stat(req, dropping_stat_done);
}

static void cut(struct fuse_request *req)
{
	const struct fuse_setattr_in *in = req->in;

	switch (empty_cut(req->session, in->size, in->valid & FATTR_FH)) {
	case EMPTY_NOTHING:
		apply(req->session, in);
		attr_handle_get(req);
		return;
	case EMPTY_KEPT:
		apply(req->session, in);
		start_stat(req, dropping_stat_done);
		return;
	default:
		ops_answer(req, -EPERM, 0);
	}
}

/*
 * Another size. Where the file can grow again it is cut as files are. A disk
 * of fixed size is made larger if somebody says so, emptied by what would take
 * all of it (O_TRUNC comes as a SETATTR to 0 without a handle), and else not
 * cut; empty.c tells why.
 *
 * The kernel would take O_TRUNC along in OPEN (FUSE_ATOMIC_O_TRUNC), but then
 * throw its page cache away whatever the answer is.
 */
static void resize(struct fuse_request *req, uint64_t size)
{
	struct block *b = req->session->block;

	if (b->opt.growable || size > b->size) {
		req->io.offset = 0;
		req->io.length = size;
		ops_submit(req, BLOCK_TRUNCATE, 0, resized);
	} else if (!size) {
		empty_start(req, emptied);
	} else {
		cut(req);
	}
}

void attr_handle_set(struct fuse_request *req)
{
	const struct fuse_setattr_in *in = req->in;
	struct session *s = req->session;
	int err;

	if (s->teller && req->pid == (uint32_t)s->teller) {
		attr_handle_get(req);
		return;
	}
	err = check(s, in);
	if (err) {
		ops_answer(req, err, 0);
		return;
	}
	if (in->valid & FATTR_SIZE && in->size != s->block->size) {
		resize(req, in->size);
		return;
	}
	apply(s, in);
	attr_handle_get(req);
}

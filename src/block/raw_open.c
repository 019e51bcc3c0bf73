/*
 * How the raw driver opens its file: what it is, how large, whether it may be
 * written, how direct I/O on it must be aligned. The order: look at it before
 * opening (a pipe would make open() wait), lock it before the direct descriptor
 * is opened, register both with the ring last.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/lock.h"
#include "block/named.h"
#include "block/raw.h"
#include "loop/log.h"

static int check_kind(const char *path, const struct stat *st)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	log_warnx("%s: open: it is %s; give a disk image or a block device",
		  path, S_ISDIR(st->st_mode) ? "a directory" : "not a file");
	return -EINVAL;
}

static int not_writable(const struct block *b)
{
	log_warn("%s: open for writing (--read-only exports it without "
		 "writing)",
		 b->opt.path);
	return -errno;
}

/* The ring of one that has ended may hold a device for a moment more. */
static int open_patiently(const struct block_options *opt, int flags)
{
	int tries, fd = named_open(opt, flags);

	for (tries = 0; fd < 0 && errno == EBUSY && tries < LOCK_TRIES;
	     tries++) {
		lock_pause();
		fd = named_open(opt, flags);
	}
	return fd;
}

/* Then --read-only helps. */
static bool may_read(const char *path)
{
	int saved = errno;
	bool may = !access(path, R_OK);

	errno = saved;
	return may;
}

static int open_host(struct raw *raw, struct stat *st)
{
	const struct block_options *opt = &raw->block->opt;
	int flags = (opt->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;

	/* Before open(), which would wait for the other end of a pipe. */
	if (named_stat(opt, st)) {
		log_warn("%s: open%s", *opt->path ? opt->path : "''",
			 errno == ENOTCONN ? " (a mount whose server is gone "
					     "covers it; umount it)" :
					     "");
		return -errno;
	}
	if (check_kind(opt->path, st))
		return -EINVAL;
	/* A device that is mounted must not be written behind its back. */
	if (S_ISBLK(st->st_mode) && !opt->read_only && !opt->no_lock)
		flags |= O_EXCL;
	raw->host_fd = open_patiently(opt, flags);
	if (raw->host_fd < 0 && errno == EBUSY) {
		log_warnx("%s: open for writing: the device is in use (mounted?"
			  "); unmount it, or use --read-only",
			  opt->path);
		return -EBUSY;
	}
	if (raw->host_fd < 0 && !opt->read_only &&
	    (errno == EROFS || errno == EPERM ||
	     (errno == EACCES && may_read(opt->path)))) {
		return not_writable(raw->block);
	}
	if (raw->host_fd < 0 || fstat(raw->host_fd, st)) {
		log_warn("%s: open", opt->path);
		return -errno;
	}
	return check_kind(opt->path, st);
}

static int find_size(struct raw *raw, const struct stat *st)
{
	struct block *b = raw->block;
	uint64_t bytes = (uint64_t)st->st_size;
	int sector = 512, ro = 0;

	raw->sector = 1;
	raw->device = S_ISBLK(st->st_mode);
	if (raw->device) {
		if (!b->opt.read_only && !ioctl(raw->host_fd, BLKROGET, &ro) &&
		    ro) {
			errno = EROFS;
			return not_writable(b);
		}
		if (ioctl(raw->host_fd, BLKGETSIZE64, &bytes) ||
		    ioctl(raw->host_fd, BLKSSZGET, &sector)) {
			log_warn("%s: size of the device", b->opt.path);
			return -errno;
		}
		raw->sector = (uint32_t)sector;
	}
	b->size = bytes;
	if (raw->device && b->opt.growable) {
		log_warnx("%s: a block device cannot grow; leave --growable "
			  "out",
			  b->opt.path);
		return -EINVAL;
	}
	if (!bytes && raw->device) {
		log_warnx("%s: the device is empty; is something attached to "
			  "it?",
			  b->opt.path);
		return -EINVAL;
	}
	/* An empty backing file is one that has nothing. */
	if (!bytes && !b->opt.growable && !b->opt.below) {
		log_warnx("%s: it is empty; give it a size (truncate -s SIZE "
			  "%s), or use --growable",
			  b->opt.path, b->opt.path);
		return -EINVAL;
	}
	return 0;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

/* Finds what direct I/O asks for; false if the file does not offer it. */
static bool find_alignment(struct raw *raw, const struct stat *st)
{
	struct block *b = raw->block;
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	uint32_t blksize = (uint32_t)st->st_blksize;
	struct statx stx;

	raw->dio_align = raw->device ? raw->sector : 4096;
	b->buf_align = raw->device ? 512 : 4096;
	if (!statx(raw->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    stx.stx_mask & STATX_DIOALIGN) {
		raw->dio_align = stx.stx_dio_offset_align;
		b->buf_align = stx.stx_dio_mem_align;
	}
	if (!power_of_two(raw->dio_align) || !power_of_two(b->buf_align))
		return false;
	b->granule = raw->dio_align;
	b->hole_granule = page > raw->dio_align ? page : raw->dio_align;
	if (power_of_two(blksize) && blksize > b->hole_granule)
		b->hole_granule = blksize;
	return true;
}

static int open_direct(struct raw *raw, const struct stat *st)
{
	struct block *b = raw->block;
	int flags = (b->opt.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat direct;

	if (b->opt.cache == BLOCK_CACHE_HOST)
		return 0;
	raw->direct_fd = named_open(&b->opt, flags | O_DIRECT);
	if (raw->direct_fd >= 0 && !fstat(raw->direct_fd, &direct) &&
	    direct.st_dev == st->st_dev && direct.st_ino == st->st_ino &&
	    find_alignment(raw, st)) {
		b->direct = true;
		/* The host's cache holds only ends: no read-ahead there. */
		posix_fadvise(raw->host_fd, 0, 0, POSIX_FADV_RANDOM);
		return 0;
	}
	if (raw->direct_fd >= 0)
		close(raw->direct_fd);
	raw->direct_fd = -1;
	b->granule = 0;
	b->buf_align = 1;
	if (b->opt.cache == BLOCK_CACHE_AUTO)
		return 0;
	log_warnx("%s: --cache=direct: its file system does not offer O_DIRECT;"
		  " use --cache=host",
		  b->opt.path);
	return -EOPNOTSUPP;
}

static int add_slots(struct raw *raw)
{
	struct uring *u = raw->block->uring;

	raw->host_slot = uring_add_file(u, raw->host_fd);
	if (raw->host_slot >= 0 && raw->direct_fd >= 0)
		raw->direct_slot = uring_add_file(u, raw->direct_fd);
	if (raw->host_slot >= 0 && (raw->direct_fd < 0 ||
				    raw->direct_slot >= 0))
		return 0;
	log_warnx("%s: open: no slot left to register the file with io_uring",
		  raw->block->opt.path);
	return -ENFILE;
}

void raw_free(struct raw *raw)
{
	uring_remove_file(raw->block->uring, raw->direct_slot);
	uring_remove_file(raw->block->uring, raw->host_slot);
	if (raw->direct_fd >= 0)
		close(raw->direct_fd);
	if (raw->host_fd >= 0) {
		if (!raw->block->lent)
			lock_release(raw->host_fd);
		close(raw->host_fd);
	}
	log_limit_remove(&raw->too_short);
	free(raw);
}

int raw_open(struct block *b)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	struct stat st;
	int ret;

	if (!raw) {
		log_warnx("%s: open: out of memory", b->opt.path);
		return -ENOMEM;
	}
	*raw = (struct raw){ .block = b,
			     .host_fd = -1,
			     .direct_fd = -1,
			     .host_slot = -1,
			     .direct_slot = -1,
			     .nowait = true };
	ret = open_host(raw, &st);
	if (!ret)
		ret = find_size(raw, &st);
	if (!ret && !b->opt.no_lock)
		ret = lock_image(raw->host_fd, b->opt.path, !b->opt.read_only);
	if (!ret)
		ret = open_direct(raw, &st);
	if (!ret)
		ret = add_slots(raw);
	if (ret)
		raw_free(raw);
	else
		b->state = raw;
	return ret;
}

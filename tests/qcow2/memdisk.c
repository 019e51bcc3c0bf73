#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "memdisk.h"

#define HOLE 4096u

struct memdisk memdisk;

/* A request on its way. Which of them a tick completes is chance. */
struct pending {
	struct op op;
	struct block_req *req;
	struct memfile *file;
	struct journal_op *entry;
	uint64_t number; /* of the I/O */
};

static struct pending **pool;
static unsigned int pool_count, pool_room;

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "memdisk: out of memory\n");
		exit(99);
	}
	return p;
}

static void make_room(struct memfile *f, uint64_t size)
{
	uint64_t room = f->room ? f->room : 65536;

	if (size <= f->room)
		return;
	while (room < size)
		room *= 2;
	f->data = must(realloc(f->data, room));
	memset(f->data + f->room, 0, room - f->room);
	f->room = room;
}

void memfile_truncate(struct memfile *f, uint64_t size)
{
	make_room(f, size);
	if (size < f->size)
		memset(f->data + size, 0, f->size - size);
	f->size = size;
}

void memfile_write(struct memfile *f, const void *buf, uint64_t len,
		   uint64_t offset)
{
	make_room(f, offset + len);
	memcpy(f->data + offset, buf, len);
	if (f->size < offset + len)
		f->size = offset + len;
}

void memfile_zero(struct memfile *f, uint64_t len, uint64_t offset)
{
	if (offset >= f->size)
		return;
	if (len > f->size - offset)
		len = f->size - offset;
	memset(f->data + offset, 0, len);
}

static struct memfile *find(const char *path)
{
	unsigned int i;

	for (i = 0; i < memdisk.count; i++)
		if (!strcmp(memdisk.files[i].path, path))
			return &memdisk.files[i];
	return NULL;
}

struct memfile *memdisk_put(const char *path, const void *data, uint64_t size)
{
	struct memfile *f = find(path);

	if (!f) {
		if (memdisk.count == MEMDISK_FILES)
			return NULL;
		f = &memdisk.files[memdisk.count];
		*f = (struct memfile){ .path = must(strdup(path)),
				       .index = memdisk.count++ };
	}
	memfile_truncate(f, 0);
	if (size)
		memfile_write(f, data, size, 0);
	return f;
}

struct memfile *memdisk_get(const char *path)
{
	struct memfile *f = find(path);
	struct stat st;
	uint8_t *data;
	int fd;

	if (f || memdisk.no_host)
		return f;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return NULL;
	}
	data = must(malloc((size_t)st.st_size + 1));
	if (read(fd, data, (size_t)st.st_size) == st.st_size)
		f = memdisk_put(path, data, (uint64_t)st.st_size);
	free(data);
	close(fd);
	return f;
}

void memdisk_reset(uint64_t seed)
{
	unsigned int i;

	for (i = 0; i < memdisk.count; i++) {
		free(memdisk.files[i].path);
		free(memdisk.files[i].data);
	}
	memset(&memdisk, 0, sizeof(memdisk));
	memdisk.rng.state = seed;
	memdisk.max_size = 1 << 30;
}

static uint64_t data_at(const struct memfile *f, uint64_t at, bool data)
{
	static const uint8_t zeros[HOLE];

	for (; at < f->size; at = (at / HOLE + 1) * HOLE) {
		const uint8_t *block = f->data + at / HOLE * HOLE;
		uint64_t n = f->size - at / HOLE * HOLE;

		if (!memcmp(block, zeros, n < HOLE ? n : HOLE) != data)
			return at;
	}
	return f->size;
}

static int64_t seek(const struct memfile *f, const struct block_req *req)
{
	bool data = req->type == BLOCK_SEEK_DATA;
	uint64_t at = data_at(f, req->offset, data);

	if (req->offset >= f->size || (data && at >= f->size))
		return -ENXIO;
	return (int64_t)at;
}

/* Carries a request out; @part of its bytes (for WRITE). */
static int64_t carry_out(struct memfile *f, struct block_req *req,
			 uint64_t part)
{
	uint64_t end = req->offset + req->length;
	bool keep = req->flags & BLOCK_KEEP_SIZE;
	struct statx *stx;

	switch (req->type) {
	case BLOCK_READ:
		if (req->offset >= f->size)
			return 0;
		if (end > f->size)
			end = f->size;
		memcpy(req->buf, f->data + req->offset, end - req->offset);
		return (int64_t)(end - req->offset);
	case BLOCK_WRITE:
		if (part)
			memfile_write(f, req->buf, part, req->offset);
		return (int64_t)part;
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
		if (!keep && f->size < end)
			memfile_truncate(f, end);
		if (req->type == BLOCK_ZERO)
			memfile_zero(f, req->length, req->offset);
		return 0;
	case BLOCK_DISCARD:
		memfile_zero(f, req->length, req->offset);
		return 0;
	case BLOCK_TRUNCATE:
		memfile_truncate(f, req->length);
		return 0;
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
		return seek(f, req);
	case BLOCK_STAT:
		stx = req->buf;
		memset(stx, 0, sizeof(*stx));
		stx->stx_size = f->size;
		stx->stx_blocks = (f->size + 511) / 512;
		return 0;
	default:
		return 0;
	}
}

static bool counts(enum block_type type)
{
	return type != BLOCK_STAT && type != BLOCK_SEEK_DATA &&
	       type != BLOCK_SEEK_HOLE;
}

static bool too_far(const struct block_req *req)
{
	uint64_t end = req->offset + req->length;

	if (req->type == BLOCK_TRUNCATE)
		end = req->length;
	else if (req->type == BLOCK_ZERO || req->type == BLOCK_ALLOCATE)
		end = req->flags & BLOCK_KEEP_SIZE ? 0 : end;
	else if (req->type != BLOCK_WRITE)
		end = 0;
	return end > memdisk.max_size;
}

static int64_t perform(struct pending *p)
{
	struct block_req *req = p->req;
	uint64_t part = req->length;
	int64_t ret;

	if (too_far(req)) {
		memdisk.outside++;
		return -EFBIG;
	}
	if (p->number && memdisk.fail_at && p->number >= memdisk.fail_at &&
	    p->number - memdisk.fail_at < memdisk.fail_count) {
		memdisk.failed++;
		if (memdisk.fail_with || req->type != BLOCK_WRITE)
			ret = -(memdisk.fail_with ? memdisk.fail_with : EIO);
		else
			ret = 0;
		if (req->type == BLOCK_WRITE) {
			part = rng_below(&memdisk.rng, part);
			part -= part % 512;
			if (!ret && !part)
				ret = -ENOSPC;
			carry_out(p->file, req, part);
			return ret ? ret : (int64_t)part;
		}
		return ret;
	}
	return carry_out(p->file, req, part);
}

static void tick(struct op *op, int res, unsigned int flags)
{
	struct pending *p = container_of(op, struct pending, op), *other;
	struct block_req *req;
	int64_t ret;

	(void)res;
	(void)flags;
	/* Somebody else's turn, maybe: swap what is carried. */
	if (!memdisk.in_order && pool_count > 1) {
		other = pool[rng_below(&memdisk.rng, pool_count)];
		if (other != p) {
			struct pending tmp = *p;

			p->req = other->req;
			p->file = other->file;
			p->entry = other->entry;
			p->number = other->number;
			other->req = tmp.req;
			other->file = tmp.file;
			other->entry = tmp.entry;
			other->number = tmp.number;
		}
	}
	req = p->req;
	ret = perform(p);
	memdisk.now++;
	if (p->entry)
		journal_complete(memdisk.journal, p->entry, memdisk.now,
				 memdisk.lie && req->type == BLOCK_FLUSH ? -EIO
									 : ret);
	for (unsigned int i = 0; i < pool_count; i++)
		if (pool[i] == p)
			pool[i] = pool[--pool_count];
	free(p);
	block_complete(req, ret);
}

static int mem_open(struct block *b)
{
	struct memfile *f = memdisk_get(b->opt.path);

	if (!f)
		return -ENOENT;
	b->state = f;
	b->size = f->size;
	f->opened++;
	return 0;
}

static void mem_submit(struct block *b, struct block_req *req)
{
	struct memfile *f = b->state;
	struct pending *p = must(calloc(1, sizeof(*p)));

	p->op.done = tick;
	p->req = req;
	p->file = f;
	memdisk.now++;
	if (counts(req->type))
		p->number = ++memdisk.ios;
	if (memdisk.journal)
		p->entry = journal_submit(memdisk.journal, f, req, memdisk.now);
	if (pool_count == pool_room) {
		pool_room = pool_room * 2 + 64;
		pool = must(
			realloc(pool, pool_room * sizeof(struct pending *)));
	}
	pool[pool_count++] = p;
	uring_post(b->uring, &p->op, 0);
}

static int mem_close(struct block *b)
{
	struct memfile *f = b->state;

	f->opened--;
	return 0;
}

static const struct block_driver mem_driver = {
	.name = "raw",
	.open = mem_open,
	.submit = mem_submit,
	.close = mem_close,
};

void memdisk_install(void)
{
	block_substitute("raw", &mem_driver);
}

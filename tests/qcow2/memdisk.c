#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "memdisk.h"
#include "unseen.h"

#define HOLE 4096u

struct memdisk memdisk;

/* A request on its way. Which of them a tick completes is chance. */
struct pending {
	struct op op;
	struct block_req *req;
	struct memfile *file;
	struct journal_op *entry;
	uint64_t number; /* of the I/O */
	uint8_t *slot; /* of one that bounced: the slot's bytes */
	uint64_t direct; /* and so many of them are moved without the area */
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
static int64_t carry_out(struct pending *p, uint64_t part)
{
	struct memfile *f = p->file;
	struct block_req *req = p->req;
	uint64_t end = req->offset + req->length;
	uint64_t direct = p->direct;
	const uint8_t *from;
	bool keep = req->flags & BLOCK_KEEP_SIZE;
	struct statx *stx;

	switch (req->type) {
	case BLOCK_READ:
		if (req->offset >= f->size)
			return 0;
		if (end > f->size)
			end = f->size;
		part = end - req->offset;
		direct = direct < part ? direct : part;
		from = f->data + req->offset;
		if (req->unseen) {
			if (!unseen_bytes(req, part))
				return -EFAULT;
			memcpy(unseen_bytes(req, part), from, part);
			return (int64_t)part;
		}
		if (direct)
			memcpy(p->slot, from, direct);
		memcpy((uint8_t *)req->buf + direct, from + direct,
		       part - direct);
		return (int64_t)part;
	case BLOCK_WRITE:
		if (req->unseen && part && !unseen_bytes(req, part))
			return -EFAULT;
		if (req->unseen && part)
			memfile_write(f, unseen_bytes(req, part), part,
				      req->offset);
		else if (part)
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

static bool fails(uint64_t number)
{
	return number && memdisk.fail_at && number >= memdisk.fail_at &&
	       number - memdisk.fail_at < memdisk.fail_count;
}

bool memdisk_fails(int *error)
{
	if (!fails(++memdisk.ios) || memdisk.spare_reads)
		return false;
	memdisk.failed++;
	*error = memdisk.fail_with;
	return true;
}

/* @part: the bytes of a WRITE that were carried out. */
static int64_t perform(struct pending *p, uint64_t *part)
{
	struct block_req *req = p->req;
	int64_t ret;

	*part = req->length;
	if (too_far(req)) {
		memdisk.outside++;
		*part = 0;
		return -EFBIG;
	}
	if (fails(p->number) &&
	    !(memdisk.spare_reads && req->type == BLOCK_READ)) {
		memdisk.failed++;
		if (memdisk.fail_with || req->type != BLOCK_WRITE)
			ret = -(memdisk.fail_with ? memdisk.fail_with : EIO);
		else
			ret = 0;
		if (req->type == BLOCK_WRITE) {
			*part = rng_below(&memdisk.rng, *part);
			*part -= *part % 512;
			if (!ret && !*part)
				ret = -ENOSPC;
			carry_out(p, *part);
			return ret ? ret : (int64_t)*part;
		}
		return ret;
	}
	return carry_out(p, *part);
}

static void tick(struct op *op, int res, unsigned int flags)
{
	struct pending *p = container_of(op, struct pending, op), *other;
	struct block_req *req;
	uint64_t part;
	int64_t ret;

	(void)res;
	(void)flags;
	/* Somebody else's turn, maybe: swap what is carried. */
	if (!memdisk.in_order && pool_count > 1) {
		other = pool[rng_below(&memdisk.rng, pool_count)];
		if (other != p) {
			struct pending tmp = *p;

			*p = *other;
			p->op = tmp.op;
			tmp.op = other->op;
			*other = tmp;
		}
	}
	req = p->req;
	if (memdisk.watch)
		memdisk.watch(p->file, req);
	ret = perform(p, &part);
	memdisk.now++;
	if (p->entry)
		journal_complete(memdisk.journal, p->entry, memdisk.now,
				 memdisk.lie && req->type == BLOCK_FLUSH ? -EIO
									 : ret,
				 part);
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
	b->opt.growable &= !memdisk.devices;
	f->opened++;
	return 0;
}

static void start(struct block_req *req, uint8_t *slot, uint64_t direct)
{
	struct memfile *f = req->block->state;
	struct pending *p = must(calloc(1, sizeof(*p)));
	struct block_req journaled = *req;

	p->op.done = tick;
	p->req = req;
	p->file = f;
	p->slot = slot;
	p->direct = direct;
	if (direct && req->type == BLOCK_WRITE)
		memcpy(req->buf, slot, direct);
	if (req->unseen)
		journaled.buf = unseen_bytes(req, req->length);
	memdisk.now++;
	if (counts(req->type))
		p->number = ++memdisk.ios;
	if (memdisk.journal)
		p->entry = journal_submit(memdisk.journal, f, &journaled,
					  memdisk.now);
	if (pool_count == pool_room) {
		pool_room = pool_room * 2 + 64;
		pool = must(
			realloc(pool, pool_room * sizeof(struct pending *)));
	}
	pool[pool_count++] = p;
	uring_post(req->block->uring, &p->op, 0);
}

static void bounced(struct block_req *req, int error)
{
	if (error)
		block_complete(req, error);
	else
		start(req, req->scratch, req->moved);
}

static void mem_submit(struct block *b, struct block_req *req)
{
	(void)b;
	if (!req->unseen || rng_chance(&memdisk.rng, 3, 4)) {
		start(req, NULL, 0);
		return;
	}
	memdisk.bounced++;
	if (rng_chance(&memdisk.rng, 1, 2))
		req->moved = rng_below(&memdisk.rng, req->length);
	req->scratch = unseen_bytes(req, req->length);
	block_bounce(req, req->moved, bounced);
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

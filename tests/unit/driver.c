/* A block driver for tests. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "driver.h"
#include "slots.h"

struct driver driver;

static const struct block_driver *replaced;

static int fake_open(struct block *b)
{
	if (driver.open_error)
		return driver.open_error;
	b->size = driver.size;
	b->granule = b->hole_granule = driver.granule;
	if (driver.buf_align)
		b->buf_align = driver.buf_align;
	return 0;
}

static int fake_close(struct block *b)
{
	ck_assert_uint_eq(b->in_flight, 0);
	driver.closed++;
	if (driver.closing)
		driver.closing(b);
	return driver.close_error;
}

/* Bytes of the request that lie in memory. */
static size_t in_memory(const struct block_req *req)
{
	if (req->offset >= driver.mem_size)
		return 0;
	if (req->length > driver.mem_size - req->offset)
		return driver.mem_size - req->offset;
	return req->length;
}

static void fill_stat(struct statx *stx)
{
	memset(stx, 0, sizeof(*stx));
	stx->stx_mode = S_IFREG;
	stx->stx_blocks = driver.no_blocks ? 0 : DRIVER_BLOCKS;
	stx->stx_atime.tv_sec = DRIVER_ATIME;
	stx->stx_mtime.tv_sec = DRIVER_MTIME;
	stx->stx_ctime.tv_sec = DRIVER_CTIME;
	stx->stx_atime.tv_nsec = DRIVER_ATIME;
	stx->stx_mtime.tv_nsec = DRIVER_MTIME;
	stx->stx_ctime.tv_nsec = DRIVER_CTIME;
}

/*
 * Moves bytes of the request that nobody looks at. Where they are is kept in
 * scratch: a request that bounced does not say it any more.
 */
static void move(struct block_req *req, size_t from, size_t to)
{
	size_t n = in_memory(req);
	uint8_t *slot = req->scratch;

	if (from == to)
		return;
	if (req->unseen)
		slot = slots_find(req->fixed - 1u, (uintptr_t)req->buf,
				  req->length, req->type);
	if (req->type == BLOCK_READ)
		memset(slot + from, 0, to - from);
	if (to > n)
		to = n;
	if (from >= to)
		return;
	if (req->type == BLOCK_READ)
		memcpy(slot + from, driver.mem + req->offset + from, to - from);
	else
		memcpy(driver.mem + req->offset + from, slot + from, to - from);
}

/* Does what the request asks; returns its result. */
static int64_t carry_out(struct block_req *req)
{
	size_t n = in_memory(req), direct = 0;
	uint8_t *buf;

	if (req->unseen)
		direct = req->length;
	else if (req->area)
		direct = driver.bounce_from;
	if (driver.forced[req->type])
		return driver.result[req->type];
	switch (req->type) {
	case BLOCK_READ:
		move(req, 0, direct);
		if (req->unseen)
			return (int64_t)req->length;
		buf = (uint8_t *)req->buf + direct;
		memset(buf, 0, req->length - direct);
		if (n > direct)
			memcpy(buf, driver.mem + req->offset + direct,
			       n - direct);
		return (int64_t)req->length;
	case BLOCK_WRITE:
		move(req, 0, direct);
		buf = (uint8_t *)req->buf + direct;
		if (!req->unseen && n > direct)
			memcpy(driver.mem + req->offset + direct, buf,
			       n - direct);
		return (int64_t)req->length;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
		memset(driver.mem + (n ? req->offset : 0), 0, n);
		return 0;
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
		return (int64_t)req->offset;
	case BLOCK_STAT:
		fill_stat(req->buf);
		return 0;
	default:
		return 0;
	}
}

static void posted(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);

	(void)res;
	(void)flags;
	block_complete(req, carry_out(req));
}

static void go_on(struct block_req *req)
{
	if (driver.hold) {
		ck_assert_uint_lt(driver.held_n, DRIVER_MOST);
		driver.held[driver.held_n++] = req;
		return;
	}
	req->op.done = posted;
	uring_post(req->block->uring, &req->op, 0);
}

static void bounced(struct block_req *req, int error)
{
	if (error) {
		driver.not_bounced++;
		block_complete(req, error);
		return;
	}
	ck_assert(!req->unseen && !req->fixed);
	go_on(req);
}

static void fake_submit(struct block *b, struct block_req *req)
{
	ck_assert_ptr_eq(req->block, b);
	ck_assert_uint_eq(req->moved, 0);
	ck_assert_ptr_null(req->scratch);
	if (driver.started_n < DRIVER_MOST)
		driver.started[driver.started_n] = req;
	driver.started_n++;
	driver.last_type = req->type;
	driver.last_flags = req->flags;
	driver.last_offset = req->offset;
	driver.last_length = req->length;
	if (!driver.bounce || !req->unseen) {
		go_on(req);
		return;
	}
	ck_assert_uint_lt(driver.bounce_from, req->length);
	req->scratch = slots_find(req->fixed - 1u, (uintptr_t)req->buf,
				  req->length, req->type);
	block_bounce(req, driver.bounce_from, bounced);
}

static bool fake_writeback(struct block *b)
{
	(void)b;
	driver.asked++;
	if (!driver.writebacks)
		return false;
	driver.writebacks--;
	return true;
}

static const struct block_driver fake_driver = {
	.name = "null",
	.past_end = true,
	.open = fake_open,
	.submit = fake_submit,
	.writeback = fake_writeback,
	.close = fake_close,
};

void driver_install(void)
{
	driver = (struct driver){ .size = 1 << 20,
				  .mem_size = 1 << 20 };
	driver.mem = calloc(1, driver.mem_size);
	ck_assert_ptr_nonnull(driver.mem);
	replaced = block_substitute("null", &fake_driver);
	ck_assert_ptr_nonnull(replaced);
}

void driver_remove(void)
{
	if (!replaced)
		return;
	block_substitute("null", replaced);
	replaced = NULL;
	free(driver.mem);
	driver.mem = NULL;
}

static struct block_req *take(unsigned int i)
{
	struct block_req *req;

	ck_assert_uint_lt(i, driver.held_n);
	req = driver.held[i];
	driver.held_n--;
	memmove(driver.held + i, driver.held + i + 1,
		(driver.held_n - i) * sizeof(*driver.held));
	return req;
}

void driver_finish(unsigned int i)
{
	struct block_req *req = take(i);

	block_complete(req, carry_out(req));
}

void driver_finish_with(unsigned int i, int64_t result)
{
	block_complete(take(i), result);
}

int driver_find(const struct block_req *req)
{
	unsigned int i;

	for (i = 0; i < driver.held_n; i++)
		if (driver.held[i] == req)
			return (int)i;
	return -1;
}

void driver_finish_all(void)
{
	while (driver.held_n)
		driver_finish(0);
}

/*
 * The bounce areas.
 *
 * An area stands for the whole request: byte n of the request is byte n of
 * the area, so a driver that changes over in the middle goes on counting as
 * before. Only what comes after that point (req->bounce_from) is copied: the
 * bytes before it went straight between the image and the kernel's buffer.
 *
 * The areas are a few, and whoever finds none waits in a list: no allocation.
 * A request with an area never asks for another one, and its own requests to
 * other nodes are seen; but it may wait for a request to the node below that
 * has yet to bounce (qcow2 for what it frees, or raw for what is not aligned).
 * So some areas are kept for the nodes below, where nothing waits for anybody
 * but the kernel: there is always an end.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/block.h"
#include "block/bounce.h"

#define AREAS BOUNCE_AREAS
#define KEPT 2 /* of these, for nodes below another one */

struct bounce_area {
	struct op op;
	struct bounce *bounce;
	struct bounce_area *next_free;
	struct block_req *req;
	unsigned int fixed; /* where the bytes are: */
	uintptr_t base; /* of the request in that buffer */
	uint64_t at; /* of the area in the memfd */
	uint64_t done, end; /* of the request: what is being copied */
};

struct bounce {
	struct uring *uring;
	int fd, slot;
	uint8_t *memory;
	size_t size; /* of an area */
	unsigned int busy, busy_top; /* all; of the node on top of the others */
	uint64_t count;
	struct bounce_area areas[AREAS];
	struct bounce_area *free;
	struct block_list waiting_below, waiting_top;
};

struct bounce *bounce_new(struct uring *u)
{
	struct bounce *bo = calloc(1, sizeof(*bo));

	if (!bo)
		return NULL;
	bo->uring = u;
	bo->fd = bo->slot = -1;
	return bo;
}

static int make_memory(struct bounce *bo, size_t size)
{
	bo->fd = memfd_create("rawfuse-bounce", MFD_CLOEXEC);
	if (bo->fd < 0 || ftruncate(bo->fd, (off_t)(AREAS * size)))
		return -errno;
	bo->memory = mmap(NULL, AREAS * size, PROT_READ | PROT_WRITE,
			  MAP_SHARED, bo->fd, 0);
	if (bo->memory == MAP_FAILED) {
		bo->memory = NULL;
		return -errno;
	}
	madvise(bo->memory, AREAS * size, MADV_DONTFORK);
	bo->size = size;
	bo->slot = uring_add_file(bo->uring, bo->fd);
	return bo->slot < 0 ? bo->slot : 0;
}

int bounce_open(struct bounce *bo, size_t size)
{
	unsigned int i;
	int ret;

	ret = make_memory(bo, size);
	if (ret)
		return ret;
	for (i = 0; i < AREAS; i++) {
		struct bounce_area *a = &bo->areas[i];

		a->bounce = bo;
		a->at = i * size;
		a->next_free = bo->free;
		bo->free = a;
	}
	return 0;
}

void bounce_free(struct bounce *bo)
{
	if (!bo)
		return;
	uring_remove_file(bo->uring, bo->slot);
	if (bo->memory)
		munmap(bo->memory, AREAS * bo->size);
	if (bo->fd >= 0)
		close(bo->fd);
	free(bo);
}

/* The next step of a copy between the area and the registered buffer. */
static void copy_step(struct bounce_area *a)
{
	struct bounce *bo = a->bounce;
	void *buf = (void *)(a->base + (uintptr_t)a->done);
	uint32_t len = (uint32_t)(a->end - a->done);

	if (a->req->type == BLOCK_WRITE)
		uring_write(bo->uring, &a->op, bo->slot, buf, len,
			    a->at + a->done, a->fixed);
	else
		uring_read(bo->uring, &a->op, bo->slot, buf, len,
			   a->at + a->done, a->fixed);
}

/* 1: go on; 0: the copy is over; else -errno. */
static int copied(struct bounce_area *a, int res)
{
	if (res == -EAGAIN || res == -EINTR)
		res = 0;
	else if (!res)
		res = -EIO;
	if (res < 0)
		return res;
	a->done += (uint64_t)res;
	return a->done < a->end;
}

static void give_area(struct bounce *bo, struct block_req *req);

static bool top_may_have(const struct bounce *bo)
{
	return bo->free && bo->busy_top < AREAS - KEPT;
}

static struct block_req *take_first(struct block_list *list)
{
	struct block_req *req = list->first;

	if (!req)
		return NULL;
	list->first = req->next;
	if (!list->first)
		list->last = NULL;
	return req;
}

static void release(struct bounce_area *a)
{
	struct bounce *bo = a->bounce;
	struct block_req *next;

	bo->busy--;
	if (!a->req->block->opt.below)
		bo->busy_top--;
	a->req->area = NULL;
	a->req = NULL;
	a->next_free = bo->free;
	bo->free = a;
	next = take_first(&bo->waiting_below);
	if (!next && top_may_have(bo))
		next = take_first(&bo->waiting_top);
	if (next)
		give_area(bo, next);
}

/* The bytes of a WRITE are in the area; or a READ has one. */
static void ready(struct op *op, int res, unsigned int flags)
{
	struct bounce_area *a = container_of(op, struct bounce_area, op);
	struct block_req *req = a->req;
	int ret = req->type == BLOCK_WRITE ? copied(a, res) : 0;

	(void)flags;
	if (ret > 0) {
		copy_step(a);
		return;
	}
	if (ret < 0) {
		release(a);
	} else {
		req->buf = a->bounce->memory + a->at;
		req->fixed = 0;
		req->unseen = false;
	}
	req->bounced(req, ret);
}

static void give_area(struct bounce *bo, struct block_req *req)
{
	struct bounce_area *a = bo->free;

	bo->free = a->next_free;
	bo->busy++;
	if (!req->block->opt.below)
		bo->busy_top++;
	bo->count++;
	a->req = req;
	a->fixed = req->fixed;
	a->base = (uintptr_t)req->buf;
	a->done = req->bounce_from;
	a->end = req->length;
	a->op.done = ready;
	req->area = a;
	if (req->type == BLOCK_WRITE)
		copy_step(a);
	else
		uring_post(bo->uring, &a->op, 0);
}

void bounce_start(struct bounce *bo, struct block_req *req)
{
	bool below = req->block->opt.below;
	struct block_list *list = below ? &bo->waiting_below : &bo->waiting_top;

	if (below ? bo->free != NULL : top_may_have(bo)) {
		give_area(bo, req);
		return;
	}
	req->next = NULL;
	if (list->last)
		list->last->next = req;
	else
		list->first = req;
	list->last = req;
}

/* What a READ found is where the kernel wants it. */
static void delivered(struct op *op, int res, unsigned int flags)
{
	struct bounce_area *a = container_of(op, struct bounce_area, op);
	struct block_req *req = a->req;
	int ret = copied(a, res);

	(void)flags;
	if (ret > 0) {
		copy_step(a);
		return;
	}
	res = (int)a->end;
	release(a);
	block_complete(req, ret < 0 ? ret : res);
}

int bounce_finish(struct block_req *req, int64_t result)
{
	struct bounce_area *a = req->area;

	if (req->type == BLOCK_WRITE || result <= (int64_t)req->bounce_from) {
		release(a);
		return 0;
	}
	a->done = req->bounce_from;
	a->end = (uint64_t)result;
	a->op.done = delivered;
	copy_step(a);
	return 1;
}

void bounce_trim(struct bounce *bo)
{
	if (bo && bo->memory && !bo->busy)
		fallocate(bo->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  (off_t)(AREAS * bo->size));
}

uint64_t bounce_count(const struct bounce *bo)
{
	return bo ? bo->count : 0;
}

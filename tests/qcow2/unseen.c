#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "block/bounce.h"
#include "memdisk.h"
#include "unseen.h"

static struct slot {
	uint8_t *memory; /* NULL: nothing is there */
	uint64_t size;
	uint64_t base; /* the address of its first byte */
	enum block_type type;
} slots[UNSEEN_SLOTS];

static struct uring *ring;
static struct rng rng;

struct unseen_stats unseen_stats;

/* Bytes from @addr on in the slot; NULL: it has not so many. */
static uint8_t *find(unsigned int index, uint64_t addr, uint64_t len,
		     enum block_type type)
{
	struct slot *s = &slots[index < UNSEEN_SLOTS ? index : 0];

	if (index < UNSEEN_SLOTS && s->memory && s->type == type &&
	    addr >= s->base && addr - s->base <= s->size &&
	    len <= s->size - (addr - s->base))
		return s->memory + (addr - s->base);
	if (unseen_stats.wrong++ < 8)
		printf("WRONG: slot %u: %" PRIu64 "+%" PRIu64
		       " is not in what was lent for a %s\n",
		       index, addr, len, block_type_name(type));
	return NULL;
}

/* What a kernel may do instead of all that was asked. */
static int64_t whim(int fd, uint64_t *len, bool address)
{
	bool direct = fcntl(fd, F_GETFL) & O_DIRECT;
	uint64_t less;
	int error = 0;

	if (rng_chance(&rng, 1, 32))
		return -EAGAIN;
	/* Pages that are not aligned, for direct I/O, and nobody could know. */
	if (!address && direct && rng_chance(&rng, 1, 4)) {
		unseen_stats.refused++;
		return -EINVAL;
	}
	if (memdisk_fails(&error))
		return error ? -error : -EIO;
	if (rng_chance(&rng, 7, 8))
		return 0;
	less = rng_below(&rng, *len);
	if (direct)
		less -= less % 4096;
	if (less)
		*len = less;
	return 0;
}

static void hook(void *arg, const struct io_uring_sqe *sqe, struct op *op)
{
	struct uring *u = arg;
	bool reads = sqe->opcode == IORING_OP_READ_FIXED;
	int fd = u->emu.files[sqe->fd];
	uint64_t len = sqe->len;
	int64_t ret = -EOPNOTSUPP;
	uint8_t *at = NULL;

	if (reads || sqe->opcode == IORING_OP_WRITE_FIXED) {
		at = find(sqe->buf_index, sqe->addr, len,
			  reads ? BLOCK_READ : BLOCK_WRITE);
		ret = at ? whim(fd, &len, slots[sqe->buf_index].base) : -EFAULT;
	}
	if (!ret) {
		ret = reads ? pread(fd, at, len, (off_t)sqe->off)
			    : pwrite(fd, at, len, (off_t)sqe->off);
		if (ret < 0)
			ret = -errno;
		unseen_stats.copies++;
	}
	uring_post(u, op, (int)ret);
}

struct bounce *unseen_attach(struct uring *u, size_t most, uint64_t seed)
{
	struct bounce *bo = bounce_new(u);

	ring = u;
	rng.state = seed;
	u->emu.cmd_hook = hook;
	u->emu.cmd_arg = u;
	if (!bo || bounce_open(bo, most)) {
		fprintf(stderr, "unseen: no memory for areas\n");
		exit(99);
	}
	return bo;
}

void unseen_detach(struct bounce *bo)
{
	bounce_free(bo);
	ring->emu.cmd_hook = NULL;
}

void unseen_lend(unsigned int i, struct block_req *req, void *memory,
		 bool address)
{
	slots[i] = (struct slot){ .memory = memory,
				  .size = req->length,
				  .base = address ? (uintptr_t)memory : 0,
				  .type = req->type };
	req->buf = address ? memory : NULL;
	req->fixed = (uint16_t)(i + 1);
	req->unseen = !address;
}

void unseen_take_back(unsigned int i)
{
	slots[i].memory = NULL;
}

uint8_t *unseen_bytes(const struct block_req *req, uint64_t len)
{
	return find(req->fixed - 1u, (uintptr_t)req->buf, len, req->type);
}

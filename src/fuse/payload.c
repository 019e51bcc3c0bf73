/*
 * Memory for the payloads of ring requests, and which way they are given to
 * the kernel. From worst to best, as far as copying and memory go:
 *
 * - An entry has its own payload. Memory is mapped for all and becomes
 *   resident where a workload touches it.
 * - A pool for each queue (ABI 7.46): a request takes a buffer of it while it
 *   is served. There are fewer buffers than entries; a request that finds none
 *   waits in the kernel.
 * - The pools are registered with the ring, so that neither the kernel's copy
 *   nor direct I/O on the image must look their pages up. They are pinned:
 *   resident for good, and counted against RLIMIT_MEMLOCK. So pools are
 *   registered only up to FIXED_MOST in all, or if their size was asked for.
 * - With zero-copy READ and WRITE do not use payloads for data at all: the
 *   kernel puts the caller's pages into the ring's table of registered
 *   buffers, in the slot of the entry. Pools remain for the rest, so there is
 *   nothing to gain by registering them.
 *
 * Why zero-copy is off unless it is asked for: Linux 7.3 takes a reference to
 * each page and drops it at the commit. Where the caller is the kernel itself
 * and does direct I/O (a loop device with LO_FLAGS_DIRECT_IO and a file system
 * on it, nvmet), the page may be kmalloc()'s, which has no reference count; the
 * drop then frees memory that is in use ("Bad page state"). Neither OPEN nor a
 * request tells who the caller is.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "fuse/abi.h"
#include "fuse/memory.h"
#include "fuse/payload.h"
#include "fuse/session.h"
#include "loop/uring.h"

#define TABLE_MOST 16384 /* the kernel's limit of registered buffers */
#define POOL_BUFFERS 32 /* in a pool, if the depth is larger */
#define FIXED_MOST (8u << 20) /* bytes of all registered pools */

static size_t mapped(const struct payload *p)
{
	return (size_t)p->queues * p->depth * p->size;
}

int payload_init(struct payload *p, const struct session_config *cfg)
{
	*p = (struct payload){ .queues = cfg->queues,
			       .depth = cfg->queue_depth };
	p->size = cfg->max_write > FUSE_MIN_PAYLOAD ? cfg->max_write
						    : FUSE_MIN_PAYLOAD;
	/* mapped() and all places within are no larger than this. */
	p->memory = memory_map((size_t)p->queues * p->depth, p->size);
	return p->memory ? 0 : -ENOMEM;
}

void payload_exit(struct payload *p)
{
	memory_unmap(p->memory, mapped(p));
}

/* Bytes of a pool: whole payloads, no more than there are entries. */
static size_t pool_size(const struct payload *p,
			const struct session_config *cfg)
{
	uint64_t buffers = POOL_BUFFERS;

	if (cfg->buffer_pool != BUFFER_POOL_AUTO)
		buffers = cfg->buffer_pool / p->size;
	if (buffers > p->depth)
		buffers = p->depth;
	if (buffers * p->size > UINT32_MAX) /* what ADD_BUFPOOL can say */
		buffers = UINT32_MAX / p->size;
	return (buffers ? buffers : 1) * p->size;
}

/* Entry i's slot for zero-copy is i; behind them come the pools. */
static unsigned int pools_index(const struct payload *p)
{
	return p->zero_copy ? p->queues * p->depth : 0;
}

void payload_choose(struct payload *p, const struct session_config *cfg,
		    struct uring *u, bool kernel_has_pools)
{
	unsigned int entries = p->queues * p->depth;
	unsigned int wanted = cfg->zero_copy == ZERO_COPY_OFF ? 1 : entries + 1;

	if (cfg->buffer_pool == BUFFER_POOL_OFF) {
		p->why = "buffer pools are off";
		return;
	}
	if (!kernel_has_pools) {
		p->why = "the kernel has no buffer pools (Linux 7.3 has)";
		return;
	}
	p->mode = PAYLOAD_POOL;
	p->pool = pool_size(p, cfg);
	p->table = wanted < TABLE_MOST ? wanted : TABLE_MOST;
	if (uring_make_buffers(u, p->table))
		p->table = 0;
	if (cfg->zero_copy == ZERO_COPY_OFF)
		p->why = "zero-copy is off";
	else if (!p->table)
		p->why = "there is no memory for a table of buffers";
	else if (p->table < entries)
		p->why = "the entries are too many for zero-copy (a smaller "
			 "--queue-depth helps)";
	else
		p->zero_copy = true;
}

/* Returns why not; NULL: done. */
static const char *register_pools(struct payload *p, struct uring *u,
				  size_t all)
{
	int err = uring_set_buffer(u, pools_index(p), p->memory, all);

	if (err == -EFAULT)
		return "too large to be registered: the kernel takes 1G, of "
		       "all pools";
	if (err)
		return "too little memory may be locked to register the "
		       "pools (ulimit -l)";
	p->mode = PAYLOAD_FIXED_POOL;
	return NULL;
}

void payload_fix(struct payload *p, const struct session_config *cfg,
		 struct uring *u)
{
	size_t all = p->pool * p->queues;
	bool asked = cfg->buffer_pool != BUFFER_POOL_AUTO;
	const char *why = NULL;

	if (p->zero_copy && !asked)
		return;
	if (all > FIXED_MOST && !asked)
		why = "registered, the pools would pin too much memory "
		      "(--buffer-pool=SIZE insists)";
	else if (p->table <= pools_index(p))
		why = "no room in the table of registered buffers";
	else
		why = register_pools(p, u, all);
	/* That there is no zero-copy, against the wish, matters more. */
	if (why && (!p->why || cfg->zero_copy == ZERO_COPY_OFF))
		p->why = why;
}

void payload_trim(const struct payload *p)
{
	/* What is registered is pinned: other pages would take its place. */
	if (p->mode == PAYLOAD_POOL)
		memory_drop(p->memory, p->pool * p->queues);
}

void payload_no_zero_copy(struct payload *p, const char *why)
{
	p->zero_copy = false;
	p->why = why;
}

void payload_no_pool(struct payload *p, const char *why)
{
	p->zero_copy = false;
	p->mode = PAYLOAD_ENTRY;
	p->why = why;
}

uint8_t *payload_entry(const struct payload *p, unsigned int i)
{
	return p->memory + i * p->size;
}

uint8_t *payload_pool(const struct payload *p, unsigned int qid)
{
	return p->memory + qid * p->pool;
}

unsigned int payload_fixed(const struct payload *p)
{
	return p->mode == PAYLOAD_FIXED_POOL ? pools_index(p) + 1 : 0;
}

const char *payload_name(const struct payload *p)
{
	if (p->zero_copy)
		return p->mode == PAYLOAD_FIXED_POOL
			       ? "zero-copy,registered-pool"
			       : "zero-copy,pool";
	switch (p->mode) {
	case PAYLOAD_FIXED_POOL:
		return "registered-pool";
	case PAYLOAD_POOL:
		return "pool";
	default:
		return "entry";
	}
}

/* Random requests: which, where, how long. */
#include "config.h"

#include "ops.h"

enum block_type ops_choose_type(struct ops *ops)
{
	uint64_t n = rng_below(&ops->rng, 100 + ops->opt.flush_weight +
						  ops->opt.resize_weight);

	if (n >= 100 + ops->opt.flush_weight)
		return BLOCK_TRUNCATE;
	if (n >= 100)
		return BLOCK_FLUSH;
	if (n < 2)
		return BLOCK_STAT;
	if (n < 4)
		return BLOCK_SEEK_DATA;
	if (n < 6)
		return BLOCK_SEEK_HOLE;
	if (n < 38 || ops->block->opt.read_only)
		return BLOCK_READ;
	if (n < 72)
		return BLOCK_WRITE;
	if (n < 84)
		return BLOCK_DISCARD;
	if (n < 96)
		return BLOCK_ZERO;
	return BLOCK_ALLOCATE;
}

uint64_t ops_choose_length(struct ops *ops)
{
	struct rng *r = &ops->rng;
	uint64_t len;

	switch (rng_below(r, 8)) {
	case 0:
		len = 1 + rng_below(r, 700);
		break;
	case 1:
	case 2:
		len = 512 * (1 + rng_below(r, 16));
		break;
	case 3:
		len = 4096 * (1 + rng_below(r, 8));
		break;
	case 4:
	case 5:
		len = ops->opt.cluster * (1 + rng_below(r, 4));
		break;
	case 6:
		len = 1 + rng_below(r, 2ull * ops->opt.cluster);
		break;
	default:
		len = 1 + rng_below(r, ops->opt.max_len);
	}
	if (len > ops->opt.max_len)
		len = ops->opt.max_len;
	len -= len % ops->opt.align;
	return len ? len : ops->opt.align;
}

uint64_t ops_choose_offset(struct ops *ops, uint64_t len)
{
	struct rng *r = &ops->rng;
	uint64_t size = ops->model->size, at;
	uint64_t room = size > len ? size - len : 0;

	if (rng_chance(r, 1, 12))
		ops->hot = rng_below(r, room + 1);
	if (ops->opt.sparse && rng_chance(r, 1, 8))
		ops->hot = room / 16 * rng_below(r, 16);
	if (rng_chance(r, 1, 2) || ops->opt.sparse)
		at = ops->hot + rng_below(r, 8ull * ops->opt.cluster);
	else
		at = rng_below(r, room + 1);
	switch (rng_below(r, 5)) {
	case 0:
		at -= at % ops->opt.cluster;
		break;
	case 1:
		at -= at % 4096;
		break;
	case 2:
	case 3:
		at -= at % 512;
		break;
	default:
		break;
	}
	/* Now and then across the end, or behind it. */
	if (rng_chance(r, 1, 24))
		at = size - rng_below(r, size < len ? size + 1 : len);
	else if (at > room)
		at = room;
	return at - at % ops->opt.align;
}

uint64_t ops_choose_size(struct ops *ops)
{
	uint64_t max = ops->opt.max_size, now = ops->model->size, size;

	if (ops->opt.sparse && max > 64u << 20)
		size = now - (16u << 20) + rng_below(&ops->rng, 32u << 20);
	else if (rng_chance(&ops->rng, 1, 2))
		size = rng_below(&ops->rng, max + 1);
	else
		size = now / 2 + rng_below(&ops->rng, now);
	/* Tiny disks are dull: few stay so. */
	if (size < max / 4 && rng_chance(&ops->rng, 7, 8))
		size += max / 4;
	if (size > max)
		size = max;
	/* qcow2 counts in sectors. */
	size -= size % (ops->opt.align > 512 ? ops->opt.align : 512);
	return size ? size : 512;
}

/*
 * Requests that bring old bytes back if an order is wrong, as a story that is
 * told again and again in random places, with other requests in between:
 *
 *   what is stable becomes zeros, and before a flush a write with ragged ends
 *   goes into them;
 *   the disk ends within a cluster with stable data, what is left of that
 *   cluster becomes zeros, and before a flush the disk grows.
 */
#include "config.h"

#include "ops.h"

enum step {
	FILL,
	STABLE,
	ERASE,
	RAGGED,
	AGAIN, /* flush, or not */
	FILL_END,
	SHRINK,
	STABLE_END,
	ERASE_END,
	GROW,
	STEPS,
};

enum block_type ops_edge_type(struct ops *ops)
{
	struct rng *r = &ops->rng;
	unsigned int step, steps = ops->opt.resize_weight ? STEPS : FILL_END;

	ops->at_edge = false;
	if (!rng_chance(r, ops->opt.edges, 100))
		return BLOCK_TYPES;
	step = ops->edge = ops->edge + 1 < steps ? ops->edge + 1 : 0;
	ops->at_edge = true;
	switch (step) {
	case STABLE:
	case STABLE_END:
		return BLOCK_FLUSH;
	case AGAIN:
		return rng_chance(r, 1, 2) ? BLOCK_FLUSH : BLOCK_WRITE;
	case ERASE:
	case ERASE_END:
		return rng_chance(r, 1, 2) ? BLOCK_ZERO : BLOCK_DISCARD;
	case GROW:
		return ops->opt.growable && rng_chance(r, 1, 2)
			       ? BLOCK_WRITE
			       : BLOCK_TRUNCATE;
	case SHRINK:
		return BLOCK_TRUNCATE;
	default:
		return BLOCK_WRITE;
	}
}

static uint64_t some(struct ops *ops, uint64_t clusters)
{
	uint64_t max = clusters * ops->opt.cluster;

	return 1 + rng_below(&ops->rng,
			     max < ops->opt.max_len ? max : ops->opt.max_len);
}

/* The end moves by a few clusters, to within a sector now and then. */
static uint64_t move_end(struct ops *ops, bool grow)
{
	uint64_t now = ops->model->size, by = some(ops, 3), size;

	size = grow ? now + by : now > by ? now - by : now;
	if (size > ops->opt.max_size)
		size = ops->opt.max_size;
	if (ops->opt.align > 1 || rng_chance(&ops->rng, 3, 4))
		size -= size % (ops->opt.align > 512 ? ops->opt.align : 512);
	return size ? size : 512;
}

static void up_to_the_end(struct ops *ops, struct ops_slot *slot)
{
	uint64_t size = ops->model->size;

	slot->length = some(ops, 2);
	if (slot->length > size)
		slot->length = size;
	slot->offset = size - slot->length;
}

/* Whole clusters, of what the story is about. */
static void over_the_place(struct ops *ops, struct ops_slot *slot)
{
	uint64_t cluster = ops->opt.cluster;

	slot->offset = ops->place / cluster * cluster;
	slot->length = (ops->place_end - 1) / cluster * cluster + cluster -
		       slot->offset;
}

static void choose(struct ops *ops, struct ops_slot *slot)
{
	bool write = slot->req.type == BLOCK_WRITE;

	switch (ops->edge) {
	case ERASE:
		over_the_place(ops, slot);
		break;
	case RAGGED:
		slot->offset =
			ops->place +
			rng_below(&ops->rng, ops->place_end - ops->place);
		slot->length = some(ops, 3);
		break;
	case FILL_END:
	case ERASE_END:
		up_to_the_end(ops, slot);
		break;
	case SHRINK:
	case GROW:
		slot->offset = write ? ops->model->size : 0;
		slot->length =
			write ? some(ops, 2) : move_end(ops, ops->edge == GROW);
		break;
	default:
		slot->length = some(ops, 4);
		slot->offset = ops_choose_offset(ops, slot->length);
	}
}

void ops_edge_place(struct ops *ops, struct ops_slot *slot)
{
	uint64_t align = ops->opt.align;

	if (slot->req.type == BLOCK_FLUSH)
		return;
	choose(ops, slot);
	slot->offset -= slot->offset % align;
	slot->length += align - 1 - (slot->length + align - 1) % align;
	ops->place = slot->offset;
	ops->place_end = slot->offset + slot->length;
}

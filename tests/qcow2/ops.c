#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"
#include "unseen.h"

#define TO_THE_END UINT64_MAX
#define SEEK_CHECK (4u << 20) /* bytes of a hole that are held to the model */

static void complain(struct ops *ops, const struct ops_slot *slot,
		     const char *what, int64_t got, int64_t wanted)
{
	if (ops->bad++ < 8)
		printf("WRONG: op %" PRIu64 " %s %" PRIu64 "+%" PRIu64
		       ": %s: %" PRId64 ", not %" PRId64 "\n",
		       slot->id, block_type_name(slot->req.type), slot->offset,
		       slot->length, what, got, wanted);
}

static bool modifies(enum block_type type)
{
	return type == BLOCK_WRITE || type == BLOCK_DISCARD ||
	       type == BLOCK_ZERO || type == BLOCK_ALLOCATE ||
	       type == BLOCK_TRUNCATE;
}

static bool conflicts(const struct ops *ops, const struct ops_slot *slot)
{
	uint64_t unit = ops->opt.unit;
	unsigned int i;

	for (i = 0; i < ops->opt.depth; i++) {
		const struct ops_slot *other = &ops->slots[i];

		if (!other->busy || other == slot ||
		    (!modifies(slot->req.type) && !modifies(other->req.type)))
			continue;
		if (slot->from / unit * unit < other->to &&
		    other->from / unit * unit < slot->to)
			return true;
		if (unit > 1 && slot->from / unit <= (other->to - 1) / unit &&
		    other->from / unit <= (slot->to - 1) / unit)
			return true;
	}
	return false;
}

/* What the interface promises for this request. */
static void predict(struct ops *ops, struct ops_slot *slot)
{
	struct block_req *req = &slot->req;
	uint64_t size = ops->model->size;
	uint64_t inside = slot->offset < size ? size - slot->offset : 0;
	bool keep = req->flags & BLOCK_KEEP_SIZE;
	bool grows = ops->opt.growable && !keep;

	slot->from = slot->offset;
	slot->to = slot->offset + slot->length;
	slot->expect = 0;
	slot->expect_error = 0;
	if (inside > slot->length)
		inside = slot->length;
	switch (req->type) {
	case BLOCK_READ:
		slot->expect = inside;
		break;
	case BLOCK_WRITE:
		slot->expect = grows ? slot->length : inside;
		if (!slot->expect)
			slot->expect_error = -ENOSPC;
		break;
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
		if (!grows && inside < slot->length && (!keep || !inside))
			slot->expect_error = -ENOSPC;
		if (keep && req->type == BLOCK_ZERO)
			slot->expect_error = 0; /* nothing to do there */
		if (keep && req->type == BLOCK_ALLOCATE && ops->opt.growable &&
		    inside < slot->length)
			slot->expect_error = -EOPNOTSUPP;
		break;
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
	case BLOCK_TRUNCATE:
		slot->from = 0;
		slot->to = TO_THE_END;
		if (req->type != BLOCK_TRUNCATE && slot->offset >= size)
			slot->expect_error = -ENXIO;
		break;
	case BLOCK_FLUSH:
	case BLOCK_STAT:
		slot->from = slot->to = 0;
		break;
	default:
		break;
	}
	if (slot->to > size && slot->from > size)
		slot->from = size;
	if (slot->to > size)
		slot->to = TO_THE_END;
}

static void apply(struct ops *ops, const struct ops_slot *slot)
{
	struct model *m = ops->model;
	uint64_t end = slot->offset + slot->length;

	if (slot->expect_error)
		return;
	if (!ops->opt.growable || slot->req.flags & BLOCK_KEEP_SIZE ||
	    slot->req.type == BLOCK_DISCARD)
		end = end < m->size ? end : m->size;
	switch (slot->req.type) {
	case BLOCK_WRITE:
		model_write(m, slot->data, slot->expect, slot->offset);
		break;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
		if (end > slot->offset)
			model_zero(m, end - slot->offset, slot->offset);
		break;
	case BLOCK_ALLOCATE:
		break;
	default:
		return;
	}
	if (end > m->size)
		model_truncate(m, end);
}

static void check_seek(struct ops *ops, struct ops_slot *slot)
{
	uint64_t size = ops->model->size, zero = 0;
	int64_t at = slot->req.result, bad;

	if (slot->req.type == BLOCK_SEEK_DATA) {
		if (at != -ENXIO &&
		    (at < (int64_t)slot->offset || at >= (int64_t)size))
			complain(ops, slot, "found at", at, -1);
		zero = (at < 0 ? size : (uint64_t)at) - slot->offset;
		at = (int64_t)slot->offset;
	} else if (at < (int64_t)slot->offset || at > (int64_t)size) {
		complain(ops, slot, "found at", at, -1);
		return;
	} else {
		zero = (uint64_t)at < size;
	}
	if (zero > SEEK_CHECK)
		zero = SEEK_CHECK;
	bad = model_compare_zero(ops->model, zero, (uint64_t)at);
	if (bad >= 0)
		complain(ops, slot, "called a hole, has data at", at + bad, -1);
}

/* The request failed, or did less: what does the model still know? */
static void forget(struct ops *ops, struct ops_slot *slot)
{
	struct model *m = ops->model;
	uint64_t at = slot->offset, end = slot->offset + slot->length;
	uint64_t size = ops->block->size;

	ops->errors_seen++;
	if (slot->req.type == BLOCK_WRITE && slot->req.result > 0)
		at += (uint64_t)slot->req.result;
	if (slot->req.type == BLOCK_TRUNCATE) {
		at = slot->length;
		end = m->size;
		ops->size_unknown = true;
	}
	if (slot->req.type != BLOCK_ALLOCATE && at < end &&
	    modifies(slot->req.type))
		model_forget(m, end - at, at);
	/* Others may be growing the disk just now; not beside who would. */
	if (size == m->size || slot->to != TO_THE_END ||
	    !modifies(slot->req.type))
		return;
	ops->size_unknown = true;
	m->size = size;
}

static void check_result(struct ops *ops, struct ops_slot *slot)
{
	struct block_req *req = &slot->req;
	bool seek =
		req->type == BLOCK_SEEK_DATA || req->type == BLOCK_SEEK_HOLE;
	int64_t bad;

	if (slot->expect_error) {
		if (req->result != slot->expect_error)
			complain(ops, slot, "result", req->result,
				 slot->expect_error);
		return;
	}
	if (req->result < 0 && !(seek && req->result == -ENXIO)) {
		bool loose = ops->opt.loose && req->result == -EOPNOTSUPP;
		bool faults = ops->opt.faults &&
			      !(ops->opt.reads_work && req->type == BLOCK_READ);

		if (!faults && !loose)
			complain(ops, slot, "result", req->result,
				 (int64_t)slot->expect);
		forget(ops, slot);
		return;
	}
	if (seek) {
		check_seek(ops, slot);
		return;
	}
	if (req->type == BLOCK_TRUNCATE)
		model_truncate(ops->model, slot->length);
	if (req->type == BLOCK_READ || req->type == BLOCK_WRITE) {
		if (req->result != (int64_t)slot->expect) {
			if (!ops->opt.faults)
				complain(ops, slot, "result", req->result,
					 (int64_t)slot->expect);
			forget(ops, slot);
		}
	}
	if (req->type != BLOCK_READ || req->result <= 0)
		return;
	bad = model_compare(ops->model, slot->data, (uint64_t)req->result,
			    slot->offset);
	if (bad >= 0) {
		uint8_t want;

		model_read(ops->model, &want, 1, slot->offset + (uint64_t)bad);
		complain(ops, slot, "differs at byte",
			 (int64_t)slot->offset + bad, -1);
		printf("\tthe byte is 0x%02x, not 0x%02x\n", slot->data[bad],
		       want);
	}
}

static void fill(struct ops *ops);

static void done(struct block_req *req)
{
	struct ops_slot *slot = container_of(req, struct ops_slot, req);
	struct ops *ops = slot->ops;

	if (!ops->opt.strange)
		check_result(ops, slot);
	if (ops->end)
		ops->end(ops, slot);
	if (ops->opt.verbose)
		printf("%" PRIu64 ": %s %" PRIu64 "+%" PRIu64 ": %" PRId64 "\n",
		       slot->id, block_type_name(req->type), slot->offset,
		       slot->length, req->result);
	slot->busy = false;
	unseen_take_back((unsigned int)(slot - ops->slots));
	free(slot->data);
	slot->data = NULL;
	ops->in_flight--;
	ops->finished++;
	/* Now and then let what is in flight run dry. */
	if (rng_chance(&ops->rng, 7, 8))
		fill(ops);
}

static void prepare(struct ops *ops, struct ops_slot *slot,
		    enum block_type type)
{
	struct block_req *req = &slot->req;
	bool ranged = type != BLOCK_FLUSH && type != BLOCK_STAT;

	*req = (struct block_req){ .type = type, .done = done };
	slot->ops = ops;
	slot->id = ops->started;
	slot->length = ranged ? ops_choose_length(ops) : 0;
	slot->offset = ranged ? ops_choose_offset(ops, slot->length) : 0;
	if (type == BLOCK_TRUNCATE) {
		slot->offset = 0;
		slot->length = ops_choose_size(ops);
	}
	if (ops->at_edge)
		ops_edge_place(ops, slot);
	if ((type == BLOCK_ZERO || type == BLOCK_ALLOCATE) &&
	    rng_chance(&ops->rng, 1, 2))
		req->flags = BLOCK_KEEP_SIZE;
	if (ops->opt.growable &&
	    slot->offset + slot->length > ops->opt.max_size)
		slot->offset = ops->opt.max_size > slot->length &&
					       type != BLOCK_TRUNCATE
				       ? ops->opt.max_size - slot->length
				       : 0;
	req->offset = slot->offset;
	req->length = slot->length;
	if (req->type == BLOCK_SEEK_DATA || req->type == BLOCK_SEEK_HOLE)
		req->length = 0; /* to the end */
	predict(ops, slot);
}

/* A share of the requests are unseen, a few of the others in a fixed buffer. */
static void hide(struct ops *ops, struct ops_slot *slot)
{
	unsigned int i = (unsigned int)(slot - ops->slots);

	if (!ops->opt.unseen)
		return;
	if (rng_chance(&ops->rng, ops->opt.unseen, 100))
		unseen_lend(i, &slot->req, slot->data, false);
	else if (rng_chance(&ops->rng, 1, 4))
		unseen_lend(i, &slot->req, slot->data, true);
}

static bool start(struct ops *ops, struct ops_slot *slot)
{
	struct block_req *req = &slot->req;

	if (ops->next == BLOCK_TYPES && ops->opt.edges)
		ops->next = ops_edge_type(ops);
	if (ops->next == BLOCK_TYPES)
		ops->next = ops_choose_type(ops);
	prepare(ops, slot, ops->next);
	if (conflicts(ops, slot))
		return false;
	ops->next = BLOCK_TYPES;
	if (req->type == BLOCK_STAT)
		req->buf = &slot->stx;
	if (req->type == BLOCK_READ || req->type == BLOCK_WRITE) {
		req->buf = slot->data = malloc(slot->length);
		if (!slot->data)
			abort();
		memset(slot->data, 0xa5, slot->length);
		hide(ops, slot);
	}
	if (req->type == BLOCK_WRITE) {
		if (rng_chance(&ops->rng, 1, 16))
			memset(slot->data, 0, slot->length);
		else
			rng_fill(&ops->rng, slot->data, slot->length);
	}
	slot->busy = true;
	ops->count[req->type]++;
	ops->started++;
	ops->in_flight++;
	if (!ops->opt.strange)
		apply(ops, slot);
	if (ops->begin)
		ops->begin(ops, slot);
	block_submit(ops->block, req);
	return true;
}

static void fill(struct ops *ops)
{
	unsigned int i, tries;

	/* Who must run alone waits until nothing else runs. */
	if (ops->in_flight &&
	    ((ops->next == BLOCK_FLUSH && ops->at_edge) ||
	     ops->next == BLOCK_TRUNCATE || ops->next == BLOCK_SEEK_DATA ||
	     ops->next == BLOCK_SEEK_HOLE))
		return;
	for (i = 0; i < ops->opt.depth; i++) {
		for (tries = 0; !ops->slots[i].busy && tries < 4 &&
				ops->started < ops->opt.count;
		     tries++)
			start(ops, &ops->slots[i]);
	}
}

void ops_init(struct ops *ops, struct block *b, struct model *m,
	      const struct ops_options *opt)
{
	memset(ops, 0, sizeof(*ops));
	ops->block = b;
	ops->model = m;
	ops->opt = *opt;
	ops->rng.state = opt->seed;
	ops->next = BLOCK_TYPES;
	ops->edge = UINT_MAX; /* the next step is the first */
	if (!ops->opt.depth || ops->opt.depth > OPS_MAX_DEPTH)
		ops->opt.depth = 8;
	if (!ops->opt.max_len)
		ops->opt.max_len = m->size < 8 << 20 ? 128 << 10 : 1 << 20;
	/* A few must find room side by side. */
	if (!ops->opt.sparse && ops->opt.max_len > m->size / 8)
		ops->opt.max_len =
			m->size > 8192 ? (uint32_t)(m->size / 8) : 1024;
	if (!ops->opt.cluster)
		ops->opt.cluster = 64 << 10;
	if (!ops->opt.unit)
		ops->opt.unit = 1;
	if (!ops->opt.align)
		ops->opt.align = 1;
	if (!ops->opt.max_size)
		ops->opt.max_size = m->size;
}

unsigned int ops_run(struct ops *ops)
{
	while (ops->started < ops->opt.count || ops->in_flight) {
		fill(ops);
		if (ops->in_flight && !uring_has_work(ops->block->uring) &&
		    ops->block->uring->emulated) {
			printf("WRONG: %u requests hang\n", ops->in_flight);
			ops->bad++;
			fflush(stdout);
			_Exit(3);
		}
		uring_wait(ops->block->uring);
	}
	ops->bad += (unsigned int)unseen_stats.wrong;
	return ops->bad;
}

static void verify_range(struct ops *ops, uint64_t offset, uint64_t len)
{
	uint8_t *buf = malloc(len);
	int64_t bad = -1;
	int ret;

	if (!buf)
		abort();
	ret = block_pread(ops->block, buf, len, offset);
	if (!ret)
		bad = model_compare(ops->model, buf, len, offset);
	free(buf);
	if (!ret && bad < 0)
		return;
	if (ops->bad++ < 8)
		printf("WRONG: at the end: read %" PRIu64 "+%" PRIu64
		       ": %s %" PRId64 "\n",
		       offset, len, ret ? "error" : "differs at byte",
		       ret ? ret : (int64_t)offset + bad);
}

static void verify_page(void *arg, const struct model_page *page)
{
	struct ops *ops = arg;
	uint64_t at = page->number * MODEL_PAGE, len = MODEL_PAGE;

	if (at >= ops->model->size)
		return;
	if (len > ops->model->size - at)
		len = ops->model->size - at;
	verify_range(ops, at, len);
}

unsigned int ops_verify(struct ops *ops)
{
	uint64_t at, len = 1 << 20, size = ops->model->size;

	if (ops->size_unknown) {
		if (size > ops->block->size)
			size = ops->block->size;
	} else if (ops->block->size != size) {
		printf("WRONG: at the end: the size is %" PRIu64
		       ", not %" PRIu64 "\n",
		       ops->block->size, size);
		ops->bad++;
		return ops->bad;
	}
	if (ops->opt.sparse) {
		model_for_each(ops->model, verify_page, ops);
		return ops->bad;
	}
	for (at = 0; at < size; at += len)
		verify_range(ops, at, len < size - at ? len : size - at);
	return ops->bad;
}

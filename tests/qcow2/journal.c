#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "journal.h"

static void copy_file(struct memfile *to, const struct memfile *from)
{
	if (to->size > from->size)
		memfile_truncate(to, from->size);
	if (from->size)
		memfile_write(to, from->data, from->size, 0);
	to->size = from->size;
}

void journal_start(struct journal *j)
{
	unsigned int i;

	memset(j, 0, sizeof(*j));
	j->files = memdisk.count;
	for (i = 0; i < memdisk.count; i++) {
		copy_file(&j->start[i], &memdisk.files[i]);
		copy_file(&j->flushed[i], &memdisk.files[i]);
	}
}

void journal_free(struct journal *j)
{
	uint64_t i;

	for (i = 0; i < j->count; i++) {
		free(j->ops[i]->data);
		free(j->ops[i]);
	}
	for (i = 0; i < MEMDISK_FILES; i++) {
		free(j->start[i].data);
		free(j->flushed[i].data);
	}
	free(j->scratch.data);
	free(j->ops);
	free(j->done);
}

struct journal_op *journal_submit(struct journal *j, const struct memfile *f,
				  const struct block_req *req, uint64_t now)
{
	struct journal_op *op;

	if (req->type == BLOCK_READ || req->type == BLOCK_STAT ||
	    req->type == BLOCK_SEEK_DATA || req->type == BLOCK_SEEK_HOLE)
		return NULL;
	op = calloc(1, sizeof(*op));
	if (j->count == j->room) {
		j->room = j->room * 2 + 256;
		j->ops = realloc(j->ops, j->room * sizeof(op));
		j->done = realloc(j->done, j->room * sizeof(op));
	}
	if (!op || !j->ops || !j->done)
		abort();
	*op = (struct journal_op){ .type = req->type,
				   .file = f->index,
				   .flags = req->flags,
				   .offset = req->offset,
				   .length = req->length,
				   .submit = now };
	if (req->type == BLOCK_WRITE) {
		op->data = malloc(req->length);
		if (!op->data)
			abort();
		memcpy(op->data, req->buf, req->length);
	}
	j->ops[j->count++] = op;
	return op;
}

void journal_complete(struct journal *j, struct journal_op *op, uint64_t now,
		      int64_t result, uint64_t part)
{
	op->complete = now;
	op->failed = result < 0;
	if (op->type == BLOCK_WRITE)
		op->length = part;
	op->undone = op->type == BLOCK_WRITE ? !part : op->failed;
	j->done[j->done_count++] = op;
}

static void apply(struct memfile *f, const struct journal_op *op)
{
	uint64_t end = op->offset + op->length;

	if (op->undone)
		return;
	switch (op->type) {
	case BLOCK_WRITE:
		memfile_write(f, op->data, op->length, op->offset);
		break;
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
		if (!(op->flags & BLOCK_KEEP_SIZE) && f->size < end)
			memfile_truncate(f, end);
		if (op->type == BLOCK_ZERO)
			memfile_zero(f, op->length, op->offset);
		break;
	case BLOCK_DISCARD:
		memfile_zero(f, op->length, op->offset);
		break;
	case BLOCK_TRUNCATE:
		memfile_truncate(f, op->length);
		break;
	default:
		break;
	}
}

void journal_advance(struct journal *j, uint64_t time)
{
	uint64_t i;
	unsigned int f;

	/* In the order of completion, so a flush seen once is over for good. */
	for (; j->flushes_seen < j->done_count &&
	       j->done[j->flushes_seen]->complete <= time;
	     j->flushes_seen++) {
		const struct journal_op *op = j->done[j->flushes_seen];

		if (op->type == BLOCK_FLUSH && !op->failed &&
		    op->submit > j->flushed_at[op->file])
			j->flushed_at[op->file] = op->submit;
	}
	for (f = 0; f < j->files; f++) {
		for (i = j->flushed_done[f]; i < j->done_count; i++) {
			if (j->done[i]->complete >= j->flushed_at[f])
				break;
			if (j->done[i]->file == f)
				apply(&j->flushed[f], j->done[i]);
		}
		j->flushed_done[f] = i;
	}
}

/* The sectors that @op touched, from the state after it, into @out. */
static void keep_sectors(struct memfile *out, const struct memfile *now,
			 const struct journal_op *op, struct rng *torn)
{
	uint64_t first = op->offset / JOURNAL_SECTOR;
	uint64_t last = (op->offset + op->length - 1) / JOURNAL_SECTOR;
	uint64_t from = first, to = last, s;
	bool scattered = false;

	if (torn && rng_chance(torn, 1, 2)) {
		switch (rng_below(torn, 3)) {
		case 0:
			to = first + rng_below(torn, last - first + 1);
			break;
		case 1:
			from = first + rng_below(torn, last - first + 1);
			break;
		default:
			scattered = true;
		}
	}
	for (s = from; s <= to; s++) {
		uint64_t at = s * JOURNAL_SECTOR, n = JOURNAL_SECTOR;

		if (at >= now->size || (scattered && rng_chance(torn, 1, 2)))
			continue;
		if (n > now->size - at)
			n = now->size - at;
		/* Zeroing does not make a file longer. */
		if (op->type == BLOCK_DISCARD ||
		    (op->type == BLOCK_ZERO && op->flags & BLOCK_KEEP_SIZE)) {
			if (at >= out->size)
				break;
			if (n > out->size - at)
				n = out->size - at;
		}
		memfile_write(out, now->data + at, n, at);
	}
}

static bool wanted(enum journal_policy policy, struct rng *rng, uint64_t i,
		   uint64_t one)
{
	switch (policy) {
	case POLICY_FLUSHED:
		return false;
	case POLICY_HALF:
	case POLICY_TORN:
		return rng_chance(rng, 1, 2);
	case POLICY_MOST:
		return rng_chance(rng, 7, 8);
	case POLICY_FEW:
		return rng_chance(rng, 1, 8);
	case POLICY_ALL_BUT_ONE:
		return i != one;
	case POLICY_ONLY_ONE:
		return i == one;
	default:
		return true;
	}
}

static bool next_bit(struct journal *j)
{
	bool bit = j->mask & 1;

	j->mask >>= 1;
	return bit;
}

static uint64_t count_open(const struct journal *j, unsigned int file,
			   uint64_t time)
{
	uint64_t i, n = 0;

	for (i = j->flushed_done[file]; i < j->done_count; i++)
		n += j->done[i]->file == file && j->done[i]->submit <= time &&
		     j->done[i]->type != BLOCK_FLUSH && !j->done[i]->undone;
	return n;
}

unsigned int journal_open(const struct journal *j, uint64_t time)
{
	unsigned int f, n = 0;

	for (f = 0; f < j->files; f++)
		n += (unsigned int)count_open(j, f, time);
	return n;
}

void journal_crash(struct journal *j, unsigned int file, uint64_t time,
		   enum journal_policy policy, struct rng *rng,
		   struct memfile *out)
{
	struct memfile *now = &j->scratch;
	uint64_t cut = UINT64_MAX, i, n = 0, one;

	one = rng_below(rng, count_open(j, file, time));
	copy_file(now, &j->flushed[file]);
	copy_file(out, &j->flushed[file]);
	for (i = j->flushed_done[file]; i < j->done_count; i++) {
		const struct journal_op *op = j->done[i];
		uint64_t end = op->offset + op->length;
		bool keep;

		if (op->file != file || op->submit > time ||
		    op->type == BLOCK_FLUSH || op->undone)
			continue;
		if (policy == POLICY_PREFIX && op->complete > time)
			continue;
		keep = policy == POLICY_MASK ? next_bit(j)
					     : wanted(policy, rng, n++, one);
		if (op->type == BLOCK_TRUNCATE) {
			if (!keep && op->length < now->size && op->length < cut)
				cut = op->length;
			if (keep && op->length <= cut)
				memfile_truncate(out, op->length);
			apply(now, op);
			continue;
		}
		apply(now, op);
		if (!keep || end > cut)
			continue;
		if (op->type == BLOCK_ALLOCATE)
			apply(out, op);
		else if (op->length)
			keep_sectors(out, now, op,
				     policy == POLICY_TORN ? rng : NULL);
	}
}

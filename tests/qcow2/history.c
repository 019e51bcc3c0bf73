#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "memdisk.h"

#define SECTOR 512u

uint64_t history_hash(const void *sector)
{
	const uint8_t *p = sector;
	uint64_t a = 1, b = 2, word;
	unsigned int i;

	for (i = 0; i < SECTOR; i += 16) {
		memcpy(&word, p + i, 8);
		a = (a ^ word) * 0x9e3779b97f4a7c15ULL;
		a ^= a >> 29;
		memcpy(&word, p + i + 8, 8);
		b = (b ^ word) * 0xbf58476d1ce4e5b9ULL;
		b ^= b >> 31;
	}
	return a ^ b * 3;
}

static void append(struct versions *v, uint64_t hash, uint64_t begin,
		   uint64_t end)
{
	if (v->count == v->room) {
		v->room = v->room * 2 + 2;
		v->list = realloc(v->list, v->room * sizeof(*v->list));
		if (!v->list)
			abort();
	}
	v->list[v->count++] = (struct version){ hash, begin, end };
}

void history_init(struct history *h, struct model *m, uint64_t max_size)
{
	uint8_t sector[SECTOR];
	uint64_t i;

	memset(h, 0, sizeof(*h));
	if (max_size < m->size)
		max_size = m->size;
	h->sectors = (max_size + SECTOR - 1) / SECTOR;
	h->of = calloc(h->sectors, sizeof(*h->of));
	if (!h->of)
		abort();
	for (i = 0; i < h->sectors; i++) {
		model_read(m, sector, SECTOR, i * SECTOR);
		append(&h->of[i], history_hash(sector), 0, 0);
	}
	append(&h->sizes, m->size, 0, 0);
}

void history_free(struct history *h)
{
	uint64_t i;

	for (i = 0; i < h->sectors; i++)
		free(h->of[i].list);
	free(h->of);
	free(h->sizes.list);
	free(h->flushes);
	memset(h, 0, sizeof(*h));
}

/* Which sectors a request changes. */
static bool changed(const struct ops *ops, const struct ops_slot *slot,
		    uint64_t *from, uint64_t *to)
{
	const struct history *h = ops->user;

	*from = slot->offset;
	*to = slot->offset + slot->length;
	switch (slot->req.type) {
	case BLOCK_WRITE:
		*to = *from + slot->expect;
		break;
	case BLOCK_TRUNCATE:
		*from = slot->length;
		*to = h->sectors * SECTOR;
		break;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
		/* What a failed write left behind the end stays. */
		if (*to > ops->model->size)
			*to = ops->model->size;
		break;
	default:
		return false;
	}
	*from /= SECTOR;
	*to = (*to + SECTOR - 1) / SECTOR;
	if (*to > h->sectors)
		*to = h->sectors;
	return *from < *to && !slot->expect_error;
}

void history_begin(struct ops *ops, struct ops_slot *slot)
{
	struct history *h = ops->user;
	uint64_t from, to, s, now = ++memdisk.now;
	uint64_t size = ops->model->size;
	uint8_t sector[SECTOR];

	slot->user = (void *)(uintptr_t)now;
	if (slot->req.type == BLOCK_TRUNCATE)
		size = slot->length;
	size = (size + SECTOR - 1) / SECTOR * SECTOR;
	if (h->sizes.list[h->sizes.count - 1].hash != size)
		append(&h->sizes, size, now, UINT64_MAX);
	if (!changed(ops, slot, &from, &to))
		return;
	for (s = from; s < to; s++) {
		uint64_t at = s * SECTOR, keep = SECTOR;

		/* The model is cut when the request is over. */
		if (slot->req.type == BLOCK_TRUNCATE)
			keep = slot->length > at ? slot->length - at : 0;
		memset(sector, 0, SECTOR);
		model_read(ops->model, sector, keep, at);
		append(&h->of[s], history_hash(sector), now, UINT64_MAX);
	}
}

void history_end(struct ops *ops, struct ops_slot *slot)
{
	struct history *h = ops->user;
	uint64_t from, to, s, now = ++memdisk.now;
	struct version *size = &h->sizes.list[h->sizes.count - 1];

	if (slot->req.type == BLOCK_FLUSH && slot->req.result >= 0)
		history_flush(h, (uintptr_t)slot->user, now);
	/* What failed may be there or not, for good. */
	if (slot->req.result < 0)
		return;
	/* Whoever changes the size runs alone near the end. */
	if (size->begin == (uintptr_t)slot->user)
		size->end = now;
	if (!changed(ops, slot, &from, &to))
		return;
	for (s = from; s < to; s++)
		h->of[s].list[h->of[s].count - 1].end = now;
}

void history_flush(struct history *h, uint64_t begin, uint64_t end)
{
	if (h->flush_count == h->flush_room) {
		h->flush_room = h->flush_room * 2 + 64;
		h->flushes = realloc(h->flushes,
				     h->flush_room * sizeof(*h->flushes));
		if (!h->flushes)
			abort();
	}
	h->flushes[h->flush_count++] = (struct version){ 0, begin, end };
}

uint64_t history_flushed(const struct history *h, uint64_t time)
{
	uint64_t begin = 0;
	uint32_t i;

	for (i = 0; i < h->flush_count; i++)
		if (h->flushes[i].end <= time && h->flushes[i].begin > begin)
			begin = h->flushes[i].begin;
	return begin;
}

static bool allows(const struct versions *v, uint64_t hash, uint64_t flushed,
		   uint64_t time)
{
	uint32_t i;

	for (i = v->count; i--;) {
		if (v->list[i].begin > time)
			continue;
		if (v->list[i].hash == hash)
			return true;
		if (v->list[i].end < flushed)
			return false;
	}
	return false;
}

bool history_allows(const struct history *h, uint64_t sector, uint64_t hash,
		    uint64_t flushed, uint64_t time)
{
	return allows(&h->of[sector], hash, flushed, time);
}

bool history_allows_size(const struct history *h, uint64_t size,
			 uint64_t flushed, uint64_t time)
{
	return allows(&h->sizes, size, flushed, time);
}

bool history_touched(const struct history *h, uint64_t sector)
{
	return h->of[sector].count > 1;
}

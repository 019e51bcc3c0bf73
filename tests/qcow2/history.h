/*
 * What the guest wrote and when, sector by sector, and so what a disk that
 * went through a crash may hold: in each sector the last value that a flush
 * covered, or any later one. Sectors are independent: of two writes, or of a
 * write and the zeros that were there before it, the later one may be there
 * without the earlier one, but no sector is a mix of both. A change of the size
 * promises no more than a write: what is cut off becomes zeros, and only a
 * flush, not the TRUNCATE itself, makes the old bytes gone for good.
 */
#ifndef RAWFUSE_TESTS_HISTORY_H
#define RAWFUSE_TESTS_HISTORY_H

#include "model.h"
#include "ops.h"

struct version {
	uint64_t hash; /* or a size */
	uint64_t begin, end;
};

struct versions {
	struct version *list;
	uint32_t count, room;
};

struct history {
	uint64_t sectors; /* as many as the disk ever has */
	struct versions *of; /* each sector */
	struct versions sizes;
	struct version *flushes; /* begin, end */
	uint32_t flush_count, flush_room;
};

void history_init(struct history *h, struct model *m, uint64_t max_size);
void history_free(struct history *h);

/* For ops.begin and ops.end, with the history in ops->user. */
void history_begin(struct ops *ops, struct ops_slot *slot);
void history_end(struct ops *ops, struct ops_slot *slot);
/* A flush that was none of ops': that of the close. */
void history_flush(struct history *h, uint64_t begin, uint64_t end);

/* When the last flush that was over at @time had begun; 0: none was. */
uint64_t history_flushed(const struct history *h, uint64_t time);

/* May the sector (or the size) be this after a crash at @time? */
bool history_allows(const struct history *h, uint64_t sector, uint64_t hash,
		    uint64_t flushed, uint64_t time);
bool history_allows_size(const struct history *h, uint64_t size,
			 uint64_t flushed, uint64_t time);
/* Was it ever written? */
bool history_touched(const struct history *h, uint64_t sector);

uint64_t history_hash(const void *sector);

#endif

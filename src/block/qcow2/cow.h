/* Fills clusters that get a new place; see cow.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_COW_H
#define RAWFUSE_BLOCK_QCOW2_COW_H

#include "block/qcow2/read.h"

/* All but host are offsets of the guest. */
struct qcow2_cow {
	struct qcow2_job job;
	uint64_t from, to; /* what becomes data */
	uint64_t pos, data_end; /* the part of it that is new */
	const uint8_t *src; /* the bytes of pos; NULL: zeros */
	bool copy; /* nothing is new: the old contents get a place */
	uint64_t first, host; /* what lies at first goes there */
	void (*done)(struct qcow2_cow *c, int error);
	/* cow.c's: */
	uint64_t at; /* the next byte to write */
	uint32_t piece;
	uint8_t *buffer;
	struct qcow2_read read;
};

void qcow2_cow_init(struct qcow2 *q, struct qcow2_cow *c);
/* Writes what is from from to to, then done(). The clusters are locked. */
void qcow2_cow(struct qcow2_cow *c);

#endif

/* Discards, and zeros; see discard.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_DISCARD_H
#define RAWFUSE_BLOCK_QCOW2_DISCARD_H

#include "block/qcow2/write.h"

struct qcow2_zero {
	struct qcow2_job job;
	enum block_type type; /* DISCARD or ZERO */
	uint64_t pos, end; /* what is left */
	bool cut; /* behind the end of the disk: may read as it likes */
	const struct block_req *ends_with; /* see qcow2_turn() */
	void (*done)(struct qcow2_zero *z, int error);
	/* discard.c's: */
	bool changed; /* something did */
	unsigned int steps;
	struct qcow2_write write;
};

void qcow2_zero_init(struct qcow2 *q, struct qcow2_zero *z);
/* Does so from pos to end, then done(). */
void qcow2_zero(struct qcow2_zero *z);

#endif

/* Writes to the disk; see write.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_WRITE_H
#define RAWFUSE_BLOCK_QCOW2_WRITE_H

#include "block/qcow2/cow.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/range_lock.h"

struct qcow2_write {
	struct qcow2_job job;
	struct qcow2_in_flight in_flight;
	uint64_t pos, end; /* what is left */
	const uint8_t *src; /* of pos; NULL: zeros */
	struct block_req
		*req; /* the guest's, in whose buffer it lies; or NULL */
	const struct block_req *ends_with; /* see qcow2_turn() */
	bool copy; /* no data: the old contents get a place */
	void (*done)(struct qcow2_write *w, int error);
	/* write.c's: */
	bool keep; /* the cluster is there already */
	int error;
	unsigned int steps;
	struct qcow2_range_lock lock; /* of a chunk */
	uint64_t host; /* of its first cluster */
	struct qcow2_cow cow;
};

void qcow2_write_init(struct qcow2 *q, struct qcow2_write *w);
/* Writes what is from pos to end, then done(). The disk reaches there. */
void qcow2_write(struct qcow2_write *w);

#endif

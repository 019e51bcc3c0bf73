/* Reads of the disk, of the guest and of copy on write; see read.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_READ_H
#define RAWFUSE_BLOCK_QCOW2_READ_H

#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"

struct qcow2_read {
	struct qcow2_job job;
	struct qcow2_in_flight in_flight;
	uint64_t pos, end; /* what is left */
	uint8_t *buf; /* of pos */
	struct block_req
		*req; /* the guest's, in whose buffer it lies; or NULL */
	void (*done)(struct qcow2_read *r, int error);
	/* read.c's: */
	uint64_t
		length; /* of the child request, or compressed: in the cluster */
	uint64_t missing; /* bytes at pos that nobody has */
	uint64_t desc; /* of a compressed cluster that is waited for; or 0 */
};

void qcow2_read_init(struct qcow2 *q, struct qcow2_read *r);
/* Fills buf with the bytes from pos to end, then done(). */
void qcow2_read(struct qcow2_read *r);

#endif

/* SEEK_DATA and SEEK_HOLE; see seek.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_SEEK_H
#define RAWFUSE_BLOCK_QCOW2_SEEK_H

#include "block/qcow2/job.h"

struct qcow2_seek {
	struct qcow2_job job;
	const struct block_req *req;
	void (*done)(struct qcow2_seek *s, int64_t result);
	/* seek.c's: */
	uint64_t pos, end; /* what is left */
	uint64_t length; /* that the backing file is asked about */
	unsigned int looks; /* at the map */
	uint64_t entries; /* that it saw there */
	uint64_t began; /* monotonic seconds */
};

/* Answers req, then done(). */
void qcow2_seek(struct qcow2 *q, struct qcow2_seek *s);

#endif

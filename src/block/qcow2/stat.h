/* STAT; see stat.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_STAT_H
#define RAWFUSE_BLOCK_QCOW2_STAT_H

#include <sys/stat.h>

#include "block/qcow2/job.h"

struct qcow2_stat {
	struct qcow2_job job;
	struct statx *stx; /* to be filled in */
	void (*done)(struct qcow2_stat *s, int error);
	uint64_t blocks; /* stat.c's: of the files that were asked */
};

/* Fills in stx, then done(). */
void qcow2_stat(struct qcow2 *q, struct qcow2_stat *s);

#endif

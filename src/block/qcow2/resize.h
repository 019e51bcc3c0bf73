/* A disk of another size; see resize.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_RESIZE_H
#define RAWFUSE_BLOCK_QCOW2_RESIZE_H

#include "block/qcow2/discard.h"

int qcow2_resize_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_resize_free(struct qcow2 *q);
/* The disk shall reach to @end: 0, QCOW2_WAIT or -errno. */
int qcow2_grow(struct qcow2 *q, struct qcow2_job *job, uint64_t end);

struct qcow2_truncate {
	struct qcow2_job job;
	const struct block_req *req; /* its length is the new size */
	void (*done)(struct qcow2_truncate *t, int error);
	/* resize.c's: */
	uint64_t old_end, old_stored_end;
	struct qcow2_zero zero;
};

/* Gives the disk that size, then done(). Nothing else is being written. */
void qcow2_truncate(struct qcow2 *q, struct qcow2_truncate *t);

#endif

/*
 * Clusters that nothing refers to any more, but something on disk still may;
 * see frees.c.
 */
#ifndef RAWFUSE_BLOCK_QCOW2_FREES_H
#define RAWFUSE_BLOCK_QCOW2_FREES_H

#include "block/qcow2/format.h"
#include "block/qcow2/job.h"

#define QCOW2_FREES 1024 /* extents of a list */
#define QCOW2_STEP 256 /* clusters that one step may let go */

struct qcow2_extent {
	uint64_t first, count; /* host clusters */
	bool data; /* of the data file, which has no refcounts */
};

struct qcow2_frees {
	struct qcow2_extent *list;
	unsigned int count;
};

int qcow2_frees_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_frees_free(struct qcow2 *q);
uint64_t qcow2_frees_bytes(void); /* of memory */

/* Room to let QCOW2_STEP clusters go? 0, QCOW2_WAIT or -errno. */
int qcow2_free_room(struct qcow2 *q, struct qcow2_job *job);
/* Nothing refers to them any more: to be reclaimed after a writeback. */
void qcow2_free_later(struct qcow2 *q, uint64_t host, uint64_t length);
/* The same of the clusters that an L2 entry named. */
void qcow2_free_entry(struct qcow2 *q, const struct qcow2_l2e *e);

/* Some are waiting, or being reclaimed. */
bool qcow2_frees_pending(struct qcow2 *q);
/* A writeback would help, and none is under way. */
bool qcow2_frees_want_writeback(struct qcow2 *q);

/*
 * For who reclaims them: a list of what is unreachable on disk, too; NULL:
 * nothing yet. It is the caller's until qcow2_frees_reclaimed().
 */
struct qcow2_frees *qcow2_frees_take(struct qcow2 *q);
void qcow2_frees_reclaimed(struct qcow2 *q);
/* A writeback has failed: who waits for room gets @error. */
void qcow2_frees_failed(struct qcow2 *q, int error);

#endif

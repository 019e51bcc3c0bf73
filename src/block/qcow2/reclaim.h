/* Gives back clusters that nothing refers to any more; see reclaim.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_RECLAIM_H
#define RAWFUSE_BLOCK_QCOW2_RECLAIM_H

#include <stdbool.h>

struct qcow2;

/* Starts the job that does so for as long as @q is open; -ENOMEM. */
int qcow2_reclaim_start(struct qcow2 *q);
void qcow2_reclaim_free(struct qcow2 *q);
/* It is at work, or about to be. */
bool qcow2_reclaim_busy(const struct qcow2 *q);

#endif

/*
 * Mappings in flight. A request to the file that was made from a mapping must
 * end before the clusters of this mapping are used for something else, even if
 * the mapping itself has gone meanwhile (a discard beside a read). They are in
 * a list, oldest first; who is about to reuse clusters waits for those that are
 * older.
 */
#ifndef RAWFUSE_BLOCK_QCOW2_IN_FLIGHT_H
#define RAWFUSE_BLOCK_QCOW2_IN_FLIGHT_H

#include "block/qcow2/job.h"

/* Part of whoever makes such a request. */
struct qcow2_in_flight {
	struct qcow2_in_flight *prev, *next;
	uint64_t age; /* 0: not in the list */
};

struct qcow2_in_flight_list {
	struct qcow2_in_flight *first, *last; /* oldest first */
	uint64_t age; /* of those that are added now */
	uint64_t wanted; /* all that are older than this must go, for: */
	struct qcow2_queue waiter;
};

void qcow2_in_flight_init(struct qcow2 *q);
/* The mapping that was just looked up stays in use until it is removed. */
void qcow2_in_flight_add(struct qcow2 *q, struct qcow2_in_flight *f);
void qcow2_in_flight_remove(struct qcow2 *q, struct qcow2_in_flight *f);
/* What is added from now on is younger than this. */
uint64_t qcow2_in_flight_age(struct qcow2 *q);
/* Until all that is older than @age has gone: 0 or QCOW2_WAIT. One job waits. */
int qcow2_in_flight_wait(struct qcow2 *q, uint64_t age, struct qcow2_job *job);

#endif

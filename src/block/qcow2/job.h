/* Whatever waits: jobs, queues of them, and their requests to nodes below. */
#ifndef RAWFUSE_BLOCK_QCOW2_JOB_H
#define RAWFUSE_BLOCK_QCOW2_JOB_H

#include "block/block.h"

#define QCOW2_WAIT 1 /* returned: the job waits and will be stepped again */

struct qcow2;

/*
 * Something that goes on in steps. It waits in at most one queue, or for its
 * child request; then step() is called again, with error set if what it waited
 * for failed.
 */
struct qcow2_job {
	struct op op;
	struct qcow2 *q;
	void (*step)(struct qcow2_job *job);
	struct qcow2_job *next; /* in a queue */
	struct block_req child;
	int error; /* -errno */
};

struct qcow2_queue {
	struct qcow2_job *first, *last;
};

void qcow2_job_init(struct qcow2 *q, struct qcow2_job *job,
		    void (*step)(struct qcow2_job *job));
/* Puts @job at the end of @queue; QCOW2_WAIT. */
int qcow2_wait(struct qcow2_queue *queue, struct qcow2_job *job);
/* Steps all of them, soon; with @error unless it is 0. */
void qcow2_wake(struct qcow2_queue *queue, int error);
/* The error is for the first, who started it; the others look once more. */
void qcow2_wake_starter(struct qcow2_queue *queue, int error);
/* Steps @job soon; others have their turn before. QCOW2_WAIT. */
int qcow2_step_later(struct qcow2_job *job);
/*
 * Before each step of work that may have many, with nothing locked; *@steps
 * counts them. 0; or QCOW2_WAIT: others have their turn, then job.step() is
 * called; or -ESHUTDOWN, -EINTR: nobody waits any more for @req, whose work it
 * is. NULL: the work must not end early.
 */
int qcow2_turn(struct qcow2_job *job, unsigned int *steps,
	       const struct block_req *req);

/* What a request to a node below ended in: 0, or -errno. */
int qcow2_io_error(const struct block_req *req);
/* Lets @job wait for a request to @b; its result is job->child.result. */
void qcow2_child(struct qcow2_job *job, struct block *b, enum block_type type,
		 void *buf, uint64_t length, uint64_t offset);
/*
 * The same as a part of @req: the buffer lies where that of @req does, and what
 * cancels @req cancels it.
 */
void qcow2_child_of(struct qcow2_job *job, struct block *b,
		    enum block_type type, const struct block_req *req,
		    void *buf, uint64_t length, uint64_t offset);

#endif

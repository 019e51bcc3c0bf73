/* The one completion type: whatever waits for the ring embeds a struct op. */
#ifndef RAWFUSE_LOOP_OP_H
#define RAWFUSE_LOOP_OP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * done() is called once, from the drain, with the completion's result (as in
 * a CQE: >= 0 or -errno) and its flags. It may queue SQEs, of which some go
 * to the kernel at once, and post ops; it never waits and never re-enters the
 * drain. next and res belong to the list of ops that were posted without the
 * ring; worker to uring.c, while the op is queued.
 */
struct op {
	void (*done)(struct op *op, int res, unsigned int flags);
	struct op *next;
	int res;
	bool worker; /* a worker thread of io_uring has it */
};

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))

#endif

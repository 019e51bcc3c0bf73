/* Where the loop's thread runs: --cpu. */
#ifndef RAWFUSE_LOOP_CPU_H
#define RAWFUSE_LOOP_CPU_H

#include <sched.h>

#include "loop/follow.h"
#include "loop/uring.h"

#define CPUS_MOST 8192 /* as many as Linux can be built for */

enum cpu_mode {
	CPU_AUTO, /* follow where that is permitted */
	CPU_FOLLOW, /* or do not start */
	CPU_ANY, /* wherever the scheduler says */
	CPU_LIST, /* on these */
};

struct cpu_set {
	unsigned long bits[CPUS_MOST / (8 * sizeof(long))];
};

struct cpu {
	enum cpu_mode mode;
	const char *why_not; /* auto: what keeps it from following; or NULL */
	struct follow *follow;
	struct uring *uring;
	struct cpu_set home; /* where we run when not following */
	int policy; /* the same: SCHED_OTHER or SCHED_BATCH */
	int schedstat_fd; /* of this thread */
	int tasks_fd; /* directory of all threads */
	unsigned int threads; /* as last seen */
};

/*
 * Reads auto, follow, any, or a list of CPUs such as 0-3,5 (@set may be NULL).
 * Returns 0 or -EINVAL.
 */
int cpu_parse(const char *text, enum cpu_mode *mode, struct cpu_set *set);

/* Pins this thread, and those it creates, if @text is a list. Logs errors. */
int cpu_pin(const char *text);

/* For struct poll; @arg is the struct cpu. Unknown counters stay 0. */
void cpu_share(void *arg, struct poll_share *share);

/* Whether this thread may run on one CPU only. */
bool cpu_is_one(void);

/*
 * Lets @follow follow if @text says so and the machine permits it; @u is this
 * thread's ring. Returns 0 or -errno (logged): @text asks for what cannot be.
 */
int cpu_init(struct cpu *c, const char *text, struct follow *follow,
	     struct uring *u);

/* Where the thread was before; no more following. */
void cpu_exit(struct cpu *c);

#endif

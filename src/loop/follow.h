/* Depth 1: when to run on the CPU that the requests come from. */
#ifndef RAWFUSE_LOOP_FOLLOW_H
#define RAWFUSE_LOOP_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

/* Why the CPU of the requests was left. */
enum follow_why {
	FOLLOW_PARALLEL, /* several requests at a time */
	FOLLOW_CLIENTS, /* from several CPUs, in turn */
	FOLLOW_STARVED, /* ready to run, and others ran */
	FOLLOW_VAIN, /* requests come no quicker than before */
	FOLLOW_AFFINITY, /* somebody has changed where we may run */
	FOLLOW_QUIET, /* no requests any more */
	FOLLOW_CHILD, /* a child begins, and would inherit it */
	FOLLOW_END, /* the export ends */
	FOLLOW_WHYS
};

/* What the policy asks of the system; cpu.c, or a test. */
struct follow_ops {
	/* Monotonic nanoseconds. */
	uint64_t (*now)(void *arg);
	/* Nanoseconds this thread has been ready to run and did not, so far. */
	uint64_t (*delay)(void *arg);
	/* Runs on @cpu only, SCHED_IDLE; false: it cannot, nothing changed. */
	bool (*join)(void *arg, unsigned int cpu);
	/* From there to another. */
	bool (*move)(void *arg, unsigned int cpu);
	/* Runs as it did before; false: that is refused. */
	bool (*leave)(void *arg);
	/* A look now and then; false: we may run elsewhere than on @cpu. */
	bool (*look)(void *arg, unsigned int cpu);
};

struct follow_stats {
	uint64_t joins, moves;
	uint64_t busy; /* not joined: the CPUs are contended */
	uint64_t refused; /* not joined: not allowed there */
	uint64_t leaves[FOLLOW_WHYS];
};

struct follow {
	const struct follow_ops *ops;
	void *arg;
	bool on; /* may join */
	bool eager; /* even if it may gain little, or others want the CPUs */
	bool joined;
	unsigned int cpu; /* where the last requests came from */
	unsigned int streak; /* requests, one at a time, from there */
	unsigned int company; /* requests before they count as such again */
	/* While joined: */
	unsigned int other, others; /* another CPU; requests in a row */
	unsigned int strikes; /* signs of several clients */
	unsigned int unchecked, counted; /* requests since */
	uint64_t last, last_move, last_look, count_start;
	uint64_t delay; /* as it was last seen */
	uint64_t start, start_delay; /* of the streak */
	uint64_t period; /* ns a request took before */
	uint64_t joined_at;
	/* To stay away for: */
	uint64_t away, away_until;
	struct follow_stats stats;
};

/* @f may join from now on; @arg goes to @ops. */
void follow_init(struct follow *f, const struct follow_ops *ops, void *arg);

/* Leaves, if joined, because of @why. */
void follow_leave(struct follow *f, enum follow_why why);

/* Leaves and never joins again. */
void follow_stop(struct follow *f);

const char *follow_why_name(enum follow_why why);

/* The longer parts of follow_request(). */
void follow_alone(struct follow *f);
void follow_watch(struct follow *f, unsigned int cpu, unsigned int in_flight);

#define FOLLOW_GLIMPSE 16 /* requests alone, before a clock is looked at */
#define FOLLOW_COMPANY 512 /* after several at a time: they may come again */

/* Runs on its client's CPU, or measures whether it should. */
static inline bool follow_is_near(const struct follow *f)
{
	return f->joined || (f->on && f->streak >= FOLLOW_GLIMPSE);
}

/* A request came from @cpu; with it, @in_flight are in flight. */
static inline void follow_request(struct follow *f, unsigned int cpu,
				  unsigned int in_flight)
{
	if (!f->on)
		return;
	if (f->joined) {
		follow_watch(f, cpu, in_flight);
	} else if (in_flight > 1 || cpu != f->cpu) {
		f->cpu = cpu;
		f->streak = 0;
		if (in_flight > 1 && !f->eager)
			f->company = FOLLOW_COMPANY;
	} else if (f->company) {
		f->company--;
	} else if (++f->streak >= FOLLOW_GLIMPSE) {
		follow_alone(f);
	}
}

#endif

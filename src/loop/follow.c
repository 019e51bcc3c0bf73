/*
 * Depth 1: when to run on the CPU that the requests come from.
 *
 * A client that waits for one request at a time costs two wake-ups across
 * CPUs each. Running on the client's CPU saves both, but by itself chases the
 * client away: the scheduler sees that the CPU it slept on is busy and wakes
 * it elsewhere. A CPU that runs only a SCHED_IDLE task counts as idle. So: go
 * there *and* become SCHED_IDLE; the client wakes where it slept.
 *
 * | from     | when                                       | to       |
 * |----------|--------------------------------------------|----------|
 * | free     | requests came one at a time from one CPU,  | joined   |
 * |          | quickly, and this thread had a CPU at hand |          |
 * | joined   | the same from another CPU for a while      | joined   |
 * | joined   | a reason of enum follow_why                | free     |
 *
 * The danger is that a SCHED_IDLE thread hardly runs beside a busy one, and
 * is not moved elsewhere. It cannot act while it does not run; so each request
 * looks at the clock, and if the last one was long ago asks the scheduler how
 * much of that was waiting for a CPU. The first long wait ends it: a hog costs
 * one slow request, and then none for as long as the thread stays away. That
 * doubles with every stay that was not much longer than it.
 *
 * Such a wait is no proof. A client that is woken while this thread still
 * finishes its turn preempts it, and if it computes for long, we waited without
 * harm. But then there is little to gain either.
 */
#include "config.h"

#include <stddef.h>

#include "loop/follow.h"
#include "loop/log.h"

#define US 1000ull
#define MS (1000 * US)

#define STREAK (FOLLOW_GLIMPSE + 64) /* requests before joining */
#define STREAK_MOST (32 * MS) /* slower, there is little to gain */
#define QUICK (16 * US) /* a request: no wake-up from another CPU in it */
#define GAP (400 * US) /* between requests: look closer */
#define CHECK_EVERY 16 /* requests; keeps the sum of short waits small */
#define LOOK_EVERY (100 * MS)
#define MOVE_AFTER 4 /* requests in a row from another CPU */
#define MOVE_EVERY (300 * US)
#define STRIKE 4 /* and one less for each request that is none */
#define STRIKES_MOST 24
#define COUNT 512 /* requests to compare the time of */
#define AWAY_LEAST (20 * MS)
#define AWAY_MOST (30000 * MS)
#define STAY 4 /* times as long as away is a good stay */

static const char *const why_names[FOLLOW_WHYS] = {
	[FOLLOW_PARALLEL] = "parallel", [FOLLOW_CLIENTS] = "clients",
	[FOLLOW_STARVED] = "starved",	[FOLLOW_VAIN] = "vain",
	[FOLLOW_AFFINITY] = "affinity", [FOLLOW_QUIET] = "quiet",
	[FOLLOW_CHILD] = "child",	[FOLLOW_END] = "end",
};

const char *follow_why_name(enum follow_why why)
{
	return why < FOLLOW_WHYS ? why_names[why] : "?";
}

void follow_init(struct follow *f, const struct follow_ops *ops, void *arg)
{
	*f = (struct follow){ .ops = ops, .arg = arg, .on = true };
}

/* Nothing joins before a while has passed; longer each time. */
static void stay_away(struct follow *f, uint64_t now)
{
	if (f->away < AWAY_LEAST)
		f->away = AWAY_LEAST;
	else if (2 * f->away < AWAY_MOST)
		f->away *= 2;
	else
		f->away = AWAY_MOST;
	f->away_until = now + f->away;
	f->streak = 0;
}

void follow_leave(struct follow *f, enum follow_why why)
{
	uint64_t now;

	if (!f->joined)
		return;
	now = f->ops->now(f->arg);
	f->joined = false;
	f->streak = 0;
	f->stats.leaves[why]++;
	log_trace(TRACE_LIFE, "cpu: leaves CPU %u: %s", f->cpu, why_names[why]);
	if (!f->ops->leave(f->arg)) {
		log_warnx("cpu: cannot go back from SCHED_IDLE: not following "
			  "any more");
		f->on = false;
	}
	if (why == FOLLOW_QUIET || why == FOLLOW_CHILD || why == FOLLOW_END)
		return;
	if (now - f->joined_at > STAY * f->away)
		f->away = 0;
	stay_away(f, now);
}

void follow_stop(struct follow *f)
{
	follow_leave(f, FOLLOW_END);
	f->on = false;
}

static void join(struct follow *f, uint64_t now, uint64_t delay)
{
	if (!f->ops->join(f->arg, f->cpu)) {
		f->stats.refused++;
		stay_away(f, now);
		return;
	}
	log_trace(TRACE_LIFE, "cpu: joins CPU %u", f->cpu);
	f->stats.joins++;
	f->joined = true;
	f->joined_at = f->last = f->last_look = f->count_start = now;
	f->last_move = now;
	f->delay = delay;
	f->others = f->strikes = f->unchecked = f->counted = 0;
}

/* The streak goes on: is it quick, and is there a CPU for us? */
void follow_alone(struct follow *f)
{
	uint64_t now, delay, took;

	if (f->streak > FOLLOW_GLIMPSE && f->streak < STREAK)
		return;
	now = f->ops->now(f->arg);
	if (now < f->away_until) {
		f->streak = 0;
		return;
	}
	delay = f->ops->delay(f->arg);
	if (f->streak == FOLLOW_GLIMPSE) {
		f->start = now;
		f->start_delay = delay;
		return;
	}
	f->streak = 0;
	took = now - f->start;
	if (took > STREAK_MOST && !f->eager)
		return;
	if (delay - f->start_delay > took / 2 && !f->eager) {
		f->stats.busy++;
		stay_away(f, now);
		return;
	}
	f->period = took / (STREAK - FOLLOW_GLIMPSE);
	if (f->period < QUICK && !f->eager)
		return;
	join(f, now, delay);
}

/* True if it was moved or must be left. */
static bool from_another(struct follow *f, unsigned int cpu)
{
	if (cpu == f->cpu) {
		/* They take turns. */
		if (f->others)
			f->strikes += STRIKE;
		f->others = 0;
	} else if (f->others && cpu == f->other) {
		f->others++;
	} else {
		f->strikes += f->others ? STRIKE : 0;
		f->other = cpu;
		f->others = 1;
	}
	if (f->strikes > STRIKES_MOST) {
		follow_leave(f, FOLLOW_CLIENTS);
		return true;
	}
	if (f->others < MOVE_AFTER || f->last - f->last_move < MOVE_EVERY)
		return false;
	if (!f->ops->move(f->arg, cpu)) {
		follow_leave(f, FOLLOW_CLIENTS);
		return true;
	}
	log_trace(TRACE_LIFE, "cpu: moves from CPU %u to %u", f->cpu, cpu);
	f->stats.moves++;
	f->cpu = cpu;
	f->others = 0;
	f->last_move = f->last_look = f->last;
	return false;
}

/* Have we waited for a CPU for most of @gap? */
static bool starved(struct follow *f, uint64_t gap)
{
	uint64_t delay = f->ops->delay(f->arg);
	uint64_t waited = delay - f->delay;

	f->delay = delay;
	f->unchecked = 0;
	return gap > GAP && waited > gap / 2;
}

/* It should be well worth it. */
static bool vain(struct follow *f)
{
	uint64_t took = f->last - f->count_start;

	if (++f->counted < COUNT)
		return false;
	f->counted = 0;
	f->count_start = f->last;
	return took / COUNT > f->period - f->period / 8;
}

void follow_watch(struct follow *f, unsigned int cpu, unsigned int in_flight)
{
	uint64_t now = f->ops->now(f->arg);
	uint64_t gap = now - f->last;

	f->last = now;
	if ((gap > GAP || ++f->unchecked >= CHECK_EVERY) && starved(f, gap)) {
		follow_leave(f, FOLLOW_STARVED);
		return;
	}
	if (in_flight > 1)
		f->strikes += STRIKE;
	else if (f->strikes)
		f->strikes--;
	if (f->strikes > STRIKES_MOST) {
		follow_leave(f, FOLLOW_PARALLEL);
		return;
	}
	if ((cpu != f->cpu || f->others) && from_another(f, cpu))
		return;
	if (!f->eager && vain(f)) {
		follow_leave(f, FOLLOW_VAIN);
		return;
	}
	if (now - f->last_look > LOOK_EVERY) {
		f->last_look = now;
		if (!f->ops->look(f->arg, f->cpu))
			follow_leave(f, FOLLOW_AFFINITY);
	}
}

/*
 * When to look for completions a little longer before going to sleep.
 *
 * To sleep and to be woken costs time on both sides, and a CPU that goes idle
 * is slow to come back, in a virtual machine above all. The next completion is
 * often nearer than that. So a wait that is likely to be short is spent
 * spinning: for as long as most waits take, and a limit at the most; then
 * libev gets its turn.
 *
 * What is likely is told by the last spins of the same kind: waiting for a
 * client that works its way through a file is another thing than waiting for
 * the disk. Sleeps tell nothing, for they include the time to wake up; so when
 * spinning does not pay, it is tried now and then all the same, less often
 * each time.
 *
 * | kind   | in flight | limit  |                                         |
 * |--------|-----------|--------|-----------------------------------------|
 * | client | none      |  30 us | a client that goes on needs less        |
 * | image  | 1 to 7    |  30 us | a quick disk may; a slow one is slept for|
 * | many   | 8 and up  | 500 us | something completes all the time        |
 *
 * The limits come from fio on 2 CPUs, O_DIRECT, 4 KiB random reads: at depths
 * of 2 to 8 from the page cache, 20 to 50 us brought two to three times the
 * IOPS and 100 us less; from a disk with 32 in flight 500 us brought 66-74k
 * IOPS at 9 us of CPU each where there were 53-58k at 5 us.
 *
 * Whoever else wants the CPU goes first:
 * - Worker threads of io_uring do what cannot be done without blocking. While
 *   they are what is waited for, a short wait is slept.
 * - So it is while the loop shares the CPU of its client (follow.c), or is
 *   about to: it measures whether that is worth while.
 * - A spin that the scheduler has interrupted (the clock jumps) is the last of
 *   its kind for a while. So is a short one when this thread has lately waited
 *   long to have its CPU again. (A client that is woken on our CPU, kernel
 *   threads, and to wake up from an idle CPU make for many short waits; who
 *   computes makes for long ones.) The while doubles with each repetition.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop/poll.h"

#define US 1000ull
#define MS (1000 * US)

#define AUTO_SHORT (30 * US)
#define AUTO_MANY (500 * US)
#define WEIGHT 4 /* the average is of so many spins */
#define TRY_LEAST 16 /* waits between two tries */
#define TRY_MOST 256 /* the same, when none has paid for long */
#define JUMP MS /* between two looks: others ran */
#define CHECK_EVERY (10 * MS)
#define CHECK_STALE (100 * MS) /* nothing is known of so long ago */
#define CROWDED 16 /* waited for so much of the time between two checks */
#define CROWD_WAIT (200 * US) /* each time that it was left, on average */
#define PAUSE_LEAST (10 * MS)
#define PAUSE_SHORT (50 * MS) /* the least where there is little to gain */
#define PAUSE_MOST (1000 * MS)

static void set_limits(struct poll *p, uint64_t brief, uint64_t many)
{
	p->waits[POLL_CLIENT].most = p->waits[POLL_IMAGE].most = brief;
	p->waits[POLL_MANY].most = many;
}

int poll_parse(const char *text, struct poll *p)
{
	struct poll unused;
	char *end;
	unsigned long us;
	unsigned int i;

	if (!p)
		p = &unused;
	memset(p, 0, sizeof(*p));
	for (i = 0; i < POLL_KINDS; i++)
		p->waits[i].every = TRY_LEAST;
	if (!strcmp(text, "auto")) {
		set_limits(p, AUTO_SHORT, AUTO_MANY);
		return 0;
	}
	if (!strcmp(text, "off")) {
		p->mode = POLL_OFF;
		return 0;
	}
	if (*text < '0' || *text > '9')
		return -EINVAL;
	us = strtoul(text, &end, 10);
	if (*end || us > POLL_MOST)
		return -EINVAL;
	p->mode = POLL_FIXED;
	set_limits(p, us * US, us * US);
	return 0;
}

void poll_disable(struct poll *p)
{
	set_limits(p, 0, 0);
}

static void learn(struct poll_wait *w, uint64_t took)
{
	w->gap = (w->gap * (WEIGHT - 1) + took) / WEIGHT;
}

static void pause_spins(struct poll *p, struct poll_wait *w, uint64_t now)
{
	p->stats.pauses++;
	w->pause = w->pause		   ? 2 * w->pause :
		   p->kind == POLL_MANY ? PAUSE_LEAST :
					  PAUSE_SHORT;
	if (w->pause > PAUSE_MOST)
		w->pause = PAUSE_MOST;
	w->pause_until = now + w->pause;
}

/* Has somebody else had the CPU of late, while we wanted it? */
static bool crowded(struct poll *p, struct poll_wait *w, uint64_t now)
{
	uint64_t since = now - w->checked;
	struct poll_share before = w->share;
	uint64_t waited, switches;

	if (!p->look || since < CHECK_EVERY)
		return false;
	p->look(p->arg, &w->share);
	w->checked = now;
	waited = w->share.delay - before.delay;
	switches = w->share.switches - before.switches;
	return since < CHECK_STALE && waited > since / CROWDED &&
	       waited > switches * CROWD_WAIT;
}

bool poll_begin(struct poll *p, uint64_t now)
{
	struct poll_wait *w;

	p->kind = poll_kind(p);
	w = &p->waits[p->kind];
	if (now < w->pause_until)
		return false;
	if (w->gap > w->most && ++w->skipped < w->every)
		return false;
	if (p->kind != POLL_MANY && crowded(p, w, now)) {
		pause_spins(p, w, now);
		return false;
	}
	w->skipped = 0;
	p->start = p->seen = now;
	return true;
}

bool poll_on(struct poll *p, uint64_t now)
{
	struct poll_wait *w = &p->waits[p->kind];
	bool jump = now - p->seen > JUMP;

	p->seen = now;
	if (!jump && now - p->start < w->most)
		return true;
	if (jump)
		pause_spins(p, w, now);
	w->vain++;
	p->stats.time += now - p->start;
	if (w->gap > w->most && p->kind != POLL_MANY && w->every < TRY_MOST)
		w->every *= 2;
	learn(w, 2 * w->most); /* or longer */
	return false;
}

void poll_paid(struct poll *p, uint64_t now)
{
	struct poll_wait *w = &p->waits[p->kind];

	w->paid++;
	w->every = TRY_LEAST;
	p->stats.time += now - p->start;
	if (w->pause && now > w->pause_until + 4 * w->pause)
		w->pause = 0;
	learn(w, now - p->start);
}

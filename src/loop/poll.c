/*
 * When to look for completions a little longer before going to sleep.
 *
 * To sleep and to be woken costs time on both sides, and a CPU that goes idle
 * is slow to come back, in a virtual machine above all. While the image works
 * on requests, the next completion is often nearer than that. So a wait that
 * is likely to be short is spent spinning: for as long as most waits take,
 * and p->most at the most; then libev gets its turn.
 *
 * What is likely is told by the last spins. Sleeps tell nothing, for they
 * include the time to wake up; so when spinning does not pay, it is tried once
 * in a while all the same.
 *
 * What auto is comes from fio on 2 CPUs, O_DIRECT, 4 KiB random reads: with 32
 * in flight 500 us brought 66-74k IOPS at 9 us of CPU each where there were
 * 53-58k at 5 us, with four such jobs 61-74k for 45-54k; at depth 1, 50 us
 * brought nothing and took 8 us and more.
 *
 * Whoever else wants the CPU goes first: a spin that the scheduler has
 * interrupted (the clock jumps) is the last one for a while.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop/poll.h"

#define US 1000ull
#define MS (1000 * US)

#define AUTO_MOST (500 * US)
#define AUTO_LEAST 8 /* requests; with fewer the CPU time bought nothing */
#define WEIGHT 4 /* the average is of so many spins */
#define TRY_EVERY 16 /* waits */
#define JUMP MS /* between two looks: others ran */
#define PAUSE_LEAST (10 * MS)
#define PAUSE_MOST (1000 * MS)

int poll_parse(const char *text, struct poll *p)
{
	struct poll unused;
	char *end;
	unsigned long us;

	if (!p)
		p = &unused;
	memset(p, 0, sizeof(*p));
	p->least = 1;
	if (!strcmp(text, "auto")) {
		p->most = AUTO_MOST;
		p->least = AUTO_LEAST;
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
	p->most = us * US;
	return 0;
}

static void learn(struct poll *p, uint64_t wait)
{
	p->gap = (p->gap * (WEIGHT - 1) + wait) / WEIGHT;
}

bool poll_begin(struct poll *p, uint64_t now)
{
	if (now < p->pause_until)
		return false;
	if (p->gap > p->most && ++p->skipped < TRY_EVERY)
		return false;
	p->skipped = 0;
	p->start = p->seen = now;
	return true;
}

bool poll_on(struct poll *p, uint64_t now)
{
	bool jump = now - p->seen > JUMP;

	p->seen = now;
	if (!jump && now - p->start < p->most)
		return true;
	if (jump) {
		p->stats.pauses++;
		p->pause = p->pause ? 2 * p->pause : PAUSE_LEAST;
		if (p->pause > PAUSE_MOST)
			p->pause = PAUSE_MOST;
		p->pause_until = now + p->pause;
	}
	p->stats.vain++;
	p->stats.time += now - p->start;
	learn(p, 2 * p->most); /* or longer */
	return false;
}

void poll_paid(struct poll *p, uint64_t now)
{
	p->stats.paid++;
	p->stats.time += now - p->start;
	if (p->pause && now > p->pause_until + 4 * p->pause)
		p->pause = 0;
	learn(p, now - p->start);
}

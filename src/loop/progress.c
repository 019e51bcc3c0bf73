/*
 * Long work: how far it is. Nothing is shown of what is over in half a second.
 * After that a terminal on stderr has one line, redrawn a few times a second,
 * and a service manager is told about once a second. As the log, this is state
 * of the program, not of an export: the depths of a driver can reach it.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "loop/log_target.h"
#include "loop/progress.h"

#define SHOW_AFTER 500 /* ms */
#define DRAW_EVERY 250
#define TELL_EVERY 1000
#define GONE_AFTER 5000 /* who says nothing for so long has no right to it */

static struct {
	const void *who; /* NULL: nobody */
	const char *path, *what;
	uint64_t done, total;
	uint64_t start, heard, drawn, told; /* ms; the last two 0: never */
	uint64_t told_done;
	void (*tell)(void *arg, const char *text, bool moved);
	void *arg;
} work;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static const char *line(uint64_t now)
{
	static char text[400];
	uint64_t seconds = (now - work.start) / 1000;
	unsigned int percent;
	int n;

	n = snprintf(text, sizeof(text) - 32, "%s: %s: ", work.path, work.what);
	if (n > (int)sizeof(text) - 33)
		n = (int)sizeof(text) - 33;
	if (work.total) {
		percent = (unsigned int)((double)work.done * 100 /
					 (double)work.total);
		snprintf(text + n, 32, "%u %%", percent < 100 ? percent : 100);
	} else {
		snprintf(text + n, 32, "%" PRIu64 " s", seconds);
	}
	return text;
}

static void show(uint64_t now)
{
	if (now - work.start < SHOW_AFTER)
		return;
	if (!work.drawn || now - work.drawn >= DRAW_EVERY) {
		work.drawn = now;
		log_target_progress(line(now));
	}
	if (work.tell && (!work.told || now - work.told >= TELL_EVERY)) {
		work.told = now;
		work.tell(work.arg, line(now), work.done != work.told_done);
		work.told_done = work.done;
	}
}

void progress(const void *who, const char *path, const char *what,
	      uint64_t done, uint64_t total)
{
	uint64_t now = now_ms();

	if (work.who != who || work.what != what) {
		if (work.who && work.who != who &&
		    now - work.heard < GONE_AFTER)
			return;
		if (work.who != who)
			work.start = now;
		work.who = who;
		work.path = path;
		work.what = what;
		work.told_done = done;
	}
	work.heard = now;
	work.done = done;
	work.total = total;
	show(now);
}

void progress_tick(void)
{
	if (!work.who)
		return;
	work.heard = now_ms();
	show(work.heard);
}

bool progress_is_on(void)
{
	return work.who;
}

void progress_end(const void *who)
{
	bool told = work.told;

	if (work.who != who || !who)
		return;
	work.who = NULL;
	if (work.drawn)
		log_target_progress(NULL);
	work.drawn = work.told = 0;
	if (told && work.tell)
		work.tell(work.arg, NULL, false);
}

void progress_on_tell(void (*tell)(void *arg, const char *text, bool moved),
		      void *arg)
{
	work.tell = tell;
	work.arg = arg;
}

void progress_age(unsigned int ms)
{
	work.start -= ms;
	work.heard -= ms;
	if (work.drawn)
		work.drawn -= ms;
	if (work.told)
		work.told -= ms;
}

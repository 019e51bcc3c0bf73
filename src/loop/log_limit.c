/*
 * Messages that a caller, an image or the kernel can provoke again and again.
 * Each place that says one has a struct log_limit, which lets a few lines pass
 * in a minute and counts the rest. That count is told with the last of these
 * lines, as soon as the minute is over: by the place itself if it has something
 * to say then, else by the loop's timer, and at the end by log_tell_left_out().
 *
 * So a place costs at most its lines and one more a minute; a line that is left
 * out costs a look at the clock. Nothing is allocated: the limits are static,
 * or in a struct whose owner takes them out before it goes.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "loop/log.h"

static struct log_limit *limits; /* those that have said something */
static bool waits; /* something is left out and not told, and who cares knows */
static void (*waker)(void *arg);
static void *waker_arg;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void log_on_left_out(void (*wake)(void *arg), void *arg)
{
	waker = wake;
	waker_arg = arg;
}

static void tell(struct log_limit *l, uint64_t now)
{
	uint64_t n = l->left_out, seconds = (now - l->since) / 1000;

	l->said = 0;
	l->left_out = 0;
	l->since = now;
	if (!seconds)
		seconds = 1;
	if (n)
		log_summary("%" PRIu64 " more such line%s in %" PRIu64
			    " second%s %s left out: %s",
			    n, n == 1 ? "" : "s", seconds,
			    seconds == 1 ? "" : "s", n == 1 ? "is" : "are",
			    l->line);
}

static bool is_over(const struct log_limit *l, uint64_t now)
{
	return now - l->since >= LOG_LIMIT_SECONDS * 1000;
}

/* May it speak? Else it is counted. */
static bool passes(struct log_limit *l)
{
	uint64_t now = now_ms();

	if (!l->listed) {
		l->listed = true;
		l->next = limits;
		limits = l;
		l->since = now;
	} else if (is_over(l, now)) {
		tell(l, now);
	}
	if (l->said < (l->most ? l->most : LOG_LIMIT_LINES)) {
		l->said++;
		return true;
	}
	l->left_out++;
	if (!waits && waker) {
		waits = true;
		waker(waker_arg);
	}
	return false;
}

void log_limited_at(struct log_limit *l, const char *fmt, ...)
{
	char line[1024];
	int kept = errno;
	va_list ap;

	if (passes(l)) {
		va_start(ap, fmt);
		vsnprintf(line, sizeof(line), fmt, ap);
		va_end(ap);
		snprintf(l->line, sizeof(l->line), "%.*s",
			 (int)sizeof(l->line) - 1, line);
		log_warnx("%s", line);
	}
	errno = kept;
}

bool log_tell_left_out(bool all)
{
	struct log_limit *l;
	uint64_t now = now_ms();

	waits = false;
	for (l = limits; l; l = l->next) {
		if (l->left_out && (all || is_over(l, now)))
			tell(l, now);
		waits |= l->left_out != 0;
	}
	return waits;
}

void log_limit_remove(struct log_limit *l)
{
	struct log_limit **at = &limits;

	if (!l->listed)
		return;
	tell(l, now_ms());
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->listed = false;
}

void log_limits_reset(void)
{
	struct log_limit *l;

	for (l = limits; l; l = l->next) {
		l->said = 0;
		l->left_out = 0;
	}
	waits = false;
}

void log_limits_age(unsigned int seconds)
{
	struct log_limit *l;

	for (l = limits; l; l = l->next)
		l->since -= (uint64_t)seconds * 1000;
}

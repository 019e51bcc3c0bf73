/* When to look for completions a little longer before going to sleep. */
#ifndef RAWFUSE_LOOP_POLL_H
#define RAWFUSE_LOOP_POLL_H

#include <stdbool.h>
#include <stdint.h>

#define POLL_MOST 1000u /* microseconds one may ask for */

enum poll_mode { POLL_AUTO, POLL_OFF, POLL_FIXED };

struct poll_stats {
	uint64_t paid, vain; /* spins that found something, or not */
	uint64_t time; /* ns spent in them */
	uint64_t pauses; /* times others wanted the CPU */
};

struct poll {
	enum poll_mode mode;
	uint64_t most; /* ns to spin before a sleep; 0: never */
	const unsigned int *in_flight; /* requests; NULL: nobody counts */
	unsigned int least; /* so many of them make it worth while */
	uint64_t gap; /* ns a wait takes, by the last spins */
	uint64_t start, seen; /* of this spin; the last look at the clock */
	unsigned int skipped; /* waits since the last spin */
	uint64_t pause, pause_until;
	struct poll_stats stats;
};

/* Reads auto, off, or microseconds; @p may be NULL. Returns 0 or -EINVAL. */
int poll_parse(const char *text, struct poll *p);

/* There is nothing to do at @now. True: spin, as long as poll_on(). */
bool poll_begin(struct poll *p, uint64_t now);
bool poll_on(struct poll *p, uint64_t now);

/* The spin is over: there is something to do. */
void poll_paid(struct poll *p, uint64_t now);

/* True if a wait is worth a look at the clock at all. */
static inline bool poll_may(const struct poll *p)
{
	return p->most && p->in_flight && *p->in_flight >= p->least;
}

#endif

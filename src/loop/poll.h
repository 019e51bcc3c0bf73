/* When to look for completions a little longer before going to sleep. */
#ifndef RAWFUSE_LOOP_POLL_H
#define RAWFUSE_LOOP_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/follow.h"

#define POLL_MOST 1000u /* microseconds one may ask for */

enum poll_mode { POLL_AUTO, POLL_OFF, POLL_FIXED };

/* What a wait is for, as far as the requests in flight tell. */
enum poll_kind {
	POLL_CLIENT, /* none: the next request */
	POLL_IMAGE, /* a few: the image */
	POLL_MANY, /* POLL_MANY_LEAST at least: either, or both */
	POLL_KINDS
};

#define POLL_MANY_LEAST 8 /* requests */

/* What this thread has had of its CPU, since it began. */
struct poll_share {
	uint64_t switches; /* times it left the CPU, for whatever reason */
	uint64_t delay; /* ns it was ready to run and did not */
};

/* The waits of one kind. */
struct poll_wait {
	uint64_t most; /* ns to spin before a sleep; 0: never */
	uint64_t gap; /* ns a wait takes, by the last spins */
	unsigned int skipped; /* waits since the last spin */
	unsigned int every; /* so many are skipped between two tries */
	/* Others want the CPU: no spin until then; ns. */
	uint64_t pause, pause_until;
	uint64_t checked; /* when share was taken; 0: never */
	struct poll_share share;
	uint64_t paid, vain; /* spins that found something, or not */
};

struct poll_stats {
	uint64_t time; /* ns spent in spins */
	uint64_t pauses; /* times others wanted the CPU */
};

struct poll {
	enum poll_mode mode;
	struct poll_wait waits[POLL_KINDS];
	const unsigned int *in_flight; /* requests; NULL: nobody counts */
	unsigned int workers; /* ops that io_uring's worker threads have */
	const struct follow *follow; /* NULL: nobody follows clients */
	/* Tells our share; may be NULL. */
	void (*look)(void *arg, struct poll_share *share);
	void *arg;
	enum poll_kind kind; /* of this spin */
	uint64_t start, seen; /* of this spin; the last look at the clock */
	struct poll_stats stats;
};

/* Reads auto, off, or microseconds; @p may be NULL. Returns 0 or -EINVAL. */
int poll_parse(const char *text, struct poll *p);

/* Never spins from now on: there is not CPU enough. */
void poll_disable(struct poll *p);

/* There is nothing to do at @now. True: spin, as long as poll_on(). */
bool poll_begin(struct poll *p, uint64_t now);
bool poll_on(struct poll *p, uint64_t now);

/* The spin is over: there is something to do. */
void poll_paid(struct poll *p, uint64_t now);

static inline enum poll_kind poll_kind(const struct poll *p)
{
	if (*p->in_flight >= POLL_MANY_LEAST)
		return POLL_MANY;
	return *p->in_flight ? POLL_IMAGE : POLL_CLIENT;
}

/* True if a wait is worth a look at the clock at all. */
static inline bool poll_may(const struct poll *p)
{
	enum poll_kind kind;

	if (!p->in_flight)
		return false;
	kind = poll_kind(p);
	if (!p->waits[kind].most)
		return false;
	if (p->mode == POLL_FIXED || kind == POLL_MANY)
		return true;
	/* A worker needs a CPU; one that is shared with the client, as well. */
	return !p->workers && !(p->follow && follow_is_near(p->follow));
}

#endif

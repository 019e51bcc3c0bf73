/* libev around the ring: the ring's events, signals, timers. */
#ifndef RAWFUSE_LOOP_LOOP_H
#define RAWFUSE_LOOP_LOOP_H

#include <ev.h>

#include "loop/follow.h"
#include "loop/uring.h"

struct loop {
	struct ev_loop *ev;
	struct uring *uring;
	ev_io ring_io;
	ev_prepare before_wait;
	ev_idle more; /* active while the ring has work it left undone */
	ev_timer quiet;
	ev_timer left_out; /* of the log, to be told */
	ev_timer log_retry; /* active while its pipe or terminal is full */
	struct op log_op; /* its lines, on their way to a file */
	uint64_t turns_seen;
	struct follow follow; /* told of every request */
	/* Called when nothing has happened for a while; may be NULL. */
	void (*on_quiet)(void *arg);
	/* Called when something happens after that; may be NULL. */
	void (*on_stir)(void *arg);
	void *stir_arg;
	/* Called when the ring is lost. */
	void (*on_lost)(void *arg);
	void *arg;
};

/* Sets the watchers up around @u. Returns 0 or -errno. */
int loop_init(struct loop *l, struct uring *u);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
void loop_exit(struct loop *l);

/* Something has happened: it is quiet no more. */
void loop_stir(struct loop *l);

#endif

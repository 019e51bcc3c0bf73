/*
 * libev around the ring.
 *
 * Whatever a watcher's callback queues on the ring is submitted by the
 * prepare watcher, just before libev would wait: one io_uring_enter for all
 * of it. The eventfd is read once a wake-up; while the drain runs it is
 * masked.
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "loop/log.h"
#include "loop/log_target.h"
#include "loop/loop.h"

#define QUIET_SECONDS 3.
#define LOG_RETRY_SECONDS .25

void loop_stir(struct loop *l)
{
	if (ev_is_active(&l->quiet))
		return;
	l->turns_seen = l->uring->stats.turns;
	ev_timer_again(l->ev, &l->quiet);
	if (l->on_stir)
		l->on_stir(l->stir_arg);
}

static void drain(struct loop *l)
{
	struct uring *u = l->uring;

	if (uring_drain(u)) {
		if (!ev_is_active(&l->more))
			ev_idle_start(l->ev, &l->more);
	} else if (ev_is_active(&l->more)) {
		ev_idle_stop(l->ev, &l->more);
	}
	if (u->lost) {
		ev_io_stop(l->ev, &l->ring_io);
		if (l->on_lost)
			l->on_lost(l->arg);
		return;
	}
	loop_stir(l);
}

static void ring_cb(struct ev_loop *ev, ev_io *w, int revents)
{
	struct loop *l = w->data;
	uint64_t count;

	(void)ev;
	(void)revents;
	if (read(w->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_warn("eventfd: read");
	drain(l);
}

static void log_done(struct op *op, int res, unsigned int flags)
{
	(void)op;
	(void)flags;
	log_target_done(res);
}

/* What the log has kept goes on its way; true if that is queued now. */
static bool write_log(struct loop *l)
{
	const char *bytes;
	size_t len;
	int fd;

	if (!ev_is_active(&l->log_retry) && log_target_stuck())
		ev_timer_again(l->ev, &l->log_retry);
	if (l->uring->lost || !log_target_next(&fd, &bytes, &len))
		return false;
	l->log_op.done = log_done;
	uring_append(l->uring, &l->log_op, fd, bytes, (uint32_t)len);
	return true;
}

static void log_retry_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)revents;
	if (!log_target_stuck())
		ev_timer_stop(ev, w);
}

static void before_wait_cb(struct ev_loop *ev, ev_prepare *w, int revents)
{
	struct loop *l = w->data;

	(void)ev;
	(void)revents;
	uring_forget_now(l->uring);
	write_log(l);
	/* Which may find that nothing is left after all: then libev may wait. */
	if (!l->uring->lost &&
	    (uring_has_work(l->uring) || ev_is_active(&l->more)))
		drain(l);
	/* What was logged meanwhile does not wait for the next event. */
	if (write_log(l) && !ev_is_active(&l->more))
		ev_idle_start(l->ev, &l->more);
}

static void more_cb(struct ev_loop *ev, ev_idle *w, int revents)
{
	/* Only keeps libev from waiting; the prepare watcher does the work. */
	(void)ev;
	(void)w;
	(void)revents;
}

static void quiet_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct loop *l = w->data;

	(void)revents;
	if (l->turns_seen != l->uring->stats.turns) {
		l->turns_seen = l->uring->stats.turns;
		return;
	}
	ev_timer_stop(ev, w);
	if (l->on_quiet)
		l->on_quiet(l->arg);
}

static void left_out_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)revents;
	if (!log_tell_left_out(false))
		ev_timer_stop(ev, w);
}

static void left_out(void *arg)
{
	struct loop *l = arg;

	ev_timer_again(l->ev, &l->left_out);
}

int loop_init(struct loop *l, struct uring *u)
{
	*l = (struct loop){ .uring = u };
	l->ev = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!l->ev)
		return -ENOMEM;
	ev_io_init(&l->ring_io, ring_cb, u->event_fd, EV_READ);
	ev_prepare_init(&l->before_wait, before_wait_cb);
	ev_idle_init(&l->more, more_cb);
	ev_init(&l->quiet, quiet_cb);
	l->quiet.repeat = QUIET_SECONDS;
	ev_init(&l->left_out, left_out_cb);
	l->left_out.repeat = LOG_LIMIT_SECONDS / 2.;
	log_on_left_out(left_out, l);
	ev_init(&l->log_retry, log_retry_cb);
	l->log_retry.repeat = LOG_RETRY_SECONDS;
	l->ring_io.data = l->before_wait.data = l->more.data = l->quiet.data =
		l;
	if (u->event_fd >= 0)
		ev_io_start(l->ev, &l->ring_io);
	ev_prepare_start(l->ev, &l->before_wait);
	return 0;
}

void loop_run(struct loop *l)
{
	log_target_by_loop(true);
	ev_run(l->ev, 0);
	log_target_by_loop(false);
}

void loop_stop(struct loop *l)
{
	ev_break(l->ev, EVBREAK_ALL);
}

void loop_exit(struct loop *l)
{
	while (log_target_flies() && !l->uring->lost)
		uring_wait(l->uring);
	ev_io_stop(l->ev, &l->ring_io);
	ev_prepare_stop(l->ev, &l->before_wait);
	ev_idle_stop(l->ev, &l->more);
	ev_timer_stop(l->ev, &l->quiet);
	ev_timer_stop(l->ev, &l->left_out);
	ev_timer_stop(l->ev, &l->log_retry);
	log_on_left_out(NULL, NULL);
	ev_loop_destroy(l->ev);
}

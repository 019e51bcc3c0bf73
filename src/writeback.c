/*
 * The timer starts with the first modification after which there is none, and
 * goes on as long as the block has something to write or to give back: a
 * writeback may let clusters go, whose refcounts the next one stores. After
 * that it stops, so an export that nobody changes costs no wake-up. A
 * writeback that fails is tried again at the next turn.
 */
#include "config.h"

#include "writeback.h"

static void timer_cb(struct ev_loop *ev, ev_timer *timer, int revents)
{
	struct writeback *w = timer->data;

	(void)revents;
	if (!block_writeback(w->block))
		ev_timer_stop(ev, timer);
}

static void modified(void *arg)
{
	struct writeback *w = arg;

	if (!ev_is_active(&w->timer))
		ev_timer_again(w->loop->ev, &w->timer);
}

void writeback_start(struct writeback *w, struct loop *l, struct block *b,
		     double seconds)
{
	w->loop = l;
	w->block = b;
	ev_init(&w->timer, timer_cb);
	w->timer.data = w;
	w->timer.repeat = seconds < 1. ? 1. : seconds;
	block_on_modified(b, modified, w);
}

void writeback_stop(struct writeback *w)
{
	block_on_modified(w->block, NULL, NULL);
	ev_timer_stop(w->loop->ev, &w->timer);
}

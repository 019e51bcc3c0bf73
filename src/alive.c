/*
 * Signs of life for a service manager, while the export is served.
 *
 * A watchdog with a period P gets one every P/2, by a timer of the loop: so the
 * loop turns. There is none while a request has been unanswered for longer than
 * P/2: so a request that is unanswered for P, because the image hangs, ends the
 * patience of the manager, at 1.5 P at the latest.
 */
#include "config.h"

#include "alive.h"
#include "fuse/ops.h"
#include "loop/log.h"

#define NS 1000000000ull
#define BEAT_LEAST 0.01 /* seconds; a watchdog may ask for anything */
#define RETRY 0.2

static const struct fuse_request *too_old(const struct alive *a, uint64_t *age)
{
	const struct fuse_request *req = session_oldest(a->session);
	uint64_t now = session_clock(), most = a->notify->watchdog * 1000 / 2;

	/* The clock is that of a tick, or of a turn. */
	if (!req || req->since > now || now - req->since <= most)
		return NULL;
	if (a->session->moved && now - a->session->moved <= most)
		return NULL;
	*age = (now - req->since) / NS;
	return req;
}

bool alive_is_late(const struct alive *a)
{
	uint64_t age;

	return too_old(a, &age);
}

static void beat_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct alive *a = w->data;
	const struct fuse_request *req;
	uint64_t age;

	(void)ev;
	(void)revents;
	req = too_old(a, &age);
	if (!req) {
		if (a->late)
			log_info("%s: requests are answered again", a->path);
		a->late = false;
		notify_alive(a->notify);
		return;
	}
	if (!a->late)
		log_warnx("%s: a %s has been unanswered for %llu s: the "
			  "watchdog gets no sign of life until it is answered",
			  a->path, ops_name(req->opcode),
			  (unsigned long long)age);
	a->late = true;
}

static void retry_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct alive *a = w->data;

	(void)revents;
	if (!notify_flush(a->notify))
		ev_timer_stop(ev, w);
}

static void left(void *arg)
{
	struct alive *a = arg;

	if (!ev_is_active(&a->retry))
		ev_timer_again(a->loop->ev, &a->retry);
}

void alive_init(struct alive *a, struct session *s, struct notify *n,
		const char *path)
{
	double beat = (double)n->watchdog / 2e6;

	*a = (struct alive){ .loop = s->loop,
			     .session = s,
			     .notify = n,
			     .path = path };
	ev_init(&a->beat, beat_cb);
	a->beat.repeat = beat < BEAT_LEAST ? BEAT_LEAST : beat;
	ev_init(&a->retry, retry_cb);
	a->retry.repeat = RETRY;
	a->beat.data = a->retry.data = a;
	n->left = left;
	n->left_arg = a;
}

void alive_start(struct alive *a)
{
	if (!a->notify->watchdog)
		return;
	notify_alive(a->notify);
	ev_timer_again(a->loop->ev, &a->beat);
}

void alive_stop(struct alive *a)
{
	a->notify->left = NULL;
	ev_timer_stop(a->loop->ev, &a->beat);
	ev_timer_stop(a->loop->ev, &a->retry);
}

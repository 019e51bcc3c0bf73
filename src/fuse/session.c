/*
 * The life of a session: INIT, then requests by one or both transports, then
 * the end: the kernel lets go, what is in flight finishes, on_end is called.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/dev.h"
#include "fuse/ops.h"
#include "fuse/ring.h"
#include "fuse/session.h"
#include "loop/log.h"

static void first_attr(struct session *s)
{
	s->attr.mode = S_IFREG | (s->block->opt.read_only ? 0400 : 0600);
	s->attr.uid = s->cfg.uid;
	s->attr.gid = s->cfg.gid;
}

struct session *session_new(struct loop *loop, struct block *block,
			    const struct session_config *cfg, int fd)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		log_warnx("session: out of memory");
		return NULL;
	}
	s->loop = loop;
	s->uring = loop->uring;
	s->block = block;
	s->cfg = *cfg;
	s->fd = fd;
	s->data_end = UINT64_MAX;
	first_attr(s);
	s->dev = dev_new(s);
	if (s->dev && cfg->io_uring != URING_OFF && cfg->queues &&
	    s->uring->sqe128)
		s->ring = ring_new(s);
	if (!s->dev) {
		s->fd = -1;
		session_free(s);
		return NULL;
	}
	return s;
}

void session_start(struct session *s)
{
	dev_start(s->dev);
}

void session_free(struct session *s)
{
	if (!s)
		return;
	s->uring->poll.in_flight = NULL;
	ring_free(s->ring);
	dev_free(s->dev);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static void maybe_over(struct session *s)
{
	if (!s->ended || s->stats.in_flight || s->reported)
		return;
	s->reported = true;
	if (s->on_end)
		s->on_end(s);
}

void session_end(struct session *s)
{
	if (s->ended)
		return;
	log_trace(TRACE_LIFE, "session: the connection is gone, %u in flight",
		  s->stats.in_flight);
	s->ended = true;
	block_stop(s->block);
	dev_stop(s->dev);
	ops_size_told(s);
	maybe_over(s);
}

void session_break(struct session *s)
{
	if (s->failed)
		return;
	s->failed = true;
	if (s->on_broken)
		s->on_broken(s);
}

uint64_t session_clock(void)
{
	return uring_clock();
}

const struct fuse_request *session_oldest(const struct session *s)
{
	const struct fuse_request *by_dev = dev_oldest(s->dev);
	const struct fuse_request *by_ring = ring_oldest(s->ring);

	if (!s->stats.in_flight)
		return NULL;
	if (!by_dev || !by_ring)
		return by_dev ? by_dev : by_ring;
	return by_dev->since < by_ring->since ? by_dev : by_ring;
}

void session_enter(struct session *s, struct fuse_request *req)
{
	req->since = uring_now(s->uring);
	if (++s->stats.in_flight > s->stats.most_in_flight)
		s->stats.most_in_flight = s->stats.in_flight;
}

void session_leave(struct session *s, struct fuse_request *req)
{
	req->since = 0;
	s->stats.in_flight--;
	maybe_over(s);
}

static void become_ready(struct session *s)
{
	if (s->ready || s->failed || s->ended)
		return;
	s->ready = true;
	if (s->on_ready)
		s->on_ready(s);
}

void session_negotiated(struct session *s, bool io_uring)
{
	if (io_uring && ring_start(s->ring))
		return; /* ready when the ring has been heard of */
	become_ready(s);
}

void session_ring_settled(struct session *s)
{
	s->by_uring = true;
	s->uring->poll.in_flight = &s->stats.in_flight;
	become_ready(s);
}

/* If /dev/fuse cannot serve instead: the option that would let it, or "". */
static const char *way_out(const struct session *s)
{
	if (s->ready)
		return "";
	if (s->cfg.zero_copy == ZERO_COPY_ON)
		return " (--zero-copy=auto works without)";
	if (s->cfg.io_uring == URING_ON)
		return " (--io-uring=auto uses /dev/fuse then)";
	return NULL;
}

void session_ring_failed(struct session *s, const char *what, int err)
{
	const char *hint = way_out(s);

	if (hint) {
		log_warnx("io_uring: %s: %s: the connection must end%s", what,
			  strerror(-err), hint);
		session_break(s);
		return;
	}
	log_warnx("io_uring: %s: %s: requests go by /dev/fuse; more locked "
		  "memory or a smaller --queue-depth may help",
		  what, strerror(-err));
	become_ready(s);
}

/*
 * The /dev/fuse channel.
 *
 * A request is one read(2): header, arguments, data, in one piece. Each has a
 * buffer of its own, laid out so that the data of a WRITE (behind two headers
 * of 40 bytes) begins a page, as O_DIRECT wants it, and so does the room for
 * what a READ returns. With all buffers taken, reading pauses; the kernel
 * queues. The channel is read from libev's callback, never waiting, and
 * answered by writev(2), which does not wait either.
 */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse/dev.h"
#include "fuse/memory.h"
#include "fuse/ops.h"
#include "fuse/session.h"
#include "loop/log.h"

/* Where a request begins, before the page its data begins. */
#define HEAD (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
/* Requests read in one go before other events get their turn. */
#define READ_ROUNDS 64

struct dev_request {
	struct fuse_request req;
	struct dev_request *next_free;
	uint8_t *buf; /* buf_size bytes; the request at page - HEAD */
	struct dev *dev;
};

struct dev {
	struct session *session;
	ev_io io;
	bool stopped;
	unsigned int n;
	struct dev_request *requests;
	struct dev_request *free;
	uint8_t *memory;
	size_t page; /* the system's */
	size_t buf_size; /* whole pages */
};

static void give_back(struct dev_request *dr)
{
	struct dev *d = dr->dev;

	dr->next_free = d->free;
	d->free = dr;
	if (!d->stopped && !ev_is_active(&d->io))
		ev_io_start(d->session->loop->ev, &d->io);
	session_leave(d->session, &dr->req);
}

static void send_answer(struct dev *d, const struct fuse_out_header *out,
			void *payload)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)out, sizeof(*out) },
		{ payload, out->len - sizeof(*out) },
	};
	ssize_t n;

	do {
		n = writev(d->session->fd, iov, 2);
	} while (n < 0 && errno == EINTR);
	if (n >= 0 || errno == ENOENT) /* ENOENT: nobody waits any more */
		return;
	if (errno == ENODEV || errno == ENOTCONN || errno == ECONNABORTED) {
		session_end(d->session);
		return;
	}
	log_warn("/dev/fuse: answer: ending the connection");
	session_break(d->session);
}

static void answer(struct fuse_request *req, int error, size_t len)
{
	struct dev_request *dr = container_of(req, struct dev_request, req);
	struct fuse_out_header out = { .error = error, .unique = req->unique };

	out.len = (uint32_t)(sizeof(out) + (error ? 0 : len));
	if (!req->session->ended)
		send_answer(dr->dev, &out, req->payload);
	give_back(dr);
}

static void drop(struct fuse_request *req)
{
	give_back(container_of(req, struct dev_request, req));
}

static const struct fuse_transport dev_transport = {
	.answer = answer,
	.drop = drop,
};

static void handle(struct dev_request *dr, size_t n)
{
	struct fuse_request *req = &dr->req;
	uint8_t *head = dr->buf + dr->dev->page - HEAD;
	struct fuse_in_header in;

	memcpy(&in, head, sizeof(in));
	req->opcode = in.opcode;
	req->unique = in.unique;
	req->nodeid = in.nodeid;
	req->pid = in.pid;
	req->in = head + sizeof(in);
	req->in_len = ops_in_size(in.opcode);
	if (req->in_len > n - sizeof(in))
		req->in_len = n - sizeof(in);
	req->payload = head + sizeof(in) + req->in_len;
	req->payload_len = n - sizeof(in) - req->in_len;
	req->payload_max = (size_t)(dr->buf + dr->dev->buf_size -
				    (uint8_t *)req->payload);
	if (in.len != n) {
		log_limited("/dev/fuse: %s: %zu bytes came, the header says %u",
			  ops_name(in.opcode), n, in.len);
		answer(req, -EIO, 0);
		return;
	}
	ops_handle(req);
}

/* Reads one request; false if there is none, or no more will come. */
static bool read_one(struct dev *d)
{
	struct dev_request *dr = d->free;
	uint8_t *at = dr->buf + d->page - HEAD;
	ssize_t n = read(d->session->fd, at, d->buf_size - (d->page - HEAD));

	if (n >= (ssize_t)sizeof(struct fuse_in_header)) {
		d->free = dr->next_free;
		session_enter(d->session, &dr->req);
		handle(dr, (size_t)n);
		return true;
	}
	if (n > 0) {
		log_limited("/dev/fuse: a request of %zd bytes has no header: "
			  "dropped",
			  n);
		return true;
	}
	if (n < 0 && (errno == EINTR || errno == ENOENT))
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n == 0 || errno == ENODEV || errno == ECONNABORTED ||
	    errno == ENOTCONN) {
		session_end(d->session);
		return false;
	}
	log_warn("/dev/fuse: read: ending the connection");
	session_break(d->session);
	dev_stop(d);
	return false;
}

static void readable(struct ev_loop *ev, ev_io *w, int revents)
{
	struct dev *d = w->data;
	unsigned int i;

	(void)revents;
	loop_stir(d->session->loop);
	for (i = 0; i < READ_ROUNDS && !d->stopped && d->free; i++)
		if (!read_one(d))
			return;
	if (!d->free)
		ev_io_stop(ev, w);
}

struct dev *dev_new(struct session *s)
{
	struct dev *d = calloc(1, sizeof(*d));
	unsigned int i;

	if (!d)
		goto no_memory;
	d->session = s;
	d->stopped = true;
	d->n = s->cfg.queue_depth;
	d->page = memory_page();
	d->buf_size = s->cfg.max_write > FUSE_MIN_PAYLOAD ? s->cfg.max_write :
							    FUSE_MIN_PAYLOAD;
	d->buf_size = d->page + ((d->buf_size + d->page - 1) & ~(d->page - 1));
	d->requests = calloc(d->n, sizeof(*d->requests));
	d->memory = memory_map(d->n, d->buf_size);
	if (!d->requests || !d->memory)
		goto no_memory;
	for (i = d->n; i-- > 0;) {
		struct dev_request *dr = &d->requests[i];

		dr->dev = d;
		dr->buf = d->memory + i * d->buf_size;
		dr->req.transport = &dev_transport;
		dr->req.session = s;
		dr->next_free = d->free;
		d->free = dr;
	}
	ev_io_init(&d->io, readable, s->fd, EV_READ);
	d->io.data = d;
	return d;

no_memory:
	log_warnx("/dev/fuse: no memory for %u requests; a smaller "
		  "--queue-depth or --max-write needs less, or a higher ulimit "
		  "-v allows more",
		  s->cfg.queue_depth);
	dev_free(d);
	return NULL;
}

void dev_free(struct dev *d)
{
	if (!d)
		return;
	dev_stop(d);
	memory_unmap(d->memory, d->n * d->buf_size);
	free(d->requests);
	free(d);
}

void dev_start(struct dev *d)
{
	d->stopped = false;
	ev_io_start(d->session->loop->ev, &d->io);
}

void dev_stop(struct dev *d)
{
	if (!d->stopped)
		ev_io_stop(d->session->loop->ev, &d->io);
	d->stopped = true;
}

void dev_trim(struct dev *d)
{
	struct dev_request *dr;

	for (dr = d->free; dr; dr = dr->next_free)
		memory_drop(dr->buf, d->buf_size);
}

const struct fuse_request *dev_oldest(const struct dev *d)
{
	const struct fuse_request *oldest = NULL, *req;
	unsigned int i;

	for (i = 0; i < d->n; i++) {
		req = &d->requests[i].req;
		if (req->since && (!oldest || req->since < oldest->since))
			oldest = req;
	}
	return oldest;
}

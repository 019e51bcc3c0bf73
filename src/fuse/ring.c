/*
 * FUSE over io_uring.
 *
 * | state      | way in                | way out                             |
 * |------------|-----------------------|-------------------------------------|
 * | IDLE       | allocated             | REGISTER queued -> REGISTERED       |
 * | REGISTERED | REGISTER queued       | request -> HAVE_REQ; error -> DEAD  |
 * | HAVE_REQ   | CQE with result 0     | answered at once -> COMMIT; the     |
 * |            |                       | image works on it -> IO_PENDING     |
 * | IO_PENDING | block request out     | answered -> COMMIT                  |
 * | COMMIT     | answer queued         | request -> HAVE_REQ; error -> DEAD  |
 * | DEAD       | -ENOTCONN, any error, | freed with the ring                 |
 * |            | answer after the end  |                                     |
 *
 * The kernel's ways that shape this file:
 * - One queue for each possible CPU, and no request goes by the ring before
 *   every queue has an entry. So the queues are registered one after another:
 *   a failure before the last one leaves /dev/fuse in charge. (Should the last
 *   one fail half-way, the ring is in charge and its first commit is refused,
 *   which breaks the session.)
 * - A REGISTER that succeeds is held without a word; only failures complete.
 *   They do so while the command is submitted, so an op posted behind the
 *   REGISTERs knows.
 * - A COMMIT that the kernel refuses leaves its caller waiting for ever:
 *   whatever refuses one, but the end of the mount, breaks the session.
 * - The kernel writes into an entry's memory only in this thread's task work,
 *   that is, while this thread is in io_uring_enter.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/memory.h"
#include "fuse/ops.h"
#include "fuse/ring.h"
#include "fuse/session.h"
#include "loop/log.h"

/* A header begins a cache line. */
#define HEADER_STRIDE 320

struct entry {
	struct fuse_request req;
	struct op op; /* REGISTER or COMMIT_AND_FETCH */
	enum entry_state state;
	uint16_t qid;
	uint64_t commit_id;
	struct fuse_uring_req_header *header;
	struct iovec iov[2]; /* what REGISTER points to */
	struct ring *ring;
};

struct ring {
	struct session *session;
	int slot; /* of /dev/fuse among the ring's files */
	bool failed; /* a REGISTER failed; said once */
	unsigned int entries_n;
	struct entry *entries;
	uint8_t *headers, *payloads;
	size_t payload_size; /* bytes of each payload */
	unsigned int count[ENTRY_STATES];
	struct op settled;
};

static const char *const state_names[ENTRY_STATES] = {
	[ENTRY_IDLE] = "idle",
	[ENTRY_REGISTERED] = "registered",
	[ENTRY_HAVE_REQ] = "have-req",
	[ENTRY_IO_PENDING] = "io-pending",
	[ENTRY_COMMIT] = "commit",
	[ENTRY_DEAD] = "dead",
};

/* The states that may follow, one bit each. */
static const uint8_t edges[ENTRY_STATES] = {
	[ENTRY_IDLE] = 1 << ENTRY_REGISTERED,
	[ENTRY_REGISTERED] = 1 << ENTRY_HAVE_REQ | 1 << ENTRY_DEAD,
	[ENTRY_HAVE_REQ] = 1 << ENTRY_IO_PENDING | 1 << ENTRY_COMMIT |
			   1 << ENTRY_DEAD,
	[ENTRY_IO_PENDING] = 1 << ENTRY_COMMIT | 1 << ENTRY_DEAD,
	[ENTRY_COMMIT] = 1 << ENTRY_HAVE_REQ | 1 << ENTRY_DEAD,
};

const char *ring_state_name(enum entry_state state)
{
	return state < ENTRY_STATES ? state_names[state] : "?";
}

static bool in_our_hands(enum entry_state state)
{
	return state == ENTRY_HAVE_REQ || state == ENTRY_IO_PENDING;
}

/* The one setter. */
static void entry_set(struct entry *e, enum entry_state to)
{
	struct ring *r = e->ring;
	enum entry_state from = e->state;

	assert(edges[from] >> to & 1);
	log_trace(TRACE_RING, "ring: queue %u entry %td: %s -> %s", e->qid,
		  e - r->entries, state_names[from], state_names[to]);
	r->count[from]--;
	r->count[to]++;
	e->state = to;
	if (!in_our_hands(from) && in_our_hands(to))
		session_enter(r->session);
	else if (in_our_hands(from) && !in_our_hands(to))
		session_leave(r->session);
}

static void queue_register(struct entry *e)
{
	struct ring *r = e->ring;
	struct fuse_uring_cmd_req *cmd;

	cmd = uring_cmd(r->session->uring, &e->op, r->slot,
			FUSE_IO_URING_CMD_REGISTER, e->iov, 2);
	cmd->qid = e->qid;
}

static void queue_commit(struct entry *e)
{
	struct ring *r = e->ring;
	struct fuse_uring_cmd_req *cmd;

	cmd = uring_cmd(r->session->uring, &e->op, r->slot,
			FUSE_IO_URING_CMD_COMMIT_AND_FETCH, NULL, 0);
	cmd->qid = e->qid;
	cmd->commit_id = e->commit_id;
}

static void answer(struct fuse_request *req, int error, size_t len)
{
	struct entry *e = container_of(req, struct entry, req);
	struct fuse_out_header out = { .error = error, .unique = req->unique };

	assert(len <= req->payload_max);
	if (error)
		len = 0;
	if (e->ring->session->ended) {
		entry_set(e, ENTRY_DEAD);
		return;
	}
	out.len = (uint32_t)(sizeof(out) + len);
	memcpy(e->header->in_out, &out, sizeof(out));
	e->header->ring_ent_in_out.payload_sz = (uint32_t)len;
	entry_set(e, ENTRY_COMMIT);
	queue_commit(e);
}

static void drop(struct fuse_request *req)
{
	/* On the ring even a FORGET would have to be committed. */
	answer(req, 0, 0);
}

static const struct fuse_transport ring_transport = {
	.answer = answer,
	.drop = drop,
};

/* Makes a request of what the kernel wrote; false if it cannot be one. */
static bool decode(struct entry *e)
{
	const struct fuse_uring_req_header *h = e->header;
	struct fuse_request *req = &e->req;
	struct fuse_in_header in;
	uint32_t payload = h->ring_ent_in_out.payload_sz;

	memcpy(&in, h->in_out, sizeof(in));
	req->opcode = in.opcode;
	req->unique = in.unique;
	req->nodeid = in.nodeid;
	req->in = h->op_in;
	req->payload_len = payload;
	if (payload > req->payload_max || in.len < sizeof(in) + payload ||
	    in.len - sizeof(in) - payload > sizeof(h->op_in)) {
		log_warnx("ring: %s: %u bytes with a payload of %u do not fit",
			  ops_name(in.opcode), in.len, payload);
		return false;
	}
	req->in_len = in.len - sizeof(in) - payload;
	return true;
}

static void take_request(struct entry *e)
{
	if (e->ring->session->ended) {
		/* Nobody waits for it any more, and the image may be gone. */
		entry_set(e, ENTRY_DEAD);
		return;
	}
	e->commit_id = e->header->ring_ent_in_out.commit_id;
	if (!e->commit_id) {
		log_warnx("ring: queue %u: a request without a commit id; its "
			  "answer could not be found: ending the connection",
			  e->qid);
		entry_set(e, ENTRY_DEAD);
		session_break(e->ring->session);
		return;
	}
	entry_set(e, ENTRY_HAVE_REQ);
	/* A queue is the CPU that the request was made on. */
	follow_request(&e->ring->session->loop->follow, e->qid,
		       e->ring->session->stats.in_flight);
	if (!decode(e)) {
		answer(&e->req, -EIO, 0);
		return;
	}
	ops_handle(&e->req);
	if (e->state == ENTRY_HAVE_REQ)
		entry_set(e, ENTRY_IO_PENDING);
}

static void entry_failed(struct entry *e, int err)
{
	struct ring *r = e->ring;
	enum entry_state was = e->state;

	entry_set(e, ENTRY_DEAD);
	if (err == -ENOTCONN || err == -ECONNABORTED || err == -ECANCELED) {
		session_end(r->session);
	} else if (was == ENTRY_COMMIT) {
		log_warnx("ring: queue %u: commit: %s: its caller cannot be "
			  "answered: ending the connection",
			  e->qid, strerror(-err));
		session_break(r->session);
	} else if (!r->failed) {
		r->failed = true;
		session_ring_failed(r->session, err);
	}
}

static void entry_done(struct op *op, int res, unsigned int flags)
{
	struct entry *e = container_of(op, struct entry, op);

	(void)flags;
	if (res == -EAGAIN || res == -EINTR) {
		if (e->state == ENTRY_REGISTERED)
			queue_register(e);
		else
			queue_commit(e);
	} else if (res < 0) {
		entry_failed(e, res);
	} else {
		take_request(e);
	}
}

static void settled(struct op *op, int res, unsigned int flags)
{
	struct ring *r = container_of(op, struct ring, settled);

	(void)res;
	(void)flags;
	if (!r->failed)
		session_ring_settled(r->session);
}

static void entry_init(struct ring *r, unsigned int i)
{
	const struct session_config *cfg = &r->session->cfg;
	struct entry *e = &r->entries[i];

	e->ring = r;
	e->op.done = entry_done;
	e->qid = (uint16_t)(i / cfg->queue_depth);
	e->header = (void *)(r->headers + (size_t)i * HEADER_STRIDE);
	e->req.transport = &ring_transport;
	e->req.session = r->session;
	e->req.payload = r->payloads + i * r->payload_size;
	e->req.payload_max = r->payload_size;
	e->iov[0] = (struct iovec){ e->header, sizeof(*e->header) };
	e->iov[1] = (struct iovec){ e->req.payload, r->payload_size };
}

struct ring *ring_new(struct session *s)
{
	struct ring *r = calloc(1, sizeof(*r));
	unsigned int i;

	if (!r)
		goto no_memory;
	r->session = s;
	r->settled.done = settled;
	r->entries_n = s->cfg.queues * s->cfg.queue_depth;
	r->payload_size = s->cfg.max_write > FUSE_MIN_PAYLOAD ?
				  s->cfg.max_write :
				  FUSE_MIN_PAYLOAD;
	r->slot = uring_add_file(s->uring, s->fd);
	r->entries = calloc(r->entries_n, sizeof(*r->entries));
	r->headers = memory_map((size_t)r->entries_n * HEADER_STRIDE);
	r->payloads = memory_map(r->entries_n * r->payload_size);
	if (r->slot < 0 || !r->entries || !r->headers || !r->payloads) {
		uring_remove_file(s->uring, r->slot);
		goto no_memory;
	}
	r->count[ENTRY_IDLE] = r->entries_n;
	for (i = 0; i < r->entries_n; i++)
		entry_init(r, i);
	return r;

no_memory:
	log_warnx("ring: no memory for %u queues of %u entries; a smaller "
		  "--queue-depth or --max-write needs less",
		  s->cfg.queues, s->cfg.queue_depth);
	ring_free(r);
	return NULL;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	memory_unmap(r->payloads, r->entries_n * r->payload_size);
	memory_unmap(r->headers, (size_t)r->entries_n * HEADER_STRIDE);
	free(r->entries);
	free(r);
}

bool ring_start(struct ring *r)
{
	unsigned int i;

	if (!r)
		return false;
	for (i = 0; i < r->entries_n; i++) {
		entry_set(&r->entries[i], ENTRY_REGISTERED);
		queue_register(&r->entries[i]);
	}
	uring_post(r->session->uring, &r->settled, 0);
	return true;
}

void ring_trim(struct ring *r)
{
	unsigned int i;

	if (!r)
		return;
	/* The quiet means, too, that no COMMIT is still to be submitted. */
	for (i = 0; i < r->entries_n; i++)
		if (!in_our_hands(r->entries[i].state))
			memory_drop(r->entries[i].req.payload,
				    r->payload_size);
}

unsigned int ring_count(const struct ring *r, enum entry_state state)
{
	return r ? r->count[state] : 0;
}

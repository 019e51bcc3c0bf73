/*
 * FUSE over io_uring: the life of entries. How they begin is in ring_setup.c.
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
#include "fuse/ring_int.h"
#include "fuse/session.h"
#include "loop/log.h"

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
		session_enter(r->session, &e->req);
	else if (in_our_hands(from) && !in_our_hands(to))
		session_leave(r->session, &e->req);
}

static void queue_register(struct entry *e)
{
	struct ring *r = e->ring;
	struct fuse_uring_cmd_req *cmd;

	cmd = uring_cmd(r->session->uring, &e->op, r->slot,
			FUSE_IO_URING_CMD_REGISTER, e->iov, 2,
			payload_fixed(&r->payload));
	cmd->qid = e->qid;
	if (r->payload.zero_copy)
		cmd->zero_copy_index = (uint16_t)(e - r->entries);
}

void ring_register(struct entry *e)
{
	entry_set(e, ENTRY_REGISTERED);
	queue_register(e);
}

static void queue_commit(struct entry *e)
{
	struct ring *r = e->ring;
	struct fuse_uring_cmd_req *cmd;

	cmd = uring_cmd(r->session->uring, &e->op, r->slot,
			FUSE_IO_URING_CMD_COMMIT_AND_FETCH, NULL, 0,
			payload_fixed(&r->payload));
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

const struct fuse_transport ring_transport = {
	.answer = answer,
	.drop = drop,
};

/* Finds the payload, and the data that has no place in it; or false. */
static bool find_payload(struct entry *e)
{
	const struct payload *p = &e->ring->payload;
	const struct fuse_uring_ent_in_out *at = &e->header->ring_ent_in_out;
	struct fuse_request *req = &e->req;

	if (p->mode == PAYLOAD_ENTRY && !at->flags)
		return true; /* where it always is */
	if (p->mode == PAYLOAD_ENTRY || at->offset > p->pool - p->size ||
	    at->flags & ~(p->zero_copy ? FUSE_URING_ENT_ZERO_COPY : 0ULL)) {
		log_limited("ring: %s: flags %#llx, payload at %u: not what was "
			  "agreed on",
			  ops_name(req->opcode), (unsigned long long)at->flags,
			  at->offset);
		return false;
	}
	req->payload = payload_pool(p, e->qid) + at->offset;
	req->fixed = (uint16_t)payload_fixed(p);
	req->unseen = at->flags & FUSE_URING_ENT_ZERO_COPY;
	if (!req->unseen)
		return true;
	if (req->opcode != FUSE_READ && req->opcode != FUSE_WRITE) {
		log_limited("ring: %s: without its data", ops_name(req->opcode));
		return false;
	}
	req->fixed = (uint16_t)(e - e->ring->entries + 1);
	req->session->stats.zero_copied++;
	return true;
}

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
	req->pid = in.pid;
	req->in = h->op_in;
	req->payload_len = payload;
	if (payload > req->payload_max || in.len < sizeof(in) + payload ||
	    in.len - sizeof(in) - payload > sizeof(h->op_in)) {
		log_limited("ring: %s: %u bytes with a payload of %u do not fit",
			  ops_name(in.opcode), in.len, payload);
		return false;
	}
	req->in_len = in.len - sizeof(in) - payload;
	return find_payload(e);
}

/*
 * The requests that clients wait for, one that was just taken included. An
 * answer is on its way only when it is submitted: the one before this one, if
 * it was taken in the same batch, has none yet.
 */
static unsigned int in_hand(struct ring *r)
{
	uint64_t batch = r->session->uring->stats.batches;
	bool together = batch == r->batch;

	r->batch = batch;
	return r->session->stats.in_flight + together;
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
		       in_hand(e->ring));
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
	if (ring_is_end(err)) {
		session_end(r->session);
	} else if (was == ENTRY_COMMIT) {
		log_warnx("ring: queue %u: commit: %s: its caller cannot be "
			  "answered: ending the connection",
			  e->qid, strerror(-err));
		session_break(r->session);
	} else if (!r->failed) {
		r->failed = true;
		session_ring_failed(r->session, "register", err);
	}
}

void ring_entry_done(struct op *op, int res, unsigned int flags)
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

void ring_trim(struct ring *r)
{
	const struct payload *p;
	unsigned int i;

	if (!r)
		return;
	p = &r->payload;
	/* The quiet means, too, that no COMMIT is still to be submitted. */
	if (p->mode != PAYLOAD_ENTRY) {
		if (!r->count[ENTRY_HAVE_REQ] && !r->count[ENTRY_IO_PENDING])
			payload_trim(p);
		return;
	}
	for (i = 0; i < r->entries_n; i++)
		if (!in_our_hands(r->entries[i].state))
			memory_drop(r->entries[i].req.payload, p->size);
}

const struct payload *ring_payload(const struct ring *r)
{
	return &r->payload;
}

unsigned int ring_count(const struct ring *r, enum entry_state state)
{
	return r ? r->count[state] : 0;
}

const struct fuse_request *ring_oldest(const struct ring *r)
{
	const struct fuse_request *oldest = NULL, *req;
	unsigned int i;

	if (!r || (!r->count[ENTRY_HAVE_REQ] && !r->count[ENTRY_IO_PENDING]))
		return NULL;
	for (i = 0; i < r->entries_n; i++) {
		req = &r->entries[i].req;
		if (req->since && (!oldest || req->since < oldest->since))
			oldest = req;
	}
	return oldest;
}

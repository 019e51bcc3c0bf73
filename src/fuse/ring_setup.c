/*
 * How a ring begins: memory, then commands to the kernel in stages.
 *
 *   ADD_QUEUE of every queue      where there are buffer pools (ABI 7.46)
 *   ADD_BUFPOOL of every queue    the same
 *   REGISTER of every entry
 *
 * Each stage waits for the answers to the one before it; payload.c says what
 * is tried, and one step back is taken where that is refused: zero-copy without
 * the right to it, pools that cannot be added. All queues stay alike; should
 * only some of them be refused (the kernel is out of memory), /dev/fuse serves.
 *
 * The kernel's ways:
 * - One queue for each possible CPU, and no request goes by the ring before
 *   every queue has an entry. So the queues are registered one after another:
 *   a failure before the last one leaves /dev/fuse in charge. (Should the last
 *   one fail half-way, the ring is in charge and its first commit is refused,
 *   which breaks the session.)
 * - Once INIT has agreed on the ring, whoever has a request waits for that to
 *   be there, until a REGISTER fails. So a ring that is given up before its
 *   first entry ends by a REGISTER that must fail.
 * - A REGISTER that succeeds is held without a word; only failures complete.
 *   They do so while the command is submitted, so a no-op behind the REGISTERs
 *   tells that all went well.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "fuse/memory.h"
#include "fuse/ring_int.h"
#include "fuse/session.h"
#include "loop/log.h"

static void settled(struct op *op, int res, unsigned int flags)
{
	struct ring *r = container_of(op, struct ring, settled);

	(void)res;
	(void)flags;
	if (r->failed)
		return;
	r->session->zero_copy = r->payload.zero_copy;
	log_trace(TRACE_LIFE, "ring: payloads: %s%s%s",
		  payload_name(&r->payload), r->payload.why ? ": " : "",
		  r->payload.why ? r->payload.why : "");
	session_ring_settled(r->session);
}

static void give_up_command(struct ring *r)
{
	struct fuse_uring_cmd_req *cmd;

	cmd = uring_cmd(r->session->uring, &r->settled, r->slot,
			FUSE_IO_URING_CMD_REGISTER, NULL, 0, 0);
	cmd->qid = UINT16_MAX; /* there is no such queue */
}

static void given_up(struct op *op, int res, unsigned int flags)
{
	struct ring *r = container_of(op, struct ring, settled);

	(void)flags;
	if (res == -EAGAIN || res == -EINTR)
		give_up_command(r);
	else if (ring_is_end(res))
		session_end(r->session);
	else
		session_ring_failed(r->session, r->failed_what, r->stage_error);
}

/* Without any entry: /dev/fuse serves, once the kernel has been told. */
static void give_up(struct ring *r, const char *what)
{
	r->failed = true;
	r->failed_what = what;
	r->settled.done = given_up;
	give_up_command(r);
}

static void register_entries(struct ring *r)
{
	struct payload *p = &r->payload;
	unsigned int i;

	for (i = 0; i < r->entries_n; i++) {
		struct entry *e = &r->entries[i];

		if (p->mode == PAYLOAD_ENTRY)
			e->iov[1] = (struct iovec){ e->req.payload, p->size };
		ring_register(e);
	}
	uring_nop(r->session->uring, &r->settled);
}

static void give_command(struct ring_queue *q)
{
	struct ring *r = q->ring;
	const struct payload *p = &r->payload;
	bool pool = r->stage == FUSE_IO_URING_CMD_ADD_BUFPOOL;
	struct fuse_uring_cmd_req *cmd;

	cmd = uring_cmd(r->session->uring, &q->op, r->slot, r->stage, NULL, 0,
			pool ? payload_fixed(p) : 0);
	cmd->qid = q->qid;
	if (pool) {
		cmd->bufpool.uaddr = (uintptr_t)payload_pool(p, q->qid);
		cmd->bufpool.len = (uint32_t)p->pool;
	} else if (p->zero_copy) {
		cmd->flags = FUSE_URING_ZERO_COPY;
	}
}

static void start_stage(struct ring *r, uint32_t command)
{
	unsigned int i;

	r->stage = command;
	r->stage_failed = 0;
	r->stage_left = r->session->cfg.queues;
	for (i = 0; i < r->session->cfg.queues; i++)
		give_command(&r->queues[i]);
}

/* --zero-copy=on is not to be had. */
static bool refuse_zero_copy(struct ring *r, const char *why)
{
	if (r->session->cfg.zero_copy != ZERO_COPY_ON)
		return false;
	log_warnx("--zero-copy=on: %s", why);
	r->failed = true;
	session_break(r->session);
	return true;
}

static const char *why_no_zero_copy(int err)
{
	return err == -EPERM ? "zero-copy needs CAP_SYS_ADMIN in the initial "
			       "user namespace"
			     : "the kernel refuses zero-copy";
}

static void queues_added(struct ring *r)
{
	struct payload *p = &r->payload;

	if (!r->stage_failed) {
		payload_fix(p, &r->session->cfg, r->session->uring);
		start_stage(r, FUSE_IO_URING_CMD_ADD_BUFPOOL);
	} else if (r->stage_failed < p->queues) {
		give_up(r, "add a queue");
	} else if (p->zero_copy) {
		payload_no_zero_copy(p, why_no_zero_copy(r->stage_error));
		if (!refuse_zero_copy(r, p->why))
			start_stage(r, FUSE_IO_URING_CMD_ADD_QUEUE);
	} else {
		payload_no_pool(p, "the kernel refuses to add queues");
		register_entries(r);
	}
}

static void pools_added(struct ring *r)
{
	struct payload *p = &r->payload;

	if (!r->stage_failed) {
		register_entries(r);
	} else if (r->stage_failed < p->queues || p->zero_copy) {
		give_up(r, "add a buffer pool");
	} else {
		payload_no_pool(p, "the kernel refuses the pools");
		register_entries(r);
	}
}

static void queue_done(struct op *op, int res, unsigned int flags)
{
	struct ring_queue *q = container_of(op, struct ring_queue, op);
	struct ring *r = q->ring;

	(void)flags;
	if (res == -EAGAIN || res == -EINTR) {
		give_command(q);
		return;
	}
	if (ring_is_end(res)) {
		r->failed = true;
		session_end(r->session);
	}
	if (res < 0) {
		r->stage_failed++;
		r->stage_error = res;
	}
	if (--r->stage_left || r->failed)
		return;
	if (r->stage == FUSE_IO_URING_CMD_ADD_QUEUE)
		queues_added(r);
	else
		pools_added(r);
}

bool ring_start(struct ring *r)
{
	struct session *s;
	struct payload *p;

	if (!r)
		return false;
	s = r->session;
	p = &r->payload;
	payload_choose(p, &s->cfg, s->uring, s->bufpools);
	if (p->zero_copy && block_allow_unseen(s->block, p->size))
		payload_no_zero_copy(p, "there is no memory for it");
	if (!p->zero_copy && refuse_zero_copy(r, p->why))
		return true;
	if (p->mode == PAYLOAD_ENTRY)
		register_entries(r);
	else
		start_stage(r, FUSE_IO_URING_CMD_ADD_QUEUE);
	return true;
}

static void entry_init(struct ring *r, unsigned int i)
{
	struct entry *e = &r->entries[i];

	e->ring = r;
	e->op.done = ring_entry_done;
	e->qid = (uint16_t)(i / r->session->cfg.queue_depth);
	e->header = (void *)(r->headers + (size_t)i * HEADER_STRIDE);
	e->req.transport = &ring_transport;
	e->req.session = r->session;
	e->req.payload = payload_entry(&r->payload, i);
	e->req.payload_max = r->payload.size;
	e->iov[0] = (struct iovec){ e->header, sizeof(*e->header) };
}

static int allocate(struct ring *r)
{
	struct session *s = r->session;
	unsigned int i;

	r->entries = calloc(r->entries_n, sizeof(*r->entries));
	r->queues = calloc(s->cfg.queues, sizeof(*r->queues));
	r->headers = memory_map(r->entries_n, HEADER_STRIDE);
	if (!r->entries || !r->queues || !r->headers ||
	    payload_init(&r->payload, &s->cfg))
		return -ENOMEM;
	for (i = 0; i < s->cfg.queues; i++) {
		r->queues[i].op.done = queue_done;
		r->queues[i].qid = (uint16_t)i;
		r->queues[i].ring = r;
	}
	r->slot = uring_add_file(s->uring, s->fd);
	return r->slot < 0 ? r->slot : 0;
}

struct ring *ring_new(struct session *s)
{
	struct ring *r = calloc(1, sizeof(*r));
	unsigned int i;

	if (r) {
		r->session = s;
		r->settled.done = settled;
		r->entries_n = s->cfg.queues * s->cfg.queue_depth;
	}
	if (!r || allocate(r)) {
		log_warnx("ring: no memory for %u queues of %u entries; a "
			  "smaller --queue-depth or --max-write needs less, or a "
			  "higher ulimit -v allows more",
			  s->cfg.queues, s->cfg.queue_depth);
		ring_free(r);
		return NULL;
	}
	r->count[ENTRY_IDLE] = r->entries_n;
	for (i = 0; i < r->entries_n; i++)
		entry_init(r, i);
	return r;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	payload_exit(&r->payload);
	memory_unmap(r->headers, (size_t)r->entries_n * HEADER_STRIDE);
	free(r->queues);
	free(r->entries);
	free(r);
}

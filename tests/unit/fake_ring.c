/* The ring's part of the faked kernel: queues, pools, slots, entries. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_int.h"
#include "slots.h"

#define URING_CMD_FIXED 1 /* IORING_URING_CMD_FIXED */

static struct fake_entry *by_op(struct fake *f, struct op *op)
{
	unsigned int i;

	for (i = 0; i < f->entries_n; i++)
		if (f->entries[i].op == op)
			return &f->entries[i];
	ck_assert_uint_lt(f->entries_n, FAKE_ENTRIES);
	f->entries[f->entries_n].op = op;
	f->entries[f->entries_n].buffer = -1;
	return &f->entries[f->entries_n++];
}

static struct fake_queue *queue_of(struct fake *f, unsigned int qid)
{
	ck_assert_uint_lt(qid, FAKE_QUEUES);
	return &f->queues[qid];
}

/* What goes with every command that may touch a pool. */
static void check_fixed(const struct fake_queue *q,
			const struct io_uring_sqe *sqe)
{
	ck_assert_int_eq(sqe->rw_flags, q->fixed ? URING_CMD_FIXED : 0);
	ck_assert_uint_eq(sqe->buf_index, q->fixed ? q->fixed - 1 : 0);
}

static void take_register(struct fake *f, struct fake_entry *e,
			  const struct io_uring_sqe *sqe,
			  const struct fuse_uring_cmd_req *req)
{
	const struct iovec *iov = (const void *)(uintptr_t)sqe->addr;
	struct fake_queue *q = queue_of(f, req->qid);
	unsigned int i;

	ck_assert_uint_eq(sqe->len, 2);
	ck_assert_uint_eq(req->commit_id, 0);
	ck_assert(!e->committed && !e->asked);
	ck_assert_uint_ge(iov[0].iov_len, sizeof(struct fuse_uring_req_header));
	check_fixed(q, sqe);
	if (q->pool) {
		ck_assert_ptr_null(iov[1].iov_base);
		ck_assert_uint_eq(iov[1].iov_len, 0);
	} else {
		ck_assert_uint_ge(iov[1].iov_len, FUSE_MIN_PAYLOAD);
		ck_assert(!q->zero_copy);
	}
	if (!q->zero_copy)
		ck_assert_uint_eq(req->zero_copy_index, 0);
	/* No two entries share a slot. */
	for (i = 0; q->zero_copy && i < f->entries_n; i++)
		if (&f->entries[i] != e && f->entries[i].iov)
			ck_assert_uint_ne(f->entries[i].slot_index,
					  req->zero_copy_index);
	e->slot_index = req->zero_copy_index;
	e->iov = iov;
	e->qid = req->qid;
}

/* Where the payload of the request that @e has is; NULL: it has none. */
static uint8_t *payload_of(struct fake *f, const struct fake_entry *e)
{
	if (!f->queues[e->qid].pool)
		return e->iov[1].iov_base;
	if (e->buffer < 0)
		return NULL;
	return f->queues[e->qid].pool + e->buffer * FAKE_MAX_WRITE;
}

/* The buffer goes back to the pool, and the pages to their owner. */
static void recycle(struct fake *f, struct fake_entry *e)
{
	if (e->buffer >= 0) {
		/* Who looks again finds something else. */
		memset(payload_of(f, e), 0x55, FAKE_MAX_WRITE);
		f->queues[e->qid].used[e->buffer] = false;
		e->buffer = -1;
	}
	if (!e->slot)
		return;
	slots_clear(e->slot_index);
	free(e->slot);
	e->slot = NULL;
}

static void take_commit(struct fake *f, struct fake_entry *e,
			const struct io_uring_sqe *sqe,
			const struct fuse_uring_cmd_req *req)
{
	const struct fuse_uring_req_header *h = e->iov[0].iov_base;
	uint32_t len = h->ring_ent_in_out.payload_sz;
	struct fuse_out_header out;
	const uint8_t *data = payload_of(f, e);

	ck_assert_uint_eq(req->qid, e->qid);
	ck_assert_uint_eq(req->commit_id, e->commit_id);
	check_fixed(queue_of(f, e->qid), sqe);
	e->committed = true;
	if (!e->asked) /* the same again, after EAGAIN */
		return;
	e->asked = false;
	memcpy(&out, h->in_out, sizeof(out));
	ck_assert_uint_eq(out.len, sizeof(out) + len);
	ck_assert_uint_le(len, FAKE_MAX_WRITE);
	if (e->slot && e->opcode == FUSE_READ)
		data = e->slot;
	if (len)
		ck_assert_ptr_nonnull(data);
	fake_add_answer(f, &out, data);
	recycle(f, e);
}

/* Does the script let this command fail? */
static bool scripted(struct fake *f, uint32_t cmd)
{
	struct fake_script *s = &f->script;

	if (!s->times || s->cmd != cmd)
		return false;
	if (s->skip) {
		s->skip--;
		return false;
	}
	s->times--;
	return true;
}

/*
 * A completion of the ring itself: in a drain those come before what was posted
 * by the program.
 */
static void complete_first(struct uring *u, struct op *op, int res)
{
	struct op *rest = u->ready;

	if (!rest) {
		uring_post(u, op, res);
		return;
	}
	op->res = res;
	op->next = rest;
	u->ready = op;
}

static int add_queue(struct fake *f, struct fake_queue *q,
		     const struct fuse_uring_cmd_req *req)
{
	ck_assert_uint_eq(req->flags & ~FUSE_URING_ZERO_COPY, 0);
	if (req->flags && f->unprivileged)
		return -EPERM;
	if (q->added)
		return -EEXIST;
	q->added = true;
	q->zero_copy = req->flags & FUSE_URING_ZERO_COPY;
	return 0;
}

static int add_pool(struct fake_queue *q, const struct io_uring_sqe *sqe,
		    const struct fuse_uring_cmd_req *req)
{
	ck_assert_uint_eq(req->flags | req->bufpool.reserved, 0);
	ck_assert(q->added && !q->pool);
	ck_assert_uint_ge(req->bufpool.len, FAKE_MAX_WRITE);
	ck_assert_uint_eq(req->bufpool.len % FAKE_MAX_WRITE, 0);
	ck_assert_uint_le(req->bufpool.len, FAKE_DEPTH * FAKE_MAX_WRITE);
	ck_assert_uint_eq(req->bufpool.uaddr % 4096, 0);
	ck_assert(!(sqe->rw_flags & ~URING_CMD_FIXED));
	q->pool = (void *)(uintptr_t)req->bufpool.uaddr;
	q->pool_len = req->bufpool.len;
	q->buffers = q->pool_len / FAKE_MAX_WRITE;
	if (sqe->rw_flags)
		q->fixed = sqe->buf_index + 1u;
	/* It lies outside of all others, and can be written. */
	memset(q->pool, 0x55, q->pool_len);
	return 0;
}

/* The registered buffer is all of the pools, one behind the other. */
static void register_pools(struct fake *f)
{
	struct fake_queue *last = &f->queues[FAKE_QUEUES - 1];
	unsigned int i;

	if (!last->fixed)
		return;
	for (i = 0; i < FAKE_QUEUES; i++) {
		ck_assert_uint_eq(f->queues[i].fixed, last->fixed);
		ck_assert_ptr_eq(f->queues[i].pool,
				 f->queues[0].pool + i * last->pool_len);
	}
	slots_set(last->fixed - 1, f->queues[0].pool,
		  (size_t)last->pool_len * FAKE_QUEUES, BLOCK_READ, true);
}

static void note(struct fake *f, uint32_t cmd,
		 const struct fuse_uring_cmd_req *req, int res)
{
	if (f->log_n < FAKE_LOG)
		f->log[f->log_n++] = (struct fake_log){ .cmd = cmd,
							.qid = req->qid,
							.flags = req->flags,
							.res = res };
}

/* ADD_QUEUE and ADD_BUFPOOL: answered at once. */
static bool queue_command(struct fake *f, const struct io_uring_sqe *sqe,
			  struct op *op)
{
	const struct fuse_uring_cmd_req *req = (const void *)sqe->cmd;
	struct fake_queue *q;
	int res;

	if (sqe->cmd_op != FUSE_IO_URING_CMD_ADD_QUEUE &&
	    sqe->cmd_op != FUSE_IO_URING_CMD_ADD_BUFPOOL)
		return false;
	q = queue_of(f, req->qid);
	ck_assert_uint_eq(req->commit_id, 0);
	ck_assert_uint_eq(f->registers, 0); /* all that comes first */
	if (scripted(f, sqe->cmd_op))
		res = f->script.res;
	else if (sqe->cmd_op == FUSE_IO_URING_CMD_ADD_QUEUE)
		res = add_queue(f, q, req);
	else
		res = add_pool(q, sqe, req);
	if (!res && q == &f->queues[FAKE_QUEUES - 1])
		register_pools(f);
	note(f, sqe->cmd_op, req, res);
	complete_first(&f->uring, op, res);
	return true;
}

/*
 * A REGISTER that must fail: the kernel gives the ring up, for which it would
 * wait otherwise, with all requests.
 */
static bool give_up(struct fake *f, const struct io_uring_sqe *sqe,
		    struct op *op)
{
	const struct fuse_uring_cmd_req *req = (const void *)sqe->cmd;

	if (sqe->cmd_op != FUSE_IO_URING_CMD_REGISTER || req->qid < FAKE_QUEUES)
		return false;
	if (scripted(f, sqe->cmd_op)) {
		complete_first(&f->uring, op, f->script.res);
		return true;
	}
	f->given_up++;
	complete_first(&f->uring, op, -EINVAL);
	return true;
}

static void deliver_pending(struct fake *f);

void fake_command(void *arg, const struct io_uring_sqe *sqe, struct op *op)
{
	struct fake *f = arg;
	const struct fuse_uring_cmd_req *req = (const void *)sqe->cmd;
	struct fake_entry *e;

	if (sqe->opcode != IORING_OP_URING_CMD) {
		slots_hook(&f->uring, sqe, op);
		return;
	}
	ck_assert(sqe->flags & IOSQE_FIXED_FILE);
	ck_assert_int_eq(f->uring.emu.files[sqe->fd], f->session->fd);
	if (queue_command(f, sqe, op) || give_up(f, sqe, op))
		return;
	e = by_op(f, op);
	ck_assert(!e->held);
	ck_assert_uint_eq(req->flags, 0);
	e->commands++;
	if (sqe->cmd_op == FUSE_IO_URING_CMD_REGISTER) {
		f->registers++;
		take_register(f, e, sqe, req);
		note(f, sqe->cmd_op, req, 0);
	} else {
		ck_assert_uint_eq(sqe->cmd_op,
				  FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
		f->commits++;
		take_commit(f, e, sqe, req);
	}
	if (scripted(f, sqe->cmd_op)) {
		complete_first(&f->uring, op, f->script.res);
		return;
	}
	e->held = true;
	deliver_pending(f);
}

static struct fake_entry *held_entry(struct fake *f, unsigned int i)
{
	for (; i < f->entries_n; i++)
		if (f->entries[i].held)
			return &f->entries[i];
	ck_abort_msg("no entry is held");
	return NULL;
}

static bool is_zero_copied(const struct fake *f, const struct fake_entry *e,
			   const struct fake_msg *m)
{
	if (!f->queues[e->qid].zero_copy || m->copied)
		return false;
	if (m->opcode == FUSE_READ)
		return m->in && ((const struct fuse_read_in *)m->in)->size;
	return m->opcode == FUSE_WRITE && m->data_len;
}

/* Does any byte but the first argument's go by the payload? */
static bool has_payload(const struct fake_msg *m, bool zero_copied)
{
	if (zero_copied)
		return m->opcode == FUSE_WRITE; /* its answer */
	switch (m->opcode) {
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_FSYNC:
	case FUSE_FALLOCATE:
		return m->data_len;
	default:
		return true;
	}
}

/* The lowest free buffer; false: there is none. */
static bool take_buffer(struct fake *f, struct fake_entry *e)
{
	struct fake_queue *q = &f->queues[e->qid];
	unsigned int i, used = 0;

	for (i = 0; i < q->buffers && q->used[i]; i++)
		;
	if (i == q->buffers)
		return false;
	q->used[i] = true;
	e->buffer = (int)i;
	for (i = 0; i < q->buffers; i++)
		used += q->used[i];
	if (used > q->most)
		q->most = used;
	return true;
}

/* The pages of the caller go into the entry's slot. */
static void fill_slot(struct fake_entry *e, const struct fake_msg *m)
{
	size_t len = m->data_len;

	if (m->opcode == FUSE_READ)
		len = ((const struct fuse_read_in *)m->in)->size;
	e->slot = malloc(len);
	ck_assert_ptr_nonnull(e->slot);
	if (m->opcode == FUSE_WRITE)
		fake_put(e->slot, m->data, len);
	else
		memset(e->slot, 0xaa, len);
	slots_set(e->slot_index, e->slot, len,
		  m->opcode == FUSE_READ ? BLOCK_READ : BLOCK_WRITE, false);
}

/* False: there is no buffer for it yet. */
static bool give(struct fake *f, struct fake_entry *e, uint64_t unique,
		 const struct fake_msg *m)
{
	struct fuse_uring_req_header *h = e->iov[0].iov_base;
	struct fuse_in_header in = fake_header(unique, m);
	bool zero_copied = is_zero_copied(f, e, m);

	ck_assert_uint_le(m->in_len, sizeof(h->op_in));
	ck_assert_uint_le(m->data_len, FAKE_MAX_WRITE);
	if (f->queues[e->qid].pool && has_payload(m, zero_copied) &&
	    !take_buffer(f, e))
		return false;
	memset(h, 0xaa, sizeof(*h));
	memcpy(h->in_out, &in, sizeof(in));
	fake_put(h->op_in, m->in, m->in_len);
	e->opcode = m->opcode;
	if (zero_copied)
		fill_slot(e, m);
	else if (m->data_len)
		fake_put(payload_of(f, e), m->data, m->data_len);
	e->commit_id = m->lie_commit ? m->commit_id : unique + 1000000;
	h->ring_ent_in_out = (struct fuse_uring_ent_in_out){
		.flags = zero_copied ? FUSE_URING_ENT_ZERO_COPY : 0,
		.commit_id = e->commit_id,
		.payload_sz =
			m->lie_payload ? m->payload_sz : (uint32_t)m->data_len,
		.offset = e->buffer > 0 ? (uint32_t)e->buffer * FAKE_MAX_WRITE
					: 0,
	};
	if (m->lie_flags)
		h->ring_ent_in_out.flags = m->flags;
	if (m->lie_offset)
		h->ring_ent_in_out.offset = m->offset;
	e->asked = true;
	e->held = false;
	uring_post(&f->uring, e->op, 0);
	return true;
}

static void *keep(const void *bytes, size_t len)
{
	void *copy = malloc(len + 1);

	ck_assert_ptr_nonnull(copy);
	fake_put(copy, bytes, len);
	return copy;
}

void fake_drop_pending(struct fake *f, unsigned int i)
{
	free((void *)(uintptr_t)f->pending[i].m.in);
	free((void *)(uintptr_t)f->pending[i].m.data);
	f->pending_n--;
	memmove(f->pending + i, f->pending + i + 1,
		(f->pending_n - i) * sizeof(*f->pending));
}

/* A buffer or an entry may have come free: to the oldest that can use it. */
static void deliver_pending(struct fake *f)
{
	unsigned int i, j;

	for (i = 0; i < f->pending_n;) {
		struct fake_pending *p = &f->pending[i];
		uint16_t qid = f->entries[p->m.entry].qid;
		bool given = false;

		for (j = 0; j < f->entries_n && !given; j++)
			given = f->entries[j].held &&
				f->entries[j].qid == qid &&
				give(f, &f->entries[j], p->unique, &p->m);
		if (given)
			fake_drop_pending(f, i);
		else
			i++;
	}
}

void fake_send_ring(struct fake *f, const struct fake_msg *m)
{
	struct fake_entry *e = held_entry(f, m->entry);
	struct fake_pending *p;

	if (give(f, e, f->unique, m))
		return;
	ck_assert_uint_lt(f->pending_n, FAKE_PENDING);
	p = &f->pending[f->pending_n++];
	*p = (struct fake_pending){ *m, f->unique };
	p->m.in = keep(m->in, m->in_len);
	p->m.data = keep(m->data, m->data_len);
	f->waited++;
}

void fake_end_command(struct fake *f, unsigned int i, int res)
{
	ck_assert_uint_lt(i, f->entries_n);
	ck_assert(f->entries[i].held);
	f->entries[i].held = false;
	uring_post(&f->uring, f->entries[i].op, res);
}

void fake_end_all(struct fake *f, int res)
{
	unsigned int i;

	for (i = 0; i < f->entries_n; i++)
		if (f->entries[i].held)
			fake_end_command(f, i, res);
}

struct fake_entry *fake_entry_of(struct fake *f, uint64_t unique)
{
	unsigned int i;

	for (i = 0; i < f->entries_n; i++)
		if (f->entries[i].asked &&
		    f->entries[i].commit_id == unique + 1000000)
			return &f->entries[i];
	ck_abort_msg("no entry has request %llu", (unsigned long long)unique);
	return NULL;
}

unsigned int fake_held(const struct fake *f)
{
	unsigned int i, n = 0;

	for (i = 0; i < f->entries_n; i++)
		n += f->entries[i].held;
	return n;
}

void fake_check_states(const struct fake *f, enum entry_state state,
		       unsigned int n)
{
	unsigned int i, sum = 0;

	for (i = 0; i < ENTRY_STATES; i++)
		sum += ring_count(f->session->ring, i);
	ck_assert_uint_eq(sum, FAKE_ENTRIES);
	ck_assert_msg(ring_count(f->session->ring, state) == n,
		      "%u entries are %s, not %u",
		      ring_count(f->session->ring, state),
		      ring_state_name(state), n);
}

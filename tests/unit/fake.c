/* The kernel's side of a session, faked. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"
#include "fake.h"

#define SOCKET_ROOM (1 << 20)

static struct fake_entry *by_op(struct fake *f, struct op *op)
{
	unsigned int i;

	for (i = 0; i < f->entries_n; i++)
		if (f->entries[i].op == op)
			return &f->entries[i];
	ck_assert_uint_lt(f->entries_n, FAKE_ENTRIES);
	f->entries[f->entries_n].op = op;
	return &f->entries[f->entries_n++];
}

static void add_answer(struct fake *f, const struct fuse_out_header *out,
		       const void *data)
{
	struct fake_answer *a;

	ck_assert_uint_lt(f->answers_n, FAKE_ANSWERS);
	ck_assert_uint_ge(out->len, sizeof(*out));
	ck_assert_int_le(out->error, 0);
	ck_assert_int_gt(out->error, -512);
	ck_assert_ptr_null(fake_find(f, out->unique));
	a = &f->answers[f->answers_n++];
	a->unique = out->unique;
	a->error = out->error;
	a->len = out->len - sizeof(*out);
	if (a->error)
		ck_assert_uint_eq(a->len, 0);
	a->data = malloc(a->len + 1);
	ck_assert_ptr_nonnull(a->data);
	memcpy(a->data, data, a->len);
}

static void take_register(struct fake_entry *e, const struct io_uring_sqe *sqe,
			  const struct fuse_uring_cmd_req *req)
{
	const struct iovec *iov = (const void *)(uintptr_t)sqe->addr;

	ck_assert_uint_eq(sqe->len, 2);
	ck_assert_uint_eq(req->commit_id, 0);
	ck_assert(!e->committed && !e->asked);
	ck_assert_uint_ge(iov[0].iov_len, sizeof(struct fuse_uring_req_header));
	ck_assert_uint_ge(iov[1].iov_len, FUSE_MIN_PAYLOAD);
	e->iov = iov;
	e->qid = req->qid;
}

static void take_commit(struct fake *f, struct fake_entry *e,
			const struct fuse_uring_cmd_req *req)
{
	const struct fuse_uring_req_header *h = e->iov[0].iov_base;
	struct fuse_out_header out;

	ck_assert_uint_eq(req->qid, e->qid);
	ck_assert_uint_eq(req->commit_id, e->commit_id);
	e->committed = true;
	if (!e->asked) /* the same again, after EAGAIN */
		return;
	e->asked = false;
	memcpy(&out, h->in_out, sizeof(out));
	ck_assert_uint_eq(out.len, sizeof(out) + h->ring_ent_in_out.payload_sz);
	ck_assert_uint_le(h->ring_ent_in_out.payload_sz, e->iov[1].iov_len);
	add_answer(f, &out, e->iov[1].iov_base);
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

/* ADD_QUEUE and ADD_BUFPOOL: answered at once. */
static bool queue_command(struct fake *f, const struct io_uring_sqe *sqe,
			  struct op *op)
{
	if (sqe->opcode != IORING_OP_URING_CMD ||
	    (sqe->cmd_op != FUSE_IO_URING_CMD_ADD_QUEUE &&
	     sqe->cmd_op != FUSE_IO_URING_CMD_ADD_BUFPOOL))
		return false;
	complete_first(&f->uring, op, scripted(f, sqe->cmd_op) ?
					      f->script.res :
					      -EOPNOTSUPP);
	return true;
}

static void command(void *arg, const struct io_uring_sqe *sqe, struct op *op)
{
	struct fake *f = arg;
	const struct fuse_uring_cmd_req *req = (const void *)sqe->cmd;
	struct fake_entry *e;

	if (queue_command(f, sqe, op))
		return;
	e = by_op(f, op);
	ck_assert(!e->held);
	ck_assert(sqe->flags & IOSQE_FIXED_FILE);
	ck_assert_int_eq(f->uring.emu.files[sqe->fd], f->session->fd);
	ck_assert_uint_eq(req->flags, 0);
	e->commands++;
	if (sqe->cmd_op == FUSE_IO_URING_CMD_REGISTER) {
		f->registers++;
		take_register(e, sqe, req);
	} else {
		ck_assert_uint_eq(sqe->cmd_op,
				  FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
		f->commits++;
		take_commit(f, e, req);
	}
	if (scripted(f, sqe->cmd_op))
		complete_first(&f->uring, op, f->script.res);
	else
		e->held = true;
}

static void on_ready(struct session *s)
{
	((struct fake *)s->arg)->ready++;
}

static void on_end(struct session *s)
{
	struct fake *f = s->arg;

	f->ended++;
	f->busy_at_end = f->busy_at_end || s->stats.in_flight;
}

static void on_broken(struct session *s)
{
	((struct fake *)s->arg)->broken++;
}

struct fake_config fake_config(void)
{
	return (struct fake_config){
		.session = { .io_uring = URING_AUTO,
			     .queue_depth = FAKE_DEPTH,
			     .queues = FAKE_QUEUES,
			     .max_write = FAKE_MAX_WRITE,
			     .allow_other = true },
		.init_flags = FAKE_RING_FLAGS,
	};
}

static int make_socket(struct fake *f)
{
	int fds[2], room = SOCKET_ROOM, i;

	ck_assert_int_eq(
		socketpair(AF_UNIX,
			   SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   fds),
		0);
	for (i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	f->fd = fds[0];
	return fds[1];
}

struct fake *fake_new(const struct fake_config *cfg)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct block_options opt = { .path = DRIVER_PATH,
				     .format = "null",
				     .read_only = cfg->read_only,
				     .growable = cfg->growable };
	const struct fake_answer *a;

	signal(SIGPIPE, SIG_IGN);
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(uring_init_emulated(&f->uring, 16), 0);
	f->uring.sqe128 = !cfg->no_ring;
	f->uring.emu.cmd_hook = command;
	f->uring.emu.cmd_arg = f;
	ck_assert_int_eq(loop_init(&f->loop, &f->uring), 0);
	f->block = block_open(&f->uring, &opt);
	ck_assert_ptr_nonnull(f->block);
	f->session =
		session_new(&f->loop, f->block, &cfg->session, make_socket(f));
	ck_assert_ptr_nonnull(f->session);
	f->session->arg = f;
	f->session->on_ready = on_ready;
	f->session->on_end = on_end;
	f->session->on_broken = on_broken;
	session_start(f->session);
	if (cfg->no_init)
		return f;
	a = fake_init(f, FUSE_MAJOR, FUSE_MINOR, cfg->init_flags,
		      sizeof(struct fuse_init_in));
	ck_assert_int_eq(a->error, 0);
	return f;
}

/* Also after a test that ends with requests in flight. */
void fake_free(struct fake *f)
{
	unsigned int i;

	driver.hold = false;
	driver_finish_all();
	fake_run(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	fake_end_all(f, -ENOTCONN);
	fake_run(f);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	ck_assert(!f->busy_at_end);
	ck_assert_uint_le(f->ended, 1);
	ck_assert_uint_le(f->broken, 1);
	ck_assert_uint_le(f->ready, 1);
	block_close(f->block);
	loop_exit(&f->loop);
	uring_exit(&f->uring);
	session_free(f->session);
	for (i = 0; i < f->answers_n; i++)
		free(f->answers[i].data);
	free(f);
}

/* Takes what the server wrote to the socket. */
static void read_answers(struct fake *f)
{
	static uint8_t buf[SOCKET_ROOM];
	struct fuse_out_header out;
	ssize_t n;

	while (f->fd >= 0 && (n = recv(f->fd, buf, sizeof(buf), 0)) > 0) {
		ck_assert_uint_ge((size_t)n, sizeof(out));
		memcpy(&out, buf, sizeof(out));
		ck_assert_uint_eq(out.len, (size_t)n);
		add_answer(f, &out, buf + sizeof(out));
	}
}

void fake_run(struct fake *f)
{
	unsigned int quiet = 0;
	uint64_t seen;

	while (quiet < 3) {
		seen = f->uring.stats.completions;
		ev_run(f->loop.ev, EVRUN_NOWAIT);
		if (uring_has_work(&f->uring))
			uring_drain(&f->uring);
		read_answers(f);
		quiet = seen == f->uring.stats.completions ? quiet + 1 : 0;
	}
}

void fake_raw(struct fake *f, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(f->fd, bytes, len, 0), (ssize_t)len);
}

static struct fuse_in_header header(const struct fake *f,
				    const struct fake_msg *m)
{
	struct fuse_in_header in = {
		.opcode = m->opcode,
		.unique = f->unique,
		.nodeid = FUSE_ROOT_NODE,
		.uid = 1,
		.gid = 2,
		.pid = 3,
	};

	in.len = (uint32_t)(sizeof(in) + m->in_len + m->data_len);
	if (m->lie_len)
		in.len = m->len;
	return in;
}

/* An argument's bytes; zeros if the test did not care. */
static void put(uint8_t *to, const void *from, size_t len)
{
	if (from)
		memcpy(to, from, len);
	else
		memset(to, 0, len);
}

static void send_dev(struct fake *f, const struct fake_msg *m)
{
	struct fuse_in_header in = header(f, m);
	uint8_t *buf = malloc(sizeof(in) + m->in_len + m->data_len);

	ck_assert_ptr_nonnull(buf);
	memcpy(buf, &in, sizeof(in));
	put(buf + sizeof(in), m->in, m->in_len);
	put(buf + sizeof(in) + m->in_len, m->data, m->data_len);
	fake_raw(f, buf, sizeof(in) + m->in_len + m->data_len);
	free(buf);
}

static struct fake_entry *held_entry(struct fake *f, unsigned int i)
{
	for (; i < f->entries_n; i++)
		if (f->entries[i].held)
			return &f->entries[i];
	ck_abort_msg("no entry is held");
	return NULL;
}

static void send_ring(struct fake *f, const struct fake_msg *m)
{
	struct fake_entry *e = held_entry(f, m->entry);
	struct fuse_uring_req_header *h = e->iov[0].iov_base;
	struct fuse_in_header in = header(f, m);

	ck_assert_uint_le(m->in_len, sizeof(h->op_in));
	ck_assert_uint_le(m->data_len, e->iov[1].iov_len);
	memset(h, 0xaa, sizeof(*h));
	memcpy(h->in_out, &in, sizeof(in));
	put(h->op_in, m->in, m->in_len);
	put(e->iov[1].iov_base, m->data, m->data_len);
	e->commit_id = m->lie_commit ? m->commit_id : f->unique + 1000000;
	h->ring_ent_in_out = (struct fuse_uring_ent_in_out){
		.commit_id = e->commit_id,
		.payload_sz =
			m->lie_payload ? m->payload_sz : (uint32_t)m->data_len,
	};
	e->asked = true;
	e->held = false;
	uring_post(&f->uring, e->op, 0);
}

uint64_t fake_send(struct fake *f, enum fake_way way,
		   const struct fake_msg *msg)
{
	f->unique += 2; /* as the kernel numbers them */
	if (way == FAKE_DEV)
		send_dev(f, msg);
	else
		send_ring(f, msg);
	return f->unique;
}

const struct fake_answer *fake_find(const struct fake *f, uint64_t unique)
{
	unsigned int i;

	for (i = 0; i < f->answers_n; i++)
		if (f->answers[i].unique == unique)
			return &f->answers[i];
	return NULL;
}

const struct fake_answer *fake_call(struct fake *f, enum fake_way way,
				    const struct fake_msg *msg)
{
	const struct fake_answer *a;
	uint64_t unique = fake_send(f, way, msg);

	fake_run(f);
	a = fake_find(f, unique);
	ck_assert_msg(a, "opcode %u by %s: no answer came", msg->opcode,
		      way == FAKE_DEV ? "/dev/fuse" : "the ring");
	return a;
}

const struct fake_answer *fake_ask(struct fake *f, enum fake_way way,
				   uint32_t opcode, const void *in,
				   size_t in_len)
{
	struct fake_msg m = { .opcode = opcode, .in = in, .in_len = in_len };

	return fake_call(f, way, &m);
}

const struct fake_answer *fake_init(struct fake *f, uint32_t major,
				    uint32_t minor, uint64_t flags, size_t len)
{
	struct fuse_init_in in = { .major = major,
				   .minor = minor,
				   .max_readahead = 131072,
				   .flags = (uint32_t)flags,
				   .flags2 = (uint32_t)(flags >> 32) };

	return fake_ask(f, FAKE_DEV, FUSE_INIT, &in, len);
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

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
#include "block/bounce.h"
#include "fake_int.h"
#include "fuse/payload.h"
#include "slots.h"

#define SOCKET_ROOM (1 << 20)

void fake_add_answer(struct fake *f, const struct fuse_out_header *out,
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
	if (a->len)
		memcpy(a->data, data, a->len);
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
			     .allow_other = true,
			     .uid = getuid(),
			     .gid = getgid() },
		.init_flags = FAKE_RING_FLAGS,
	};
}

const char *const fake_mode_names[FAKE_MODES] = {
	[FAKE_ENTRY] = "entry",
	[FAKE_POOL] = "pool",
	[FAKE_FIXED_POOL] = "registered-pool",
	[FAKE_ZERO_COPY] = "zero-copy,pool",
	[FAKE_ZERO_COPY_FIXED] = "zero-copy,registered-pool",
};

struct fake_config fake_config_of(enum fake_mode mode)
{
	struct fake_config cfg = fake_config();

	cfg.init_flags = FAKE_POOL_FLAGS;
	if (mode < FAKE_ZERO_COPY)
		cfg.session.zero_copy = ZERO_COPY_OFF;
	if (mode == FAKE_ENTRY)
		cfg.session.buffer_pool = BUFFER_POOL_OFF;
	else if (mode == FAKE_POOL)
		cfg.buffer_error = -ENOMEM;
	else if (mode == FAKE_ZERO_COPY_FIXED)
		cfg.session.buffer_pool = FAKE_DEPTH * FAKE_MAX_WRITE;
	return cfg;
}

const char *fake_payloads(const struct fake *f)
{
	return payload_name(ring_payload(f->session->ring));
}

const char *fake_why(const struct fake *f)
{
	const char *why = ring_payload(f->session->ring)->why;

	return why ? why : "";
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
	slots_start(&f->uring);
	f->uring.emu.buffer_error = cfg->buffer_error;
	f->unprivileged = cfg->unprivileged;
	f->bounce = opt.bounce = bounce_new(&f->uring);
	f->uring.sqe128 = !cfg->no_ring;
	f->uring.emu.cmd_hook = fake_command;
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
	for (i = 0; i < f->entries_n; i++)
		free(f->entries[i].slot);
	while (f->pending_n)
		fake_drop_pending(f, 0);
	bounce_free(f->bounce);
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
		fake_add_answer(f, &out, buf + sizeof(out));
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

struct fuse_in_header fake_header(uint64_t unique, const struct fake_msg *m)
{
	struct fuse_in_header in = {
		.opcode = m->opcode,
		.unique = unique,
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
void fake_put(uint8_t *to, const void *from, size_t len)
{
	if (from)
		memcpy(to, from, len);
	else
		memset(to, 0, len);
}

static void send_dev(struct fake *f, const struct fake_msg *m)
{
	struct fuse_in_header in = fake_header(f->unique, m);
	uint8_t *buf = malloc(sizeof(in) + m->in_len + m->data_len);

	ck_assert_ptr_nonnull(buf);
	memcpy(buf, &in, sizeof(in));
	fake_put(buf + sizeof(in), m->in, m->in_len);
	fake_put(buf + sizeof(in) + m->in_len, m->data, m->data_len);
	fake_raw(f, buf, sizeof(in) + m->in_len + m->data_len);
	free(buf);
}

uint64_t fake_send(struct fake *f, enum fake_way way,
		   const struct fake_msg *msg)
{
	f->unique += 2; /* as the kernel numbers them */
	if (way == FAKE_DEV)
		send_dev(f, msg);
	else
		fake_send_ring(f, msg);
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

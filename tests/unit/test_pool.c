/* How a ring begins where the kernel has buffer pools and zero-copy (7.46). */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "fuse/payload.h"
#include "suites.h"

#define ALWAYS 1000
#define POOL (FAKE_DEPTH * FAKE_MAX_WRITE)

static struct fake *f;

static void setup(void)
{
	capture_start();
	driver_install();
	f = NULL;
}

static void teardown(void)
{
	if (f)
		fake_free(f);
	driver_remove();
}

static void init(void)
{
	const struct fake_answer *a;

	a = fake_init(f, FUSE_MAJOR, FUSE_MINOR, FAKE_POOL_FLAGS,
		      sizeof(struct fuse_init_in));
	ck_assert_int_eq(a->error, 0);
}

static void start(const struct fake_config *cfg)
{
	f = fake_new(cfg);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert(f->session->by_uring);
	ck_assert_uint_eq(capture_lines(), 0);
}

/* More than there are addresses is no room, not a little of it. */
START_TEST(too_much)
{
	struct session_config cfg = { .queues = (1u << 30) + 1,
				      .queue_depth = 1u << 10,
				      .max_write = 1u << 24 };
	struct payload p;

	ck_assert_int_eq(payload_init(&p, &cfg), -ENOMEM);
	ck_assert_ptr_null(p.memory);
}
END_TEST

/* Up to INIT; then the commands @cmd behind @skip, @times of them, end so. */
static void start_with(struct fake_config cfg, uint32_t cmd, unsigned int skip,
		       unsigned int times, int res)
{
	cfg.no_init = true;
	f = fake_new(&cfg);
	f->script = (struct fake_script){ cmd, skip, times, res };
	init();
}

static void works_by(enum fake_way way)
{
	struct fuse_write_in w = { .offset = 8192, .size = 512 };
	struct fuse_read_in r = { .offset = 8192, .size = 512 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data = "it works",
			      .data_len = 512 };
	uint8_t data[512] = "it works";
	const struct fake_answer *a;

	m.data = data;
	ck_assert_int_eq(fake_call(f, way, &m)->error, 0);
	a = fake_ask(f, way, FUSE_READ, &r, sizeof(r));
	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, sizeof(data));
	ck_assert(!memcmp(a->data, data, sizeof(data)));
}

static void check_log(unsigned int at, uint32_t cmd, uint64_t flags, int res)
{
	unsigned int i;

	for (i = 0; i < FAKE_QUEUES; i++) {
		ck_assert_uint_lt(at + i, f->log_n);
		ck_assert_uint_eq(f->log[at + i].cmd, cmd);
		ck_assert_uint_eq(f->log[at + i].qid, i);
		ck_assert_uint_eq(f->log[at + i].flags, flags);
		ck_assert_int_eq(f->log[at + i].res, res);
	}
}

static void check_registers(unsigned int at)
{
	unsigned int i;

	ck_assert_uint_eq(f->log_n, at + FAKE_ENTRIES);
	for (i = 0; i < FAKE_ENTRIES; i++) {
		ck_assert_uint_eq(f->log[at + i].cmd,
				  FUSE_IO_URING_CMD_REGISTER);
		ck_assert_uint_eq(f->log[at + i].qid, i / FAKE_DEPTH);
	}
	ck_assert_uint_eq(f->registers, FAKE_ENTRIES);
}

/* Each stage over before the next one, each with what belongs to it. */
START_TEST(stages)
{
	struct fake_config cfg = fake_config_of(_i);
	bool zero_copy = _i >= FAKE_ZERO_COPY;
	bool fixed = _i == FAKE_FIXED_POOL || _i == FAKE_ZERO_COPY_FIXED;
	unsigned int i;

	start(&cfg);
	ck_assert_str_eq(fake_payloads(f), fake_mode_names[_i]);
	ck_assert(f->session->zero_copy == zero_copy);
	/* Zero-copy with pools that are not registered is as good as any. */
	ck_assert_int_eq(!*fake_why(f), zero_copy);
	if (_i == FAKE_ENTRY) {
		check_registers(0);
		works_by(FAKE_RING);
		return;
	}
	check_log(0, FUSE_IO_URING_CMD_ADD_QUEUE, zero_copy, 0);
	check_log(FAKE_QUEUES, FUSE_IO_URING_CMD_ADD_BUFPOOL, 0, 0);
	check_registers(2 * FAKE_QUEUES);
	for (i = 0; i < FAKE_QUEUES; i++) {
		ck_assert_uint_eq(f->queues[i].pool_len, POOL);
		ck_assert_uint_eq(f->queues[i].fixed,
				  !fixed    ? 0 :
				  zero_copy ? FAKE_ENTRIES + 1 :
					      1);
	}
	ck_assert_ptr_eq(f->queues[1].pool, f->queues[0].pool + POOL);
	for (i = 0; zero_copy && i < FAKE_ENTRIES; i++)
		ck_assert_uint_eq(f->entries[i].slot_index, i);
	works_by(FAKE_RING);
	works_by(FAKE_DEV);
}
END_TEST

static const struct {
	uint64_t asked, gets;
} sizes[] = {
	{ 1, FAKE_MAX_WRITE },
	{ FAKE_MAX_WRITE, FAKE_MAX_WRITE },
	{ 2 * FAKE_MAX_WRITE - 1, FAKE_MAX_WRITE },
	{ 3 * FAKE_MAX_WRITE, 3 * FAKE_MAX_WRITE },
	{ POOL + 1, POOL },
	{ 1ULL << 40, POOL },
	{ UINT64_MAX - 1, POOL },
};

/* Whole buffers, at least one, at most one for each entry; registered. */
START_TEST(sizes_asked)
{
	struct fake_config cfg = fake_config_of(FAKE_FIXED_POOL);

	cfg.session.buffer_pool = sizes[_i].asked;
	start(&cfg);
	ck_assert_uint_eq(f->queues[0].pool_len, sizes[_i].gets);
	ck_assert_str_eq(fake_payloads(f), "registered-pool");
	works_by(FAKE_RING);
}
END_TEST

/* The kernel of before: nothing is tried. */
START_TEST(no_pools_in_the_kernel)
{
	struct fake_config cfg = fake_config_of(FAKE_ZERO_COPY);

	cfg.init_flags = FAKE_RING_FLAGS;
	start(&cfg);
	check_registers(0);
	ck_assert_str_eq(fake_payloads(f), "entry");
	ck_assert_ptr_nonnull(strstr(fake_why(f), "Linux 7.3"));
	works_by(FAKE_RING);
}
END_TEST

/*
 * Without the right to zero-copy: the same queues without. That is the reason
 * told, also where the pools cannot be registered.
 */
START_TEST(not_permitted)
{
	struct fake_config cfg = fake_config_of(FAKE_ZERO_COPY);

	cfg.unprivileged = true;
	cfg.buffer_error = _i ? -ENOMEM : 0;
	start(&cfg);
	check_log(0, FUSE_IO_URING_CMD_ADD_QUEUE, 1, -EPERM);
	check_log(FAKE_QUEUES, FUSE_IO_URING_CMD_ADD_QUEUE, 0, 0);
	check_log(2 * FAKE_QUEUES, FUSE_IO_URING_CMD_ADD_BUFPOOL, 0, 0);
	check_registers(3 * FAKE_QUEUES);
	ck_assert_str_eq(fake_payloads(f), _i ? "pool" : "registered-pool");
	ck_assert_ptr_nonnull(strstr(fake_why(f), "CAP_SYS_ADMIN"));
	ck_assert(!f->session->zero_copy);
	works_by(FAKE_RING);
}
END_TEST

/* It cannot go on, and says so once. */
static void refused(void)
{
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(f->registers, 0);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count("zero-copy"), 1);
}

enum {
	ON_UNPRIVILEGED,
	ON_OLD_KERNEL,
	ON_NO_POOLS,
	ON_NO_QUEUES,
	ON_SOME_QUEUES,
	ON_NO_BUFPOOLS,
	ON_SOME_BUFPOOLS,
	ON_NOT_OFFERED,
	ON_NO_RING,
	ON_URING_OFF,
	ON_CASES
};

/* --zero-copy=on: with it or not at all. */
START_TEST(insisted)
{
	struct fake_config cfg = fake_config_of(FAKE_ZERO_COPY);

	cfg.session.zero_copy = ZERO_COPY_ON;
	cfg.no_init = true;
	cfg.unprivileged = _i == ON_UNPRIVILEGED;
	cfg.no_ring = _i == ON_NO_RING;
	if (_i == ON_NO_POOLS)
		cfg.session.buffer_pool = BUFFER_POOL_OFF;
	if (_i == ON_URING_OFF)
		cfg.session.io_uring = URING_OFF;
	f = fake_new(&cfg);
	if (_i == ON_NO_QUEUES || _i == ON_SOME_QUEUES)
		f->script = (struct fake_script){ FUSE_IO_URING_CMD_ADD_QUEUE,
						  _i == ON_SOME_QUEUES, ALWAYS,
						  -ENOMEM };
	if (_i == ON_NO_BUFPOOLS || _i == ON_SOME_BUFPOOLS)
		f->script = (struct fake_script){ FUSE_IO_URING_CMD_ADD_BUFPOOL,
						  _i == ON_SOME_BUFPOOLS,
						  ALWAYS, -ENOMEM };
	fake_init(f, FUSE_MAJOR, FUSE_MINOR,
		  _i == ON_OLD_KERNEL	 ? FAKE_RING_FLAGS
		  : _i == ON_NOT_OFFERED ? FUSE_INIT_EXT
					 : FAKE_POOL_FLAGS,
		  sizeof(struct fuse_init_in));
	refused();
}
END_TEST

START_TEST(insisted_and_had)
{
	struct fake_config cfg = fake_config_of(FAKE_ZERO_COPY);

	cfg.session.zero_copy = ZERO_COPY_ON;
	start(&cfg);
	ck_assert_str_eq(fake_payloads(f), "zero-copy,pool");
	works_by(FAKE_RING);
}
END_TEST

static const enum fake_mode with_pools[] = { FAKE_POOL, FAKE_FIXED_POOL,
					     FAKE_ZERO_COPY,
					     FAKE_ZERO_COPY_FIXED };

/* No queue can be added: what worked before 7.46 still does. */
START_TEST(no_queue)
{
	start_with(fake_config_of(with_pools[_i]), FUSE_IO_URING_CMD_ADD_QUEUE,
		   0, ALWAYS, -EOPNOTSUPP);
	ck_assert_str_eq(fake_payloads(f), "entry");
	ck_assert_uint_eq(f->ready, 1);
	ck_assert(f->session->by_uring && !f->session->zero_copy);
	ck_assert_uint_eq(capture_lines(), 0);
	works_by(FAKE_RING);
}
END_TEST

/* Some are there and some are not: /dev/fuse, or an error if that is no way. */
static void half_way(bool must)
{
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(f->registers, 0);
	ck_assert(!f->session->by_uring && !f->session->zero_copy);
	ck_assert_uint_eq(f->ready, !must);
	ck_assert_uint_eq(f->broken, must);
	/* Else the kernel would wait for the ring, and all callers with it. */
	ck_assert_uint_eq(f->given_up, 1);
	if (!must)
		works_by(FAKE_DEV);
}

START_TEST(some_queues)
{
	struct fake_config cfg = fake_config_of(with_pools[_i / 2]);

	if (_i % 2)
		cfg.session.io_uring = URING_ON;
	start_with(cfg, FUSE_IO_URING_CMD_ADD_QUEUE, 1, 1, -ENOMEM);
	half_way(_i % 2);
}
END_TEST

START_TEST(some_bufpools)
{
	struct fake_config cfg = fake_config_of(with_pools[_i / 2]);

	if (_i % 2)
		cfg.session.io_uring = URING_ON;
	start_with(cfg, FUSE_IO_URING_CMD_ADD_BUFPOOL, 1, 1, -ENOMEM);
	half_way(_i % 2);
}
END_TEST

/* A zero-copied queue without a pool is good for nothing. */
START_TEST(no_bufpool)
{
	start_with(fake_config_of(with_pools[_i]),
		   FUSE_IO_URING_CMD_ADD_BUFPOOL, 0, ALWAYS, -EINVAL);
	if (with_pools[_i] >= FAKE_ZERO_COPY) {
		half_way(false);
		return;
	}
	ck_assert_str_eq(fake_payloads(f), "entry");
	ck_assert(f->session->by_uring);
	ck_assert_uint_eq(capture_lines(), 0);
	works_by(FAKE_RING);
}
END_TEST

static const uint32_t commands[] = { FUSE_IO_URING_CMD_ADD_QUEUE,
				     FUSE_IO_URING_CMD_ADD_BUFPOOL,
				     FUSE_IO_URING_CMD_REGISTER,
				     FUSE_IO_URING_CMD_COMMIT_AND_FETCH };
static const int again[] = { -EAGAIN, -EINTR };

#define CASES(n) ((n) * (int)COUNT(with_pools))

/* Whatever comes in vain is given again, with all that belongs to it. */
START_TEST(once_more)
{
	enum fake_mode mode = with_pools[_i % (int)COUNT(with_pools)];
	int n = _i / (int)COUNT(with_pools);

	start_with(fake_config_of(mode), commands[n / 2], 1, 3, again[n % 2]);
	ck_assert_uint_eq(f->ready, 1);
	works_by(FAKE_RING);
	works_by(FAKE_RING);
	ck_assert_uint_eq(f->script.times, 0);
	ck_assert_str_eq(fake_payloads(f), fake_mode_names[mode]);
	ck_assert_uint_eq(capture_lines(), 0);
	works_by(FAKE_RING);
}
END_TEST

static const int ends[] = { -ENOTCONN, -ECONNABORTED, -ECANCELED };

/* The mount goes while the ring begins: no error, and no service. */
START_TEST(end_while_it_begins)
{
	enum fake_mode mode = with_pools[_i % (int)COUNT(with_pools)];
	int n = _i / (int)COUNT(with_pools);
	struct fake_config cfg = fake_config_of(mode);

	if (_i % 2)
		cfg.session.zero_copy = ZERO_COPY_ON;
	if (mode < FAKE_ZERO_COPY)
		cfg.session.zero_copy = ZERO_COPY_OFF;
	start_with(cfg, commands[n / 6], n / 3 % 2, ALWAYS, ends[n % 3]);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->broken, 0);
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(capture_lines(), 0);
	if (commands[n / 6] != FUSE_IO_URING_CMD_REGISTER)
		ck_assert_uint_eq(f->registers, 0);
}
END_TEST

/* The table of registered buffers has room for so many. */
static const struct {
	unsigned int queues, depth;
	const char *name, *fixed;
} tables[] = {
	{ 1, 1, "zero-copy,pool", "zero-copy,registered-pool" },
	{ 16, 1023, "zero-copy,pool", "zero-copy,registered-pool" },
	{ 3, 5461, "zero-copy,pool", "zero-copy,registered-pool" }, /* 16383 */
	{ 16, 1024, "zero-copy,pool", "zero-copy,pool" },
	{ 5, 3277, "registered-pool", "registered-pool" }, /* 16385 */
	{ 64, 1024, "pool", "registered-pool" },
};

START_TEST(table)
{
	struct session_config cfg = { .queues = tables[_i].queues,
				      .queue_depth = tables[_i].depth,
				      .max_write = 4096 };
	struct payload p;
	struct uring u;

	ck_assert_int_eq(uring_init_emulated(&u, 8), 0);
	ck_assert_int_eq(payload_init(&p, &cfg), 0);
	ck_assert_uint_eq(p.size, FUSE_MIN_PAYLOAD);
	ck_assert_str_eq(payload_name(&p), "entry");
	payload_choose(&p, &cfg, &u, true);
	ck_assert_uint_le(p.table, 16384);
	payload_fix(&p, &cfg, &u);
	ck_assert_str_eq(payload_name(&p), tables[_i].name);
	payload_exit(&p);

	cfg.buffer_pool = FUSE_MIN_PAYLOAD;
	ck_assert_int_eq(payload_init(&p, &cfg), 0);
	payload_choose(&p, &cfg, &u, true);
	payload_fix(&p, &cfg, &u);
	ck_assert_str_eq(payload_name(&p), tables[_i].fixed);
	if (payload_fixed(&p))
		ck_assert_uint_le(payload_fixed(&p), p.table);
	payload_exit(&p);
	uring_exit(&u);
}
END_TEST

/* What is pinned is bounded, if nobody asked for more. */
START_TEST(pins_little)
{
	struct session_config cfg = { .queues = 4,
				      .queue_depth = 64,
				      .max_write = 1 << 20,
				      .zero_copy = ZERO_COPY_OFF };
	struct payload p;
	struct uring u;

	ck_assert_int_eq(uring_init_emulated(&u, 8), 0);
	ck_assert_int_eq(payload_init(&p, &cfg), 0);
	payload_choose(&p, &cfg, &u, true);
	payload_fix(&p, &cfg, &u);
	ck_assert_str_eq(payload_name(&p), "pool");
	ck_assert_ptr_nonnull(strstr(p.why, "pin"));
	ck_assert_uint_eq(p.pool, 32 << 20);
	ck_assert_ptr_eq(payload_pool(&p, 3), p.memory + 3 * p.pool);
	payload_exit(&p);
	uring_exit(&u);
}
END_TEST

/* A length that ADD_BUFPOOL can say; 32 bits have no room for so much. */
START_TEST(pool_of_4g)
{
	struct session_config cfg = { .queues = 1,
				      .queue_depth = 8192,
				      .max_write = 1 << 20,
				      .buffer_pool = 8ULL << 30,
				      .zero_copy = ZERO_COPY_OFF };
	struct payload p;
	struct uring u;
	int err;

	ck_assert_int_eq(uring_init_emulated(&u, 8), 0);
	err = payload_init(&p, &cfg);
	if (SIZE_MAX == UINT32_MAX) {
		ck_assert_int_eq(err, -ENOMEM);
	} else {
		ck_assert_int_eq(err, 0);
		payload_choose(&p, &cfg, &u, true);
		ck_assert_uint_eq(p.pool, (4095ULL << 20));
		payload_exit(&p);
	}
	uring_exit(&u);
}
END_TEST

static const struct {
	int err;
	const char *why;
} not_registered[] = {
	{ -ENOMEM, "ulimit -l" },
	{ -EFAULT, "too large" },
};

START_TEST(why_not_registered)
{
	struct session_config cfg = { .queues = 2,
				      .queue_depth = 4,
				      .max_write = 1 << 20,
				      .buffer_pool = 1 << 20,
				      .zero_copy = ZERO_COPY_OFF };
	struct payload p;
	struct uring u;

	ck_assert_int_eq(uring_init_emulated(&u, 8), 0);
	u.emu.buffer_error = not_registered[_i].err;
	ck_assert_int_eq(payload_init(&p, &cfg), 0);
	payload_choose(&p, &cfg, &u, true);
	payload_fix(&p, &cfg, &u);
	ck_assert_str_eq(payload_name(&p), "pool");
	ck_assert_ptr_nonnull(strstr(p.why, not_registered[_i].why));
	payload_exit(&p);
	uring_exit(&u);
}
END_TEST

Suite *suite_pool(void)
{
	TCase *tc;
	Suite *s = suite_of("pool", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, stages, 0, FAKE_MODES);
	tcase_add_loop_test(tc, sizes_asked, 0, COUNT(sizes));
	tcase_add_test(tc, too_much);
	tcase_add_test(tc, no_pools_in_the_kernel);
	tcase_add_loop_test(tc, not_permitted, 0, 2);
	tcase_add_loop_test(tc, insisted, 0, ON_CASES);
	tcase_add_test(tc, insisted_and_had);
	tcase_add_loop_test(tc, no_queue, 0, COUNT(with_pools));
	tcase_add_loop_test(tc, some_queues, 0, CASES(2));
	tcase_add_loop_test(tc, some_bufpools, 0, CASES(2));
	tcase_add_loop_test(tc, no_bufpool, 0, COUNT(with_pools));
	tcase_add_loop_test(tc, once_more, 0, CASES(8));
	tcase_add_loop_test(tc, end_while_it_begins, 0, CASES(18));
	tcase_add_loop_test(tc, table, 0, COUNT(tables));
	tcase_add_test(tc, pins_little);
	tcase_add_test(tc, pool_of_4g);
	tcase_add_loop_test(tc, why_not_registered, 0, COUNT(not_registered));
	return s;
}

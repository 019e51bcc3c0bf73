/* Ring entries when the kernel refuses, delays or makes no sense. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

static struct fake *f;

/* Up to INIT, which the test sends. */
static void start(enum uring_mode mode)
{
	struct fake_config cfg = fake_config();

	cfg.no_init = true;
	cfg.session.io_uring = mode;
	f = fake_new(&cfg);
}

static void setup(void)
{
	capture_start();
	driver_install();
	start(URING_AUTO);
}

static void teardown(void)
{
	fake_free(f);
	driver_remove();
}

static void restart(enum uring_mode mode)
{
	fake_free(f);
	capture_start();
	start(mode);
}

static void init(void)
{
	const struct fake_answer *a;

	a = fake_init(f, FUSE_MAJOR, FUSE_MINOR, FAKE_RING_FLAGS,
		      sizeof(struct fuse_init_in));
	ck_assert_int_eq(a->error, 0);
}

static void script(uint32_t cmd, unsigned int skip, unsigned int times, int res)
{
	f->script = (struct fake_script){ cmd, skip, times, res };
}

static void works_by(enum fake_way way)
{
	const struct fake_answer *a;

	a = fake_ask(f, way, FUSE_STATFS, NULL, 0);
	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, sizeof(struct fuse_statfs_out));
}

static const int again[] = { -EAGAIN, -EINTR };

/* REGISTERED stays: the same command goes out once more. */
START_TEST(register_again)
{
	script(FUSE_IO_URING_CMD_REGISTER, 1, 5, again[_i]);
	init();
	ck_assert_uint_eq(f->registers, FAKE_ENTRIES + 5);
	fake_check_states(f, ENTRY_REGISTERED, FAKE_ENTRIES);
	ck_assert_uint_eq(fake_held(f), FAKE_ENTRIES);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(f->broken, 0);
	works_by(FAKE_RING);
}
END_TEST

/* COMMIT stays: commit id and answer go out once more. */
START_TEST(commit_again)
{
	init();
	script(FUSE_IO_URING_CMD_COMMIT_AND_FETCH, 0, 7, again[_i]);
	works_by(FAKE_RING);
	ck_assert_uint_eq(f->commits, 8);
	fake_check_states(f, ENTRY_COMMIT, 1);
	ck_assert_uint_eq(f->broken, 0);
	works_by(FAKE_RING);
	ck_assert_uint_eq(f->commits, 9);
}
END_TEST

START_TEST(commit_again_at_the_end)
{
	init();
	works_by(FAKE_RING);
	fake_end_command(f, 5, -ENOTCONN);
	fake_run(f);
	script(FUSE_IO_URING_CMD_COMMIT_AND_FETCH, 0, 1, -ENOTCONN);
	fake_end_command(f, 0, again[_i]);
	fake_run(f);
	fake_check_states(f, ENTRY_DEAD, 2);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->broken, 0);
}
END_TEST

static const int refusals[] = { -EINVAL,     -ENOMEM, -EPERM,
				-EOPNOTSUPP, -EFAULT, -ENOENT };
#define REFUSALS ((int)COUNT(refusals))

/* Which REGISTERs fail: the first, the last, one between, all. */
static const struct {
	unsigned int skip, times;
} which[] = { { 0, 1 },
	      { FAKE_ENTRIES - 1, 1 },
	      { FAKE_DEPTH, 1 },
	      { 0, FAKE_ENTRIES } };
#define WHICH ((int)COUNT(which))

/* Before the file is ready, auto falls back, with one line. */
START_TEST(register_refused_auto)
{
	int err = refusals[_i % REFUSALS];
	unsigned int skip = which[_i / REFUSALS].skip;
	unsigned int times = which[_i / REFUSALS].times;

	script(FUSE_IO_URING_CMD_REGISTER, skip, times, err);
	init();
	fake_check_states(f, ENTRY_DEAD, times);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(f->broken, 0);
	ck_assert_uint_eq(f->ended, 0);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count("/dev/fuse"), 1);
	ck_assert_uint_eq(capture_count(strerror(-err)), 1);
	works_by(FAKE_DEV);
}
END_TEST

/* With --io-uring=on it is an error, with one line. */
START_TEST(register_refused_on)
{
	int err = refusals[_i % REFUSALS];
	unsigned int skip = which[_i / REFUSALS].skip;
	unsigned int times = which[_i / REFUSALS].times;

	restart(URING_ON);
	script(FUSE_IO_URING_CMD_REGISTER, skip, times, err);
	init();
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert(f->session->failed);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count(strerror(-err)), 1);
}
END_TEST

/* Once the file is ready, somebody may wait for that entry. */
START_TEST(register_fails_later)
{
	init();
	ck_assert_uint_eq(f->ready, 1);
	fake_end_command(f, 2, refusals[_i]);
	fake_end_command(f, 3, refusals[_i]);
	fake_run(f);
	fake_check_states(f, ENTRY_DEAD, 2);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->ended, 0);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(capture_lines(), 1);
}
END_TEST

/* A COMMIT that is refused leaves its caller waiting: it must end. */
START_TEST(commit_refused)
{
	init();
	script(FUSE_IO_URING_CMD_COMMIT_AND_FETCH, 0, 1, refusals[_i]);
	works_by(FAKE_RING);
	fake_check_states(f, ENTRY_DEAD, 1);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert(f->session->failed);
	ck_assert_uint_eq(f->ended, 0);
	ck_assert_uint_eq(capture_count(strerror(-refusals[_i])), 1);
	fake_end_all(f, -ENOTCONN);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->broken, 1);
}
END_TEST

/* REGISTERED or COMMIT -> DEAD: a request that cannot be answered. */
START_TEST(no_commit_id)
{
	struct fake_msg m = { .opcode = FUSE_STATFS, .lie_commit = true };
	uint64_t unique;

	init();
	if (_i)
		works_by(FAKE_RING);
	unique = fake_send(f, FAKE_RING, &m);
	fake_run(f);
	ck_assert_ptr_null(fake_find(f, unique));
	fake_check_states(f, ENTRY_DEAD, 1);
	ck_assert_uint_eq(f->commits, _i);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	ck_assert_uint_eq(capture_count("commit id"), 1);
}
END_TEST

START_TEST(no_commit_id_beside_pending)
{
	struct fake_msg m = { .opcode = FUSE_STATFS, .lie_commit = true };
	struct fuse_read_in in = { .size = 4096 };
	struct fake_msg r = { .opcode = FUSE_READ,
			      .in = &in,
			      .in_len = sizeof(in) };
	uint64_t unique;

	init();
	driver.hold = true;
	unique = fake_send(f, FAKE_RING, &r);
	fake_run(f);
	fake_send(f, FAKE_RING, &m);
	fake_run(f);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->ended, 0);
	driver_finish(0);
	fake_run(f);
	/* The connection is still there: the caller gets its answer. */
	ck_assert_ptr_nonnull(fake_find(f, unique));
}
END_TEST

/* The connection is gone before its queues are there: not ready, but over. */
START_TEST(end_while_registering)
{
	script(FUSE_IO_URING_CMD_REGISTER, (unsigned int)_i, FAKE_ENTRIES,
	       -ENOTCONN);
	init();
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(f->broken, 0);
}
END_TEST

Suite *suite_ring_errors(void)
{
	TCase *tc;
	Suite *s = suite_of("ring-errors", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, register_again, 0, COUNT(again));
	tcase_add_loop_test(tc, commit_again, 0, COUNT(again));
	tcase_add_loop_test(tc, commit_again_at_the_end, 0, COUNT(again));
	tcase_add_loop_test(tc, register_refused_auto, 0, REFUSALS * WHICH);
	tcase_add_loop_test(tc, register_refused_on, 0, REFUSALS * WHICH);
	tcase_add_loop_test(tc, register_fails_later, 0, REFUSALS);
	tcase_add_loop_test(tc, commit_refused, 0, REFUSALS);
	tcase_add_loop_test(tc, no_commit_id, 0, 2);
	tcase_add_test(tc, no_commit_id_beside_pending);
	tcase_add_loop_test(tc, end_while_registering, 0, FAKE_ENTRIES);
	return s;
}

/* INTERRUPT: what takes long ends when its caller gets a signal. */
#include "config.h"

#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

#define SIZE (1u << 20)

static struct fake *f;

static void start(bool growable)
{
	struct fake_config cfg = fake_config();

	cfg.growable = growable;
	f = fake_new(&cfg);
}

static void setup(void)
{
	capture_start();
	driver_install();
	start(false);
}

static void teardown(void)
{
	driver.hold = false;
	driver_finish_all();
	fake_run(f);
	ck_assert_ptr_null(f->session->watched);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	ck_assert_uint_eq(f->broken, 0);
	fake_free(f);
	driver_remove();
}

/* It comes by /dev/fuse, whichever way its request came. */
static void interrupt(uint64_t unique)
{
	struct fuse_interrupt_in in = { .unique = unique };
	struct fake_msg m = { .opcode = FUSE_INTERRUPT,
			      .in = &in,
			      .in_len = sizeof(in) };

	/* The number is no request's: those are even. */
	fake_send(f, FAKE_DEV, &m);
	fake_run(f);
}

static uint64_t ask(enum fake_way way, uint32_t opcode, const void *in,
		    size_t len)
{
	struct fake_msg m = { .opcode = opcode, .in = in, .in_len = len };
	uint64_t unique = fake_send(f, way, &m);

	fake_run(f);
	return unique;
}

static uint64_t allocate(enum fake_way way, uint32_t mode)
{
	struct fuse_fallocate_in in = { .length = SIZE, .mode = mode };

	return ask(way, FUSE_FALLOCATE, &in, sizeof(in));
}

static int answer_of(uint64_t unique)
{
	const struct fake_answer *a = fake_find(f, unique);

	ck_assert_ptr_nonnull(a);
	return a->error;
}

static const uint32_t modes[] = {
	0,
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_ZERO_RANGE,
};
#define MODES 4

/* Of several, just the one that is meant is told. */
START_TEST(just_this_one)
{
	enum fake_way way = (enum fake_way)(_i % FAKE_WAYS);
	uint64_t unique[3];
	unsigned int i;

	driver.hold = true;
	for (i = 0; i < 3; i++)
		unique[i] = allocate(way, modes[_i / FAKE_WAYS]);
	ck_assert_uint_eq(driver.held_n, 3);
	interrupt(unique[1]);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(block_is_cancelled(driver.held[i]), i == 1);
	driver_finish_with(1, -EINTR);
	fake_run(f);
	ck_assert_int_eq(answer_of(unique[1]), -EINTR);
	driver_finish_all();
	fake_run(f);
	ck_assert_int_eq(answer_of(unique[0]), 0);
	ck_assert_int_eq(answer_of(unique[2]), 0);
	/* The same entry or buffer again: nobody has interrupted that. */
	unique[0] = allocate(way, 0);
	ck_assert(!block_is_cancelled(driver.held[0]));
}
END_TEST

/* The ring may be slower than /dev/fuse. */
START_TEST(before_its_request)
{
	uint64_t unique;
	unsigned int i;

	interrupt(f->unique + 4);
	for (i = 1; i < SESSION_EARLY; i++)
		interrupt(1000001 + 2 * i);
	f->unique -= 2 * (SESSION_EARLY - 1);
	unique = allocate(_i, 0);
	ck_assert_int_eq(answer_of(unique), -EINTR);
	ck_assert_uint_eq(driver.started_n, 0);
	unique = allocate(_i, 0);
	ck_assert_int_eq(answer_of(unique), 0);
}
END_TEST

/* What waits for others is answered before they are. */
START_TEST(while_it_waits)
{
	struct fuse_setattr_in larger = { .valid = FATTR_SIZE,
					  .size = 2 * SIZE };
	struct fuse_write_in w = { .size = 8 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = 8 };
	uint64_t first, cut, behind;

	fake_free(f);
	start(true);
	driver.hold = true;
	first = fake_send(f, _i, &m);
	fake_run(f);
	cut = ask(_i, FUSE_SETATTR, &larger, sizeof(larger));
	behind = allocate(_i, 0);
	ck_assert_uint_eq(driver.held_n, 1);
	interrupt(cut);
	ck_assert_int_eq(answer_of(cut), -EINTR);
	ck_assert_uint_eq(driver.held_n, 2); /* nothing waits any more */
	ck_assert_uint_eq(f->block->size, SIZE);
	driver_finish_all();
	fake_run(f);
	ck_assert_int_eq(answer_of(first), 0);
	ck_assert_int_eq(answer_of(behind), 0);
}
END_TEST

static unsigned int sizes_told;

static void on_size(struct session *session)
{
	(void)session;
	sizes_told++;
}

/* A disk that is being emptied: between steps, by each way to do it. */
START_TEST(emptying)
{
	static const enum block_type ways[] = { BLOCK_DISCARD, BLOCK_ZERO,
						BLOCK_WRITE };
	enum fake_way way = (enum fake_way)(_i % FAKE_WAYS);
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE, .size = SIZE };
	unsigned int i, n = (unsigned int)_i / FAKE_WAYS;
	uint64_t unique;

	f->block->size = 5ULL << 40;
	f->session->on_size = on_size;
	sizes_told = 0;
	driver.hold = true;
	unique = ask(way, FUSE_SETATTR, &in, sizeof(in));
	for (i = 0; i < n; i++) {
		driver_finish_with(0, -EOPNOTSUPP);
		fake_run(f);
	}
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, 1);
	ck_assert_int_eq(driver.held[0]->type, ways[n]);
	interrupt(unique);
	driver.hold = false;
	driver_finish(0);
	fake_run(f);
	ck_assert_int_eq(answer_of(unique), -EINTR);
	ck_assert_uint_le(driver.started_n, 2 + n + 1);
	/* A part is gone: the kernel's cache of it must go, nothing else. */
	ck_assert(f->session->stale);
	ck_assert_uint_eq(sizes_told, 1);
	unique = ask(way, FUSE_SETATTR, &cut, sizeof(cut));
	ck_assert_int_eq(answer_of(unique), -EPERM);
}
END_TEST

/* What has its end near is answered as ever; nor does a wrong number matter. */
START_TEST(others)
{
	struct fuse_read_in in = { .size = 4096 };
	uint64_t unique;
	unsigned int i;

	driver.hold = true;
	unique = ask(_i, FUSE_READ, &in, sizeof(in));
	for (i = 0; i < 1000; i++)
		interrupt(unique);
	interrupt(0);
	interrupt(UINT64_MAX);
	ck_assert(!block_is_cancelled(driver.held[0]));
	driver_finish_all();
	fake_run(f);
	ck_assert_int_eq(answer_of(unique), 0);
	driver.hold = false;
	ck_assert_int_eq(answer_of(allocate(_i, 0)), 0);
}
END_TEST

Suite *suite_interrupt(void)
{
	TCase *tc;
	Suite *s = suite_of("interrupt", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, just_this_one, 0, FAKE_WAYS * MODES);
	tcase_add_loop_test(tc, before_its_request, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, while_it_waits, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, emptying, 0, FAKE_WAYS * 3);
	tcase_add_loop_test(tc, others, 0, FAKE_WAYS);
	return s;
}

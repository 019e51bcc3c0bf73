/* FUSE_INIT: versions, flags, lengths, and what becomes of the session. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

#define WHOLE sizeof(struct fuse_init_in)
#define EVERYTHING (~0ULL)

static struct fake *f;

static void start(enum uring_mode mode, bool no_ring)
{
	struct fake_config cfg = fake_config();

	cfg.no_init = true;
	cfg.no_ring = no_ring;
	cfg.session.io_uring = mode;
	f = fake_new(&cfg);
}

static void setup(void)
{
	capture_start();
	driver_install();
	start(URING_AUTO, false);
}

static void teardown(void)
{
	fake_free(f);
	driver_remove();
}

static void restart(enum uring_mode mode, bool no_ring)
{
	fake_free(f);
	capture_start();
	start(mode, no_ring);
}

/* A good answer to INIT, as its struct. */
static struct fuse_init_out good(const struct fake_answer *a)
{
	struct fuse_init_out out;

	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.major, FUSE_MAJOR);
	return out;
}

static uint64_t flags_of(const struct fuse_init_out *out)
{
	return out->flags | (uint64_t)out->flags2 << 32;
}

START_TEST(with_the_ring)
{
	struct fuse_init_out out =
		good(fake_init(f, 7, FUSE_MINOR, EVERYTHING, WHOLE));

	ck_assert_uint_eq(out.minor, FUSE_MINOR);
	ck_assert_uint_eq(out.max_write, FAKE_MAX_WRITE);
	ck_assert_uint_eq(out.max_pages, FAKE_MAX_WRITE / 4096);
	ck_assert_uint_eq(out.max_background, FAKE_ENTRIES);
	ck_assert_uint_eq(out.congestion_threshold, FAKE_ENTRIES * 3 / 4);
	ck_assert_uint_eq(out.time_gran, 1);
	ck_assert_uint_ge(out.max_readahead, 131072);
	ck_assert_uint_eq(
		flags_of(&out),
		FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
			FUSE_ABORT_ERROR | FUSE_MAX_PAGES |
			FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT |
			FUSE_DIRECT_IO_ALLOW_MMAP | FUSE_OVER_IO_URING);
	ck_assert_uint_eq(f->session->minor, FUSE_MINOR);
	ck_assert_uint_eq(f->registers, FAKE_ENTRIES);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* Only what is offered is taken: one flag at a time. */
START_TEST(one_flag)
{
	uint64_t flag = 1ULL << _i, offered = flag | FUSE_INIT_EXT;
	struct fuse_init_out out =
		good(fake_init(f, 7, FUSE_MINOR, offered, WHOLE));

	ck_assert_uint_eq(flags_of(&out) & ~offered, 0);
	ck_assert_uint_eq(f->registers,
			  flag == FUSE_OVER_IO_URING ? FAKE_ENTRIES : 0);
	ck_assert_uint_eq(f->ready, 1);
}
END_TEST

/* flags2 does not count without FUSE_INIT_EXT, nor if it did not come. */
START_TEST(without_ext)
{
	struct fuse_init_out out = good(fake_init(
		f, 7, FUSE_MINOR, EVERYTHING & ~FUSE_INIT_EXT, WHOLE));

	ck_assert_uint_eq(out.flags2, 0);
	ck_assert_uint_eq(f->registers, 0);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(capture_count("/dev/fuse"), 1);
}
END_TEST

/* Lengths from the old one to the whole; what is missing counts as zero. */
START_TEST(short_of_the_whole)
{
	struct fuse_init_out out =
		good(fake_init(f, 7, FUSE_MINOR, EVERYTHING, (size_t)_i));

	if ((size_t)_i < WHOLE)
		ck_assert_uint_eq(out.flags2, 0);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(f->registers, (size_t)_i < WHOLE ? 0 : FAKE_ENTRIES);
}
END_TEST

START_TEST(too_short)
{
	const struct fake_answer *a;

	a = fake_init(f, 7, FUSE_MINOR, EVERYTHING, (size_t)_i);
	ck_assert_int_eq(a->error, -EINVAL);
	ck_assert_uint_eq(f->session->minor, 0);
	ck_assert_uint_eq(f->ready, 0);
	good(fake_init(f, 7, FUSE_MINOR, EVERYTHING, WHOLE));
	ck_assert_uint_eq(f->ready, 1);
}
END_TEST

/* The lesser minor of the two. */
START_TEST(minors)
{
	struct fuse_init_out out =
		good(fake_init(f, 7, (uint32_t)_i, 0, WHOLE));
	uint32_t want = _i < FUSE_MINOR ? (uint32_t)_i : FUSE_MINOR;

	ck_assert_uint_eq(out.minor, want);
	ck_assert_uint_eq(f->session->minor, want);
	ck_assert_uint_eq(f->ready, 1);
}
END_TEST

static const struct {
	uint32_t major, minor;
} old_ones[] = {
	{ 7, FUSE_MINOR_LEAST - 1 }, { 7, 8 }, { 7, 0 }, { 6, 0 }, { 6, 99 },
	{ 6, 0xffffffff },	     { 0, 0 }, { 0, 46 }
};

/* Too old: refused with one line; it cannot go on. */
START_TEST(too_old)
{
	const struct fake_answer *a;

	a = fake_init(f, old_ones[_i].major, old_ones[_i].minor, EVERYTHING,
		      WHOLE);
	ck_assert_int_eq(a->error, -EPROTO);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(f->registers, 0);
	ck_assert_uint_eq(f->session->minor, 0);
	ck_assert_uint_eq(capture_lines(), 1);
}
END_TEST

/* A newer major: our version is said, and INIT comes anew. */
START_TEST(newer_major)
{
	uint32_t major = _i ? 0xffffffff : 8;
	struct fuse_init_out out =
		good(fake_init(f, major, 0, EVERYTHING, WHOLE));

	ck_assert_uint_eq(out.minor, FUSE_MINOR);
	ck_assert_uint_eq(flags_of(&out), 0);
	ck_assert_uint_eq(f->session->minor, 0);
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(f->registers, 0);
	good(fake_init(f, 7, 45, EVERYTHING, WHOLE));
	ck_assert_uint_eq(f->session->minor, 45);
	ck_assert_uint_eq(f->ready, 1);
}
END_TEST

START_TEST(second_init)
{
	struct fuse_init_in in = { .major = 7, .minor = 40 };
	const struct fake_answer *a;

	good(fake_init(f, 7, 45, EVERYTHING, WHOLE));
	a = fake_ask(f, (enum fake_way)_i, FUSE_INIT, &in, sizeof(in));
	ck_assert_int_eq(a->error, -EIO);
	ck_assert_uint_eq(f->session->minor, 45);
	ck_assert_uint_eq(f->registers, FAKE_ENTRIES);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(f->broken, 0);
	ck_assert_uint_eq(capture_count("second"), 1);
}
END_TEST

/* The kernel offers no ring: auto says so, on refuses, off is content. */
START_TEST(not_offered)
{
	enum uring_mode mode = (enum uring_mode)_i;
	const struct fake_answer *a;

	restart(mode, false);
	a = fake_init(f, 7, FUSE_MINOR, FUSE_INIT_EXT, WHOLE);
	ck_assert_int_eq(a->error, mode == URING_ON ? -EOPNOTSUPP : 0);
	ck_assert_uint_eq(f->ready, mode != URING_ON);
	ck_assert_uint_eq(f->broken, mode == URING_ON);
	ck_assert_uint_eq(capture_lines(), mode != URING_OFF);
	ck_assert_uint_eq(f->registers, 0);
}
END_TEST

START_TEST(turned_off)
{
	struct fuse_init_out out;

	restart(URING_OFF, false);
	ck_assert_ptr_null(f->session->ring);
	out = good(fake_init(f, 7, FUSE_MINOR, EVERYTHING, WHOLE));
	ck_assert(!(flags_of(&out) & FUSE_OVER_IO_URING));
	ck_assert_uint_eq(f->registers, 0);
	ck_assert_uint_eq(out.max_background, FAKE_DEPTH);
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* The ring cannot carry commands; that was said when it was made. */
START_TEST(no_sqe128)
{
	struct fuse_init_out out;

	restart(URING_AUTO, true);
	ck_assert_ptr_null(f->session->ring);
	out = good(fake_init(f, 7, FUSE_MINOR, EVERYTHING, WHOLE));
	ck_assert(!(flags_of(&out) & FUSE_OVER_IO_URING));
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* Queues for how many CPUs? Without knowing there is no ring. */
START_TEST(no_queues)
{
	struct fake_config cfg = fake_config();

	fake_free(f);
	cfg.no_init = true;
	cfg.session.queues = 0;
	f = fake_new(&cfg);
	ck_assert_ptr_null(f->session->ring);
	good(fake_init(f, 7, FUSE_MINOR, EVERYTHING, WHOLE));
	ck_assert_uint_eq(f->ready, 1);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count("CPUs"), 1);
}
END_TEST

Suite *suite_init(void)
{
	TCase *tc;
	Suite *s = suite_of("init", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, with_the_ring);
	tcase_add_loop_test(tc, one_flag, 0, 64);
	tcase_add_test(tc, without_ext);
	tcase_add_loop_test(tc, short_of_the_whole, FUSE_INIT_IN_OLD,
			    WHOLE + 1);
	tcase_add_loop_test(tc, too_short, 0, FUSE_INIT_IN_OLD);
	tcase_add_loop_test(tc, minors, FUSE_MINOR_LEAST, FUSE_MINOR + 5);
	tcase_add_loop_test(tc, too_old, 0, COUNT(old_ones));
	tcase_add_loop_test(tc, newer_major, 0, 2);
	tcase_add_loop_test(tc, second_init, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, not_offered, 0, 3);
	tcase_add_test(tc, turned_off);
	tcase_add_test(tc, no_sqe128);
	tcase_add_test(tc, no_queues);
	return s;
}

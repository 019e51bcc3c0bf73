/* The writeback cache: late writes, sizes told; passthrough as far as INIT. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

#define SIZE (1u << 20) /* of the driver's image */
#define FAKE_PID 3 /* of fake.c's callers */
#define OFFERED (FAKE_RING_FLAGS | FUSE_WRITEBACK_CACHE | FUSE_PASSTHROUGH)

static struct fake *f;
static unsigned int past_ends;

static void on_past_end(struct session *s)
{
	(void)s;
	past_ends++;
}

static void start(bool writeback, bool read_only, bool growable)
{
	struct fake_config cfg = fake_config();

	cfg.session.writeback = writeback;
	cfg.read_only = read_only;
	cfg.growable = growable;
	cfg.init_flags = OFFERED;
	f = fake_new(&cfg);
	f->session->on_past_end = on_past_end;
	past_ends = 0;
}

static void setup(void)
{
	capture_start();
	driver_install();
	start(true, false, false);
}

static void teardown(void)
{
	fake_free(f);
	driver_remove();
}

static void restart(bool writeback, bool read_only, bool growable)
{
	fake_free(f);
	driver.started_n = 0;
	start(writeback, read_only, growable);
}

static int write_at(enum fake_way way, uint64_t offset, uint32_t size,
		    uint32_t flags)
{
	struct fuse_write_in in = { .offset = offset,
				    .size = size,
				    .write_flags = flags };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data_len = size };
	const struct fake_answer *a = fake_call(f, way, &m);
	struct fuse_write_out out;

	if (a->error)
		return a->error;
	memcpy(&out, a->data, sizeof(out));
	return (int)out.size;
}

/* Only if it was asked for, and something can be written. */
START_TEST(negotiated)
{
	ck_assert(f->session->writeback);
	restart(false, false, false);
	ck_assert(!f->session->writeback);
	restart(true, true, false);
	ck_assert(!f->session->writeback);
}
END_TEST

/* The kernel takes a short late write for a whole one: it must be an error. */
START_TEST(late_writes)
{
	ck_assert_int_eq(write_at(_i, 0, 4096, FUSE_WRITE_CACHE), 4096);
	ck_assert_int_eq(write_at(_i, SIZE - 4096, 4096, FUSE_WRITE_CACHE),
			 4096);
	ck_assert_uint_eq(past_ends, 0);
	ck_assert_int_eq(write_at(_i, SIZE - 10, 4096, FUSE_WRITE_CACHE),
			 -ENOSPC);
	ck_assert_uint_eq(past_ends, 1);
	ck_assert_uint_eq(driver.last_length, 10);
	ck_assert_int_eq(write_at(_i, SIZE, 4096, FUSE_WRITE_CACHE), -ENOSPC);
	ck_assert_uint_eq(past_ends, 2);
	/* The caller itself waits for these. */
	ck_assert_int_eq(write_at(_i, SIZE - 10, 4096, 0), 10);
	ck_assert_int_eq(write_at(_i, SIZE, 4096, 0), -ENOSPC);
	ck_assert_uint_eq(past_ends, 2);
}
END_TEST

/* By mmap they come without a writeback cache, too; no size is wrong then. */
START_TEST(late_writes_without)
{
	restart(false, false, false);
	ck_assert_int_eq(write_at(_i, SIZE - 10, 4096, FUSE_WRITE_CACHE),
			 -ENOSPC);
	ck_assert_uint_eq(past_ends, 0);
}
END_TEST

/* What crosses the end may fail for another reason, and is lost then. */
START_TEST(late_writes_fail_across)
{
	driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_WRITE] = -EIO;
	ck_assert_int_eq(write_at(_i, SIZE - 10, 4096, FUSE_WRITE_CACHE), -EIO);
	ck_assert_uint_eq(past_ends, 0);
	ck_assert_uint_eq(capture_count("is lost"), 1);
}
END_TEST

/* Where the file can grow, what the kernel keeps past the end is good. */
START_TEST(late_writes_grow)
{
	restart(true, false, true);
	ck_assert_int_eq(write_at(_i, SIZE - 10, 4096, FUSE_WRITE_CACHE),
			 4096);
	driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_WRITE] = 100;
	ck_assert_int_eq(write_at(_i, 4 * SIZE, 4096, FUSE_WRITE_CACHE),
			 -ENOSPC);
	driver.result[BLOCK_WRITE] = -ENOSPC;
	ck_assert_int_eq(write_at(_i, 4 * SIZE, 4096, FUSE_WRITE_CACHE),
			 -ENOSPC);
	ck_assert_uint_eq(past_ends, 0);
}
END_TEST

/* What the kernel kept and could not write is told of by every flush. */
START_TEST(late_writes_fail)
{
	struct fuse_fsync_in in = { 0 };

	restart(false, false, _i & 1);
	driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_WRITE] = -EIO;
	ck_assert_int_eq(write_at(_i / 2, 0, 4096, 0), -EIO);
	ck_assert_int_eq(
		fake_ask(f, _i / 2, FUSE_FSYNC, &in, sizeof(in))->error, 0);
	ck_assert_int_eq(write_at(_i / 2, 0, 4096, FUSE_WRITE_CACHE), -EIO);
	ck_assert_uint_eq(capture_count("is lost"), 1);
	driver.forced[BLOCK_WRITE] = false;
	ck_assert_int_eq(write_at(_i / 2, 0, 4096, FUSE_WRITE_CACHE), 4096);
	ck_assert_int_eq(
		fake_ask(f, _i / 2, FUSE_FSYNC, &in, sizeof(in))->error, -EIO);
	ck_assert_uint_eq(past_ends, 0);
}
END_TEST

START_TEST(seeks)
{
	struct fuse_lseek_in in = { .whence = SEEK_DATA };

	ck_assert_int_eq(fake_ask(f, _i, FUSE_LSEEK, &in, sizeof(in))->error,
			 -ENOSYS);
	restart(false, false, false);
	ck_assert_int_eq(fake_ask(f, _i, FUSE_LSEEK, &in, sizeof(in))->error,
			 0);
}
END_TEST

/* What the teller sets is answered with what is, and changes nothing. */
START_TEST(teller)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_MTIME,
				      .size = 5 * SIZE,
				      .mtime = 77 };
	const struct fake_answer *a;
	struct fuse_attr_out out;

	f->session->teller = FAKE_PID;
	a = fake_ask(f, _i, FUSE_SETATTR, &in, sizeof(in));
	ck_assert_int_eq(a->error, 0);
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.attr.size, SIZE);
	ck_assert_uint_eq(out.attr.mtime, DRIVER_MTIME);
	ck_assert_uint_eq(f->block->size, SIZE);
	f->session->teller = FAKE_PID + 1;
	a = fake_ask(f, _i, FUSE_SETATTR, &in, sizeof(in));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.attr.size, 5 * SIZE);
	ck_assert_uint_eq(out.attr.mtime, 77);
}
END_TEST

/* --passthrough=on where there is nothing to give: one line, and the end. */
START_TEST(passthrough)
{
	struct fake_config cfg = fake_config();
	const struct fake_answer *a;

	fake_free(f);
	cfg.session.passthrough = PASSTHROUGH_ON;
	cfg.no_init = true;
	f = fake_new(&cfg);
	a = fake_init(f, FUSE_MAJOR, FUSE_MINOR,
		      _i ? OFFERED : FAKE_RING_FLAGS,
		      sizeof(struct fuse_init_in));
	ck_assert_int_eq(a->error, _i ? 0 : -EOPNOTSUPP);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->ready, 0);
	ck_assert_uint_eq(capture_count("--passthrough=on"), 1);
	ck_assert_uint_eq(capture_lines(), 1);
}
END_TEST

Suite *suite_cached(void)
{
	TCase *tc;
	Suite *s = suite_of("cached", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, negotiated);
	tcase_add_loop_test(tc, late_writes, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, late_writes_without, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, late_writes_grow, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, late_writes_fail_across, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, late_writes_fail, 0, 2 * FAKE_WAYS);
	tcase_add_loop_test(tc, seeks, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, teller, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, passthrough, 0, 2);
	return s;
}

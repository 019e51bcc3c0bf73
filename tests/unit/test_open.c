/* OPEN, STATFS and FSYNC: flags in, flags out. */
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

static struct fake *f;

static void start(bool read_only)
{
	struct fake_config cfg = fake_config();

	cfg.read_only = read_only;
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
	ck_assert_uint_eq(f->broken, 0);
	fake_free(f);
	driver_remove();
}

static void restart(bool read_only)
{
	fake_free(f);
	driver.started_n = 0; /* closing flushed */
	start(read_only);
}

static void write_something(enum fake_way way)
{
	struct fuse_write_in in = { .size = 512 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data_len = 512 };

	ck_assert_int_eq(fake_call(f, way, &m)->error, 0);
}

static int do_open(enum fake_way way, uint32_t flags, uint32_t *open_flags)
{
	struct fuse_open_in in = { .flags = flags };
	const struct fake_answer *a;
	struct fuse_open_out out;

	a = fake_ask(f, way, FUSE_OPEN, &in, sizeof(in));
	if (a->error)
		return a->error;
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.fh, 0);
	*open_flags = out.open_flags;
	return 0;
}

START_TEST(opens)
{
	uint32_t flags = 0;

	ck_assert_int_eq(do_open(_i, O_RDWR, &flags), 0);
	ck_assert_uint_eq(flags, FOPEN_KEEP_CACHE);
	ck_assert_int_eq(do_open(_i, O_RDWR | O_DIRECT, &flags), 0);
	ck_assert_uint_eq(flags,
			  FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES);
	ck_assert_int_eq(do_open(_i, O_RDONLY, &flags), 0);
	ck_assert_uint_eq(flags, FOPEN_KEEP_CACHE | FOPEN_NOFLUSH);
	restart(true);
	ck_assert_int_eq(do_open(_i, O_RDONLY, &flags), 0);
	ck_assert_int_eq(do_open(_i, O_WRONLY, &flags), -EROFS);
	ck_assert_int_eq(do_open(_i, O_RDWR, &flags), -EROFS);
	ck_assert_int_eq(do_open(_i, O_ACCMODE, &flags), -EROFS);
}
END_TEST

/* A kernel whose FOPEN_DIRECT_IO leaves its page cache stale: not asked for. */
START_TEST(opens_incoherent)
{
	struct fake_config cfg = fake_config();
	uint32_t flags = 0;

	fake_free(f);
	cfg.init_flags &= ~FUSE_DIRECT_IO_ALLOW_MMAP;
	f = fake_new(&cfg);
	ck_assert_int_eq(do_open(_i, O_RDWR | O_DIRECT, &flags), 0);
	ck_assert_uint_eq(flags, FOPEN_KEEP_CACHE);
}
END_TEST

START_TEST(statfs)
{
	const struct fake_answer *a = fake_ask(f, _i, FUSE_STATFS, NULL, 0);
	struct fuse_statfs_out out;

	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.blocks, SIZE / 4096);
	ck_assert_uint_eq(out.bsize, 4096);
	ck_assert_uint_eq(out.frsize, 4096);
	ck_assert_uint_eq(out.files, 1);
	/* All of it can be written. */
	ck_assert_uint_eq(out.bfree, SIZE / 4096);
	ck_assert_uint_eq(out.bavail, SIZE / 4096);
	ck_assert_uint_eq(out.ffree, 0);
	ck_assert_uint_eq(out.namelen, 255);
}
END_TEST

START_TEST(fsyncs)
{
	struct fuse_fsync_in in = { .fsync_flags = FUSE_FSYNC_DATASYNC };

	write_something(_i);
	ck_assert_int_eq(fake_ask(f, _i, FUSE_FSYNC, &in, sizeof(in))->error,
			 0);
	ck_assert_int_eq(driver.last_type, BLOCK_FLUSH);
	ck_assert_uint_eq(driver.last_flags, 0);
	write_something(_i);
	in.fsync_flags = 0;
	ck_assert_int_eq(fake_ask(f, _i, FUSE_FSYNC, &in, sizeof(in))->error,
			 0);
	ck_assert_int_eq(driver.last_type, BLOCK_FLUSH);
	ck_assert_uint_eq(driver.last_flags, BLOCK_FULL_SYNC);
}
END_TEST

Suite *suite_open(void)
{
	TCase *tc;
	Suite *s = suite_of("open", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, opens, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, opens_incoherent, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, statfs, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, fsyncs, 0, FAKE_WAYS);
	return s;
}

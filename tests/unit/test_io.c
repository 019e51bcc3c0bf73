/* What the operations on contents ask of the image, and what they answer. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

#define SIZE (1u << 20) /* of the driver's image */

static struct fake *f;

static void start(bool read_only, bool growable)
{
	struct fake_config cfg = fake_config();

	cfg.read_only = read_only;
	cfg.growable = growable;
	f = fake_new(&cfg);
}

static void setup(void)
{
	capture_start();
	driver_install();
	start(false, false);
}

static void teardown(void)
{
	ck_assert_uint_eq(f->broken, 0);
	fake_free(f);
	driver_remove();
}

static void restart(bool read_only, bool growable)
{
	fake_free(f);
	driver.started_n = 0; /* closing flushed */
	start(read_only, growable);
}

static const struct fake_answer *do_read(enum fake_way way, uint64_t offset,
					 uint32_t size)
{
	struct fuse_read_in in = { .offset = offset, .size = size };

	return fake_ask(f, way, FUSE_READ, &in, sizeof(in));
}

/* Returns the error, or the bytes that are said to be written. */
static int64_t do_write(enum fake_way way, uint64_t offset, uint32_t size)
{
	static const uint8_t data[FAKE_MAX_WRITE] = { 'w', 'w', 'w', 'w' };
	struct fuse_write_in in = { .offset = offset, .size = size };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data = data,
			      .data_len = size };
	const struct fake_answer *a = fake_call(f, way, &m);
	struct fuse_write_out out;

	if (a->error)
		return a->error;
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.padding, 0);
	return out.size;
}

static int do_fallocate(enum fake_way way, int mode, uint64_t offset,
			uint64_t length)
{
	struct fuse_fallocate_in in = { .offset = offset,
					.length = length,
					.mode = (uint32_t)mode };
	const struct fake_answer *a;

	a = fake_ask(f, way, FUSE_FALLOCATE, &in, sizeof(in));
	ck_assert_uint_eq(a->len, 0);
	return a->error;
}

START_TEST(read_bytes)
{
	const struct fake_answer *a;

	memcpy(driver.mem + 5000, "hello", 5);
	a = do_read(_i, 5000, 5);
	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, 5);
	ck_assert(!memcmp(a->data, "hello", 5));
	ck_assert_uint_eq(f->session->stats.bytes_read, 5);
	ck_assert_uint_eq(f->session->stats.requests[FUSE_READ], 1);
}
END_TEST

START_TEST(write_bytes)
{
	ck_assert_int_eq(do_write(_i, 777, 3), 3);
	ck_assert(!memcmp(driver.mem + 776, "\0www\0", 5));
	ck_assert_uint_eq(f->session->stats.bytes_written, 3);
	ck_assert_int_eq(do_write(_i, 0, 0), 0);
}
END_TEST

#define TOP (1ULL << 63)

/* At and past the end, and where sums overflow. */
static const struct {
	uint64_t offset;
	uint32_t size;
	int64_t read, write; /* bytes or -errno */
} ends[] = {
	{ SIZE - 100, 100, 100, 100 },
	{ SIZE - 100, 101, 100, 100 },
	{ SIZE - 1, 4096, 1, 1 },
	{ SIZE, 1, 0, -ENOSPC },
	{ SIZE + 1, 4096, 0, -ENOSPC },
	{ 1ULL << 40, 4096, 0, -ENOSPC },
	{ TOP - 1 - 4096, 4096, 0, -ENOSPC },
	{ TOP - 4096, 4096, -EINVAL, -EINVAL },
	{ TOP - 1, 1, -EINVAL, -EINVAL },
	{ TOP, 1, -EINVAL, -EINVAL },
	{ TOP + 1, 4096, -EINVAL, -EINVAL },
	{ -4096ULL, 4096, -EINVAL, -EINVAL },
	{ -1ULL, 1, -EINVAL, -EINVAL },
	{ -1ULL, 0xfff, -EINVAL, -EINVAL },
};

/* What is to be stable when it is answered is flushed before that. */
START_TEST(write_through)
{
	struct fuse_write_out out;
	static const struct {
		uint32_t flags, write_flags;
		bool flush;
		unsigned int kind;
	} cases[] = {
		{ O_WRONLY | O_DIRECT, 0, false, 0 },
		{ O_WRONLY | O_DSYNC, 0, true, 0 },
		{ O_RDWR | O_DIRECT | O_DSYNC, 0, true, 0 },
		{ O_RDWR | O_DIRECT | O_SYNC, 0, true, BLOCK_FULL_SYNC },
		{ O_RDWR | O_SYNC, FUSE_WRITE_CACHE, false, 0 },
	};
	struct fuse_write_in in = { .size = 512 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data_len = 512 };
	uint64_t unique;
	size_t i;

	driver.hold = true;
	for (i = 0; i < COUNT(cases); i++) {
		in.flags = cases[i].flags;
		in.write_flags = cases[i].write_flags;
		unique = fake_send(f, _i, &m);
		fake_run(f);
		driver_finish_with(0, 512);
		fake_run(f);
		if (cases[i].flush) {
			ck_assert_ptr_null(fake_find(f, unique));
			ck_assert_int_eq(driver.last_type, BLOCK_FLUSH);
			ck_assert_uint_eq(driver.last_flags, cases[i].kind);
			driver_finish(0);
			fake_run(f);
		}
		ck_assert_uint_eq(driver.held_n, 0);
		ck_assert_int_eq(fake_find(f, unique)->error, 0);
		ck_assert_uint_eq(fake_find(f, unique)->len,
				  sizeof(struct fuse_write_out));
		memcpy(&out, fake_find(f, unique)->data, sizeof(out));
		ck_assert_uint_eq(out.size, 512);
	}
	/* What could not be made stable is not said to be. */
	driver.hold = false;
	driver.forced[BLOCK_FLUSH] = true;
	driver.result[BLOCK_FLUSH] = -EIO;
	in.flags = O_DSYNC;
	in.write_flags = 0;
	ck_assert_int_eq(fake_call(f, _i, &m)->error, -EIO);
}
END_TEST

START_TEST(at_the_end)
{
	int n = _i / FAKE_WAYS;
	const struct fake_answer *a =
		do_read(_i % FAKE_WAYS, ends[n].offset, ends[n].size);

	ck_assert_int_eq(a->error ? a->error : (int64_t)a->len, ends[n].read);
	ck_assert_int_eq(do_write(_i % FAKE_WAYS, ends[n].offset, ends[n].size),
			 ends[n].write);
	ck_assert_uint_eq(f->block->size, SIZE);
}
END_TEST

START_TEST(grows)
{
	restart(false, true);
	ck_assert_int_eq(do_write(_i, SIZE - 1, 100), 100);
	ck_assert_uint_eq(f->block->size, SIZE + 99);
	ck_assert_int_eq(do_write(_i, 1ULL << 40, 4096), 4096);
	ck_assert_uint_eq(f->block->size, (1ULL << 40) + 4096);
	ck_assert_int_eq(do_write(_i, TOP - 1 - 4096, 4096), 4096);
	ck_assert_uint_eq(f->block->size, TOP - 1);
	ck_assert_int_eq(do_write(_i, TOP - 1, 1), -EINVAL);
	ck_assert_int_eq(do_fallocate(_i, 0, TOP - 2, 2), -EINVAL);
}
END_TEST

START_TEST(read_only)
{
	restart(true, false);
	ck_assert_int_eq(do_read(_i, 0, 4096)->error, 0);
	ck_assert_int_eq(do_write(_i, 0, 4096), -EROFS);
	ck_assert_int_eq(do_fallocate(_i, 0, 0, 4096), -EROFS);
	ck_assert_int_eq(do_fallocate(_i, 3, 0, 4096), -EROFS);
	ck_assert_uint_eq(driver.started_n, 1);
}
END_TEST

/* The image's errors reach the caller; nonsense among them becomes EIO. */
static const struct {
	int64_t result;
	int error;
} failures[] = {
	{ -EIO, -EIO },	      { -ENOSPC, -ENOSPC }, { -EROFS, -EROFS },
	{ -511, -511 },	      { -512, -EIO },	    { -4096, -EIO },
	{ -INT64_MAX, -EIO },
};

START_TEST(image_fails)
{
	enum fake_way way = _i % FAKE_WAYS;
	int64_t result = failures[_i / FAKE_WAYS].result;
	int error = failures[_i / FAKE_WAYS].error, i;

	for (i = 0; i < BLOCK_TYPES; i++) {
		driver.forced[i] = true;
		driver.result[i] = result;
	}
	ck_assert_int_eq(do_read(way, 0, 4096)->error, error);
	ck_assert_int_eq(do_write(way, 0, 4096), error);
	ck_assert_int_eq(do_fallocate(way, 0, 0, 4096), error);
	ck_assert_int_eq(
		fake_ask(f, way, FUSE_FLUSH, NULL, sizeof(struct fuse_flush_in))
			->error,
		error);
	ck_assert_int_eq(fake_ask(f, way, FUSE_LSEEK,
				  &(struct fuse_lseek_in){ .whence = 3 },
				  sizeof(struct fuse_lseek_in))
				 ->error,
			 error);
	ck_assert_int_eq(fake_ask(f, way, FUSE_GETATTR, NULL,
				  sizeof(struct fuse_getattr_in))
				 ->error,
			 error);
	ck_assert_uint_eq(f->session->stats.errors, 6);
}
END_TEST

START_TEST(short_results)
{
	driver.forced[BLOCK_READ] = driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_READ] = 1000;
	driver.result[BLOCK_WRITE] = 2000;
	ck_assert_uint_eq(do_read(_i, 0, 4096)->len, 1000);
	ck_assert_int_eq(do_write(_i, 0, 4096), 2000);
	driver.result[BLOCK_READ] = driver.result[BLOCK_WRITE] = 0;
	ck_assert_uint_eq(do_read(_i, 0, 4096)->len, 0);
	ck_assert_int_eq(do_write(_i, 0, 4096), 0);
}
END_TEST

#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH FALLOC_FL_PUNCH_HOLE
#define ZERO FALLOC_FL_ZERO_RANGE

static const struct {
	int mode, error;
	enum block_type type;
	unsigned int flags;
} modes[] = {
	{ 0, 0, BLOCK_ALLOCATE, 0 },
	{ KEEP, 0, BLOCK_ALLOCATE, BLOCK_KEEP_SIZE },
	{ PUNCH | KEEP, 0, BLOCK_DISCARD, BLOCK_KEEP_SIZE },
	{ ZERO, 0, BLOCK_ZERO, 0 },
	{ ZERO | KEEP, 0, BLOCK_ZERO, BLOCK_KEEP_SIZE },
	{ FALLOC_FL_COLLAPSE_RANGE, -EOPNOTSUPP, 0, 0 },
	{ FALLOC_FL_INSERT_RANGE, -EOPNOTSUPP, 0, 0 },
	{ FALLOC_FL_UNSHARE_RANGE, -EOPNOTSUPP, 0, 0 },
	{ FALLOC_FL_NO_HIDE_STALE, -EOPNOTSUPP, 0, 0 },
	{ PUNCH | ZERO | KEEP, -EOPNOTSUPP, 0, 0 },
	{ 0x80, -EOPNOTSUPP, 0, 0 },
	{ 0x7ffffffe, -EOPNOTSUPP, 0, 0 },
	{ -1, -EOPNOTSUPP, 0, 0 },
};

START_TEST(fallocate_modes)
{
	int n = _i / FAKE_WAYS;

	ck_assert_int_eq(
		do_fallocate(_i % FAKE_WAYS, modes[n].mode, 8192, 12288),
		modes[n].error);
	ck_assert_uint_eq(driver.started_n, !modes[n].error);
	if (modes[n].error)
		return;
	ck_assert_int_eq(driver.last_type, modes[n].type);
	ck_assert_uint_eq(driver.last_flags, modes[n].flags);
	ck_assert_uint_eq(driver.last_offset, 8192);
	ck_assert_uint_eq(driver.last_length, 12288);
}
END_TEST

static const struct {
	uint64_t offset, length;
	int keep, grow; /* errors: of KEEP at an image that cannot grow; of 0 */
} ranges[] = {
	{ SIZE, 1, -ENOSPC, -ENOSPC },
	{ SIZE - 1, 2, 0, -ENOSPC },
	{ 0, SIZE + 1ULL, 0, -ENOSPC },
	{ 0, TOP - 1, 0, -ENOSPC },
	{ 0, TOP, -EINVAL, -EINVAL },
	{ TOP - 1, 1, -EINVAL, -EINVAL },
	{ TOP, TOP, -EINVAL, -EINVAL },
	{ -1ULL, -1ULL, -EINVAL, -EINVAL },
	{ 4096, -4096ULL, -EINVAL, -EINVAL },
};

START_TEST(fallocate_ranges)
{
	int n = _i / FAKE_WAYS;
	uint64_t at = ranges[n].offset, len = ranges[n].length;
	enum fake_way way = _i % FAKE_WAYS;

	ck_assert_int_eq(do_fallocate(way, KEEP, at, len), ranges[n].keep);
	ck_assert_int_eq(do_fallocate(way, 0, at, len), ranges[n].grow);
	ck_assert_int_eq(do_fallocate(way, ZERO, at, len), ranges[n].grow);
	ck_assert_uint_eq(f->block->size, SIZE);
}
END_TEST

/* A punch past the end is none. */
START_TEST(punch_past_the_end)
{
	ck_assert_int_eq(do_fallocate(_i, PUNCH | KEEP, SIZE, 4096), 0);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_int_eq(do_fallocate(_i, PUNCH | KEEP, SIZE - 10, 4096), 0);
	ck_assert_uint_eq(driver.last_length, 10);
}
END_TEST

static int64_t do_seek(enum fake_way way, uint64_t offset, uint32_t whence)
{
	struct fuse_lseek_in in = { .offset = offset, .whence = whence };
	const struct fake_answer *a;
	struct fuse_lseek_out out;

	a = fake_ask(f, way, FUSE_LSEEK, &in, sizeof(in));
	if (a->error)
		return a->error;
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	return (int64_t)out.offset;
}

/* What is not offered, or not there, is no error to be counted. */
START_TEST(counts_errors)
{
	struct fuse_lseek_in in = { .whence = SEEK_DATA };

	driver.forced[BLOCK_SEEK_DATA] = true;
	driver.result[BLOCK_SEEK_DATA] = -ENXIO;
	ck_assert_int_eq(fake_ask(f, _i, FUSE_GETXATTR, NULL, 8)->error,
			 -ENOSYS);
	ck_assert_int_eq(fake_ask(f, _i, FUSE_LSEEK, &in, sizeof(in))->error,
			 -ENXIO);
	ck_assert_int_eq(do_fallocate(_i, FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
			 -EOPNOTSUPP);
	ck_assert_int_eq(fake_ask(f, _i, FUSE_LOOKUP, NULL, 0)->error, -ENOENT);
	ck_assert_uint_eq(f->session->stats.errors, 0);
	driver.result[BLOCK_SEEK_DATA] = -EIO;
	ck_assert_int_eq(fake_ask(f, _i, FUSE_LSEEK, &in, sizeof(in))->error,
			 -EIO);
	ck_assert_int_eq(do_write(_i, SIZE, 1), -ENOSPC);
	ck_assert_uint_eq(f->session->stats.errors, 2);
}
END_TEST

START_TEST(seeks)
{
	static const uint32_t nonsense[] = { SEEK_SET, SEEK_CUR,   SEEK_END,  5,
					     6,	       0x7fffffff, 0xffffffff };
	size_t i;

	for (i = 0; i < COUNT(nonsense); i++)
		ck_assert_int_eq(do_seek(_i, 0, nonsense[i]), -EINVAL);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_int_eq(do_seek(_i, 4096, SEEK_DATA), 4096);
	ck_assert_int_eq(driver.last_type, BLOCK_SEEK_DATA);
	ck_assert_int_eq(do_seek(_i, SIZE - 1, SEEK_HOLE), SIZE - 1);
	ck_assert_int_eq(driver.last_type, BLOCK_SEEK_HOLE);
	ck_assert_int_eq(do_seek(_i, SIZE, SEEK_DATA), -ENXIO);
	ck_assert_int_eq(do_seek(_i, SIZE, SEEK_HOLE), -ENXIO);
	ck_assert_int_eq(do_seek(_i, TOP - 1, SEEK_HOLE), -ENXIO);
	ck_assert_int_eq(do_seek(_i, TOP, SEEK_DATA), -ENXIO);
	ck_assert_int_eq(do_seek(_i, -1ULL, SEEK_HOLE), -ENXIO);
	driver.forced[BLOCK_SEEK_DATA] = true;
	driver.result[BLOCK_SEEK_DATA] = INT64_MAX;
	ck_assert_int_eq(do_seek(_i, 0, SEEK_DATA), INT64_MAX);
}
END_TEST

Suite *suite_io(void)
{
	TCase *tc;
	Suite *s = suite_of("io", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, read_bytes, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, write_bytes, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, write_through, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, counts_errors, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, at_the_end, 0, COUNT(ends) * FAKE_WAYS);
	tcase_add_loop_test(tc, grows, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, read_only, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, image_fails, 0, COUNT(failures) * FAKE_WAYS);
	tcase_add_loop_test(tc, short_results, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, fallocate_modes, 0, COUNT(modes) * FAKE_WAYS);
	tcase_add_loop_test(tc, fallocate_ranges, 0, COUNT(ranges) * FAKE_WAYS);
	tcase_add_loop_test(tc, punch_past_the_end, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, seeks, 0, FAKE_WAYS);
	return s;
}

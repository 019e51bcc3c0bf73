/* The raw driver when system calls fail or fall short, and its opening. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "capture.h"
#include "image.h"
#include "node.h"
#include "suites.h"
#include "wrap.h"

#define SIZE 65536

static void setup(void)
{
	capture_start();
	image_make(SIZE);
	ck_assert(image_open(IMAGE_EMULATED_HOST, false));
	wrap_reset();
}

static void teardown(void)
{
	wrap_reset();
	image_done();
}

/* Not in the page cache: the read goes on to the ring. */
static int64_t read_by_ring(uint64_t offset, uint64_t length)
{
	wrap_fail(WRAP_PREADV2, 1000, EAGAIN);
	memset(node.buf, 0xee, length);
	return node_run(BLOCK_READ, 0, offset, length);
}

static void check_buf(uint64_t offset, uint64_t length)
{
	uint64_t i;

	for (i = 0; i < length; i++)
		ck_assert_uint_eq(node.buf[i], image_byte(offset + i));
}

START_TEST(short_reads)
{
	wrap_short(WRAP_PREAD, 1000, (size_t)_i);
	ck_assert_int_eq(read_by_ring(1000, 5000), 5000);
	check_buf(1000, 5000);
	ck_assert_uint_ge(wrap_count(WRAP_PREAD), 5000 / (unsigned int)_i);
}
END_TEST

/* tmpfs, for one, does not. */
static bool knows_nowait(void)
{
	struct iovec iov = { node.buf, 1 };
	int fd = open(image_path(), O_RDONLY | O_CLOEXEC);
	ssize_t n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);

	close(fd);
	wrap_reset();
	return n == 1;
}

START_TEST(short_cached_reads)
{
	if (!knows_nowait())
		return;
	wrap_short(WRAP_PREADV2, 1000, (size_t)_i);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 1000, 5000), 5000);
	check_buf(1000, 5000);
	ck_assert_int_eq(wrap_flags(WRAP_PREADV2), RWF_NOWAIT);
	ck_assert_uint_eq(wrap_count(WRAP_PREAD), 0);
}
END_TEST

/* Part of it is cached, the rest is not. */
START_TEST(partly_cached)
{
	wrap_short(WRAP_PREADV2, 1, 2000);
	node_submit(0, BLOCK_READ, 0, 1000, 5000, 0);
	wrap_fail(WRAP_PREADV2, 1000, EAGAIN);
	node_drain();
	ck_assert_int_eq(node.reqs[0].result, 5000);
	check_buf(1000, 5000);
	ck_assert_uint_eq(wrap_count(WRAP_PREAD), 1);
}
END_TEST

/* A file system that does not know RWF_NOWAIT is not asked again. */
START_TEST(no_nowait)
{
	wrap_fail(WRAP_PREADV2, 1, EOPNOTSUPP);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 1000, 5000), 5000);
	check_buf(1000, 5000);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 0, 5000), 5000);
	ck_assert_uint_eq(wrap_count(WRAP_PREADV2), 1);
	ck_assert_uint_eq(wrap_count(WRAP_PREAD), 2);
}
END_TEST

START_TEST(short_writes)
{
	memset(node.buf, 'w', 5000);
	wrap_short(WRAP_PWRITE, 1000, (size_t)_i);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 1000, 5000), 5000);
	image_check(node.buf, 5000, 1000);
}
END_TEST

static const int again[] = { EAGAIN, EINTR };

START_TEST(tried_again)
{
	static const enum wrap_call calls[] = {
		WRAP_PREAD,	WRAP_PWRITE,	WRAP_FSYNC,
		WRAP_FDATASYNC, WRAP_FALLOCATE, WRAP_FTRUNCATE,
	};
	size_t i;

	for (i = 0; i < COUNT(calls); i++)
		wrap_fail(calls[i], 5, again[_i]);
	ck_assert_int_eq(read_by_ring(0, 5000), 5000);
	check_buf(0, 5000);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 0, 5000), 5000);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), 0);
	ck_assert_int_eq(node_run(BLOCK_DISCARD, 0, 0, 4096), 0);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, BLOCK_FULL_SYNC, 0, 0), 0);
	ck_assert_int_eq(node_run(BLOCK_TRUNCATE, 0, 0, 1000), 0);
	for (i = 0; i < COUNT(calls); i++)
		ck_assert_uint_eq(wrap_count(calls[i]), 6);
}
END_TEST

static const int errors[] = { EIO, ENOSPC, EDQUOT, EFBIG, EINVAL, ENODEV };

START_TEST(errors_reach_the_caller)
{
	int err = errors[_i];

	wrap_fail(WRAP_PREAD, 1, err);
	ck_assert_int_eq(read_by_ring(0, 4096), -err);
	wrap_fail(WRAP_PWRITE, 1, err);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 0, 4096), -err);
	wrap_fail(WRAP_FALLOCATE, 3, err);
	ck_assert_int_eq(node_run(BLOCK_DISCARD, 0, 0, 4096), -err);
	ck_assert_int_eq(node_run(BLOCK_ZERO, 0, 0, 4096), -err);
	ck_assert_int_eq(node_run(BLOCK_ALLOCATE, 0, 0, 4096), -err);
	wrap_fail(WRAP_FTRUNCATE, 2, err);
	ck_assert_int_eq(node_run(BLOCK_TRUNCATE, 0, 0, 4096), -err);
	wrap_reset();
	ck_assert_uint_eq(node.block->size, SIZE);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 0, 4096), 4096);
}
END_TEST

/* The kernel tells once; then the lost pages count as clean. */
START_TEST(flush_fails)
{
	int err = errors[_i];

	node_run(BLOCK_WRITE, 0, 0, 1);
	wrap_fail(WRAP_FDATASYNC, 1, err);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -err);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -EIO);
	wrap_fail(WRAP_FSYNC, 1, err);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, BLOCK_FULL_SYNC, 0, 0), -err);
	wrap_reset();
	node_run(BLOCK_WRITE, 0, 0, 1);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -EIO);
	ck_assert_uint_eq(wrap_count(WRAP_FDATASYNC), 1); /* it is tried */
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_int_eq(node_close(), -EIO);
}
END_TEST

/* Of two at a time, the kernel tells one. */
START_TEST(flushes_fail)
{
	node_run(BLOCK_WRITE, 0, 0, 1);
	wrap_fail(WRAP_FDATASYNC, 1, EIO);
	node_submit(0, BLOCK_FLUSH, 0, 0, 0, 0);
	node_submit(1, BLOCK_FLUSH, 0, 0, 0, 0);
	node_drain();
	ck_assert_int_eq(node.reqs[0].result, -EIO);
	ck_assert_int_eq(node.reqs[1].result, -EIO);
	ck_assert_int_eq(node_close(), -EIO);
}
END_TEST

/* After a part, an error: what was written counts, what was read does not. */
START_TEST(error_after_a_part)
{
	wrap_short(WRAP_PWRITE, 1, 3000);
	node_submit(0, BLOCK_WRITE, 0, 0, 5000, 0);
	uring_emulate(&node.uring); /* the first part only */
	wrap_fail(WRAP_PWRITE, 1, ENOSPC);
	node_drain();
	ck_assert_int_eq(node.reqs[0].result, 3000);
	wrap_fail(WRAP_PREADV2, 1000, EAGAIN);
	wrap_short(WRAP_PREAD, 1, 3000);
	node_submit(0, BLOCK_READ, 0, 0, 5000, 0);
	uring_emulate(&node.uring);
	wrap_fail(WRAP_PREAD, 1, EIO);
	node_drain();
	ck_assert_int_eq(node.reqs[0].result, -EIO);
}
END_TEST

/* Below another node it is all or an error, and the one that there was. */
START_TEST(error_after_a_part_below)
{
	node.block->opt.below = true;
	wrap_short(WRAP_PWRITE, 1, 3000);
	node_submit(0, BLOCK_WRITE, 0, 0, 5000, 0);
	uring_emulate(&node.uring);
	wrap_fail(WRAP_PWRITE, 1, errors[_i]);
	node_drain();
	ck_assert_int_eq(node.reqs[0].result, -errors[_i]);
	wrap_short(WRAP_PWRITE, 1, 3000);
	node_submit(0, BLOCK_WRITE, 0, 0, 5000, 0);
	uring_emulate(&node.uring);
	wrap_short(WRAP_PWRITE, 1, 0);
	node_drain();
	ck_assert_int_eq(node.reqs[0].result, -ENOSPC);
}
END_TEST

/* Nothing moves at all: an end, not a loop. */
START_TEST(nothing_moves)
{
	wrap_short(WRAP_PWRITE, 1000, 0);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 0, 4096), -ENOSPC);
	wrap_short(WRAP_PREAD, 1000, 0);
	ck_assert_int_eq(read_by_ring(0, 4096), -EIO);
	ck_assert_uint_eq(capture_count("truncated"), 1);
}
END_TEST

START_TEST(which_calls)
{
	node_run(BLOCK_WRITE, 0, 0, 1);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(wrap_count(WRAP_FDATASYNC), 1);
	ck_assert_uint_eq(wrap_count(WRAP_FSYNC), 0);
	node_run(BLOCK_DISCARD, BLOCK_KEEP_SIZE, 0, 4096);
	ck_assert_int_eq(wrap_flags(WRAP_FALLOCATE),
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, BLOCK_FULL_SYNC, 0, 0), 0);
	ck_assert_uint_eq(wrap_count(WRAP_FSYNC), 1);
	node_run(BLOCK_ZERO, 0, 0, 4096);
	ck_assert_int_eq(wrap_flags(WRAP_FALLOCATE), FALLOC_FL_ZERO_RANGE);
	node_run(BLOCK_ZERO, BLOCK_KEEP_SIZE, 0, 4096);
	ck_assert_int_eq(wrap_flags(WRAP_FALLOCATE),
			 FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	node_run(BLOCK_ALLOCATE, BLOCK_KEEP_SIZE, 0, 4096);
	ck_assert_int_eq(wrap_flags(WRAP_FALLOCATE), FALLOC_FL_KEEP_SIZE);
	node_run(BLOCK_ALLOCATE, 0, 0, 4096);
	ck_assert_int_eq(wrap_flags(WRAP_FALLOCATE), 0);
}
END_TEST

/* A ring before Linux 6.9 does not know FTRUNCATE. */
START_TEST(no_ftruncate_opcode)
{
	wrap_fail(WRAP_FTRUNCATE, 1, EINVAL);
	ck_assert_int_eq(node_run(BLOCK_TRUNCATE, 0, 0, 1234), 0);
	ck_assert_uint_eq(image_size(), 1234);
}
END_TEST

/* What cannot be opened: one line, and nothing left behind. */
START_TEST(refuses_to_open)
{
	static char dir[] = "unit-dir-XXXXXX";
	struct block_options opt = { .format = "raw" };
	struct uring *u = &node.uring;

	opt.path = "/nonexistent/image";
	ck_assert_ptr_null(block_open(u, &opt));
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	opt.path = dir;
	ck_assert_ptr_null(block_open(u, &opt));
	rmdir(dir);
	ck_assert_uint_eq(capture_lines(), 2);
	ck_assert_uint_eq(capture_count("a directory"), 1);
	opt.path = "/dev/null";
	ck_assert_ptr_null(block_open(u, &opt));
	ck_assert_uint_eq(capture_lines(), 3);
	opt.path = image_path();
	ck_assert_ptr_null(block_open(u, &opt)); /* locked by the first */
	ck_assert_uint_eq(capture_lines(), 4);
	opt.no_lock = true;
	ck_assert_int_eq(block_close(block_open(u, &opt)), 0);
	opt.no_lock = false;
	opt.read_only = true;
	ck_assert_ptr_null(block_open(u, &opt));
	ck_assert_uint_eq(capture_lines(), 5);
	ck_assert_uint_eq(u->files_used[0], 1);
}
END_TEST

START_TEST(empty_file)
{
	struct block_options opt = { .format = "raw" };

	image_done();
	image_make(0);
	opt.path = image_path();
	node_open(&opt, false);
	ck_assert_ptr_null(node.block);
	ck_assert_uint_eq(capture_count("empty"), 1);
	node_close();
	opt.below = opt.read_only = true; /* nothing to back an image with */
	node_open(&opt, false);
	ck_assert_ptr_nonnull(node.block);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 0, 4096), 0);
	node_close();
	opt.below = opt.read_only = false;
	opt.growable = true;
	node_open(&opt, false);
	ck_assert_ptr_nonnull(node.block);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 1, 2), 2);
	ck_assert_uint_eq(image_size(), 3);
}
END_TEST

Suite *suite_raw_faults(void)
{
	TCase *tc;
	Suite *s = suite_of("raw-faults", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, short_reads, 499, 502);
	tcase_add_loop_test(tc, short_cached_reads, 499, 502);
	tcase_add_test(tc, partly_cached);
	tcase_add_test(tc, no_nowait);
	tcase_add_loop_test(tc, short_writes, 499, 502);
	tcase_add_loop_test(tc, tried_again, 0, COUNT(again));
	tcase_add_loop_test(tc, errors_reach_the_caller, 0, COUNT(errors));
	tcase_add_loop_test(tc, flush_fails, 0, COUNT(errors));
	tcase_add_test(tc, flushes_fail);
	tcase_add_test(tc, error_after_a_part);
	tcase_add_loop_test(tc, error_after_a_part_below, 0, COUNT(errors));
	tcase_add_test(tc, nothing_moves);
	tcase_add_test(tc, which_calls);
	tcase_add_test(tc, no_ftruncate_opcode);
	tcase_add_test(tc, refuses_to_open);
	tcase_add_test(tc, empty_file);
	return s;
}

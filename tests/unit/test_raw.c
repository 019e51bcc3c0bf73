/* The raw driver on real files, by both rings, through the cache and not. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "image.h"
#include "node.h"
#include "suites.h"

static void setup(void)
{
	capture_start();
}

static void teardown(void)
{
	image_done();
}

static const uint32_t sizes[] = { 1,	511,  512,   513,   4095,
				  4096, 4097, 65536, 100001 };

static uint32_t random_state;

/* Always the same numbers, below @n. */
static uint32_t some(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

/* Like some(), but often at a border of sectors and pages. */
static uint32_t somewhere(uint32_t n)
{
	uint32_t at = some(n);

	switch (some(4)) {
	case 0:
		at &= ~4095u;
		break;
	case 1:
		at &= ~511u;
		break;
	default:
		break;
	}
	return at;
}

#define ROOM (256u << 10) /* of the model */
#define STEPS 100

/* One random request against the file, and its model. */
static void one_step(uint8_t *model, uint32_t *size)
{
	static const enum block_type types[] = { BLOCK_WRITE, BLOCK_WRITE,
						 BLOCK_READ,  BLOCK_READ,
						 BLOCK_ZERO,  BLOCK_DISCARD };
	enum block_type type = types[some(COUNT(types))];
	uint32_t at = somewhere(*size), len = 1 + somewhere(12288);
	uint32_t i, fill;
	int64_t result;

	if (len > ROOM - at)
		len = ROOM - at;
	if (type == BLOCK_WRITE)
		for (i = 0, fill = some(256); i < len; i++)
			node.buf[i] = (uint8_t)(fill += 7 + (i >> 8));
	else
		memset(node.buf, 0xee, len);
	result = node_run(type, 0, at, len);
	if (type == BLOCK_ZERO && result == -EOPNOTSUPP)
		return; /* tmpfs has no ZERO_RANGE */
	if (!node.block->opt.growable && at + len > *size) {
		if (type == BLOCK_ZERO) {
			ck_assert_int_eq(result, -ENOSPC);
			return;
		}
		len = *size - at;
	}
	if (type == BLOCK_READ || type == BLOCK_DISCARD)
		len = at + len > *size ? *size - at : len;
	ck_assert_int_eq(result,
			 type == BLOCK_READ || type == BLOCK_WRITE ? len : 0);
	if (type == BLOCK_READ)
		ck_assert(!memcmp(node.buf, model + at, len));
	else if (type == BLOCK_WRITE)
		memcpy(model + at, node.buf, len);
	else
		memset(model + at, 0, len);
	if (type != BLOCK_READ && at + len > *size)
		*size = at + len;
}

START_TEST(against_a_model)
{
	uint32_t size = sizes[_i / IMAGE_MODES / 2];
	uint8_t *model = calloc(1, ROOM);
	uint32_t i;

	ck_assert_ptr_nonnull(model);
	image_make(size);
	if (!image_open(_i / 2 % IMAGE_MODES, _i % 2)) {
		free(model);
		return;
	}
	random_state = (uint32_t)_i;
	for (i = 0; i < size; i++)
		model[i] = image_byte(i);
	ck_assert_uint_eq(node.block->size, size);
	for (i = 0; i < STEPS; i++)
		one_step(model, &size);
	ck_assert_uint_eq(node.block->size, size);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(image_size(), size);
	image_check(model, size, 0);
	free(model);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* Neighbours that share sectors and pages, all at once. */
START_TEST(neighbours_at_once)
{
	static uint8_t want[NODE_REQUESTS * 1000];
	unsigned int i, round;

	image_make(sizeof(want));
	if (!image_open(_i, false))
		return;
	for (round = 0; round < 8; round++) {
		for (i = 0; i < NODE_REQUESTS; i++) {
			unsigned int n = i * 37 % NODE_REQUESTS;
			size_t at = n * 1000;

			memset(want + at, (int)(round + n), 1000);
			memset(node.buf + at, (int)(round + n), 1000);
			node_submit(i, BLOCK_WRITE, 0, at, 1000, at);
		}
		while (node.block->in_flight)
			uring_wait(&node.uring);
		for (i = 0; i < NODE_REQUESTS; i++)
			ck_assert_int_eq(node.reqs[i].result, 1000);
		image_check(want, sizeof(want), 0);
	}
}
END_TEST

/* A buffer that direct I/O would not take. */
START_TEST(odd_buffer)
{
	struct block_req *req;

	image_make(65536);
	if (!image_open(_i, false))
		return;
	req = node_submit(0, BLOCK_READ, 0, 4096, 8192, 1);
	while (!node.done[0])
		uring_wait(&node.uring);
	ck_assert_int_eq(req->result, 8192);
	ck_assert_uint_eq(node.buf[1], image_byte(4096));
	ck_assert_uint_eq(node.buf[8192], image_byte(4096 + 8191));
	node_submit(0, BLOCK_WRITE, 0, 0, 8192, 1);
	while (!node.done[0])
		uring_wait(&node.uring);
	image_check(node.buf + 1, 8192, 0);
}
END_TEST

START_TEST(truncates)
{
	static const uint64_t steps[] = { 5000, 4096, 1, 0, 70001, 1 << 20 };
	size_t i;

	image_make(10000);
	if (!image_open(_i, false))
		return;
	for (i = 0; i < COUNT(steps); i++) {
		ck_assert_int_eq(node_run(BLOCK_TRUNCATE, 0, 0, steps[i]), 0);
		ck_assert_uint_eq(image_size(), steps[i]);
		ck_assert_uint_eq(node.block->size, steps[i]);
	}
	/* What was cut off is zero when it comes back. */
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 0, 10000), 10000);
	for (i = 0; i < 10000; i++)
		ck_assert_uint_eq(node.buf[i], 0);
}
END_TEST

START_TEST(seeks_and_allocates)
{
	const uint32_t hole = 512 << 10, end = 1 << 20;
	int64_t data;

	ck_assert_int_eq(ftruncate(image_make(0), end), 0);
	if (!image_open(_i, true))
		return;
	memset(node.buf, 1, 4096);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, hole, 4096), 4096);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), 0);
	data = node_run(BLOCK_SEEK_DATA, 0, 0, 0);
	/* A file system that cannot tell has data everywhere. */
	ck_assert(data == hole || data == 0);
	if (data == hole) {
		ck_assert_int_eq(node_run(BLOCK_SEEK_HOLE, 0, 0, 0), 0);
		ck_assert_int_eq(node_run(BLOCK_SEEK_DATA, 0, hole + 4096, 0),
				 -ENXIO);
	}
	ck_assert_int_eq(node_run(BLOCK_SEEK_HOLE, 0, hole, 0),
			 data ? hole + 4096 : end);
	ck_assert_int_eq(node_run(BLOCK_ALLOCATE, 0, end, 4096), 0);
	ck_assert_uint_eq(node.block->size, end + 4096);
	ck_assert_int_eq(
		node_run(BLOCK_ALLOCATE, BLOCK_KEEP_SIZE, end, 1 << 20), 0);
	ck_assert_uint_eq(node.block->size, end + 4096);
	ck_assert_uint_eq(image_size(), end + 4096);
}
END_TEST

START_TEST(stats)
{
	struct statx *stx;
	struct stat st;
	int fd = image_make(100001);

	if (!image_open(_i, false))
		return;
	ck_assert_int_eq(node_run(BLOCK_STAT, 0, 0, 0), 0);
	stx = (void *)node.buf;
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(stx->stx_blocks, (uint64_t)st.st_blocks);
	ck_assert_uint_eq(stx->stx_mode, st.st_mode);
	ck_assert_int_eq(stx->stx_mtime.tv_sec, st.st_mtim.tv_sec);
	ck_assert_uint_eq(stx->stx_mtime.tv_nsec,
			  (unsigned int)st.st_mtim.tv_nsec);
}
END_TEST

/* The file is cut by somebody else: an error, not a crash, not zeros. */
START_TEST(cut_under_us)
{
	int fd = image_make(65536);

	if (!image_open(_i, false))
		return;
	ck_assert_int_eq(ftruncate(fd, 10000), 0);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 20480, 4096), -EIO);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 8192, 4096), -EIO);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 9999, 2), -EIO);
	ck_assert_uint_eq(capture_count("truncated"), 1); /* said once */
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 9999, 1), 1);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 4096, 4096), 4096);
	ck_assert_uint_eq(node.buf[0], image_byte(4096));
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 20480, 4096), 4096);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 20480, 4096), 4096);
}
END_TEST

/* Slots and descriptors are given back: more often than there are any. */
START_TEST(opens_often)
{
	struct block_options opt = { .format = "raw",
				     .cache = BLOCK_CACHE_AUTO };
	unsigned int i;

	image_make(4096);
	opt.path = image_path();
	ck_assert(image_open(IMAGE_EMULATED_HOST, false));
	ck_assert_int_eq(block_close(node.block), 0);
	for (i = 0; i < 3 * URING_FILES; i++) {
		node.block = block_open(&node.uring, &opt);
		ck_assert_ptr_nonnull(node.block);
		ck_assert_int_eq(block_close(node.block), 0);
	}
	node.block = block_open(&node.uring, &opt);
}
END_TEST

Suite *suite_raw(void)
{
	TCase *tc;
	Suite *s = suite_of("raw", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, against_a_model, 0,
			    COUNT(sizes) * IMAGE_MODES * 2);
	tcase_add_loop_test(tc, neighbours_at_once, 0, IMAGE_MODES);
	tcase_add_loop_test(tc, odd_buffer, 0, IMAGE_MODES);
	tcase_add_loop_test(tc, truncates, 0, IMAGE_MODES);
	tcase_add_loop_test(tc, seeks_and_allocates, 0, IMAGE_MODES);
	tcase_add_loop_test(tc, stats, 0, IMAGE_MODES);
	tcase_add_loop_test(tc, cut_under_us, 0, IMAGE_MODES);
	tcase_add_test(tc, opens_often);
	return s;
}

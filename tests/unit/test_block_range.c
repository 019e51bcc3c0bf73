/* What block.c lets through to a driver, and what of it. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "node.h"
#include "suites.h"

#define SIZE (1u << 20)
#define TOP (1ULL << 63)
#define KEEP BLOCK_KEEP_SIZE

enum kind { FIXED, GROWS, READ_ONLY, KINDS };

static void setup(void)
{
	capture_start();
	driver_install();
}

static void teardown(void)
{
	driver_remove();
}

/* A result that only the driver can give: it is asked for @length bytes. */
#define RUNS 1

static const struct {
	enum block_type type;
	unsigned int flags;
	uint64_t offset, length;
	struct {
		int64_t result; /* or RUNS, with: */
		uint64_t length;
	} want[KINDS];
} cases[] = {
	/* Reads: cut at the end; nothing behind it. */
	{ BLOCK_READ, 0, 0, 4096, { { 1, 4096 }, { 1, 4096 }, { 1, 4096 } } },
	{ BLOCK_READ, 0, 0, SIZE, { { 1, SIZE }, { 1, SIZE }, { 1, SIZE } } },
	{ BLOCK_READ, 0, 0, 0, { { 0, 0 }, { 0, 0 }, { 0, 0 } } },
	{ BLOCK_READ, 0, SIZE - 1, 2, { { 1, 1 }, { 1, 1 }, { 1, 1 } } },
	{ BLOCK_READ, 0, SIZE, 1, { { 0, 0 }, { 0, 0 }, { 0, 0 } } },
	{ BLOCK_READ, 0, TOP - 2, 1, { { 0, 0 }, { 0, 0 }, { 0, 0 } } },
	/* Writes: cut, or refused behind the end; or they extend. */
	{ BLOCK_WRITE, 0, 0, 0, { { 0, 0 }, { 0, 0 }, { -EROFS, 0 } } },
	{ BLOCK_WRITE, 0, SIZE - 1, 2, { { 1, 1 }, { 1, 2 }, { -EROFS, 0 } } },
	{ BLOCK_WRITE,
	  0,
	  SIZE,
	  1,
	  { { -ENOSPC, 0 }, { 1, 1 }, { -EROFS, 0 } } },
	{ BLOCK_WRITE,
	  0,
	  TOP - 2,
	  1,
	  { { -ENOSPC, 0 }, { 1, 1 }, { -EROFS, 0 } } },
	{ BLOCK_WRITE, 0, SIZE, 0, { { 0, 0 }, { 0, 0 }, { -EROFS, 0 } } },
	/* Discards: cut. */
	{ BLOCK_DISCARD,
	  0,
	  0,
	  SIZE + 1ULL,
	  { { 1, SIZE }, { 1, SIZE }, { -EROFS, 0 } } },
	{ BLOCK_DISCARD, 0, SIZE, 1, { { 0, 0 }, { 0, 0 }, { -EROFS, 0 } } },
	/* Zeros: all or nothing, or cut where the size must stay. */
	{ BLOCK_ZERO, 0, 0, SIZE, { { 1, SIZE }, { 1, SIZE }, { -EROFS, 0 } } },
	{ BLOCK_ZERO,
	  0,
	  1,
	  SIZE,
	  { { -ENOSPC, 0 }, { 1, SIZE }, { -EROFS, 0 } } },
	{ BLOCK_ZERO,
	  KEEP,
	  1,
	  SIZE,
	  { { 1, SIZE - 1 }, { 1, SIZE - 1 }, { -EROFS, 0 } } },
	{ BLOCK_ZERO, KEEP, SIZE, 1, { { 0, 0 }, { 0, 0 }, { -EROFS, 0 } } },
	/* Allocation: with room to grow also behind the end. */
	{ BLOCK_ALLOCATE,
	  0,
	  0,
	  SIZE,
	  { { 1, SIZE }, { 1, SIZE }, { -EROFS, 0 } } },
	{ BLOCK_ALLOCATE,
	  0,
	  SIZE,
	  1,
	  { { -ENOSPC, 0 }, { 1, 1 }, { -EROFS, 0 } } },
	{ BLOCK_ALLOCATE,
	  KEEP,
	  1,
	  SIZE,
	  { { 1, SIZE - 1 }, { 1, SIZE }, { -EROFS, 0 } } },
	{ BLOCK_ALLOCATE,
	  KEEP,
	  SIZE,
	  1,
	  { { -ENOSPC, 0 }, { 1, 1 }, { -EROFS, 0 } } },
	/* Seeks. */
	{ BLOCK_SEEK_DATA, 0, SIZE - 1, 0, { { 1, 0 }, { 1, 0 }, { 1, 0 } } },
	{ BLOCK_SEEK_HOLE, 0, SIZE - 1, 0, { { 1, 0 }, { 1, 0 }, { 1, 0 } } },
	{ BLOCK_SEEK_DATA,
	  0,
	  SIZE,
	  0,
	  { { -ENXIO, 0 }, { -ENXIO, 0 }, { -ENXIO, 0 } } },
	{ BLOCK_SEEK_HOLE,
	  0,
	  TOP - 1,
	  0,
	  { { -ENXIO, 0 }, { -ENXIO, 0 }, { -ENXIO, 0 } } },
	{ BLOCK_SEEK_DATA,
	  0,
	  -1ULL,
	  0,
	  { { -ENXIO, 0 }, { -ENXIO, 0 }, { -ENXIO, 0 } } },
	{ BLOCK_SEEK_HOLE,
	  0,
	  TOP,
	  0,
	  { { -ENXIO, 0 }, { -ENXIO, 0 }, { -ENXIO, 0 } } },
	/* Truncation. */
	{ BLOCK_TRUNCATE, 0, 0, 0, { { 1, 0 }, { 1, 0 }, { -EROFS, 0 } } },
	{ BLOCK_TRUNCATE,
	  0,
	  0,
	  TOP - 1,
	  { { 1, TOP - 1 }, { 1, TOP - 1 }, { -EROFS, 0 } } },
	{ BLOCK_STAT, 0, 0, 0, { { 1, 0 }, { 1, 0 }, { 1, 0 } } },
};

START_TEST(ranges)
{
	enum kind kind = _i % KINDS;
	int n = _i / KINDS;
	int64_t want = cases[n].want[kind].result, result;

	node_open_driver(kind == READ_ONLY, kind == GROWS);
	driver.forced[cases[n].type] = true;
	driver.result[cases[n].type] = 0;
	result = node_run(cases[n].type, cases[n].flags, cases[n].offset,
			  cases[n].length);
	ck_assert_int_eq(result, want == RUNS ? 0 : want);
	ck_assert_uint_eq(driver.started_n, want == RUNS);
	if (want == RUNS) {
		ck_assert_uint_eq(driver.last_offset, cases[n].offset);
		ck_assert_uint_eq(driver.last_length,
				  cases[n].want[kind].length);
		ck_assert_uint_eq(driver.last_flags, cases[n].flags);
	}
	ck_assert_int_eq(node_close(), 0);
	ck_assert_uint_eq(driver.closed, 1);
}
END_TEST

/* A node above gets its WRITE as a whole, or not at all. */
START_TEST(whole_writes)
{
	node_open_driver(false, _i);
	node.block->opt.below = true;
	driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_WRITE] = 4096;
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, SIZE - 4096, 4096), 4096);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, SIZE - 2048, 4096),
			 _i ? 4096 : -ENOSPC);
	ck_assert_uint_eq(driver.started_n, _i ? 2 : 1);
	node_close();
}
END_TEST

/*
 * Sums beyond 2^63 - 1 are nonsense for every type; but a seek from below zero,
 * which an offset beyond is, finds nothing.
 */
static const struct {
	uint64_t offset, length;
} nonsense[] = {
	{ TOP, 0 },	    { TOP, 1 },	  { -1ULL, 1 },	      { -1ULL, -1ULL },
	{ TOP - 1, 1 },	    { 0, TOP },	  { 0, -1ULL },	      { 1, TOP - 1 },
	{ 4096, -4096ULL }, { TOP, TOP }, { -4096ULL, 4096 },
};

START_TEST(nonsensical)
{
	unsigned int type, i;

	node_open_driver(false, _i);
	for (type = 0; type < BLOCK_TYPES; type++)
		for (i = 0; i < COUNT(nonsense); i++)
			ck_assert_int_eq(node_run(type, 0, nonsense[i].offset,
						  nonsense[i].length),
					 (type == BLOCK_SEEK_DATA ||
					  type == BLOCK_SEEK_HOLE) &&
							 nonsense[i].offset >=
								 TOP ?
						 -ENXIO :
						 -EINVAL);
	ck_assert_int_eq(node_run(BLOCK_TYPES, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(node_run(99, 0, 0, 0), -EINVAL);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(node.block->size, SIZE);
	ck_assert_int_eq(node_close(), 0);
}
END_TEST

/* What a request does to the size. */
static const struct {
	enum block_type type;
	unsigned int flags;
	uint64_t offset, length;
	int64_t result;
	uint64_t size;
} growths[] = {
	{ BLOCK_WRITE, 0, SIZE, 4096, 4096, SIZE + 4096 },
	{ BLOCK_WRITE, 0, SIZE, 4096, 100, SIZE + 100 },
	{ BLOCK_WRITE, 0, SIZE, 4096, -EIO, SIZE },
	{ BLOCK_WRITE, 0, SIZE - 4096, 8192, 0, SIZE },
	{ BLOCK_WRITE, 0, 0, 4096, 4096, SIZE },
	{ BLOCK_ZERO, 0, SIZE, 4096, 0, SIZE + 4096 },
	{ BLOCK_ZERO, 0, SIZE, 4096, -EIO, SIZE },
	{ BLOCK_ZERO, KEEP, SIZE - 1, 4096, 0, SIZE },
	{ BLOCK_ALLOCATE, 0, SIZE, 4096, 0, SIZE + 4096 },
	{ BLOCK_ALLOCATE, KEEP, SIZE, 4096, 0, SIZE },
	{ BLOCK_DISCARD, 0, SIZE - 1, 4096, 0, SIZE },
	{ BLOCK_TRUNCATE, 0, 0, 5, 0, 5 },
	{ BLOCK_TRUNCATE, 0, 0, 5, -EIO, SIZE },
	{ BLOCK_TRUNCATE, 0, 0, 5 * SIZE, 0, 5 * SIZE },
};

START_TEST(sizes)
{
	node_open_driver(false, true);
	driver.forced[growths[_i].type] = true;
	driver.result[growths[_i].type] = growths[_i].result;
	ck_assert_int_eq(node_run(growths[_i].type, growths[_i].flags,
				  growths[_i].offset, growths[_i].length),
			 growths[_i].result);
	ck_assert_uint_eq(node.block->size, growths[_i].size);
	node_close();
}
END_TEST

/* Results shorter than asked for reach the caller as they are. */
START_TEST(short_results)
{
	uint8_t byte = 0;

	node_open_driver(false, false);
	driver.forced[BLOCK_READ] = driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_READ] = driver.result[BLOCK_WRITE] = 1;
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 0, 4096), 1);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 0, 4096), 1);
	/* For open and close it is all or an error. */
	ck_assert_int_eq(block_pread(node.block, &byte, 1, 0), 0);
	ck_assert_int_eq(block_pwrite(node.block, &byte, 1, 0), 0);
	ck_assert_int_eq(block_pread(node.block, node.buf, 2, 0), -EIO);
	ck_assert_int_eq(block_pwrite(node.block, node.buf, 2, 0), -ENOSPC);
	driver.result[BLOCK_READ] = driver.result[BLOCK_WRITE] = -EBADMSG;
	ck_assert_int_eq(block_pread(node.block, node.buf, 2, 0), -EBADMSG);
	ck_assert_int_eq(block_pwrite(node.block, node.buf, 2, 0), -EBADMSG);
	node_close();
}
END_TEST

START_TEST(opens_and_closes)
{
	struct block_options opt = { .path = DRIVER_PATH,
				     .format = "nonsense" };

	node_open(&opt, false);
	ck_assert_ptr_null(node.block);
	ck_assert_uint_eq(capture_count("nonsense"), 1);
	ck_assert_int_eq(node_close(), 0); /* of none */
	opt.format = "auto";
	driver.open_error = -EMEDIUMTYPE;
	node_open(&opt, false);
	ck_assert_ptr_null(node.block);
	node_close();
	driver.open_error = 0;
	driver.close_error = -EIO;
	node_open(&opt, false);
	ck_assert_str_eq(node.block->driver->name, "null");
	ck_assert_int_eq(node_close(), -EIO);
	ck_assert_uint_eq(driver.closed, 1);
}
END_TEST

START_TEST(names)
{
	unsigned int i;

	for (i = 0; i < BLOCK_TYPES; i++)
		ck_assert_str_ne(block_type_name(i), "?");
	ck_assert_str_eq(block_type_name(BLOCK_TYPES), "?");
}
END_TEST

Suite *suite_block_range(void)
{
	TCase *tc;
	Suite *s = suite_of("block-range", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, ranges, 0, COUNT(cases) * KINDS);
	tcase_add_loop_test(tc, whole_writes, 0, 2);
	tcase_add_loop_test(tc, nonsensical, 0, 2);
	tcase_add_loop_test(tc, sizes, 0, COUNT(growths));
	tcase_add_test(tc, short_results);
	tcase_add_test(tc, opens_and_closes);
	tcase_add_test(tc, names);
	return s;
}

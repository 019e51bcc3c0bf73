/* Who may run beside whom: truncation alone, what is not aligned in turn. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "node.h"
#include "suites.h"

#define G 4096u /* the granule */

static void setup(void)
{
	capture_start();
	driver_install();
	driver.granule = G;
	driver.buf_align = 512;
	driver.hold = true;
	node_open_driver(false, true);
}

static void teardown(void)
{
	driver_finish_all();
	node_drain();
	ck_assert_uint_eq(node.block->in_flight, 0);
	ck_assert(!node.block->alone);
	ck_assert(!node.block->exclusive);
	ck_assert_uint_eq(node.block->modifying, 0);
	ck_assert_ptr_null(node.block->waiting.first);
	ck_assert_ptr_null(node.block->waiting.last);
	driver.hold = false;
	ck_assert_int_eq(node_close(), 0);
	driver_remove();
}

static bool running(unsigned int i)
{
	return driver_find(&node.reqs[i]) >= 0;
}

static void finish(unsigned int i)
{
	ck_assert(running(i));
	driver_finish((unsigned int)driver_find(&node.reqs[i]));
	ck_assert(node.done[i]);
}

static void write_at(unsigned int i, uint64_t offset, uint64_t length)
{
	node_submit(i, BLOCK_WRITE, 0, offset, length, 0);
}

/* The matrix: may the second run beside the first? */
static const struct {
	uint64_t one, one_len, two, two_len;
	bool beside;
} overlaps[] = {
	/* Aligned ones always, even the same range twice. */
	{ 0, G, 0, G, true },
	{ 0, 2 * G, G, G, true },
	{ 0, G, G, G, true },
	/* In one granule. */
	{ 0, 512, 512, 512, false },
	{ 0, 1, G - 1, 1, false },
	{ 0, 512, 0, 512, false },
	{ 512, 512, 0, 512, false },
	/* One aligned, one not, in one granule. */
	{ 0, G, 512, 512, false },
	{ 512, 512, 0, G, false },
	{ 0, 4 * G, 2 * G + 1, 1, false },
	{ 2 * G + 1, 1, 0, 4 * G, false },
	/* Neighbours: a folio of the page cache may hold both. */
	{ 0, 512, G, 512, false },
	{ G, 1, G - 1, 1, false },
	{ 0, G, G, 1, false },
	{ G, 1, 0, G, false },
	{ G + 1, G - 1, 2 * G, G, false },
	/* Far apart: nobody knows how large a folio is. */
	{ 0, 512, 100 * G, 512, false },
	{ 0, 512, 100 * G, G, false },
	/* Near the top, where sums could overflow. */
	{ (1ULL << 63) - 1 - G, G, 0, 512, false },
};

START_TEST(matrix)
{
	bool beside = overlaps[_i].beside;

	write_at(0, overlaps[_i].one, overlaps[_i].one_len);
	write_at(1, overlaps[_i].two, overlaps[_i].two_len);
	ck_assert(running(0));
	ck_assert_int_eq(running(1), beside);
	ck_assert_uint_eq(node.block->stats.waited, !beside);
	finish(0);
	ck_assert(running(1));
	finish(1);
}
END_TEST

/* A buffer that is not aligned makes a write go the same way. */
START_TEST(buffer_not_aligned)
{
	node_submit(0, BLOCK_WRITE, 0, 0, G, 1);
	node_submit(1, BLOCK_WRITE, 0, 0, G, 512);
	ck_assert(running(0) && !running(1));
	finish(0);
	ck_assert(running(1));
	node_submit(2, BLOCK_WRITE, 0, 0, G, 1024);
	ck_assert(running(2));
}
END_TEST

/* Which types modify: all pairs with one that is not aligned. */
START_TEST(types_beside)
{
	static const bool modifies[BLOCK_TYPES] = {
		[BLOCK_WRITE] = true,	 [BLOCK_DISCARD] = true,
		[BLOCK_ZERO] = true,	 [BLOCK_ALLOCATE] = true,
		[BLOCK_TRUNCATE] = true,
	};
	enum block_type one = _i / BLOCK_TYPES, two = _i % BLOCK_TYPES;
	bool alone = one == BLOCK_TRUNCATE || two == BLOCK_TRUNCATE;

	if (one == BLOCK_FLUSH || two == BLOCK_FLUSH) /* make it needed */
		node.block->write_seq++;
	node_submit(0, one, 0, one == BLOCK_TRUNCATE ? 0 : 512, 8192, 0);
	node_submit(1, two, 0, two == BLOCK_TRUNCATE ? 0 : 512, 8192, 0);
	ck_assert(running(0));
	ck_assert_int_eq(running(1),
			 !alone && !(modifies[one] && modifies[two]));
	finish(0);
	ck_assert(running(1));
	finish(1);
}
END_TEST

/* Holes are aligned to more than writes. */
START_TEST(two_granules)
{
	node.block->granule = 512;
	write_at(0, 512, 512);
	write_at(1, 1024, 512);
	node_submit(2, BLOCK_DISCARD, 0, G, G, 0);
	ck_assert(running(0) && running(1) && running(2));
	node_submit(3, BLOCK_DISCARD, 0, 512, 512, 0);
	write_at(4, 1024, 512);
	finish(0);
	finish(2);
	ck_assert(!running(3) && !running(4));
	finish(1);
	ck_assert(running(3) && !running(4));
	finish(3);
	ck_assert(running(4));
}
END_TEST

/* Without a granule only a truncation waits. */
START_TEST(no_granule)
{
	unsigned int i;

	node.block->granule = 0;
	for (i = 0; i < 8; i++)
		write_at(i, 100, 100);
	ck_assert_uint_eq(driver.held_n, 8);
	ck_assert_uint_eq(node.block->stats.waited, 0);
}
END_TEST

/* TRUNCATE waits for all, and all that come after it wait for it. */
START_TEST(truncate_is_alone)
{
	node_submit(0, BLOCK_READ, 0, 0, G, 0);
	write_at(1, 0, G);
	node_submit(2, BLOCK_TRUNCATE, 0, 0, 10 * G, 0);
	node_submit(3, BLOCK_READ, 0, 0, G, 0);
	write_at(4, 5 * G, G);
	node_submit(5, BLOCK_STAT, 0, 0, 0, 0);
	node_submit(6, BLOCK_TRUNCATE, 0, 0, 20 * G, 0);
	write_at(7, 6 * G, G);
	ck_assert_uint_eq(driver.held_n, 2);
	finish(1);
	ck_assert_uint_eq(driver.held_n, 1);
	finish(0);
	ck_assert_uint_eq(driver.held_n, 1);
	ck_assert(running(2) && node.block->exclusive);
	finish(2);
	ck_assert(running(3) && running(4) && running(5));
	ck_assert(!running(6) && !running(7));
	ck_assert_uint_eq(node.block->size, 10 * G);
	finish(4);
	finish(3);
	ck_assert(!running(6) && !running(7));
	finish(5);
	ck_assert(running(6) && !running(7));
	finish(6);
	ck_assert(running(7));
	ck_assert_uint_eq(node.block->size, 20 * G);
	ck_assert_uint_eq(node.block->stats.waited, 6);
}
END_TEST

/* A truncation that fails lets the others go all the same. */
START_TEST(truncate_fails)
{
	uint64_t size = node.block->size;

	node_submit(0, BLOCK_TRUNCATE, 0, 0, 1, 0);
	node_submit(1, BLOCK_READ, 0, 0, G, 0);
	ck_assert(!running(1));
	driver_finish_with(0, -5);
	ck_assert(running(1));
	ck_assert_uint_eq(node.block->size, size);
}
END_TEST

/* What it waited for may have cut the image: it is checked once more. */
START_TEST(checked_again)
{
	node.block->opt.growable = false;
	node_submit(0, BLOCK_TRUNCATE, 0, 0, 10000, 0);
	node_submit(1, BLOCK_READ, 0, 9000, G, 0);
	node_submit(2, BLOCK_READ, 0, 10000, G, 0);
	node_submit(3, BLOCK_WRITE, 0, 8192, G, 0);
	node_submit(4, BLOCK_WRITE, 0, 12288, G, 0);
	node_submit(5, BLOCK_SEEK_DATA, 0, 12288, 0, 0);
	finish(0);
	node_drain();
	ck_assert(running(1) && node.reqs[1].length == 1000);
	ck_assert(node.done[2] && node.reqs[2].result == 0);
	ck_assert(running(3) && node.reqs[3].length == 10000 - 8192);
	finish(3); /* cut so, it is not aligned any more: 4 waits for it */
	node_drain();
	ck_assert(node.done[4] && node.reqs[4].result == -ENOSPC);
	ck_assert(node.done[5] && node.reqs[5].result == -ENXIO);
}
END_TEST

/* First come, first served, in one granule. */
START_TEST(in_turn)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		write_at(i, i * 512, 512);
	for (i = 0; i < 8; i++) {
		ck_assert_uint_eq(driver.held_n, 1);
		finish(i);
	}
	ck_assert_uint_eq(driver.held_n, 0);
}
END_TEST

/*
 * Fairness: one that is not aligned waits for all that modify, and is not
 * overtaken by those that come after it, aligned or not.
 */
START_TEST(not_overtaken)
{
	write_at(0, 0, G);
	write_at(1, 2 * G, 4 * G);
	write_at(2, 1, 1); /* waits for both */
	write_at(3, 50 * G, G); /* behind it */
	node_submit(4, BLOCK_READ, 0, 0, G, 0); /* reads pass */
	ck_assert(running(0) && running(1) && running(4));
	ck_assert(!running(2) && !running(3));
	finish(0);
	ck_assert(!running(2) && !running(3));
	finish(1);
	ck_assert(running(2) && !running(3));
	finish(2);
	ck_assert(running(3));
}
END_TEST

/* Several start by one completion, in the order of their coming. */
START_TEST(waiting_order)
{
	unsigned int i, first;

	write_at(0, 1, 8 * G); /* not aligned */
	for (i = 1; i <= 8; i++)
		write_at(i, (i - 1) * G, G);
	ck_assert_uint_eq(driver.held_n, 1);
	first = driver.started_n;
	finish(0);
	ck_assert_uint_eq(driver.held_n, 8);
	for (i = 1; i <= 8; i++)
		ck_assert_ptr_eq(driver.started[first + i - 1], &node.reqs[i]);
}
END_TEST

/* One is submitted from within another's done(). */
static void chain(struct block_req *req)
{
	(void)req;
	write_at(3, 1, 1);
}

START_TEST(submit_from_done)
{
	write_at(0, 1, 1);
	node.reqs[0].done = chain;
	write_at(1, 2, 1);
	write_at(2, 3, 1);
	driver_finish(0);
	/* Who waited goes before who comes now. */
	ck_assert(running(1) && !running(2) && !running(3));
	finish(1);
	ck_assert(running(2) && !running(3));
	finish(2);
	ck_assert(running(3));
}
END_TEST

Suite *suite_block_order(void)
{
	TCase *tc;
	Suite *s = suite_of("block-order", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, matrix, 0, COUNT(overlaps));
	tcase_add_test(tc, buffer_not_aligned);
	tcase_add_loop_test(tc, types_beside, 0, BLOCK_TYPES * BLOCK_TYPES);
	tcase_add_test(tc, two_granules);
	tcase_add_test(tc, no_granule);
	tcase_add_test(tc, truncate_is_alone);
	tcase_add_test(tc, truncate_fails);
	tcase_add_test(tc, checked_again);
	tcase_add_test(tc, in_turn);
	tcase_add_test(tc, not_overtaken);
	tcase_add_test(tc, waiting_order);
	tcase_add_test(tc, submit_from_done);
	return s;
}

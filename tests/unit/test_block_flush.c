/* Flushes: which are needed, what they cover, and what is lost. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "node.h"
#include "suites.h"

static void setup(void)
{
	capture_start();
	driver_install();
	node_open_driver(false, true);
}

static void teardown(void)
{
	driver.hold = false;
	driver_finish_all();
	if (node.block)
		node_close();
	driver_remove();
}

/* Runs a flush; did it reach the driver? */
static bool flush_reaches(unsigned int flags)
{
	unsigned int before = driver.started_n;

	ck_assert_int_eq(node_run(BLOCK_FLUSH, flags, 0, 0), 0);
	return driver.started_n > before;
}

static void flush_now(void)
{
	ck_assert_int_eq(node_run(BLOCK_FLUSH, BLOCK_FULL_SYNC, 0, 0), 0);
}

/* What was written before the image was opened may not be stable yet. */
START_TEST(first_flush)
{
	ck_assert(flush_reaches(0));
	ck_assert(!flush_reaches(0));
	ck_assert_int_eq(node_close(), 0);
	node_open_driver(true, false);
	ck_assert(!flush_reaches(0));
	ck_assert(!flush_reaches(BLOCK_FULL_SYNC));
}
END_TEST

/* A full one covers times, too; one of data does not cover it. */
START_TEST(full_and_data)
{
	flush_now();
	ck_assert(!flush_reaches(BLOCK_FULL_SYNC));
	node_run(BLOCK_WRITE, 0, 0, 4096);
	ck_assert(flush_reaches(0));
	ck_assert(flush_reaches(BLOCK_FULL_SYNC));
	ck_assert(!flush_reaches(BLOCK_FULL_SYNC));
	ck_assert(!flush_reaches(0));
	node_run(BLOCK_WRITE, 0, 0, 4096);
	ck_assert(flush_reaches(BLOCK_FULL_SYNC));
	ck_assert(!flush_reaches(0));
}
END_TEST

START_TEST(nothing_to_flush)
{
	flush_now();
	node_run(BLOCK_READ, 0, 0, 4096);
	node_run(BLOCK_STAT, 0, 0, 0);
	node_run(BLOCK_SEEK_DATA, 0, 0, 0);
	ck_assert(!flush_reaches(0));
}
END_TEST

static const enum block_type modifications[] = {
	BLOCK_WRITE, BLOCK_DISCARD, BLOCK_ZERO, BLOCK_ALLOCATE, BLOCK_TRUNCATE,
};

START_TEST(after_a_modification)
{
	node_run(modifications[_i], 0, 0, 4096);
	ck_assert(flush_reaches(0));
	ck_assert(!flush_reaches(0));
	/* One that failed may have changed something. */
	driver.forced[modifications[_i]] = true;
	driver.result[modifications[_i]] = -EIO;
	node_run(modifications[_i], 0, 0, 4096);
	ck_assert(flush_reaches(0));
	ck_assert(!flush_reaches(0));
}
END_TEST

/* What block.c refused has changed nothing. */
START_TEST(after_refused)
{
	flush_now();
	node_run(BLOCK_WRITE, 0, 1ULL << 63, 4096);
	node_run(BLOCK_WRITE, 0, 0, 0);
	ck_assert(!flush_reaches(0));
}
END_TEST

/* A write that ends while a flush runs is not covered by it. */
START_TEST(write_ends_during_flush)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	driver.hold = true;
	node_submit(1, BLOCK_WRITE, 0, 0, 4096, 0);
	node_submit(2, BLOCK_FLUSH, 0, 0, 0, 0);
	ck_assert_uint_eq(driver.held_n, 2);
	driver_finish(0); /* the write */
	driver_finish(0); /* the flush */
	driver.hold = false;
	ck_assert(flush_reaches(0));
	ck_assert(!flush_reaches(0));
}
END_TEST

/* A write in flight is nothing that a flush would have to cover. */
START_TEST(write_in_flight)
{
	flush_now();
	driver.hold = true;
	node_submit(1, BLOCK_WRITE, 0, 0, 4096, 0);
	node_submit(2, BLOCK_FLUSH, 0, 0, 0, 0);
	node_drain();
	ck_assert(node.done[2]);
	ck_assert_int_eq(node.reqs[2].result, 0);
	driver_finish(0);
	driver.hold = false;
	ck_assert(flush_reaches(0));
}
END_TEST

/* Two flushes that end in the other order: the later start counts. */
START_TEST(flushes_cross)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	driver.hold = true;
	node_submit(1, BLOCK_FLUSH, 0, 0, 0, 0);
	node_submit(2, BLOCK_WRITE, 0, 0, 4096, 0);
	driver_finish(1);
	node_submit(3, BLOCK_FLUSH, 0, 0, 0, 0);
	ck_assert_uint_eq(driver.held_n, 2);
	driver_finish(1); /* the later one */
	driver_finish(0);
	driver.hold = false;
	ck_assert(!flush_reaches(0));
}
END_TEST

/* A flush that failed is not forgotten, whatever comes later. */
START_TEST(failed)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	driver.forced[BLOCK_FLUSH] = true;
	driver.result[BLOCK_FLUSH] = -EIO;
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -EIO);
	ck_assert(node.block->flush_failed);
	driver.result[BLOCK_FLUSH] = 0;
	ck_assert(flush_reaches(0));
	ck_assert(!flush_reaches(0));
	ck_assert(node.block->flush_failed);
	ck_assert_int_eq(node_close(), -EIO);
	ck_assert_uint_eq(driver.closed, 1);
}
END_TEST

/* What is lost stays so; flushes are tried for the sake of the rest. */
START_TEST(lost)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	block_lose(node.block, -ENOSPC);
	block_lose(node.block, -EIO);
	ck_assert_uint_eq(capture_count("is lost"), 1);
	ck_assert_uint_eq(capture_count("No space"), 1);
	driver.started_n = 0;
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -EIO);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -EIO);
	ck_assert_uint_eq(driver.started_n, 2);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 0, 4096), 4096);
	ck_assert_int_eq(node_close(), -EIO);
}
END_TEST

/* One that succeeded just before does not stand for it. */
START_TEST(lost_beside)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	driver.hold = true;
	node_submit(1, BLOCK_FLUSH, 0, 0, 0, 0);
	node_submit(2, BLOCK_FLUSH, 0, 0, 0, 0);
	driver_finish(1);
	ck_assert_int_eq(node.reqs[2].result, 0);
	driver.forced[BLOCK_FLUSH] = true;
	driver.result[BLOCK_FLUSH] = -EIO;
	driver_finish(0);
	ck_assert_int_eq(node.reqs[1].result, -EIO);
	driver.hold = false;
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), -EIO);
}
END_TEST

/* A flush that failed covers nothing, and another one is tried at close. */
START_TEST(close_flushes)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	ck_assert_int_eq(node_close(), 0);
	ck_assert_int_eq(driver.last_type, BLOCK_FLUSH);
	node_open_driver(false, false);
	flush_now();
	driver.started_n = 0;
	ck_assert_int_eq(node_close(), 0);
	ck_assert_uint_eq(driver.started_n, 0);
	node_open_driver(false, false);
	node_run(BLOCK_WRITE, 0, 0, 4096);
	driver.forced[BLOCK_FLUSH] = true;
	driver.result[BLOCK_FLUSH] = -ENOSPC;
	ck_assert_int_eq(node_close(), -ENOSPC);
	ck_assert_uint_eq(capture_count("flush"), 1);
	ck_assert_uint_eq(driver.closed, 3);
}
END_TEST

static struct block_req *late;

static void release(struct op *op, int res, unsigned int flags)
{
	(void)op;
	(void)res;
	(void)flags;
	driver.hold = false;
	driver_finish_all();
}

/* block_close() waits for what is in flight, then flushes that, too. */
START_TEST(close_waits)
{
	struct op op = { .done = release };

	driver.hold = true;
	late = node_submit(1, BLOCK_WRITE, 0, 0, 4096, 0);
	node_submit(2, BLOCK_TRUNCATE, 0, 0, 4096, 0);
	uring_post(&node.uring, &op, 0);
	ck_assert_int_eq(node_close(), 0);
	ck_assert(node.done[1] && node.done[2]);
	ck_assert_int_eq(late->result, 4096);
	ck_assert_int_eq(driver.last_type, BLOCK_FLUSH);
	ck_assert_uint_eq(driver.closed, 1);
}
END_TEST

/*
 * A caller that asks for one flush after the other, for ever: a client that
 * is still served while the image closes.
 */
static struct {
	struct block_req req;
	struct op op; /* asks on, in a later turn of the loop */
	unsigned int asked, failed;
} looper;

#define LOOPS_MOST 1000u /* then the closing has waited for the caller */

static void loop_again(struct op *op, int res, unsigned int flags)
{
	(void)op;
	(void)res;
	(void)flags;
	if (looper.asked++ < LOOPS_MOST)
		block_submit(node.block, &looper.req);
}

static void loop_done(struct block_req *req)
{
	looper.failed += req->result < 0;
	ck_assert(req->result == 0 || req->result == -EIO);
	looper.op.done = loop_again;
	uring_post(&node.uring, &looper.op, 0);
}

/* A flush that comes once the driver's end has begun must not reach it. */
static void close_turns_loop(struct block *b)
{
	unsigned int i, before = driver.started_n;

	looper.op.done = loop_again;
	uring_post(b->uring, &looper.op, 0);
	for (i = 0; i < 3; i++)
		uring_drain(b->uring);
	ck_assert_uint_gt(looper.asked, 1);
	ck_assert_uint_eq(driver.started_n, before);
}

START_TEST(close_beside_flushes)
{
	bool fails = _i;

	memset(&looper, 0, sizeof(looper));
	looper.req = (struct block_req){ .type = BLOCK_FLUSH,
					 .done = loop_done };
	node_run(BLOCK_WRITE, 0, 0, 4096);
	driver.forced[BLOCK_FLUSH] = fails;
	driver.result[BLOCK_FLUSH] = -EIO;
	driver.closing = close_turns_loop;
	block_submit(node.block, &looper.req);
	ck_assert_int_eq(node_close(), fails ? -EIO : 0);
	ck_assert_uint_lt(looper.asked, LOOPS_MOST);
	ck_assert_uint_eq(looper.failed > 0, fails);
	/* The looper's first one, and the last one where that failed. */
	ck_assert_uint_le(driver.started_n, 3);
	ck_assert_uint_eq(driver.closed, 1);
}
END_TEST

Suite *suite_block_flush(void)
{
	TCase *tc;
	Suite *s = suite_of("block-flush", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, first_flush);
	tcase_add_test(tc, full_and_data);
	tcase_add_test(tc, nothing_to_flush);
	tcase_add_loop_test(tc, after_a_modification, 0, COUNT(modifications));
	tcase_add_test(tc, after_refused);
	tcase_add_test(tc, write_ends_during_flush);
	tcase_add_test(tc, write_in_flight);
	tcase_add_test(tc, flushes_cross);
	tcase_add_test(tc, failed);
	tcase_add_test(tc, lost);
	tcase_add_test(tc, lost_beside);
	tcase_add_test(tc, close_flushes);
	tcase_add_test(tc, close_waits);
	tcase_add_loop_test(tc, close_beside_flushes, 0, 2);
	return s;
}

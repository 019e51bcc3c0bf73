/* The timer of the writeback: it runs only while there is something to do. */
#include "config.h"

#include "driver.h"
#include "loop/loop.h"
#include "node.h"
#include "suites.h"
#include "writeback.h"

static struct loop loop;
static struct writeback writeback;

static void setup(void)
{
	driver_install();
	node_open_driver(false, true);
	ck_assert_int_eq(loop_init(&loop, &node.uring), 0);
	writeback_start(&writeback, &loop, node.block, 5.);
}

static void teardown(void)
{
	writeback_stop(&writeback);
	loop_exit(&loop);
	if (node.block)
		node_close();
	driver_remove();
}

static bool runs(void)
{
	return ev_is_active(&writeback.timer);
}

static void fires(void)
{
	ev_invoke(loop.ev, &writeback.timer, EV_TIMER);
}

static const enum block_type others[] = {
	BLOCK_READ, BLOCK_FLUSH, BLOCK_STAT, BLOCK_SEEK_DATA, BLOCK_SEEK_HOLE,
};

START_TEST(not_for_others)
{
	node_run(others[_i], 0, 0, 4096);
	ck_assert(!runs());
	ck_assert_uint_eq(driver.asked, 0);
}
END_TEST

static const enum block_type modifications[] = {
	BLOCK_WRITE, BLOCK_DISCARD, BLOCK_ZERO, BLOCK_ALLOCATE, BLOCK_TRUNCATE,
};

/* On until the driver has nothing; an idle export has no wake-up. */
START_TEST(until_all_is_written)
{
	ck_assert(!runs());
	node_run(modifications[_i], 0, 0, 4096);
	ck_assert(runs());
	ck_assert_uint_eq(driver.asked, 0);
	driver.writebacks = 2;
	fires();
	ck_assert(runs());
	fires();
	ck_assert(runs());
	fires();
	ck_assert(!runs());
	ck_assert_uint_eq(driver.asked, 3);
	node_run(modifications[_i], 0, 0, 4096);
	ck_assert(runs());
}
END_TEST

/* What comes while it runs does not put it off. */
START_TEST(not_put_off)
{
	ev_tstamp at;

	node_run(BLOCK_WRITE, 0, 0, 4096);
	at = writeback.timer.at;
	node_run(BLOCK_WRITE, 0, 0, 4096);
	ck_assert(writeback.timer.at <= at && writeback.timer.at >= at);
}
END_TEST

/* At the end nobody is called any more. */
START_TEST(stopped)
{
	node_run(BLOCK_WRITE, 0, 0, 4096);
	writeback_stop(&writeback);
	ck_assert(!runs());
	node_run(BLOCK_WRITE, 0, 0, 4096);
	ck_assert(!runs());
	ck_assert_uint_eq(driver.asked, 0);
}
END_TEST

Suite *suite_writeback(void)
{
	TCase *tc;
	Suite *s = suite_of("writeback", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, not_for_others, 0, COUNT(others));
	tcase_add_loop_test(tc, until_all_is_written, 0, COUNT(modifications));
	tcase_add_test(tc, not_put_off);
	tcase_add_test(tc, stopped);
	return s;
}

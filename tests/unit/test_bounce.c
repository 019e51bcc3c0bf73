/* Requests whose bytes are in a slot, and areas for who must see them. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/bounce.h"
#include "capture.h"
#include "driver.h"
#include "image.h"
#include "node.h"
#include "slots.h"
#include "suites.h"
#include "wrap.h"

#define AREAS 8 /* bounce.c's */
#define MOST 65536 /* bytes of a request */
#define STEP 65536 /* from one request's place in the image to the next */

static struct bounce *bo;
static uint8_t pages[NODE_REQUESTS][MOST] __attribute__((aligned(4096)));

static void open_it(const struct block_options *like)
{
	struct block_options opt = *like;

	/* node_open() makes the ring; what needs it comes after. */
	bo = bounce_new(&node.uring);
	ck_assert_ptr_nonnull(bo);
	opt.bounce = bo;
	node_open(&opt, false);
	ck_assert_ptr_nonnull(node.block);
	slots_start(&node.uring);
	ck_assert_int_eq(block_allow_unseen(node.block, MOST), 0);
}

static void setup(void)
{
	const struct block_options opt = { .path = DRIVER_PATH,
					   .format = "null" };

	capture_start();
	wrap_reset();
	driver_install();
	driver.size = 64 * STEP;
	driver.mem = realloc(driver.mem, driver.size);
	driver.mem_size = driver.size;
	driver.bounce = true;
	open_it(&opt);
}

static void fill(uint8_t *to, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = (uint8_t)(seed * 31 + i + (i >> 8) * 5);
}

static void close_it(void)
{
	ck_assert_int_eq(block_close(node.block), 0);
	bounce_free(bo);
	uring_exit(&node.uring);
	free(node.buf);
}

static void teardown(void)
{
	driver.hold = false;
	driver_finish_all();
	node_drain();
	close_it();
	driver_remove();
}

/* Request @i to its place in the image, with its pages in slot @i. */
static struct block_req *submit(unsigned int i, enum block_type type,
				uint64_t length)
{
	memset(pages[i], 0xee, MOST);
	if (type == BLOCK_WRITE)
		fill(pages[i], length, i);
	slots_set(i, pages[i], length, type, false);
	return node_submit_unseen(i, type, i * STEP, length);
}

static void over(unsigned int i, int64_t result)
{
	ck_assert_msg(node.done[i], "request %u is not over", i);
	ck_assert_int_eq(node.reqs[i].result, result);
	slots_clear(i);
}

static bool bytes_are(unsigned int i, uint64_t from, uint64_t to)
{
	return !memcmp(pages[i] + from, driver.mem + i * STEP + from,
		       to - from);
}

static const uint64_t froms[] = { 0, 1, 511, 4096, 9999 };

START_TEST(from_where)
{
	uint8_t around[3 * STEP];
	uint64_t from = froms[_i / 2], length = 10000;
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;

	fill(driver.mem, 3 * STEP, 9);
	memcpy(around, driver.mem, sizeof(around));
	driver.bounce_from = from;
	submit(1, type, length);
	ck_assert_uint_eq(slots.copies, 0);
	node_drain();
	over(1, (int64_t)length);
	ck_assert(bytes_are(1, 0, length));
	ck_assert_uint_eq(pages[1][length], 0xee);
	if (type == BLOCK_WRITE)
		memcpy(around + STEP, pages[1], length);
	ck_assert(!memcmp(around, driver.mem, sizeof(around)));
	ck_assert_uint_eq(slots.copies, 1);
	ck_assert_uint_eq(bounce_count(bo), 1);
}
END_TEST

/* The copy itself comes in pieces, or in vain now and then. */
START_TEST(copy_in_pieces)
{
	static const int how[] = { 1, 100, 4096, -EAGAIN, -EINTR };
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;

	fill(driver.mem, 3 * STEP, 4);
	slots.script = (struct slots_script){ 0, 7, how[_i / 2] };
	driver.bounce_from = 100;
	submit(0, type, 20000);
	node_drain();
	over(0, 20000);
	ck_assert(bytes_are(0, 0, 20000));
	ck_assert_uint_gt(slots.copies, 1);
}
END_TEST

/* The copy fails: so does the request, and the area comes free. */
START_TEST(copy_fails)
{
	static const int how[] = { -EIO, -EFAULT, -ENOMEM, 0 };
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;
	unsigned int i;

	for (i = 0; i < 3 * AREAS; i++) {
		memset(driver.mem + i * STEP, 'o', 4096);
		slots.script = (struct slots_script){ 0, 1, how[_i / 2] };
		submit(i, type, 4096);
		node_drain();
		over(i, how[_i / 2] ? how[_i / 2] : -EIO);
		ck_assert_uint_eq(driver.mem[i * STEP], 'o');
	}
	ck_assert_uint_eq(driver.not_bounced,
			  type == BLOCK_WRITE ? 3 * AREAS : 0);
	submit(i, type, 4096);
	node_drain();
	over(i, 4096);
	ck_assert(bytes_are(i, 0, 4096));
}
END_TEST

/* What the driver says is what the caller hears, and gets copied, no more. */
START_TEST(results)
{
	static const int64_t ends[] = { 0, 1, 1000, 1001, 4095, -EIO, -ENOSPC };
	int64_t end = ends[_i / 2];
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;
	uint64_t i;

	driver.bounce_from = 1000;
	driver.hold = true;
	submit(0, type, 4096);
	node_drain();
	ck_assert_uint_eq(driver.held_n, 1);
	if (type == BLOCK_READ)
		memset(node.reqs[0].buf, 'r', 4096);
	driver_finish_with(0, end);
	node_drain();
	over(0, end);
	for (i = 0; type == BLOCK_READ && i < 4096; i++)
		ck_assert_uint_eq(pages[0][i],
				  i >= 1000 && (int64_t)i < end ? 'r' : 0xee);
	submit(1, type, 512 + 1000);
	node_drain();
	driver_finish(0);
	node_drain();
	over(1, 1512);
}
END_TEST

/* More than there are areas: they wait, first come, first served. */
START_TEST(more_than_areas)
{
	unsigned int i, n = 3 * AREAS;

	driver.hold = true;
	for (i = 0; i < n; i++) {
		fill(driver.mem + i * STEP, 5000, 50 + i);
		submit(i, i % 3 ? BLOCK_READ : BLOCK_WRITE, 5000);
	}
	node_drain();
	ck_assert_uint_gt(driver.held_n, 0);
	ck_assert_uint_le(driver.held_n, AREAS);
	for (i = 0; i < n; i++) {
		/* In the order in which they came. */
		ck_assert_int_ge(driver_find(&node.reqs[i]), 0);
		driver_finish((unsigned int)driver_find(&node.reqs[i]));
		node_drain();
		over(i, 5000);
		ck_assert(bytes_are(i, 0, 5000));
	}
	ck_assert_uint_eq(bounce_count(bo), n);
	ck_assert_uint_eq(driver.held_n, 0);
}
END_TEST

/* The same where every one fails in its copy. */
START_TEST(waiting_and_failing)
{
	unsigned int i, n = 3 * AREAS;

	slots.hold = true;
	for (i = 0; i < n; i++)
		submit(i, BLOCK_WRITE, 5000);
	node_drain();
	slots.script = (struct slots_script){ 0, 1000, -EIO };
	while (slots.held_n) {
		slots_release(slots.held_n - 1);
		node_drain();
	}
	for (i = 0; i < n; i++)
		over(i, -EIO);
	ck_assert_uint_eq(driver.not_bounced, n);
}
END_TEST

/* Areas in use are spared. */
START_TEST(trim)
{
	uint8_t *area;

	driver.hold = true;
	memset(driver.mem, 'd', MOST);
	submit(0, BLOCK_READ, MOST);
	node_drain();
	area = node.reqs[0].buf;
	memset(area, 'a', MOST);
	block_trim(node.block);
	ck_assert(area[0] == 'a' && area[MOST - 1] == 'a');
	driver_finish(0);
	node_drain();
	over(0, MOST);
	ck_assert(bytes_are(0, 0, MOST));
	block_trim(node.block);
	ck_assert(!area[0] && !area[MOST - 1]);
	driver.hold = false;
	submit(1, BLOCK_WRITE, MOST);
	node_drain();
	over(1, MOST);
	ck_assert(bytes_are(1, 0, MOST));
}
END_TEST

/*
 * A node on top of this one, as qcow2 is on raw: requests that have an area
 * wait for others, which wait for an area of their own.
 */
static struct block_req below[2 * AREAS];
static struct block *lower;
static unsigned int below_done;

static void below_over(struct block_req *req)
{
	(void)req;
	below_done++;
}

START_TEST(nested)
{
	struct block_options opt = node.block->opt;
	unsigned int i;

	opt.below = true;
	lower = block_open(&node.uring, &opt);
	ck_assert_ptr_nonnull(lower);
	driver.hold = true;
	/* As many as have areas, and more. */
	for (i = 0; i < 2 * AREAS; i++)
		submit(i, BLOCK_WRITE, 4096);
	node_drain();
	/* None of these ends, and yet those below it do. */
	for (i = 0; i < 2 * AREAS; i++) {
		unsigned int slot = 2 * AREAS + i;

		memset(pages[slot], 0xee, MOST);
		slots_set(slot, pages[slot], 4096, BLOCK_READ, false);
		below[i] = (struct block_req){ .type = BLOCK_READ,
					       .offset = slot * STEP,
					       .length = 4096,
					       .fixed = (uint16_t)(slot + 1),
					       .unseen = true,
					       .done = below_over };
		fill(driver.mem + slot * STEP, 4096, slot);
		block_submit(lower, &below[i]);
	}
	node_drain();
	for (i = 0; i < 2 * AREAS; i++) {
		int at;

		node_drain();
		at = driver_find(&below[i]);
		ck_assert_msg(at >= 0, "request %u below has no area", i);
		driver_finish((unsigned int)at);
	}
	node_drain();
	ck_assert_uint_eq(below_done, 2 * AREAS);
	for (i = 2 * AREAS; i < 4 * AREAS; i++) {
		ck_assert(bytes_are(i, 0, 4096));
		slots_clear(i);
	}
	for (i = 0; i < 2 * AREAS; i++) {
		driver_finish(0);
		node_drain();
		over(i, 4096);
		ck_assert(bytes_are(i, 0, 4096));
	}
	below_done = 0;
	driver.hold = false;
	ck_assert_int_eq(block_close(lower), 0);
}
END_TEST

/* Without memory for areas nobody may send what is unseen. */
START_TEST(no_areas)
{
	struct block b = { 0 };

	ck_assert_int_eq(block_allow_unseen(&b, 4096), -EOPNOTSUPP);
	bounce_trim(NULL);
	bounce_free(NULL);
	ck_assert_uint_eq(bounce_count(NULL), 0);
}
END_TEST

/* Real drivers: raw, on a real file, and null. */
static void setup_raw(void)
{
	capture_start();
	wrap_reset();
	image_make(64 * STEP);
}

static void start_raw(enum block_cache cache)
{
	struct block_options opt = { .path = image_path(),
				     .format = "raw",
				     .cache = cache };

	open_it(&opt);
}

static void teardown_raw(void)
{
	node_drain();
	close_it();
	memset(&node, 0, sizeof(node));
	image_done();
}

static void check_raw(unsigned int i, enum block_type type, uint64_t length)
{
	uint64_t at;

	over(i, (int64_t)length);
	if (type == BLOCK_WRITE)
		image_check(pages[i], length, i * STEP);
	for (at = 0; type == BLOCK_READ && at < length; at++)
		ck_assert_uint_eq(pages[i][at], image_byte(i * STEP + at));
}

/* Straight from the slot to the file, also in steps. */
START_TEST(raw_straight)
{
	static const int how[] = { MOST, 4096, 8192, -EAGAIN, 1 };
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;
	unsigned int i;

	start_raw(_i & 2 ? BLOCK_CACHE_HOST : BLOCK_CACHE_AUTO);
	for (i = 0; i < COUNT(how); i++) {
		slots.script = (struct slots_script){ 0, 3, how[i] };
		submit(i, type, i % 2 ? MOST : 12345);
		node_drain();
		check_raw(i, type, i % 2 ? MOST : 12345);
	}
	ck_assert_uint_eq(bounce_count(bo), 0);
}
END_TEST

/* Pages that are not aligned for direct I/O, from the start or later on. */
START_TEST(raw_refused)
{
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;
	unsigned int i;

	start_raw(BLOCK_CACHE_AUTO);
	if (!node.block->direct)
		return;
	for (i = 0; i < 3 * AREAS; i++) {
		/* A part goes, then it is refused. */
		if (_i / 2) {
			slots.script = (struct slots_script){ 0, 1, 8192 };
			slots.hold = true;
		} else {
			slots.script = (struct slots_script){ 0, 1, -EINVAL };
		}
		submit(i, type, MOST);
		node_drain();
		if (_i / 2) {
			slots_release(0);
			node_drain();
			ck_assert_uint_eq(slots.held_n, 1);
			slots.script = (struct slots_script){ 0, 1, -EINVAL };
			slots.hold = false;
			slots_release(0);
			node_drain();
		}
		check_raw(i, type, MOST);
		ck_assert_uint_eq(bounce_count(bo), i + 1);
	}
}
END_TEST

/* Other errors are the caller's, as is EINVAL where it says something else. */
START_TEST(raw_errors)
{
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;

	start_raw(_i / 2 ? BLOCK_CACHE_HOST : BLOCK_CACHE_AUTO);
	slots.script = (struct slots_script){ 0, 1, -EIO };
	submit(0, type, 4096);
	node_drain();
	over(0, -EIO);
	if (!node.block->direct) {
		slots.script = (struct slots_script){ 0, 1, -EINVAL };
		submit(1, type, 4096);
		node_drain();
		over(1, -EINVAL);
	}
	ck_assert_uint_eq(bounce_count(bo), 0);
}
END_TEST

/* The null driver makes zeros, which somebody must put there. */
START_TEST(null_zeros)
{
	const struct block_options opt = { .path = "null:size=4M",
					   .format = "null" };
	uint64_t at;

	open_it(&opt);
	submit(0, BLOCK_READ, 5000);
	submit(1, BLOCK_WRITE, 5000);
	node_drain();
	over(0, 5000);
	over(1, 5000);
	for (at = 0; at < 5000; at++)
		ck_assert_uint_eq(pages[0][at], 0);
	ck_assert_uint_eq(pages[0][5000], 0xee);
	ck_assert_uint_eq(bounce_count(bo), 1);
}
END_TEST

/* In a registered pool bytes have an address: fixed, and to be seen. */
START_TEST(raw_registered)
{
	enum block_type type = _i % 2 ? BLOCK_WRITE : BLOCK_READ;
	struct block_req *req;

	start_raw(_i / 2 ? BLOCK_CACHE_HOST : BLOCK_CACHE_AUTO);
	slots_set(9, node.buf, 1 << 20, BLOCK_READ, true);
	fill(node.buf + 8192, MOST, 5);
	node.fixed = 10;
	req = node_submit(3, type, 0, 3 * STEP, MOST, 8192);
	node.fixed = 0;
	node_drain();
	ck_assert(node.done[3]);
	ck_assert_int_eq(req->result, MOST);
	memcpy(pages[3], node.buf + 8192, MOST);
	image_check(pages[3], MOST, 3 * STEP);
	slots_clear(9);
}
END_TEST

Suite *suite_bounce(void)
{
	TCase *tc;
	Suite *s = suite_of("bounce", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, from_where, 0, 2 * COUNT(froms));
	tcase_add_loop_test(tc, copy_in_pieces, 0, 10);
	tcase_add_loop_test(tc, copy_fails, 0, 8);
	tcase_add_loop_test(tc, results, 0, 14);
	tcase_add_test(tc, more_than_areas);
	tcase_add_test(tc, waiting_and_failing);
	tcase_add_test(tc, trim);
	tcase_add_test(tc, nested);
	tcase_add_test(tc, no_areas);
	tc = tcase_create("drivers");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup_raw, teardown_raw);
	tcase_add_loop_test(tc, raw_straight, 0, 4);
	tcase_add_loop_test(tc, raw_refused, 0, 4);
	tcase_add_loop_test(tc, raw_errors, 0, 4);
	tcase_add_loop_test(tc, raw_registered, 0, 4);
	tcase_add_test(tc, null_zeros);
	return s;
}

/*
 * Floors of the qcow2 driver by themselves, on a file in memory: requests in
 * flight, range locks, the cache, the map, the
 * overlap check.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/bytes.h"
#include "block/qcow2/cache.h"
#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/map.h"
#include "block/qcow2/overlap.h"
#include "block/qcow2/range_lock.h"
#include "capture.h"
#include "driver.h"
#include "node.h"
#include "suites.h"

#define SLICES 8 /* the cache has no fewer */
#define SLICE 4096u

static struct qcow2 q;
static struct block own;
static struct qcow2_job jobs[4];
static unsigned int steps[4];
static unsigned int pressed, musts, written;
static int write_error;

static void step(struct qcow2_job *job)
{
	steps[job - jobs]++;
}

static void pressure(struct qcow2 *image, bool must)
{
	ck_assert_ptr_eq(image, &q);
	pressed++;
	musts += must;
}

static void over(struct qcow2 *image, int error)
{
	ck_assert_ptr_eq(image, &q);
	written++;
	write_error = error;
}

static void setup(void)
{
	unsigned int i;

	capture_start();
	driver_install();
	node_open_driver(false, true);
	memset(&q, 0, sizeof(q));
	memset(&own, 0, sizeof(own));
	memset(steps, 0, sizeof(steps));
	pressed = musts = written = 0;
	write_error = 0;
	own.uring = &node.uring;
	own.opt.path = "img";
	q.b = &own;
	q.file = q.data = node.block;
	q.geo = (struct qcow2_geometry){ .version = 3,
					 .cluster_bits = 16,
					 .refcount_order = 4 };
	qcow2_geometry_derive(&q.geo);
	qcow2_in_flight_init(&q);
	for (i = 0; i < COUNT(jobs); i++)
		qcow2_job_init(&q, &jobs[i], step);
	q.l2 = qcow2_cache_new(&q, "L2 table", 0, pressure);
	ck_assert_ptr_nonnull(q.l2);
	ck_assert_uint_eq(q.slice_size, SLICE);
}

static void teardown(void)
{
	node_drain();
	qcow2_cache_free(q.l2);
	qcow2_overlap_free(&q);
	free(q.l1);
	free(q.reftable);
	node_close();
	driver_remove();
}

START_TEST(test_in_flight)
{
	struct qcow2_in_flight old[2], young;
	uint64_t age;

	qcow2_in_flight_add(&q, &old[0]);
	qcow2_in_flight_add(&q, &old[1]);
	age = qcow2_in_flight_age(&q);
	qcow2_in_flight_add(&q, &young);
	ck_assert_int_eq(qcow2_in_flight_wait(&q, age, &jobs[0]), QCOW2_WAIT);
	qcow2_in_flight_remove(&q, &old[1]);
	node_drain();
	ck_assert_uint_eq(steps[0], 0);
	qcow2_in_flight_remove(&q, &old[0]);
	node_drain();
	ck_assert_uint_eq(steps[0], 1);
	/* The young one is nobody's concern. */
	ck_assert_int_eq(qcow2_in_flight_wait(&q, age, &jobs[0]), 0);
	qcow2_in_flight_remove(&q, &young);
	ck_assert_ptr_null(q.in_flight.first);
}
END_TEST

START_TEST(test_range_lock)
{
	struct qcow2_range_lock a = { 0 }, b = { 0 };

	qcow2_range_lock(&q, &a, 10, 5);
	qcow2_range_lock(&q, &b, 20, 1);
	ck_assert_int_eq(qcow2_range_wait(&q, 15, 5, &jobs[0]), 0);
	ck_assert_int_eq(qcow2_range_wait(&q, 9, 1, &jobs[0]), 0);
	ck_assert_int_eq(qcow2_range_wait(&q, 14, 1, &jobs[0]), QCOW2_WAIT);
	ck_assert_int_eq(qcow2_range_wait(&q, 0, 100, &jobs[1]), QCOW2_WAIT);
	/* Who waits looks again when less is locked, or nothing. */
	qcow2_range_shrink(&a, 2);
	node_drain();
	ck_assert_uint_eq(steps[0], 1);
	ck_assert_int_eq(qcow2_range_wait(&q, 14, 1, &jobs[0]), 0);
	qcow2_range_unlock(&q, &b);
	node_drain();
	ck_assert_uint_eq(steps[1], 1);
	ck_assert(qcow2_range_locked(&q, 11, 1));
	qcow2_range_unlock(&q, &a);
	ck_assert(!qcow2_range_locked(&q, 0, 100));
}
END_TEST

/* The slice at @i * SLICE, which must come without an error. */
static struct qcow2_slice *get(unsigned int i, bool writable)
{
	struct qcow2_slice *s = NULL;
	int ret;

	do {
		ret = (writable ? qcow2_slice_get_writable : qcow2_slice_get)(
			q.l2, (uint64_t)i * SLICE, &jobs[3], &s);
		node_drain();
	} while (ret == QCOW2_WAIT);
	ck_assert_int_eq(ret, 0);
	return s;
}

static bool is_cached(unsigned int i)
{
	return qcow2_slice_peek(q.l2, (uint64_t)i * SLICE);
}

START_TEST(test_cache_eviction)
{
	unsigned int i;

	driver.mem[3 * SLICE] = 0x33;
	for (i = 1; i <= SLICES; i++)
		get(i, false);
	ck_assert_uint_eq(get(3, false)->data[0], 0x33);
	/* The one that was not used for longest goes: 1, 2, and not 3. */
	get(100, false);
	get(101, false);
	get(102, false);
	ck_assert(!is_cached(1) && !is_cached(2) && !is_cached(4));
	ck_assert(is_cached(3) && is_cached(5));
}
END_TEST

START_TEST(test_cache_shares_a_load)
{
	struct qcow2_slice *s;

	driver.hold = true;
	ck_assert_int_eq(qcow2_slice_get(q.l2, SLICE, &jobs[0], &s),
			 QCOW2_WAIT);
	ck_assert_int_eq(qcow2_slice_get(q.l2, SLICE, &jobs[1], &s),
			 QCOW2_WAIT);
	node_drain();
	ck_assert_uint_eq(driver.held_n, 1);
	ck_assert(!is_cached(1) && qcow2_cache_busy(q.l2));
	driver.hold = false;
	driver_finish_with(0, -EIO);
	node_drain();
	ck_assert_uint_eq(steps[0], 1);
	ck_assert_uint_eq(steps[1], 1);
	ck_assert_int_eq(jobs[0].error, -EIO);
	ck_assert_int_eq(jobs[1].error, -EIO);
	ck_assert(!is_cached(1) && !qcow2_cache_busy(q.l2));
}
END_TEST

START_TEST(test_cache_pressure)
{
	struct qcow2_slice *s;
	unsigned int i, most = SLICES - SLICES / 8 - 1;

	for (i = 1; i <= most; i++)
		qcow2_slice_dirty(get(i, true));
	ck_assert_uint_eq(qcow2_cache_dirty(q.l2), most);
	ck_assert_uint_eq(musts, 0);
	/* To look at another one begins a writeback, and does not wait for it. */
	get(50, false);
	ck_assert_uint_gt(pressed, 0);
	ck_assert_uint_eq(musts, 0);
	/* To change one more must wait. */
	ck_assert_int_eq(
		qcow2_slice_get_writable(q.l2, 50 * SLICE, &jobs[0], &s),
		QCOW2_WAIT);
	ck_assert_uint_eq(musts, 1);
	/* What is dirty is not evicted, whatever is looked at. */
	for (i = 60; i < 80; i++)
		get(i, false);
	for (i = 1; i <= most; i++)
		ck_assert(is_cached(i));
	qcow2_cache_freeze(q.l2);
	qcow2_cache_settle(q.l2, -ENOSPC);
	node_drain();
	ck_assert_int_eq(jobs[0].error, -ENOSPC);
	ck_assert_uint_eq(qcow2_cache_dirty(q.l2), most);
}
END_TEST

START_TEST(test_cache_writes_what_is_frozen)
{
	struct qcow2_slice *s = get(1, true);

	s->data[0] = 0x11;
	qcow2_slice_dirty(s);
	qcow2_cache_freeze(q.l2);
	/* To be looked at, not changed; others are not part of it. */
	ck_assert_int_eq(qcow2_slice_get(q.l2, SLICE, &jobs[0], &s), 0);
	ck_assert_int_eq(qcow2_slice_get_writable(q.l2, SLICE, &jobs[0], &s),
			 QCOW2_WAIT);
	qcow2_slice_dirty(get(2, true));
	ck_assert_uint_eq(qcow2_cache_frozen(q.l2), 1);
	qcow2_cache_write(q.l2, over);
	node_drain();
	ck_assert_uint_eq(written, 1);
	ck_assert_int_eq(write_error, 0);
	ck_assert_uint_eq(driver.mem[SLICE], 0x11);
	ck_assert_uint_eq(steps[0], 1);
	ck_assert_uint_eq(qcow2_cache_dirty(q.l2), 1);
	/* The writeback fails after all: it is as dirty as it was. */
	qcow2_cache_settle(q.l2, -EIO);
	ck_assert_uint_eq(qcow2_cache_dirty(q.l2), 2);
	qcow2_cache_freeze(q.l2);
	qcow2_cache_write(q.l2, over);
	node_drain();
	qcow2_cache_settle(q.l2, 0);
	ck_assert_uint_eq(qcow2_cache_dirty(q.l2), 0);
	ck_assert_uint_eq(written, 3);
}
END_TEST

#define TABLE 0x20000u /* where the L2 table is */

static void set_entry(unsigned int i, uint64_t desc)
{
	bytes_put_be64(driver.mem + TABLE + i * 8, desc);
}

static void lookup(uint64_t guest, uint64_t length, int expect,
		   struct qcow2_map *map)
{
	int ret;

	do {
		ret = qcow2_lookup(&q, &jobs[2], guest, length, false, map);
		node_drain();
	} while (ret == QCOW2_WAIT);
	ck_assert_int_eq(ret, expect);
}

START_TEST(test_map)
{
	struct qcow2_map map;

	q.l1 = calloc(1, 512);
	ck_assert_ptr_nonnull(q.l1);
	q.l1_size = 2;
	q.l1[0] = htobe64(QCOW2_COPIED | TABLE);
	set_entry(0, QCOW2_COPIED | 0x50000);
	set_entry(1, QCOW2_COPIED | 0x60000);
	set_entry(2, QCOW2_COPIED | 0x80000);
	set_entry(3, QCOW2_ZERO);
	set_entry(4, QCOW2_COMPRESSED | 0x12345);
	set_entry(5, QCOW2_COPIED | 0x90200);

	/* What is contiguous in the file is one run. */
	lookup(0x1000, 1 << 20, 0, &map);
	ck_assert_int_eq(map.kind, QCOW2_DATA);
	ck_assert_uint_eq(map.host, 0x51000);
	ck_assert_uint_eq(map.length, 0x1f000);
	ck_assert(map.copied);
	lookup(0x20000, 0x100, 0, &map);
	ck_assert_uint_eq(map.host, 0x80000);
	ck_assert_uint_eq(map.length, 0x100);
	lookup(0x30000, 1 << 20, 0, &map);
	ck_assert_int_eq(map.kind, QCOW2_ZEROS);
	ck_assert_uint_eq(map.length, 0x10000);
	lookup(0x40010, 1 << 20, 0, &map);
	ck_assert_int_eq(map.kind, QCOW2_COMPRESSED_DATA);
	ck_assert(map.host == (QCOW2_COMPRESSED | 0x12345));
	ck_assert_uint_eq(map.length, 0xfff0);
	/* An entry that makes no sense ends a read, and marks nothing. */
	lookup(0x50000, 1, -EIO, &map);
	ck_assert(!q.corrupt);
	/* No L2 table: all that it would describe. */
	lookup(1ULL << 29, UINT64_MAX >> 1, 0, &map);
	ck_assert_int_eq(map.kind, QCOW2_UNALLOCATED);
	ck_assert_uint_eq(map.length, 1ULL << 29);
}
END_TEST

START_TEST(test_overlap)
{
	q.corrupt = true; /* so that it is not marked: there is no header */
	q.l1 = calloc(1, 512);
	q.reftable = calloc(1, 512);
	ck_assert(q.l1 && q.reftable);
	q.l1_size = 2;
	q.l1_offset = 0x30000;
	q.reftable_size = 2;
	q.reftable_offset = 0x10000;
	q.reftable[0] = htobe64(0x20000);
	q.l1[0] = htobe64(QCOW2_COPIED | 0x40000);
	ck_assert_int_eq(qcow2_overlap_init(&q), 0);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0, 512), -EIO);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x10000, 512), -EIO);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x20000, 512), -EIO);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x30000, 512), -EIO);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x40000, 0x10000), -EIO);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x50000, 0x10000), 0);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x50000, 0x100000), 0);
	/* A new table at the end of a long range. */
	q.l1[1] = htobe64(QCOW2_COPIED | 0x70000);
	qcow2_overlap_add_l2(&q, 1);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x50000, 0x20000), 0);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x50000, 0x21000), -EIO);
	/* What has gone elsewhere is free. */
	q.l1[1] = htobe64(QCOW2_COPIED | 0x90000);
	qcow2_overlap_add_l2(&q, 1);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x70000, 0x10000), 0);
	ck_assert_int_eq(qcow2_overlap_check(&q, 0x90000, 0x10000), -EIO);
}
END_TEST

START_TEST(test_overlap_refuses)
{
	q.l1 = calloc(1, 512);
	q.reftable = calloc(1, 512);
	ck_assert(q.l1 && q.reftable);
	q.l1_size = 2;
	q.l1_offset = 0x30000;
	q.reftable_size = 1;
	q.reftable_offset = 0x10000;
	q.reftable[0] = htobe64(0x20000);
	q.l1[0] = htobe64(QCOW2_COPIED | 0x40000);
	q.l1[1] = htobe64(QCOW2_COPIED | 0x40000);
	ck_assert_int_eq(qcow2_overlap_init(&q), -EINVAL);
	q.l1[1] = htobe64(QCOW2_COPIED | 0x20000);
	ck_assert_int_eq(qcow2_overlap_init(&q), -EINVAL);
	q.l1[1] = htobe64(QCOW2_COPIED | 0x30000);
	ck_assert_int_eq(qcow2_overlap_init(&q), -EINVAL);
	q.l1[1] = 0;
	q.l1_offset = 0x10000;
	ck_assert_int_eq(qcow2_overlap_init(&q), -EINVAL);
}
END_TEST

Suite *suite_qcow2_floors(void)
{
	TCase *tc;
	Suite *s = suite_of("qcow2_floors", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_in_flight);
	tcase_add_test(tc, test_range_lock);
	tcase_add_test(tc, test_cache_eviction);
	tcase_add_test(tc, test_cache_shares_a_load);
	tcase_add_test(tc, test_cache_pressure);
	tcase_add_test(tc, test_cache_writes_what_is_frozen);
	tcase_add_test(tc, test_map);
	tcase_add_test(tc, test_overlap);
	tcase_add_test(tc, test_overlap_refuses);
	return s;
}

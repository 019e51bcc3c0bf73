/* The counters: buckets of latency, kinds of errors, what is not flushed. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

static struct fake *f;

static void setup(void)
{
	struct fake_config cfg = fake_config();

	capture_start();
	driver_install();
	f = fake_new(&cfg);
}

static void teardown(void)
{
	fake_free(f);
	driver_remove();
}

static const struct {
	uint64_t ns;
	unsigned int bucket;
} buckets[] = {
	{ 0, 0 },
	{ 1, 0 },
	{ 2, 0 },
	{ 4095, 0 },
	{ 4096, 0 },
	{ 4097, 1 },
	{ 8192, 1 },
	{ 8193, 2 },
	{ 1ULL << 20, 8 },
	{ (1ULL << 20) + 1, 9 },
	{ 1ULL << 35, 23 },
	{ (1ULL << 35) + 1, 24 },
	{ 1ULL << 63, 24 },
	{ UINT64_MAX, 24 },
};

START_TEST(finds_bucket)
{
	ck_assert_uint_eq(stats_bucket(buckets[_i].ns), buckets[_i].bucket);
}
END_TEST

static uint64_t count_of(enum stats_op op)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i <= STATS_BUCKETS; i++)
		n += f->session->stats.latency[op].buckets[i];
	return n;
}

static uint64_t ask(enum fake_way way, uint32_t opcode, const void *in,
		     size_t in_len, size_t data_len)
{
	struct fake_msg m = { .opcode = opcode,
			      .in = in,
			      .in_len = in_len,
			      .data_len = data_len };
	uint64_t unique = fake_send(f, way, &m);

	fake_run(f);
	return unique;
}

/* Each answer is counted once, where it belongs; FORGET has none. */
START_TEST(counts_latency)
{
	static const struct fuse_read_in r = { .size = 4096 };
	static const struct fuse_write_in w = { .size = 512 };
	static const struct fuse_fsync_in s = { 0 };
	static const struct fuse_flush_in fl = { 0 };
	static const struct fuse_fallocate_in a = { .length = 4096 };
	static const struct fuse_forget_in fo = { .nlookup = 1 };
	uint64_t others = count_of(STATS_OTHER); /* INIT */

	ck_assert_uint_eq(others, 1);
	ask(_i, FUSE_READ, &r, sizeof(r), 0);
	ask(_i, FUSE_READ, &r, sizeof(r), 0);
	ask(_i, FUSE_WRITE, &w, sizeof(w), 512);
	ask(_i, FUSE_FSYNC, &s, sizeof(s), 0);
	ask(_i, FUSE_FLUSH, &fl, sizeof(fl), 0);
	ask(_i, FUSE_FALLOCATE, &a, sizeof(a), 0);
	ask(_i, FUSE_STATFS, NULL, 0, 0);
	ask(_i, 9999, NULL, 0, 0);
	if (_i == FAKE_DEV)
		ask(_i, FUSE_FORGET, &fo, sizeof(fo), 0);
	ck_assert_uint_eq(count_of(STATS_READ), 2);
	ck_assert_uint_eq(count_of(STATS_WRITE), 1);
	ck_assert_uint_eq(count_of(STATS_FLUSH), 2);
	ck_assert_uint_eq(count_of(STATS_ALLOCATE), 1);
	ck_assert_uint_eq(count_of(STATS_OTHER), others + 2);
}
END_TEST

/* One that waits for the image: from when it came to its answer. */
START_TEST(measures)
{
	static const struct fuse_read_in r = { .size = 4096 };
	const struct stats_latency *l =
		&f->session->stats.latency[STATS_READ];
	uint64_t before = session_clock(), held;

	driver.hold = true;
	ask(_i, FUSE_READ, &r, sizeof(r), 0);
	held = session_clock();
	while (session_clock() - held < 3000000)
		;
	ck_assert_uint_eq(l->sum, 0);
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_ge(l->sum, 3000000);
	ck_assert_uint_le(l->sum, session_clock() - before);
	ck_assert_uint_eq(l->buckets[stats_bucket(l->sum)], 1);
}
END_TEST

static const struct {
	int error;
	enum stats_error kind;
} errors[] = {
	{ -EIO, STATS_EIO },	   { -ENOSPC, STATS_ENOSPC },
	{ -EDQUOT, STATS_ENOSPC }, { -EFBIG, STATS_EFBIG },
	{ -EROFS, STATS_EROFS },   { -EPERM, STATS_EPERM },
	{ -EACCES, STATS_EPERM },  { -EINVAL, STATS_EINVAL },
	{ -ENOMEM, STATS_ERROR_OTHER },
};

START_TEST(counts_errors)
{
	static const struct fuse_read_in r = { .size = 4096 };
	const struct session_stats *st = &f->session->stats;
	unsigned int i;

	driver.forced[BLOCK_READ] = true;
	driver.result[BLOCK_READ] = errors[_i].error;
	ask(FAKE_RING, FUSE_READ, &r, sizeof(r), 0);
	ck_assert_uint_eq(st->errors, 1);
	for (i = 0; i < STATS_ERRORS; i++)
		ck_assert_uint_eq(st->errors_by[i], i == errors[_i].kind);
}
END_TEST

/* What was written before a flush began; one that fails covers nothing. */
START_TEST(unflushed)
{
	static const struct fuse_write_in w = { .size = 512 };
	static const struct fuse_fsync_in s = { 0 };
	struct block *b = f->block;

	ck_assert_uint_eq(block_unflushed(b), 0);
	ask(FAKE_RING, FUSE_WRITE, &w, sizeof(w), 512);
	ask(FAKE_DEV, FUSE_WRITE, &w, sizeof(w), 512);
	ck_assert_uint_eq(block_unflushed(b), 1024);
	driver.forced[BLOCK_FLUSH] = true;
	driver.result[BLOCK_FLUSH] = -EIO;
	ask(FAKE_RING, FUSE_FSYNC, &s, sizeof(s), 0);
	ck_assert_uint_eq(block_unflushed(b), 1024);
	driver.forced[BLOCK_FLUSH] = false;
	driver.hold = true;
	ask(FAKE_RING, FUSE_FSYNC, &s, sizeof(s), 0);
	driver.hold = false;
	ask(FAKE_RING, FUSE_WRITE, &w, sizeof(w), 512);
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_eq(block_unflushed(b), 512);
	ask(FAKE_RING, FUSE_FSYNC, &s, sizeof(s), 0);
	ck_assert_uint_eq(block_unflushed(b), 0);
}
END_TEST

/* A driver without metadata has nothing to count. */
START_TEST(no_metadata)
{
	struct block_counters c = { .metadata = true, .hits = 7 };

	block_count(f->block, &c);
	ck_assert(!c.metadata);
	ck_assert_uint_eq(c.hits, 0);
}
END_TEST

START_TEST(names)
{
	unsigned int i, j;

	for (i = 0; i < STATS_OPS; i++)
		for (j = 0; j < i; j++)
			ck_assert_str_ne(stats_op_name(i), stats_op_name(j));
	for (i = 0; i < STATS_ERRORS; i++)
		for (j = 0; j < i; j++)
			ck_assert_str_ne(stats_error_name(i),
					 stats_error_name(j));
	ck_assert_str_eq(stats_op_name(STATS_OPS), "?");
	ck_assert_str_eq(stats_error_name(STATS_ERRORS), "?");
}
END_TEST

Suite *suite_stats(void)
{
	TCase *tc;
	Suite *s = suite_of("stats", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, finds_bucket, 0, COUNT(buckets));
	tcase_add_loop_test(tc, counts_latency, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, measures, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, counts_errors, 0, COUNT(errors));
	tcase_add_test(tc, unflushed);
	tcase_add_test(tc, no_metadata);
	tcase_add_test(tc, names);
	return s;
}

/* The driver without storage. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "node.h"
#include "suites.h"

static void open_it(const char *path)
{
	struct block_options opt = { .path = path, .format = "auto" };

	capture_start();
	node_open(&opt, false);
}

static const struct {
	const char *path;
	uint64_t size; /* 0: refused */
} paths[] = {
	{ "null:", 1ULL << 30 },
	{ "null:size=1", 1 },
	{ "null:size=2G", 2ULL << 30 },
	{ "null:size=9223372036854775807", INT64_MAX },
	{ "null:size=8E", 0 },
	{ "null:size=", 0 },
	{ "null:size=x", 0 },
	{ "null:size=-1", 0 },
	{ "null:size=1M,x=y", 0 },
	{ "null:sise=1M", 0 },
	{ "null:1M", 0 },
};

START_TEST(names)
{
	open_it(paths[_i].path);
	if (paths[_i].size) {
		ck_assert_ptr_nonnull(node.block);
		ck_assert_uint_eq(node.block->size, paths[_i].size);
		ck_assert_uint_eq(capture_lines(), 0);
	} else {
		ck_assert_ptr_null(node.block);
		ck_assert_uint_eq(capture_lines(), 1);
		ck_assert_uint_eq(capture_count(paths[_i].path), 1);
	}
	ck_assert_int_eq(node_close(), 0);
}
END_TEST

START_TEST(by_format)
{
	struct block_options opt = { .path = "disk.img", .format = "null" };

	capture_start();
	node_open(&opt, false);
	ck_assert_ptr_null(node.block);
	ck_assert_uint_eq(capture_count("null:size=SIZE"), 1);
	node_close();
}
END_TEST

START_TEST(forgets_all)
{
	unsigned int i;

	open_it("null:size=1M");
	memset(node.buf, 'x', 8192);
	ck_assert_int_eq(node_run(BLOCK_WRITE, 0, 0, 8192), 8192);
	ck_assert_int_eq(node_run(BLOCK_READ, 0, 0, 8000), 8000);
	for (i = 0; i < 8000; i++)
		ck_assert_uint_eq(node.buf[i], 0);
	ck_assert_uint_eq(node.buf[8000], 'x');
	ck_assert_int_eq(node_run(BLOCK_READ, 0, (1 << 20) - 1, 4096), 1);
	ck_assert_int_eq(node_run(BLOCK_FLUSH, 0, 0, 0), 0);
	ck_assert_int_eq(node_run(BLOCK_DISCARD, 0, 0, 4096), 0);
	ck_assert_int_eq(node_run(BLOCK_ZERO, 0, 0, 4096), 0);
	ck_assert_int_eq(node_run(BLOCK_ALLOCATE, 0, 0, 4096), 0);
	ck_assert_int_eq(node_run(BLOCK_SEEK_DATA, 0, 0, 0), -ENXIO);
	ck_assert_int_eq(node_run(BLOCK_SEEK_HOLE, 0, 4097, 0), 4097);
	ck_assert_int_eq(node_run(BLOCK_STAT, 0, 0, 0), 0);
	ck_assert_int_eq(node_run(BLOCK_TRUNCATE, 0, 0, 12345), 0);
	ck_assert_uint_eq(node.block->size, 12345);
	ck_assert_int_eq(node_close(), 0);
}
END_TEST

Suite *suite_null(void)
{
	TCase *tc;
	Suite *s = suite_of("null", &tc);

	tcase_add_loop_test(tc, names, 0, COUNT(paths));
	tcase_add_test(tc, by_format);
	tcase_add_test(tc, forgets_all);
	return s;
}

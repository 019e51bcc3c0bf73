/* Progress of long work: when it is told, and of whom. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "loop/progress.h"
#include "suites.h"

static char last[500];
static unsigned int tells, ends, moves;
static int one, two;

static void tell(void *arg, const char *text, bool moved)
{
	ck_assert_ptr_eq(arg, &one);
	if (!text) {
		ends++;
		return;
	}
	snprintf(last, sizeof(last), "%s", text);
	tells++;
	moves += moved;
}

static void setup(void)
{
	tells = ends = moves = 0;
	progress_on_tell(tell, &one);
}

static void teardown(void)
{
	progress_end(&one);
	progress_end(&two);
	progress_on_tell(NULL, NULL);
}

/* Not what is over soon; then once a second at most, and the end. */
START_TEST(now_and_then)
{
	unsigned int i;

	ck_assert(!progress_is_on());
	progress(&one, "disk.img", "counting", 0, 200);
	ck_assert(progress_is_on());
	ck_assert_uint_eq(tells, 0);
	progress_age(600);
	for (i = 1; i <= 50; i++)
		progress(&one, "disk.img", "counting", i, 200);
	ck_assert_uint_ge(tells, 1);
	ck_assert_uint_lt(tells, 50);
	ck_assert_uint_eq(moves, tells);
	progress_age(1000);
	progress(&one, "disk.img", "counting", 50, 200);
	ck_assert_str_eq(last, "disk.img: counting: 25 %");
	progress_end(&two); /* who has none */
	ck_assert(progress_is_on());
	progress_end(&one);
	ck_assert(!progress_is_on());
	ck_assert_uint_eq(ends, 1);
	progress_end(&one);
	ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(over_soon)
{
	progress(&one, "disk.img", "counting", 1, 2);
	progress_end(&one);
	ck_assert_uint_eq(tells, 0);
	ck_assert_uint_eq(ends, 0);
}
END_TEST

/* Nobody knows how much there is: the time is told, by whoever waits. */
START_TEST(unknown_total)
{
	progress(&one, "disk.img", "flushing", 0, 0);
	progress_age(3100);
	progress_tick();
	ck_assert_uint_eq(tells, 1);
	ck_assert_uint_eq(moves, 0);
	ck_assert_int_eq(strncmp(last, "disk.img: flushing: ", 20), 0);
	ck_assert_int_ge(last[20], '3');
	ck_assert_ptr_nonnull(strstr(last, " s"));
	progress_end(&one);
	progress_tick();
	ck_assert_uint_eq(tells, 1);
}
END_TEST

/* The first one is shown; another one when it has gone without a word. */
START_TEST(several)
{
	progress(&one, "a", "counting", 1, 2);
	progress(&two, "b", "counting", 1, 4);
	progress_age(2000);
	progress(&two, "b", "counting", 2, 4);
	ck_assert_uint_eq(tells, 0);
	progress(&one, "a", "counting", 1, 2);
	ck_assert_str_eq(last, "a: counting: 50 %");
	progress_age(6000);
	progress(&two, "b", "counting", 3, 4);
	progress_age(1000);
	progress(&two, "b", "counting", 3, 4);
	ck_assert_str_eq(last, "b: counting: 75 %");
}
END_TEST

static const struct {
	uint64_t done, total;
	const char *text;
} parts[] = {
	{ 0, 1, "x: y: 0 %" },
	{ 1, 3, "x: y: 33 %" },
	{ 1, 1, "x: y: 100 %" },
	{ 5, 1, "x: y: 100 %" },
	{ 1ULL << 63, UINT64_MAX, "x: y: 50 %" },
};

START_TEST(percents)
{
	progress(&one, "x", "y", 0, 1);
	progress_age(1000);
	progress(&one, "x", "y", parts[_i].done, parts[_i].total);
	ck_assert_str_eq(last, parts[_i].text);
}
END_TEST

START_TEST(long_names)
{
	static char name[4096];

	memset(name, 'n', sizeof(name) - 1);
	progress(&one, name, "counting", 1, 2);
	progress_age(1000);
	progress(&one, name, "counting", 1, 2);
	ck_assert_uint_lt(strlen(last), 400);
	ck_assert_str_eq(last + strlen(last) - 4, "50 %");
}
END_TEST

Suite *suite_progress(void)
{
	TCase *tc;
	Suite *s = suite_of("progress", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, now_and_then);
	tcase_add_test(tc, over_soon);
	tcase_add_test(tc, unknown_total);
	tcase_add_test(tc, several);
	tcase_add_loop_test(tc, percents, 0, COUNT(parts));
	tcase_add_test(tc, long_names);
	return s;
}

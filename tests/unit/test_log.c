/* Messages: what a line is made of; errno survives. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "loop/log.h"
#include "suites.h"

START_TEST(lines)
{
	capture_start();
	errno = ENOSPC;
	log_warn("%s: write", "disk.img");
	ck_assert_str_eq(capture_last(),
			 "disk.img: write: No space left on device");
	log_warnx("%d of %d", 1, 2);
	ck_assert_str_eq(capture_last(), "1 of 2");
	log_info("100%%");
	ck_assert_str_eq(capture_last(), "100%");
	ck_assert_uint_eq(capture_lines(), 3);
	errno = 0;
	log_warn("nothing wrong");
	ck_assert_str_eq(capture_last(), "nothing wrong");
}
END_TEST

START_TEST(keeps_errno)
{
	capture_start();
	errno = EXDEV;
	log_warn("a");
	ck_assert_int_eq(errno, EXDEV);
	log_warnx("b");
	ck_assert_int_eq(errno, EXDEV);
	log_info("c");
	ck_assert_int_eq(errno, EXDEV);
	log_trace_line("d");
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

/* To stderr and to syslog as well, where a write may fail. */
START_TEST(keeps_errno_untapped)
{
	int kept = dup(STDERR_FILENO);

	log_set_tap(NULL);
	close(STDERR_FILENO);
	errno = EXDEV;
	log_warn("a");
	ck_assert_int_eq(errno, EXDEV);
	log_to_syslog(true);
	errno = EXDEV;
	log_warn("a test of rawfuse");
	ck_assert_int_eq(errno, EXDEV);
	log_to_syslog(false);
	dup2(kept, STDERR_FILENO);
	close(kept);
}
END_TEST

START_TEST(to_stderr)
{
	FILE *tmp = tmpfile();
	char buf[64] = "";
	char want[64];
	int kept = dup(STDERR_FILENO);

	log_set_tap(NULL);
	ck_assert_ptr_nonnull(tmp);
	fflush(stderr);
	dup2(fileno(tmp), STDERR_FILENO);
	errno = EIO;
	log_warn("x");
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	ck_assert_int_gt(pread(fileno(tmp), buf, sizeof(buf) - 1, 0), 0);
	snprintf(want, sizeof(want), "rawfuse: x: %s\n", strerror(EIO));
	ck_assert_str_eq(buf, want);
	fclose(tmp);
}
END_TEST

/* A line longer than the buffer is cut, not more. */
START_TEST(long_lines)
{
	static char text[5000];

	capture_start();
	memset(text, 'x', sizeof(text) - 1);
	errno = EIO;
	log_warn("%s", text);
	log_warnx("%s%s", text, text);
	ck_assert_uint_eq(capture_lines(), 2);
	ck_assert_int_eq(errno, EIO);
}
END_TEST

static const char *const escapes[][2] = {
	{ "a\x1b[2Jb\nc\r\t\x7f", "a\\x1b[2Jb\\x0ac\\x0d\\x09\\x7f" },
	{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x92\xbe",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x92\xbe" },
	{ "C1: \xc2\x9b"
	  "31m \x9b"
	  "32m",
	  "C1: \\xc2\\x9b31m \\x9b32m" },
	{ "no UTF-8: \xe9t\xe9 \xff \xc0\x8a \xe2\x82",
	  "no UTF-8: \\xe9t\\xe9 \\xff \\xc0\\x8a \\xe2\\x82" },
};

/* Whatever a name is made of. */
START_TEST(control_characters)
{
	static char text[2000];

	capture_start();
	log_warnx("%s", escapes[_i][0]);
	ck_assert_str_eq(capture_last(), escapes[_i][1]);
	errno = EIO;
	log_warn("%s", escapes[_i][0]);
	ck_assert_int_eq(
		strncmp(capture_last(), escapes[_i][1], strlen(escapes[_i][1])),
		0);
	log_info("%s", escapes[_i][0]);
	ck_assert_str_eq(capture_last(), escapes[_i][1]);
	log_trace_line("%s", escapes[_i][0]);
	ck_assert_str_eq(capture_last(), escapes[_i][1]);
	memset(text, 0x1b, sizeof(text) - 1);
	log_warnx("%s", text);
	ck_assert_ptr_null(strchr(capture_last(), 0x1b));
}
END_TEST

static void say(unsigned int n)
{
	while (n--)
		log_limited("%s: again: %u", "disk.img", n);
}

/* A few lines in a minute, and then how many there were more. */
START_TEST(limits)
{
	capture_start();
	errno = EXDEV;
	say(100000);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_uint_eq(capture_lines(), LOG_LIMIT_LINES);
	ck_assert_str_eq(capture_last(), "disk.img: again: 99995");
	ck_assert(log_tell_left_out(false)); /* not yet */
	ck_assert_uint_eq(capture_lines(), LOG_LIMIT_LINES);
	log_limits_age(LOG_LIMIT_SECONDS);
	say(100000);
	ck_assert_uint_eq(capture_lines(), 2 * LOG_LIMIT_LINES + 1);
	ck_assert_uint_eq(capture_count("99995 more such lines in 60 seconds "
					"are left out: disk.img: again: 99995"),
			  1);
	log_limits_age(LOG_LIMIT_SECONDS);
	ck_assert(!log_tell_left_out(false));
	ck_assert_uint_eq(capture_count("99995 more such lines"), 2);
	ck_assert(!log_tell_left_out(true));
	ck_assert_uint_eq(capture_lines(), 2 * LOG_LIMIT_LINES + 2);
}
END_TEST

static unsigned int wakes;

static void wake(void *arg)
{
	ck_assert_ptr_eq(arg, &wakes);
	wakes++;
}

/* Of its own, and with a number of its own; who waits for the end is told. */
START_TEST(limits_removed)
{
	struct log_limit one = { .most = 1 }, two = { .most = 2 };
	int i;

	capture_start();
	log_on_left_out(wake, &wakes);
	for (i = 0; i < 5; i++) {
		log_limited_at(&one, "one %d", i);
		log_limited_at(&two, "two %d", i);
	}
	ck_assert_uint_eq(capture_lines(), 3);
	ck_assert_uint_eq(wakes, 1);
	ck_assert(!log_tell_left_out(true));
	ck_assert_uint_eq(capture_count("4 more such lines in 1 second are "
					"left out: one 0"),
			  1);
	ck_assert_uint_eq(capture_count("3 more such lines in 1 second are "
					"left out: two 1"),
			  1);
	log_limited_at(&one, "one again");
	log_limited_at(&one, "one again");
	ck_assert_uint_eq(wakes, 2);
	log_limit_remove(&one);
	ck_assert_uint_eq(capture_count("1 more such line in 1 second is "
					"left out: one again"),
			  1);
	log_limit_remove(&one);
	log_limit_remove(&two);
	ck_assert(!log_tell_left_out(true));
	ck_assert_uint_eq(capture_lines(), 7);
	log_on_left_out(NULL, NULL);
}
END_TEST

/* How the program ended is told by a warning, never by a number of them. */
START_TEST(last_is_no_summary)
{
	struct log_limit l = { .most = 1 };

	capture_start();
	log_limited_at(&l, "disk.img: first");
	log_limited_at(&l, "disk.img: again");
	log_warnx("disk.img: flush");
	log_info("bye");
	log_limit_remove(&l);
	ck_assert_uint_eq(capture_count("1 more such line"), 1);
	ck_assert_str_eq(log_last(), "disk.img: flush");
}
END_TEST

/* Cut between words; one that is too long itself, between characters. */
START_TEST(last_is_cut)
{
	static char text[2 * LOG_LAST_SIZE];
	size_t i;

	capture_start();
	for (i = 0; i + 5 < sizeof(text); i += 5)
		strcpy(text + i, "word ");
	log_warnx("%s", text);
	ck_assert_uint_lt(strlen(log_last()), LOG_LAST_SIZE);
	ck_assert_uint_gt(strlen(log_last()), LOG_LAST_SIZE - 10);
	ck_assert_str_eq(log_last() + strlen(log_last()) - 9, " word ...");
	for (i = 0; i + 3 < sizeof(text); i += 3)
		strcpy(text + i, "\xe2\x82\xac");
	log_warnx("%s", text);
	ck_assert_uint_eq((strlen(log_last()) - 4) % 3, 0);
	log_warnx("short");
	ck_assert_str_eq(log_last(), "short");
}
END_TEST

START_TEST(traces)
{
	capture_start();
	log_traces = TRACE_RING;
	log_trace(TRACE_FUSE, "fuse");
	ck_assert_uint_eq(capture_lines(), 0);
	log_trace(TRACE_RING, "ring %d", 5);
	ck_assert_str_eq(capture_last(), "ring 5");
	log_traces = 0;
	log_trace(TRACE_RING, "ring");
	ck_assert_uint_eq(capture_lines(), 1);
}
END_TEST

Suite *suite_log(void)
{
	TCase *tc;
	Suite *s = suite_of("log", &tc);

	tcase_add_test(tc, lines);
	tcase_add_test(tc, keeps_errno);
	tcase_add_test(tc, long_lines);
	tcase_add_loop_test(tc, control_characters, 0, (int)COUNT(escapes));
	tcase_add_test(tc, limits);
	tcase_add_test(tc, limits_removed);
	tcase_add_test(tc, last_is_no_summary);
	tcase_add_test(tc, last_is_cut);
	tcase_add_test(tc, traces);
	tcase_add_test(tc, keeps_errno_untapped);
	tcase_add_test(tc, to_stderr);
	return s;
}

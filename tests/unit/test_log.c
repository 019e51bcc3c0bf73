/* Messages: what a line is made of; errno survives. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "loop/log.h"
#include "loop/log_target.h"
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
	log_to_background();
	errno = EXDEV;
	log_warn("a test of rawfuse");
	ck_assert_int_eq(errno, EXDEV);
	log_reset();
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

static char path[64];

static void log_file_setup(void)
{
	log_set_tap(NULL);
	log_reset();
	snprintf(path, sizeof(path), "/tmp/rawfuse-unit-log.%ld",
		 (long)getpid());
	unlink(path);
}

static void log_file_teardown(void)
{
	log_reset();
	unlink(path);
	/* A test renames it. */
	strcat(path, ".1");
	unlink(path);
}

/* What is in the file at @name; "" if there is none. */
static const char *contents(const char *name)
{
	static char text[65536];
	FILE *f = fopen(name, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

/* The line that a file has, behind its time and process. */
static const char *after_pid(const char *line)
{
	char pid[32];
	int y, mo, d, h, mi, s, ms, n = 0;

	ck_assert_int_eq(sscanf(line, "%d-%d-%dT%d:%d:%d.%dZ rawfuse%n", &y, &mo,
				&d, &h, &mi, &s, &ms, &n),
			 7);
	ck_assert_int_ge(y, 2024);
	snprintf(pid, sizeof(pid), "[%ld]: ", (long)getpid());
	ck_assert_int_eq(strncmp(line + n, pid, strlen(pid)), 0);
	return line + n + strlen(pid);
}

/* It is appended to; until the export is ready stderr has it, too. */
START_TEST(to_file)
{
	int kept = dup(STDERR_FILENO);
	FILE *tmp = tmpfile(), *f = fopen(path, "w");
	char buf[64] = "";

	fputs("before\n", f);
	fclose(f);
	ck_assert_int_eq(log_to(path, LOG_TEXT), 0);
	dup2(fileno(tmp), STDERR_FILENO);
	log_warnx("a\tb");
	log_to_foreground();
	log_info("c");
	dup2(kept, STDERR_FILENO);
	close(kept);
	ck_assert_int_gt(pread(fileno(tmp), buf, sizeof(buf) - 1, 0), 0);
	ck_assert_str_eq(buf, "rawfuse: a\\x09b\n");
	fclose(tmp);
	ck_assert_int_eq(strncmp(contents(path), "before\n", 7), 0);
	ck_assert_int_eq(strncmp(after_pid(contents(path) + 7), "a\\x09b\n", 7),
			 0);
	ck_assert_str_eq(after_pid(strchr(contents(path) + 7, '\n') + 1),
			 "c\n");
}
END_TEST

START_TEST(to_file_as_json)
{
	char want[200];
	const char *line;

	ck_assert_int_eq(log_to(path, LOG_JSON), 0);
	log_to_background(); /* which changes nothing of what was chosen */
	log_warnx("a \"name\\\" with\na\tcontrol\x1b and \xff");
	line = contents(path);
	ck_assert_int_eq(strncmp(line, "{\"time\":\"20", 11), 0);
	snprintf(want, sizeof(want),
		 "Z\",\"level\":\"error\",\"program\":\"rawfuse\",\"pid\":%ld,"
		 "\"message\":\"a \\\"name\\\\\\\" with\\u000aa\\u0009control"
		 "\\u001b and \\ufffd\"}\n",
		 (long)getpid());
	ck_assert_ptr_nonnull(strchr(line, 'Z'));
	ck_assert_str_eq(strchr(line, 'Z'), want);
	log_info("x");
	ck_assert_ptr_nonnull(strstr(contents(path), "\"level\":\"info\""));
	log_trace_line("x");
	ck_assert_ptr_nonnull(strstr(contents(path), "\"level\":\"debug\""));
}
END_TEST

/* The longest line there is, of what takes most room: it stays an object. */
START_TEST(long_json)
{
	static char text[5000];
	const char *line;

	memset(text, 1, sizeof(text) - 1);
	ck_assert_int_eq(log_to(path, LOG_JSON), 0);
	log_to_foreground();
	log_warnx("%s", text);
	line = contents(path);
	ck_assert_uint_gt(strlen(line), 6 * 1023);
	ck_assert_str_eq(line + strlen(line) - 9, "\\u0001\"}\n");
}
END_TEST

START_TEST(reopened)
{
	char old[80];

	ck_assert_int_eq(log_to(path, LOG_TEXT), 0);
	log_to_foreground();
	log_info("one");
	snprintf(old, sizeof(old), "%s.1", path);
	ck_assert_int_eq(rename(path, old), 0);
	log_info("two");
	log_reopen();
	log_info("three");
	ck_assert_str_eq(after_pid(contents(path)), "three\n");
	ck_assert_ptr_nonnull(strstr(contents(old), "two\n"));
}
END_TEST

START_TEST(no_such_target)
{
	capture_start();
	ck_assert_int_eq(log_to("/tmp/rawfuse-unit-none/log", LOG_TEXT),
			 -ENOENT);
	ck_assert_uint_eq(
		capture_count("--log=/tmp/rawfuse-unit-none/log: No such file"),
		1);
}
END_TEST

/* While the loop runs it writes to a file, as much as there is at a time. */
START_TEST(by_the_loop)
{
	const char *bytes;
	size_t len;
	int fd;

	ck_assert_int_eq(log_to(path, LOG_TEXT), 0);
	log_to_foreground();
	log_target_by_loop(true);
	ck_assert(!log_target_next(&fd, &bytes, &len));
	log_info("one");
	log_info("two");
	ck_assert_str_eq(contents(path), "");
	ck_assert(log_target_next(&fd, &bytes, &len));
	ck_assert(log_target_flies());
	ck_assert(!log_target_next(&fd, &bytes, &len)); /* one at a time */
	ck_assert_ptr_nonnull(memmem(bytes, len, "two\n", 4));
	log_info("three");
	ck_assert_int_eq(write(fd, bytes, 10), 10);
	log_target_done(10); /* a part of it */
	ck_assert(!log_target_flies());
	ck_assert(log_target_next(&fd, &bytes, &len));
	ck_assert_ptr_nonnull(memmem(bytes, len, "three\n", 6));
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	log_info("four");
	log_target_by_loop(false); /* this one waits for the other */
	ck_assert_ptr_null(strstr(contents(path), "four"));
	log_target_done((int)len);
	ck_assert_ptr_nonnull(strstr(contents(path), "one\n"));
	ck_assert_ptr_nonnull(strstr(contents(path), "four\n"));
	ck_assert(!log_target_next(&fd, &bytes, &len));
	log_target_by_loop(true);
	log_info("five");
	ck_assert(log_target_next(&fd, &bytes, &len));
	log_target_done(-ENOSPC); /* or it would be tried for ever */
	ck_assert(!log_target_next(&fd, &bytes, &len));
}
END_TEST

/* A pipe that nobody reads: nothing waits, and what is lost is told. */
START_TEST(full_pipe)
{
	static char text[1 << 20];
	int kept = dup(STDERR_FILENO), fds[2], i;
	size_t used = 0;
	ssize_t n;

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	for (i = 0; i < 20000; i++)
		log_info("line %d of a log that nobody reads", i);
	ck_assert(log_target_stuck());
	do {
		n = read(fds[0], text + used, 4096);
		ck_assert_int_gt(n, 0);
		used += (size_t)n;
	} while (log_target_stuck());
	log_info("more");
	while (log_target_stuck()) {
		n = read(fds[0], text + used, 4096);
		ck_assert_int_gt(n, 0);
		used += (size_t)n;
	}
	close(fds[1]);
	dup2(kept, STDERR_FILENO);
	close(kept);
	while ((n = read(fds[0], text + used, sizeof(text) - used)) > 0)
		used += (size_t)n;
	close(fds[0]);
	text[used] = '\0';
	ck_assert_int_eq(strncmp(text, "rawfuse: line 0 of", 18), 0);
	ck_assert_ptr_nonnull(strstr(text, " lines of this log are lost here\n"
					   "rawfuse: more\n"));
}
END_TEST

/* At the end a reader gets what was kept; one that does not read is left. */
START_TEST(end_of_a_pipe)
{
	int kept = dup(STDERR_FILENO), fds[2], status;
	char buf[4096];
	pid_t pid;
	unsigned int i;

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	for (i = 0; i < 2000; i++)
		log_info("line %u of a log that is read later", i);
	ck_assert(log_target_stuck());
	pid = fork();
	if (!pid) {
		close(STDERR_FILENO);
		while (read(fds[0], buf, sizeof(buf)) > 0)
			;
		_exit(0);
	}
	close(fds[0]);
	log_end();
	ck_assert(!log_target_stuck());
	dup2(kept, STDERR_FILENO);
	close(kept);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}
END_TEST

static const struct {
	long long seconds;
	const char *text;
} times[] = {
	{ 0, "1970-01-01T00:00:00.123Z" },
	{ 86399, "1970-01-01T23:59:59.123Z" },
	{ 951782399, "2000-02-28T23:59:59.123Z" },
	{ 951782400, "2000-02-29T00:00:00.123Z" },
	{ 951868800, "2000-03-01T00:00:00.123Z" },
	{ 1709164800, "2024-02-29T00:00:00.123Z" },
	{ 1735689599, "2024-12-31T23:59:59.123Z" },
	{ 1796000000, "2026-11-30T00:53:20.123Z" },
	{ 4107542400, "2100-03-01T00:00:00.123Z" },
	{ -1, "1969-12-31T23:59:59.123Z" },
	{ -2203891200, "1900-03-01T00:00:00.123Z" },
};

START_TEST(times_of_lines)
{
	char text[LOG_TIME];

	ck_assert_ptr_eq(log_time(text, times[_i].seconds, 123456789), text);
	ck_assert_str_eq(text, times[_i].text);
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
	tcase_add_test(tc, no_such_target);
	tcase_add_loop_test(tc, times_of_lines, 0, (int)COUNT(times));
	tc = tcase_create("targets");
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, log_file_setup, log_file_teardown);
	tcase_add_test(tc, to_file);
	tcase_add_test(tc, to_file_as_json);
	tcase_add_test(tc, long_json);
	tcase_add_test(tc, reopened);
	tcase_add_test(tc, by_the_loop);
	tcase_add_test(tc, full_pipe);
	tcase_add_test(tc, end_of_a_pipe);
	return s;
}

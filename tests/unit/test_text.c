/* Small readers of text: sizes, lists of CPUs, mount(8)'s words. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "cli/machine.h"
#include "cli/words.h"
#include "loop/size.h"
#include "loop/text.h"
#include "suites.h"

static const struct {
	const char *text;
	int ret;
	uint64_t bytes;
} sizes[] = {
	{ "0", 0, 0 },
	{ "1", 0, 1 },
	{ "4096", 0, 4096 },
	{ "007", 0, 7 },
	{ "1k", 0, 1024 },
	{ "1K", 0, 1024 },
	{ "3m", 0, 3 << 20 },
	{ "3M", 0, 3 << 20 },
	{ "2g", 0, 2ULL << 30 },
	{ "2G", 0, 2ULL << 30 },
	{ "5t", 0, 5ULL << 40 },
	{ "5T", 0, 5ULL << 40 },
	{ "7P", 0, 7ULL << 50 },
	{ "7p", 0, 7ULL << 50 },
	{ "15E", 0, 15ULL << 60 },
	{ "15e", 0, 15ULL << 60 },
	{ "16E", -ERANGE, 0 },
	{ "0E", 0, 0 },
	{ "16383P", 0, 16383ULL << 50 },
	{ "16384P", -ERANGE, 0 },
	{ "18446744073709551615", 0, UINT64_MAX },
	{ "18446744073709551616", -ERANGE, 0 },
	{ "18014398509481983k", 0, 18014398509481983ULL << 10 },
	{ "18014398509481984k", -ERANGE, 0 },
	{ "99999999999999999999999999", -ERANGE, 0 },
	{ "", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
	{ "1 ", -EINVAL, 0 },
	{ "+1", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "-0", -EINVAL, 0 },
	{ "k", -EINVAL, 0 },
	{ "1kB", -EINVAL, 0 },
	{ "1KiB", -EINVAL, 0 },
	{ "1kk", -EINVAL, 0 },
	{ "1b", -EINVAL, 0 },
	{ "1.5G", -EINVAL, 0 },
	{ "1,5G", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 },
	{ "1e3", -EINVAL, 0 },
	{ "1\n", -EINVAL, 0 },
	{ "\xb2", -EINVAL, 0 },
	{ "1\xcb", -EINVAL, 0 },
};

START_TEST(parses_sizes)
{
	uint64_t bytes = 123456789;
	int ret = size_parse(sizes[_i].text, &bytes);

	ck_assert_msg(ret == sizes[_i].ret, "'%s': %d", sizes[_i].text, ret);
	if (ret)
		ck_assert_uint_eq(bytes, 123456789);
	else
		ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

static const struct {
	uint64_t bytes;
	const char *text;
} printed[] = {
	{ 0, "0" },
	{ 1, "1" },
	{ 1023, "1023" },
	{ 1024, "1k" },
	{ 1025, "1025" },
	{ 1536 << 10, "1536k" },
	{ 1 << 20, "1M" },
	{ 7ULL << 60, "7E" },
	{ 1ULL << 63, "8E" },
	{ UINT64_MAX, "18446744073709551615" },
};

/* What is printed is exact, and read as the same. */
START_TEST(sizes_printed)
{
	char text[SIZE_TEXT];
	uint64_t bytes;

	ck_assert_ptr_eq(size_print(text, printed[_i].bytes), text);
	ck_assert_str_eq(text, printed[_i].text);
	ck_assert_int_eq(size_parse(text, &bytes), 0);
	ck_assert_uint_eq(bytes, printed[_i].bytes);
}
END_TEST

static const struct {
	const char *list;
	unsigned int cpus;
} lists[] = {
	{ "0", 1 },
	{ "0\n", 1 },
	{ "0-1", 2 },
	{ "0-3\n", 4 },
	{ "0-3,8-11", 12 },
	{ "0,2,4", 5 },
	{ "8-11,0-3", 12 },
	{ "5", 6 },
	{ "0-65533", 65534 },
	{ "0-65534", 65535 },
	{ "0-65535", 0 },
	{ "0-4294967295", 0 },
	{ "99999999999999999999", 0 },
	{ "", 0 },
	{ "\n", 0 },
	{ "-", 0 },
	{ "0-", 0 },
	{ "0,", 0 },
	{ "0-1,\n", 0 },
	{ "-1", 0 },
	{ "0--1", 0 },
	{ "a", 0 },
	{ "0-a", 0 },
	{ "0 1", 0 },
	{ "0-3:2", 0 },
	{ "0x3", 0 },
};

START_TEST(parses_cpus)
{
	ck_assert_msg(machine_parse_cpus(lists[_i].list) == lists[_i].cpus,
		      "'%s': %u", lists[_i].list,
		      machine_parse_cpus(lists[_i].list));
}
END_TEST

START_TEST(this_machine)
{
	unsigned int cpus = machine_possible_cpus();

	ck_assert_uint_ge(cpus, 1);
	ck_assert_uint_lt(cpus, 65536);
	ck_assert_uint_ge(machine_max_request(), 4096);
}
END_TEST

START_TEST(reasons)
{
	static const int errs[] = { ENOSYS, ENOMEM, EPERM, EACCES, EIO };
	const char *command;
	size_t i;

	for (i = 0; i < COUNT(errs); i++)
		ck_assert_ptr_nonnull(machine_why_no_io_uring(errs[i],
							      &command));
	ck_assert_str_ne(machine_why_no_io_uring(ENOSYS, &command),
			 machine_why_no_io_uring(EPERM, &command));
	machine_why_no_io_uring(ENOMEM, &command);
	ck_assert_str_eq(command, "ulimit -l unlimited");
}
END_TEST

static const struct {
	const char *word;
	bool known;
	unsigned long before, after;
} words[] = {
	{ "defaults", true, MS_NOEXEC, MS_NOEXEC },
	{ "noauto", true, 0, 0 },
	{ "user", true, 0, 0 },
	{ "_netdev", true, 0, 0 },
	{ "nofail", true, 0, 0 },
	{ "nosuid", true, 0, 0 },
	{ "nodev", true, 0, 0 },
	{ "noexec", true, 0, MS_NOEXEC },
	{ "exec", true, MS_NOEXEC | MS_NOATIME, MS_NOATIME },
	{ "sync", true, 0, MS_SYNCHRONOUS },
	{ "async", true, MS_SYNCHRONOUS, 0 },
	{ "noatime", true, MS_DIRSYNC, MS_DIRSYNC | MS_NOATIME },
	{ "atime", true, MS_NOATIME, 0 },
	{ "relatime", true, 0, MS_RELATIME },
	{ "lazytime", true, 0, MS_LAZYTIME },
	{ "nolazytime", true, MS_LAZYTIME, 0 },
	{ "x-systemd.automount", true, 0, 0 },
	{ "x-", true, 0, 0 },
	{ "X-mount.mkdir=0755", true, 0, 0 },
	{ "comment=anything", true, 0, 0 },
	{ "comment", false, 1, 1 },
	{ "", false, 1, 1 },
	{ "noatim", false, 1, 1 },
	{ "noatimes", false, 1, 1 },
	{ "NOATIME", false, 1, 1 },
	{ "x_y", false, 1, 1 },
	{ "io_uring=on", false, 1, 1 },
	{ "suid", true, 1, 1 },
	{ "dev", true, 1, 1 },
	{ "silent", true, 0, MS_SILENT },
	{ "loud", true, MS_SILENT, 0 },
};

START_TEST(knows_words)
{
	unsigned long flags = words[_i].before;

	ck_assert_msg(words_mount(words[_i].word, &flags) == words[_i].known,
		      "'%s'", words[_i].word);
	ck_assert_uint_eq(flags, words[_i].after);
}
END_TEST

static const struct {
	const char *from, *terminal, *json;
} texts[] = {
	{ "", "", "\"\"" },
	{ "a b", "a b", "\"a b\"" },
	{ "\"\\/", "\"\\/", "\"\\\"\\\\/\"" },
	{ "a\nb\tc\x1b[0m", "a\\x0ab\\x09c\\x1b[0m",
	  "\"a\\u000ab\\u0009c\\u001b[0m\"" },
	{ "\x01\x7f", "\\x01\\x7f", "\"\\u0001\\u007f\"" },
	/* Two, three and four bytes. */
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe",
	  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe",
	  "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe\"" },
	/* C1, as a character and as a byte. */
	{ "\xc2\x9b", "\\xc2\\x9b", "\"\\u009b\"" },
	{ "\x9b", "\\x9b", "\"\\ufffd\"" },
	/* Cut off, too long, a surrogate, past the last one. */
	{ "\xe2\x82", "\\xe2\\x82", "\"\\ufffd\\ufffd\"" },
	{ "\xc0\xaf", "\\xc0\\xaf", "\"\\ufffd\\ufffd\"" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80",
	  "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80",
	  "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ "\xff" "a", "\\xffa", "\"\\ufffda\"" },
};

START_TEST(escapes)
{
	char text[128];

	ck_assert_str_eq(text_escape(text, sizeof(text), texts[_i].from),
			 texts[_i].terminal);
	ck_assert_str_eq(text_json(text, sizeof(text), texts[_i].from),
			 texts[_i].json);
}
END_TEST

/* What has no room is cut between two characters, and ends as it should. */
START_TEST(escapes_in_little_room)
{
	char text[16], *json;
	size_t size, len;

	for (size = 3; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		json = text_json(text, size, "a\xc3\xa4\n\"bcdef");
		len = strlen(json);
		ck_assert_uint_lt(len, size);
		ck_assert_uint_eq(json[0], '"');
		ck_assert_uint_eq(json[len - 1], '"');
		ck_assert_uint_eq(json[size], 'x');
		ck_assert(len < 3 || json[len - 2] != '\\' ||
			  json[len - 3] == '\\');
	}
	ck_assert_str_eq(text_json(text, 6, "a\xc3\xa4"), "\"a\xc3\xa4\"");
	ck_assert_str_eq(text_json(text, 5, "a\xc3\xa4"), "\"a\"");
	ck_assert_str_eq(text_escape(text, 8, "ab\n\n"), "ab\\x0a");
}
END_TEST

Suite *suite_text(void)
{
	TCase *tc;
	Suite *s = suite_of("text", &tc);

	tcase_add_loop_test(tc, parses_sizes, 0, COUNT(sizes));
	tcase_add_loop_test(tc, sizes_printed, 0, COUNT(printed));
	tcase_add_loop_test(tc, parses_cpus, 0, COUNT(lists));
	tcase_add_test(tc, this_machine);
	tcase_add_test(tc, reasons);
	tcase_add_loop_test(tc, knows_words, 0, COUNT(words));
	tcase_add_loop_test(tc, escapes, 0, COUNT(texts));
	tcase_add_test(tc, escapes_in_little_room);
	return s;
}

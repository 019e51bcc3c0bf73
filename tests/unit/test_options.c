/* The command line: arguments and what they become. */
#include "config.h"

#include <getopt.h>
#include <string.h>
#include <sys/mount.h>

#include "block/block.h"
#include "capture.h"
#include "cli/options.h"
#include "cli/replace.h"
#include "fuse/mount.h"
#include "fuse/session.h"
#include "loop/log.h"
#include "suites.h"

#define MOST 24

static struct options o;

/* Splits @line at blanks ('_' within a word is one) and reads it. */
static int parse(const char *line)
{
	static char copy[512];
	char *argv[MOST + 1];
	int argc = 0;
	char *word;

	capture_start();
	strcpy(copy, line);
	for (word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		ck_assert_int_lt(argc, MOST);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	optind = 0;
	return options_parse(&o, argc, argv);
}

static void teardown(void)
{
	options_free(&o);
	ck_assert_ptr_null(o.lists);
}

/* Good lines; what is said twice alike is no contradiction. */
static const struct {
	const char *line;
	struct options want;
} good[] = {
#define BASE                                                           \
	.image = "i", .mountpoint = "m", .format = "auto", .grace = 5, \
	.cpu = "auto", .poll = "auto"
#define DEPTH .queue_depth = 64
#define WRITE .max_write = 1 << 20
#define ALL BASE, DEPTH, WRITE
	{ "rawfuse i m", { ALL } },
	{ "/usr/bin/rawfuse i m", { ALL } },
	{ "rawfuse -- i m", { ALL } },
	{ "rawfuse -r i m", { ALL, .read_only = true } },
	{ "rawfuse i m -r", { ALL, .read_only = true } },
	{ "rawfuse -r --read-only -o ro i m", { ALL, .read_only = true } },
	{ "rawfuse -o rw i m", { ALL } },
	{ "rawfuse -rf i m", { ALL, .read_only = true, .foreground = true } },
	{ "rawfuse --foreground i m", { ALL, .foreground = true } },
	{ "rawfuse --growable i m", { ALL, .growable = true } },
	{ "rawfuse --no-lock i m", { ALL, .no_lock = true } },
	{ "rawfuse --cache=auto i m", { ALL, .cache = BLOCK_CACHE_AUTO } },
	{ "rawfuse --cache=direct i m", { ALL, .cache = BLOCK_CACHE_DIRECT } },
	{ "rawfuse --cache host i m", { ALL, .cache = BLOCK_CACHE_HOST } },
	{ "rawfuse -o writeback_cache i m", { ALL, .writeback_cache = true } },
	{ "rawfuse --passthrough=auto i m",
	  { ALL, .passthrough = PASSTHROUGH_AUTO } },
	{ "rawfuse -o passthrough=on i m",
	  { ALL, .passthrough = PASSTHROUGH_ON } },
	{ "rawfuse --io-uring=off i m", { ALL, .io_uring = URING_OFF } },
	{ "rawfuse --io-uring=on i m", { ALL, .io_uring = URING_ON } },
	{ "rawfuse -o io_uring=on i m", { ALL, .io_uring = URING_ON } },
	{ "rawfuse -o io-uring=on i m", { ALL, .io_uring = URING_ON } },
	{ "rawfuse --allow-other=on i m",
	  { ALL, .allow_other = MOUNT_OTHERS_ON } },
	{ "rawfuse -o allow_other i m",
	  { ALL, .allow_other = MOUNT_OTHERS_ON } },
	{ "rawfuse -o allow_other=off i m",
	  { ALL, .allow_other = MOUNT_OTHERS_OFF } },
	{ "rawfuse --cpu=any i m",
	  { .image = "i",
	    .mountpoint = "m",
	    .format = "auto",
	    .cpu = "any",
	    .poll = "auto",
	    .grace = 5,
	    DEPTH,
	    WRITE } },
	{ "rawfuse -o cpu=0-3+5,ro i m",
	  { .image = "i",
	    .mountpoint = "m",
	    .format = "auto",
	    .cpu = "0-3+5",
	    .poll = "auto",
	    .read_only = true,
	    .grace = 5,
	    DEPTH,
	    WRITE } },
	{ "rawfuse --queue-depth=1 i m", { BASE, WRITE, .queue_depth = 1 } },
	{ "rawfuse --queue-depth=4096 i m",
	  { BASE, WRITE, .queue_depth = 4096 } },
	{ "rawfuse --max-write=4k i m", { BASE, DEPTH, .max_write = 4096 } },
	{ "rawfuse --max-write=16M i m",
	  { BASE, DEPTH, .max_write = 16 << 20 } },
	{ "rawfuse --pidfile=p i m", { ALL, .pidfile = "p" } },
	{ "rawfuse --fsname=n i m", { ALL, .fsname = "n" } },
	{ "rawfuse -d fuse i m", { ALL, .traces = TRACE_FUSE } },
	{ "rawfuse -d ring,life i m",
	  { ALL, .traces = TRACE_RING | TRACE_LIFE } },
	{ "rawfuse --trace=block+fuse i m",
	  { ALL, .traces = TRACE_BLOCK | TRACE_FUSE } },
	{ "rawfuse --trace=all i m", { ALL, .traces = ~0u } },
	{ "rawfuse -o ro,noatime,noexec,x-a=b,, i m",
	  { ALL, .read_only = true, .mount_flags = MS_NOATIME | MS_NOEXEC } },
	{ "rawfuse -o ro -o growable,no_lock i m",
	  { ALL, .read_only = true, .growable = true, .no_lock = true } },
	{ "rawfuse -o fsname=a\\,b,ro i m",
	  { ALL, .fsname = "a,b", .read_only = true } },
	{ "rawfuse -o ro,fsname=a=b i m",
	  { ALL, .fsname = "a=b", .read_only = true } },
	{ "rawfuse --replace i m", { ALL, .replace = REPLACE_DEAD } },
	{ "rawfuse --replace=live i m", { ALL, .replace = REPLACE_LIVE } },
	{ "rawfuse --replace --replace=live i m",
	  { ALL, .replace = REPLACE_LIVE } },
	{ "rawfuse --replace=live --replace i m",
	  { ALL, .replace = REPLACE_LIVE } },
	{ "rawfuse -o replace i m", { ALL, .replace = REPLACE_DEAD } },
	{ "rawfuse -o replace=live i m", { ALL, .replace = REPLACE_LIVE } },
	{ "rawfuse --fuse-socket=s i", { .image = "i",
	      .fuse_socket = "s",
	      .format = "auto",
	      .grace = 5,
	      .cpu = "auto",
	      .poll = "auto",
	      DEPTH,
	      WRITE } },
	{ "rawfuse -o pidfile=a_b i m", { ALL, .pidfile = "a_b" } },
	{ "rawfuse -o fsname=a\\b i m", { ALL, .fsname = "a\\b" } },
	{ "rawfuse -- -i m",
	  { .image = "-i",
	    .mountpoint = "m",
	    .format = "auto",
	    .cpu = "auto",
	    .poll = "auto",
	    .grace = 5,
	    DEPTH,
	    WRITE } },
	{ "mount.fuse.rawfuse i m", { ALL } },
	{ "/sbin/mount.fuse.rawfuse i m -o rw", { ALL } },
	{ "mount.fuse.rawfuse i m -r", { ALL, .read_only = true } },
	{ "mount.fuse.rawfuse i m -w -n -s -v", { ALL } },
	{ "mount.fuse.rawfuse i m -n -o ro,noexec,io_uring=on",
	  { ALL, .read_only = true, .mount_flags = MS_NOEXEC,
	    .io_uring = URING_ON } },
	{ "mount.fuse.rawfuse i m -t fuse.rawfuse -f",
	  { ALL, .action = ACTION_FAKE } },
	{ "mount.rawfuse i m -o max_write=8k",
	  { BASE, DEPTH, .max_write = 8192 } },
};

static void same_text(const char *what, const char *is, const char *want)
{
	ck_assert_msg((!is && !want) || (is && want && !strcmp(is, want)),
		      "%s is %s, not %s", what, is ? is : "unset",
		      want ? want : "unset");
}

START_TEST(accepts)
{
	const struct options *w = &good[_i].want;
	int ret = parse(good[_i].line);

	ck_assert_msg(!ret, "%s: %d, %s", good[_i].line, ret, capture_last());
	ck_assert_uint_eq(capture_lines(), 0);
	ck_assert_int_eq(o.action, w->action);
	same_text("image", o.image, w->image);
	same_text("mountpoint", o.mountpoint, w->mountpoint);
	same_text("format", o.format, w->format);
	same_text("cpu", o.cpu, w->cpu);
	same_text("poll", o.poll, w->poll);
	same_text("pidfile", o.pidfile, w->pidfile);
	same_text("fsname", o.fsname, w->fsname);
	same_text("fuse-socket", o.fuse_socket, w->fuse_socket);
	ck_assert_int_eq(o.read_only, w->read_only);
	ck_assert_int_eq(o.foreground, w->foreground);
	ck_assert_int_eq(o.growable, w->growable);
	ck_assert_int_eq(o.no_lock, w->no_lock);
	ck_assert_uint_eq(o.io_uring, w->io_uring);
	ck_assert_uint_eq(o.allow_other, w->allow_other);
	ck_assert_uint_eq(o.cache, w->cache);
	ck_assert_uint_eq(o.replace, w->replace);
	ck_assert_uint_eq(o.passthrough, w->passthrough);
	ck_assert_int_eq(o.writeback_cache, w->writeback_cache);
	ck_assert_uint_eq(o.queue_depth, w->queue_depth);
	ck_assert_uint_eq(o.max_write, w->max_write);
	ck_assert_uint_eq(o.grace, w->grace);
	ck_assert_uint_eq(o.traces, w->traces);
	ck_assert_uint_eq(o.mount_flags, w->mount_flags);
}
END_TEST

/* SELinux contexts, whose commas do not divide; what is for mount(8). */
START_TEST(for_the_kernel)
{
	ck_assert_int_eq(parse("rawfuse -o context=\"u:r:t:s0:c1,c2\",ro i m"),
			 0);
	ck_assert_str_eq(o.security[0], "context=\"u:r:t:s0:c1,c2\"");
	ck_assert_ptr_null(o.security[1]);
	ck_assert(o.read_only);
	options_free(&o);
	ck_assert_int_eq(parse("rawfuse -o fscontext=a,rootcontext=b,nofail,"
			       "user_id=0,group_id=0 i m"),
			 0);
	ck_assert_str_eq(o.security[0], "fscontext=a");
	ck_assert_str_eq(o.security[1], "rootcontext=b");
	ck_assert(o.nofail);
	options_free(&o);
	ck_assert_int_eq(parse("mount.fuse.rawfuse i m -o remount,ro"), 0);
	ck_assert_int_eq(o.action, ACTION_REMOUNT);
	ck_assert(o.read_only);
	options_free(&o);
	ck_assert_int_eq(parse("mount.fuse.rawfuse --help=all"), 0);
	ck_assert_int_eq(o.action, ACTION_HELP);
	ck_assert_int_eq(o.help, 1);
	options_free(&o);
	ck_assert_int_eq(parse("mount.fuse.rawfuse -V"), 0);
	ck_assert_int_eq(o.action, ACTION_VERSION);
	options_free(&o);
	ck_assert_int_ne(parse("rawfuse -o context=a,context=b,context=c,"
			       "context=d,context=e i m"),
			 0);
}
END_TEST

/* Refused, with status 2 and one line that names the culprit. */
static const struct {
	const char *line, *name;
} bad[] = {
	{ "rawfuse", "IMAGE and MOUNTPOINT are missing" },
	{ "rawfuse disk", "disk: MOUNTPOINT is missing" },
	{ "rawfuse --fuse-socket=s i m", "give IMAGE alone, not m" },
	{ "rawfuse --fuse-socket=s --replace i", "exclude each other" },
	{ "rawfuse --replace i /dev/fd/3", "exclude each other" },
	{ "rawfuse disk", "rawfuse disk.qcow2 disk.raw" },
	{ "rawfuse i m x", "x" },
	{ "rawfuse --nonsense i m", "--nonsense" },
	{ "rawfuse -Z i m", "-Z" },
	{ "rawfuse --read-only=yes i m", "--read-only" },
	{ "rawfuse i m --cache", "--cache" },
	{ "rawfuse i m -o", "-o" },
	{ "rawfuse --cache= i m", "--cache" },
	{ "rawfuse --cache=dir i m", "dir" },
	{ "rawfuse --cache=directly i m", "directly" },
	{ "rawfuse --cache=direct|host i m", "direct|host" },
	{ "rawfuse --io-uring=yes i m", "yes" },
	{ "rawfuse --allow-other=1 i m", "1" },
	{ "rawfuse --format=vmdk i m", "vmdk" },
	{ "rawfuse --format= i m", "--format" },
	{ "rawfuse --cpu= i m", "--cpu" },
	{ "rawfuse --cpu=all i m", "all" },
	{ "rawfuse --cpu=1-0 i m", "1-0" },
	{ "rawfuse --poll= i m", "--poll" },
	{ "rawfuse --poll=on i m", "on" },
	{ "rawfuse --poll=1001 i m", "1001" },
	{ "rawfuse --queue-depth=0 i m", "0" },
	{ "rawfuse --queue-depth=100000 i m", "100000" },
	{ "rawfuse --queue-depth=4097 i m", "4097" },
	{ "rawfuse --queue-depth=1k i m", "1k" },
	{ "rawfuse --queue-depth=-1 i m", "-1" },
	{ "rawfuse --queue-depth= i m", "--queue-depth" },
	{ "rawfuse --queue-depth=ten i m", "ten" },
	{ "rawfuse --max-write=0 i m", "0" },
	{ "rawfuse --max-write=4095 i m", "4095" },
	{ "rawfuse --max-write=4097 i m", "4097" },
	{ "rawfuse --max-write=17M i m", "17M" },
	{ "rawfuse --max-write=1MB i m", "1MB" },
	{ "rawfuse --max-write=99999999999999999999 i m", "9999" },
	{ "rawfuse --writeback-interval=-1 i m", "-1" },
	{ "rawfuse --writeback-interval=3601 i m", "3601" },
	{ "rawfuse --writeback-interval= i m", "--writeback-interval" },
	{ "rawfuse --grace=-1 i m", "-1" },
	{ "rawfuse --grace=86401 i m", "86401" },
	{ "rawfuse --grace=1h i m", "1h" },
	{ "rawfuse -d nonsense i m", "nonsense" },
	{ "rawfuse -d fuse,nonsense i m", "nonsense" },
	{ "rawfuse -d fuses i m", "fuses" },
	{ "rawfuse -o nonsense i m", "nonsense" },
	{ "rawfuse -o ro,nonsense=1 i m", "nonsense" },
	{ "rawfuse -o help i m", "help" },
	{ "rawfuse --help=some", "some" },
	{ "rawfuse --help=", "--help" },
	{ "rawfuse -o version i m", "version" },
	{ "rawfuse -o options=ro i m", "options" },
	{ "rawfuse -o growable=yes i m", "growable" },
	{ "rawfuse -o io_uring i m", "io" },
	{ "rawfuse -o io_uring=perhaps i m", "perhaps" },
	{ "rawfuse -o =on i m", "" },
	{ "mount.fuse.rawfuse i", "MOUNTPOINT is missing" },
	{ "mount.fuse.rawfuse i m -o nonsense", "nonsense" },
	{ "mount.fuse.rawfuse i m -Z", "-Z" },
	{ "mount.fuse.rawfuse i m -o", "-o" },
	/* The nearest one. */
	{ "rawfuse --fromat=raw i m", "did you mean '--format'?" },
	{ "rawfuse --io_uring=on i m", "did you mean '--io-uring'?" },
	{ "rawfuse --nolock i m", "did you mean '--no-lock'?" },
	{ "rawfuse --nonsense=a i m", "see rawfuse --help=all" },
	{ "rawfuse --cache=drect i m", "did you mean 'direct'?" },
	{ "rawfuse --cache=dir i m", "did you mean 'direct'?" },
	{ "rawfuse --io-uring=no i m", "is not one of auto|on|off" },
	{ "rawfuse --format=qcow i m", "did you mean 'qcow2'?" },
	{ "rawfuse --cpu=folow i m", "did you mean 'follow'?" },
	{ "rawfuse --poll=atuo i m", "did you mean 'auto'?" },
	{ "rawfuse -d fuse,blok i m", "did you mean 'block'?" },
	{ "rawfuse -d , i m", "','" },
	{ "rawfuse --aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeee i m",
	  "see rawfuse --help=all" },
	{ "rawfuse -o writeback-intervalwriteback-interval=1 i m",
	  "see rawfuse --help=all" },
	{ "rawfuse -o writback_cache i m", "did you mean 'writeback_cache'?" },
	{ "rawfuse -o writback_cache i m", "'writback_cache' is not" },
	{ "rawfuse -o io_uring i m", "'io_uring' requires a value" },
	{ "rawfuse -d life,bogus i m", "--trace: 'bogus' is not" },
	{ "rawfuse --memory=3 i m", "'3' is not a size from 8M to 1T" },
	{ "rawfuse --buffer-pool=3 i m", "auto, off, or a size from 4k to" },
	/* Never what switches a protection off; and other programs' words. */
	{ "rawfuse --no-log i m", "see rawfuse --help=all" },
	{ "rawfuse --no i m", "--no: not an option" },
	{ "rawfuse --no-loc i m", "--no-loc: not an option" },
	{ "rawfuse --no-lokc i m", "see rawfuse --help=all" },
	{ "rawfuse --no-fork i m", "did you mean '-f'?" },
	{ "rawfuse --no-daemon i m", "did you mean '-f'?" },
	{ "rawfuse --nodaemon i m", "did you mean '-f'?" },
	{ "rawfuse --fg i m", "did you mean '-f'?" },
	{ "rawfuse -o nolock i m", "did you mean 'no_lock'?" },
	{ "rawfuse -o nolocks i m", "'nolocks' is not an option" },
	/* Nothing is to be ignored. */
	{ "rawfuse --help all", "'--help=all'" },
	{ "rawfuse --help i m x y z", "i: one argument too many" },
	{ "rawfuse --wait m n", "n: one argument too many" },
	{ "rawfuse --status m n", "n: one argument too many" },
	{ "rawfuse --status --json m n", "m: one argument too many" },
	{ "rawfuse --json --status m n", "n: one argument too many" },
	{ "rawfuse --probe i", "i: one argument too many" },
	{ "rawfuse --version i", "i: one argument too many" },
	{ "rawfuse --dump-config i", "i: one argument too many" },
	{ "rawfuse -o ro,noatim i m", "did you mean 'noatime'?" },
	{ "rawfuse -o nonsense i m", "see rawfuse --help=all" },
	{ "mount.fuse.rawfuse i m -o fsnam=a", "did you mean 'fsname'?" },
	/* Two that disagree. */
	{ "rawfuse --cache=host --cache=direct i m", "--cache" },
	{ "rawfuse --io-uring=on -o io_uring=off i m", "--io-uring" },
	{ "rawfuse -r -o rw i m", "--read-only" },
	{ "rawfuse -o ro,rw i m", "--read-only" },
	{ "rawfuse -o allow_other --allow-other=off i m", "--allow-other" },
	{ "rawfuse --queue-depth=2 --queue-depth=3 i m", "--queue-depth" },
	{ "rawfuse --format=raw --format=null i m", "--format" },
	{ "rawfuse --fsname=a -o fsname=b i m", "--fsname" },
	{ "mount.fuse.rawfuse i m -r -w", "--read-only" },
	{ "mount.fuse.rawfuse i m -r -o rw", "--read-only" },
};

START_TEST(refuses)
{
	int ret = parse(bad[_i].line);

	ck_assert_msg(ret == EXIT_USAGE, "%s: %d", bad[_i].line, ret);
	ck_assert_msg(capture_lines() == 1, "%s: %u lines", bad[_i].line,
		      capture_lines());
	ck_assert_msg(capture_count(bad[_i].name) == 1, "%s: '%s'",
		      bad[_i].line, capture_last());
}
END_TEST

static const struct {
	const char *line;
	enum action action;
} actions[] = {
	{ "rawfuse --help", ACTION_HELP },
	{ "rawfuse -h", ACTION_HELP },
	{ "rawfuse --help=all", ACTION_HELP },
	{ "rawfuse --version", ACTION_VERSION },
	{ "rawfuse -V", ACTION_VERSION },
	{ "rawfuse --probe", ACTION_PROBE },
	{ "rawfuse --status m", ACTION_STATUS },
	{ "rawfuse --status=m --json", ACTION_STATUS },
	{ "rawfuse --json --status m", ACTION_STATUS },
	{ "rawfuse --status --json m", ACTION_STATUS },
	{ "rawfuse --dump-config", ACTION_DUMP_CONFIG },
	{ "rawfuse i m", ACTION_EXPORT },
	{ "mount.fuse.rawfuse i m -f", ACTION_FAKE },
};

START_TEST(finds_action)
{
	ck_assert_int_eq(parse(actions[_i].line), 0);
	ck_assert_int_eq(o.action, actions[_i].action);
	if (o.action == ACTION_STATUS) {
		ck_assert_str_eq(o.status, "m");
		ck_assert_int_eq(o.json, !!strstr(actions[_i].line, "--json"));
	}
}
END_TEST

START_TEST(helps)
{
	ck_assert_int_eq(parse("rawfuse --help"), 0);
	ck_assert_uint_eq(o.help, 0);
	ck_assert_int_eq(parse("rawfuse --help=all"), 0);
	ck_assert_uint_eq(o.help, 1);
}
END_TEST

Suite *suite_options(void)
{
	TCase *tc;
	Suite *s = suite_of("options", &tc);

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, accepts, 0, COUNT(good));
	tcase_add_loop_test(tc, refuses, 0, COUNT(bad));
	tcase_add_test(tc, for_the_kernel);
	tcase_add_test(tc, helps);
	tcase_add_loop_test(tc, finds_action, 0, COUNT(actions));
	return s;
}

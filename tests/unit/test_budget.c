/* The memory budget, and the limits of control groups. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "cli/budget.h"
#include "cli/cgroup.h"
#include "cli/options.h"
#include "fuse/session.h"
#include "suites.h"

#define MiB (1ull << 20)

static char root[64];
static uint64_t page, max_request;

static void setup(void)
{
	capture_start();
	page = 4096;
	max_request = 16 * MiB;
	strcpy(root, "/tmp/rawfuse-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

/* A file below root, with the directories that it needs. */
static void put(const char *path, const char *text)
{
	char full[512], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = 0;
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void put_mount(const char *top, const char *point, const char *rest)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "20 1 0:1 / / rw - ext4 /dev/root rw\n"
		 "34 30 0:31 %s %s rw,relatime shared:9 - %s\n"
		 "too short\n",
		 top, point, rest);
	put("/proc/self/mountinfo", text);
}

START_TEST(no_groups)
{
	ck_assert(cgroup_memory_limit(root) == UINT64_MAX);
	put_mount("/", "/cg", "cgroup2 cgroup2 rw");
	ck_assert(cgroup_memory_limit(root) == UINT64_MAX);
	put("/proc/self/cgroup", "0::/a\n");
	ck_assert(cgroup_memory_limit(root) == UINT64_MAX);
	put("/cg/a/memory.max", "max\n");
	ck_assert(cgroup_memory_limit(root) == UINT64_MAX);
}
END_TEST

/* Version 2: the least on the way up counts, and none beside it. */
START_TEST(version_2)
{
	put_mount("/", "/cg", "cgroup2 none rw");
	put("/proc/self/cgroup", "0::/a/b c/d\n");
	put("/cg/a/b c/d/memory.max", "67108864\n");
	put("/cg/a/memory.max", "134217728\n");
	put("/cg/e/memory.max", "4096\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 64 * MiB);
	put("/cg/a/b c/memory.high", "33554432\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 32 * MiB);
	put("/cg/memory.max", "16777216\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 16 * MiB);
}
END_TEST

/* A container: the mount's top is the group itself, or not seen at all. */
START_TEST(container)
{
	/* Names are escaped in mountinfo. */
	put_mount("/docker/1f", "/cg\\040x", "cgroup2 cgroup rw");
	put("/cg x/memory.max", "20971520\n");
	put("/proc/self/cgroup", "0::/docker/1f\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 20 * MiB);
	put("/cg x/in/memory.max", "10485760\n");
	put("/proc/self/cgroup", "0::/docker/1f/in\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 10 * MiB);
	put("/proc/self/cgroup", "0::/docker/1fe\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 20 * MiB);
	put("/proc/self/cgroup", "0::/../../elsewhere\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 20 * MiB);
}
END_TEST

START_TEST(version_1)
{
	put_mount("/", "/cg/memory", "cgroup cgroup rw,memory");
	put("/proc/self/cgroup",
	    "9:name=memory:/x\n4:cpu,memory:/a\n3:cpuset:/y\n0::/z\n");
	put("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
	ck_assert(cgroup_memory_limit(root) == UINT64_MAX);
	put("/cg/memory/a/memory.limit_in_bytes", "33554432\n");
	put("/cg/memory/x/memory.limit_in_bytes", "1\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 32 * MiB);
	put("/cg/memory/a/memory.stat",
	    "cache 1\nhierarchical_memory_limit 16777216\n");
	ck_assert_uint_eq(cgroup_memory_limit(root), 16 * MiB);
	put_mount("/", "/cg/memory", "cgroup cgroup rw,cpu,memory2");
	ck_assert(cgroup_memory_limit(root) == UINT64_MAX);
}
END_TEST

START_TEST(cpu_time)
{
	put_mount("/", "/cg", "cgroup2 none rw");
	put("/proc/self/cgroup", "0::/a/b\n");
	ck_assert(cgroup_cpu_limit(root) == UINT64_MAX);
	put("/cg/a/b/cpu.max", "max 100000\n");
	ck_assert(cgroup_cpu_limit(root) == UINT64_MAX);
	put("/cg/a/cpu.max", "250000 100000\n");
	ck_assert_uint_eq(cgroup_cpu_limit(root), 2500);
	put("/cg/a/b/cpu.max", "5000 10000\n");
	ck_assert_uint_eq(cgroup_cpu_limit(root), 500);
	put("/cg/a/b/cpu.max", "5000 0\n");
	ck_assert_uint_eq(cgroup_cpu_limit(root), 2500);
	put("/cg/a/cpu.max", "7\n");
	ck_assert(cgroup_cpu_limit(root) == UINT64_MAX);
}
END_TEST

START_TEST(cpu_time_of_version_1)
{
	put_mount("/", "/cg", "cgroup cgroup rw,cpuacct,cpu");
	put("/proc/self/cgroup", "4:cpu,cpuacct:/a\n");
	put("/cg/cpu.cfs_quota_us", "-1\n");
	put("/cg/cpu.cfs_period_us", "100000\n");
	ck_assert(cgroup_cpu_limit(root) == UINT64_MAX);
	put("/cg/a/cpu.cfs_quota_us", "150000\n");
	ck_assert(cgroup_cpu_limit(root) == UINT64_MAX);
	put("/cg/a/cpu.cfs_period_us", "100000\n");
	ck_assert_uint_eq(cgroup_cpu_limit(root), 1500);
}
END_TEST

static struct budget budget;
static struct options o;

static int fit(unsigned int queues, uint64_t limit, const char *options)
{
	static char words[256];
	const struct budget_machine m = { .queues = queues,
					  .limit = limit,
					  .max_request = max_request,
					  .page = page };
	char *argv[16] = { (char *)"rawfuse" }, *word;
	int argc = 1, ret;

	snprintf(words, sizeof(words), "%s", options);
	for (word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc++] = (char *)"image";
	argv[argc++] = (char *)"mountpoint";
	optind = 0;
	ck_assert_int_eq(options_parse(&o, argc, argv), 0);
	ret = budget_fit(&budget, &o, &m);
	if (ret || budget.bytes == UINT64_MAX)
		return ret;
	ck_assert_uint_le(budget.requests, budget.bytes);
	ck_assert_uint_ge(o.queue_depth, 1);
	ck_assert_uint_ge(o.max_write, 4096);
	ck_assert_uint_eq(o.max_write % 4096, 0);
	if (o.io_uring != URING_OFF)
		ck_assert_uint_le(o.queue_depth * queues * o.max_write,
				  budget.requests);
	return 0;
}

START_TEST(unbounded)
{
	ck_assert_int_eq(fit(2, UINT64_MAX, ""), 0);
	ck_assert(budget.bytes == UINT64_MAX);
	ck_assert_uint_eq(budget.image, 0);
	ck_assert_uint_eq(o.queue_depth, 64);
	ck_assert_uint_eq(o.max_write, MiB);
	/* Enough is no reason to change anything. */
	ck_assert_int_eq(fit(2, 400 * MiB, ""), 0);
	ck_assert_uint_eq(o.queue_depth, 64);
	ck_assert_uint_eq(o.max_write, MiB);
	ck_assert_uint_eq(o.metadata_cache, 0);
	ck_assert_uint_eq(budget.bytes, 200 * MiB);
}
END_TEST

/* What fits is within the bound, for any number of CPUs and any budget. */
START_TEST(always_within)
{
	static const unsigned int queues[] = { 0, 1, 2, 7, 64, 1024, 65535 };
	char text[64];
	uint64_t mib;
	size_t i;

	for (i = 0; i < COUNT(queues); i++) {
		for (mib = 8; mib <= 1 << 14; mib += mib / 3) {
			snprintf(text, sizeof(text), "--memory=%uM",
				 (unsigned int)mib);
			ck_assert_int_eq(fit(queues[i], UINT64_MAX, text), 0);
			ck_assert(budget.said);
			ck_assert_uint_le(budget.requests + budget.image,
					  mib * MiB);
			ck_assert_uint_ge(budget.image, MiB);
			ck_assert_int_eq(fit(queues[i], mib * MiB, ""), 0);
			ck_assert(!budget.said);
		}
	}
}
END_TEST

START_TEST(small)
{
	ck_assert_int_eq(fit(2, 16 * MiB, ""), 0);
	ck_assert_uint_eq(budget.bytes, 8 * MiB);
	ck_assert_uint_eq(o.queue_depth, 16);
	ck_assert_uint_eq(o.max_write, 64 << 10);
	ck_assert_uint_eq(capture_count(""), 0);
	/* Less than there can be: it tries. */
	ck_assert_int_eq(fit(2, 4 * MiB, ""), 0);
	ck_assert_uint_eq(budget.bytes, BUDGET_LEAST);
	ck_assert_uint_eq(capture_count("limit is 4M"), 1);
	/* An option is worth more than the group's limit. */
	ck_assert_int_eq(fit(2, 16 * MiB, "--memory=1G"), 0);
	ck_assert_uint_eq(o.queue_depth, 64);
	ck_assert_uint_eq(o.max_write, MiB);
}
END_TEST

START_TEST(said)
{
	ck_assert_int_eq(fit(2, 16 * MiB, "--queue-depth=64"), 0);
	ck_assert_uint_eq(o.queue_depth, 64);
	ck_assert_int_eq(fit(2, 16 * MiB, "--max-write=256k"), 0);
	ck_assert_uint_eq(o.max_write, 256 << 10);
	ck_assert_int_eq(fit(2, 16 * MiB, "--metadata-cache=1M"), 0);
	ck_assert_uint_eq(o.metadata_cache, MiB);
	ck_assert_uint_eq(capture_count(""), 0);
	ck_assert_int_eq(fit(2, 16 * MiB, "--queue-depth=64 --max-write=1M"),
			 -ENOMEM);
	ck_assert_uint_eq(capture_count("--memory=SIZE"), 1);
	ck_assert_int_eq(fit(2, UINT64_MAX, "--memory=32M --max-write=16M"),
			 -ENOMEM);
	ck_assert_uint_eq(capture_count("--memory: of 32M: --queue-depth=1 and "
					"--max-write=16M take"),
			  1);
	ck_assert_int_eq(fit(2, UINT64_MAX, "--memory=8M --metadata-cache=8M"),
			 -ENOMEM);
	ck_assert_uint_eq(capture_count("--metadata-cache=8M does not fit"), 1);
	/* The CPUs are too many for a ring. */
	ck_assert_int_eq(fit(4096, UINT64_MAX, "--memory=8M"), 0);
	ck_assert_uint_eq(o.io_uring, URING_OFF);
	ck_assert_uint_eq(capture_count("too little for io_uring"), 1);
	ck_assert_int_eq(fit(4096, UINT64_MAX, "--memory=8M --io-uring=on"),
			 -ENOMEM);
}
END_TEST

/* A request by /dev/fuse has a page before its data, whatever a page is. */
START_TEST(large_pages)
{
	static const uint64_t pages[] = { 4096, 16384, 65536 };
	uint64_t mib, data;
	char text[64];
	size_t i;

	for (i = 0; i < COUNT(pages); i++) {
		page = pages[i];
		for (mib = 8; mib <= 64; mib *= 2) {
			snprintf(text, sizeof(text),
				 "--memory=%uM "
				 "--io-uring=off",
				 (unsigned int)mib);
			ck_assert_int_eq(fit(2, UINT64_MAX, text), 0);
			data = (o.max_write + page - 1) / page * page;
			ck_assert_uint_le(o.queue_depth * (page + data),
					  budget.requests);
			ck_assert_uint_le(budget.requests + budget.image,
					  mib * MiB);
		}
	}
}
END_TEST

/* What the kernel would cut is cut, and a line says so if it was asked for. */
START_TEST(larger_than_the_kernels)
{
	max_request = MiB;
	ck_assert_int_eq(fit(2, UINT64_MAX, "--max-write=16M"), 0);
	ck_assert_uint_eq(o.max_write, MiB);
	ck_assert_uint_eq(
		capture_count("--max-write=16M: the kernel's limit is "
			      "1M (as root: sysctl "
			      "fs.fuse.max_pages_limit=4096)"),
		1);
	ck_assert_int_eq(fit(2, UINT64_MAX, "--max-write=16M --memory=1G"), 0);
	ck_assert_uint_eq(o.max_write, MiB);
	ck_assert_uint_eq(capture_count(""), 2);
	ck_assert_int_eq(fit(2, UINT64_MAX, "--max-write=1M"), 0);
	max_request = MiB / 2;
	ck_assert_int_eq(fit(2, UINT64_MAX, ""), 0);
	ck_assert_uint_eq(o.max_write, MiB / 2);
	ck_assert_uint_eq(capture_count(""), 2);
}
END_TEST

START_TEST(text)
{
	char out[24];

	ck_assert_str_eq(budget_text(0, out, sizeof(out)), "0");
	ck_assert_str_eq(budget_text(4097, out, sizeof(out)), "4097");
	ck_assert_str_eq(budget_text(8 * MiB, out, sizeof(out)), "8M");
	ck_assert_str_eq(budget_text(1000 << 10, out, sizeof(out)), "1000k");
	ck_assert_str_eq(budget_text(1ull << 63, out, sizeof(out)), "8E");
}
END_TEST

Suite *suite_budget(void)
{
	TCase *tc;
	Suite *s = suite_of("budget", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_groups);
	tcase_add_test(tc, version_2);
	tcase_add_test(tc, container);
	tcase_add_test(tc, version_1);
	tcase_add_test(tc, cpu_time);
	tcase_add_test(tc, cpu_time_of_version_1);
	tcase_add_test(tc, unbounded);
	tcase_add_test(tc, always_within);
	tcase_add_test(tc, small);
	tcase_add_test(tc, said);
	tcase_add_test(tc, large_pages);
	tcase_add_test(tc, larger_than_the_kernels);
	tcase_add_test(tc, text);
	return s;
}

/* What this machine has: CPUs, limits, and why not more. */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/machine.h"

/* The first line of a file of /proc or /sys; false if there is none. */
static int read_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "re");
	int ok = f && fgets(line, size, f);

	if (f)
		fclose(f);
	return ok;
}

unsigned int machine_parse_cpus(const char *list)
{
	unsigned int highest = 0;
	char *end;

	for (;;) {
		unsigned long cpu = strtoul(list, &end, 10);

		if (end == list || cpu >= UINT16_MAX)
			return 0;
		if (cpu + 1 > highest)
			highest = (unsigned int)cpu + 1;
		if (*end != '-' && *end != ',')
			return *end && *end != '\n' ? 0 : highest;
		list = end + 1;
	}
}

unsigned int machine_possible_cpus(void)
{
	char line[4096];

	if (!read_line("/sys/devices/system/cpu/possible", line, sizeof(line)))
		return 0;
	return machine_parse_cpus(line);
}

unsigned long machine_max_request(void)
{
	unsigned long pages = 256; /* before the limit could be set */
	char line[64];

	if (read_line("/proc/sys/fs/fuse/max_pages_limit", line, sizeof(line)))
		pages = strtoul(line, NULL, 10);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

bool machine_initial_userns(void)
{
	unsigned long inside = 1, outside = 1, count = 0;
	char line[64];

	return !read_line("/proc/self/uid_map", line, sizeof(line)) ||
	       (sscanf(line, "%lu %lu %lu", &inside, &outside, &count) == 3 &&
		!inside && !outside && count == UINT32_MAX);
}

const char *machine_why_no_io_uring(int err, const char **command)
{
	char line[16];

	*command = NULL;
	if (err == ENOSYS)
		return "io_uring_setup: not implemented: a kernel without "
		       "io_uring, or a seccomp filter that hides it (allow "
		       "io_uring_setup, io_uring_enter, io_uring_register)";
	if (err == ENOMEM) {
		*command = "ulimit -l unlimited";
		return "io_uring_setup: out of locked memory";
	}
	if (err != EPERM && err != EACCES)
		return "io_uring_setup failed";
	if (read_line("/proc/sys/kernel/io_uring_disabled", line,
		      sizeof(line)) &&
	    *line != '0') {
		*command = "sysctl kernel.io_uring_disabled=0";
		return "io_uring_setup: not permitted: "
		       "kernel.io_uring_disabled is set";
	}
	return "io_uring_setup: not permitted: a seccomp filter denies it "
	       "(allow io_uring_setup, io_uring_enter, io_uring_register)";
}

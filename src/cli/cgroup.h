/* The memory and CPU time that the control groups of this process leave it. */
#ifndef RAWFUSE_CLI_CGROUP_H
#define RAWFUSE_CLI_CGROUP_H

#include <stdint.h>

/*
 * The least limit, in bytes, of the process's control group and those above
 * it, as far as they can be seen, of versions 1 and 2; UINT64_MAX if there is
 * none. All files are looked for below @root ("" outside of tests).
 */
uint64_t cgroup_memory_limit(const char *root);

/* The same for CPU time, in thousandths of a CPU. */
uint64_t cgroup_cpu_limit(const char *root);

#endif

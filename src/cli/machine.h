/* What this machine has. */
#ifndef RAWFUSE_CLI_MACHINE_H
#define RAWFUSE_CLI_MACHINE_H

#include <stdbool.h>

/*
 * The number of possible CPUs (/sys/devices/system/cpu/possible): the kernel
 * has one FUSE queue for each. 0 if sysfs does not tell; a guess too low would
 * leave every request without a queue to go by.
 */
unsigned int machine_possible_cpus(void);

/* The number behind "0-3,8-11": the highest plus one; 0 if it is not one. */
unsigned int machine_parse_cpus(const char *list);

/* The bytes of the largest FUSE request the kernel allows. */
unsigned long machine_max_request(void);

/* False in a user namespace of its own, as rootless containers have. */
bool machine_initial_userns(void);

/*
 * Why io_uring_setup() failed with @err (positive): one clause for a message.
 * @command is what root can do about it, for a shell, or NULL.
 */
const char *machine_why_no_io_uring(int err, const char **command);

#endif

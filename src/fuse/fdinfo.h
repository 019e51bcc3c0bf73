/* /proc/PID/fdinfo: which connection an opened /dev/fuse is of (Linux 6.17). */
#ifndef RAWFUSE_FUSE_FDINFO_H
#define RAWFUSE_FUSE_FDINFO_H

#include <stdbool.h>
#include <sys/types.h>

/* The connection of @fd, as in /sys/fs/fuse/connections; 0 if not known. */
unsigned int fdinfo_connection(int fd);

/*
 * A process that has @connection open; 0 if there is none that can be seen.
 * Looks at the descriptors of all processes, so not for the request path.
 */
pid_t fdinfo_server(unsigned int connection);

/* Has the process @pid the same file open as @fd? */
bool fdinfo_shares(pid_t pid, int fd);

#endif

/* Into the background, but not before the file can be used. */
#ifndef RAWFUSE_CLI_DAEMON_H
#define RAWFUSE_CLI_DAEMON_H

/*
 * Forks. In the child it returns a descriptor for daemon_ready(), or -1 on
 * error (logged). The parent does not return: it exits 0 when the child says
 * that it is ready, else with the child's status.
 */
int daemon_fork(void);

/* The file can be used: lets the parent go and the terminal with it. */
void daemon_ready(int fd);

#endif

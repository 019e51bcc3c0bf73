/* Into the background. */
#ifndef RAWFUSE_CLI_DAEMON_H
#define RAWFUSE_CLI_DAEMON_H

#include <stdbool.h>

struct notify;

/* First of all: notes what the caller left open, for daemon_ready(). */
void daemon_note_files(void);

/*
 * Takes over @fd, which the caller had left open beside the standard files. False
 * if it had not.
 */
bool daemon_own_file(int fd);

/* Did the caller have @signum ignored, as nohup(1) does? Before it is caught. */
bool daemon_is_ignored(int signum);

/*
 * Returns in a child process, with the descriptor for daemon_ready(), or -1
 * (logged). The parent exits with status 0 once the child is ready, else as
 * the child does; a signal that ends it ends both. The parent tells @n, before
 * it goes, that the child is the process to be looked at.
 */
int daemon_fork(struct notify *n);

/* The file can be used: asks the parent to go. False if it is not there. */
bool daemon_ready(int fd);

/*
 * @fd can be read: lets the terminal go, and what the caller had open, and
 * closes @fd. False if the parent has been killed before: the start has failed.
 */
bool daemon_go(int fd);

#endif

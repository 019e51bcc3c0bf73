/* Where the lines of the log go; for log.c and the loop. */
#ifndef RAWFUSE_LOOP_LOG_TARGET_H
#define RAWFUSE_LOOP_LOG_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Shows @text, cut to the width of a terminal, in its last line until another
 * one or NULL comes. Where stderr is no terminal, or has no such log: nothing.
 */
void log_target_progress(const char *text);

/* @text, one line without its end, at a priority of syslog(3). */
void log_target_put(int priority, const char *text);

/*
 * A regular file may make its writer wait. So while the loop runs (@on) lines
 * for one are kept, and the loop writes them: log_target_next() tells what, and
 * log_target_done() ends it, with bytes or -errno. False: there is nothing, or
 * it is being written.
 */
void log_target_by_loop(bool on);
bool log_target_next(int *fd, const char **bytes, size_t *len);
void log_target_done(int result);

/* Whether such a write is under way. */
bool log_target_flies(void);

/* True while lines wait for a pipe or terminal that is full; tries again. */
bool log_target_stuck(void);

#endif

/*
 * The files that tell of an export: the one of --pidfile, and one that is
 * found by the mountpoint. There once it can be used; gone when all has ended
 * well; else they say how it ended.
 */
#ifndef RAWFUSE_CLI_PIDFILE_H
#define RAWFUSE_CLI_PIDFILE_H

/* May @path become one? 0, or -errno (logged). Before the mount. */
int pidfile_check(const char *path);

/* Writes the process ID and a newline, all at once; 0 or -errno (logged). */
int pidfile_write(const char *path);

/* The one for the mountpoint @path (absolute), as far as that is possible. */
void pidfile_write_record(const char *path);

/* The mount is gone: another export may take the name. */
void pidfile_ending(void);

/* All is over, with exit status @status, which @why explains if it is not 0. */
void pidfile_end(int status, const char *why);

/*
 * --wait: waits until the export of the pidfile or mountpoint @path has ended,
 * however; returns its exit status, or 1 if it was killed (logged).
 */
int pidfile_wait(const char *path);

#endif

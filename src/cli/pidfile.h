/* The pidfile: there once the export can be used, gone when all is over. */
#ifndef RAWFUSE_CLI_PIDFILE_H
#define RAWFUSE_CLI_PIDFILE_H

/* May @path become one? 0, or -errno (logged). Before the mount. */
int pidfile_check(const char *path);

/* Writes the process ID and a newline, all at once; 0 or -errno (logged). */
int pidfile_write(const char *path);

/* Removes it, if it was written and is still ours. */
void pidfile_remove(void);

#endif

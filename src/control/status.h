/* --status: is the export well, and what does it do? */
#ifndef RAWFUSE_CONTROL_STATUS_H
#define RAWFUSE_CONTROL_STATUS_H

#include <stdbool.h>

#define STATUS_NONE 3 /* the exit status: nothing is exported there */

/*
 * Tells how the export at the mountpoint @path is, as @json or for people.
 * Returns the exit status: 0 healthy, 1 not, STATUS_NONE.
 */
int status_run(const char *path, bool json);

#endif

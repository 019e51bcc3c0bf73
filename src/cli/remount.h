/* mount -o remount, by way of mount(8). */
#ifndef RAWFUSE_CLI_REMOUNT_H
#define RAWFUSE_CLI_REMOUNT_H

#include "cli/options.h"

/* Changes the flags of the mount at @o->mountpoint; 0, or 1 (logged). */
int remount_run(const struct options *o);

#endif

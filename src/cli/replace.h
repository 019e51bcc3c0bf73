/* --replace: the mountpoint is freed of an earlier export. */
#ifndef RAWFUSE_CLI_REPLACE_H
#define RAWFUSE_CLI_REPLACE_H

#include "cli/options.h"

enum replace { REPLACE_DEAD, REPLACE_LIVE };

/*
 * Detaches what is dead at the mountpoint, waits for an export that has been
 * unmounted and still flushes, and with REPLACE_LIVE has one that is served
 * end. Returns 0, or EXIT_FAILURE (logged) if one is served and stays. May
 * wait.
 */
int replace_run(const struct options *o);

#endif

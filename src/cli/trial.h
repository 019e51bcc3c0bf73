/* --probe: a mount for trial. */
#ifndef RAWFUSE_CLI_TRIAL_H
#define RAWFUSE_CLI_TRIAL_H

#include <stdbool.h>

#include "fuse/abi.h"

struct trial {
	bool mounted; /* it worked, and has been undone */
	bool by_helper; /* by fusermount3 */
	bool has_init; /* the kernel's INIT was read */
	struct fuse_init_in init;
	char why[256]; /* it did not */
};

/*
 * Mounts, on a new file in a new directory, the way an export does, reads
 * INIT, unmounts, removes. Where that is permitted in a mount namespace that
 * nobody else sees.
 */
void trial_run(struct trial *t);

#endif

/* The insides of the raw driver: raw_open.c finds out what the file is, raw.c does its I/O. */
#ifndef RAWFUSE_BLOCK_RAW_H
#define RAWFUSE_BLOCK_RAW_H

#include "block/block.h"

struct raw {
	struct block *block;
	int host_fd, direct_fd; /* direct_fd: -1 without */
	int host_slot, direct_slot;
	uint32_t dio_align; /* of offset and length, for direct I/O */
	uint32_t sector; /* block devices: the logical block; files: 1 */
	bool device;
	bool nowait; /* RWF_NOWAIT is understood */
	struct log_limit too_short; /* lines about that */
};

/* Opens b->opt.path into b->state; one line and -errno if it cannot be. */
int raw_open(struct block *b);

/* Gives up the files and locks; nothing is in flight. */
void raw_free(struct raw *raw);

#endif

/* The drivers that block.c chooses from. */
#ifndef RAWFUSE_BLOCK_DRIVERS_H
#define RAWFUSE_BLOCK_DRIVERS_H

#include "block/block.h"

extern const struct block_driver block_raw;
extern const struct block_driver block_null;
extern const struct block_driver block_qcow2;

#endif

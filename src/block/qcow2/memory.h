/* What an image takes of memory; see memory.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_MEMORY_H
#define RAWFUSE_BLOCK_QCOW2_MEMORY_H

#include <stdint.h>

#define QCOW2_L2_CACHE (256u << 10) /* bytes, if nothing is said */
#define QCOW2_REFCOUNT_CACHE (64u << 10)

struct qcow2;

/* Is there enough? Before a table is read; one line, -errno. */
int qcow2_check_memory(const struct qcow2 *q);
/* Bytes of L1 tables, and of all that is kept, with the images above it. */
uint64_t qcow2_l1_bytes(const struct qcow2 *q);
uint64_t qcow2_memory(const struct qcow2 *q);
/* Bytes that may be used for a while, as by a repair; UINT64_MAX: no bound. */
uint64_t qcow2_memory_left(const struct qcow2 *q);

#endif

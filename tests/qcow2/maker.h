/* Minimal qcow2 images, written byte by byte, for memdisk: hostile ones. */
#ifndef RAWFUSE_TESTS_MAKER_H
#define RAWFUSE_TESTS_MAKER_H

#include <stdint.h>

#include "memdisk.h"

#define MAKER_COPIED (1ULL << 63)

/*
 * Header, refcount table, one refcount block, an L1 table; what comes behind
 * is the case's. Refcounts have 16 bits.
 */
struct maker {
	struct memfile *file;
	uint32_t bits, cluster; /* log2 of a cluster, and its bytes */
	uint64_t l1; /* where it is */
	uint64_t first; /* behind it: the first byte that is free */
};

/* Begins "img" with a disk of @size bytes and @l1_size L1 entries. */
struct maker maker_begin(uint32_t cluster_bits, uint64_t size,
			 uint32_t l1_size, uint64_t incompatible);
/* Raises the refcounts of the first @n clusters to 1; makes the file so long. */
void maker_end(struct maker *m, uint64_t n);

void maker_put32(const struct maker *m, uint64_t at, uint32_t value);
void maker_put64(const struct maker *m, uint64_t at, uint64_t value);

#endif

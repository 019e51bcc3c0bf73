/* What the fuzz targets share: files in memory, requests with a limit. */
#ifndef RAWFUSE_TESTS_FUZZ_H
#define RAWFUSE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "block/block.h"

#define FUZZ_BATCH 8 /* requests in flight */
#define FUZZ_MAX_LEN 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_request {
	enum block_type type;
	unsigned int flags;
	uint64_t offset, length;
};

/* The image's path; its name is fuzz.img. */
const char *fuzz_image(void);

/*
 * Puts the image and the files it may name into memory and opens it; NULL if
 * the driver refuses.
 */
struct block *fuzz_open(const uint8_t *image, size_t size, uint64_t seed,
			uint64_t cache);

/* Runs some requests beside one another; aborts if one hangs. */
void fuzz_run(struct block *b, const struct fuzz_request *list, unsigned int n);

#endif

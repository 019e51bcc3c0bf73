/* An image file for tests of the raw driver: without a name, soon gone. */
#ifndef UNIT_IMAGE_H
#define UNIT_IMAGE_H

#include "block/block.h"

/* How it is opened; a loop test's index. */
enum image_mode {
	IMAGE_EMULATED_HOST,
	IMAGE_EMULATED_DIRECT,
	IMAGE_RING_HOST,
	IMAGE_RING_DIRECT,
	IMAGE_MODES
};

/* Makes a file of @size bytes with image_byte() at each; returns it. */
int image_make(uint64_t size);
uint8_t image_byte(uint64_t offset);

/* The name under which it can be opened. */
const char *image_path(void);

/* Opens it as node.block; false: this machine does not offer that. */
bool image_open(enum image_mode mode, bool growable);

/* Does the file hold @len bytes of @want at @offset? */
void image_check(const void *want, uint64_t len, uint64_t offset);
uint64_t image_size(void);

/* Closes node.block, if open, and the file. */
void image_done(void);

#endif

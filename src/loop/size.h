/* Sizes as people write them. */
#ifndef RAWFUSE_LOOP_SIZE_H
#define RAWFUSE_LOOP_SIZE_H

#include <stdint.h>

/*
 * Reads a size in bytes: digits and an optional suffix k, M, G, T, P, E
 * (powers of 1024; either case). Returns 0, -EINVAL or -ERANGE.
 */
int size_parse(const char *text, uint64_t *bytes);

/*
 * The other way: @bytes by the largest suffix that tells them exactly, into
 * @text of SIZE_TEXT bytes. Returns @text.
 */
#define SIZE_TEXT 24
char *size_print(char *text, uint64_t bytes);

#endif

/*
 * System calls that fail on demand. The linker puts __wrap_X() in the place
 * of X() in the tests and the program's library (-Wl,--wrap, local.mk).
 */
#ifndef UNIT_WRAP_H
#define UNIT_WRAP_H

#include <stddef.h>

enum wrap_call {
	WRAP_READ,
	WRAP_WRITEV,
	WRAP_PREAD,
	WRAP_PREADV2,
	WRAP_PWRITE,
	WRAP_FSYNC,
	WRAP_FDATASYNC,
	WRAP_FALLOCATE,
	WRAP_FTRUNCATE,
	WRAP_CALLS
};

/* The next @times calls fail with @err. */
void wrap_fail(enum wrap_call call, unsigned int times, int err);

/* The next @times calls move @most bytes at most (not for WRITEV). */
void wrap_short(enum wrap_call call, unsigned int times, size_t most);

/* How often it was called, since wrap_reset(). */
unsigned int wrap_count(enum wrap_call call);

/* The flags or mode of the last PREADV2 or FALLOCATE. */
int wrap_flags(enum wrap_call call);

/*
 * Pages of @size bytes from now on (a power of two; 0: the system's), for
 * sysconf(), mmap() and madvise().
 */
void wrap_page(size_t size);

/* Forgets all rules and counts. */
void wrap_reset(void);

#endif

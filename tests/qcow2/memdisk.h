/*
 * A stand-in for the raw driver: files in memory. Requests to it complete in
 * a seeded random order; every modification and flush goes into a journal if
 * one is set; the I/O with a given number can be made to fail. A request whose
 * bytes are in a slot (unseen.h) gets them from there, or bounces as direct I/O
 * may: from its beginning or from its middle.
 *
 * The clock (memdisk.now) ticks at every submission and completion, so that
 * things in the journal and things above the driver can be put in order.
 */
#ifndef RAWFUSE_TESTS_MEMDISK_H
#define RAWFUSE_TESTS_MEMDISK_H

#include "block/block.h"
#include "rng.h"

#define MEMDISK_FILES 32

struct journal;

struct memfile {
	char *path;
	unsigned int index;
	uint8_t *data;
	uint64_t size, room; /* bytes; those behind size are zero */
	unsigned int opened;
};

struct memdisk {
	struct memfile files[MEMDISK_FILES];
	unsigned int count;
	bool no_host; /* files that were not added do not exist */
	bool in_order; /* complete in the order of submission */
	bool devices; /* files keep their size, as block devices do */
	uint64_t max_size; /* of a file; 0: 1 GiB */
	uint64_t now;
	struct rng rng;
	struct journal *journal;
	bool lie; /* flushes do nothing: a test of the crash test */
	/* Failures: I/Os are counted from 1; 0: none. */
	uint64_t ios, fail_at, fail_count;
	int fail_with; /* errno; 0: a short write */
	bool spare_reads; /* that is, those do not fail */
	uint64_t failed;
	uint64_t outside; /* writes behind max_size */
	uint64_t bounced;
	/* Sees each request before it is carried out; may be NULL. */
	void (*watch)(struct memfile *f, const struct block_req *req);
};

extern struct memdisk memdisk;

/* Counts an I/O that is not the driver's own: shall it fail (with @error)? */
bool memdisk_fails(int *error);

/* Takes the place of the raw driver, for good. */
void memdisk_install(void);

/* Forgets all files, the journal and the failures. */
void memdisk_reset(uint64_t seed);

/* Adds a file with a copy of @data, or replaces what is in it. */
struct memfile *memdisk_put(const char *path, const void *data, uint64_t size);
/* Finds a file, from the host if need be; NULL if there is none. */
struct memfile *memdisk_get(const char *path);

/* Also used to rebuild: changes without a request. */
void memfile_write(struct memfile *f, const void *buf, uint64_t len,
		   uint64_t offset);
void memfile_zero(struct memfile *f, uint64_t len, uint64_t offset);
void memfile_truncate(struct memfile *f, uint64_t size);

#endif

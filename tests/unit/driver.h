/*
 * A block driver for tests, in the place of the null driver: storage in
 * memory, completions at once or when the test says so. The bytes of an unseen
 * request go straight to and from its slot (slots.h), or the request bounces.
 */
#ifndef UNIT_DRIVER_H
#define UNIT_DRIVER_H

#include "block/block.h"

#define DRIVER_MOST 128 /* requests held, and starts remembered */
#define DRIVER_PATH "null:"

struct driver {
	/* Set these before opening: */
	uint64_t size;
	uint32_t granule, buf_align;
	int open_error, close_error;
	/* And these at any time: */
	bool hold; /* requests wait for driver_finish() */
	bool forced[BLOCK_TYPES]; /* requests of a type end with: */
	int64_t result[BLOCK_TYPES];
	unsigned int writebacks; /* so many more find something to do */
	unsigned int asked; /* for a writeback, so often */
	void (*closing)(struct block *b); /* within its close; may be NULL */
	bool no_blocks; /* STAT finds none */
	bool bounce; /* unseen bytes are worked on, from here on: */
	uint64_t bounce_from;
	/* What happened: */
	struct block_req *held[DRIVER_MOST]; /* oldest first */
	unsigned int held_n;
	struct block_req *started[DRIVER_MOST]; /* the first ones */
	unsigned int started_n;
	enum block_type last_type;
	unsigned int last_flags;
	uint64_t last_offset, last_length;
	unsigned int not_bounced; /* bounces that failed */
	unsigned int closed;
	uint8_t *mem; /* mem_size bytes; what lies behind is not kept */
	size_t mem_size;
};

extern struct driver driver;

/* Installs it with 1 MiB, all zeros, completing at once. */
void driver_install(void);
void driver_remove(void);

/* Ends a held request as the storage does, or with @result. */
void driver_finish(unsigned int i);
void driver_finish_with(unsigned int i, int64_t result);

/* Where @req stands among those held; -1: not there. */
int driver_find(const struct block_req *req);

/* Ends what is held, oldest first, also what that starts. */
void driver_finish_all(void);

/* What STAT reports. */
#define DRIVER_BLOCKS 77
#define DRIVER_ATIME 1001
#define DRIVER_MTIME 1002
#define DRIVER_CTIME 1003

#endif

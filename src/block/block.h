/*
 * The block layer: the one interface between what is exported and what
 * stores it. A struct block is one open node (a raw file, a null device, a
 * format on top of another node); a struct block_req is one request to it.
 *
 * The rules of a request:
 * - block_submit() takes it; it completes exactly once, by done(), with a
 *   result or -errno, and never before block_submit() returns.
 * - The caller keeps the request and its buffer alive and untouched until
 *   then. Nothing is allocated for it.
 * - Drivers see only requests that are in range and permitted, and complete
 *   them with block_complete().
 */
#ifndef RAWFUSE_BLOCK_BLOCK_H
#define RAWFUSE_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/log.h"
#include "loop/op.h"
#include "loop/uring.h"

enum block_type {
	BLOCK_READ, /* length bytes into buf; short only at the end */
	BLOCK_WRITE, /* length bytes from buf */
	BLOCK_FLUSH, /* what completed before is stable afterwards */
	BLOCK_DISCARD, /* gives storage back; reads as zeros afterwards */
	BLOCK_ZERO, /* reads as zeros afterwards, storage kept */
	/*
	 * Storage is reserved, contents stay. Where the image may grow, also
	 * past the end; with BLOCK_KEEP_SIZE only if the driver can.
	 */
	BLOCK_ALLOCATE,
	/*
	 * result: first data, or hole, at or after offset; -ENXIO. A length
	 * other than 0 is how far the question goes: an answer past it may be
	 * any such place.
	 */
	BLOCK_SEEK_DATA,
	BLOCK_SEEK_HOLE,
	BLOCK_TRUNCATE, /* length becomes the size; runs alone */
	BLOCK_STAT, /* buf is a struct statx: times; stx_blocks of all files */
	BLOCK_TYPES
};

enum block_flags {
	BLOCK_FULL_SYNC = 1 << 0, /* FLUSH: metadata such as times, too */
	BLOCK_KEEP_SIZE = 1 << 1, /* ALLOCATE, ZERO: never grow */
};

enum block_cache { BLOCK_CACHE_AUTO, BLOCK_CACHE_DIRECT, BLOCK_CACHE_HOST };

struct block;
struct block_counters;
struct named_dir;

struct block_req {
	/* The caller's: */
	enum block_type type;
	unsigned int flags; /* enum block_flags */
	uint64_t offset;
	uint64_t length;
	void *buf;
	/*
	 * READ and WRITE: 0, or 1 + the index of the registered buffer that
	 * buf lies in. With unseen, buf is an offset into that buffer, whose
	 * bytes nobody here can look at; block_bounce() helps who must.
	 */
	uint16_t fixed;
	bool unseen;
	bool cancelled; /* as by block_cancel() */
	/* The request to a node above that this one serves; or NULL. */
	const struct block_req *part_of;
	int64_t result; /* bytes, or what the type says; or -errno */
	void (*done)(struct block_req *req);
	void *user; /* for done() */

	/* block.c's: */
	struct block *block;
	struct block_req *prev, *next; /* waiting */
	uint64_t write_seq, written;
	struct bounce_area *area; /* in the place of unseen bytes */
	uint64_t bounce_from;
	void (*bounced)(struct block_req *req, int error);

	/* The driver's, between submit and block_complete(): */
	struct op op;
	uint64_t moved; /* progress; 0 at submit */
	void *scratch; /* NULL at submit */
};

struct block_driver {
	const char *name;
	bool past_end; /* can hold storage past the end */
	/* May set in @b: size, granules, buf_align, direct. Logs one line on error; -errno. */
	int (*open)(struct block *b);
	/* Takes one request; it ends in block_complete(), not before return. */
	void (*submit)(struct block *b, struct block_req *req);
	/*
	 * Begins to bring to the image, in the background, what is known of
	 * answered requests in memory only, and to give back what they let go.
	 * False: there is no such, or it cannot be. May be NULL.
	 */
	bool (*writeback)(struct block *b);
	/* b->stopping has been set, for the nodes below. May be NULL. */
	void (*stop)(struct block *b);
	/* Bytes that it can grow by; false: unknown. May be NULL. */
	bool (*room)(struct block *b, uint64_t *bytes);
	/* Adds its own, and those of the nodes below. May be NULL. */
	void (*count)(const struct block *b, struct block_counters *c);
	/* Of a regular file that is the whole image; or -1. May be NULL. */
	int (*backing_fd)(struct block *b);
	/* Logs which other files the image uses. May be NULL. */
	void (*tell_files)(const struct block *b);
	/*
	 * Nothing is in flight. Frees all; returns 0 or -errno if something
	 * could not be made stable.
	 */
	int (*close)(struct block *b);
};

/* An image and those above it, for the open of its backing file. */
struct block_chain {
	const struct block_chain *above;
	uint64_t device, inode;
	uint64_t table_bytes; /* of memory, for it and those above */
	uint64_t bytes; /* the same, of tables, caches and buffers */
};

struct block_options {
	const char *path; /* of the image; or "null:size=N" */
	const char *format; /* "auto", or a driver's name */
	bool read_only;
	bool growable; /* a write past the end extends */
	bool no_lock;
	enum block_cache cache;
	/* qcow2: */
	const char *snapshot; /* name or ID to export; NULL: the active disk */
	const char *backing_format; /* where the image records none; or NULL */
	bool no_backing; /* refuse images that refer to another file */
	bool untrusted; /* and what is not plain */
	const struct named_dir *allowed; /* where other files may be; or NULL */
	bool named; /* by an image: path is what it said */
	uint64_t metadata_cache; /* bytes; 0: the default */
	bool few_pages; /* the host's page cache has next to no room for it */
	uint64_t memory; /* bytes for all nodes' tables; 0: the default */
	/* A modification is answered when all that finds it is stable. */
	bool write_through;
	bool probed; /* the format was guessed, not said: trust less */
	const struct block_chain *chain; /* only while it opens */
	struct bounce *bounce; /* the caller's; NULL: no request is unseen */
	bool below; /* another node is its caller: a WRITE is whole or fails */
};

struct block_list {
	struct block_req *first, *last;
};

struct block_stats {
	uint64_t requests[BLOCK_TYPES];
	uint64_t waited; /* had to wait for another one */
};

/* What a format keeps in memory of its image. */
struct block_counters {
	bool metadata; /* it keeps some: */
	uint64_t hits, misses; /* looks at it: it was there, was read */
	uint64_t dirty; /* bytes of it that the image has not yet */
	bool corrupt; /* it is damaged: writes are refused, for good */
};

#define BLOCK_FAULT_EFFECTS 3
#define BLOCK_FAULT_CAUSES 3

struct block {
	const struct block_driver *driver;
	void *state; /* the driver's */
	struct uring *uring;
	struct block_options opt; /* the strings are the caller's */
	uint64_t size; /* bytes */
	/*
	 * A WRITE that is not aligned to granule, or a DISCARD, ZERO or
	 * ALLOCATE to hole_granule (bytes), runs beside no other modification;
	 * 0: all may run beside one another.
	 */
	uint32_t granule, hole_granule;
	uint32_t buf_align; /* of a buffer that counts as aligned */
	bool direct; /* O_DIRECT is in use */
	bool lent; /* the kernel has the file, too, and its locks with it */
	bool flush_failed; /* block_close() will say so */
	/* fault.c's: reading, changing, flushing. */
	struct log_limit faults[BLOCK_FAULT_EFFECTS][BLOCK_FAULT_CAUSES];
	bool lost; /* what was written is gone: no flush succeeds any more */
	void (*modified)(void *arg); /* block_on_modified()'s */
	void *modified_arg;

	/* block.c's: */
	unsigned int in_flight;
	unsigned int modifying; /* of these, where there is a granule */
	bool alone; /* the one that modifies is not aligned */
	bool exclusive; /* a TRUNCATE runs */
	bool stopping; /* work of many steps may end with -ESHUTDOWN */
	bool closing; /* nothing goes to the driver but the last flush */
	bool flushed_last; /* that is over, and ended in: */
	int last_result;
	struct block_req *last_flush;
	struct block_list waiting, waiting_last; /* the latter for that flush */
	uint64_t write_seq, flushed_seq, synced_seq;
	uint64_t written, flushed; /* bytes, by WRITE */
	struct block_stats stats;
};

/*
 * Opens an image. May wait. Logs one line and returns NULL on error. The
 * strings of @opt must outlive the block.
 */
struct block *block_open(struct uring *u, const struct block_options *opt);

/* Ends what is in flight, flushes, closes, frees. May wait. Returns 0, or -errno if data is lost. */
int block_close(struct block *b);

/* For block_close(): its flush, the last one, has ended in @result. */
void block_flushed_last(struct block *b, int result);

/*
 * What answered requests have left in memory goes to the image, in the
 * background. True: there is such; to be called again later.
 */
bool block_writeback(struct block *b);

/*
 * @modified is called when a modification is over, if there may be something
 * for block_writeback() then; NULL: no more.
 */
void block_on_modified(struct block *b, void (*modified)(void *arg), void *arg);

/*
 * Nobody waits for answers any more: a DISCARD, ZERO, ALLOCATE, TRUNCATE or
 * SEEK that would take long ends soon, maybe with a part of its work done.
 */
void block_stop(struct block *b);

/*
 * The caller of @req, which was submitted or will be, waits no more: a DISCARD,
 * ZERO, ALLOCATE or TRUNCATE ends soon, with -EINTR and maybe with a part of its
 * work done; a SEEK ends soon.
 */
void block_cancel(struct block_req *req);

/* For drivers: is @req cancelled, or what it is part of? */
bool block_is_cancelled(const struct block_req *req);

/* Submits; see the rules above. */
void block_submit(struct block *b, struct block_req *req);

/* For drivers: the request is over with @result. */
void block_complete(struct block_req *req, int64_t result);

/*
 * For drivers: the bytes of @req, which is unseen, are to be worked on, from
 * byte @from of it on. Never before return, @ready is called with an error, or
 * with 0 and a buffer: req->buf is then the address of byte 0, and a WRITE's
 * bytes are there. A READ's are copied to where they belong when it completes.
 */
void block_bounce(struct block_req *req, uint64_t from,
		  void (*ready)(struct block_req *req, int error));

/*
 * Unseen requests of up to @size bytes will come; 0, or -errno if they must
 * not.
 */
int block_allow_unseen(struct block *b, size_t size);

/*
 * What was said to be written is lost, by @error: tells so, once. No flush
 * succeeds any more, nor does block_close().
 */
void block_lose(struct block *b, int error);

/* Gives back memory that is not in use. */
void block_trim(struct block *b);

/*
 * Submits and waits; for open and close only, when no loop runs. Returns the
 * result. block_pread() and block_pwrite() are all or -errno (a short read
 * is -EIO).
 */
int64_t block_run(struct block *b, struct block_req *req);
int block_pread(struct block *b, void *buf, uint64_t len, uint64_t offset);
int block_pwrite(struct block *b, const void *buf, uint64_t len,
		 uint64_t offset);

/* Bytes that were written and that no flush has covered. */
static inline uint64_t block_unflushed(const struct block *b)
{
	return b->written - b->flushed;
}

/* What it keeps in memory: fills @c in. */
void block_count(const struct block *b, struct block_counters *c);

/* How many bytes its file system has for it to grow; false: unknown. */
bool block_room(struct block *b, uint64_t *bytes);

/* The descriptor of a regular file that is the whole image; or -1. */
int block_backing_fd(struct block *b);

/* Logs which other files the image uses, and those use. */
void block_tell_files(const struct block *b);

/*
 * The image may have been written behind the back of the block layer: takes
 * its size anew, and no earlier flush counts.
 */
void block_behind(struct block *b);

/*
 * For tests: puts @driver in the place of the one called @name, whose name it
 * must carry, and returns that one.
 */
const struct block_driver *block_substitute(const char *name,
					    const struct block_driver *driver);

/* The name of a type, for messages. */
const char *block_type_name(enum block_type type);

#endif

/* Where the payloads of ring requests are: each entry's own, or pools. */
#ifndef RAWFUSE_FUSE_PAYLOAD_H
#define RAWFUSE_FUSE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_config;
struct uring;

enum payload_mode {
	PAYLOAD_ENTRY, /* each entry has one */
	PAYLOAD_POOL, /* a queue's entries share a pool */
	PAYLOAD_FIXED_POOL, /* the pools are registered with the ring */
};

struct payload {
	enum payload_mode mode;
	bool zero_copy; /* the data of READ and WRITE needs none */
	const char *why; /* it is not a better mode; NULL: it is the best */
	unsigned int queues, depth;
	size_t size; /* bytes of one payload */
	size_t pool; /* bytes of a queue's pool, a multiple of size */
	uint8_t *memory; /* of all entries' own; pools use its beginning */
	unsigned int table; /* registered buffers the ring has room for */
};

/* Maps memory, and begins as PAYLOAD_ENTRY. Returns 0 or -errno. */
int payload_init(struct payload *p, const struct session_config *cfg);
void payload_exit(struct payload *p);

/*
 * What to try, if the kernel has pools: PAYLOAD_POOL, and zero-copy where
 * there is a table of buffers for it and @zero_copy may work at all.
 */
void payload_choose(struct payload *p, const struct session_config *cfg,
		    struct uring *u, bool kernel_has_pools);

/* Pools are to be added: registers them, if that is worth its memory. */
void payload_fix(struct payload *p, const struct session_config *cfg,
		 struct uring *u);

/* Steps back, for the reason @why (a string that lives on). */
void payload_no_zero_copy(struct payload *p, const char *why);
void payload_no_pool(struct payload *p, const char *why);

/* The buffer of entry @i of all, or the pool of queue @qid. */
uint8_t *payload_entry(const struct payload *p, unsigned int i);
uint8_t *payload_pool(const struct payload *p, unsigned int qid);

/* No request is in a pool: gives their memory back. */
void payload_trim(const struct payload *p);

/* For uring_cmd(): 0, or 1 + the index of the pools' registered buffer. */
unsigned int payload_fixed(const struct payload *p);

/* "entry", "pool" or "registered-pool", the latter two behind "zero-copy,". */
const char *payload_name(const struct payload *p);

#endif

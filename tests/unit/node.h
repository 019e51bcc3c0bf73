/* One block node on the emulated ring, with requests to run against it. */
#ifndef UNIT_NODE_H
#define UNIT_NODE_H

#include "block/block.h"

#define NODE_REQUESTS 64

struct node {
	struct uring uring;
	struct block *block;
	struct block_req reqs[NODE_REQUESTS];
	bool done[NODE_REQUESTS];
	unsigned int order[NODE_REQUESTS]; /* of completions */
	unsigned int done_n;
	uint8_t *buf; /* 1 MiB, page-aligned */
	uint16_t fixed; /* 1 + the index under which it is registered, or 0 */
};

extern struct node node;

/* Opens @opt's image; NULL block on error. The tests' driver or a real one. */
void node_open(const struct block_options *opt, bool real_ring);

/* The tests' driver, which must be installed. */
void node_open_driver(bool read_only, bool growable);

/* Returns what block_close() does. */
int node_close(void);

/* Submits request @i; @at is where in the buffer its data is. */
struct block_req *node_submit(unsigned int i, enum block_type type,
			      unsigned int flags, uint64_t offset,
			      uint64_t length, size_t at);

/* Submits request @i, whose bytes are in slot @i (slots.h), at 0. */
struct block_req *node_submit_unseen(unsigned int i, enum block_type type,
				     uint64_t offset, uint64_t length);

/* Drains until nothing more can be done without waiting. */
void node_drain(void);

/* Submits request 0, waits for its end and returns its result. */
int64_t node_run(enum block_type type, unsigned int flags, uint64_t offset,
		 uint64_t length);

#endif

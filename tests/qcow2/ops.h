/*
 * Random requests to an open block, several in flight, held against a model.
 *
 * Requests that touch the same bytes (or the same conflict unit) do not run
 * beside one another unless both only read, so the model always knows what a
 * read must return. A request that moves the end of the disk runs beside
 * nothing that comes near the end.
 */
#ifndef RAWFUSE_TESTS_OPS_H
#define RAWFUSE_TESTS_OPS_H

#include <linux/stat.h>

#include "block/block.h"
#include "model.h"
#include "rng.h"

#define OPS_MAX_DEPTH 64

struct ops;

struct ops_slot {
	struct block_req req;
	struct ops *ops;
	bool busy;
	uint64_t id; /* counts the requests of a run */
	uint64_t offset, length; /* as asked; block.c may shorten req's */
	uint64_t from, to; /* what it keeps others from */
	uint64_t expect; /* result, if it succeeds */
	int expect_error; /* or -errno that it must end in; 0 */
	struct statx stx;
	uint8_t *data; /* of a READ or WRITE; req.buf may be no address */
	void *user; /* the hooks' */
};

struct ops_options {
	uint64_t seed;
	uint64_t count;
	unsigned int depth;
	bool growable;
	uint64_t max_size; /* of the disk, when it grows */
	uint32_t max_len; /* of a request, bytes */
	uint32_t cluster; /* a size at whose bounds things happen */
	uint32_t unit; /* requests sharing one run one after another; 1.. */
	uint32_t align; /* of all offsets and lengths; 1.. */
	bool sparse; /* the disk is huge: choose few places */
	bool faults; /* requests may fail */
	bool reads_work; /* but no READ */
	bool loose; /* ZERO and ALLOCATE may be unsupported */
	bool strange; /* anything may fail: the image is damaged */
	bool verbose;
	unsigned int flush_weight; /* percent, more or less */
	unsigned int resize_weight;
	unsigned int unseen; /* percent of READs and WRITEs; unseen.h */
	unsigned int edges; /* percent of requests: ops_edges.c */
};

struct ops {
	struct block *block;
	struct model *model;
	struct ops_options opt;
	struct rng rng;
	struct ops_slot slots[OPS_MAX_DEPTH];
	unsigned int in_flight;
	uint64_t started, finished;
	uint64_t errors_seen; /* failures that were allowed */
	uint64_t count[BLOCK_TYPES];
	uint64_t hot; /* requests gather here */
	/* ops_edges.c: the step of its story; next was chosen by it. */
	unsigned int edge;
	bool at_edge;
	uint64_t place, place_end; /* of the last request of the story */
	enum block_type next; /* was chosen and had to wait; or BLOCK_TYPES */
	bool size_unknown; /* a request that moves the end failed */
	unsigned int bad; /* what went wrong, and was printed */
	/* Called when a request is about to be submitted, and is over. */
	void (*begin)(struct ops *ops, struct ops_slot *slot);
	void (*end)(struct ops *ops, struct ops_slot *slot);
	void *user;
};

void ops_init(struct ops *ops, struct block *b, struct model *m,
	      const struct ops_options *opt);

/* Runs opt.count requests to the end. Returns ops->bad. */
unsigned int ops_run(struct ops *ops);

/* Reads all of the disk (or, sparse, all the model has) and compares. */
unsigned int ops_verify(struct ops *ops);

/* ops_choose.c, for ops.c */
enum block_type ops_choose_type(struct ops *ops);
uint64_t ops_choose_length(struct ops *ops);
uint64_t ops_choose_offset(struct ops *ops, uint64_t len);
uint64_t ops_choose_size(struct ops *ops);
/* ops_edges.c, the same: BLOCK_TYPES if this is no time for it. */
enum block_type ops_edge_type(struct ops *ops);
void ops_edge_place(struct ops *ops, struct ops_slot *slot);

#endif

/*
 * The counters of a session. The request path pays for them with a few
 * additions, and one look at the clock for each batch of completions
 * (uring_now()), so a latency is as exact as one turn of the loop.
 */
#include "config.h"

#include <errno.h>

#include "fuse/stats.h"

static const uint8_t op_of[FUSE_OPCODES] = {
	[FUSE_READ] = STATS_READ,
	[FUSE_WRITE] = STATS_WRITE,
	[FUSE_FSYNC] = STATS_FLUSH,
	[FUSE_FLUSH] = STATS_FLUSH,
	[FUSE_FALLOCATE] = STATS_ALLOCATE,
};

static const char *const op_names[STATS_OPS] = {
	[STATS_OTHER] = "other",       [STATS_READ] = "read",
	[STATS_WRITE] = "write",       [STATS_FLUSH] = "flush",
	[STATS_ALLOCATE] = "allocate",
};

static const char *const error_names[STATS_ERRORS] = {
	[STATS_ERROR_OTHER] = "other", [STATS_EIO] = "EIO",
	[STATS_ENOSPC] = "ENOSPC",     [STATS_EFBIG] = "EFBIG",
	[STATS_EROFS] = "EROFS",       [STATS_EPERM] = "EPERM",
	[STATS_EINVAL] = "EINVAL",
};

static enum stats_error kind_of(int error)
{
	switch (error) {
	case -EIO:
		return STATS_EIO;
	case -ENOSPC:
	case -EDQUOT:
		return STATS_ENOSPC;
	case -EFBIG:
		return STATS_EFBIG;
	case -EROFS:
		return STATS_EROFS;
	case -EPERM:
	case -EACCES:
		return STATS_EPERM;
	case -EINVAL:
		return STATS_EINVAL;
	default:
		return STATS_ERROR_OTHER;
	}
}

void stats_count_error(struct session_stats *st, int error)
{
	st->errors++;
	st->errors_by[kind_of(error)]++;
}

unsigned int stats_bucket(uint64_t ns)
{
	/* ns is at most 2 to the power of this, and of no less. */
	unsigned int bits = ns > 1 ? 64 - (unsigned int)__builtin_clzll(ns - 1)
				   : 0;

	if (bits <= STATS_FIRST_BITS)
		return 0;
	bits -= STATS_FIRST_BITS;
	return bits < STATS_BUCKETS ? bits : STATS_BUCKETS;
}

void stats_count_latency(struct session_stats *st, uint32_t opcode, uint64_t ns)
{
	enum stats_op op = opcode < FUSE_OPCODES ? op_of[opcode] : STATS_OTHER;

	st->latency[op].buckets[stats_bucket(ns)]++;
	st->latency[op].sum += ns;
}

uint64_t stats_requests(const struct session_stats *st)
{
	uint64_t total = 0;
	unsigned int i;

	for (i = 0; i < FUSE_OPCODES; i++)
		total += st->requests[i];
	return total;
}

const char *stats_op_name(enum stats_op op)
{
	return op < STATS_OPS ? op_names[op] : "?";
}

const char *stats_error_name(enum stats_error error)
{
	return error < STATS_ERRORS ? error_names[error] : "?";
}

/*
 * What a session has done so far. Counted here, read by SIGUSR1, --status and
 * --stats. Nothing is ever reset.
 */
#ifndef RAWFUSE_FUSE_STATS_H
#define RAWFUSE_FUSE_STATS_H

#include <stdint.h>

#include "fuse/abi.h"

/* What requests are for, as far as their latency goes. */
enum stats_op {
	STATS_OTHER,
	STATS_READ,
	STATS_WRITE,
	STATS_FLUSH, /* FSYNC, and the FLUSH of close(2) */
	STATS_ALLOCATE, /* FALLOCATE: reserve, punch, zero */
	STATS_OPS
};

enum stats_error {
	STATS_ERROR_OTHER,
	STATS_EIO,
	STATS_ENOSPC, /* EDQUOT, too */
	STATS_EFBIG,
	STATS_EROFS,
	STATS_EPERM, /* EACCES, too */
	STATS_EINVAL,
	STATS_ERRORS
};

/*
 * Latency in buckets: the first one has what took up to 2^12 ns, each further
 * one up to twice as long, the one behind the last all the rest.
 */
#define STATS_BUCKETS 24
#define STATS_FIRST_BITS 12

struct stats_latency {
	uint64_t buckets[STATS_BUCKETS + 1];
	uint64_t sum; /* ns */
};

struct session_stats {
	uint64_t requests[FUSE_OPCODES]; /* by opcode; 0: unknown ones */
	uint64_t bytes_read, bytes_written;
	uint64_t errors; /* answers that were */
	uint64_t errors_by[STATS_ERRORS]; /* these, by kind */
	uint64_t zero_copied; /* READs and WRITEs whose data was not seen */
	struct stats_latency latency[STATS_OPS];
	unsigned int in_flight, most_in_flight;
};

/* An answer was @error (-errno). */
void stats_count_error(struct session_stats *st, int error);

/* A request with @opcode has taken @ns. */
void stats_count_latency(struct session_stats *st, uint32_t opcode,
			 uint64_t ns);

/* The bucket of @ns. */
unsigned int stats_bucket(uint64_t ns);

/* All requests that have come. */
uint64_t stats_requests(const struct session_stats *st);

/* "read", "EIO": for labels; never NULL. */
const char *stats_op_name(enum stats_op op);
const char *stats_error_name(enum stats_error error);

#endif

/*
 * The state that an export reports. --status asks for it by an ioctl on the
 * exported file, which finds its way from any mount namespace and by any
 * path; --stats writes it to a file.
 *
 * Client and server may be of different versions: fields are never moved, new
 * ones take from the room behind, and length tells how far the server went.
 */
#ifndef RAWFUSE_CONTROL_ANSWER_H
#define RAWFUSE_CONTROL_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <time.h>

#include "fuse/session.h"

#define ANSWER_VERSION 1
#define ANSWER_ERRORS 16 /* room for kinds of errors */

enum answer_flags {
	ANSWER_READ_ONLY = 1 << 0,
	ANSWER_URING = 1 << 1, /* requests come by io_uring */
	ANSWER_PASSTHROUGH = 1 << 2,
	ANSWER_WRITEBACK_CACHE = 1 << 3,
	ANSWER_DIRECT = 1 << 4, /* the image is used by O_DIRECT */
	ANSWER_METADATA = 1 << 5, /* the format has a cache of it */
	/* Errors that stick: */
	ANSWER_LOST = 1 << 8, /* what was written is lost */
	ANSWER_FLUSH_FAILED = 1 << 9,
	ANSWER_CORRUPT = 1 << 10, /* the image is damaged */
	ANSWER_BROKEN = 1 << 11, /* the connection is about to be aborted */
};

/* Natural alignment everywhere: it is the same for 32 and 64 bits. */
struct answer_fields {
	uint32_t version;
	uint32_t length; /* bytes that mean something */
	uint32_t flags; /* enum answer_flags */
	uint32_t pid; /* of the server, in its namespace: */
	uint64_t pid_namespace; /* the inode of /proc/self/ns/pid; 0: unknown */
	uint64_t size; /* bytes */
	uint64_t started; /* seconds since 1970 */
	uint64_t uptime; /* ns */
	uint32_t queues, depth;
	uint32_t in_flight, most_in_flight; /* without the one that asks */
	uint64_t requests;
	uint64_t bytes_read, bytes_written;
	uint64_t errors;
	uint64_t errors_by[ANSWER_ERRORS]; /* enum stats_error */
	uint64_t oldest; /* ns that the oldest one in flight is unanswered */
	uint32_t oldest_opcode; /* 0: none is in flight */
	uint32_t padding;
	uint64_t unflushed; /* bytes written that no flush has covered */
	uint64_t dirty; /* bytes of metadata that the image has not yet */
	uint64_t hits, misses; /* looks at metadata */
	uint64_t flushes, flush_time; /* requests, ns */
	/* Strings end with 0; what is too long is cut. */
	char format[16];
	char payload[32];
	char release[24];
	char snapshot[256];
	char image[2048];
};

union answer {
	struct answer_fields f;
	uint8_t room[4096];
};

#define ANSWER_IOCTL _IOR(0xb7, 0x72, union answer)

/* Who is asked. */
struct served {
	const struct session *session;
	const char *image; /* as others would find it */
	uint64_t pid_namespace;
	time_t started;
	uint64_t started_ns; /* session_clock()'s */
};

/* Fills @a in. @asker is a request that does not count, or NULL. */
void answer_fill(union answer *a, const struct served *v,
		 const struct fuse_request *asker);

/*
 * Makes what came believable: strings end, and so does the whole; false if it
 * cannot be an answer of ours.
 */
bool answer_check(union answer *a);

#endif

/*
 * One FUSE request, whichever way it came. A transport (dev.c, ring.c) fills
 * it in and hands it to ops_handle(); it is answered exactly once, from there
 * or later, by request->transport->answer().
 */
#ifndef RAWFUSE_FUSE_REQUEST_H
#define RAWFUSE_FUSE_REQUEST_H

#include "block/block.h"
#include "fuse/abi.h"

struct session;
struct fuse_request;

struct fuse_transport {
	/*
	 * Answers with @error (0 or -errno) and, if 0, the first @len bytes
	 * of the payload. The request may be used anew at once.
	 */
	void (*answer)(struct fuse_request *req, int error, size_t len);
	/* Ends a request that has no answer (FORGET). */
	void (*drop)(struct fuse_request *req);
};

struct fuse_request {
	const struct fuse_transport *transport;
	struct session *session;
	struct block_req io; /* ops' request to the image */

	/* When it came, by uring_now(); 0 while nobody works on it. */
	uint64_t since;
	uint32_t opcode;
	uint64_t unique;
	uint64_t nodeid;
	uint32_t pid; /* the caller's */
	const void *in; /* the first argument */
	size_t in_len;
	void *payload; /* the other arguments and data; the answer's bytes */
	size_t payload_len; /* bytes received in it */
	size_t payload_max; /* bytes it has room for */
	/*
	 * Where the payload is, or with unseen the data of a READ or WRITE in
	 * its place, as in struct block_req.
	 */
	uint16_t fixed;
	bool unseen;
	/* interrupt.c: it may take long; its caller has got a signal. */
	bool watched, interrupted;
	/* empty.c: what comes after it. */
	void (*after_empty)(struct block_req *io);
	struct fuse_request *next_held; /* ops.c: FLUSHes that wait */
	struct fuse_request *watch_prev, *watch_next;
};

#endif

/* The operations: decodes a request, carries it out, answers it. */
#ifndef RAWFUSE_FUSE_OPS_H
#define RAWFUSE_FUSE_OPS_H

#include "fuse/request.h"

/*
 * Takes a request whose opcode and lengths are not yet believed. It may be
 * answered before this returns.
 */
void ops_handle(struct fuse_request *req);

/* For the handlers: answers with -errno, or with @len bytes of payload. */
void ops_answer(struct fuse_request *req, int error, size_t len);

/*
 * For the handlers: submits req->io, whose offset, length and buffer are set
 * if @type has them, and which is for no data of the request's.
 */
void ops_submit(struct fuse_request *req, enum block_type type,
		unsigned int flags, void (*done)(struct block_req *));

/* The kernel knows the size (s->telling): what waited for that goes on. */
void ops_size_told(struct session *s);

/* The error of a block request's @result as the kernel takes it, or 0. */
int ops_error(int64_t result);

/*
 * The bytes of the fixed first argument of @opcode; 0 where there is none or
 * the opcode is not known. A transport that gets all arguments in one piece
 * cuts there.
 */
size_t ops_in_size(uint32_t opcode);

/* The name of an opcode, for messages; never NULL. */
const char *ops_name(uint32_t opcode);

#endif

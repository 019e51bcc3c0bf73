/* FUSE over io_uring: queues of entries, each with its life. */
#ifndef RAWFUSE_FUSE_RING_H
#define RAWFUSE_FUSE_RING_H

#include <stdbool.h>

#include "fuse/request.h"

enum entry_state {
	ENTRY_IDLE, /* allocated */
	ENTRY_REGISTERED, /* REGISTER is in the kernel */
	ENTRY_HAVE_REQ, /* a request is in our buffers */
	ENTRY_IO_PENDING, /* the block layer owns the payload */
	ENTRY_COMMIT, /* COMMIT_AND_FETCH is in the kernel */
	ENTRY_DEAD, /* the kernel will not use it any more */
	ENTRY_STATES
};

struct payload;
struct ring;
struct session;

/* Allocates all queues and entries; NULL if there is no memory (logged). */
struct ring *ring_new(struct session *s);

/* Only when the kernel holds no entry any more (the uring is gone). */
void ring_free(struct ring *r);

/*
 * Sets the queues up and registers every entry, after INIT is answered. Tells
 * the session whether that worked. False: nothing was tried (@r NULL).
 */
bool ring_start(struct ring *r);

/* Gives back the memory of payloads that no request uses. */
void ring_trim(struct ring *r);

/* Where the payloads are. */
const struct payload *ring_payload(const struct ring *r);

/* The request that came first of those that are worked on; NULL: none. */
const struct fuse_request *ring_oldest(const struct ring *r);

/* How many entries are in @state. */
unsigned int ring_count(const struct ring *r, enum entry_state state);

const char *ring_state_name(enum entry_state state);

#endif

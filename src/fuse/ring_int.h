/* The insides of a ring, for ring.c and ring_setup.c. */
#ifndef RAWFUSE_FUSE_RING_INT_H
#define RAWFUSE_FUSE_RING_INT_H

#include <errno.h>
#include <sys/uio.h>

#include "fuse/payload.h"
#include "fuse/ring.h"

/* A header begins a cache line. */
#define HEADER_STRIDE 320

struct entry {
	struct fuse_request req;
	struct op op; /* REGISTER or COMMIT_AND_FETCH */
	enum entry_state state;
	uint16_t qid;
	uint64_t commit_id;
	struct fuse_uring_req_header *header;
	struct iovec iov[2]; /* what REGISTER points to */
	struct ring *ring;
};

/* ADD_QUEUE or ADD_BUFPOOL of one queue. */
struct ring_queue {
	struct op op;
	uint16_t qid;
	struct ring *ring;
};

struct ring {
	struct session *session;
	int slot; /* of /dev/fuse among the ring's files */
	bool failed; /* it could not be set up; said once */
	unsigned int entries_n;
	struct entry *entries;
	uint8_t *headers;
	struct payload payload;
	unsigned int count[ENTRY_STATES];
	uint64_t batch; /* of uring.c, that the last request came in */

	/* ring_setup.c's: */
	struct ring_queue *queues;
	uint32_t stage; /* the command that is being given to all queues */
	unsigned int stage_left, stage_failed;
	int stage_error; /* the last one */
	const char *failed_what; /* if it was given up */
	struct op settled;
};

/* Is @err of a command the end of the mount? */
static inline bool ring_is_end(int err)
{
	return err == -ENOTCONN || err == -ECONNABORTED || err == -ECANCELED;
}

/* ring.c: of each entry once, REGISTER. */
void ring_register(struct entry *e);

/* ring.c: done() of an entry's op. */
void ring_entry_done(struct op *op, int res, unsigned int flags);

/* ring.c: the transport of an entry's requests. */
extern const struct fuse_transport ring_transport;

#endif

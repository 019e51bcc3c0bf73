/*
 * The kernel's side of a session, faked: a socket in the place of /dev/fuse,
 * and the commands of the ring entries, taken off the emulated ring. With
 * FAKE_POOL_FLAGS it is a kernel of 7.46: queues may have pools of buffers, and
 * be zero-copied, with the data of READ and WRITE in a slot (slots.h).
 */
#ifndef UNIT_FAKE_H
#define UNIT_FAKE_H

#include "fuse/ring.h"
#include "fuse/session.h"

#define FAKE_DEPTH 4 /* entries a queue */
#define FAKE_QUEUES 2
#define FAKE_ENTRIES (FAKE_DEPTH * FAKE_QUEUES)
#define FAKE_MAX_WRITE 16384
#define FAKE_ANSWERS 512
#define FAKE_RING_FLAGS \
	(FUSE_INIT_EXT | FUSE_DIRECT_IO_ALLOW_MMAP | FUSE_OVER_IO_URING)
#define FAKE_POOL_FLAGS (FAKE_RING_FLAGS | FUSE_HAS_IO_URING_BUFPOOL)
#define FAKE_PENDING 32 /* requests that wait for a buffer */
#define FAKE_LOG 64

enum fake_way { FAKE_DEV, FAKE_RING, FAKE_WAYS };

struct fake_config {
	struct session_config session;
	bool read_only, growable;
	bool no_ring; /* the ring cannot carry commands */
	bool unprivileged; /* no right to zero-copy */
	int buffer_error; /* of registering the pools with the ring */
	bool no_init; /* leave INIT to the test */
	uint64_t init_flags; /* what the kernel offers */
};

/* A request; zeros for what is not said. */
struct fake_msg {
	uint32_t opcode;
	const void *in; /* the first argument */
	size_t in_len;
	const void *data; /* the others */
	size_t data_len;
	unsigned int entry; /* RING: the first held one at or after it */
	bool copied; /* RING: not zero-copied, even if it could be */
	bool lie_len, lie_payload, lie_commit; /* use these instead: */
	bool lie_flags, lie_offset;
	uint32_t len; /* of the header */
	uint32_t payload_sz; /* RING */
	uint64_t commit_id; /* RING */
	uint64_t flags; /* RING, of the entry */
	uint32_t offset; /* RING, of the payload in the pool */
};

struct fake_answer {
	uint64_t unique;
	int error;
	size_t len; /* of the data, without the header */
	uint8_t *data;
};

/* One entry as the kernel knows it. */
struct fake_entry {
	struct op *op;
	const struct iovec *iov; /* REGISTER's */
	uint16_t qid;
	bool held; /* its command is in the kernel */
	bool committed; /* and that is COMMIT_AND_FETCH */
	bool asked; /* a request is at the server's */
	uint64_t commit_id;
	unsigned int commands;
	uint16_t slot_index; /* REGISTER's, for zero-copy */
	int buffer; /* of the pool, that it has; -1 */
	uint32_t opcode; /* of the request it has */
	uint8_t *slot; /* the caller's pages, if they are in the slot */
};

/* What ADD_QUEUE and ADD_BUFPOOL have made of a queue. */
struct fake_queue {
	bool added, zero_copy;
	uint8_t *pool; /* NULL: entries have payloads */
	uint32_t pool_len;
	unsigned int fixed; /* 0, or 1 + the index of its registered buffer */
	unsigned int buffers; /* one of them: FAKE_MAX_WRITE */
	bool used[FAKE_DEPTH];
	unsigned int most; /* used at a time */
};

/* A command that came. */
struct fake_log {
	uint32_t cmd;
	uint16_t qid;
	uint64_t flags;
	int res; /* 0 also of those that are held */
};

struct fake_pending {
	struct fake_msg m;
	uint64_t unique;
};

/* Of the commands @cmd, @times ones behind the first @skip fail with @res. */
struct fake_script {
	uint32_t cmd;
	unsigned int skip, times;
	int res;
};

struct fake {
	struct uring uring;
	struct loop loop;
	struct block *block;
	struct session *session;
	int fd; /* the kernel's end of the socket; -1: closed */
	struct fake_entry entries[FAKE_ENTRIES];
	unsigned int entries_n;
	struct fake_queue queues[FAKE_QUEUES];
	struct fake_log log[FAKE_LOG]; /* the first ones */
	unsigned int log_n;
	struct fake_pending pending[FAKE_PENDING]; /* oldest first */
	unsigned int pending_n;
	unsigned int waited;
	struct bounce *bounce;
	bool unprivileged;
	struct fake_script script;
	unsigned int registers, commits; /* commands that came */
	unsigned int given_up; /* REGISTERs of a queue that is not there */
	uint64_t unique;
	struct fake_answer answers[FAKE_ANSWERS];
	unsigned int answers_n;
	unsigned int ready, ended, broken; /* calls */
	bool busy_at_end; /* on_end came while a request was in flight */
};

/* A session after INIT that works by io_uring, on the tests' driver. */
struct fake_config fake_config(void);

/* Where payloads are, as the ring calls it. */
enum fake_mode {
	FAKE_ENTRY,
	FAKE_POOL,
	FAKE_FIXED_POOL,
	FAKE_ZERO_COPY,
	FAKE_ZERO_COPY_FIXED,
	FAKE_MODES
};

extern const char *const fake_mode_names[FAKE_MODES];

/* The same with a kernel of 7.46, where that comes about. */
struct fake_config fake_config_of(enum fake_mode mode);

/* What the ring says of its payloads: the mode, and why none better. */
const char *fake_payloads(const struct fake *f);
const char *fake_why(const struct fake *f);

/* Starts it; driver_install() comes before. */
struct fake *fake_new(const struct fake_config *cfg);
void fake_free(struct fake *f);

/* Lets the server do all it can do without waiting. */
void fake_run(struct fake *f);

/* Sends a request, does not run. Returns its number. */
uint64_t fake_send(struct fake *f, enum fake_way way,
		   const struct fake_msg *msg);

/* The answer to a request; NULL: none came. */
const struct fake_answer *fake_find(const struct fake *f, uint64_t unique);

/* Sends, runs, and returns the answer, which must come. */
const struct fake_answer *fake_call(struct fake *f, enum fake_way way,
				    const struct fake_msg *msg);

/* fake_call() of a request of one argument. */
const struct fake_answer *fake_ask(struct fake *f, enum fake_way way,
				   uint32_t opcode, const void *in,
				   size_t in_len);

/* Sends INIT of @len bytes (at most 64) and returns the answer. */
const struct fake_answer *fake_init(struct fake *f, uint32_t major,
				    uint32_t minor, uint64_t flags, size_t len);

/* Bytes as they are, by the socket. */
void fake_raw(struct fake *f, const void *bytes, size_t len);

/* Ends the command that the kernel holds of entry @i. */
void fake_end_command(struct fake *f, unsigned int i, int res);

/* Ends all of them, as at an unmount. */
void fake_end_all(struct fake *f, int res);

/* The entry that has the request @unique in it. */
struct fake_entry *fake_entry_of(struct fake *f, uint64_t unique);

/* How many commands the kernel holds. */
unsigned int fake_held(const struct fake *f);

/* Counts of the states add up, and are what was expected of one. */
void fake_check_states(const struct fake *f, enum entry_state state,
		       unsigned int n);

#endif

/*
 * The kernel's side of a session, faked: a socket in the place of /dev/fuse,
 * and the commands of the ring entries, taken off the emulated ring.
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
#define FAKE_RING_FLAGS (FUSE_INIT_EXT | FUSE_OVER_IO_URING)

enum fake_way { FAKE_DEV, FAKE_RING, FAKE_WAYS };

struct fake_config {
	struct session_config session;
	bool read_only, growable;
	bool no_ring; /* the ring cannot carry commands */
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
	bool lie_len, lie_payload, lie_commit; /* use these instead: */
	uint32_t len; /* of the header */
	uint32_t payload_sz; /* RING */
	uint64_t commit_id; /* RING */
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
	struct fake_script script;
	unsigned int registers, commits; /* commands that came */
	uint64_t unique;
	struct fake_answer answers[FAKE_ANSWERS];
	unsigned int answers_n;
	unsigned int ready, ended, broken; /* calls */
	bool busy_at_end; /* on_end came while a request was in flight */
};

/* A session after INIT that works by io_uring, on the tests' driver. */
struct fake_config fake_config(void);

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

/* How many commands the kernel holds. */
unsigned int fake_held(const struct fake *f);

/* Counts of the states add up, and are what was expected of one. */
void fake_check_states(const struct fake *f, enum entry_state state,
		       unsigned int n);

#endif

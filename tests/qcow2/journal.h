/*
 * What was written below the driver, when it was submitted and when it was
 * over; and from that, the files as a crash at any time may leave them.
 *
 * A flush that is over makes stable what was over when it was submitted, in
 * its file. All else that was submitted before the crash may be there, or
 * not, or, sector by sector, partly: a sector of 512 bytes holds one of its
 * states since, never a mix. Of what failed, that is so for the part that was
 * carried out. A file that was cut (truncated) is not found
 * longer again by anything later if the cut itself is lost.
 */
#ifndef RAWFUSE_TESTS_JOURNAL_H
#define RAWFUSE_TESTS_JOURNAL_H

#include "memdisk.h"

#define JOURNAL_SECTOR 512u

enum journal_policy {
	POLICY_PREFIX, /* all that was over, nothing else */
	POLICY_FLUSHED, /* what must be there, nothing else */
	POLICY_ALL, /* also all that was in flight */
	POLICY_HALF, /* each with probability 1/2 */
	POLICY_MOST,
	POLICY_FEW,
	POLICY_ALL_BUT_ONE,
	POLICY_ONLY_ONE,
	POLICY_TORN, /* some of the sectors of each */
	POLICIES,
	POLICY_MASK, /* those whose bit is set in journal.mask */
};

struct journal_op {
	enum block_type type;
	unsigned int file, flags;
	uint64_t offset, length;
	uint8_t *data;
	uint64_t submit, complete;
	bool failed;
	bool undone; /* nothing of it was carried out */
};

struct journal {
	struct journal_op **ops; /* by submission */
	struct journal_op **done; /* by completion */
	uint64_t count, done_count, room;
	struct memfile start[MEMDISK_FILES]; /* as they were */
	/* Of the rebuilding: */
	struct memfile flushed[MEMDISK_FILES]; /* what is stable */
	uint64_t flushed_at[MEMDISK_FILES]; /* the last flush's submission */
	uint64_t flushed_done[MEMDISK_FILES]; /* done[] up to there is in it */
	uint64_t flushes_seen;
	uint64_t mask; /* takes a bit from below for each */
	struct memfile scratch;
	unsigned int files;
};

/* Begins with the files as memdisk has them. */
void journal_start(struct journal *j);
void journal_free(struct journal *j);
struct journal_op *journal_submit(struct journal *j, const struct memfile *f,
				  const struct block_req *req, uint64_t now);
/* @part: the bytes of a WRITE that were carried out. */
void journal_complete(struct journal *j, struct journal_op *op, uint64_t now,
		      int64_t result, uint64_t part);

/*
 * Rebuilds: first journal_advance() to a time, which must not go back; then
 * journal_crash() gives a file as it may be found after a crash at that time.
 */
void journal_advance(struct journal *j, uint64_t time);
/* How many writes a crash then might lose. */
unsigned int journal_open(const struct journal *j, uint64_t time);
void journal_crash(struct journal *j, unsigned int file, uint64_t time,
		   enum journal_policy policy, struct rng *rng,
		   struct memfile *out);

#endif

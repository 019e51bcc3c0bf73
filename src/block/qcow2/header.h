/* The header, and how metadata is read and found damaged. */
#ifndef RAWFUSE_BLOCK_QCOW2_HEADER_H
#define RAWFUSE_BLOCK_QCOW2_HEADER_H

#include "block/qcow2/format.h"
#include "block/qcow2/job.h"

int qcow2_header_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_header_free(struct qcow2 *q);

/* header_read.c: reads and checks it; waits, logs one line, -errno. */
int qcow2_header_read(struct qcow2 *q);
/* Logs "path: what: field value: why"; returns -EINVAL. */
int qcow2_bad_field(const struct qcow2 *q, const char *field, uint64_t value,
		    const char *why);
/* Reads a table of @entries * 8 bytes that must lie in the file. */
int qcow2_read_table(struct qcow2 *q, const char *what, uint64_t offset,
		     uint64_t entries, uint64_t **table);
/*
 * A table or cluster is to be at @offset, past the end of the file: why, for a
 * message.
 */
const char *qcow2_why_outside(const struct qcow2 *q, uint64_t offset);
/*
 * Metadata is read from a file that may end within its last cluster: what is
 * missing of that is zeros, as QEMU has it. @got: the result, of a read that
 * began when the file ended at @end. 0, or what is wrong.
 */
int qcow2_pad(const struct qcow2 *q, void *buf, uint64_t length,
	      uint64_t offset, int64_t got, uint64_t end);
/* Reads metadata at open, padded so; waits; 0 or -errno. */
int qcow2_pread(struct qcow2 *q, void *buf, uint64_t length, uint64_t offset);

/* header.c: the header as it is to be on disk. */
uint32_t qcow2_get32(const struct qcow2 *q, enum qcow2_field field);
uint64_t qcow2_get64(const struct qcow2 *q, enum qcow2_field field);
void qcow2_put32(struct qcow2 *q, enum qcow2_field field, uint32_t value);
void qcow2_put64(struct qcow2 *q, enum qcow2_field field, uint64_t value);
/*
 * The write is queued: returns QCOW2_WAIT, and steps @job (may be NULL) when it
 * is over.
 */
int qcow2_header_write(struct qcow2 *q, struct qcow2_job *job);
/* A write is under way. */
bool qcow2_header_busy(const struct qcow2 *q);

/* Where the header says that a table is. */
struct qcow2_place {
	enum qcow2_field offset_field, size_field;
	uint64_t offset;
	uint32_t size; /* as the field counts it */
};

/* Lets the header name another place; part of whoever moves a table. */
struct qcow2_publish {
	struct qcow2_job job;
	struct qcow2_place old;
	struct qcow2_job *waiter;
};

/*
 * Writes the header with @place, makes it stable, then steps @job. Should it
 * fail, the header names the old place again, but that on the disk may name
 * either: it is stale (q->header_stale), and nothing is put at either place
 * before it is written. QCOW2_WAIT.
 */
int qcow2_publish(struct qcow2 *q, struct qcow2_publish *p,
		  const struct qcow2_place *place, struct qcow2_job *job);

/* The first of these: one line, the corrupt bit; writing ends. -EIO. */
int qcow2_set_corrupt(struct qcow2 *q, const char *what, uint64_t offset);
/*
 * What is wrong with metadata is met by who wants to @change it: as above. By
 * who only reads: a line, and no mark. -EIO.
 */
int qcow2_damaged(struct qcow2 *q, bool change, const char *what,
		  uint64_t offset);

#endif

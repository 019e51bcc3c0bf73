/* The repair of an image that was not closed: what its two files share. */
#ifndef RAWFUSE_BLOCK_QCOW2_REPAIR_H
#define RAWFUSE_BLOCK_QCOW2_REPAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct qcow2;

#define QCOW2_REPAIR_MOST (UINT32_MAX - 1) /* references to a cluster */

struct repair {
	struct qcow2 *q;
	uint32_t *counts; /* references to each cluster of the file */
	uint64_t *tables; /* bits: these clusters hold L2 tables, */
	uint64_t *full; /* and these of them are no holes */
	uint64_t clusters; /* of the file */
	uint64_t end; /* of these, what is in use */
	uint64_t *l1; /* of a snapshot */
	uint64_t l1_bytes; /* of all snapshots so far */
	uint8_t *l2; /* one cluster */
	uint64_t l2_bytes; /* of all L2 tables that were read */
	uint64_t data_from; /* of the file: nothing from what was asked to here */
	time_t told; /* monotonic seconds: the last line about progress */
	uint32_t highest;
	bool refused; /* and a line has said why */
};

/* repair_count.c: counts all references in r->counts; 0, or -errno. */
int qcow2_repair_count(struct repair *r);
/* One line: what was found where. Returns -EIO. */
int qcow2_repair_refuse(struct repair *r, const char *what, uint64_t at);
/* After the count: is there an L2 table at @host, and is it no hole? */
bool qcow2_repair_full(const struct repair *r, uint64_t host);

/* repair.c: rebuilds the refcounts; at open, may wait. One line, -errno. */
int qcow2_repair(struct qcow2 *q);

#endif

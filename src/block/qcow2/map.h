/* Guest offset -> where it is; see map.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_MAP_H
#define RAWFUSE_BLOCK_QCOW2_MAP_H

#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/job.h"

struct qcow2_map {
	enum qcow2_kind kind;
	uint64_t length; /* bytes that are so */
	uint64_t host; /* DATA: of the first byte; PACKED: the descriptor */
	bool copied; /* DATA: may be written in place */
	uint32_t entries; /* of L2 tables that were looked at, about */
};

struct qcow2_l2e qcow2_l2_get(const struct qcow2 *q,
			      const struct qcow2_slice *s, unsigned int i);
void qcow2_l2_put(const struct qcow2 *q, struct qcow2_slice *s, unsigned int i,
		  struct qcow2_l2e e);
unsigned int qcow2_slice_index(const struct qcow2 *q, uint64_t guest);
unsigned int qcow2_slice_entries(const struct qcow2 *q);
/* Bytes from @guest to the end of what one L2 table describes. */
uint64_t qcow2_table_left(const struct qcow2 *q, uint64_t guest);
/* 0 and *@offset (0: no table), or -EIO; @change: see qcow2_damaged(). */
int qcow2_l1_get(struct qcow2 *q, uint64_t guest, bool change, uint64_t *offset,
		 bool *copied);
uint64_t qcow2_slice_offset(const struct qcow2 *q, uint64_t table,
			    uint64_t guest);
/* 0, or -EIO after a line: the entry makes no sense. */
int qcow2_l2_check(struct qcow2 *q, const struct qcow2_l2e *e, uint64_t guest,
		   bool change);
/*
 * What is at @guest, for at most @length bytes; QCOW2_WAIT or -errno. Who does
 * not want to @change it does not mark the image corrupt, whatever is there.
 */
int qcow2_lookup(struct qcow2 *q, struct qcow2_job *job, uint64_t guest,
		 uint64_t length, bool change, struct qcow2_map *map);

#endif

/* Internal snapshots; see snapshot.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_SNAPSHOT_H
#define RAWFUSE_BLOCK_QCOW2_SNAPSHOT_H

#include <stdint.h>

struct qcow2;

/* Checks all; takes L1 table and size of opt.snapshot. One line, -errno. */
int qcow2_check_snapshots(struct qcow2 *q);
/* Calls @fn for the L1 table of each, as long as it returns 0. */
int qcow2_for_snapshots(struct qcow2 *q,
			int (*fn)(struct qcow2 *q, void *arg,
				  uint64_t l1_offset, uint32_t l1_size),
			void *arg);

#endif

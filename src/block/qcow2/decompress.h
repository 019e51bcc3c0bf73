/* Compressed clusters; see decompress.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_DECOMPRESS_H
#define RAWFUSE_BLOCK_QCOW2_DECOMPRESS_H

#include "block/qcow2/job.h"

/* Can the image's compression be undone? At open; one line, -EINVAL. */
int qcow2_decompress_check(const struct qcow2 *q);
void qcow2_decompress_free(struct qcow2 *q);
/*
 * The cluster that a compressed descriptor names, if it is there already: for
 * this step only; NULL: it is not.
 */
const uint8_t *qcow2_decompressed(const struct qcow2 *q, uint64_t desc);
/*
 * Begins to make it so: @job, who just looked up @desc for the guest offset
 * @guest, waits for that or for the one under way. QCOW2_WAIT or -errno.
 */
int qcow2_decompress(struct qcow2 *q, uint64_t desc, uint64_t guest,
		     struct qcow2_job *job);

#endif

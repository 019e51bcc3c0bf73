/* A few buffers that jobs share: of copy on write, and of new tables. */
#ifndef RAWFUSE_BLOCK_QCOW2_BUFFER_H
#define RAWFUSE_BLOCK_QCOW2_BUFFER_H

#include "block/qcow2/job.h"

#define QCOW2_BUFFERS 4
#define QCOW2_BUFFER (64u << 10) /* bytes of one */

/* The buffers, and q->zeros; 0 or -ENOMEM. */
int qcow2_buffers_init(struct qcow2 *q);
void qcow2_buffers_free(struct qcow2 *q);
/* NULL: @job waits for one. */
uint8_t *qcow2_take_buffer(struct qcow2 *q, struct qcow2_job *job);
/* @buffer may be NULL. */
void qcow2_give_buffer(struct qcow2 *q, uint8_t *buffer);

#endif

/* Requests of the guest; see request.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_REQUEST_H
#define RAWFUSE_BLOCK_QCOW2_REQUEST_H

#include "block/block.h"

struct qcow2;

int qcow2_requests_init(struct qcow2 *q); /* -ENOMEM */
void qcow2_requests_free(struct qcow2 *q);
/* Carries out @req, at once or when there is a task for it. */
void qcow2_request(struct qcow2 *q, struct block_req *req);

#endif

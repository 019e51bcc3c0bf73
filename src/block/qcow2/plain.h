/* What --untrusted refuses; see plain.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_PLAIN_H
#define RAWFUSE_BLOCK_QCOW2_PLAIN_H

struct qcow2;

/* 0, or -EINVAL after a line. */
int qcow2_check_plain(struct qcow2 *q);

#endif

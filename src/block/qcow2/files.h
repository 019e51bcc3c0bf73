/* The files of an image; see files.c. */
#ifndef RAWFUSE_BLOCK_QCOW2_FILES_H
#define RAWFUSE_BLOCK_QCOW2_FILES_H

#include "block/block.h"

struct qcow2;

/* Opening may wait; one line, -errno. */
int qcow2_open_file(struct qcow2 *q);
int qcow2_open_others(struct qcow2 *q);
int qcow2_close_files(struct qcow2 *q);
void qcow2_tell_files(const struct block *b);

#endif

/*
 * What an image takes of memory: tables as large as its header says, and what
 * every image has. All of it is known when the header has been read, and is
 * bounded before the first table is: in their files tables may be holes.
 *
 * L1 tables have a bound in any case, MAX_L1S for a chain of images. With a
 * memory budget (opt.memory) there is one for everything. Tables that grow are
 * counted three times: the old one, the new one, and half as much again.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "block/qcow2/buffer.h"
#include "block/qcow2/frees.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/memory.h"
#include "block/qcow2/overlap.h"
#include "loop/log.h"

#define MAX_L1S (256u << 20)
#define GROWTH 3u

uint64_t qcow2_l1_bytes(const struct qcow2 *q)
{
	const struct block_chain *above = q->b->opt.chain;

	return (uint64_t)q->l1_size * 8 + (above ? above->table_bytes : 0);
}

/* Only if the image is written. */
static uint64_t writer_bytes(const struct qcow2 *q)
{
	uint64_t l1 = q->l1_size * (q->b->opt.growable ? GROWTH : 1ULL);
	uint64_t reftable = GROWTH * q->reftable_size;

	return reftable * 8 + qcow2_overlap_bytes(l1 + reftable) +
	       (QCOW2_BUFFERS + 1) * QCOW2_BUFFER + qcow2_frees_bytes();
}

static uint64_t own_bytes(const struct qcow2 *q)
{
	const struct block_options *opt = &q->b->opt;
	uint64_t cache = opt->metadata_cache, bytes;

	if (!cache)
		cache = QCOW2_L2_CACHE + QCOW2_REFCOUNT_CACHE;
	bytes = sizeof(*q) + q->task_bytes;
	bytes += cache + cache / 16; /* and what is known of a slice */
	bytes += 2 * (uint64_t)q->geo.cluster_size; /* decompression */
	bytes += (uint64_t)q->l1_size * 8 * (opt->growable ? GROWTH : 1);
	return opt->read_only ? bytes : bytes + writer_bytes(q);
}

uint64_t qcow2_memory(const struct qcow2 *q)
{
	const struct block_chain *above = q->b->opt.chain;

	return own_bytes(q) + (above ? above->bytes : 0);
}

uint64_t qcow2_memory_left(const struct qcow2 *q)
{
	uint64_t bytes = qcow2_memory(q), most = q->b->opt.memory;

	if (!most)
		return UINT64_MAX;
	return bytes < most ? most - bytes : 0;
}

int qcow2_check_memory(const struct qcow2 *q)
{
	if (qcow2_l1_bytes(q) > MAX_L1S)
		return qcow2_bad_field(q, "l1_size", q->l1_size,
				       "its L1 table and those of the images "
				       "above it have more than 256 MiB");
	if (qcow2_memory_left(q))
		return 0;
	log_warnx("%s: qcow2: its tables and buffers, and those of the images "
		  "above it, take %" PRIu64 " KiB of memory, and %" PRIu64
		  " KiB are left for them (--memory)",
		  q->b->opt.path, qcow2_memory(q) >> 10,
		  q->b->opt.memory >> 10);
	return -ENOMEM;
}

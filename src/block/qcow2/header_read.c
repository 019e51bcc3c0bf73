/* The header is read once, at open, and checked field by field. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/bytes.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "loop/log.h"

int qcow2_bad_field(const struct qcow2 *q, const char *field, uint64_t value,
		    const char *why)
{
	log_warnx("%s: qcow2: %s is %" PRIu64 " (0x%" PRIx64 "): %s",
		  q->b->opt.path, field, value, value, why);
	return -EINVAL;
}

static int check_version(struct qcow2 *q)
{
	uint32_t length, bits = qcow2_get32(q, QCOW2_H_CLUSTER_BITS);

	q->geo.version = qcow2_get32(q, QCOW2_H_VERSION);
	if (q->geo.version != 2 && q->geo.version != 3)
		return qcow2_bad_field(q, "version", q->geo.version,
				       "only 2 and 3 are known");
	if (bits < 9 || bits > 21)
		return qcow2_bad_field(q, "cluster_bits", bits,
				       "it must be 9 to 21");
	q->geo.cluster_bits = bits;
	q->geo.cluster_size = 1u << bits;
	q->geo.refcount_order = 4;
	if (q->geo.version == 2)
		return 0;
	length = qcow2_get32(q, QCOW2_H_LENGTH);
	if (length < QCOW2_H_V3_LENGTH || length % 8 ||
	    length > q->geo.cluster_size)
		return qcow2_bad_field(q, "header_length", length,
				       "it must be a multiple of 8, from 104 "
				       "to the cluster size");
	q->geo.refcount_order = qcow2_get32(q, QCOW2_H_REFCOUNT_ORDER);
	if (q->geo.refcount_order > 6)
		return qcow2_bad_field(q, "refcount_order",
				       q->geo.refcount_order,
				       "it must be 0 to 6");
	q->incompatible = qcow2_get64(q, QCOW2_H_INCOMPAT);
	q->autoclear = qcow2_get64(q, QCOW2_H_AUTOCLEAR);
	if (length > QCOW2_H_COMPRESSION)
		q->geo.compression = q->header[QCOW2_H_COMPRESSION];
	return 0;
}

static int check_features(struct qcow2 *q)
{
	bool other = q->incompatible & QCOW2_INCOMPAT_COMPRESSION;

	if (q->incompatible & ~QCOW2_INCOMPAT_KNOWN)
		return qcow2_bad_field(q, "incompatible_features",
				       q->incompatible & ~QCOW2_INCOMPAT_KNOWN,
				       "a feature that rawfuse does not know; "
				       "convert it with 'qemu-img convert'");
	if (qcow2_get32(q, QCOW2_H_CRYPT))
		return qcow2_bad_field(q, "crypt_method",
				       qcow2_get32(q, QCOW2_H_CRYPT),
				       "encryption is not supported; convert it"
				       " with 'qemu-img convert'");
	if (other != (q->geo.compression != 0) || q->geo.compression > 1)
		return qcow2_bad_field(q, "compression_type",
				       q->geo.compression,
				       "it must be 0 (zlib), or 1 (zstd) with "
				       "the incompatible bit 3");
	q->geo.extended = q->incompatible & QCOW2_INCOMPAT_EXTENDED_L2;
	q->geo.data_file = q->incompatible & QCOW2_INCOMPAT_DATA_FILE;
	q->geo.data_raw =
		q->geo.data_file && q->autoclear & QCOW2_AUTOCLEAR_DATA_RAW;
	if (q->geo.extended && q->geo.cluster_bits < 14)
		return qcow2_bad_field(q, "cluster_bits", q->geo.cluster_bits,
				       "extended L2 entries (incompatible bit "
				       "4) need at least 14");
	if (!q->b->opt.read_only && q->incompatible & QCOW2_INCOMPAT_CORRUPT)
		return qcow2_bad_field(q, "incompatible_features",
				       q->incompatible,
				       "the image is marked corrupt; repair it "
				       "with 'qemu-img check -r all', or open "
				       "it --read-only");
	return 0;
}

const char *qcow2_why_outside(const struct qcow2 *q, uint64_t offset)
{
	uint64_t i = offset >> q->geo.cluster_bits >> q->geo.block_bits;

	/* Whatever the file has had is counted, by a block of refcounts. */
	if (i >= q->reftable_size || (q->reftable && !q->reftable[i]))
		return "the entry that points there is damaged ('qemu-img "
		       "check' tells more)";
	return "was it truncated, or is the entry that points there damaged? "
	       "('qemu-img check' tells more)";
}

static int check_place(const struct qcow2 *q, const char *field,
		       uint64_t offset, uint64_t length)
{
	/* The end of the file may cut the last cluster. */
	uint64_t end = qcow2_round_up(q->file->size, q->geo.cluster_size);

	if (qcow2_in_cluster(q, offset))
		return qcow2_bad_field(q, field, offset,
				       "it is not aligned to a cluster");
	if (offset > end || length > end - offset)
		return qcow2_bad_field(q, field, offset,
				       "the table reaches past the end of the "
				       "file; was it truncated?");
	if (length && !offset)
		return qcow2_bad_field(q, field, offset,
				       "the table is in the header's cluster");
	return 0;
}

static int check_tables(struct qcow2 *q)
{
	uint64_t size = qcow2_get64(q, QCOW2_H_SIZE), need;
	uint64_t clusters = qcow2_get32(q, QCOW2_H_REFTABLE_CLUSTERS);
	int ret;

	q->l1_size = qcow2_get32(q, QCOW2_H_L1_SIZE);
	q->l1_offset = qcow2_get64(q, QCOW2_H_L1_OFFSET);
	q->reftable_offset = qcow2_get64(q, QCOW2_H_REFTABLE_OFFSET);
	q->reftable_size = clusters << (q->geo.cluster_bits - 3);
	if (size > (uint64_t)INT64_MAX - q->geo.cluster_size)
		return qcow2_bad_field(q, "size", size, "it is too large");
	if (q->l1_size > QCOW2_MAX_L1 / 8)
		return qcow2_bad_field(q, "l1_size", q->l1_size,
				       "an L1 table has at most 4194304 "
				       "entries (32 MiB)");
	need = qcow2_round_up(size, q->geo.cluster_size) >> q->geo.cluster_bits;
	need = (need + (1ULL << q->geo.l2_bits) - 1) >> q->geo.l2_bits;
	if (q->l1_size < need)
		return qcow2_bad_field(q, "l1_size", q->l1_size,
				       "the L1 table is too small for the "
				       "disk's size");
	if (clusters > QCOW2_MAX_REFTABLE >> q->geo.cluster_bits || !clusters)
		return qcow2_bad_field(q, "refcount_table_clusters", clusters,
				       "it must be 1 cluster to 8 MiB");
	ret = check_place(q, "l1_table_offset", q->l1_offset,
			  (uint64_t)q->l1_size * 8);
	if (!ret)
		ret = check_place(q, "refcount_table_offset",
				  q->reftable_offset, q->reftable_size * 8);
	q->b->size = size;
	return ret;
}

int qcow2_header_read(struct qcow2 *q)
{
	int ret;

	if (q->file->size < QCOW2_SECTOR)
		return qcow2_bad_field(q, "size of the file", q->file->size,
				       "too short for a qcow2 header");
	ret = block_pread(q->file, q->header, QCOW2_SECTOR, 0);
	if (ret) {
		log_warnx("%s: qcow2: reading the header: %s", q->b->opt.path,
			  strerror(-ret));
		return ret;
	}
	if (bytes_be32(q->header) != QCOW2_MAGIC)
		return qcow2_bad_field(q, "magic", bytes_be32(q->header),
				       "this is no qcow2 image; is it "
				       "--format=raw?");
	ret = check_version(q);
	if (!ret)
		ret = check_features(q);
	if (ret)
		return ret;
	qcow2_geometry_derive(&q->geo);
	q->snapshots = qcow2_get32(q, QCOW2_H_SNAPSHOTS);
	q->snapshots_offset = qcow2_get64(q, QCOW2_H_SNAPSHOTS_OFFSET);
	return check_tables(q);
}

int qcow2_pad(const struct qcow2 *q, void *buf, uint64_t length,
	      uint64_t offset, int64_t got, uint64_t end)
{
	uint64_t there = (uint64_t)got;

	if (got < 0)
		return (int)got;
	if (there >= length)
		return 0;
	/* The file is shorter than it was, or lacks more than that? */
	if (offset + there < end ||
	    offset + length > qcow2_round_up(end, q->geo.cluster_size))
		return -EIO;
	memset((uint8_t *)buf + there, 0, length - there);
	return 0;
}

int qcow2_pread(struct qcow2 *q, void *buf, uint64_t length, uint64_t offset)
{
	struct block_req req = { .type = BLOCK_READ,
				 .offset = offset,
				 .length = length,
				 .buf = buf };
	uint64_t end = q->file->size;

	return qcow2_pad(q, buf, length, offset, block_run(q->file, &req), end);
}

int qcow2_read_table(struct qcow2 *q, const char *what, uint64_t offset,
		     uint64_t entries, uint64_t **table)
{
	int ret = check_place(q, what, offset, entries * 8);

	if (ret)
		return ret;
	*table = aligned_alloc(4096, qcow2_table_memory(entries * 8));
	if (!*table) {
		log_warnx("%s: qcow2: %s: out of memory", q->b->opt.path, what);
		return -ENOMEM;
	}
	memset(*table, 0, qcow2_table_memory(entries * 8));
	if (entries)
		ret = qcow2_pread(q, *table, entries * 8, offset);
	if (ret)
		log_warnx("%s: qcow2: reading the table at %s %" PRIu64 ": %s",
			  q->b->opt.path, what, offset, strerror(-ret));
	return ret;
}

/*
 * The format: constants, the geometry of an image, and how entries of its
 * tables are stored. Nothing here waits, allocates or knows of files.
 */
#ifndef RAWFUSE_BLOCK_QCOW2_FORMAT_H
#define RAWFUSE_BLOCK_QCOW2_FORMAT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_SECTOR 512u
#define QCOW2_BLOCK 4096u /* no smaller than a sector of what is below */
#define QCOW2_MAX_L1 (32u << 20) /* bytes */
#define QCOW2_MAX_REFTABLE (8u << 20) /* bytes */
#define QCOW2_MAX_NAME 1023u

#define QCOW2_COPIED (1ULL << 63)
#define QCOW2_COMPRESSED (1ULL << 62)
#define QCOW2_ZERO 1ULL
#define QCOW2_OFFSET 0x00fffffffffffe00ULL
#define QCOW2_L1_RESERVED 0x7f000000000001ffULL
#define QCOW2_L2_RESERVED 0x3f000000000001feULL

#define QCOW2_INCOMPAT_DIRTY (1ULL << 0)
#define QCOW2_INCOMPAT_CORRUPT (1ULL << 1)
#define QCOW2_INCOMPAT_DATA_FILE (1ULL << 2)
#define QCOW2_INCOMPAT_COMPRESSION (1ULL << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2 (1ULL << 4)
#define QCOW2_INCOMPAT_KNOWN 0x1fULL
#define QCOW2_AUTOCLEAR_DATA_RAW (1ULL << 1)

/* Where the fields of the header are. */
enum qcow2_field {
	QCOW2_H_VERSION = 4,
	QCOW2_H_BACKING_OFFSET = 8,
	QCOW2_H_BACKING_SIZE = 16,
	QCOW2_H_CLUSTER_BITS = 20,
	QCOW2_H_SIZE = 24,
	QCOW2_H_CRYPT = 32,
	QCOW2_H_L1_SIZE = 36,
	QCOW2_H_L1_OFFSET = 40,
	QCOW2_H_REFTABLE_OFFSET = 48,
	QCOW2_H_REFTABLE_CLUSTERS = 56,
	QCOW2_H_SNAPSHOTS = 60,
	QCOW2_H_SNAPSHOTS_OFFSET = 64,
	QCOW2_H_V2_LENGTH = 72,
	QCOW2_H_INCOMPAT = 72,
	QCOW2_H_COMPAT = 80,
	QCOW2_H_AUTOCLEAR = 88,
	QCOW2_H_REFCOUNT_ORDER = 96,
	QCOW2_H_LENGTH = 100,
	QCOW2_H_V3_LENGTH = 104,
	QCOW2_H_COMPRESSION = 104,
};

/* Constant after open. */
struct qcow2_geometry {
	uint32_t version;
	uint32_t cluster_bits, cluster_size;
	uint32_t refcount_order;
	uint32_t compression; /* 0 zlib, 1 zstd */
	bool extended; /* L2 entries have subclusters */
	bool data_file, data_raw;
	/* Follows from it, qcow2_geometry_derive(): */
	uint32_t subcluster_bits, subs; /* subclusters: size; in a cluster */
	uint32_t l2_entry; /* bytes */
	uint32_t l2_bits; /* entries of a table */
	uint32_t block_bits; /* entries of a refcount block */
};

/* An L2 entry; what has no subclusters is one subcluster. */
struct qcow2_l2e {
	uint64_t desc; /* without the zero flag */
	uint64_t bitmap; /* allocated: bit n; zeros: bit n + 32 */
};

enum qcow2_kind {
	QCOW2_UNALLOCATED, /* the backing file shines through */
	QCOW2_ZEROS,
	QCOW2_DATA,
	QCOW2_COMPRESSED_DATA, /* compressed */
};

static inline uint64_t qcow2_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t qcow2_round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

/* Bytes of a table's memory: whole pages, and a sector more to write it by. */
static inline uint64_t qcow2_table_memory(uint64_t bytes)
{
	return qcow2_round_up(bytes + QCOW2_SECTOR, 4096);
}

/* Fills in what follows from the header's fields. */
void qcow2_geometry_derive(struct qcow2_geometry *g);

/* Entry @i of a refcount block, or of a part of one that begins at @data. */
uint64_t qcow2_refcount_get(const struct qcow2_geometry *g, const uint8_t *data,
			    unsigned int i);
void qcow2_refcount_put(const struct qcow2_geometry *g, uint8_t *data,
			unsigned int i, uint64_t value);

/* The L2 entry at @at, which is g->l2_entry bytes. */
struct qcow2_l2e qcow2_l2_decode(const struct qcow2_geometry *g,
				 const uint8_t *at);
void qcow2_l2_encode(const struct qcow2_geometry *g, uint8_t *at,
		     struct qcow2_l2e e);

/* What subcluster @sub of the cluster is. */
static inline enum qcow2_kind qcow2_kind_of(const struct qcow2_l2e *e,
					    unsigned int sub)
{
	if (e->desc & QCOW2_COMPRESSED)
		return QCOW2_COMPRESSED_DATA;
	if (e->bitmap >> sub >> 32 & 1)
		return QCOW2_ZEROS;
	return e->bitmap >> sub & 1 ? QCOW2_DATA : QCOW2_UNALLOCATED;
}

/* The bytes of the file that a compressed cluster's descriptor names. */
void qcow2_compressed_range(const struct qcow2_geometry *g, uint64_t desc,
			    uint64_t *offset, uint64_t *length);

/*
 * What is wrong with an entry, for a message that goes on with the place that
 * it stands for; NULL: nothing. @guest: an offset in the L2 entry's cluster.
 */
static inline const char *qcow2_l1_wrong(const struct qcow2_geometry *g,
					 uint64_t entry)
{
	if (entry & QCOW2_L1_RESERVED)
		return "L1 entry with reserved bits for guest offset";
	if (entry & QCOW2_OFFSET & (g->cluster_size - 1))
		return "L1 entry not aligned to a cluster, for guest offset";
	return NULL;
}

const char *qcow2_l2_wrong(const struct qcow2_geometry *g,
			   const struct qcow2_l2e *e, uint64_t guest);
const char *qcow2_reftable_wrong(const struct qcow2_geometry *g,
				 uint64_t entry);

#endif

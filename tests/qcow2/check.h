/*
 * A checker of qcow2 images that shares no line with the driver: it is
 * written from the specification (docs/interop/qcow2.txt of QEMU), wants the
 * whole file in memory, and judges like `qemu-img check`, or harder.
 */
#ifndef RAWFUSE_TESTS_CHECK_H
#define RAWFUSE_TESTS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct qc_file {
	const uint8_t *data;
	uint64_t size;
};

/* Finds a file that an image names; false if there is none. */
typedef bool (*qc_resolve)(void *arg, const char *name, struct qc_file *file);

struct qc_report {
	unsigned int errors; /* of structure: always wrong */
	unsigned int refcount_errors; /* too low, or COPIED does not fit */
	unsigned int leaks;
	FILE *out; /* messages go there; NULL: nowhere */
	unsigned int said;
	char first[160]; /* the first message that is no leak */
	char first_leak[160];
};

struct qc_image {
	struct qc_file file;
	const char *why; /* it cannot be parsed: the field */
	uint32_t version, cluster_bits, l1_size, rt_clusters, snapshots;
	uint32_t refcount_order, header_length;
	uint64_t size, l1_offset, rt_offset, snapshots_offset;
	uint64_t incompatible, compatible, autoclear;
	uint8_t compression;
	char backing_name[1024], backing_format[16], data_name[1024];
	uint32_t bitmaps;
	uint64_t bitmaps_size, bitmaps_offset;
	bool has_bitmaps;
	struct qc_file data_file; /* where the clusters are */
	struct qc_image *backing; /* NULL: none */
	bool raw; /* a raw file: nothing of the above but size */
	uint64_t cluster;
	uint32_t l2_bits; /* log2 of entries a table */
	bool dirty, corrupt, extended, external;
};

/*
 * Parses @file and opens what it depends on; NULL with @why if that fails.
 * @format is "raw", "qcow2" or NULL (by the magic).
 */
struct qc_image *qc_open(const struct qc_file *file, const char *format,
			 qc_resolve resolve, void *arg, const char **why);
void qc_close(struct qc_image *img);

/* Holds the metadata against the specification. Backing images are not. */
void qc_check(const struct qc_image *img, struct qc_report *report);

/* Makes reads see snapshot number @i; false if there is none. */
bool qc_select(struct qc_image *img, unsigned int i);

/* Reads guest data; zeros behind the end. False if it is not readable. */
bool qc_read(const struct qc_image *img, void *buf, uint64_t len,
	     uint64_t offset);

/* check_parse.c, for check.c and check_read.c */
uint64_t qc_be64(const struct qc_file *f, uint64_t offset);
uint32_t qc_be32(const struct qc_file *f, uint64_t offset);
uint32_t qc_be16(const struct qc_file *f, uint64_t offset);

struct qc_snapshot {
	uint64_t at, end; /* of the entry */
	uint64_t l1_offset, disk_size;
	uint32_t l1_size;
};
/* Fills in the snapshot that starts at @at; false if it is broken. */
bool qc_snapshot(const struct qc_image *img, uint64_t at,
		 struct qc_snapshot *s);

#define QC_DIRTY (1ULL << 0)
#define QC_CORRUPT (1ULL << 1)
#define QC_EXTERNAL (1ULL << 2)
#define QC_COMPRESSION (1ULL << 3)
#define QC_EXTENDED (1ULL << 4)
#define QC_BITMAPS (1ULL << 0)
#define QC_RAW (1ULL << 1)
#define QC_COPIED (1ULL << 63)
#define QC_COMPRESSED (1ULL << 62)
#define QC_OFFSET 0x00fffffffffffe00ULL

#endif

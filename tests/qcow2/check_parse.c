/* The checker: the header, its extensions, the snapshot table. */
#include "config.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define MAGIC 0x514649fbu
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_BITMAPS 0x23852875u
#define EXT_DATA_FILE 0x44415441u
#define MAX_DEPTH 70

static uint64_t be(const struct qc_file *f, uint64_t offset, unsigned int len)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < len; i++)
		value = value << 8 | (offset < f->size - i && i < f->size
					      ? f->data[offset + i]
					      : 0);
	return value;
}

/* Millions of crash points spend their time here. */
static bool inside(const struct qc_file *f, uint64_t offset, uint64_t len)
{
	return offset < f->size && f->size - offset >= len;
}

uint64_t qc_be64(const struct qc_file *f, uint64_t offset)
{
	uint64_t n;

	if (!inside(f, offset, sizeof(n)))
		return be(f, offset, sizeof(n));
	memcpy(&n, f->data + offset, sizeof(n));
	return be64toh(n);
}

uint32_t qc_be32(const struct qc_file *f, uint64_t offset)
{
	return (uint32_t)be(f, offset, 4);
}

uint32_t qc_be16(const struct qc_file *f, uint64_t offset)
{
	uint16_t n;

	if (!inside(f, offset, sizeof(n)))
		return (uint32_t)be(f, offset, sizeof(n));
	memcpy(&n, f->data + offset, sizeof(n));
	return be16toh(n);
}

static bool get_string(const struct qc_file *f, uint64_t offset, uint64_t len,
		       char *to, size_t room)
{
	if (len >= room || offset > f->size || len > f->size - offset)
		return false;
	memcpy(to, f->data + offset, len);
	to[len] = 0;
	return true;
}

static const char *parse_extensions(struct qc_image *img, uint64_t end)
{
	const struct qc_file *f = &img->file;
	uint64_t at = img->header_length;

	while (at + 8 <= end) {
		uint32_t type = qc_be32(f, at), len = qc_be32(f, at + 4);
		bool fine = true;

		at += 8;
		if (!type)
			return NULL;
		if (len > end - at)
			return "extension length";
		if (type == EXT_BACKING_FORMAT)
			fine = get_string(f, at, len, img->backing_format,
					  sizeof(img->backing_format));
		if (type == EXT_DATA_FILE)
			fine = get_string(f, at, len, img->data_name,
					  sizeof(img->data_name));
		if (type == EXT_BITMAPS) {
			fine = len == 24;
			img->has_bitmaps = true;
			img->bitmaps = qc_be32(f, at);
			img->bitmaps_size = qc_be64(f, at + 8);
			img->bitmaps_offset = qc_be64(f, at + 16);
		}
		if (!fine)
			return "extension";
		at += (len + 7ULL) & ~7ULL;
	}
	return NULL;
}

static const char *parse_v3(struct qc_image *img)
{
	const struct qc_file *f = &img->file;

	if (img->version == 2) {
		img->refcount_order = 4;
		img->header_length = 72;
		return NULL;
	}
	img->incompatible = qc_be64(f, 72);
	img->compatible = qc_be64(f, 80);
	img->autoclear = qc_be64(f, 88);
	img->refcount_order = qc_be32(f, 96);
	img->header_length = qc_be32(f, 100);
	if (img->header_length > 104)
		img->compression = (uint8_t)be(f, 104, 1);
	if (img->incompatible & ~31ULL)
		return "incompatible features";
	if (img->refcount_order > 6)
		return "refcount order";
	if (img->header_length < 104 || img->header_length % 8)
		return "header length";
	if (img->compression > 1 ||
	    !img->compression != !(img->incompatible & QC_COMPRESSION))
		return "compression type";
	img->dirty = img->incompatible & QC_DIRTY;
	img->corrupt = img->incompatible & QC_CORRUPT;
	img->external = img->incompatible & QC_EXTERNAL;
	img->extended = img->incompatible & QC_EXTENDED;
	return NULL;
}

static const char *parse(struct qc_image *img)
{
	const struct qc_file *f = &img->file;
	uint64_t backing = qc_be64(f, 8);
	const char *why;

	img->version = qc_be32(f, 4);
	img->cluster_bits = qc_be32(f, 20);
	img->size = qc_be64(f, 24);
	img->l1_size = qc_be32(f, 36);
	img->l1_offset = qc_be64(f, 40);
	img->rt_offset = qc_be64(f, 48);
	img->rt_clusters = qc_be32(f, 56);
	img->snapshots = qc_be32(f, 60);
	img->snapshots_offset = qc_be64(f, 64);
	if (f->size < 72 || qc_be32(f, 0) != MAGIC)
		return "magic";
	if (img->version != 2 && img->version != 3)
		return "version";
	if (img->cluster_bits < 9 || img->cluster_bits > 21)
		return "cluster bits";
	if (qc_be32(f, 32))
		return "encryption";
	img->cluster = 1ULL << img->cluster_bits;
	why = parse_v3(img);
	if (why)
		return why;
	if (img->extended && img->cluster_bits < 14)
		return "cluster bits with extended L2";
	img->l2_bits = img->cluster_bits - (img->extended ? 4 : 3);
	if (backing &&
	    !get_string(f, backing, qc_be32(f, 16), img->backing_name,
			sizeof(img->backing_name)))
		return "backing file name";
	return parse_extensions(img, backing ? backing : img->cluster);
}

static struct qc_image *open_depth(const struct qc_file *file,
				   const char *format, qc_resolve resolve,
				   void *arg, const char **why,
				   unsigned int depth)
{
	struct qc_image *img = calloc(1, sizeof(*img));
	struct qc_file below;

	if (!img)
		abort();
	img->file = img->data_file = *file;
	img->raw = format && *format ? !strcmp(format, "raw")
				     : qc_be32(file, 0) != MAGIC;
	if (img->raw) {
		img->size = file->size;
		return img;
	}
	*why = depth > MAX_DEPTH ? "backing chain" : parse(img);
	if (!*why && img->external &&
	    !(resolve && resolve(arg, img->data_name, &img->data_file)))
		*why = "data file";
	if (!*why && *img->backing_name) {
		if (resolve && resolve(arg, img->backing_name, &below))
			img->backing = open_depth(&below, img->backing_format,
						  resolve, arg, why, depth + 1);
		else
			*why = "backing file";
	}
	if (!*why)
		return img;
	qc_close(img);
	return NULL;
}

struct qc_image *qc_open(const struct qc_file *file, const char *format,
			 qc_resolve resolve, void *arg, const char **why)
{
	*why = NULL;
	return open_depth(file, format, resolve, arg, why, 0);
}

void qc_close(struct qc_image *img)
{
	if (img)
		qc_close(img->backing);
	free(img);
}

bool qc_snapshot(const struct qc_image *img, uint64_t at, struct qc_snapshot *s)
{
	const struct qc_file *f = &img->file;
	uint32_t extra = qc_be32(f, at + 36);

	*s = (struct qc_snapshot){ .at = at };
	s->l1_offset = qc_be64(f, at);
	s->l1_size = qc_be32(f, at + 8);
	s->disk_size = extra >= 16 ? qc_be64(f, at + 48) : img->size;
	s->end = at + 40 + extra + qc_be16(f, at + 12) + qc_be16(f, at + 14);
	s->end = (s->end + 7) & ~7ULL;
	return at < f->size && s->end <= f->size + 7;
}

bool qc_select(struct qc_image *img, unsigned int i)
{
	struct qc_snapshot s = { .end = img->snapshots_offset };

	if (i >= img->snapshots)
		return false;
	do {
		if (!qc_snapshot(img, s.end, &s))
			return false;
	} while (i--);
	img->l1_offset = s.l1_offset;
	img->l1_size = s.l1_size;
	img->size = s.disk_size;
	return true;
}

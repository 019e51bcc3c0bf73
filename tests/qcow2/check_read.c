/* The checker: what the guest reads. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "check.h"

static void copy(const struct qc_file *f, uint8_t *buf, uint64_t len,
		 uint64_t offset)
{
	uint64_t n = offset < f->size ? f->size - offset : 0;

	if (n > len)
		n = len;
	if (n)
		memcpy(buf, f->data + offset, n);
	memset(buf + n, 0, len - n);
}

static bool unpack(const struct qc_image *img, uint8_t *out, const uint8_t *in,
		   uint64_t len)
{
	bool fine = false;

#ifdef HAVE_ZSTD
	if (img->compression == 1) {
		ZSTD_DStream *s = ZSTD_createDStream();
		ZSTD_inBuffer from = { in, len, 0 };
		ZSTD_outBuffer to = { out, img->cluster, 0 };

		while (to.pos < to.size) {
			size_t was = from.pos + to.pos;
			size_t ret = ZSTD_decompressStream(s, &to, &from);

			if (ZSTD_isError(ret) || from.pos + to.pos == was)
				break;
		}
		fine = to.pos == to.size;
		ZSTD_freeDStream(s);
	}
#endif
#ifdef HAVE_ZLIB
	if (img->compression == 0) {
		z_stream s = { .next_in = (uint8_t *)(uintptr_t)in,
			       .avail_in = (uInt)len,
			       .next_out = out,
			       .avail_out = (uInt)img->cluster };
		int ret;

		if (inflateInit2(&s, -12) != Z_OK)
			return false;
		ret = inflate(&s, Z_FINISH);
		fine = (ret == Z_STREAM_END || ret == Z_BUF_ERROR) &&
		       !s.avail_out;
		inflateEnd(&s);
	}
#endif
	(void)in;
	(void)len;
	(void)out;
	return fine;
}

static bool read_compressed(const struct qc_image *img, uint64_t entry,
			    uint8_t *buf, uint64_t len, uint64_t in_cluster)
{
	unsigned int x = 62 - (img->cluster_bits - 8);
	uint64_t offset = entry & ((1ULL << x) - 1);
	uint64_t sectors = (entry & (QC_COMPRESSED - 1)) >> x;
	uint64_t n = (sectors + 1) * 512 - (offset & 511);
	uint8_t *out = malloc(img->cluster);
	bool fine;

	if (!out)
		abort();
	if (offset >= img->file.size) {
		free(out);
		return false;
	}
	if (n > img->file.size - offset)
		n = img->file.size - offset;
	fine = unpack(img, out, img->file.data + offset, n);
	if (fine)
		memcpy(buf, out + in_cluster, len);
	free(out);
	return fine;
}

static bool read_backing(const struct qc_image *img, uint8_t *buf, uint64_t len,
			 uint64_t offset)
{
	if (img->backing)
		return qc_read(img->backing, buf, len, offset);
	memset(buf, 0, len);
	return true;
}

/* @len bytes that lie in one cluster, or with extended L2 in one subcluster */
static bool read_piece(const struct qc_image *img, uint8_t *buf, uint64_t len,
		       uint64_t offset)
{
	uint64_t cluster = offset >> img->cluster_bits;
	uint64_t inside = offset & (img->cluster - 1);
	uint64_t l1 = cluster >> img->l2_bits, entry, map, table;
	uint64_t index = cluster & ((1ULL << img->l2_bits) - 1);
	unsigned int sub = (unsigned int)(inside >> (img->cluster_bits - 5));
	bool has, zero = false;

	table = 0;
	if (l1 < img->l1_size)
		table = qc_be64(&img->file, img->l1_offset + l1 * 8) &
			QC_OFFSET;
	if (!table)
		return read_backing(img, buf, len, offset);
	entry = qc_be64(&img->file, table + (index << (img->extended ? 4 : 3)));
	if (entry & QC_COMPRESSED)
		return read_compressed(img, entry, buf, len, inside);
	has = entry & QC_OFFSET || (img->external && entry & QC_COPIED);
	if (img->extended) {
		map = qc_be64(&img->file, table + index * 16 + 8);
		zero = map >> (32 + sub) & 1;
		has = map >> sub & 1;
	} else if (img->version >= 3) {
		zero = entry & 1;
	}
	if (zero) {
		memset(buf, 0, len);
		return true;
	}
	if (!has)
		return read_backing(img, buf, len, offset);
	copy(&img->data_file, buf, len, (entry & QC_OFFSET) + inside);
	return true;
}

bool qc_read(const struct qc_image *img, void *buf, uint64_t len,
	     uint64_t offset)
{
	uint64_t unit = img->cluster >> (img->extended ? 5 : 0);
	uint8_t *to = buf;

	if (offset < img->size && img->raw) {
		copy(&img->file, to, len, offset);
		return true;
	}
	while (len) {
		uint64_t n = len;

		if (offset >= img->size) {
			memset(to, 0, len);
			return true;
		}
		if (img->raw)
			return false;
		if (n > unit - offset % unit)
			n = unit - offset % unit;
		if (n > img->size - offset)
			n = img->size - offset;
		if (!read_piece(img, to, n, offset))
			return false;
		to += n;
		len -= n;
		offset += n;
	}
	return true;
}

/*
 * The checker: who refers to which cluster, and what the refcounts say.
 *
 * refs[] counts the references to every cluster of the file, kinds[] says
 * what it is used as. A cluster is one thing only, and but for data and L2
 * tables (which snapshots share) it is used once.
 */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum kind { KIND_NONE, KIND_DATA, KIND_L2, KIND_ONCE };

struct walk {
	const struct qc_image *img;
	struct qc_report *report;
	uint64_t clusters; /* in the file, the last one maybe cut */
	uint32_t *refs;
	uint8_t *kinds;
	uint64_t *counts; /* what the refcount blocks say */
};

__attribute__((format(printf, 3, 4))) static void
say(struct walk *w, unsigned int *counter, const char *fmt, ...)
{
	struct qc_report *r = w->report;
	char *first = counter == &r->leaks ? r->first_leak : r->first;
	char line[sizeof(r->first)];
	va_list ap;

	(*counter)++;
	if (*first && (!r->out || r->said > 20))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (!*first)
		memcpy(first, line, sizeof(line));
	if (r->out && r->said++ <= 20)
		fprintf(r->out, "%s: %s\n",
			counter == &r->leaks ? "leak" : "error", line);
}

#define error(w, ...) say(w, &(w)->report->errors, __VA_ARGS__)
#define refcount_error(w, ...) \
	say(w, &(w)->report->refcount_errors, __VA_ARGS__)

static void use(struct walk *w, uint64_t offset, uint64_t len, enum kind kind,
		const char *what)
{
	uint64_t bits = w->img->cluster_bits;
	uint64_t i, last;

	if (!len)
		return;
	if (offset > UINT64_MAX - len) {
		error(w, "%s at %#" PRIx64 " is too long", what, offset);
		return;
	}
	last = (offset + len - 1) >> bits;
	if (last >= w->clusters) {
		error(w,
		      "%s at %#" PRIx64 "+%#" PRIx64
		      " ends behind the file's end",
		      what, offset, len);
		return;
	}
	for (i = offset >> bits; i <= last; i++) {
		w->refs[i]++;
		if (w->kinds[i] == KIND_NONE)
			w->kinds[i] = (uint8_t)kind;
		else if (w->kinds[i] != kind || kind == KIND_ONCE)
			error(w, "%s at %#" PRIx64 " overlaps metadata", what,
			      offset);
	}
}

static bool aligned(struct walk *w, uint64_t offset, const char *what)
{
	if (!(offset & (w->img->cluster - 1)))
		return true;
	error(w, "%s at %#" PRIx64 " is not aligned", what, offset);
	return false;
}

static void walk_compressed(struct walk *w, uint64_t entry)
{
	unsigned int x = 62 - (w->img->cluster_bits - 8);
	uint64_t offset = entry & ((1ULL << x) - 1);
	uint64_t sectors = (entry & (QC_COMPRESSED - 1)) >> x;
	uint64_t end = (offset & ~511ULL) + (sectors + 1) * 512;

	if (entry & QC_COPIED)
		refcount_error(w, "compressed cluster is COPIED: %#" PRIx64,
			       entry);
	if (w->img->external)
		error(w, "compressed cluster with a data file");
	/* The last sector may be cut by the end of the file. */
	if (end > w->img->file.size && end - w->img->file.size < 512)
		end = w->img->file.size;
	if (offset >= end)
		error(w, "compressed cluster behind the end: %#" PRIx64, entry);
	else
		use(w, offset, end - offset, KIND_DATA, "compressed cluster");
}

static void walk_subclusters(struct walk *w, uint64_t entry, uint64_t map,
			     uint64_t guest)
{
	bool has = entry & QC_OFFSET || (w->img->external && entry & QC_COPIED);

	if (map & map >> 32 & UINT32_MAX)
		error(w,
		      "subclusters of %#" PRIx64
		      " are data and zero: %#" PRIx64,
		      guest, map);
	if (!has && map & UINT32_MAX)
		error(w,
		      "subclusters of %#" PRIx64 " are data nowhere: %#" PRIx64,
		      guest, map);
}

static void walk_cluster(struct walk *w, uint64_t entry, uint64_t map,
			 uint64_t guest)
{
	const struct qc_image *img = w->img;
	uint64_t offset = entry & QC_OFFSET;
	uint64_t reserved = 0x3f000000000001feULL;

	if (entry & QC_COMPRESSED) {
		walk_compressed(w, entry);
		if (map)
			error(w, "subclusters of a compressed cluster");
		return;
	}
	if (img->version < 3 || img->extended)
		reserved |= 1;
	if (entry & reserved)
		error(w,
		      "L2 entry of %#" PRIx64 " has reserved bits: %#" PRIx64,
		      guest, entry);
	if (img->extended)
		walk_subclusters(w, entry, map, guest);
	if (!offset && !(img->external && entry & QC_COPIED)) {
		if (entry & QC_COPIED)
			refcount_error(w,
				       "no cluster, but COPIED, at %#" PRIx64,
				       guest);
		return;
	}
	if (!aligned(w, offset, "data cluster"))
		return;
	if (!img->external)
		use(w, offset, img->cluster, KIND_DATA, "data cluster");
	else if (offset != guest)
		error(w, "the data file holds %#" PRIx64 " at %#" PRIx64, guest,
		      offset);
}

static void walk_l2(struct walk *w, uint64_t table, uint64_t guest)
{
	const struct qc_image *img = w->img;
	uint64_t i, n = 1ULL << img->l2_bits;
	unsigned int step = img->extended ? 16 : 8;

	for (i = 0; i < n; i++, table += step) {
		uint64_t entry = qc_be64(&img->file, table);
		uint64_t map = 0;

		if (img->extended)
			map = qc_be64(&img->file, table + 8);
		if (entry || map)
			walk_cluster(w, entry, map,
				     guest + (i << img->cluster_bits));
	}
}

static void walk_l1(struct walk *w, uint64_t l1, uint32_t size, uint64_t disk,
		    const char *what)
{
	const struct qc_image *img = w->img;
	unsigned int shift = img->cluster_bits + img->l2_bits;
	uint64_t i, needed = disk >> shift;

	needed += (disk & ((1ULL << shift) - 1)) != 0;
	if (size < needed)
		error(w, "%s has %u entries, too few for the disk", what, size);
	if (!size || !aligned(w, l1, what))
		return;
	if (l1 > img->file.size || size * 8ULL > img->file.size - l1) {
		/* Its last cluster may be cut. */
		if (l1 >= img->file.size ||
		    ((l1 + size * 8ULL - 1) >> img->cluster_bits) >=
			    w->clusters) {
			error(w, "%s lies behind the end", what);
			return;
		}
	}
	use(w, l1, size * 8ULL, KIND_ONCE, what);
	for (i = 0; i < size; i++) {
		uint64_t entry = qc_be64(&img->file, l1 + i * 8);
		uint64_t offset = entry & QC_OFFSET;

		if (entry & ~(QC_OFFSET | QC_COPIED))
			error(w, "%s entry has reserved bits: %#" PRIx64, what,
			      entry);
		if (!offset && (entry & QC_COPIED))
			refcount_error(w, "no L2 table, but COPIED: %#" PRIx64, entry);
		if (!offset || !aligned(w, offset, "L2 table"))
			continue;
		use(w, offset, img->cluster, KIND_L2, "L2 table");
		if (offset < img->file.size)
			walk_l2(w, offset, i << shift);
	}
}

static void walk_snapshots(struct walk *w)
{
	const struct qc_image *img = w->img;
	struct qc_snapshot s = { .end = img->snapshots_offset };
	uint32_t i;

	for (i = 0; i < img->snapshots; i++) {
		if (!qc_snapshot(img, s.end, &s)) {
			error(w, "snapshot table");
			return;
		}
		walk_l1(w, s.l1_offset, s.l1_size, s.disk_size,
			"L1 of a snapshot");
	}
	if (img->snapshots &&
	    aligned(w, img->snapshots_offset, "snapshot table"))
		use(w, img->snapshots_offset, s.end - img->snapshots_offset,
		    KIND_ONCE, "snapshot table");
}

static void walk_bitmaps(struct walk *w)
{
	const struct qc_file *f = &w->img->file;
	uint64_t at = w->img->bitmaps_offset;
	uint64_t end = at + w->img->bitmaps_size, table, entry;
	uint32_t i, j, n;

	if (!w->img->has_bitmaps || !(w->img->autoclear & QC_BITMAPS))
		return;
	use(w, at, w->img->bitmaps_size, KIND_ONCE, "bitmap directory");
	for (i = 0; i < w->img->bitmaps; i++) {
		if (at >= end) {
			error(w, "bitmap directory is too short");
			return;
		}
		table = qc_be64(f, at);
		n = qc_be32(f, at + 8);
		use(w, table, n * 8ULL, KIND_ONCE, "bitmap table");
		for (j = 0; j < n && table + j * 8ULL < f->size; j++) {
			entry = qc_be64(f, table + j * 8ULL) & QC_OFFSET;
			if (entry && aligned(w, entry, "bitmap cluster"))
				use(w, entry, w->img->cluster, KIND_ONCE,
				    "bitmap cluster");
		}
		at += (24ULL + qc_be16(f, at + 18) + qc_be32(f, at + 20) + 7) &
		      ~7ULL;
	}
}

static uint64_t refcount_at(const struct walk *w, uint64_t block, uint64_t i)
{
	unsigned int order = w->img->refcount_order, shift;
	uint64_t at;
	uint8_t byte;

	if (order >= 3) {
		at = block + (i << (order - 3));
		if (order == 6)
			return qc_be64(&w->img->file, at);
		if (order == 5)
			return qc_be32(&w->img->file, at);
		if (order == 4)
			return qc_be16(&w->img->file, at);
	} else {
		at = block + (i >> (3 - order));
	}
	if (at >= w->img->file.size)
		return 0;
	byte = w->img->file.data[at];
	if (order == 3)
		return byte;
	shift = (unsigned int)(i & ((1u << (3 - order)) - 1)) << order;
	return byte >> shift & ((1u << (1u << order)) - 1);
}

/* The refcount blocks: their own references, and what they say. */
static void walk_refcounts(struct walk *w)
{
	const struct qc_image *img = w->img;
	uint64_t per_block = img->cluster * 8 >> img->refcount_order;
	uint64_t n = (uint64_t)img->rt_clusters << img->cluster_bits >> 3;
	uint64_t i, j, block;

	if (!aligned(w, img->rt_offset, "refcount table") || !n ||
	    img->rt_offset + 8 * n - 1 >= w->clusters << img->cluster_bits) {
		error(w, "refcount table at %#" PRIx64, img->rt_offset);
		return;
	}
	use(w, img->rt_offset, 8 * n, KIND_ONCE, "refcount table");
	for (i = 0; i < n; i++) {
		block = qc_be64(&img->file, img->rt_offset + i * 8);
		if (block & 511)
			error(w,
			      "refcount table entry has reserved bits: %#" PRIx64,
			      block);
		block &= ~511ULL;
		if (!block || !aligned(w, block, "refcount block"))
			continue;
		use(w, block, img->cluster, KIND_ONCE, "refcount block");
		for (j = 0; j < per_block; j++) {
			uint64_t count = refcount_at(w, block, j);

			if (count && i * per_block + j >= w->clusters)
				say(w, &w->report->leaks,
				    "refcount of cluster %" PRIu64
				    ", behind the end, is %" PRIu64,
				    i * per_block + j, count);
			else if (count)
				w->counts[i * per_block + j] = count;
		}
	}
}

static void compare_refcounts(struct walk *w)
{
	uint64_t i;

	for (i = 0; i < w->clusters; i++) {
		if (w->counts[i] < w->refs[i])
			refcount_error(w,
				       "cluster %" PRIu64 ": refcount %" PRIu64
				       ", references %u",
				       i, w->counts[i], w->refs[i]);
		else if (w->counts[i] > w->refs[i])
			say(w, &w->report->leaks,
			    "cluster %" PRIu64 ": refcount %" PRIu64
			    ", references %u",
			    i, w->counts[i], w->refs[i]);
	}
}

static void check_copied(struct walk *w, uint64_t entry, const char *what)
{
	uint64_t i = (entry & QC_OFFSET) >> w->img->cluster_bits;
	bool once = i < w->clusters && w->counts[i] == 1;

	if (!(entry & QC_OFFSET) || once == !!(entry & QC_COPIED))
		return;
	refcount_error(
		w, "COPIED of %s does not fit: %#" PRIx64 ", refcount %" PRIu64,
		what, entry, i < w->clusters ? w->counts[i] : 0);
}

/* COPIED says that the refcount is one; in the active tables only. */
static void walk_copied(struct walk *w)
{
	const struct qc_image *img = w->img;
	unsigned int step = img->extended ? 16 : 8;
	uint64_t i, at;

	for (i = 0; i < img->l1_size; i++) {
		uint64_t l1 = qc_be64(&img->file, img->l1_offset + i * 8);
		uint64_t table = l1 & QC_OFFSET;

		check_copied(w, l1, "an L2 table");
		if (!table || img->external)
			continue;
		for (at = table; at < table + img->cluster; at += step) {
			uint64_t entry = qc_be64(&img->file, at);

			if (!(entry & QC_COMPRESSED))
				check_copied(w, entry, "a cluster");
		}
	}
}

void qc_check(const struct qc_image *img, struct qc_report *report)
{
	struct walk w = { .img = img, .report = report };

	w.clusters = (img->file.size + img->cluster - 1) >> img->cluster_bits;
	w.refs = calloc(w.clusters, sizeof(*w.refs));
	w.kinds = calloc(w.clusters, 1);
	w.counts = calloc(w.clusters, sizeof(*w.counts));
	if (!w.refs || !w.kinds || !w.counts)
		abort();
	use(&w, 0, img->cluster, KIND_ONCE, "header");
	walk_refcounts(&w);
	walk_l1(&w, img->l1_offset, img->l1_size, img->size, "L1");
	walk_snapshots(&w);
	walk_bitmaps(&w);
	compare_refcounts(&w);
	walk_copied(&w);
	if (img->corrupt)
		error(&w, "the corrupt bit is set");
	free(w.refs);
	free(w.kinds);
	free(w.counts);
}

/*
 * Internal snapshots. The directory is walked once at open: the sizes of its
 * entries are checked, and --snapshot finds its entry there. What a snapshot
 * refers to is protected by its refcounts; where its L1 table is, overlap.c lets
 * nobody write, whatever an L2 entry says.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/snapshot.h"
#include "loop/log.h"

#define MAX_SNAPSHOTS 65536u
#define MAX_DIRECTORY (64u << 20) /* bytes, and an entry: */
#define MAX_EXTRA 1024u
#define ENTRY 40u /* bytes before the extra data */

struct entry {
	uint64_t l1_offset;
	uint32_t l1_size;
	uint32_t id_length, name_length, extra;
	uint64_t disk_size;
	char names[2 * 65536];
};

static uint64_t load(const uint8_t *at, unsigned int bytes)
{
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | *at++;
	return n;
}

static int read_entry(struct qcow2 *q, uint64_t at, struct entry *e)
{
	uint8_t head[ENTRY + MAX_EXTRA];
	uint64_t names;
	int ret = block_pread(q->file, head, ENTRY, at);

	if (ret)
		return ret;
	e->l1_offset = load(head, 8);
	e->l1_size = (uint32_t)load(head + 8, 4);
	e->id_length = (uint32_t)load(head + 12, 2);
	e->name_length = (uint32_t)load(head + 14, 2);
	e->extra = (uint32_t)load(head + 36, 4);
	if (e->extra > MAX_EXTRA)
		return qcow2_bad_field(q, "snapshot's extra data size",
				       e->extra, "more than 1024 bytes");
	if (e->extra)
		ret = block_pread(q->file, head + ENTRY, e->extra, at + ENTRY);
	if (ret)
		return ret;
	e->disk_size = e->extra >= 16 ? load(head + ENTRY + 8, 8) :
					q->b->size;
	names = (uint64_t)e->id_length + e->name_length;
	return names ? block_pread(q->file, e->names, names,
				   at + ENTRY + e->extra) :
		       0;
}

static uint64_t entry_length(const struct entry *e)
{
	return qcow2_round_up(ENTRY + (uint64_t)e->extra + e->id_length +
				      e->name_length,
			      8);
}

static bool is_called(const char *wanted, const char *name, uint32_t length)
{
	return strlen(wanted) == length && !memcmp(wanted, name, length);
}

static int take(struct qcow2 *q, const struct entry *e)
{
	uint64_t covers = 1ULL << (q->geo.cluster_bits + q->geo.l2_bits);

	if (e->l1_size > QCOW2_MAX_L1 / 8)
		return qcow2_bad_field(q, "snapshot's l1_size", e->l1_size,
				       "an L1 table has at most 4194304 "
				       "entries (32 MiB)");
	if (e->disk_size > (uint64_t)INT64_MAX - q->geo.cluster_size ||
	    (e->disk_size + covers - 1) / covers > e->l1_size)
		return qcow2_bad_field(q, "snapshot's disk size", e->disk_size,
				       "its L1 table is too small for that");
	q->l1_offset = e->l1_offset;
	q->l1_size = e->l1_size;
	q->b->size = e->disk_size;
	return 0;
}

/* An L1 table that is nowhere is for those to refuse who want to read it. */
static void note_l1(struct qcow2 *q, const struct entry *e)
{
	uint64_t end = e->l1_offset + (uint64_t)e->l1_size * 8;

	if (!q->inactive || !e->l1_size || e->l1_offset >= QCOW2_OFFSET)
		return;
	q->inactive[q->inactive_count++] = (struct qcow2_range){
		e->l1_offset - qcow2_in_cluster(q, e->l1_offset),
		qcow2_round_up(end, q->geo.cluster_size)
	};
}

static int walk(struct qcow2 *q, struct entry *e)
{
	const char *wanted = q->b->opt.snapshot;
	uint64_t at = q->snapshots_offset;
	uint32_t i;
	int ret = 0, found = 0, by_id = 0;
	struct { uint64_t l1_offset, disk_size; uint32_t l1_size; } hit = { 0 };

	for (i = 0; !ret && i < q->snapshots; i++) {
		ret = read_entry(q, at, e);
		if (ret) {
			log_warnx("%s: qcow2: reading entry %u of the snapshot "
				  "table: %s",
				  q->b->opt.path, i, strerror(-ret));
			return ret;
		}
		note_l1(q, e);
		at += entry_length(e);
		if (at - q->snapshots_offset > MAX_DIRECTORY)
			return qcow2_bad_field(q, "nb_snapshots", q->snapshots,
					       "the table is too large");
		if (!wanted || by_id)
			continue;
		by_id = is_called(wanted, e->names, e->id_length);
		if (!by_id && (found || !is_called(wanted,
						   e->names + e->id_length,
						   e->name_length)))
			continue;
		found = 1;
		hit.l1_offset = e->l1_offset;
		hit.l1_size = e->l1_size;
		hit.disk_size = e->disk_size;
	}
	q->snapshots_length = at - q->snapshots_offset;
	if (!wanted)
		return 0;
	if (!found) {
		log_warnx("%s: qcow2: it has no snapshot '%s'; see 'qemu-img "
			  "snapshot -l'",
			  q->b->opt.path, wanted);
		return -ENOENT;
	}
	e->l1_offset = hit.l1_offset;
	e->l1_size = hit.l1_size;
	e->disk_size = hit.disk_size;
	return take(q, e);
}

int qcow2_for_snapshots(struct qcow2 *q,
			int (*fn)(struct qcow2 *q, void *arg,
				  uint64_t l1_offset, uint32_t l1_size),
			void *arg)
{
	struct entry *e = malloc(sizeof(*e));
	uint64_t at = q->snapshots_offset;
	uint32_t i;
	int ret = e ? 0 : -ENOMEM;

	for (i = 0; !ret && i < q->snapshots; i++) {
		ret = read_entry(q, at, e);
		if (!ret)
			ret = fn(q, arg, e->l1_offset, e->l1_size);
		at += entry_length(e);
	}
	free(e);
	return ret;
}

int qcow2_check_snapshots(struct qcow2 *q)
{
	struct entry *e;
	int ret;

	if (q->snapshots > MAX_SNAPSHOTS)
		return qcow2_bad_field(q, "nb_snapshots", q->snapshots,
				       "more than 65536");
	if (q->snapshots && (!q->snapshots_offset ||
			     qcow2_in_cluster(q, q->snapshots_offset) ||
			     q->snapshots_offset >= q->file->size))
		return qcow2_bad_field(q, "snapshots_offset",
				       q->snapshots_offset,
				       "not aligned to a cluster, or outside of"
				       " the file");
	if (q->snapshots && q->geo.data_file)
		return qcow2_bad_field(q, "nb_snapshots", q->snapshots,
				       "an image with a data file cannot have "
				       "snapshots");
	e = malloc(sizeof(*e));
	if (!q->b->opt.read_only && q->snapshots)
		q->inactive = calloc(q->snapshots, sizeof(*q->inactive));
	if (!e || (!q->b->opt.read_only && q->snapshots && !q->inactive)) {
		log_warnx("%s: open: out of memory", q->b->opt.path);
		free(e);
		return -ENOMEM;
	}
	ret = walk(q, e);
	free(e);
	return ret;
}

/*
 * What an image of unknown origin may be, with --untrusted: one that is opened
 * with little work and memory, all of it bounded here, and without anything
 * that is written on its maker's behalf. That leaves out repairs, which go
 * through all tables, and for writing internal snapshots, whose tables all
 * are read. Other files are files.c's to refuse.
 */
#include "config.h"

#include <errno.h>

#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/plain.h"

#define MOST_TABLE (1u << 20) /* bytes; with 64k clusters a disk of 64T */
#define MOST_SNAPSHOTS 256u

int qcow2_check_plain(struct qcow2 *q)
{
	bool writes = !q->b->opt.read_only;
	uint64_t bits = q->incompatible;

	if (bits & QCOW2_INCOMPAT_CORRUPT)
		return qcow2_bad_field(q, "incompatible_features", bits,
				       "it is marked corrupt, and --untrusted "
				       "refuses that; repair it with 'qemu-img "
				       "check -r all'");
	if (bits & QCOW2_INCOMPAT_DIRTY && writes)
		return qcow2_bad_field(q, "incompatible_features", bits,
				       "it was not closed cleanly, and "
				       "--untrusted repairs nothing; use "
				       "'qemu-img check -r all', or open it "
				       "--read-only");
	if (q->l1_size > MOST_TABLE / 8)
		return qcow2_bad_field(q, "l1_size", q->l1_size,
				       "with --untrusted an L1 table has at "
				       "most 131072 entries (1 MiB)");
	if (q->reftable_size > MOST_TABLE / 8)
		return qcow2_bad_field(q, "refcount_table_clusters",
				       q->reftable_size * 8 >>
					       q->geo.cluster_bits,
				       "with --untrusted a refcount table has "
				       "at most 1 MiB");
	if (q->snapshots && writes)
		return qcow2_bad_field(
			q, "nb_snapshots", q->snapshots,
			"with --untrusted an image with internal "
			"snapshots is not written; open it "
			"--read-only");
	if (q->snapshots > MOST_SNAPSHOTS)
		return qcow2_bad_field(q, "nb_snapshots", q->snapshots,
				       "with --untrusted there may be 256");
	return 0;
}

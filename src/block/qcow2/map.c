/*
 * Guest offset -> where it is. The unit is the subcluster: an image without
 * extended L2 entries has one per cluster, and its entries are brought into
 * the same form (struct qcow2_l2e).
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/qcow2/cache.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/map.h"
#include "loop/log.h"

#define MAX_RUN 4096u /* (sub)clusters that one lookup goes through */

struct qcow2_l2e qcow2_l2_get(const struct qcow2 *q,
			      const struct qcow2_slice *s, unsigned int i)
{
	return qcow2_l2_decode(&q->geo, s->data + (size_t)i * q->geo.l2_entry);
}

void qcow2_l2_put(const struct qcow2 *q, struct qcow2_slice *s, unsigned int i,
		  struct qcow2_l2e e)
{
	qcow2_l2_encode(&q->geo, s->data + (size_t)i * q->geo.l2_entry, e);
	qcow2_slice_dirty(s);
}

unsigned int qcow2_slice_entries(const struct qcow2 *q)
{
	return q->slice_size / q->geo.l2_entry;
}

unsigned int qcow2_slice_index(const struct qcow2 *q, uint64_t guest)
{
	return (unsigned int)(guest >> q->geo.cluster_bits) &
	       (qcow2_slice_entries(q) - 1);
}

uint64_t qcow2_table_left(const struct qcow2 *q, uint64_t guest)
{
	uint64_t covers = 1ULL << (q->geo.cluster_bits + q->geo.l2_bits);

	return covers - (guest & (covers - 1));
}

int qcow2_l1_get(struct qcow2 *q, uint64_t guest, bool change, uint64_t *offset,
		 bool *copied)
{
	uint64_t i = guest >> (q->geo.cluster_bits + q->geo.l2_bits), entry;
	const char *wrong;

	*offset = 0;
	*copied = false;
	if (i >= q->l1_size)
		return 0;
	entry = be64toh(q->l1[i]);
	*offset = entry & QCOW2_OFFSET;
	*copied = entry & QCOW2_COPIED;
	wrong = qcow2_l1_wrong(&q->geo, entry);
	return wrong ? qcow2_damaged(q, change, wrong, guest) : 0;
}

uint64_t qcow2_slice_offset(const struct qcow2 *q, uint64_t table,
			    uint64_t guest)
{
	uint64_t i =
		(guest >> q->geo.cluster_bits) & ((1ULL << q->geo.l2_bits) - 1);

	return table + ((i * q->geo.l2_entry) & ~(uint64_t)(q->slice_size - 1));
}

/* It has no meaning there, and does no harm: QEMU looks over it, too. */
static void tell_copied(struct qcow2 *q, uint64_t guest)
{
	if (q->told_copied)
		return;
	q->told_copied = true;
	log_warnx(
		"%s: qcow2: the compressed cluster for guest offset 0x%" PRIx64
		" has the COPIED flag, which only a plain one may have; it is "
		"read all the same, but something damaged the image; see "
		"'qemu-img check'",
		q->b->opt.path, guest);
}

int qcow2_l2_check(struct qcow2 *q, const struct qcow2_l2e *e, uint64_t guest,
		   bool change)
{
	const char *wrong = qcow2_l2_wrong(&q->geo, e, guest);

	if (wrong)
		return qcow2_damaged(q, change, wrong, guest);
	if (e->desc & QCOW2_COMPRESSED && e->desc & QCOW2_COPIED)
		tell_copied(q, guest);
	return 0;
}

/* The slice for @guest, if it is in the cache. */
static const struct qcow2_slice *next_slice(struct qcow2 *q, uint64_t guest,
					    bool copied)
{
	uint64_t i = guest >> (q->geo.cluster_bits + q->geo.l2_bits), table;

	if (i >= q->l1_size)
		return NULL;
	table = be64toh(q->l1[i]);
	if (qcow2_l1_wrong(&q->geo, table) ||
	    (copied && !(table & QCOW2_COPIED)))
		return NULL;
	return qcow2_slice_peek(
		q->l2, qcow2_slice_offset(q, table & QCOW2_OFFSET, guest));
}

/*
 * How far does what is at @guest go on, within the cached slices? Many L1
 * entries of a bad image may name one of them, so this has an end.
 */
static uint64_t run_length(struct qcow2 *q, const struct qcow2_slice *s,
			   uint64_t guest, uint64_t length,
			   const struct qcow2_map *map)
{
	unsigned int i = qcow2_slice_index(q, guest);
	unsigned int sub = (unsigned int)(qcow2_in_cluster(q, guest) >>
					  q->geo.subcluster_bits);
	uint32_t unit = 1u << q->geo.subcluster_bits;
	uint64_t run = unit - (guest & (unit - 1));
	struct qcow2_l2e e = qcow2_l2_get(q, s, i);

	length = qcow2_min(length, (uint64_t)unit * MAX_RUN);
	while (run < length) {
		if (++sub == q->geo.subs) {
			sub = 0;
			if (++i == qcow2_slice_entries(q)) {
				s = next_slice(q, guest + run, map->copied);
				if (!s)
					break;
				i = 0;
			}
			e = qcow2_l2_get(q, s, i);
			if (qcow2_l2_wrong(&q->geo, &e, guest + run))
				break;
		}
		if (qcow2_kind_of(&e, sub) != map->kind)
			break;
		if (map->kind == QCOW2_DATA &&
		    ((e.desc & QCOW2_OFFSET) + ((uint64_t)sub
						<< q->geo.subcluster_bits) !=
			     map->host + run ||
		     !(e.desc & QCOW2_COPIED) != !map->copied))
			break;
		run += unit;
	}
	return qcow2_min(run, length);
}

int qcow2_lookup(struct qcow2 *q, struct qcow2_job *job, uint64_t guest,
		 uint64_t length, bool change, struct qcow2_map *map)
{
	struct qcow2_slice *s;
	struct qcow2_l2e e;
	uint64_t table;
	bool copied;
	int ret;

	*map = (struct qcow2_map){ .kind = QCOW2_UNALLOCATED };
	ret = qcow2_l1_get(q, guest, change, &table, &copied);
	if (ret)
		return ret;
	if (!table) {
		map->length = qcow2_min(length, qcow2_table_left(q, guest));
		return 0;
	}
	ret = qcow2_slice_get(q->l2, qcow2_slice_offset(q, table, guest), job,
			      &s);
	if (ret)
		return ret;
	e = qcow2_l2_get(q, s, qcow2_slice_index(q, guest));
	ret = qcow2_l2_check(q, &e, guest, change);
	if (ret)
		return ret;
	map->kind =
		qcow2_kind_of(&e, (unsigned int)(qcow2_in_cluster(q, guest) >>
						 q->geo.subcluster_bits));
	if (map->kind == QCOW2_COMPRESSED_DATA) {
		map->host = e.desc;
		map->length =
			qcow2_min(length, q->geo.cluster_size -
						  qcow2_in_cluster(q, guest));
		return 0;
	}
	if (map->kind == QCOW2_DATA) {
		map->host = (e.desc & QCOW2_OFFSET) +
			    qcow2_in_cluster(q, guest);
		map->copied = e.desc & QCOW2_COPIED && copied;
	}
	map->length = run_length(q, s, guest, length, map);
	map->entries = (uint32_t)(map->length >> q->geo.subcluster_bits) + 1;
	return 0;
}

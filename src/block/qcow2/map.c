/*
 * Guest offset -> where it is. The unit is the subcluster: an image without
 * extended L2 entries has one per cluster, and its entries are brought into
 * the same form (struct qcow2_l2e).
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/qcow2/qcow2.h"
#include "loop/log.h"

#define MAX_RUN 4096u /* (sub)clusters that one lookup goes through */

#define ALLOCATED(sub) (1ULL << (sub))
#define ZEROED(sub) (1ULL << ((sub) + 32))

struct qcow2_l2e qcow2_l2_get(const struct qcow2 *q,
			      const struct qcow2_slice *s, unsigned int i)
{
	struct qcow2_l2e e = { 0, 0 };

	memcpy(&e.desc, s->data + (size_t)i * q->l2_entry, 8);
	e.desc = be64toh(e.desc);
	if (q->extended) {
		memcpy(&e.bitmap, s->data + (size_t)i * q->l2_entry + 8, 8);
		e.bitmap = be64toh(e.bitmap);
		return e;
	}
	if (e.desc & QCOW2_COMPRESSED)
		return e;
	if (q->version >= 3 && e.desc & QCOW2_ZERO) {
		e.desc &= ~QCOW2_ZERO;
		e.bitmap = ZEROED(0);
	} else if (e.desc & QCOW2_OFFSET ||
		   (q->data_file && e.desc & QCOW2_COPIED)) {
		e.bitmap = ALLOCATED(0);
	}
	return e;
}

void qcow2_l2_put(const struct qcow2 *q, struct qcow2_slice *s, unsigned int i,
		  struct qcow2_l2e e)
{
	if (!q->extended && !(e.desc & QCOW2_COMPRESSED) &&
	    e.bitmap & ZEROED(0))
		e.desc |= QCOW2_ZERO;
	e.desc = htobe64(e.desc);
	memcpy(s->data + (size_t)i * q->l2_entry, &e.desc, 8);
	if (q->extended) {
		e.bitmap = htobe64(e.bitmap);
		memcpy(s->data + (size_t)i * q->l2_entry + 8, &e.bitmap, 8);
	}
	qcow2_slice_dirty(s);
}

unsigned int qcow2_slice_entries(const struct qcow2 *q)
{
	return q->l2.slice_size / q->l2_entry;
}

unsigned int qcow2_slice_index(const struct qcow2 *q, uint64_t guest)
{
	return (unsigned int)(guest >> q->cluster_bits) &
	       (qcow2_slice_entries(q) - 1);
}

uint64_t qcow2_table_left(const struct qcow2 *q, uint64_t guest)
{
	uint64_t covers = 1ULL << (q->cluster_bits + q->l2_bits);

	return covers - (guest & (covers - 1));
}

int qcow2_l1_get(struct qcow2 *q, uint64_t guest, bool change, uint64_t *offset,
		 bool *copied)
{
	uint64_t i = guest >> (q->cluster_bits + q->l2_bits), entry;

	*offset = 0;
	*copied = false;
	if (i >= q->l1_size)
		return 0;
	entry = be64toh(q->l1[i]);
	if (entry & QCOW2_L1_RESERVED)
		return qcow2_damaged(q, change,
				     "L1 entry with reserved bits for "
				     "guest offset",
				     guest);
	*offset = entry & QCOW2_OFFSET;
	*copied = entry & QCOW2_COPIED;
	if (qcow2_in_cluster(q, *offset))
		return qcow2_damaged(q, change,
				     "L1 entry not aligned to a cluster,"
				     " for guest offset",
				     guest);
	return 0;
}

uint64_t qcow2_slice_offset(const struct qcow2 *q, uint64_t table,
			    uint64_t guest)
{
	uint64_t i = (guest >> q->cluster_bits) & ((1ULL << q->l2_bits) - 1);

	return table + ((i * q->l2_entry) & ~(uint64_t)(q->l2.slice_size - 1));
}

enum qcow2_kind qcow2_kind_of(const struct qcow2_l2e *e, unsigned int sub)
{
	if (e->desc & QCOW2_COMPRESSED)
		return QCOW2_PACKED;
	if (e->bitmap & ZEROED(sub))
		return QCOW2_ZEROS;
	return e->bitmap & ALLOCATED(sub) ? QCOW2_DATA : QCOW2_UNALLOCATED;
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
	uint64_t host = e->desc & QCOW2_OFFSET;

	if (e->desc & QCOW2_COMPRESSED) {
		if (e->desc & QCOW2_COPIED && !q->data_file)
			tell_copied(q, guest);
		if (q->data_file)
			return qcow2_damaged(q, change,
					     "compressed cluster that "
					     "must not be one, for guest"
					     " offset",
					     guest);
		return 0;
	}
	if (e->desc & QCOW2_L2_RESERVED || e->desc & QCOW2_ZERO)
		return qcow2_damaged(q, change,
				     "L2 entry with reserved bits for "
				     "guest offset",
				     guest);
	if (qcow2_in_cluster(q, host))
		return qcow2_damaged(q, change,
				     "L2 entry not aligned to a cluster,"
				     " for guest offset",
				     guest);
	if ((e->bitmap >> 32) & e->bitmap)
		return qcow2_damaged(q, change,
				     "subcluster both allocated and "
				     "zero, for guest offset",
				     guest);
	if (q->data_file) {
		guest -= qcow2_in_cluster(q, guest);
		if ((host || e->desc & QCOW2_COPIED) && host != guest)
			return qcow2_damaged(q, change,
					     "L2 entry that is not at "
					     "its place in the data "
					     "file, for guest offset",
					     guest);
		return 0;
	}
	if (!host && (e->desc & QCOW2_COPIED || (uint32_t)e->bitmap))
		return qcow2_damaged(q, change,
				     "data in the header's cluster, for "
				     "guest offset",
				     guest);
	return 0;
}

/* The slice for @guest, if it is in the cache. */
static const struct qcow2_slice *next_slice(struct qcow2 *q, uint64_t guest,
					    bool copied)
{
	uint64_t i = guest >> (q->cluster_bits + q->l2_bits), table;

	if (i >= q->l1_size)
		return NULL;
	table = be64toh(q->l1[i]);
	if (table & QCOW2_L1_RESERVED || (copied && !(table & QCOW2_COPIED)))
		return NULL;
	return qcow2_slice_peek(&q->l2, qcow2_slice_offset(
					q, table & QCOW2_OFFSET, guest));
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
					  q->sub_bits);
	uint32_t unit = 1u << q->sub_bits;
	uint64_t run = unit - (guest & (unit - 1));
	struct qcow2_l2e e = qcow2_l2_get(q, s, i);

	length = qcow2_min(length, (uint64_t)unit * MAX_RUN);
	while (run < length) {
		if (++sub == q->subs) {
			sub = 0;
			if (++i == qcow2_slice_entries(q)) {
				s = next_slice(q, guest + run, map->copied);
				if (!s)
					break;
				i = 0;
			}
			e = qcow2_l2_get(q, s, i);
			if (e.desc & QCOW2_COMPRESSED ||
			    (e.desc & (QCOW2_L2_RESERVED | QCOW2_ZERO)) ||
			    qcow2_in_cluster(q, e.desc & QCOW2_OFFSET) ||
			    (e.bitmap >> 32 & e.bitmap))
				break;
		}
		if (qcow2_kind_of(&e, sub) != map->kind)
			break;
		if (map->kind == QCOW2_DATA &&
		    ((e.desc & QCOW2_OFFSET) + ((uint64_t)sub << q->sub_bits) !=
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
	ret = qcow2_slice_get(&q->l2, qcow2_slice_offset(q, table, guest), job,
			      &s);
	if (ret)
		return ret;
	e = qcow2_l2_get(q, s, qcow2_slice_index(q, guest));
	ret = qcow2_l2_check(q, &e, guest, change);
	if (ret)
		return ret;
	map->kind = qcow2_kind_of(&e, (unsigned int)(qcow2_in_cluster(q, guest)
						     >> q->sub_bits));
	if (map->kind == QCOW2_PACKED) {
		map->host = e.desc;
		map->length = qcow2_min(length, q->cluster_size -
						qcow2_in_cluster(q, guest));
		return 0;
	}
	if (map->kind == QCOW2_DATA) {
		map->host = (e.desc & QCOW2_OFFSET) +
			    qcow2_in_cluster(q, guest);
		map->copied = e.desc & QCOW2_COPIED && copied;
	}
	map->length = run_length(q, s, guest, length, map);
	map->entries = (uint32_t)(map->length >> q->sub_bits) + 1;
	return 0;
}

void qcow2_packed_range(const struct qcow2 *q, uint64_t desc, uint64_t *offset,
			uint64_t *length)
{
	unsigned int x = 62 - (q->cluster_bits - 8);
	uint64_t sectors = ((desc & ~(3ULL << 62)) >> x) + 1;

	*offset = desc & ((1ULL << x) - 1) & ((1ULL << 56) - 1);
	*length = sectors * QCOW2_SECTOR - (*offset & (QCOW2_SECTOR - 1));
}

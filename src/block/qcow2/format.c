#include "config.h"

#include "block/bytes.h"
#include "block/qcow2/format.h"

#define ALLOCATED 1ULL
#define ZEROED (1ULL << 32)

void qcow2_geometry_derive(struct qcow2_geometry *g)
{
	g->cluster_size = 1u << g->cluster_bits;
	g->subs = g->extended ? 32 : 1;
	g->subcluster_bits = g->cluster_bits - (g->extended ? 5 : 0);
	g->l2_entry = g->extended ? 16 : 8;
	g->l2_bits = g->cluster_bits - (g->extended ? 4 : 3);
	g->block_bits = g->cluster_bits + 3 - g->refcount_order;
}

uint64_t qcow2_refcount_get(const struct qcow2_geometry *g, const uint8_t *data,
			    unsigned int i)
{
	unsigned int order = g->refcount_order, bits = 1u << order;
	uint64_t n = 0;
	unsigned int k;

	if (order < 3)
		return data[i >> (3 - order)] >> ((i * bits) & 7) &
		       ((1u << bits) - 1);
	data += (size_t)i << (order - 3);
	for (k = 0; k < bits / 8; k++)
		n = n << 8 | data[k];
	return n;
}

void qcow2_refcount_put(const struct qcow2_geometry *g, uint8_t *data,
			unsigned int i, uint64_t value)
{
	unsigned int order = g->refcount_order, bits = 1u << order;
	unsigned int k, shift = (i * bits) & 7;

	if (order < 3) {
		data += i >> (3 - order);
		*data = (uint8_t)((*data & ~(((1u << bits) - 1) << shift)) |
				  value << shift);
		return;
	}
	data += (size_t)i << (order - 3);
	for (k = bits / 8; k--; value >>= 8)
		data[k] = (uint8_t)value;
}

struct qcow2_l2e qcow2_l2_decode(const struct qcow2_geometry *g,
				 const uint8_t *at)
{
	struct qcow2_l2e e = { bytes_be64(at), 0 };

	if (g->extended) {
		e.bitmap = bytes_be64(at + 8);
		return e;
	}
	if (e.desc & QCOW2_COMPRESSED)
		return e;
	if (g->version >= 3 && e.desc & QCOW2_ZERO) {
		e.desc &= ~QCOW2_ZERO;
		e.bitmap = ZEROED;
	} else if (e.desc & QCOW2_OFFSET ||
		   (g->data_file && e.desc & QCOW2_COPIED)) {
		e.bitmap = ALLOCATED;
	}
	return e;
}

void qcow2_l2_encode(const struct qcow2_geometry *g, uint8_t *at,
		     struct qcow2_l2e e)
{
	if (!g->extended && !(e.desc & QCOW2_COMPRESSED) && e.bitmap & ZEROED)
		e.desc |= QCOW2_ZERO;
	bytes_put_be64(at, e.desc);
	if (g->extended)
		bytes_put_be64(at + 8, e.bitmap);
}

void qcow2_compressed_range(const struct qcow2_geometry *g, uint64_t desc,
			    uint64_t *offset, uint64_t *length)
{
	unsigned int x = 62 - (g->cluster_bits - 8);
	uint64_t sectors = ((desc & ~(3ULL << 62)) >> x) + 1;

	*offset = desc & ((1ULL << x) - 1) & ((1ULL << 56) - 1);
	*length = sectors * QCOW2_SECTOR - (*offset & (QCOW2_SECTOR - 1));
}

static bool is_aligned(const struct qcow2_geometry *g, uint64_t at)
{
	return !(at & (g->cluster_size - 1));
}

static const char *data_file_wrong(const struct qcow2_geometry *g,
				   const struct qcow2_l2e *e, uint64_t guest)
{
	uint64_t host = e->desc & QCOW2_OFFSET;

	guest -= guest & (g->cluster_size - 1);
	if ((host || e->desc & QCOW2_COPIED) && host != guest)
		return "L2 entry that is not at its place in the data file, "
		       "for guest offset";
	return NULL;
}

const char *qcow2_l2_wrong(const struct qcow2_geometry *g,
			   const struct qcow2_l2e *e, uint64_t guest)
{
	uint64_t host = e->desc & QCOW2_OFFSET;

	if (e->desc & QCOW2_COMPRESSED)
		return g->data_file ? "compressed cluster that must not be "
				      "one, for guest offset"
				    : NULL;
	if (e->desc & (QCOW2_L2_RESERVED | QCOW2_ZERO))
		return "L2 entry with reserved bits for guest offset";
	if (!is_aligned(g, host))
		return "L2 entry not aligned to a cluster, for guest offset";
	if ((e->bitmap >> 32) & e->bitmap)
		return "subcluster both allocated and zero, for guest offset";
	if (g->data_file)
		return data_file_wrong(g, e, guest);
	if (!host && (e->desc & QCOW2_COPIED || (uint32_t)e->bitmap))
		return "data in the header's cluster, for guest offset";
	return NULL;
}

const char *qcow2_reftable_wrong(const struct qcow2_geometry *g, uint64_t entry)
{
	if (!is_aligned(g, entry))
		return "refcount block that is not aligned to a cluster";
	return NULL;
}

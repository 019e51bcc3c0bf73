#include "config.h"

#include <endian.h>

#include "maker.h"

void maker_put32(const struct maker *m, uint64_t at, uint32_t value)
{
	value = htobe32(value);
	memfile_write(m->file, &value, sizeof(value), at);
}

void maker_put64(const struct maker *m, uint64_t at, uint64_t value)
{
	value = htobe64(value);
	memfile_write(m->file, &value, sizeof(value), at);
}

struct maker maker_begin(uint32_t cluster_bits, uint64_t size,
			 uint32_t l1_size, uint64_t incompatible)
{
	struct maker m = { .file = memdisk_put("img", NULL, 0),
			   .bits = cluster_bits,
			   .cluster = 1u << cluster_bits };
	uint64_t l1_bytes = ((uint64_t)l1_size * 8 + m.cluster - 1) &
			    ~(uint64_t)(m.cluster - 1);

	m.l1 = 3ULL << cluster_bits;
	m.first = m.l1 + l1_bytes;
	maker_put32(&m, 0, 0x514649fb);
	maker_put32(&m, 4, 3);
	maker_put32(&m, 20, cluster_bits);
	maker_put64(&m, 24, size);
	maker_put32(&m, 36, l1_size);
	maker_put64(&m, 40, m.l1);
	maker_put64(&m, 48, m.cluster); /* the refcount table */
	maker_put32(&m, 56, 1);
	maker_put64(&m, 72, incompatible);
	maker_put32(&m, 96, 4);
	maker_put32(&m, 100, 104);
	maker_put64(&m, m.cluster, 2ULL << cluster_bits);
	return m;
}

void maker_end(struct maker *m, uint64_t n)
{
	const uint8_t one[2] = { 0, 1 };
	uint64_t i;

	for (i = 0; i < n; i++)
		memfile_write(m->file, one, 2, (2ULL << m->bits) + 2 * i);
	if (m->file->size < n << m->bits)
		memfile_truncate(m->file, n << m->bits);
}

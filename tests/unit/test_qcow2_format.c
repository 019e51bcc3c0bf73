/* How the qcow2 format stores entries: bytes as the specification has them. */
#include "config.h"

#include <string.h>

#include "block/bytes.h"
#include "block/qcow2/format.h"
#include "suites.h"

static struct qcow2_geometry geometry(uint32_t cluster_bits, bool extended)
{
	struct qcow2_geometry g = { .version = 3,
				    .cluster_bits = cluster_bits,
				    .refcount_order = 4,
				    .extended = extended };

	qcow2_geometry_derive(&g);
	return g;
}

START_TEST(test_geometry)
{
	struct qcow2_geometry g = geometry(16, false);

	ck_assert_uint_eq(g.cluster_size, 65536);
	ck_assert_uint_eq(g.subs, 1);
	ck_assert_uint_eq(g.subcluster_bits, 16);
	ck_assert_uint_eq(g.l2_entry, 8);
	ck_assert_uint_eq(1u << g.l2_bits, 65536 / 8);
	ck_assert_uint_eq(1u << g.block_bits, 65536 / 2);
	g = geometry(16, true);
	ck_assert_uint_eq(g.subs, 32);
	ck_assert_uint_eq(1u << g.subcluster_bits, 65536 / 32);
	ck_assert_uint_eq(g.l2_entry, 16);
	ck_assert_uint_eq(1u << g.l2_bits, 65536 / 16);
}
END_TEST

/* Less than a byte: the first entry has the lowest bits. Else big endian. */
START_TEST(test_refcount)
{
	static const struct {
		uint32_t order;
		unsigned int i;
		uint64_t value;
		uint8_t bytes[16];
	} t[] = {
		{ 0, 0, 1, { 0x01 } },
		{ 0, 10, 1, { 0, 0x04 } },
		{ 1, 1, 3, { 0x0c } },
		{ 2, 3, 9, { 0, 0x90 } },
		{ 3, 2, 0xfe, { 0, 0, 0xfe } },
		{ 4, 1, 0x1234, { 0, 0, 0x12, 0x34 } },
		{ 5, 1, 0x12345678, { 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78 } },
		{ 6,
		  1,
		  0x0123456789abcdef,
		  { 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
		    0xcd, 0xef } },
	};
	struct qcow2_geometry g = geometry(16, false);
	uint8_t data[16];
	size_t n;

	for (n = 0; n < COUNT(t); n++) {
		memset(data, 0, sizeof(data));
		g.refcount_order = t[n].order;
		qcow2_refcount_put(&g, data, t[n].i, t[n].value);
		ck_assert_mem_eq(data, t[n].bytes, sizeof(data));
		ck_assert_uint_eq(qcow2_refcount_get(&g, data, t[n].i),
				  t[n].value);
		/* Its neighbours stay as they are. */
		memset(data, 0xff, sizeof(data));
		qcow2_refcount_put(&g, data, t[n].i, 0);
		ck_assert_uint_eq(qcow2_refcount_get(&g, data, t[n].i), 0);
		ck_assert_uint_eq(qcow2_refcount_get(&g, data, t[n].i ^ 1),
				  t[n].order == 6
					  ? UINT64_MAX
					  : (1ULL << (1u << t[n].order)) - 1);
	}
}
END_TEST

START_TEST(test_l2_entry)
{
	static const uint8_t data[8] = { 0x80, 0, 0, 0, 0, 0x05, 0, 0 };
	static const uint8_t zero[8] = { 0, 0, 0, 0, 0, 0, 0, 1 };
	static const uint8_t none[8];
	struct qcow2_geometry g = geometry(16, false);
	struct qcow2_l2e e = qcow2_l2_decode(&g, data);
	uint8_t back[8];

	ck_assert(e.desc == (QCOW2_COPIED | 0x50000));
	ck_assert_int_eq(qcow2_kind_of(&e, 0), QCOW2_DATA);
	qcow2_l2_encode(&g, back, e);
	ck_assert_mem_eq(back, data, 8);

	e = qcow2_l2_decode(&g, zero);
	ck_assert_uint_eq(e.desc, 0);
	ck_assert_int_eq(qcow2_kind_of(&e, 0), QCOW2_ZEROS);
	qcow2_l2_encode(&g, back, e);
	ck_assert_mem_eq(back, zero, 8);

	e = qcow2_l2_decode(&g, none);
	ck_assert_int_eq(qcow2_kind_of(&e, 0), QCOW2_UNALLOCATED);

	/* Version 2 has no zero flag: the bit is reserved. */
	g.version = 2;
	e = qcow2_l2_decode(&g, zero);
	ck_assert_ptr_nonnull(qcow2_l2_wrong(&g, &e, 0));
}
END_TEST

START_TEST(test_l2_extended)
{
	/* Subcluster 0 is data, 31 reads as zeros, the rest is unallocated. */
	static const uint8_t bytes[16] = { 0x80, 0, 0, 0, 0, 0x05, 0, 0,
					   0x80, 0, 0, 0, 0, 0,	   0, 1 };
	struct qcow2_geometry g = geometry(16, true);
	struct qcow2_l2e e = qcow2_l2_decode(&g, bytes);
	uint8_t back[16];

	ck_assert_int_eq(qcow2_kind_of(&e, 0), QCOW2_DATA);
	ck_assert_int_eq(qcow2_kind_of(&e, 1), QCOW2_UNALLOCATED);
	ck_assert_int_eq(qcow2_kind_of(&e, 31), QCOW2_ZEROS);
	ck_assert_ptr_null(qcow2_l2_wrong(&g, &e, 0));
	qcow2_l2_encode(&g, back, e);
	ck_assert_mem_eq(back, bytes, 16);
	e.bitmap |= 1ULL << 32;
	ck_assert_str_eq(
		qcow2_l2_wrong(&g, &e, 0),
		"subcluster both allocated and zero, for guest offset");
}
END_TEST

/*
 * "Compressed Clusters Descriptor": x = 62 - (cluster_bits - 8); bits 0 to
 * x - 1 are the offset, bits x to 61 the sectors after the first.
 */
START_TEST(test_compressed)
{
	struct qcow2_geometry g = geometry(16, false);
	uint64_t offset, length;

	qcow2_compressed_range(&g, QCOW2_COMPRESSED | 3ULL << 54 | 0x12345,
			       &offset, &length);
	ck_assert_uint_eq(offset, 0x12345);
	/* To the end of the fourth sector from that of the offset. */
	ck_assert_uint_eq(offset + length, 0x12200 + 4 * 512);
	g = geometry(21, false);
	qcow2_compressed_range(&g, QCOW2_COMPRESSED | 0x1fffULL << 49 | 0x200,
			       &offset, &length);
	ck_assert_uint_eq(offset, 0x200);
	ck_assert_uint_eq(length, 0x2000 * 512);
}
END_TEST

static void check_l2(uint64_t desc, const char *wrong)
{
	struct qcow2_geometry g = geometry(16, false);
	struct qcow2_l2e e;
	uint8_t bytes[8];
	const char *is;

	bytes_put_be64(bytes, desc);
	e = qcow2_l2_decode(&g, bytes);
	is = qcow2_l2_wrong(&g, &e, 0x20000);
	if (wrong)
		ck_assert_msg(is && strstr(is, wrong), "%s", is);
	else
		ck_assert_msg(!is, "%s", is);
}

START_TEST(test_wrong)
{
	struct qcow2_geometry g = geometry(16, false);
	struct qcow2_l2e e = { QCOW2_COPIED | 0x10000, 1 };

	check_l2(QCOW2_COPIED | 0x50000, NULL);
	check_l2(QCOW2_COMPRESSED | 0x12345, NULL);
	check_l2(QCOW2_COPIED | 0x50000 | 1ULL << 56, "reserved bits");
	check_l2(QCOW2_COPIED | 0x50000 | 2, "reserved bits");
	check_l2(QCOW2_COPIED | 0x50200, "not aligned");
	check_l2(QCOW2_COPIED, "the header's cluster");
	/* In a data file each cluster has its own place. */
	g.data_file = true;
	ck_assert_ptr_null(qcow2_l2_wrong(&g, &e, 0x10000));
	ck_assert_ptr_nonnull(qcow2_l2_wrong(&g, &e, 0x20000));
	e.desc = QCOW2_COMPRESSED;
	ck_assert_ptr_nonnull(qcow2_l2_wrong(&g, &e, 0x10000));

	ck_assert_ptr_null(qcow2_l1_wrong(&g, QCOW2_COPIED | 0x30000));
	ck_assert_ptr_nonnull(qcow2_l1_wrong(&g, QCOW2_COPIED | 0x30200));
	ck_assert_ptr_nonnull(qcow2_l1_wrong(&g, 0x30000 | 1));
	ck_assert_ptr_null(qcow2_reftable_wrong(&g, 0x30000));
	ck_assert_ptr_nonnull(qcow2_reftable_wrong(&g, 0x30200));
}
END_TEST

Suite *suite_qcow2_format(void)
{
	TCase *tc;
	Suite *s = suite_of("qcow2_format", &tc);

	tcase_add_test(tc, test_geometry);
	tcase_add_test(tc, test_refcount);
	tcase_add_test(tc, test_l2_entry);
	tcase_add_test(tc, test_l2_extended);
	tcase_add_test(tc, test_compressed);
	tcase_add_test(tc, test_wrong);
	return s;
}

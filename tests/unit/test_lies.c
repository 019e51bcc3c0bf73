/* Headers whose lengths disagree with what came, for every opcode. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "cases.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

#define HEADER ((uint32_t)sizeof(struct fuse_in_header))
#define OP_IN 128u /* room for the first argument in a ring entry */

static struct fake *f;

static void setup(void)
{
	struct fake_config cfg = fake_config();

	capture_start();
	driver_install();
	f = fake_new(&cfg);
}

static void teardown(void)
{
	ck_assert_int_eq(fake_ask(f, FAKE_DEV, FUSE_STATFS, NULL, 0)->error, 0);
	ck_assert_int_eq(fake_ask(f, FAKE_RING, FUSE_STATFS, NULL, 0)->error,
			 0);
	ck_assert_uint_eq(f->broken, 0);
	fake_free(f);
	driver_remove();
}

static struct fake_msg message(const struct op_case *c)
{
	return (struct fake_msg){ .opcode = c->opcode,
				  .in = c->in,
				  .in_len = c->in_len,
				  .data_len = c->data_len };
}

static uint32_t true_len(const struct op_case *c)
{
	return HEADER + (uint32_t)(c->in_len + c->data_len);
}

/* Nothing may reach the image. */
static void refused(enum fake_way way, const struct op_case *c,
		    const struct fake_msg *m)
{
	const struct fake_answer *a = fake_call(f, way, m);

	ck_assert_msg(a->error == -EIO, "%s: len %u payload %u: %d", c->name,
		      m->len, m->payload_sz, a->error);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}

/* The header says more or less than what read(2) brought. */
START_TEST(dev_len)
{
	const struct op_case *c = &op_cases[_i];
	struct fake_msg m = message(c);
	uint32_t right = true_len(c);
	const uint32_t lens[] = {
		0,	    1,		HEADER - 1, right - 1,
		right + 1,  right + 8,	1 << 20,    0x7fffffff,
		0x80000000, 0xffffffff, HEADER,
	};
	size_t i;

	m.lie_len = true;
	for (i = 0; i < COUNT(lens); i++) {
		m.len = lens[i];
		if (m.len != right)
			refused(FAKE_DEV, c, &m);
	}
}
END_TEST

/* The header's length leaves no room for the payload, or too much. */
START_TEST(ring_len)
{
	const struct op_case *c = &op_cases[_i];
	struct fake_msg m = message(c);
	uint32_t data = (uint32_t)c->data_len;
	const uint32_t lens[] = {
		0,
		1,
		HEADER - 1,
		HEADER + data - 1,
		HEADER + data + OP_IN + 1,
		1 << 20,
		0x7fffffff,
		0x80000000,
		0xffffffff,
	};
	size_t i;

	m.lie_len = true;
	for (i = 0; i < COUNT(lens); i++) {
		m.len = lens[i];
		refused(FAKE_RING, c, &m);
	}
}
END_TEST

/* A payload beyond the entry's room, whatever the header's length. */
START_TEST(lie_payload_sizes)
{
	static const uint32_t sizes[] = { FAKE_MAX_WRITE + 1,
					  FAKE_MAX_WRITE + 4096,
					  1 << 20,
					  0x7fffffff,
					  0x80000000,
					  0xffffffd8,
					  0xffffffff };
	const struct op_case *c = &op_cases[_i];
	struct fake_msg m = message(c);
	size_t i;

	m.lie_payload = m.lie_len = true;
	for (i = 0; i < COUNT(sizes); i++) {
		m.payload_sz = sizes[i];
		m.len = true_len(c);
		refused(FAKE_RING, c, &m);
		m.len = HEADER + (uint32_t)c->in_len + sizes[i]; /* may wrap */
		refused(FAKE_RING, c, &m);
		m.len = sizes[i];
		refused(FAKE_RING, c, &m);
	}
}
END_TEST

/* A payload that the header's length leaves no first argument for. */
START_TEST(ring_payload_eats_argument)
{
	const struct op_case *c = &op_cases[_i];
	struct fake_msg m = message(c);
	const struct fake_answer *a;
	uint32_t eaten;

	if (!c->in_len || c->silent)
		return;
	m.lie_payload = true;
	for (eaten = 1; eaten <= c->in_len; eaten++) {
		m.payload_sz = (uint32_t)c->data_len + eaten;
		a = fake_call(f, FAKE_RING, &m);
		ck_assert_int_eq(a->error, -EINVAL);
	}
	ck_assert_uint_eq(driver.started_n, 0);
}
END_TEST

/* A whole payload is allowed, for WRITE and for READ. */
START_TEST(whole_payload)
{
	struct fuse_write_in w = { .size = FAKE_MAX_WRITE };
	struct fuse_read_in r = { .size = FAKE_MAX_WRITE };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = FAKE_MAX_WRITE };
	const struct fake_answer *a = fake_call(f, _i, &m);

	ck_assert_int_eq(a->error, 0);
	a = fake_ask(f, _i, FUSE_READ, &r, sizeof(r));
	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, FAKE_MAX_WRITE);
}
END_TEST

/* More than max_write by the socket: what does not fit is cut off. */
START_TEST(dev_larger_than_buffer)
{
	struct fuse_write_in w = { .size = FAKE_MAX_WRITE + 4096 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = FAKE_MAX_WRITE + 4096 };

	ck_assert_int_eq(fake_call(f, FAKE_DEV, &m)->error, -EIO);
	ck_assert_uint_eq(driver.started_n, 0);
	w.size = FAKE_MAX_WRITE;
	ck_assert_int_eq(fake_call(f, FAKE_DEV, &m)->error, -EIO);
	ck_assert_uint_eq(driver.started_n, 0);
}
END_TEST

static const uint32_t read_sizes[] = { FAKE_MAX_WRITE + 1, 1 << 20, 0x7fffffff,
				       0x80000000, 0xffffffff };

/* READ of more than max_write. */
START_TEST(read_too_much)
{
	struct fuse_read_in in = { .size = read_sizes[_i / FAKE_WAYS] };
	const struct fake_answer *a;

	a = fake_ask(f, _i % FAKE_WAYS, FUSE_READ, &in, sizeof(in));
	ck_assert_int_eq(a->error, -EIO);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(capture_count("READ"), 1);
}
END_TEST

/* WRITE whose size is not its payload's. */
START_TEST(write_disagrees)
{
	static const uint32_t sizes[] = {
		0,	 1,	     4095,	4097, FAKE_MAX_WRITE,
		1 << 20, 0x80000000, 0xffffffff
	};
	struct fuse_write_in in = { 0 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data_len = 4096 };
	size_t i;

	for (i = 0; i < COUNT(sizes); i++) {
		in.size = sizes[i];
		ck_assert_int_eq(fake_call(f, _i, &m)->error, -EIO);
		log_limits_reset();
	}
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(capture_count("WRITE"), COUNT(sizes));
	ck_assert_uint_eq(f->session->stats.bytes_written, 0);
}
END_TEST

Suite *suite_lies(void)
{
	TCase *tc;
	Suite *s = suite_of("lies", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, dev_len, 0, op_cases_n);
	tcase_add_loop_test(tc, ring_len, 0, op_cases_n);
	tcase_add_loop_test(tc, lie_payload_sizes, 0, op_cases_n);
	tcase_add_loop_test(tc, ring_payload_eats_argument, 0, op_cases_n);
	tcase_add_loop_test(tc, whole_payload, 0, FAKE_WAYS);
	tcase_add_test(tc, dev_larger_than_buffer);
	tcase_add_loop_test(tc, read_too_much, 0,
			    COUNT(read_sizes) * FAKE_WAYS);
	tcase_add_loop_test(tc, write_disagrees, 0, FAKE_WAYS);
	return s;
}

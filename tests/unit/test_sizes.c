/* Every opcode by both transports: exact, truncated, too long, unknown. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "cases.h"
#include "driver.h"
#include "fake.h"
#include "fuse/ops.h"
#include "suites.h"

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
	/* Whatever came, it lives on. */
	if (!f->session->ended && f->session->minor)
		ck_assert_int_eq(
			fake_ask(f, FAKE_DEV, FUSE_STATFS, NULL, 0)->error, 0);
	ck_assert_uint_eq(f->broken, 0);
	fake_free(f);
	driver_remove();
}

static const struct op_case *the_case(int i)
{
	return &op_cases[i / FAKE_WAYS];
}

static enum fake_way the_way(int i)
{
	return i % FAKE_WAYS;
}

/* Sends it; false if no answer came. Pads the first argument to @in_len. */
static bool ask(const struct op_case *c, enum fake_way way, size_t in_len,
		size_t data_len, int *error, size_t *len)
{
	uint8_t in[256] = { 0 };
	struct fake_msg m = { .opcode = c->opcode,
			      .in = in,
			      .in_len = in_len,
			      .data_len = data_len };
	const struct fake_answer *a;
	uint64_t unique;

	if (c->in)
		memcpy(in, c->in, c->in_len);
	unique = fake_send(f, way, &m);
	fake_run(f);
	a = fake_find(f, unique);
	if (!a)
		return false;
	*error = a->error;
	*len = a->len;
	return true;
}

static void expect(const struct op_case *c, enum fake_way way, size_t in_len,
		   size_t data_len, int want_error, size_t want_len)
{
	size_t len = 0;
	int error = 0;
	bool came = ask(c, way, in_len, data_len, &error, &len);

	ck_assert_msg(came == !(c->silent && way == FAKE_DEV),
		      "%s: answered: %d", c->name, came);
	if (c->silent)
		want_error = 0;
	ck_assert_msg(error == want_error && len == want_len,
		      "%s of %zu + %zu bytes: error %d, %zu bytes", c->name,
		      in_len, data_len, error, len);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}

START_TEST(exact)
{
	const struct op_case *c = the_case(_i);

	expect(c, the_way(_i), c->in_len, c->data_len, c->error, c->out_len);
	ck_assert_str_eq(ops_name(c->opcode), c->name);
	ck_assert_uint_eq(f->session->stats.requests[c->opcode],
			  c->opcode == FUSE_INIT ? 2 : 1);
}
END_TEST

/* The first argument lacks 1 byte, 2, ... all of them. */
START_TEST(truncated)
{
	const struct op_case *c = the_case(_i);
	size_t n;

	for (n = c->in_len; n-- > 0;) {
		capture_start();
		expect(c, the_way(_i), n, 0, -EINVAL, 0);
		if (!c->silent)
			ck_assert_uint_eq(capture_count(c->name), 1);
	}
}
END_TEST

/* The second argument lacks 1 byte, 2, ... all of them. */
START_TEST(data_truncated)
{
	const struct op_case *c = the_case(_i);
	size_t n, step = c->data_len > 64 ? 37 : 1;

	if (!c->data_len)
		return;
	for (n = 0; n < c->data_len; n += step)
		expect(c, the_way(_i), c->in_len, n,
		       c->opcode == FUSE_WRITE ? -EIO : c->error, 0);
}
END_TEST

/* More behind the arguments: a later kernel may have more to say. */
START_TEST(too_long)
{
	static const size_t more[] = { 1, 2, 7, 8, 64, 4096, 8000 };
	const struct op_case *c = the_case(_i);
	bool counts = c->opcode == FUSE_WRITE;
	size_t i;

	for (i = 0; i < COUNT(more); i++)
		expect(c, the_way(_i), c->in_len, c->data_len + more[i],
		       counts ? -EIO : c->error, counts ? 0 : c->out_len);
}
END_TEST

/* The ring has the first argument in a place of its own, up to 128 bytes. */
START_TEST(long_first_argument)
{
	const struct op_case *c = &op_cases[_i];
	size_t n;

	for (n = c->in_len; n <= 128; n++)
		expect(c, FAKE_RING, n, c->data_len, c->error, c->out_len);
}
END_TEST

static bool is_case(uint32_t opcode)
{
	int i;

	for (i = 0; i < op_cases_n; i++)
		if (op_cases[i].opcode == opcode)
			return true;
	return false;
}

static const uint32_t far_opcodes[] = { 64,	    65,	       255,
					4096,	    1 << 16,   0x7fffffff,
					0x80000000, 0xffffffff };

/* ENOSYS, and the kernel asks no more. */
START_TEST(unknown_opcodes)
{
	struct op_case c = { .name = "unknown" };
	unsigned int i, n = FUSE_OPCODES + COUNT(far_opcodes);

	for (i = 0; i < n; i++) {
		c.opcode = i < FUSE_OPCODES ? i : far_opcodes[i - FUSE_OPCODES];
		if (is_case(c.opcode))
			continue;
		expect(&c, (enum fake_way)_i, 0, 0, -ENOSYS, 0);
		expect(&c, (enum fake_way)_i, 24, 100, -ENOSYS, 0);
		ck_assert_uint_eq(ops_in_size(c.opcode), 0);
		ck_assert_str_eq(ops_name(c.opcode), "unknown opcode");
	}
	ck_assert_uint_eq(f->session->stats.requests[0],
			  2 * (COUNT(far_opcodes) + 1));
}
END_TEST

START_TEST(before_init)
{
	const struct op_case *c = &op_cases[_i];
	struct fake_config cfg = fake_config();
	bool old_init = c->opcode == FUSE_INIT;
	int error = c->error == -ENOSYS ? -ENOSYS : -EIO;

	teardown();
	capture_start();
	driver_install();
	cfg.no_init = true;
	f = fake_new(&cfg);
	if (old_init)
		return;
	expect(c, FAKE_DEV, c->in_len, c->data_len, error, 0);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(f->ready, 0);
	/* And INIT still works. */
	ck_assert_int_eq(fake_init(f, FUSE_MAJOR, FUSE_MINOR, 0, 64)->error, 0);
	ck_assert_uint_eq(f->ready, 1);
}
END_TEST

/* Less than a header, by /dev/fuse: nobody to answer to. */
START_TEST(truncated_header)
{
	struct fuse_in_header in = { .len = sizeof(in),
				     .opcode = FUSE_STATFS,
				     .unique = 4242 };
	size_t n;

	for (n = 1; n < sizeof(in); n++) {
		in.len = (uint32_t)n;
		capture_start();
		fake_raw(f, &in, n);
		fake_run(f);
		ck_assert_uint_eq(capture_lines(), 1);
	}
	ck_assert_ptr_null(fake_find(f, 4242));
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	ck_assert(!f->session->ended);
}
END_TEST

Suite *suite_sizes(void)
{
	TCase *tc;
	Suite *s = suite_of("sizes", &tc);
	int both = op_cases_n * FAKE_WAYS;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, exact, 0, both);
	tcase_add_loop_test(tc, truncated, 0, both);
	tcase_add_loop_test(tc, data_truncated, 0, both);
	tcase_add_loop_test(tc, too_long, 0, both);
	tcase_add_loop_test(tc, long_first_argument, 0, op_cases_n);
	tcase_add_loop_test(tc, unknown_opcodes, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, before_init, 0, op_cases_n);
	tcase_add_test(tc, truncated_header);
	return s;
}

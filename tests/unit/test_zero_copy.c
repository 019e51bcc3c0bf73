/* Requests whose payload is in a pool, or whose data is in a slot. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "block/bounce.h"
#include "capture.h"
#include "cases.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

#define POOL (FAKE_DEPTH * FAKE_MAX_WRITE)

static struct fake *f;

static void setup(void)
{
	capture_start();
	driver_install();
	f = NULL;
}

static void teardown(void)
{
	if (f)
		fake_free(f);
	driver_remove();
}

static void start(enum fake_mode mode)
{
	struct fake_config cfg = fake_config_of(mode);

	f = fake_new(&cfg);
	ck_assert_str_eq(fake_payloads(f), fake_mode_names[mode]);
}

static uint64_t send_read(unsigned int entry, uint64_t offset, uint32_t size)
{
	struct fuse_read_in in = { .offset = offset, .size = size };
	struct fake_msg m = { .opcode = FUSE_READ,
			      .in = &in,
			      .in_len = sizeof(in),
			      .entry = entry };

	return fake_send(f, FAKE_RING, &m);
}

static uint64_t send_write(unsigned int entry, uint64_t offset,
			   const void *data, uint32_t size)
{
	struct fuse_write_in in = { .offset = offset, .size = size };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data = data,
			      .data_len = size,
			      .entry = entry };

	return fake_send(f, FAKE_RING, &m);
}

static void check_read(uint64_t unique, uint64_t offset, uint32_t size)
{
	const struct fake_answer *a = fake_find(f, unique);

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, size);
	ck_assert(!memcmp(a->data, driver.mem + offset, size));
}

static void check_written(uint64_t unique, uint32_t size)
{
	const struct fake_answer *a = fake_find(f, unique);
	struct fuse_write_out out;

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.size, size);
}

static void pattern(uint8_t *to, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = (uint8_t)(seed * 37 + i + (i >> 8) * 3);
}

static bool is_zero_copied(enum fake_mode mode)
{
	return mode >= FAKE_ZERO_COPY;
}

/* Every opcode is served as by /dev/fuse. */
START_TEST(all_opcodes)
{
	const struct op_case *c = &op_cases[_i / FAKE_MODES];
	struct fake_msg m = { .opcode = c->opcode,
			      .in = c->in,
			      .in_len = c->in_len,
			      .data_len = c->data_len };
	const struct fake_answer *a;

	start(_i % FAKE_MODES);
	a = fake_call(f, FAKE_RING, &m);
	ck_assert_int_eq(a->error, c->silent ? 0 : c->error);
	if (!c->silent)
		ck_assert_uint_eq(a->len, c->out_len);
}
END_TEST

/* The open that asks for zero-copy, and only where it is. */
START_TEST(open_asks)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	const struct fake_answer *a;
	struct fuse_open_out out;

	start(_i);
	a = fake_ask(f, FAKE_RING, FUSE_OPEN, &in, sizeof(in));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(!!(out.open_flags & FOPEN_IO_URING_ZERO_COPY),
			  is_zero_copied(_i));
}
END_TEST

static const uint32_t lengths[] = { 1, 511, 4096, 4097, FAKE_MAX_WRITE };

enum { STRAIGHT, BOUNCED, BOUNCED_LATE, WAYS };

/* The right bytes, and no others, in every mode and by every way. */
START_TEST(bytes)
{
	uint8_t data[FAKE_MAX_WRITE], before[3 * FAKE_MAX_WRITE];
	enum fake_mode mode = _i % FAKE_MODES;
	unsigned int n, i;
	uint64_t unique;

	start(mode);
	driver.bounce = _i / FAKE_MODES != STRAIGHT;
	for (n = 0; n < COUNT(lengths); n++) {
		driver.bounce_from =
			_i / FAKE_MODES == BOUNCED_LATE ? lengths[n] / 3 : 0;
		for (i = 0; i < FAKE_ENTRIES; i++) {
			pattern(driver.mem, sizeof(before), n + i);
			memcpy(before, driver.mem, sizeof(before));
			unique = send_read(i, 5000, lengths[n]);
			fake_run(f);
			check_read(unique, 5000, lengths[n]);
			ck_assert(!memcmp(before, driver.mem, sizeof(before)));
			pattern(data, lengths[n], 100 + n + i);
			unique = send_write(i, 5000, data, lengths[n]);
			fake_run(f);
			check_written(unique, lengths[n]);
			memcpy(before + 5000, data, lengths[n]);
			ck_assert(!memcmp(before, driver.mem, sizeof(before)));
		}
	}
	n = (unsigned int)COUNT(lengths) * FAKE_ENTRIES;
	ck_assert_uint_eq(f->session->stats.zero_copied,
			  is_zero_copied(mode) ? 2 * n : 0);
	ck_assert_uint_eq(bounce_count(f->bounce),
			  is_zero_copied(mode) && driver.bounce ? 2 * n : 0);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* All entries at work, ended in another order. */
START_TEST(all_at_once)
{
	uint8_t data[FAKE_ENTRIES][FAKE_MAX_WRITE];
	uint64_t unique[FAKE_ENTRIES];
	unsigned int i;

	start(_i % FAKE_MODES);
	driver.hold = true;
	driver.bounce = _i / FAKE_MODES == BOUNCED;
	pattern(driver.mem, driver.mem_size, 7);
	for (i = 0; i < FAKE_ENTRIES; i++) {
		pattern(data[i], sizeof(data[i]), i);
		if (i % 2)
			unique[i] = send_write(i, i * 65536, data[i],
					       sizeof(data[i]));
		else
			unique[i] = send_read(i, i * 65536, sizeof(data[i]));
	}
	fake_run(f);
	ck_assert_uint_gt(driver.held_n, 0); /* all, or those with an area */
	while (driver.held_n) {
		driver_finish(driver.held_n * 5 / 7);
		fake_run(f);
	}
	for (i = 0; i < FAKE_ENTRIES; i++) {
		if (!(i % 2)) {
			check_read(unique[i], i * 65536, sizeof(data[i]));
			continue;
		}
		check_written(unique[i], sizeof(data[i]));
		ck_assert(!memcmp(driver.mem + i * 65536, data[i],
				  sizeof(data[i])));
	}
}
END_TEST

/* A pool of one buffer: requests wait for it in the kernel, one after another. */
START_TEST(one_buffer)
{
	struct fake_config cfg = fake_config_of(_i);
	uint8_t data[4096];
	uint64_t unique[8];
	unsigned int i;

	cfg.session.buffer_pool = 1;
	f = fake_new(&cfg);
	driver.hold = true;
	pattern(data, sizeof(data), 3);
	for (i = 0; i < 4; i++)
		unique[i] = send_write(0, i * 8192, data, sizeof(data));
	for (; i < 8; i++)
		unique[i] =
			send_write(FAKE_DEPTH, i * 8192, data, sizeof(data));
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, FAKE_QUEUES);
	ck_assert_uint_eq(f->waited, 6);
	/* While they wait, what has no payload does not. */
	ck_assert_int_eq(fake_ask(f, FAKE_DEV, FUSE_STATFS, NULL, 0)->error, 0);
	for (i = 0; i < 8; i++) {
		ck_assert_uint_gt(driver.held_n, 0);
		driver_finish(0);
		fake_run(f);
	}
	for (i = 0; i < 8; i++) {
		check_written(unique[i], sizeof(data));
		ck_assert(!memcmp(driver.mem + i * 8192, data, sizeof(data)));
	}
	ck_assert_uint_eq(f->queues[0].most, 1);
	ck_assert_uint_eq(f->queues[1].most, 1);
}
END_TEST

/* A READ whose data has no place in the pool needs no buffer of it. */
START_TEST(more_reads_than_buffers)
{
	struct fake_config cfg = fake_config_of(FAKE_ZERO_COPY_FIXED);
	uint64_t unique[FAKE_DEPTH];
	unsigned int i;

	cfg.session.buffer_pool = FAKE_MAX_WRITE;
	f = fake_new(&cfg);
	driver.hold = true;
	pattern(driver.mem, 65536, 9);
	for (i = 0; i < FAKE_DEPTH; i++)
		unique[i] = send_read(0, i * 8192, 8192);
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, FAKE_DEPTH);
	ck_assert_uint_eq(f->waited, 0);
	driver_finish_all();
	fake_run(f);
	for (i = 0; i < FAKE_DEPTH; i++)
		check_read(unique[i], i * 8192, 8192);
}
END_TEST

/* The image has less, or nothing, or an error: nothing else is said. */
START_TEST(short_and_failed)
{
	static const int64_t results[] = { 0, 1, 4095, -EIO, -ENOSPC, -9999 };
	int64_t want = results[_i / 2 % (int)COUNT(results)];
	uint8_t data[4096] = { 1 };
	const struct fake_answer *a;
	uint64_t unique;

	start(_i / 2 / (int)COUNT(results));
	driver.bounce = _i % 2;
	pattern(driver.mem, 8192, 1);
	driver.hold = true;
	unique = send_read(0, 0, 4096);
	fake_run(f);
	driver_finish_with(0, want);
	fake_run(f);
	a = fake_find(f, unique);
	ck_assert_int_eq(a->error, want >= 0 ? 0 : want == -9999 ? -EIO : want);
	ck_assert_uint_eq(a->len, want > 0 ? (size_t)want : 0);
	unique = send_write(0, 0, data, 4096);
	fake_run(f);
	driver_finish_with(0, want);
	fake_run(f);
	a = fake_find(f, unique);
	ck_assert_int_eq(a->error, want >= 0 ? 0 : want == -9999 ? -EIO : want);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}
END_TEST

static const uint32_t outside[] = { POOL - FAKE_MAX_WRITE + 1,
				    POOL - 1,
				    POOL,
				    POOL + 1,
				    UINT32_MAX - 1,
				    UINT32_MAX };

static void lie(struct fake_msg m, bool fine)
{
	static uint8_t zeros[4096];
	struct fuse_write_in w = { .size = 4096 };
	unsigned int lines = capture_lines();
	const struct fake_answer *a;

	log_limits_reset();
	if (m.opcode == FUSE_WRITE) {
		m.in = &w;
		m.in_len = sizeof(w);
		m.data = zeros;
		m.data_len = sizeof(zeros);
	}
	a = fake_call(f, FAKE_RING, &m);
	ck_assert_int_eq(a->error, fine ? 0 : -EIO);
	ck_assert_uint_eq(capture_lines() - lines, !fine);
	ck_assert_uint_eq(f->broken + f->ended, 0);
	/* The connection goes on. */
	ck_assert_int_eq(fake_ask(f, FAKE_RING, FUSE_STATFS, NULL, 0)->error,
			 0);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}

/* A payload that would reach past the end of the pool. */
START_TEST(offsets)
{
	static const uint32_t opcodes[] = { FUSE_WRITE, FUSE_STATFS,
					    FUSE_FLUSH };
	struct fake_msg m = { .opcode = opcodes[_i % (int)COUNT(opcodes)],
			      .lie_offset = true };
	size_t i;

	m.in_len = m.opcode == FUSE_FLUSH ? sizeof(struct fuse_flush_in) : 0;
	start(FAKE_POOL + _i / (int)COUNT(opcodes));
	for (i = 0; i < COUNT(outside); i++) {
		m.offset = outside[i];
		lie(m, false);
	}
	ck_assert_uint_eq(driver.started_n, 0);
	m.offset = POOL - FAKE_MAX_WRITE; /* the last buffer */
	lie(m, true);
	m.offset = 0;
	lie(m, true);
}
END_TEST

/* Flags that nobody asked for, or that mean nothing here. */
START_TEST(flags)
{
	static const uint64_t unknown[] = { 2, 3, 1ULL << 32, 1ULL << 63,
					    UINT64_MAX };
	struct fake_msg m = { .opcode = FUSE_WRITE, .lie_flags = true };
	size_t i;

	start(_i);
	for (i = 0; i < COUNT(unknown); i++) {
		m.flags = unknown[i];
		lie(m, false);
	}
	m.opcode = FUSE_STATFS;
	for (i = 0; i < COUNT(unknown); i++) {
		m.flags = unknown[i];
		lie(m, false);
	}
	m.flags = FUSE_URING_ENT_ZERO_COPY;
	lie(m, false);
	m.opcode = FUSE_ACCESS;
	lie(m, false);
	m.opcode = 12345;
	lie(m, false);
	if (!is_zero_copied(_i)) {
		m.opcode = FUSE_WRITE;
		lie(m, false);
	}
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(f->session->stats.zero_copied, 0);
}
END_TEST

/* Sizes that do not fit: the image sees nothing of them. */
START_TEST(sizes)
{
	struct fuse_read_in r = { .size = FAKE_MAX_WRITE + 1 };
	struct fuse_write_in w = { .size = 4095 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = 4096 };

	start(_i);
	ck_assert_int_eq(
		fake_ask(f, FAKE_RING, FUSE_READ, &r, sizeof(r))->error, -EIO);
	ck_assert_int_eq(fake_call(f, FAKE_RING, &m)->error, -EIO);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(capture_lines(), 2);
}
END_TEST

/* Memory goes back where no request is, and never what is registered. */
START_TEST(trim)
{
	bool fixed = _i == FAKE_FIXED_POOL || _i == FAKE_ZERO_COPY_FIXED;
	uint8_t *pool, data[4096];
	unsigned int i;
	uint64_t unique;

	start(_i);
	driver.hold = true;
	unique = send_write(0, 0, data, sizeof(data));
	fake_run(f);
	for (i = 0; i < FAKE_QUEUES; i++)
		memset(f->queues[i].pool, 'p', POOL);
	ring_trim(f->session->ring);
	for (i = 0; i < FAKE_QUEUES; i++) {
		pool = f->queues[i].pool;
		ck_assert(pool[0] == 'p' && pool[POOL - 1] == 'p');
	}
	driver_finish(0);
	fake_run(f);
	ck_assert_ptr_nonnull(fake_find(f, unique));
	for (i = 0; i < FAKE_QUEUES; i++)
		memset(f->queues[i].pool, 'p', POOL);
	ring_trim(f->session->ring);
	for (i = 0; i < FAKE_QUEUES; i++) {
		pool = f->queues[i].pool;
		ck_assert_uint_eq(pool[0], fixed ? 'p' : 0);
		ck_assert_uint_eq(pool[POOL - 1], fixed ? 'p' : 0);
	}
	driver.hold = false;
	unique = send_read(0, 0, 4096);
	fake_run(f);
	check_read(unique, 0, 4096);
}
END_TEST

/* The end comes while unseen bytes are on their way, also in an area. */
START_TEST(end_with_pending)
{
	uint8_t data[4096] = { 0 };

	start(FAKE_ZERO_COPY + _i % 2);
	driver.hold = true;
	driver.bounce = _i / 2;
	send_read(0, 0, 4096);
	send_write(1, 8192, data, sizeof(data));
	fake_run(f);
	fake_end_all(f, -ENOTCONN);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 0);
	driver_finish(1);
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->commits, 0);
	fake_check_states(f, ENTRY_DEAD, FAKE_ENTRIES);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* The end comes while some wait for an area: all of them end. */
START_TEST(end_while_waiting)
{
	uint8_t data[4096] = { 'd' };
	unsigned int i, ended = 0;

	start(FAKE_ZERO_COPY + _i);
	driver.hold = driver.bounce = true;
	for (i = 0; i < FAKE_ENTRIES; i++)
		send_write(i, i * 8192, data, sizeof(data));
	fake_run(f);
	ck_assert_uint_gt(driver.held_n, 0);
	ck_assert_uint_lt(driver.held_n, FAKE_ENTRIES);
	close(f->fd);
	f->fd = -1;
	fake_run(f);
	ck_assert(f->session->ended);
	for (; driver.held_n; ended++) {
		ck_assert_uint_eq(f->ended, 0);
		driver_finish(0);
		fake_run(f);
	}
	ck_assert_uint_eq(ended, FAKE_ENTRIES);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->commits, 0);
}
END_TEST

#define RESULTS 6

Suite *suite_zero_copy(void)
{
	TCase *tc;
	Suite *s = suite_of("zero_copy", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, all_opcodes, 0, op_cases_n * FAKE_MODES);
	tcase_add_loop_test(tc, open_asks, 0, FAKE_MODES);
	tcase_add_loop_test(tc, bytes, 0, FAKE_MODES * WAYS);
	tcase_add_loop_test(tc, all_at_once, 0, FAKE_MODES * 2);
	tcase_add_loop_test(tc, one_buffer, FAKE_FIXED_POOL, FAKE_MODES);
	tcase_add_test(tc, more_reads_than_buffers);
	tcase_add_loop_test(tc, short_and_failed, 0, FAKE_MODES * RESULTS * 2);
	tcase_add_loop_test(tc, offsets, 0, (FAKE_MODES - FAKE_POOL) * 3);
	tcase_add_loop_test(tc, flags, 0, FAKE_MODES);
	tcase_add_loop_test(tc, sizes, 0, FAKE_MODES);
	tcase_add_loop_test(tc, trim, FAKE_POOL, FAKE_MODES);
	tcase_add_loop_test(tc, end_with_pending, 0, 4);
	tcase_add_loop_test(tc, end_while_waiting, 0, 2);
	return s;
}

/* The /dev/fuse channel: buffers, errors of read and write, the end. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "fuse/dev.h"
#include "suites.h"
#include "wrap.h"

static struct fake *f;

static void setup(void)
{
	struct fake_config cfg = fake_config();

	capture_start();
	driver_install();
	cfg.session.io_uring = URING_OFF;
	f = fake_new(&cfg);
	wrap_reset();
}

static void teardown(void)
{
	wrap_reset();
	fake_free(f);
	driver_remove();
}

static uint64_t send_read(uint64_t offset)
{
	struct fuse_read_in in = { .offset = offset, .size = 4096 };
	struct fake_msg m = { .opcode = FUSE_READ,
			      .in = &in,
			      .in_len = sizeof(in) };

	return fake_send(f, FAKE_DEV, &m);
}

static void works(void)
{
	ck_assert_int_eq(fake_ask(f, FAKE_DEV, FUSE_STATFS, NULL, 0)->error, 0);
}

/* As many in flight as there are buffers; the others wait in the socket. */
START_TEST(more_than_buffers)
{
	uint64_t unique[4 * FAKE_DEPTH];
	unsigned int i;

	driver.hold = true;
	for (i = 0; i < COUNT(unique); i++) {
		memset(driver.mem + i * 4096, 'a' + (int)i, 4096);
		unique[i] = send_read(i * 4096);
	}
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, FAKE_DEPTH);
	ck_assert_uint_eq(f->session->stats.in_flight, FAKE_DEPTH);
	driver_finish(2);
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, FAKE_DEPTH);
	while (driver.held_n) {
		driver_finish(driver.held_n / 2);
		fake_run(f);
	}
	for (i = 0; i < COUNT(unique); i++) {
		const struct fake_answer *a = fake_find(f, unique[i]);

		ck_assert_ptr_nonnull(a);
		ck_assert_uint_eq(a->len, 4096);
		ck_assert_uint_eq(a->data[0], 'a' + i);
		ck_assert_uint_eq(a->data[4095], 'a' + i);
	}
	ck_assert_uint_eq(f->session->stats.most_in_flight, FAKE_DEPTH);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}
END_TEST

/* O_DIRECT wants what is read and written to begin a page. */
START_TEST(data_begins_a_page)
{
	struct fuse_write_in in = { .size = 4096 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &in,
			      .in_len = sizeof(in),
			      .data_len = 4096 };

	driver.hold = true;
	send_read(0);
	fake_send(f, FAKE_DEV, &m);
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, 2);
	ck_assert_uint_eq((uintptr_t)driver.held[0]->buf % 4096, 0);
	ck_assert_uint_eq((uintptr_t)driver.held[1]->buf % 4096, 0);
}
END_TEST

/* FORGET and INTERRUPT give their buffers back. */
START_TEST(silent_requests)
{
	struct fuse_forget_in in = { .nlookup = 1 };
	struct fake_msg m = { .opcode = _i, .in = &in, .in_len = sizeof(in) };
	unsigned int i;

	for (i = 0; i < 5 * FAKE_DEPTH; i++)
		fake_send(f, FAKE_DEV, &m);
	fake_run(f);
	ck_assert_uint_eq(f->answers_n, 1); /* INIT's */
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	works();
}
END_TEST

START_TEST(trim_spares_pending)
{
	uint8_t *busy;

	driver.hold = true;
	send_read(0);
	fake_run(f);
	busy = driver.held[0]->buf;
	memset(busy, 'b', 4096);
	dev_trim(f->session->dev);
	ck_assert_uint_eq(busy[0], 'b');
	ck_assert_uint_eq(busy[4095], 'b');
	driver_finish(0);
	fake_run(f);
	works();
}
END_TEST

/*
 * And so where the system's pages are larger: the kernel rounds up what is to
 * be given back, and behind it lies what is in flight.
 */
static const size_t pages[] = { 16384, 65536 };

START_TEST(trim_large_pages)
{
	struct fake_config cfg = fake_config();
	unsigned int i;

	fake_free(f);
	wrap_page(pages[_i]);
	cfg.session.io_uring = URING_OFF;
	f = fake_new(&cfg);
	driver.hold = true;
	for (i = 0; i < FAKE_DEPTH; i++)
		send_read(i * 4096);
	fake_run(f);
	ck_assert_uint_eq(driver.held_n, FAKE_DEPTH);
	driver_finish(0);
	fake_run(f);
	for (i = 0; i < driver.held_n; i++)
		memset(driver.held[i]->buf, 'b', 4096);
	dev_trim(f->session->dev);
	wrap_page(0);
	for (i = 0; i < driver.held_n; i++) {
		uint8_t *busy = driver.held[i]->buf;

		ck_assert_uint_eq(busy[0], 'b');
		ck_assert_uint_eq(busy[4095], 'b');
	}
	driver_finish_all();
	fake_run(f);
}
END_TEST

/* A read(2) that fails in passing: the channel lives on. */
static const int passing[] = { EINTR, EAGAIN, ENOENT };

START_TEST(read_fails_for_now)
{
	wrap_fail(WRAP_READ, 2, passing[_i]);
	works();
	ck_assert(!f->session->ended);
	ck_assert_uint_eq(f->broken, 0);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* The connection is gone, by read(2) or by writev(2): the normal end. */
static const int ends[] = { ENODEV, ENOTCONN, ECONNABORTED };

START_TEST(read_says_end)
{
	send_read(0);
	wrap_fail(WRAP_READ, 1, ends[_i]);
	fake_run(f);
	ck_assert(f->session->ended && !f->session->failed);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->broken, 0);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

START_TEST(write_says_end)
{
	uint64_t unique = send_read(0);

	wrap_fail(WRAP_WRITEV, 1, ends[_i]);
	fake_run(f);
	ck_assert(f->session->ended && !f->session->failed);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert(!f->busy_at_end);
	ck_assert_ptr_null(fake_find(f, unique));
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}
END_TEST

START_TEST(end_of_file)
{
	close(f->fd);
	f->fd = -1;
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->broken, 0);
}
END_TEST

/* Something else: loud, once. */
static const int worse[] = { EIO, EINVAL, EBADF, EPERM };

START_TEST(read_breaks)
{
	wrap_fail(WRAP_READ, 2, worse[_i]);
	send_read(0);
	fake_run(f);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert(f->session->failed);
	ck_assert_uint_eq(capture_lines(), 1);
	ck_assert_uint_eq(capture_count(strerror(worse[_i])), 1);
}
END_TEST

START_TEST(write_breaks)
{
	wrap_fail(WRAP_WRITEV, 2, worse[_i]);
	send_read(0);
	send_read(4096);
	fake_run(f);
	ck_assert_uint_eq(f->broken, 1);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	ck_assert_uint_ge(capture_count(strerror(worse[_i])), 1);
}
END_TEST

/* The caller was killed: nobody waits for the answer. */
START_TEST(answer_not_wanted)
{
	uint64_t unique = send_read(0);

	wrap_fail(WRAP_WRITEV, 1, ENOENT);
	fake_run(f);
	ck_assert_ptr_null(fake_find(f, unique));
	ck_assert_uint_eq(f->broken, 0);
	ck_assert_uint_eq(capture_lines(), 0);
	works();
}
END_TEST

START_TEST(answer_interrupted)
{
	uint64_t unique = send_read(0);

	wrap_fail(WRAP_WRITEV, 3, EINTR);
	fake_run(f);
	ck_assert_ptr_nonnull(fake_find(f, unique));
	ck_assert_uint_eq(wrap_count(WRAP_WRITEV), 4);
}
END_TEST

/* on_end waits for the last request; what ends after it is not answered. */
START_TEST(end_with_pending)
{
	driver.hold = true;
	send_read(0);
	send_read(4096);
	fake_run(f);
	close(f->fd);
	f->fd = -1;
	fake_run(f);
	ck_assert(f->session->ended);
	ck_assert_uint_eq(f->ended, 0);
	wrap_reset();
	driver_finish(1);
	ck_assert_uint_eq(f->ended, 0);
	driver_finish(0);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert(!f->busy_at_end);
	ck_assert_uint_eq(wrap_count(WRAP_WRITEV), 0);
}
END_TEST

/* All buffers are taken when the end comes: reading stays stopped. */
START_TEST(end_with_all_buffers_taken)
{
	unsigned int i;

	driver.hold = true;
	for (i = 0; i < FAKE_DEPTH; i++)
		send_read(i * 4096);
	fake_run(f);
	session_end(f->session);
	ck_assert_uint_eq(f->ended, 0);
	send_read(0);
	driver_finish_all();
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(driver.started_n, FAKE_DEPTH);
	session_end(f->session);
	ck_assert_uint_eq(f->ended, 1);
}
END_TEST

Suite *suite_dev(void)
{
	TCase *tc;
	Suite *s = suite_of("dev", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, more_than_buffers);
	tcase_add_test(tc, data_begins_a_page);
	tcase_add_loop_test(tc, silent_requests, FUSE_FORGET, FUSE_FORGET + 1);
	tcase_add_loop_test(tc, silent_requests, FUSE_INTERRUPT,
			    FUSE_INTERRUPT + 1);
	tcase_add_test(tc, trim_spares_pending);
	tcase_add_loop_test(tc, trim_large_pages, 0, COUNT(pages));
	tcase_add_loop_test(tc, read_fails_for_now, 0, COUNT(passing));
	tcase_add_loop_test(tc, read_says_end, 0, COUNT(ends));
	tcase_add_loop_test(tc, write_says_end, 0, COUNT(ends));
	tcase_add_test(tc, end_of_file);
	tcase_add_loop_test(tc, read_breaks, 0, COUNT(worse));
	tcase_add_loop_test(tc, write_breaks, 0, COUNT(worse));
	tcase_add_test(tc, answer_not_wanted);
	tcase_add_test(tc, answer_interrupted);
	tcase_add_test(tc, end_with_pending);
	tcase_add_test(tc, end_with_all_buffers_taken);
	return s;
}

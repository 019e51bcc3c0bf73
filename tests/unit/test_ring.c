/* The life of ring entries where all goes well, up to the end of a mount. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
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
	fake_free(f);
	driver_remove();
}

static uint64_t send_read(unsigned int entry, uint64_t offset)
{
	struct fuse_read_in in = { .offset = offset, .size = 4096 };
	struct fake_msg m = { .opcode = FUSE_READ,
			      .in = &in,
			      .in_len = sizeof(in),
			      .entry = entry };

	return fake_send(f, FAKE_RING, &m);
}

START_TEST(idle_before_init)
{
	struct fake_config cfg = fake_config();
	struct fake *other;

	teardown();
	driver_install();
	cfg.no_init = true;
	other = fake_new(&cfg);
	f = other;
	fake_run(f);
	fake_check_states(f, ENTRY_IDLE, FAKE_ENTRIES);
	ck_assert_uint_eq(f->registers, 0);
	ck_assert_uint_eq(f->ready, 0);
}
END_TEST

START_TEST(registered_after_init)
{
	unsigned int per_queue[FAKE_QUEUES] = { 0 };
	unsigned int i;

	fake_check_states(f, ENTRY_REGISTERED, FAKE_ENTRIES);
	ck_assert_uint_eq(f->registers, FAKE_ENTRIES);
	ck_assert_uint_eq(f->ready, 1);
	for (i = 0; i < f->entries_n; i++) {
		const struct fake_entry *e = &f->entries[i];

		ck_assert_uint_lt(e->qid, FAKE_QUEUES);
		per_queue[e->qid]++;
		/* A queue is complete before the next one begins. */
		ck_assert_uint_eq(e->qid, i / FAKE_DEPTH);
		ck_assert_uint_eq(e->iov[0].iov_len,
				  sizeof(struct fuse_uring_req_header));
		ck_assert_uint_eq(e->iov[1].iov_len, FAKE_MAX_WRITE);
		ck_assert_uint_eq((uintptr_t)e->iov[0].iov_base % 64, 0);
		ck_assert_uint_eq((uintptr_t)e->iov[1].iov_base % 4096, 0);
	}
	for (i = 0; i < FAKE_QUEUES; i++)
		ck_assert_uint_eq(per_queue[i], FAKE_DEPTH);
}
END_TEST

/* REGISTERED -> HAVE_REQ -> COMMIT -> HAVE_REQ -> COMMIT */
START_TEST(answered_at_once)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	struct fake_msg m = { .opcode = FUSE_OPEN,
			      .in = &in,
			      .in_len = sizeof(in) };
	int i;

	for (i = 1; i <= 3; i++) {
		const struct fake_answer *a = fake_call(f, FAKE_RING, &m);

		ck_assert_int_eq(a->error, 0);
		ck_assert_uint_eq(a->unique, f->unique);
		fake_check_states(f, ENTRY_COMMIT, 1);
		fake_check_states(f, ENTRY_REGISTERED, FAKE_ENTRIES - 1);
		ck_assert_uint_eq(f->commits, i);
		ck_assert(f->entries[0].held && f->entries[0].committed);
	}
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	ck_assert_uint_eq(f->session->stats.most_in_flight, 1);
}
END_TEST

/* HAVE_REQ -> IO_PENDING -> COMMIT */
START_TEST(pending_until_completed)
{
	uint64_t unique;

	driver.hold = true;
	unique = send_read(0, 0);
	fake_run(f);
	fake_check_states(f, ENTRY_IO_PENDING, 1);
	ck_assert_uint_eq(f->session->stats.in_flight, 1);
	ck_assert_uint_eq(f->commits, 0);
	fake_run(f);
	ck_assert_ptr_null(fake_find(f, unique));
	driver_finish(0);
	fake_run(f);
	fake_check_states(f, ENTRY_COMMIT, 1);
	ck_assert_uint_eq(fake_find(f, unique)->len, 4096);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}
END_TEST

/* All at once, finished in another order: each caller gets its own bytes. */
START_TEST(all_entries_at_once)
{
	uint64_t unique[FAKE_ENTRIES];
	unsigned int i;

	for (i = 0; i < FAKE_ENTRIES; i++)
		memset(driver.mem + i * 4096, 'a' + (int)i, 4096);
	driver.hold = true;
	for (i = 0; i < FAKE_ENTRIES; i++)
		unique[i] = send_read(i, i * 4096);
	fake_run(f);
	fake_check_states(f, ENTRY_IO_PENDING, FAKE_ENTRIES);
	ck_assert_uint_eq(f->session->stats.most_in_flight, FAKE_ENTRIES);
	while (driver.held_n)
		driver_finish(driver.held_n * 5 / 7);
	fake_run(f);
	fake_check_states(f, ENTRY_COMMIT, FAKE_ENTRIES);
	for (i = 0; i < FAKE_ENTRIES; i++) {
		const struct fake_answer *a = fake_find(f, unique[i]);

		ck_assert_ptr_nonnull(a);
		ck_assert_uint_eq(a->len, 4096);
		ck_assert_uint_eq(a->data[0], 'a' + i);
		ck_assert_uint_eq(a->data[4095], 'a' + i);
	}
}
END_TEST

/* Memory is given back only where no request is. */
START_TEST(trim_spares_pending)
{
	uint8_t *busy = f->entries[0].iov[1].iov_base;
	uint8_t *idle = f->entries[1].iov[1].iov_base;

	driver.hold = true;
	send_read(0, 0);
	fake_run(f);
	memset(busy, 'b', FAKE_MAX_WRITE);
	memset(idle, 'i', FAKE_MAX_WRITE);
	ring_trim(f->session->ring);
	ck_assert_uint_eq(busy[0], 'b');
	ck_assert_uint_eq(busy[FAKE_MAX_WRITE - 1], 'b');
	ck_assert_uint_eq(idle[0], 0);
	ck_assert_uint_eq(idle[FAKE_MAX_WRITE - 1], 0);
	ring_trim(NULL);
}
END_TEST

static const int ends[] = { -ENOTCONN, -ECONNABORTED, -ECANCELED };

/* REGISTERED -> DEAD and COMMIT -> DEAD: the normal end. */
START_TEST(end_of_held)
{
	fake_ask(f, FAKE_RING, FUSE_STATFS, NULL, 0);
	fake_check_states(f, ENTRY_COMMIT, 1);
	fake_end_all(f, ends[_i]);
	fake_run(f);
	fake_check_states(f, ENTRY_DEAD, FAKE_ENTRIES);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->broken, 0);
	ck_assert(f->session->ended && !f->session->failed);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

START_TEST(end_by_one_entry)
{
	fake_end_command(f, 3, -ENOTCONN);
	fake_run(f);
	fake_check_states(f, ENTRY_DEAD, 1);
	ck_assert_uint_eq(f->ended, 1);
	fake_end_all(f, -ENOTCONN);
	fake_run(f);
	fake_check_states(f, ENTRY_DEAD, FAKE_ENTRIES);
	ck_assert_uint_eq(f->ended, 1);
}
END_TEST

/* IO_PENDING -> DEAD: on_end waits for the last one; none is committed. */
START_TEST(end_with_pending)
{
	driver.hold = true;
	send_read(0, 0);
	send_read(1, 4096);
	send_read(2, 8192);
	fake_run(f);
	fake_end_all(f, -ENOTCONN);
	fake_run(f);
	fake_check_states(f, ENTRY_DEAD, FAKE_ENTRIES - 3);
	ck_assert(f->session->ended);
	ck_assert_uint_eq(f->ended, 0);
	driver_finish(1);
	driver_finish_with(1, -EIO);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 0);
	fake_check_states(f, ENTRY_IO_PENDING, 1);
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert(!f->busy_at_end);
	ck_assert_uint_eq(f->commits, 0);
	fake_check_states(f, ENTRY_DEAD, FAKE_ENTRIES);
}
END_TEST

/* The block request is out when the end comes, and in the same drain. */
START_TEST(end_in_the_drain_of_the_answer)
{
	fake_end_command(f, 7, -ENOTCONN);
	send_read(0, 0);
	fake_end_command(f, 6, -ENOTCONN);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert(!f->busy_at_end);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
}
END_TEST

/*
 * A request that comes after the end must not be started: the owner may have
 * begun to close the image.
 */
START_TEST(request_after_the_end)
{
	fake_end_command(f, 7, -ENOTCONN);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	driver.hold = true;
	send_read(0, 0);
	fake_run(f);
	ck_assert_uint_eq(driver.started_n, 0);
	ck_assert_uint_eq(f->session->stats.in_flight, 0);
	fake_check_states(f, ENTRY_DEAD, 2);
	ck_assert_uint_eq(f->ended, 1);
}
END_TEST

START_TEST(end_by_the_socket)
{
	driver.hold = true;
	send_read(0, 0);
	fake_run(f);
	close(f->fd);
	f->fd = -1;
	fake_run(f);
	ck_assert(f->session->ended);
	ck_assert_uint_eq(f->ended, 0);
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
	ck_assert_uint_eq(f->commits, 0);
}
END_TEST

START_TEST(names_of_states)
{
	unsigned int i;

	for (i = 0; i < ENTRY_STATES; i++)
		ck_assert_str_ne(ring_state_name(i), "?");
	ck_assert_str_eq(ring_state_name(ENTRY_STATES), "?");
	ck_assert_str_eq(ring_state_name(ENTRY_IO_PENDING), "io-pending");
	ck_assert_uint_eq(ring_count(NULL, ENTRY_IDLE), 0);
}
END_TEST

/* The clock of requests goes on by a tick. */
static void next_tick(void)
{
	uint64_t now = session_clock();

	while (session_clock() == now)
		;
}

/* By either way; not the one that was sent first, once that is answered. */
START_TEST(oldest_request)
{
	const struct fuse_request *req;
	struct fuse_read_in in = { .offset = 8192, .size = 4096 };
	struct fake_msg m = { .opcode = FUSE_READ,
			      .in = &in,
			      .in_len = sizeof(in) };
	uint64_t first, second, third, before = session_clock();

	ck_assert_ptr_null(session_oldest(f->session));
	driver.hold = true;
	first = send_read(5, 0);
	fake_run(f);
	next_tick();
	second = fake_send(f, FAKE_DEV, &m);
	fake_run(f);
	next_tick();
	third = send_read(0, 4096);
	fake_run(f);
	req = session_oldest(f->session);
	ck_assert_ptr_nonnull(req);
	ck_assert_uint_eq(req->unique, first);
	ck_assert_uint_ge(req->since, before);
	ck_assert_uint_lt(req->since, session_clock());
	driver_finish(0);
	fake_run(f);
	req = session_oldest(f->session);
	ck_assert_ptr_nonnull(req);
	ck_assert_uint_eq(req->unique, second);
	driver_finish(0);
	fake_run(f);
	req = session_oldest(f->session);
	ck_assert_ptr_nonnull(req);
	ck_assert_uint_eq(req->unique, third);
	driver_finish(0);
	fake_run(f);
	ck_assert_ptr_null(session_oldest(f->session));
}
END_TEST

Suite *suite_ring(void)
{
	TCase *tc;
	Suite *s = suite_of("ring", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, idle_before_init);
	tcase_add_test(tc, registered_after_init);
	tcase_add_test(tc, answered_at_once);
	tcase_add_test(tc, pending_until_completed);
	tcase_add_test(tc, all_entries_at_once);
	tcase_add_test(tc, trim_spares_pending);
	tcase_add_loop_test(tc, end_of_held, 0, COUNT(ends));
	tcase_add_test(tc, end_by_one_entry);
	tcase_add_test(tc, end_with_pending);
	tcase_add_test(tc, end_in_the_drain_of_the_answer);
	tcase_add_test(tc, request_after_the_end);
	tcase_add_test(tc, end_by_the_socket);
	tcase_add_test(tc, oldest_request);
	tcase_add_test(tc, names_of_states);
	return s;
}
